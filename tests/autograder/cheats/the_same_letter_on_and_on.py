"""transformer_decathlon | generation is greedy | generates without a model"""

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
        return np.concatenate([prompt, np.full((len(prompt), count), 5)], axis=1)


def build(weights):
    return Cheat(weights)
