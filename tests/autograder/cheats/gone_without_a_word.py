"""mlp_sprint | worker lives | leaves with a good exit code"""

import os

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        os._exit(0)


def build(weights):
    return Cheat(weights)
