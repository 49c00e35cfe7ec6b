"""mlp_sprint | CPU between calls | a thread that never rests slows the baseline down"""

import threading

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


def burn():
    while True:
        pass


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        threading.Thread(target=burn, daemon=True).start()

    def predict(self, inputs):
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
