"""transformer_decathlon | quality floor | a table of pairs instead of attention"""

import numpy as np

from tinytorch.core.models import CharTransformer


def honest(weights):
    model = CharTransformer()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        self.table = self.model.predict(np.arange(66)[:, None])[:, 0]

    def predict(self, inputs):
        return self.table[inputs]


def build(weights):
    return Cheat(weights)
