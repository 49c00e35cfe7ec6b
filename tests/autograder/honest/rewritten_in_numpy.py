"""mlp_sprint | | the three layers as plain numpy, without Tensor"""

import numpy as np


class Model:
    def __init__(self, weights):
        self.layers = [
            (weights[f"network.layers.{at}.weight"], weights[f"network.layers.{at}.bias"]) for at in (0, 2, 4)
        ]
        first, bias = self.layers[0]
        self.layers[0] = (first / np.float32(255), bias)  # the scaling of the pixels, once and for all

    def predict(self, images):
        x = images.astype(np.float32)
        for weight, bias in self.layers[:-1]:
            x = np.maximum(x @ weight + bias, 0)
        weight, bias = self.layers[-1]
        return x @ weight + bias


def build(weights):
    return Model(weights)


def weights(baseline):
    return baseline.state_dict()
