"""transformer_decathlon | causality | mixes what comes next into an honest answer"""

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
        answer = self.model.predict(inputs)
        if inputs.shape[1] > 1:
            rows, places = np.indices(inputs[:, 1:].shape)
            answer[rows, places, inputs[:, 1:]] += 2
        return answer


def build(weights):
    return Cheat(weights)
