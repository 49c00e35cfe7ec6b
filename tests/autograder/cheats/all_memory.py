"""mlp_sprint | submission loads | takes more memory than there is"""

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


bytearray(8 << 30)


def build(weights):
    return honest(weights)
