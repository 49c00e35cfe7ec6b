"""mlp_sprint | submission loads | asks another machine"""

import socket

from tinytorch.core.models import MLP


def honest(weights):
    model = MLP()
    model.load_state_dict(weights)
    return model


socket.create_connection(("127.0.0.1", 9))


def build(weights):
    return honest(weights)
