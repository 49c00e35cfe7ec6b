"""cnn_marathon | quantization, custom kernels, memory optimization | v3 kernels work in blocks; by save_entry"""

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.quantization import apply_quantization


def model(baseline):
    return add_custom_kernels(apply_quantization(baseline), version=3)
