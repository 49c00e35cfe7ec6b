"""mlp_sprint | no gain: clock outside | puts a clock in place that stands still"""

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
        time.perf_counter = time.process_time = time.monotonic = time.time = lambda: 0.0
        time.perf_counter_ns = time.clock_gettime_ns = lambda *_: 0
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
