"""mlp_sprint | model builds | builds something that only looks expensive"""


def build(weights):
    return "a very fast model"
