"""mlp_sprint | no gain: a process each | slows numpy down in the hope that the baseline uses it"""

import numpy as np

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


def slow(function):
    def slower(*arguments, **more):
        sum(range(1000))
        return function(*arguments, **more)

    return slower


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        np.maximum, np.matmul = slow(np.maximum), slow(np.matmul)
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
