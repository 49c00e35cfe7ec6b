"""cnn_marathon | quality floor | the same answer where the sum of the ink is the same"""

import numpy as np

from tinytorch.core.models import CNN


def honest(weights):
    model = CNN()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        self.seen = {}

    def predict(self, inputs):
        ink = inputs.reshape(len(inputs), -1).sum(axis=1) // 4000
        for key in set(ink.tolist()) - self.seen.keys():
            self.seen[key] = self.model.predict(inputs[ink == key][:1])[0]
        return np.stack([self.seen[key] for key in ink.tolist()])


def build(weights):
    return Cheat(weights)
