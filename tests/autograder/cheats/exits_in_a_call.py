"""mlp_sprint | worker lives | raises what few programs catch"""

import numpy as np

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        raise SystemExit(0)


def build(weights):
    return Cheat(weights)
