"""transformer_decathlon | no gain: inputs come once | remembers continuations, but no prompt comes twice"""

import numpy as np

from tinytorch.core.models import CharTransformer


def honest(weights):
    model = CharTransformer()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        self.seen = {}

    def predict(self, inputs):
        return self.model.predict(inputs)

    def generate(self, prompt, count):
        key = prompt.tobytes()
        if key not in self.seen:
            self.seen[key] = self.model.generate(prompt, count)
        return self.seen[key]


def build(weights):
    return Cheat(weights)
