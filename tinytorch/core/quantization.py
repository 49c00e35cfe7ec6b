"""Quantization (Module 17): weights as small integers with a scale, in memory and in the file.

In numpy this saves bytes, not time: integer products have no BLAS behind them, and a layer that meets codes makes
floats of them at every call. `add_custom_kernels` does that once, when it builds its engine.
Does not: quantize activations or train.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinytorch.core.compact import CompactParameter
from tinytorch.core.layers import Module, Parameter
from tinytorch.core.models import Network


class QuantizationError(ValueError):
    """The model has no weights that could be quantized, or the wish makes no sense."""


def apply_quantization(model: Network, bits: int = 8, per_channel: bool = True) -> Network:
    """Store every weight matrix as integers of `bits` bits; biases and norms stay float32 (they are 1 % of the bytes).

    Args:
        model:       a network of the library; pruned weights stay pruned.
        bits:        2 to 8 bits per weight.
        per_channel: one scale per output channel (closer) instead of one for the whole matrix (smaller).

    Returns:
        A new model; `model` is as it was. Rounding is to the nearest code, symmetric around zero
        (Jacob et al. 2018, section 2.1, with zero point 0).

    Raises:
        QuantizationError: `model` is no Network, or has no weight matrix.
        ValueError: `bits` is outside 2 to 8.
    """
    if not isinstance(model, Network):
        raise QuantizationError(
            f"apply_quantization takes an MLP, CNN or CharTransformer, got {type(model).__name__}; "
            f"quantize the weights of your own class yourself, or derive it from Network"
        )

    def change(copy: Network) -> None:
        for layer, name, weight in weight_matrices(copy):
            axis = _channel_axis(weight) if per_channel else None
            setattr(layer, name, CompactParameter(weight.data, bits, axis, getattr(weight, "mask", None)))

    if not any(True for _ in weight_matrices(model)):
        raise QuantizationError(f"{type(model).__name__} has no parameter with two or more axes to quantize")
    return model.changed(change)


def weight_matrices(model: Module) -> Iterator[tuple[Module, str, Parameter]]:
    """Every parameter with at least two axes, with the layer that owns it and its name there."""
    for _, layer in model.modules():
        for name, value in list(vars(layer).items()):
            if isinstance(value, Parameter) and value.ndim >= 2:
                yield layer, name, value


def _channel_axis(weight: Parameter) -> int:
    """Output channels: axis 0 of a kernel bank (O, C, K, K), the last of a matrix (inputs, outputs)."""
    return 0 if weight.ndim == 4 else -1
