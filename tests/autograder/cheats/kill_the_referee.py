"""mlp_sprint | answers | sends the referee a signal"""

import os
import signal

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        os.kill(os.getppid(), signal.SIGSTOP)
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
