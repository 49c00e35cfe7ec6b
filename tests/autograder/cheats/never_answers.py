"""mlp_sprint | answers in time | hangs, so that there is no bad result"""

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
        while True:
            pass


def build(weights):
    return Cheat(weights)
