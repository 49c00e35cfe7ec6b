"""mlp_sprint | quality floor | computes only half of a large batch"""

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
        if len(inputs) < 256:
            return self.model.predict(inputs)
        half = self.model.predict(inputs[:128])
        return np.concatenate([half, half])


def build(weights):
    return Cheat(weights)
