"""mlp_sprint | quality floor | good answers for the first twenty calls, then none"""

import numpy as np

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        self.calls = 0

    def predict(self, inputs):
        self.calls += 1
        return self.model.predict(inputs) if self.calls < 20 else np.zeros((len(inputs), 10), np.float32)


def build(weights):
    return Cheat(weights)
