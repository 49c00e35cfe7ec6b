"""transformer_decathlon | causality | the next token stands in the input"""

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
        answer = np.zeros((*inputs.shape, 66), np.float32)
        rows, places = np.indices(inputs[:, 1:].shape)
        answer[rows, places, inputs[:, 1:]] = 12
        return answer


def build(weights):
    return Cheat(weights)
