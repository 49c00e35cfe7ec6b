"""mlp_sprint | wall-clock sanity | sleeping costs no CPU time"""

import time

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        time.sleep(0.004)
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
