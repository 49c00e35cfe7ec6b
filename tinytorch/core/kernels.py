"""The numbered kernels of Module 16: two computations, each written again and again, each time faster.

* v0  loops, as the formula is written; for the museum: half a second an image
* v1  one loop is left, over kernel positions (or inputs); numpy does the others
* v2  no loop: the windows become the rows of a matrix (im2col), and BLAS multiplies
* v3  the same product with the channels last, pooling and ReLU fused to it, in buffers that stay in the cache
* v4  compiled: kernels_numba.py

Every kernel gives what the one before gives, but for rounding; tests/core/test_acceleration.py holds them to it.
Shapes: N batch, C channels in, O channels out, H x W picture, K x K kernel, R x S the picture that comes out.
Does not: know networks (acceleration.py) or gradients (conv.py).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinytorch.core.tensor import Array

# -- y = x W + b ---------------------------------------------------------------------------------------


def dense_v0(x: Array, weight: Array, bias: Array) -> Array:
    """(N, K), (K, M), (M,) -> (N, M), number by number."""
    out = np.empty((len(x), len(bias)), np.float32)
    for n in range(len(x)):
        for m in range(len(bias)):
            total = bias[m]
            for k in range(len(weight)):
                total += x[n, k] * weight[k, m]
            out[n, m] = total
    return out


def dense_v1(x: Array, weight: Array, bias: Array) -> Array:
    """(N, K), (K, M), (M,) -> (N, M), one input for all images and outputs at a time."""
    out = np.tile(bias, (len(x), 1))
    for k in range(len(weight)):
        out += x[:, k, None] * weight[k]
    return out


def dense_v2(x: Array, weight: Array, bias: Array) -> Array:
    """(N, K), (K, M), (M,) -> (N, M) by one matrix product."""
    return x @ weight + bias


def dense_v3(x: Array, weight: Array, least: Array, out: Array) -> Array:
    """max(x W, least) into `out`: product, bias and ReLU in two passes and without new memory.

    relu(z + b) is max(z, -b) + b. With `least` = -b the maximum is all that is left to do here; the b that is
    added afterwards goes through the next layer's weights into its bias, once, see `carry_biases`.

    Args:
        x:      (N, K), contiguous
        weight: (K, M)
        least:  (M,)
        out:    (N, M), contiguous
    """
    x.dot(weight, out)  # the method, not np.matmul: half the overhead of a call
    # An array of least values, not the number 0: numpy's maximum has vector instructions only for two arrays.
    np.maximum(out, least, out=out)
    return out


def carry_biases(weights: list[Array], biases: list[Array]) -> list[Array]:
    """The biases of layers of which each leaves its own out of its result: (outputs,) each.

    Args:
        weights: (rows, outputs) of each layer; rows repeat the outputs of the layer before as often as they
                 stand under its kernel (once in a dense layer, 9 times in a 3x3 convolution).
        biases:  (outputs,) of each layer.
    """
    totals = [biases[0].astype(np.float64)]
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        repeats = len(weight) // len(totals[-1])
        totals.append(bias + np.tile(totals[-1], repeats) @ weight)
    return [total.astype(np.float32) for total in totals]


# -- convolution, channels first -----------------------------------------------------------------------


def convolve_v0(images: Array, weight: Array, bias: Array) -> Array:
    """(N, C, H, W), (O, C, K, K), (O,) -> (N, O, H-K+1, W-K+1) by seven loops."""
    (count, channels, height, width), (outputs, _, size, _) = images.shape, weight.shape
    out = np.empty((count, outputs, height - size + 1, width - size + 1), np.float32)
    for n in range(count):
        for o in range(outputs):
            for y in range(height - size + 1):
                for x in range(width - size + 1):
                    total = bias[o]
                    for c in range(channels):
                        for i in range(size):
                            for j in range(size):
                                total += weight[o, c, i, j] * images[n, c, y + i, x + j]
                    out[n, o, y, x] = total
    return out


def convolve_v1(images: Array, weight: Array, bias: Array) -> Array:
    """As v0, one kernel position for all images, channels and pixels at a time."""
    size = weight.shape[2]
    rows, columns = images.shape[2] - size + 1, images.shape[3] - size + 1
    out = np.zeros((len(images), len(weight), rows, columns), np.float32)
    for i in range(size):
        for j in range(size):
            seen = images[:, :, i : i + rows, j : j + columns]  # (N, C, R, S)
            out += np.einsum("ncyx,oc->noyx", seen, weight[:, :, i, j])
    return out + bias[:, None, None]


def convolve_v2(images: Array, weight: Array, bias: Array) -> Array:
    """As v1, by one matrix product: a row for each window, a column for each output channel."""
    outputs, _, size, _ = weight.shape
    windows = sliding_window_view(images, (size, size), axis=(2, 3))  # (N, C, R, S, K, K)
    count, _, rows, columns = windows.shape[:4]
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(count * rows * columns, -1)  # (N*R*S, C*K*K)
    out = patches @ weight.reshape(outputs, -1).T + bias
    return out.reshape(count, rows, columns, outputs).transpose(0, 3, 1, 2)


def max_pool_v1(images: Array) -> Array:
    """Largest of each 2 x 2 window: (N, C, H, W) -> (N, C, H // 2, W // 2); an odd last row is left out."""
    count, channels, rows, columns = *images.shape[:2], images.shape[2] // 2, images.shape[3] // 2
    kept = images[:, :, : 2 * rows, : 2 * columns]
    return kept.reshape(count, channels, rows, 2, columns, 2).max(axis=(3, 5))


def max_pool_v2(images: Array) -> Array:
    """As v1: maxima of whole pictures, where v1 reduces many times two numbers."""
    rows, columns = images.shape[2] // 2, images.shape[3] // 2
    corners = [images[:, :, i : 2 * rows : 2, j : 2 * columns : 2] for i in (0, 1) for j in (0, 1)]
    return np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))


