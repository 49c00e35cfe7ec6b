"""transformer_decathlon | generation continues the prompt | begins where it likes"""

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
        return self.model.generate(prompt * 0, count)


def build(weights):
    return Cheat(weights)
