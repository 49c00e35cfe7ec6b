"""mlp_sprint | no gain: a process each | patches the class that the baseline is made of"""

import time
from tinytorch.core.layers import Linear

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


Linear.forward_before = Linear.forward if hasattr(Linear, "forward") else Linear.__call__


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        Linear.slow = lambda *_: time.sleep(1)

    def predict(self, inputs):
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
