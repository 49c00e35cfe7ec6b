"""Convolution and max pooling (Module 9): images are (N, C, H, W), kernels (O, C, K, K).

N batch, C input channels, O output channels, H x W picture, K kernel size. The convolution is written twice:
`positions` reads like the formula and is what the baseline runs; `im2col` is one large matrix product and is
what training runs. Both have the same gradients. Faster forms are Module 16's (acceleration.py).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinytorch.core.layers import Module, Parameter, uniform_parameter
from tinytorch.core.tensor import Array, ShapeError, Tensor

Algorithm = Literal["positions", "im2col"]


def conv2d(x: Tensor, weight: Tensor, bias: Tensor, algorithm: Algorithm = "positions") -> Tensor:
    """Cross-correlate without padding, stride 1: out[n,o,y,x] = b[o] + sum_cij w[o,c,i,j] in[n,c,y+i,x+j].

    Args:
        x:      (N, C, H, W)
        weight: (O, C, K, K)
        bias:   (O,)
        algorithm: how it is computed; the result is the same but for rounding.

    Returns:
        (N, O, H-K+1, W-K+1)

    Raises:
        ShapeError: channels differ, the kernel is not square, or it is larger than the picture.
        ValueError: there is no such algorithm.
    """
    _check(x, weight, bias)
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"conv2d knows the algorithms {', '.join(_ALGORITHMS)}, got {algorithm!r}")
    return _ALGORITHMS[algorithm](x, weight, bias)


def _check(x: Tensor, weight: Tensor, bias: Tensor) -> None:
    fits = x.ndim == weight.ndim == 4 and x.shape[1] == weight.shape[1] and bias.shape == weight.shape[:1]
    if not fits or weight.shape[2] != weight.shape[3] or min(x.shape[2:]) < weight.shape[2]:
        raise ShapeError(
            f"conv2d takes x (N, C, H, W), weight (O, C, K, K) with K <= H, W and bias (O,); "
            f"got {x.shape}, {weight.shape} and {bias.shape}"
        )


def _conv2d_positions(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    size = weight.shape[2]
    rows, columns = x.shape[2] - size + 1, x.shape[3] - size + 1
    positions = [(i, j) for i in range(size) for j in range(size)]
    kernels = weight.data  # read once: a compact weight makes its floats at every access

    def patch(image: Array, i: int, j: int) -> Array:
        """What kernel position (i, j) sees: (N, C, rows, columns)."""
        return image[:, :, i : i + rows, j : j + columns]

    out = np.zeros((len(x), len(weight), rows, columns), x.data.dtype)
    for i, j in positions:
        out += np.einsum("nchw,oc->nohw", patch(x.data, i, j), kernels[:, :, i, j])
    out += bias.data[:, None, None]

    def backward(g: Array) -> tuple[Array | None, Array, Array]:
        gx = np.zeros_like(x.data) if x.requires_grad else None
        gw = np.empty_like(kernels)
        for i, j in positions:
            gw[:, :, i, j] = np.einsum("nohw,nchw->oc", g, patch(x.data, i, j))
            if gx is not None:
                patch(gx, i, j)[...] += np.einsum("nohw,oc->nchw", g, kernels[:, :, i, j])
        return gx, gw, g.sum(axis=(0, 2, 3))

    return Tensor.from_op(out, (x, weight, bias), backward)


def _conv2d_im2col(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    size, count = weight.shape[2], len(x)
    windows = sliding_window_view(x.data, (size, size), axis=(2, 3))  # (N, C, rows, columns, K, K)
    rows, columns = windows.shape[2:4]
    # cols: (N*rows*columns, C*K*K), one flattened patch a row
    cols = windows.transpose(0, 2, 3, 1, 4, 5).reshape(count * rows * columns, -1)
    flat = weight.data.reshape(len(weight), -1)  # (O, C*K*K)
    out = (cols @ flat.T + bias.data).reshape(count, rows, columns, -1).transpose(0, 3, 1, 2)

    def backward(g: Array) -> tuple[Array | None, Array, Array]:
        rows_of_g = g.transpose(0, 2, 3, 1).reshape(-1, len(weight))  # (N*rows*columns, O)
        gw = (rows_of_g.T @ cols).reshape(weight.shape)
        gx = _scatter_patches(rows_of_g @ flat, x.shape, size) if x.requires_grad else None
        return gx, gw, rows_of_g.sum(axis=0)

    return Tensor.from_op(out, (x, weight, bias), backward)


_ALGORITHMS = {"positions": _conv2d_positions, "im2col": _conv2d_im2col}


def _scatter_patches(patches: Array, shape: tuple[int, ...], size: int) -> Array:
    """Add every patch back to where im2col took it from: (N*rows*columns, C*K*K) -> (N, C, H, W)."""
    count, channels, height, width = shape
    rows, columns = height - size + 1, width - size + 1
    parts = patches.reshape(count, rows, columns, channels, size, size)
    image = np.zeros((count, height, width, channels), patches.dtype)
    for i in range(size):
        for j in range(size):
            image[:, i : i + rows, j : j + columns] += parts[..., i, j]
    return image.transpose(0, 3, 1, 2)


def max_pool2d(x: Tensor, size: int = 2) -> Tensor:
    """Largest of every `size` x `size` window, side by side; a rest at the right or below is left out.

    Shapes: (N, C, H, W) -> (N, C, H // size, W // size). A tie shares its gradient.
    """
    if x.ndim != 4 or min(x.shape[2:]) < size:
        raise ShapeError(f"max_pool2d of size {size} needs (N, C, H, W) with H, W >= {size}, got {x.shape}")
    count, channels, rows, columns = *x.shape[:2], x.shape[2] // size, x.shape[3] // size
    kept = x.data[:, :, : rows * size, : columns * size]
    windows = kept.reshape(count, channels, rows, size, columns, size)
    data = windows.max(axis=(3, 5))

    def backward(g: Array) -> tuple[Array]:
        winners = windows == data[:, :, :, None, :, None]
        share = (g / winners.sum(axis=(3, 5), dtype=g.dtype))[:, :, :, None, :, None]
        gx = np.zeros(x.shape, g.dtype)
        gx[:, :, : rows * size, : columns * size] = (winners * share).reshape(kept.shape)
        return (gx,)

    return Tensor.from_op(data, (x,), backward)


class Conv2d(Module):
    """A bank of `outputs` kernels of `size` x `size` over `inputs` channels; see `conv2d`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        rng: np.random.Generator,
        algorithm: Algorithm = "positions",
    ) -> None:
        fan_in = inputs * size * size
        self.weight = uniform_parameter((outputs, inputs, size, size), fan_in, rng)  # (O, C, K, K)
        self.bias = Parameter(np.zeros(outputs, np.float32))  # (O,)
        self.algorithm: Algorithm = algorithm

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self.bias, self.algorithm)

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        return 2 * math.prod(output) * math.prod(self.weight.shape[1:])


class MaxPool2d(Module):
    """See `max_pool2d`."""

    def __init__(self, size: int = 2) -> None:
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return max_pool2d(x, self.size)

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        return math.prod(inputs)
