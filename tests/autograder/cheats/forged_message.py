"""mlp_sprint | worker lives | a header that speaks of an array of a gigabyte"""

import gc

import numpy as np

from autograder.referee import protocol
from autograder.referee.worker import Voice
from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

        self.voice = next(each for each in gc.get_objects() if isinstance(each, Voice))

    def predict(self, inputs):
        protocol.send(self.voice.replies, b"\xff" * protocol.HEADER.size)
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