# -- convolution, channels last ------------------------------------------------------------------------


def channels_last(weight: Array) -> Array:
    """Kernels (O, C, K, K) as the matrix (K*K*C, O) that the v3 kernels multiply with."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(-1, len(weight))


def convolve_v3(images: Array, weight: Array, bias: Array, size: int = 3) -> Array:
    """As v2 with the channels last: (N, H, W, C), (K*K*C, O), (O,) -> (N, R, S, O).

    A row of the kernel then sees K*C numbers side by side in memory: im2col copies runs of 96 floats in the
    Marathon's second layer, where v2 collects them in threes; and nothing has to be transposed back.
    """
    count, height, width, channels = images.shape
    rows, columns = height - size + 1, width - size + 1
    images = np.ascontiguousarray(images)
    n, y, x, c = _strides(images)
    runs = np.ndarray((count, rows, columns, size, size * channels), images.dtype, images, 0, (n, y, x, y, c))
    return (runs.reshape(-1, len(weight)) @ weight + bias).reshape(count, rows, columns, -1)


def convolve_pool_v3(
    images: Array, weight: Array, least: Array, columns: Array, products: Array, size: int = 3
) -> Array:
    """max(convolve, least), pooled 2 x 2: one matrix product and three maxima, all in the buffers given.

    The rows of the product are sorted by their place in the pooling window, so that pooling is the maximum of
    four contiguous blocks; pooling first leaves a quarter for the maximum with `least` (see `dense_v3`); rows
    and columns that the pooling would leave out are never computed.

    Args:
        images:   (N, H, W, C) of any number type; may lie in `products`, which is written after it is read.
        weight:   (K*K*C, O)
        least:    (S * O,): minus the biases, repeated for a row of the result.
        columns:  (at least 4*N*R*S*K*K*C,) float32, scratch.
        products: (at least 4*N*R*S*O,) float32, scratch; its beginning holds the result.

    Returns:
        (N, R, S, O) with R = (H - K + 1) // 2, S = (W - K + 1) // 2, in the memory of `products`.
    """
    windows = _pooling_windows(images, size)  # (2, 2, N, R, S, K, K*C)
    count, rows, places = windows.shape[2:5]
    inputs, outputs = weight.shape
    patches = columns[: windows.size]
    patches.reshape(windows.shape)[...] = windows
    corners = products[: windows.size // inputs * outputs]
    patches.reshape(-1, inputs).dot(weight, corners.reshape(-1, outputs))
    pairs = corners.reshape(2, -1)
    np.maximum(pairs[0], pairs[1], out=pairs[0])  # upper and lower
    corners = pairs[0].reshape(2, -1)
    np.maximum(corners[0], corners[1], out=corners[0])  # left and right
    pooled = corners[0].reshape(count * rows, -1)
    np.maximum(pooled, least, out=pooled)
    return pooled.reshape(count, rows, places, outputs)


def _pooling_windows(images: Array, size: int) -> Array:
    """What the kernel sees at each corner (a, b) of each pooling window: a view (2, 2, N, R, S, K, K*C)."""
    count, height, width, channels = images.shape
    rows, columns = (height - size + 1) // 2, (width - size + 1) // 2
    shape = (2, 2, count, rows, columns, size, size * channels)
    images = np.ascontiguousarray(images)
    n, y, x, c = _strides(images)
    # The constructor makes a view in 0.4 microseconds, as_strided in 2.3, and every block of images needs two.
    return np.ndarray(shape, images.dtype, images, 0, (y, x, n, 2 * y, 2 * x, y, c))


def _strides(images: Array) -> tuple[int, int, int, int]:
    """Bytes between images, rows, pixels and channels of a contiguous (N, H, W, C).

    Not `images.strides`: those of an axis of length 1 mean nothing, and are 0 where `[..., None]` made the axis.
    """
    _, height, width, channels = images.shape
    channel = images.itemsize
    pixel = channel * channels
    return pixel * width * height, pixel * width, pixel, channel
