"""Quantization (Module 17): weights as small integers with a scale, in memory and in the file.

In numpy this saves bytes, not time: integer products have no BLAS behind them, and a layer that meets codes makes
floats of them at every call. `add_custom_kernels` does that once, when it builds its engine.
Does not: quantize activations or train.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from tinytorch.core.compact import CompactParameter, weight_matrices
from tinytorch.core.layers import Parameter
from tinytorch.core.models import Network

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


class QuantizationError(ValueError):
    """The model has no weights that could be quantized, or the wish makes no sense."""


def apply_quantization(model: AnyNetwork, bits: int = 8, per_channel: bool = True) -> AnyNetwork:
    """Store every weight matrix as integers of `bits` bits; biases and norms, 1 % of the bytes, stay float32.

    Args:
        model:       a network of the library; pruned weights stay pruned.
        bits:        2 to 8 bits per weight, a whole number.
        per_channel: one scale per output channel (closer) instead of one for the whole matrix (smaller).

    Returns:
        A new model; `model` is as it was. Rounding is to the nearest code, symmetric around zero
        (Jacob et al. 2018, section 2.1, with zero point 0).

    Raises:
        QuantizationError: `model` is no Network or has no weight matrix, or `bits` is not one of 2 to 8.
    """
    _check(model, bits)

    def change(copy: AnyNetwork) -> None:
        for layer, name, weight in weight_matrices(copy):
            axis = _channel_axis(weight) if per_channel else None
            setattr(layer, name, CompactParameter(weight.data, int(bits), axis, getattr(weight, "mask", None)))

    return model.changed(change)


def _check(model: object, bits: object) -> None:
    if not isinstance(model, Network):
        raise QuantizationError(
            f"apply_quantization takes an MLP, CNN or CharTransformer, got {type(model).__name__}; "
            f"quantize the weights of your own class yourself, or derive it from Network"
        )
    if not any(True for _ in weight_matrices(model)):
        raise QuantizationError(f"{type(model).__name__} has no parameter with two or more axes to quantize")
    if not isinstance(bits, int | np.integer) or not 2 <= bits <= 8:
        raise QuantizationError(
            f"weights are stored in 2 to 8 bits, a whole number, got bits={bits!r}; "
            f"for float32 leave apply_quantization out"
        )


def _channel_axis(weight: Parameter) -> int:
    """Output channels: axis 0 of a kernel bank (O, C, K, K), the last of a matrix (inputs, outputs)."""
    return 0 if weight.ndim == 4 else -1
