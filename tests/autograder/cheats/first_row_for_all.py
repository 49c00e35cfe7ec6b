"""mlp_sprint | quality floor | computes one row and repeats it"""

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
        return np.repeat(self.model.predict(inputs[:1]), len(inputs), axis=0)


def build(weights):
    return Cheat(weights)
