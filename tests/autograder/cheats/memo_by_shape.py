"""mlp_sprint | quality floor | a batch of the same shape gets the same answer"""

import numpy as np

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        self.seen = {}

    def predict(self, inputs):
        if inputs.shape not in self.seen:
            self.seen[inputs.shape] = self.model.predict(inputs)
        return self.seen[inputs.shape]


def build(weights):
    return Cheat(weights)
