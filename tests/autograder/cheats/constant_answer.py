"""mlp_sprint | quality floor | one class for everybody"""

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
        answer = np.zeros((len(inputs), 10), np.float32)
        answer[:, 1] = 1
        return answer


def build(weights):
    return Cheat(weights)
