"""transformer_decathlon | model builds | an operation that nobody asked for"""

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
        return self.model.ops | {"cache": lambda x: x}


def build(weights):
    return Cheat(weights)
