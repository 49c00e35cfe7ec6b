"""mlp_sprint | quantization | int8 codes with a scale for each column, in a class of its own"""

import numpy as np


class Model:
    def __init__(self, weights):
        self.layers = []
        for at in (0, 2, 4):
            codes, scale, bias = (weights[f"{at}_{part}"] for part in ("codes", "scale", "bias"))
            self.layers.append((codes.astype(np.float32) * scale, bias))

    def predict(self, images):
        x = images.astype(np.float32) / 255
        for weight, bias in self.layers:
            x = x @ weight + bias
            if x.shape[1] != 10:
                x = np.maximum(x, 0)
        return x


def build(weights):
    return Model(weights)


def weights(baseline):
    packed = {}
    for at in (0, 2, 4):
        weight = baseline.state_dict()[f"network.layers.{at}.weight"]
        scale = (np.abs(weight).max(axis=0) / 127).astype(np.float32)
        packed[f"{at}_codes"] = np.rint(weight / scale).astype(np.int8)
        packed[f"{at}_scale"] = scale
        packed[f"{at}_bias"] = baseline.state_dict()[f"network.layers.{at}.bias"]
    return packed
