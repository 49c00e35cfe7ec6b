"""mlp_sprint | no gain: CPU of all threads | computes each half in its own thread"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        self.pool = ThreadPoolExecutor(2)

    def predict(self, inputs):
        parts = [inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]]
        if len(inputs) < 2:
            return self.model.predict(inputs)
        return np.concatenate(list(self.pool.map(self.model.predict, parts)))


def build(weights):
    return Cheat(weights)
