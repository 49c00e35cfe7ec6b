"""cnn_marathon | no gain: memory seen by the kernel | puts the counter of memory back to zero"""

import tracemalloc

from tinytorch.core.models import CNN


def honest(weights):
    model = CNN()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)

    def predict(self, inputs):
        answer = self.model.predict(inputs)
        if tracemalloc.is_tracing():
            tracemalloc.stop()
            tracemalloc.start()
        return answer


def build(weights):
    return Cheat(weights)
