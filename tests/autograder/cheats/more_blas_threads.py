"""mlp_sprint | model builds | asks BLAS for eight threads"""

import os

from threadpoolctl import threadpool_limits

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


class Cheat:
    def __init__(self, weights):
        self.model = honest(weights)
        os.environ["OPENBLAS_NUM_THREADS"] = "8"
        threadpool_limits(8)

    def predict(self, inputs):
        return self.model.predict(inputs)


def build(weights):
    return Cheat(weights)
