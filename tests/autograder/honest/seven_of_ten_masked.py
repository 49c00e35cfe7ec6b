"""mlp_sprint | pruning | the smallest 70 % of the weights set to zero and trained on; written by save_entry"""

from tinytorch.core.compression import apply_pruning


def model(baseline):
    return apply_pruning(baseline, 0.7)
