"""transformer_decathlon | quantization, custom kernels | six bits a weight; written by save_entry"""

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.quantization import apply_quantization


def model(baseline):
    return add_custom_kernels(apply_quantization(baseline, bits=6), version=3)
