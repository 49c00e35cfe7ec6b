"""cnn_marathon | quality floor | a linear look at the canvas, a hundred times faster"""

import numpy as np

from tinytorch.core.models import CNN


def honest(weights):
    model = CNN()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        self.matrix = np.random.default_rng(0).standard_normal((784, 10)).astype(np.float32)

    def predict(self, inputs):
        return (inputs.reshape(len(inputs), -1).astype(np.float32) - 10) @ self.matrix


def build(weights):
    return Cheat(weights)
