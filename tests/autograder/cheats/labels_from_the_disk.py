"""mlp_sprint | submission loads | reads the official digits where they lie"""

from tinytorch.perf.workloads import archive as files

import numpy as np

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


np.load(files.FILES / "digits.npz")


def build(weights):
    return honest(weights)
