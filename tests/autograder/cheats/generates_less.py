"""transformer_decathlon | exact shape | stops after half of the tokens"""

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
        return self.model.generate(prompt, count // 2)


def build(weights):
    return Cheat(weights)
