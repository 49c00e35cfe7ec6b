"""mlp_sprint | | every layer writes to an array that it keeps"""

import numpy as np


class Model:
    def __init__(self, weights):
        self.layers = [
            (weights[f"network.layers.{at}.weight"], weights[f"network.layers.{at}.bias"]) for at in (0, 2, 4)
        ]
        self.buffers = {}

    def room(self, rows, columns):
        key = rows, columns
        if key not in self.buffers:
            self.buffers[key] = np.empty(key, np.float32)
        return self.buffers[key]

    def predict(self, images):
        x = np.multiply(images, np.float32(1 / 255), out=self.room(*images.shape))
        for weight, bias in self.layers:
            out = np.matmul(x, weight, out=self.room(len(x), weight.shape[1]))
            out += bias
            if out.shape[1] != 10:
                np.maximum(out, 0, out=out)
            x = out
        return x


def build(weights):
    return Model(weights)


def weights(baseline):
    return baseline.state_dict()
