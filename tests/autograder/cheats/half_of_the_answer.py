"""mlp_sprint | exact shape | leaves the second half out"""

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
        return self.model.predict(inputs)[: max(1, len(inputs) // 2), :5]


def build(weights):
    return Cheat(weights)
