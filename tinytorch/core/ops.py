"""Operations with a name of their own: activations, softmax, masking, looking up, joining.

Every function takes Tensors and gives a Tensor; where a formula is built from Tensor methods, its gradient
comes for free, and where that would be slow or unstable it is written out. Does not: own parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.core.tensor import Array, ShapeError, Tensor


def relu(x: Tensor) -> Tensor:
    """max(x, 0), elementwise."""
    data = np.maximum(x.data, 0)
    return Tensor.from_op(data, (x,), lambda g: (g * (data > 0),))


def gelu(x: Tensor) -> Tensor:
    """x * Phi(x) in the tanh approximation (Hendrycks and Gimpel 2016, section 2).

    The cube is written as two products: `x**3` goes through `np.power` and takes most of the time.
    """
    cube = x * x * x
    return x * ((x + cube * 0.044715) * float(np.sqrt(2 / np.pi))).tanh() * 0.5 + x * 0.5


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`; the largest is taken off first, so that nothing overflows."""
    shifted = np.exp(x.data - x.data.max(axis=axis, keepdims=True))
    data = shifted / shifted.sum(axis=axis, keepdims=True)
    return Tensor.from_op(data, (x,), lambda g: (data * (g - (g * data).sum(axis=axis, keepdims=True)),))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x)) without ever forming a probability of zero."""
    shifted = x.data - x.data.max(axis=axis, keepdims=True)
    data = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return Tensor.from_op(data, (x,), lambda g: (g - np.exp(data) * g.sum(axis=axis, keepdims=True),))


def masked_fill(x: Tensor, mask: Array, value: float) -> Tensor:
    """`x` with `value` where `mask` (broadcast to x's shape, boolean) is True."""
    try:
        blocked = np.broadcast_to(mask, x.shape)
    except ValueError as error:
        raise ShapeError(f"mask of shape {np.shape(mask)} does not broadcast to {x.shape}") from error
    data = np.where(blocked, np.asarray(value, x.data.dtype), x.data)
    return Tensor.from_op(data, (x,), lambda g: (np.where(blocked, np.zeros((), g.dtype), g),))


def concatenate(parts: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Join along an axis that exists."""
    try:
        data = np.concatenate([part.data for part in parts], axis=axis)
    except ValueError as error:
        shapes = ", ".join(str(part.shape) for part in parts)
        raise ShapeError(f"cannot join shapes {shapes} along axis {axis}") from error
    cuts = np.cumsum([part.shape[axis] for part in parts])[:-1]
    return Tensor.from_op(data, tuple(parts), lambda g: tuple(np.split(g, cuts, axis=axis)))


def take_rows(table: Tensor, indices: Array) -> Tensor:
    """Rows of `table` (V, D) at integer `indices` (...) -> (..., D): the embedding look-up.

    Raises:
        ShapeError: the indices are no integers, or one of them is not in [0, V).
    """
    if not np.issubdtype(indices.dtype, np.integer):
        raise ShapeError(f"indices must be integers, got {indices.dtype}")
    if indices.size and not (0 <= indices.min() and indices.max() < len(table)):
        reach = f"from {indices.min()} to {indices.max()}"
        raise ShapeError(f"indices {indices.shape} reach {reach}, the table is {table.shape}")

    def backward(g: Array) -> tuple[Array]:
        # A product with one-hot rows adds up repeated indices, and is far faster than np.add.at.
        one_hot = (np.arange(len(table.data))[:, None] == indices.ravel()).astype(g.dtype)
        return (one_hot @ g.reshape(-1, g.shape[-1]),)

    return Tensor.from_op(table.data[indices], (table,), backward)


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Normalise the last axis to mean 0 and variance 1, then scale and shift (Ba, Kiros and Hinton 2016).

    Shapes: x (..., D), scale and shift (D,).
    """
    if scale.shape != x.shape[-1:] or shift.shape != x.shape[-1:]:
        raise ShapeError(f"layer norm of {x.shape} with scale {scale.shape} and shift {shift.shape}")
    centred = x.data - x.data.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + epsilon)
    normal = centred / deviation

    def backward(g: Array) -> tuple[Array, Array, Array]:
        leading = tuple(range(g.ndim - 1))
        gn = g * scale.data
        gx = gn - gn.mean(axis=-1, keepdims=True) - normal * (gn * normal).mean(axis=-1, keepdims=True)
        return gx / deviation, (g * normal).sum(axis=leading), g.sum(axis=leading)

    return Tensor.from_op(normal * scale.data + shift.data, (x, scale, shift), backward)


def dropout(x: Tensor, rate: float, rng: np.random.Generator) -> Tensor:
    """Zero a share `rate` of the elements and scale up the rest: the mean stays (Srivastava et al. 2014)."""
    keep = (rng.random(x.shape, dtype=np.float32) >= rate).astype(x.data.dtype) / (1 - rate)
    return Tensor.from_op(x.data * keep, (x,), lambda g: (g * keep,))
