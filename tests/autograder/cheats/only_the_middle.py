"""cnn_marathon | quality floor | looks only where digits often are"""

import numpy as np

from tinytorch.core.models import CNN


def honest(weights):
    model = CNN()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        canvas = np.zeros_like(inputs)
        canvas[:, 10:18, 10:18] = inputs[:, 10:18, 10:18]
        rows = self.model.predict(canvas[:1])
        return np.repeat(rows, len(inputs), axis=0)


def build(weights):
    return Cheat(weights)
