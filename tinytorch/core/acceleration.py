"""Acceleration (Module 16): the same network by other kernels, faster and lighter, with the same answers.

`add_custom_kernels` makes an engine from a network's weights and sets it on a copy. An engine is a plain object
with plain arrays: it may be copied, keeps nothing of the network, and is built again when the weights change.
Does not: change weights (Modules 17, 18), or hold the kernels (kernels.py, kernels_numba.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TypeVar

import numpy as np

from tinytorch.core import kernels
from tinytorch.core.conv import Conv2d, MaxPool2d
from tinytorch.core.layers import Dropout, Linear, Module
from tinytorch.core.models import CNN, MLP, CharTransformer, Engine, Network
from tinytorch.core.tensor import Array, ShapeError
from tinytorch.core.transformer_engine import build_transformer_engine

AnyNetwork = TypeVar("AnyNetwork", bound=Network)
VERSIONS = range(5)
CNN_LAYERS = ["Conv2d 3", "ReLU", "MaxPool2d 2"] * 2 + ["Flatten", "Linear"]  # with their sizes

# Images that the MLP takes at once: with more, the product gets no faster and the buffers only larger.
ROWS = 256
# Up to so many images the compiled MLP, which does them one by one, is ahead of BLAS; it is 3 to 16 images,
# depending on the vector instructions that BLAS finds.
FEW = 8
# Images that the CNN takes at once. Eight are 5 % faster than two, but hold 2.4 times the memory, and the Marathon
# counts both alike; one holds a quarter less and is 6 to 13 % slower.
BLOCK = 2
# Images that the compiled CNN is given at once, as floats.
CALL = 16


class AccelerationError(ValueError):
    """There are no such kernels: not for this model, or not on this installation."""


def add_custom_kernels(model: AnyNetwork, version: int | None = None, compiled: bool | None = None) -> AnyNetwork:
    """Compute a network by the kernels of Module 16 instead of its Tensor layers.

    Args:
        model:    an MLP, CNN or CharTransformer of any size; compact weights become floats once, here.
        version:  0 loops, 1 fewer loops, 2 matrix products, 3 layout, fusion and buffers, 4 compiled by numba
                  where that pays; by default 4 if numba is installed, else 3.
        compiled: without a version: True asks for numba, False keeps to numpy.

    Returns:
        A new model with the same answers, but for rounding; `model` is as it was. Its `engine.name` says what
        was chosen. Kernels that it had before are replaced.

    Raises:
        AccelerationError: no network of the library, layers that the kernels do not know, no such version, or
            numba is asked for and missing.
    """
    if not isinstance(model, (MLP, CNN, CharTransformer)):
        raise AccelerationError(
            f"add_custom_kernels takes an MLP, CNN or CharTransformer, got {type(model).__name__}; "
            f"for another model call the functions of tinytorch.core.kernels in its predict()"
        )
    result = model.copy()
    result.engine = build_engine(result, _choose(version, compiled))
    return result


def _choose(version: int | None, compiled: bool | None) -> int:
    installed = find_spec("numba") is not None
    if version is None:
        version = 4 if (installed if compiled is None else compiled) else 3
    elif version not in VERSIONS:
        raise AccelerationError(f"kernels have versions 0 to 4 (None: the best), got version={version!r}")
    elif compiled is not None and compiled != (version == 4):
        raise AccelerationError(
            f"version={version} and compiled={compiled} contradict each other: version 4 is the compiled one, "
            f"0 to 3 are numpy; leave one of them out"
        )
    if version == 4 and not installed:
        raise AccelerationError(
            "compiled kernels need numba, which is not installed: pip install 'tinytorch[fast]', "
            "or take version=3 (numpy)"
        )
    return version


def build_engine(network: Network, version: int) -> Engine:
    """The engine of one version from the weights that `network` has now."""
    _check_methods(network)
    if isinstance(network, CharTransformer):
        return build_transformer_engine(network, version)
    assert isinstance(network, (MLP, CNN))
    _check_layers(network)
    if isinstance(network, MLP):
        return PlainMLP(network, version) if version < 3 else (FusedMLP, CompiledMLP)[version - 3](network)
    return PlainCNN(network, version) if version < 3 else (FusedCNN, CompiledCNN)[version - 3](network)


def _check_methods(network: Network) -> None:
    kind = next(kind for kind in (MLP, CNN, CharTransformer) if isinstance(network, kind))
    for method in ("forward", "predict"):
        if getattr(type(network), method) is not getattr(kind, method):
            raise AccelerationError(
                f"{type(network).__name__} has its own {method}(), but kernels compute that of {kind.__name__}; "
                f"call the functions of tinytorch.core.kernels in yours"
            )


def _check_layers(network: MLP | CNN) -> None:
    """Kernels have their layers built in: refuse a network that was given others."""
    found = [_describe(layer) for layer in network.network.layers if not isinstance(layer, Dropout)]
    dense = ["Linear", "ReLU"] * (len(found) // 2) + ["Linear"]
    known = CNN_LAYERS if isinstance(network, CNN) else dense
    if found != known:
        raise AccelerationError(
            f"kernels of {type(network).__name__} know the layers {', '.join(known)}; "
            f"this model has {', '.join(found)}"
        )


def _describe(layer: Module) -> str:
    if isinstance(layer, Conv2d):
        return f"Conv2d {layer.weight.shape[2]}"
    return f"MaxPool2d {layer.size}" if isinstance(layer, MaxPool2d) else type(layer).__name__


@cache
def _compiled_mlp() -> Callable[..., None]:
    from tinytorch.core.kernels_numba import compile_mlp  # here: numba takes a second and 130 MB

    return compile_mlp()


@cache
def _compiled_cnn() -> Callable[..., None]:
    from tinytorch.core.kernels_numba import compile_cnn

    return compile_cnn()


def _check_images(images: Array, network: str, shape: tuple[int, ...]) -> None:
    if images.shape[1:] != shape:
        raise ShapeError(f"{network} takes images (N, {', '.join(map(str, shape))}), got {images.shape}")


def _gather(network: MLP | CNN) -> tuple[list[Array], list[Array]]:
    """Copies of all weights and biases as float32: compact ones are dequantized here, and only here."""
    layers = [layer for layer in network.network.layers if isinstance(layer, (Conv2d, Linear))]
    weights = [np.array(layer.weight.data, np.float32) for layer in layers]
    return weights, [np.array(layer.bias.data, np.float32) for layer in layers]


class _Engine:
    """What engines have in common: a version, the name that results show, and being built again."""

    version: int
    name: str

    def rebuild(self, network: Network) -> Engine:
        """An engine of the same version for the weights that `network` has now."""
        return build_engine(network, self.version)


# -- MLP -----------------------------------------------------------------------------------------------


def _thin(images: Array, stride: int) -> Array:
    """Every `stride`-th row and column of (N, 784) pixels -> (N, inputs)."""
    if stride == 1:
        return images
    return images.reshape(-1, 28, 28)[:, ::stride, ::stride].reshape(len(images), -1)


class PlainMLP(_Engine):
    """Kernels v0 to v2: numpy without Tensor, one function call a layer."""

    NAMES = ("loops", "one input at a time", "matrix products")

    def __init__(self, network: MLP, version: int) -> None:
        self.version, self.name = version, f"v{version} numpy: {self.NAMES[version]}"
        self.weights, self.biases = _gather(network)
        self.stride = network.stride

    def __call__(self, images: Array) -> Array:
        _check_images(images, "MLP", (784,))
        dense = (kernels.dense_v0, kernels.dense_v1, kernels.dense_v2)[self.version]
        x = _thin(images, self.stride).astype(np.float32) / 255
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(dense(x, weight, bias), 0)
        return dense(x, self.weights[-1], self.biases[-1])


class FusedMLP(_Engine):
    """Kernel v3: pixels scaled by the first weights, biases carried to the end, every result in its buffer."""

    version, name = 3, "v3 numpy: scale and biases folded, buffers"

    def __init__(self, network: MLP) -> None:
        weights, biases = _gather(network)
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
        x, *hidden = [buffer[: len(images)] for buffer in self.buffers]
        x[...] = _thin(images, self.stride)
        for weight, least, out in zip(self.weights, self.least, hidden, strict=False):
            x = kernels.dense_v3(x, weight, least, out)
        x.dot(self.weights[-1], logits)
        logits += self.bias


class CompiledMLP(FusedMLP):
    """Kernel v4 for a few images, which skips blank pixels and calls between layers; v3 for more."""

    version, name = 4, f"v4 numba: compiled up to {FEW} images, v3 beyond"

    def __init__(self, network: MLP) -> None:
        super().__init__(network)
        weights, biases = _gather(network)
        weights[0] /= 255
        layers = zip(weights, biases, strict=True)
        self.packed = np.concatenate([array.ravel() for layer in layers for array in layer])
        self.widths = np.array([*map(len, weights), len(self.bias)], np.int64)
        _compiled_mlp()  # now, not in the first call

    def __call__(self, images: Array) -> Array:
        if len(images) > FEW or images.dtype != np.uint8 or not images.flags.c_contiguous:
            return super().__call__(images)
        _check_images(images, "MLP", (784,))
        logits = np.empty((len(images), len(self.bias)), np.float32)
        _compiled_mlp()(images, self.packed, self.widths, self.stride, logits)
        return logits


# -- CNN -----------------------------------------------------------------------------------------------


def _matrices(weights: list[Array]) -> list[Array]:
    """The same for pictures with the channels last, the first for bytes: (9, C), (9 * C, O), (25 * O, 10)."""
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
        self.weights, self.biases = _gather(network)

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
        weights, biases = _gather(network)
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
    """Kernel v4: one image at a time, blank paper skipped; on paper full of ink it is slower than v3."""

    version, name = 4, "v4 numba: compiled, blank paper skipped"

    def __init__(self, network: CNN) -> None:
        weights, (self.first_bias, second, self.head_bias) = _gather(network)
        self.first, self.second, self.head = _matrices(weights)
        blank = np.maximum(self.first_bias, 0)  # what see_ink takes off its features
        self.second_bias = second + np.tile(blank, 9) @ self.second
        _compiled_cnn()  # now, not in the first call

    def __call__(self, images: Array) -> Array:
        _check_images(images, "CNN", (28, 28, 1))
        logits = np.empty((len(images), len(self.head_bias)), np.float32)
        for start in range(0, len(images), CALL):
            pixels = np.ascontiguousarray(images[start : start + CALL, ..., 0], np.float32)
            self._classify(pixels, logits[start : start + CALL])
        return logits

    def _classify(self, pixels: Array, logits: Array) -> None:
        first, second = (self.first, self.first_bias), (self.second, self.second_bias)
        _compiled_cnn()(pixels, *first, *second, self.head, self.head_bias, logits)
