"""`CompactParameter`: a weight kept in fewer bits, with gaps, or both; what Modules 17 and 18 leave behind.

In memory it holds integer codes (or floats with zeros); its `data` are floats made anew at every access,
which is what a layer that knows nothing of quantization pays for. In a file it is packed: `bits` per kept
weight, and one bit per position that says whether a weight was kept. `weight_matrices` lists the weights that
may become one. Does not: decide bits or masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinytorch.core.layers import Module, Parameter, WeightsError
from tinytorch.core.tensor import Array

# Magnitudes below count as this: their scale would lose its digits, or be zero and divide.
SMALLEST = 1e-30


class CompactParameter(Parameter):
    """A weight of any shape, quantized to `bits` (None: stays float32) and pruned by `mask` (None: dense).

    Args:
        values: (...) floats.
        bits:   2 to 8; codes are symmetric, from -(2^(bits-1) - 1) to +(2^(bits-1) - 1).
        axis:   None for one scale for the whole tensor, else the axis that has one scale per index.
        mask:   (...) boolean, True where the weight is kept; pruned weights are exactly zero.
    """

    def __init__(
        self, values: Array, bits: int | None = None, axis: int | None = None, mask: Array | None = None
    ) -> None:
        _check_bits(bits)
        if mask is not None and mask.shape != values.shape:
            raise WeightsError(f"mask has shape {mask.shape}, the weight {values.shape}")
        self.bits, self.axis, self.mask = bits, axis, mask
        super().__init__(values)

    @property
    def data(self) -> Array:
        """(...) float32, made anew from the codes at every access."""
        return self.codes if self.bits is None else self.codes * self.scale

    @data.setter
    def data(self, values: Array) -> None:
        kept = values if self.mask is None else np.where(self.mask, values, np.float32(0))
        self.scale = self._scale(kept)
        self.codes = kept if self.bits is None else np.rint(kept / self.scale).astype(np.int8)

    def _scale(self, values: Array) -> Array:
        """Largest magnitude / largest code, for the tensor or for each index of `axis`; broadcasts."""
        if self.bits is None:
            return np.ones((), np.float32)
        if self.axis is None:
            largest = np.abs(values).max()
        else:
            kept_axis = self.axis % values.ndim
            others = tuple(i for i in range(values.ndim) if i != kept_axis)
            largest = np.abs(values).max(axis=others, keepdims=True)
        if not np.isfinite(largest).all():
            raise WeightsError(f"weights of shape {values.shape} are not all finite, so they have no codes")
        return np.asarray(np.maximum(largest, SMALLEST) / (2 ** (self.bits - 1) - 1), np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape  # not of `data`: asking for the shape must not dequantize

    @property
    def ndim(self) -> int:
        return self.codes.ndim

    @property
    def size(self) -> int:
        return self.codes.size

    def __len__(self) -> int:
        return len(self.codes)

    def arrays(self) -> dict[str, Array]:
        """What a file holds: `codes` or `values` of the kept weights, `scale`, `bits`, `bitmap`."""
        kept = self.codes.flatten() if self.mask is None else self.codes[self.mask]
        stored = {} if self.mask is None else {"bitmap": np.packbits(self.mask)}
        if self.bits is None:
            return stored | {"values": kept}
        bits = np.array(self.bits, np.uint8)
        return stored | {"codes": pack_codes(kept, self.bits), "scale": self.scale.copy(), "bits": bits}

    def load_arrays(self, arrays: dict[str, Array]) -> None:
        """Take over what `arrays()` gave for a weight of this shape; bits, axis and mask become the file's.

        Raises:
            WeightsError: a part is missing, unknown, of the wrong length or of impossible values.
        """
        parts = {"codes", "scale", "bits"} if "bits" in arrays else {"values"}
        parts |= arrays.keys() & {"bitmap"}
        if arrays.keys() != parts:
            raise WeightsError(f"expected parts {sorted(parts)}, got {sorted(arrays)}; '' is a plain array")
        try:
            mask = _unpack_mask(arrays["bitmap"], self.shape) if "bitmap" in arrays else None
            count = self.size if mask is None else int(mask.sum())
            bits, axis, scale, kept = self._unpack(arrays, count)
        except (TypeError, ValueError) as error:
            raise WeightsError(f"compact weight of shape {self.shape} is damaged: {error}") from error
        codes = np.zeros(self.shape, kept.dtype)
        codes[np.ones(self.shape, bool) if mask is None else mask] = kept
        self.bits, self.axis, self.mask, self.scale, self.codes = bits, axis, mask, scale, codes

    def _unpack(self, arrays: dict[str, Array], count: int) -> tuple[int | None, int | None, Array, Array]:
        """Bits, axis, scale and the `count` kept codes or values of a file. Raises ValueError, TypeError."""
        if "bits" in arrays:
            bits, scale = int(arrays["bits"]), np.array(arrays["scale"], np.float32)
            _check_bits(bits)
            return bits, _scale_axis(scale, self.shape), scale, unpack_codes(arrays["codes"], bits, count)
        if arrays["values"].shape != (count,):
            raise ValueError(f"{count} values expected, got shape {arrays['values'].shape}")
        return None, None, np.ones((), np.float32), arrays["values"].astype(np.float32)


def weight_matrices(model: Module) -> Iterator[tuple[Module, str, Parameter]]:
    """Every parameter with at least two axes, with the layer that owns it and its name there."""
    for _, layer in model.modules():
        for name, value in list(vars(layer).items()):
            if isinstance(value, Parameter) and value.ndim >= 2:
                yield layer, name, value


def _check_bits(bits: int | None) -> None:
    if bits is not None and not 2 <= bits <= 8:
        raise ValueError(f"bits per weight must be 2 to 8 (or None for float32), got {bits}")


def _scale_axis(scale: Array, shape: tuple[int, ...]) -> int | None:
    """The axis of `shape` along which `scale` differs, None for a single scale. Raises ValueError."""
    axes = [i for i, size in enumerate(scale.shape) if size > 1]
    fitting = tuple(size if i in axes else 1 for i, size in enumerate(shape)) if scale.ndim else ()
    if len(axes) > 1 or scale.shape != fitting:
        raise ValueError(f"a scale of shape {scale.shape}, expected one number, or one per index of an axis")
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise ValueError("a scale is not a positive number")
    return axes[0] if axes else None


def _unpack_mask(bitmap: Array, shape: tuple[int, ...]) -> Array:
    """Bits (ceil(size / 8),) uint8 to booleans of `shape`. Raises ValueError where the length is wrong."""
    count = math.prod(shape)
    if bitmap.shape != ((count + 7) // 8,):
        raise ValueError(f"a bitmap of shape {bitmap.shape} is not one bit for each of {count} weights")
    return np.unpackbits(bitmap, count=count).astype(bool).reshape(shape)


def pack_codes(codes: Array, bits: int) -> Array:
    """Signed codes (n,) int8 to a bit stream (ceil(n * bits / 8),) uint8, `bits` bits each."""
    if bits == 8:
        return codes.astype(np.int8).view(np.uint8)
    offset = (codes.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)  # 1 .. 2^bits - 1
    return np.packbits(np.unpackbits(offset[:, None], axis=1)[:, 8 - bits :])


def unpack_codes(packed: Array, bits: int, count: int) -> Array:
    """The inverse of `pack_codes`. Raises ValueError or TypeError where `packed` cannot have come from it."""
    if packed.shape != ((count * bits + 7) // 8,):
        raise ValueError(f"bytes of shape {packed.shape} are not {count} codes of {bits} bits")
    if bits == 8:
        return packed.astype(np.uint8, casting="safe").view(np.int8)
    planes = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    padded = np.concatenate([np.zeros((count, 8 - bits), np.uint8), planes], axis=1)
    return (np.packbits(padded, axis=1)[:, 0].astype(np.int16) - 2 ** (bits - 1)).astype(np.int8)
