"""Kernels v4 of Module 16: the MLP and the CNN compiled by numba, one image at a time. Needs tinytorch[fast].

They multiply slower than BLAS does, and win by what they leave out: no call between the layers, and no product
with a zero, of which paper (pixel 0) and ReLU make most of the numbers. `compile_mlp` and `compile_cnn` take
some seconds the first time; later processes take the machine code from disk.
Does not: know when it pays (acceleration.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np

from tinytorch.core.machine_code import compiled
from tinytorch.core.tensor import Array


def contiguous(scalar: Any, axes: int) -> Any:
    """An array argument that is only read. Arrays of other types are an error, not a slow recompilation."""
    return numba.types.Array(scalar, axes, "C", readonly=True)


LOGITS = numba.float32[:, ::1]


# -- sums over what is not zero ------------------------------------------------------------------------


@compiled()
def list_nonzero(numbers: Array, places: Array, values: Array) -> int:
    """Write indices and values of the numbers that are not zero; their count is padded to a multiple of 4."""
    count = 0
    for k in range(len(numbers)):
        places[count], values[count] = k, numbers[k]
        count += numbers[k] != 0  # without a branch, which the processor would guess wrong at every edge
    while count % 4:
        places[count], values[count] = 0, 0
        count += 1
    return count


@compiled(inline="always")
def add_rows(out: Array, weight: Array, places: Array, values: Array, count: int) -> None:
    """out += sum of values[i] * weight[places[i]] over `count` rows, a multiple of 4."""
    for i in range(0, count, 4):  # four at a time: `out` is read and written once for four rows
        a, b, c, d = values[i], values[i + 1], values[i + 2], values[i + 3]
        first, second = weight[places[i]], weight[places[i + 1]]
        third, fourth = weight[places[i + 2]], weight[places[i + 3]]
        for j in range(len(out)):
            out[j] += a * first[j] + b * second[j] + c * third[j] + d * fourth[j]


# -- MLP -----------------------------------------------------------------------------------------------


@compiled()
def take_pixels(image: Array, stride: int, out: Array) -> None:
    """Every `stride`-th row and column of (784,) bytes, as floats."""
    k = 0
    for row in range(0, 28, stride):
        for column in range(0, 28, stride):
            out[k] = image[28 * row + column]
            k += 1


def classify_dense(images: Array, packed: Array, widths: Array, stride: int, logits: Array) -> None:
    """An MLP with ReLU.

    Args:
        images: (N, 784)
        packed: of each layer the weights (inputs, outputs), then the biases (outputs,), all in one row
        widths: (layers + 1,)
        stride: every stride-th row and column of pixels is looked at
        logits: (N, widths[-1]), is written
    """
    widest = widths.max()
    places, values = np.empty(widest + 4, np.uint64), np.empty(widest + 4, np.float32)
    x, y = np.empty(widest, np.float32), np.empty(widest, np.float32)
    for n in range(len(images)):
        take_pixels(images[n], stride, x)
        start = 0
        for layer in range(len(widths) - 1):
            inputs, outputs = widths[layer], widths[layer + 1]
            end = start + inputs * outputs
            y[:outputs] = packed[end : end + outputs]
            count = list_nonzero(x[:inputs], places, values)
            add_rows(y[:outputs], packed[start:end].reshape(inputs, outputs), places, values, count)
            for k in range(outputs):
                x[k] = max(y[k], np.float32(0))
            start = end + outputs
        logits[n] = y[: widths[-1]]


@cache
def compile_mlp() -> Callable[..., None]:
    """`classify_dense` as machine code."""
    packed, widths = contiguous(numba.float32, 1), contiguous(numba.int64, 1)
    return compiled(contiguous(numba.uint8, 2), packed, widths, numba.int64, LOGITS)(classify_dense)


# -- CNN -----------------------------------------------------------------------------------------------


@compiled()
def has_ink(image: Array, top: int, left: int) -> bool:
    """Whether any of 4 x 4 pixels, all that one pooled feature sees, is not paper."""
    ink = False
    for i in range(4):
        for j in range(4):
            ink |= image[top + i, left + j] != 0
    return ink


@compiled()
def convolve_corner(image: Array, top: int, left: int, weight: Array, out: Array, first: bool) -> None:
    """out (C,) = the 3 x 3 pixels times weight (9, C); the larger of it and `out`, unless it is the first."""
    a, b, c = image[top, left], image[top, left + 1], image[top, left + 2]
    d, e, f = image[top + 1, left], image[top + 1, left + 1], image[top + 1, left + 2]
    g, h, i = image[top + 2, left], image[top + 2, left + 1], image[top + 2, left + 2]
    for k in range(len(out)):
        upper = a * weight[0, k] + b * weight[1, k] + c * weight[2, k]
        middle = d * weight[3, k] + e * weight[4, k] + f * weight[5, k]
        lower = g * weight[6, k] + h * weight[7, k] + i * weight[8, k]
        total = upper + middle + lower
        out[k] = total if first else max(out[k], total)


@compiled()
def see_ink(image: Array, weight: Array, bias: Array, features: Array) -> None:
    """First layer: (H, W) -> (R * S, C), convolved, pooled, ReLU, less what blank paper gives.

    Most of a canvas is blank, and all blank paper gives relu(bias). With that taken off, its features are zero
    and cost nothing in the second layer, whose bias has taken it on.
    """
    rows, columns = (image.shape[0] - 2) // 2, (image.shape[1] - 2) // 2
    for y in range(rows):
        for x in range(columns):
            out = features[y * columns + x]
            if not has_ink(image, 2 * y, 2 * x):
                out[:] = 0
                continue
            for corner in range(4):
                convolve_corner(image, 2 * y + corner // 2, 2 * x + corner % 2, weight, out, corner == 0)
            for c in range(len(out)):
                blank = max(bias[c], np.float32(0))
                out[c] = max(out[c] + bias[c], np.float32(0)) - blank


@compiled()
def convolve_listed(places: Array, values: Array, counts: Array, width: int, weight: Array, sums: Array) -> None:
    """Second layer, without bias, from the features listed for each pixel: weight (9 * C, O) -> (2R * 2S, O)."""
    channels = len(weight) // 9
    columns = (width - 2) // 2 * 2  # one that the pooling would leave out is not computed
    sums[:] = 0
    for place in range(len(sums)):
        out = sums[place]
        for tap in range(9):
            pixel = (place // columns + tap // 3) * width + place % columns + tap % 3
            if counts[pixel]:
                kernel = weight[tap * channels : (tap + 1) * channels]
                add_rows(out, kernel, places[pixel], values[pixel], counts[pixel])


@compiled()
def pool_sums(sums: Array, columns: int, bias: Array, hidden: Array) -> None:
    """(2R * 2S, O) -> (R * S * O,): largest of 2 x 2, bias, ReLU."""
    outputs = len(bias)
    for place in range(len(sums) // 4):
        corner = place // columns * 4 * columns + place % columns * 2
        a, b = sums[corner], sums[corner + 1]
        c, d = sums[corner + 2 * columns], sums[corner + 2 * columns + 1]
        for o in range(outputs):
            largest = max(max(a[o], b[o]), max(c[o], d[o]))
            hidden[place * outputs + o] = max(largest + bias[o], np.float32(0))


def classify_convolved(
    images: Array,
    first: Array,
    first_bias: Array,
    second: Array,
    second_bias: Array,
    head: Array,
    head_bias: Array,
    logits: Array,
) -> None:
    """A CNN of two 3x3 convolutions, each with ReLU and 2 x 2 pooling, and a dense layer.

    Args:
        images: (N, H, W)
        first:  (9, C), with first_bias (C,)
        second: (9 * C, O), with second_bias (O,) for features that are 0 where paper is blank, see `see_ink`
        head:   (R * S * O, 10), with head_bias (10,)
        logits: (N, 10), is written
    """
    channels, outputs = first.shape[1], second.shape[1]
    height, width = (images.shape[1] - 2) // 2, (images.shape[2] - 2) // 2
    rows, columns = (height - 2) // 2, (width - 2) // 2
    features = np.empty((height * width, channels), np.float32)
    places = np.empty((height * width, channels + 4), np.uint64)
    values = np.empty((height * width, channels + 4), np.float32)
    counts = np.empty(height * width, np.int64)
    sums = np.empty((4 * rows * columns, outputs), np.float32)
    hidden = np.empty(rows * columns * outputs, np.float32)
    hidden_places = np.empty(len(hidden) + 4, np.uint64)
    hidden_values = np.empty(len(hidden) + 4, np.float32)
    for n in range(len(images)):
        see_ink(images[n], first, first_bias, features)
        for pixel in range(len(features)):
            counts[pixel] = list_nonzero(features[pixel], places[pixel], values[pixel])
        convolve_listed(places, values, counts, width, second, sums)
        pool_sums(sums, columns, second_bias, hidden)
        count = list_nonzero(hidden, hidden_places, hidden_values)
        logits[n] = head_bias
        add_rows(logits[n], head, hidden_places, hidden_values, count)


@cache
def compile_cnn() -> Callable[..., None]:
    """`classify_convolved` as machine code."""
    vector, matrix = contiguous(numba.float32, 1), contiguous(numba.float32, 2)
    layers = (matrix, vector) * 3
    return compiled(contiguous(numba.float32, 3), *layers, LOGITS)(classify_convolved)
