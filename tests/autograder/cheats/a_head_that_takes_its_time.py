"""transformer_decathlon | operation: head | work in the operation that no discipline counts"""

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
        return self.model.ops | {"head": self.head}

    def head(self, x):
        for _ in range(8):
            answer = self.model.ops["head"](x)
        return answer


def build(weights):
    return Cheat(weights)
