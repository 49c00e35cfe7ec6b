"""cnn_marathon | quantization | 16-bit floats in the file; im2col in a class of its own"""

import numpy as np


def patches(images):
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))  # (N, H, W, C, 3, 3)
    return windows.reshape(*windows.shape[:3], -1)


def pooled(images):
    n, height, width, channels = images.shape
    even = images[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


class Model:
    def __init__(self, weights):
        self.w = {name: array.astype(np.float32) for name, array in weights.items()}

    def predict(self, images):
        answers = [self.few(images[at : at + 32]) for at in range(0, len(images), 32)]
        return np.concatenate(answers)

    def few(self, images):
        x = images.astype(np.float32) / 255
        for at in (0, 3):
            kernel = self.w[f"network.layers.{at}.weight"]
            x = patches(x) @ kernel.reshape(len(kernel), -1).T + self.w[f"network.layers.{at}.bias"]
            x = pooled(np.maximum(x, 0))
        flat = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        return flat @ self.w["network.layers.8.weight"] + self.w["network.layers.8.bias"]


def build(weights):
    return Model(weights)


def weights(baseline):
    return {name: array.astype(np.float16) for name, array in baseline.state_dict().items()}
