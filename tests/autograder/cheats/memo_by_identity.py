"""mlp_sprint | quality floor | remembers the answer by id(inputs), which is used again"""

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
        key = (id(inputs), inputs.shape)
        if key not in self.seen:
            self.seen[key] = self.model.predict(inputs)
        return self.seen[key]


def build(weights):
    return Cheat(weights)
