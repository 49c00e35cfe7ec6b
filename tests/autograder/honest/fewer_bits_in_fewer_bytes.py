"""cnn_marathon | quantization, custom kernels | five-bit weights, and kernels; written by save_entry"""

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.quantization import apply_quantization


def model(baseline):
    return add_custom_kernels(apply_quantization(baseline, bits=5), version=3)
