"""mlp_sprint | custom kernels | all three layers in one function compiled by numba"""

import numba
import numpy as np


@numba.njit(fastmath=True)
def layers(images, first, first_bias, second, second_bias, last, last_bias, out):
    for row in range(len(images)):
        hidden = first_bias.copy()
        for place in range(784):
            value = np.float32(images[row, place])
            if value:  # most pixels are black
                for unit in range(128):
                    hidden[unit] += value * first[place, unit]
        deeper = second_bias.copy()
        for place in range(128):
            value = hidden[place]
            if value > 0:
                for unit in range(64):
                    deeper[unit] += value * second[place, unit]
        for unit in range(10):
            out[row, unit] = last_bias[unit]
        for place in range(64):
            value = deeper[place]
            if value > 0:
                for unit in range(10):
                    out[row, unit] += value * last[place, unit]


class Model:
    def __init__(self, weights):
        w = [weights[f"network.layers.{at}.{part}"] for at in (0, 2, 4) for part in ("weight", "bias")]
        self.arrays = [w[0] / np.float32(255), *w[1:]]
        self.predict(np.zeros((1, 784), np.uint8))  # compiles

    def predict(self, images):
        out = np.empty((len(images), 10), np.float32)
        layers(np.ascontiguousarray(images), *self.arrays, out)
        return out


def build(weights):
    return Model(weights)


def weights(baseline):
    return baseline.state_dict()
