"""mlp_sprint | pruning | half of the neurons left out, fused kernels; written by save_entry"""

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.compression import apply_pruning


def model(baseline):
    return add_custom_kernels(apply_pruning(baseline, 0.5, structured=True), version=3)
