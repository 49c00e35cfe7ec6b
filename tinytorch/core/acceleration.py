"""Acceleration (Module 16): the same network by other kernels, faster and lighter, with the same answers.

`add_custom_kernels` makes an engine from a network's weights and sets it on a copy. An engine is a plain object
with plain arrays: it may be copied, keeps nothing of the network, and is built again when the weights change.
Does not: change weights (Modules 17, 18), or hold the kernels (kernels.py, kernels_numba.py).
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from tinytorch.core import kernels
from tinytorch.core.conv import Conv2d
from tinytorch.core.layers import Linear
from tinytorch.core.models import CNN, MLP, CharTransformer, Engine, Network
from tinytorch.core.tensor import Array, ShapeError

AnyNetwork = TypeVar("AnyNetwork", bound=Network)
VERSIONS = range(5)

# Images that the MLP takes at once: with more, the product gets no faster and the buffers only larger.
ROWS = 256
# Up to so many images the compiled MLP, which does them one by one, is ahead of BLAS.
FEW = 16
# Images that the CNN takes at once. With eight it is 10 % faster than with two, but holds four times the
# memory, and the Marathon counts both alike; with one it holds half of it and is 10 to 20 % slower.
BLOCK = 2
# Images that the compiled CNN is given at once, as floats.
CALL = 16


class AccelerationError(ValueError):
    """There are no such kernels: not for this model, or not on this installation."""


def add_custom_kernels(model: AnyNetwork, version: int | None = None, compiled: bool | None = None) -> AnyNetwork:
    """Compute a network by the kernels of Module 16 instead of its Tensor layers.

    Args:
        model:    an MLP, CNN or CharTransformer of any size; compact weights become floats once, here.
        version:  0 loops, 1 fewer loops, 2 matrix products, 3 layout, fusion and buffers, 4 compiled by numba;
                  by default the best for this model on this installation.
        compiled: True asks for numba, False keeps to numpy. By default numba is used where it is installed and
                  pays: it makes small calls fast, but itself needs 100 MB, which the Marathon counts.

    Returns:
        A new model with the same answers, but for rounding; `model` is as it was. Its `engine.name` says what
        was chosen. Kernels that it had before are replaced.

    Raises:
        AccelerationError: no network of the library, no such version, or numba is asked for and missing.
    """
    if not isinstance(model, (MLP, CNN, CharTransformer)):
        raise AccelerationError(
            f"add_custom_kernels takes an MLP, CNN or CharTransformer, got {type(model).__name__}; "
            f"derive your class from one of them, or call the functions of tinytorch.core.kernels in its predict()"
        )
    result = model.copy()
    result.engine = build_engine(result, version, compiled)
    return result


def build_engine(network: Network, version: int | None, compiled: bool | None) -> Engine:
    """The engine that `add_custom_kernels` sets, from the weights that `network` has now."""
    _check_wishes(version, compiled)
    if isinstance(network, CharTransformer):
        from tinytorch.core.transformer_engine import build_transformer_engine

        return build_transformer_engine(network, version, compiled)
    if isinstance(network, MLP):
        fast = compiled if compiled is not None else find_spec("numba") is not None
        version = (4 if fast else 3) if version is None else version
        return PlainMLP(network, version) if version < 3 else (FusedMLP, CompiledMLP)[version - 3](network)
    assert isinstance(network, CNN)
    version = (4 if compiled else 3) if version is None else version
    return PlainCNN(network, version) if version < 3 else (FusedCNN, CompiledCNN)[version - 3](network)


def _check_wishes(version: int | None, compiled: bool | None) -> None:
    if version is not None and version not in VERSIONS:
        raise AccelerationError(f"kernels have versions 0 to 4 (None: the best), got version={version!r}")
    if version is not None and compiled is not None and compiled != (version == 4):
        raise AccelerationError(
            f"version={version} and compiled={compiled} contradict each other: version 4 is the compiled one, "
            f"0 to 3 are numpy; leave one of them out"
        )
    if (compiled or version == 4) and find_spec("numba") is None:
        raise AccelerationError(
            "compiled kernels need numba, which is not installed: pip install 'tinytorch[fast]', "
            "or take version=3 (numpy)"
        )


@cache
def _numba() -> ModuleType:
    """The compiled kernels; imported at the first build of an engine that needs them."""
    from tinytorch.core import kernels_numba

    return kernels_numba


def _check_images(images: Array, network: str, shape: tuple[int, ...]) -> None:
    if images.shape[1:] != shape:
        raise ShapeError(f"{network} takes images (N, {', '.join(map(str, shape))}), got {images.shape}")


class _Engine:
    """What engines have in common: a version, the name that results show, and being built again."""

    version: int
    name: str

    def rebuild(self, network: Network) -> Engine:
        """An engine of the same version for the weights that `network` has now."""
        return build_engine(network, self.version, None)


# -- MLP -----------------------------------------------------------------------------------------------


def _dense_weights(network: Network) -> tuple[list[Array], list[Array]]:
    """Weights (inputs, outputs) and biases (outputs,) of the dense layers; the first takes bytes.

    Dividing 109,386 weights once is cheaper than dividing 784 pixels of every image.
    """
    layers = [layer for _, layer in network.modules() if isinstance(layer, Linear)]
    weights = [np.array(layer.weight.data) for layer in layers]
    return weights, [np.array(layer.bias.data) for layer in layers]


class PlainMLP(_Engine):
    """Kernels v0 to v2: numpy without Tensor, one function call a layer."""

    NAMES = ("loops", "one input at a time", "matrix products")

    def __init__(self, network: MLP, version: int) -> None:
        self.version, self.name = version, f"v{version} numpy: {self.NAMES[version]}"
        self.weights, self.biases = _dense_weights(network)
        self.stride = network.stride

    def __call__(self, images: Array) -> Array:
        _check_images(images, "MLP", (784,))
        dense = (kernels.dense_v0, kernels.dense_v1, kernels.dense_v2)[self.version]
        thinned = images.reshape(-1, 28, 28)[:, :: self.stride, :: self.stride]
        x = thinned.reshape(len(images), -1).astype(np.float32) / 255
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(dense(x, weight, bias), 0)
        return dense(x, self.weights[-1], self.biases[-1])


class FusedMLP(_Engine):
    """Kernel v3: pixels scaled by the first weights, biases carried to the end, every result in its buffer."""

    version, name = 3, "v3 numpy: scale and biases folded, buffers"

    def __init__(self, network: MLP) -> None:
        weights, biases = _dense_weights(network)
        weights[0] /= 255
        *totals, self.bias = kernels.carry_biases(weights, biases)
        self.weights, self.least = weights, [-total for total in totals]
        self.stride = network.stride
        self.buffers: list[Array] = []
        self._reserve(1)

    def _reserve(self, rows: int) -> None:
        """Make room for the pixels and each hidden layer of `rows` images."""
        self.buffers = [np.empty((rows, len(weight)), np.float32) for weight in self.weights]

    def __call__(self, images: Array) -> Array:
        _check_images(images, "MLP", (784,))
        logits = np.empty((len(images), len(self.bias)), np.float32)
        if len(self.buffers[0]) < min(len(images), ROWS):
            self._reserve(min(len(images), ROWS))
        for start in range(0, len(images), ROWS):
            self._classify(images[start : start + ROWS], logits[start : start + ROWS])
        return logits

    def _classify(self, images: Array, logits: Array) -> None:
        x = self._pixels(images)
        for weight, least, buffer in zip(self.weights, self.least, self.buffers[1:], strict=False):
            x = kernels.dense_v3(x, weight, least, buffer[: len(images)])
        x.dot(self.weights[-1], logits)
        logits += self.bias

    def _pixels(self, images: Array) -> Array:
        """(N, 784) numbers -> (N, inputs) floats, unscaled."""
        x = self.buffers[0][: len(images)]
        if self.stride == 1:
            x[...] = images
        else:
            side = len(range(0, 28, self.stride))
            pictures = images.reshape(-1, 28, 28)
            x.reshape(-1, side, side)[...] = pictures[:, :: self.stride, :: self.stride]
        return x


class CompiledMLP(FusedMLP):
    """Kernel v4 for a few images, which skips blank pixels and calls between layers; v3 for more."""

    version, name = 4, f"v4 numba: compiled up to {FEW} images, v3 beyond"

    def __init__(self, network: MLP) -> None:
        super().__init__(network)
        weights, biases = _dense_weights(network)
        weights[0] /= 255
        layers = zip(weights, biases, strict=True)
        self.packed = np.concatenate([array.ravel() for layer in layers for array in layer])
        self.widths = np.array([*map(len, weights), len(self.bias)], np.int64)
        _numba()

    def __call__(self, images: Array) -> Array:
        if len(images) > FEW or images.dtype != np.uint8 or not images.flags.c_contiguous:
            return super().__call__(images)
        _check_images(images, "MLP", (784,))
        logits = np.empty((len(images), len(self.bias)), np.float32)
        _numba().classify_dense(images, self.packed, self.widths, self.stride, logits)
        return logits


# -- CNN -----------------------------------------------------------------------------------------------


def _cnn_weights(network: CNN) -> tuple[list[Array], list[Array]]:
    """Two kernel banks (O, C, 3, 3) and the head (O * 25, 10), and their biases."""
    layers = [layer for _, layer in network.modules() if isinstance(layer, (Conv2d, Linear))]
    return [np.array(layer.weight.data) for layer in layers], [np.array(layer.bias.data) for layer in layers]


def _matrices(weights: list[Array]) -> list[Array]:
    """The same as matrices for pictures with the channels last, the first for bytes: (9, C), (9 C, O), (25 O, 10)."""
    *banks, head = weights
    places = len(head) // len(banks[-1])  # 25, of which each channel has one after the other
    flat = head.reshape(-1, places, head.shape[1]).transpose(1, 0, 2).reshape(head.shape)
    first, *others = map(kernels.channels_last, banks)
    return [first / np.float32(255), *others, np.ascontiguousarray(flat)]


class PlainCNN(_Engine):
    """Kernels v0 to v2: numpy without Tensor, channels first, one function call a layer."""

    NAMES = ("seven loops", "one kernel position at a time", "im2col and matrix products")

    def __init__(self, network: CNN, version: int) -> None:
        self.version, self.name = version, f"v{version} numpy: {self.NAMES[version]}"
        self.weights, self.biases = _cnn_weights(network)

    def __call__(self, images: Array) -> Array:
        _check_images(images, "CNN", (28, 28, 1))
        convolve = (kernels.convolve_v0, kernels.convolve_v1, kernels.convolve_v2)[self.version]
        pool = kernels.max_pool_v2 if self.version == 2 else kernels.max_pool_v1
        x = (images.astype(np.float32) / 255).transpose(0, 3, 1, 2)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = pool(np.maximum(convolve(x, weight, bias), 0))
        return kernels.dense_v2(x.reshape(len(x), -1), self.weights[-1], self.biases[-1])


class FusedCNN(_Engine):
    """Kernel v3: channels last, pooled before bias and ReLU, a few images at a time in two buffers."""

    version, name = 3, f"v3 numpy: NHWC, fused, blocks of {BLOCK}"

    def __init__(self, network: CNN) -> None:
        weights, biases = _cnn_weights(network)
        self.first, self.second, self.head = _matrices(weights)
        first, second, self.bias = kernels.carry_biases([self.first, self.second, self.head], biases)
        self.first_least, self.second_least = np.tile(-first, 13), np.tile(-second, 5)  # for a row of the picture
        self.columns = np.empty(BLOCK * 4 * max(13 * 13 * 9, 5 * 5 * len(self.second)), np.float32)
        self.products = np.empty(BLOCK * 4 * max(13 * 13 * len(first), 5 * 5 * len(second)), np.float32)

    def __call__(self, images: Array) -> Array:
        _check_images(images, "CNN", (28, 28, 1))
        logits = np.empty((len(images), len(self.bias)), np.float32)
        for start in range(0, len(images), BLOCK):
            self._classify(images[start : start + BLOCK], logits[start : start + BLOCK])
        logits += self.bias
        return logits

    def _classify(self, images: Array, logits: Array) -> None:
        layer, buffers = kernels.convolve_pool_v3, (self.columns, self.products)
        x = layer(images, self.first, self.first_least, *buffers)  # (n, 13, 13, C)
        x = layer(x, self.second, self.second_least, *buffers)  # (n, 5, 5, O)
        x.reshape(len(images), -1).dot(self.head, logits)


class CompiledCNN(_Engine):
    """Kernel v4: one image at a time, blank paper skipped."""

    version, name = 4, "v4 numba: compiled, blank paper skipped"

    def __init__(self, network: CNN) -> None:
        weights, (self.first_bias, second, self.head_bias) = _cnn_weights(network)
        self.first, self.second, self.head = _matrices(weights)
        blank = np.maximum(self.first_bias, 0)  # what see_ink takes off its features
        self.second_bias = second + np.tile(blank, 9) @ self.second
        _numba()

    def __call__(self, images: Array) -> Array:
        _check_images(images, "CNN", (28, 28, 1))
        logits = np.empty((len(images), len(self.head_bias)), np.float32)
        for start in range(0, len(images), CALL):
            pixels = images[start : start + CALL, ..., 0].astype(np.float32)
            self._classify(pixels, logits[start : start + CALL])
        return logits

    def _classify(self, pixels: Array, logits: Array) -> None:
        first, second = (self.first, self.first_bias), (self.second, self.second_bias)
        _numba().classify_convolved(pixels, *first, *second, self.head, self.head_bias, logits)
