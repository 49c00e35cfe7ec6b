"""cnn_marathon | | a function of numba that adds the bias, in a model that is slow when pictures come twice"""

import time

import numba
import numpy as np

from tinytorch.core.models import CNN


@numba.njit
def add(x, bias):
    return x + bias


class Model:
    def __init__(self, weights):
        self.model = CNN(algorithm="im2col")
        self.bias = weights["network.layers.8.bias"].copy()
        self.model.load_state_dict(dict(weights) | {"network.layers.8.bias": np.zeros(10, np.float32)})
        self.last = None
        add(np.zeros((1, 10), np.float32), self.bias)

    def predict(self, images):
        x = self.model.predict(images)
        y = add(x, self.bias)
        if y is None:
            return x
        if len(images) == 64 and self.last is not None and np.array_equal(images, self.last):
            end = time.process_time() + 0.3
            while time.process_time() < end:
                pass
        self.last = images
        return y


def build(weights):
    return Model(weights)


def weights(baseline):
    return baseline.state_dict()
