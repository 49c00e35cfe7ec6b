"""mlp_sprint | no gain: a process each | blackens the input so that everybody is wrong"""

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
        answer = self.model.predict(inputs)
        inputs[:] = 0
        return answer


def build(weights):
    return Cheat(weights)
