"""`Tensor`: a numpy array that remembers how it was computed, so that it can be differentiated.

Arithmetic, reductions and changes of shape are methods; everything with a name of its own (relu, softmax,
convolution ...) is a function in ops.py, conv.py or losses.py. Does not: hold parameters (layers.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, Union

import numpy as np

from tinytorch.core.autograd import is_recording, run_backward, unbroadcast

Array: TypeAlias = np.ndarray
BackwardFn: TypeAlias = Callable[[Array], Sequence[Array | None]]
TensorLike: TypeAlias = Union["Tensor", Array, float, int]
Axis: TypeAlias = int | tuple[int, ...] | None


class ShapeError(ValueError):
    """Two shapes do not go together; the message holds both."""


class Tensor:
    """An array with a gradient.

    Args:
        data: anything `np.asarray` takes; becomes float32, but a float64 array stays (to check gradients).
        requires_grad: whether `backward()` should leave a `grad` here.

    Attributes:
        data: (…) the numbers.
        grad: (…) same shape, or None before `backward()`.
    """

    # numpy would otherwise try `array + tensor` element by element.
    __array_priority__ = 100

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        array = np.asarray(data)
        exact = isinstance(data, np.ndarray | np.generic) and array.dtype == np.float64
        self.data: Array = array if exact else array.astype(np.float32, copy=False)
        self.requires_grad = requires_grad
        self.grad: Array | None = None
        self.parents: tuple[Tensor, ...] = ()
        self.backward_fn: BackwardFn | None = None

    @staticmethod
    def from_op(data: Array, parents: tuple[Tensor, ...], backward_fn: BackwardFn) -> Tensor:
        """The result of an operation: `backward_fn(grad)` gives one gradient (or None) for each parent."""
        result = Tensor(data)
        if is_recording() and any(parent.requires_grad for parent in parents):
            result.requires_grad = True
            result.parents, result.backward_fn = parents, backward_fn
        return result

    # -- looking ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    def item(self) -> float:
        """The one number of a tensor of one element."""
        return float(self.data.item())

    def numpy(self) -> Array:
        return self.data

    def detach(self) -> Tensor:
        """The same numbers without the history."""
        return Tensor(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"Tensor(shape={self.shape}, requires_grad={self.requires_grad}, data={self.data!r})"

    # -- going back ------------------------------------------------------------------------------------

    def backward(self, gradient: Array | None = None) -> None:
        """Fill `grad` of every leaf this tensor depends on.

        Args:
            gradient: (…) of this tensor's shape; may be left out for a single number.

        Raises:
            ShapeError: the tensor has more than one element and no gradient was given, or shapes differ.
            GradientError: it was not recorded, or a backward() has already used its graph.
        """
        if gradient is None:
            if self.size != 1:
                raise ShapeError(f"backward() of a tensor of shape {self.shape} needs a gradient of that shape")
            gradient = np.ones_like(self.data)
        if gradient.shape != self.shape:
            raise ShapeError(f"gradient has shape {gradient.shape}, the tensor {self.shape}")
        run_backward(self, gradient)

    def zero_grad(self) -> None:
        self.grad = None

    # -- arithmetic, with broadcasting -----------------------------------------------------------------

    def operand(self, value: TensorLike) -> Tensor:
        """`value` as a Tensor; a number takes our dtype, or one 0.5 would make all that follows float64."""
        if isinstance(value, Tensor):
            return value
        return Tensor(np.asarray(value, self.data.dtype) if isinstance(value, int | float) else value)

    def __add__(self, other: TensorLike) -> Tensor:
        a, b = self, self.operand(other)
        data = _broadcasting(np.add, a, b)
        return Tensor.from_op(data, (a, b), lambda g: (_meant_for(a, g), _meant_for(b, g)))

    def __mul__(self, other: TensorLike) -> Tensor:
        a, b = self, self.operand(other)
        data = _broadcasting(np.multiply, a, b)

        def backward(g: Array) -> tuple[Array | None, Array | None]:
            ga = unbroadcast(g * b.data, a.shape) if a.requires_grad else None
            gb = unbroadcast(g * a.data, b.shape) if b.requires_grad else None
            return ga, gb

        return Tensor.from_op(data, (a, b), backward)

    def __truediv__(self, other: TensorLike) -> Tensor:
        a, b = self, self.operand(other)
        data = _broadcasting(np.divide, a, b)

        def backward(g: Array) -> tuple[Array | None, Array | None]:
            ga = unbroadcast(g / b.data, a.shape) if a.requires_grad else None
            gb = unbroadcast(-g * data / b.data, b.shape) if b.requires_grad else None
            return ga, gb

        return Tensor.from_op(data, (a, b), backward)

    def __pow__(self, exponent: float) -> Tensor:
        def backward(g: Array) -> tuple[Array]:
            if exponent == 0:  # a constant; the rule below would say 0 * infinity at zero
                return (np.zeros_like(g),)
            return (g * exponent * self.data ** (exponent - 1),)

        return Tensor.from_op(self.data**exponent, (self,), backward)

    def __neg__(self) -> Tensor:
        return Tensor.from_op(-self.data, (self,), lambda g: (-g,))

    def __sub__(self, other: TensorLike) -> Tensor:
        a, b = self, self.operand(other)
        data = _broadcasting(np.subtract, a, b)
        return Tensor.from_op(data, (a, b), lambda g: (_meant_for(a, g), _meant_for(b, -g)))

    def __radd__(self, other: TensorLike) -> Tensor:
        return self + other

    def __rmul__(self, other: TensorLike) -> Tensor:
        return self * other

    def __rsub__(self, other: TensorLike) -> Tensor:
        return self.operand(other) - self

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return self.operand(other) / self

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return self.operand(other) @ self

    def __matmul__(self, other: TensorLike) -> Tensor:
        """Matrix product over the last two axes; leading axes broadcast. Both need at least two axes."""
        a, b = self, self.operand(other)
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ShapeError(f"cannot multiply {a.shape} @ {b.shape}: inner sizes must agree, both at least 2-d")
        data = _broadcasting(np.matmul, a, b)

        def backward(g: Array) -> tuple[Array | None, Array | None]:
            ga = unbroadcast(g @ b.data.swapaxes(-1, -2), a.shape) if a.requires_grad else None
            gb = _matmul_weight_gradient(a.data, g, b.shape) if b.requires_grad else None
            return ga, gb

        return Tensor.from_op(data, (a, b), backward)

    # -- elementwise -----------------------------------------------------------------------------------

    def exp(self) -> Tensor:
        data = np.exp(self.data)
        return Tensor.from_op(data, (self,), lambda g: (g * data,))

    def log(self) -> Tensor:
        return Tensor.from_op(np.log(self.data), (self,), lambda g: (g / self.data,))

    def sqrt(self) -> Tensor:
        data = np.sqrt(self.data)
        return Tensor.from_op(data, (self,), lambda g: (g / (2 * data),))

    def tanh(self) -> Tensor:
        data = np.tanh(self.data)
        return Tensor.from_op(data, (self,), lambda g: (g * (1 - data * data),))

    # -- reductions ------------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        data = np.asarray(self.data.sum(axis=axis, keepdims=keepdims))

        def backward(g: Array) -> tuple[Array]:
            return (np.broadcast_to(_with_axes(g, self.shape, axis, keepdims), self.shape),)

        return Tensor.from_op(data, (self,), backward)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        total = self.sum(axis, keepdims)
        return total * (total.size / self.size)

    def max(self, axis: int, keepdims: bool = False) -> Tensor:
        """Largest along one axis; a tie shares its gradient evenly."""
        largest = self.data.max(axis=axis, keepdims=True)

        def backward(g: Array) -> tuple[Array]:
            winners = self.data == largest
            share = winners / winners.sum(axis=axis, keepdims=True)
            return ((share * _with_axes(g, self.shape, axis, keepdims)).astype(self.data.dtype),)

        return Tensor.from_op(largest if keepdims else largest.squeeze(axis), (self,), backward)

    # -- shape -----------------------------------------------------------------------------------------

    def reshape(self, *shape: int) -> Tensor:
        try:
            data = self.data.reshape(shape)
        except ValueError as error:
            raise ShapeError(f"cannot reshape {self.shape} ({self.size} elements) to {shape}") from error
        return Tensor.from_op(data, (self,), lambda g: (g.reshape(self.shape),))

    def transpose(self, *axes: int) -> Tensor:
        """Permute the axes, as `np.transpose`; without arguments all are reversed."""
        order = axes or tuple(reversed(range(self.ndim)))
        if sorted(order) != list(range(self.ndim)):
            raise ShapeError(f"cannot order the axes of shape {self.shape} as {axes}")
        back = tuple(int(i) for i in np.argsort(order))
        return Tensor.from_op(self.data.transpose(order), (self,), lambda g: (g.transpose(back),))

    @property
    def T(self) -> Tensor:
        return self.transpose()

    def __getitem__(self, key: Any) -> Tensor:
        def backward(g: Array) -> tuple[Array]:
            full = np.zeros_like(self.data)
            if _is_basic(key):
                full[key] = g
            else:
                np.add.at(full, key, g)  # an array of indices may name an element twice
            return (full,)

        return Tensor.from_op(self.data[key], (self,), backward)


def _is_basic(key: Any) -> bool:
    """True for numbers and slices, which name every element at most once."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(isinstance(part, (int, slice, type(None), type(Ellipsis))) for part in parts)


def _broadcasting(operation: Callable[[Array, Array], Array], a: Tensor, b: Tensor) -> Array:
    try:
        return operation(a.data, b.data)
    except ValueError as error:
        raise ShapeError(f"{operation.__name__}: shapes {a.shape} and {b.shape} do not broadcast") from error


def _meant_for(parent: Tensor, g: Array) -> Array | None:
    """What of `g` reaches a summand: nothing is computed for a constant."""
    return unbroadcast(g, parent.shape) if parent.requires_grad else None


def _with_axes(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """Put the axes that a reduction removed back as size 1."""
    if keepdims or axis is None:
        return g
    return np.expand_dims(g, axis)


def _matmul_weight_gradient(a: Array, g: Array, shape: tuple[int, ...]) -> Array:
    if len(shape) == 2 and a.ndim > 2:  # one weight for all leading axes: a single large product is faster
        return a.reshape(-1, a.shape[-1]).T @ g.reshape(-1, g.shape[-1])
    return unbroadcast(a.swapaxes(-1, -2) @ g, shape)
