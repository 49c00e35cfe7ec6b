"""mlp_sprint | float answers | labels instead of logits, as integers"""

import numpy as np

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        return self.model.predict(inputs).astype(np.int64)


def build(weights):
    return Cheat(weights)
