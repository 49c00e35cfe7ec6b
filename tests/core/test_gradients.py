"""Every gradient against two judges: central differences in float64, and the package `autograd`.

CASES is the table: a new operation is one line, and a test fails while it has none. Small shapes, fixed seed.
What gradients do across a whole graph (used twice, not recorded, not asked for) stands below the table.
"""

from __future__ import annotations

import inspect
import operator
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

from tests.core import reference
from tinytorch.core import attention, conv, layers, losses, ops, transformer
from tinytorch.core.autograd import GradientError, no_grad, topological_order
from tinytorch.core.layers import Module, Parameter
from tinytorch.core.tensor import ShapeError, Tensor

ROOMS = (ops, conv, losses, attention)
LAYER_ROOMS = (layers, conv, attention, transformer)
NO_OPERATIONS = {"Tensor.from_op", "Tensor.operand", "Tensor.detach"}  # give Tensors, compute nothing
NO_LAYERS = {"Module", "Parameter"}

MASK = np.array([[False, True, False, True], [True, False, False, False]])
ROWS = np.array([[0, 3], [3, 1]])  # row 3 is asked for twice
CLASSES = np.array([[0, 2, 1], [2, 2, 0]])
WEIGHTS = np.arange(6.0).reshape(2, 3)
GIVEN = reference.softmax(np.arange(6.0).reshape(2, 3))  # probabilities


@dataclass(frozen=True)
class Case:
    """One operation: ours on Tensors, the same in autograd's numpy, the shapes of what it takes."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    ours: Callable
    theirs: Callable
    lowest: float = -2.0  # of the inputs; above zero for roots and logarithms

    def inputs(self) -> list[np.ndarray]:
        """Numbers apart from each other and from zero, so that no max and no ReLU has a kink nearby."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        count = sum(int(np.prod(shape)) for shape in self.shapes)
        grid = self.lowest + 4 * (np.arange(count) + 0.6 + 0.2 * rng.uniform(size=count)) / count
        numbers = np.split(rng.permutation(grid), np.cumsum([int(np.prod(s)) for s in self.shapes])[:-1])
        return [part.reshape(shape) for part, shape in zip(numbers, self.shapes, strict=True)]


def layer(make: Callable[[np.random.Generator], Module], *inputs: object) -> Callable:
    """A layer as a function of its input and all its weights, in the order of `parameters()`."""
    made = make(np.random.default_rng(0)).train()
    places = [
        (module, name)
        for _, module in made.modules()
        for name, value in vars(module).items()
        if isinstance(value, Parameter)
    ]

    def call(*tensors: Tensor) -> Tensor:
        weights = tensors[len(tensors) - len(places) :]
        for (module, name), weight in zip(places, weights, strict=True):
            setattr(module, name, weight)
        return made(*inputs, *tensors[: len(tensors) - len(places)])

    return call


def dropped(x):
    """What dropout of half with seed 0 does to (2, 3), asked of a tensor of ones."""
    return x * ops.dropout(Tensor(np.ones((2, 3))), 0.5, np.random.default_rng(0)).data


def same(name, shapes, function, **more):
    """A case whose formula reads the same for both."""
    return Case(name, shapes, function, function, **more)


def named(name, shapes, ours, theirs, **more):
    return Case(name, shapes, ours, theirs, **more)


BLOCK = ((4,), (4,), *((4, 4), (4,)) * 4, (4,), (4,), (4, 6), (6,), (6, 4), (4,))

# fmt: off
CASES = [
    same("Tensor.__add__", ((2, 3), (3,)), lambda a, b: a + b),
    same("Tensor.__radd__", ((2, 3),), lambda a: 2.0 + a),
    same("Tensor.__sub__", ((2, 1), (2, 3)), lambda a, b: a - b),
    same("Tensor.__rsub__", ((2, 3),), lambda a: 2.0 - a),
    same("Tensor.__mul__", ((2, 1, 3), (4, 1)), lambda a, b: a * b),
    same("Tensor.__mul__ by itself", ((2, 3),), lambda a: a * a),
    same("Tensor.__rmul__", ((2, 3),), lambda a: 2.0 * a),
    same("Tensor.__truediv__", ((3,), (2, 3)), lambda a, b: a / b, lowest=0.5),
    same("Tensor.__rtruediv__", ((2, 3),), lambda a: 2.0 / a),
    same("Tensor.__pow__", ((2, 3),), lambda a: a**3),
    same("Tensor.__pow__ of a root", ((2, 3),), lambda a: a**-0.5, lowest=0.5),
    same("Tensor.__neg__", ((2, 3),), lambda a: -a),
    same("Tensor.__matmul__", ((2, 3), (3, 4)), lambda a, b: a @ b),
    same("Tensor.__matmul__ of one weight", ((2, 5, 3), (3, 4)), lambda a, b: a @ b),
    same("Tensor.__matmul__ of batches", ((2, 1, 2, 3), (5, 3, 2)), lambda a, b: a @ b),
    same("Tensor.__rmatmul__", ((3, 4),), lambda a: WEIGHTS @ a),
    same("Tensor.__getitem__", ((3, 4),), lambda a: a[1:, ::2]),
    same("Tensor.__getitem__ of repeated rows", ((4, 3),), lambda a: a[ROWS]),
    same("Tensor.__getitem__ of a mask", ((2, 4),), lambda a: a[MASK]),
    same("Tensor.T", ((2, 3, 4),), lambda a: a.T),
    named("Tensor.exp", ((2, 3),), lambda a: a.exp(), anp.exp),
    named("Tensor.log", ((2, 3),), lambda a: a.log(), anp.log, lowest=0.5),
    named("Tensor.sqrt", ((2, 3),), lambda a: a.sqrt(), anp.sqrt, lowest=0.5),
    named("Tensor.tanh", ((2, 3),), lambda a: a.tanh(), anp.tanh),
    named("Tensor.sum", ((2, 3),), lambda a: a.sum(), anp.sum),
    named("Tensor.sum of axes", ((2, 3, 4),), lambda a: a.sum((0, -1)), lambda a: anp.sum(a, (0, 2))),
    named("Tensor.sum kept", ((2, 3),), lambda a: a.sum(0, True), lambda a: anp.sum(a, 0, keepdims=True)),
    named("Tensor.mean", ((2, 3),), lambda a: a.mean(), anp.mean),
    named("Tensor.mean of an axis", ((2, 3),), lambda a: a.mean(-1), lambda a: anp.mean(a, 1)),
    named("Tensor.max", ((3, 4),), lambda a: a.max(0), lambda a: anp.max(a, 0)),
    named("Tensor.max kept", ((3, 4),), lambda a: a.max(-1, True), lambda a: anp.max(a, 1, keepdims=True)),
    named("Tensor.reshape", ((2, 6),), lambda a: a.reshape(3, -1), lambda a: anp.reshape(a, (3, 4))),
    named("Tensor.transpose", ((2, 3, 4),), lambda a: a.transpose(2, 0, 1), lambda a: anp.moveaxis(a, 2, 0)),

    named("ops.relu", ((3, 4),), ops.relu, lambda a: anp.maximum(a, 0)),
    named("ops.gelu", ((3, 4),), ops.gelu, reference.gelu),
    named("ops.softmax", ((2, 3),), ops.softmax, reference.softmax),
    named("ops.softmax of axis 0", ((2, 3),), lambda a: ops.softmax(a, 0), lambda a: reference.softmax(a, 0)),
    named("ops.log_softmax", ((2, 3),), ops.log_softmax, lambda a: anp.log(reference.softmax(a))),
    named("ops.masked_fill", ((3, 2, 4),), lambda a: ops.masked_fill(a, MASK, -7.0),
          lambda a: anp.where(MASK, -7.0, a)),
    named("ops.concatenate", ((2, 1), (2, 3)), lambda *a: ops.concatenate(a),
          lambda *a: anp.concatenate(a, axis=-1)),
    named("ops.take_rows", ((4, 3),), lambda a: ops.take_rows(a, ROWS), lambda a: a[ROWS]),
    named("ops.layer_norm", ((2, 3, 4), (4,), (4,)), ops.layer_norm, reference.layer_norm),
    named("ops.dropout", ((2, 3),), lambda a: ops.dropout(a, 0.5, np.random.default_rng(0)), dropped),

    named("losses.cross_entropy", ((2, 3, 4),), lambda a: losses.cross_entropy(a, CLASSES),
          lambda a: reference.cross_entropy(a, CLASSES)),
    named("losses.soft_cross_entropy", ((2, 3),), lambda a: losses.soft_cross_entropy(a, GIVEN),
          lambda a: -anp.sum(GIVEN * anp.log(reference.softmax(a))) / 2),

    named("conv.conv2d", ((2, 3, 5, 4), (2, 3, 2, 2), (2,)), conv.conv2d, reference.conv2d),
    named("conv.conv2d by im2col", ((2, 3, 5, 4), (2, 3, 3, 3), (2,)), lambda *a: conv.conv2d(*a, "im2col"),
          reference.conv2d),
    named("conv.max_pool2d", ((2, 2, 5, 6),), conv.max_pool2d, reference.max_pool2d),
    named("attention.causal_attention", ((2, 3, 4),) * 3, lambda *a: attention.causal_attention(*a, 2),
          lambda *a: reference.causal_attention(*a, 2)),
    named("attention.causal_attention after a past", ((2, 1, 4), (2, 3, 4), (2, 3, 4)),
          lambda *a: attention.causal_attention(*a, 2), lambda *a: reference.causal_attention(*a, 2)),

    named("Linear", ((2, 3), (3, 4), (4,)), layer(lambda rng: layers.Linear(3, 4, rng)), reference.linear),
    named("ReLU", ((2, 3),), layer(lambda rng: layers.ReLU()), lambda a: anp.maximum(a, 0)),
    named("GELU", ((2, 3),), layer(lambda rng: layers.GELU()), reference.gelu),
    named("Flatten", ((2, 3, 4),), layer(lambda rng: layers.Flatten()), lambda a: anp.reshape(a, (2, 12))),
    named("LayerNorm", ((2, 3), (3,), (3,)), layer(lambda rng: layers.LayerNorm(3)), reference.layer_norm),
    named("Embedding", ((4, 3),), layer(lambda rng: layers.Embedding(4, 3, rng), ROWS), lambda a: a[ROWS]),
    named("Dropout", ((2, 3),), lambda a: layers.Dropout(0.5, np.random.default_rng(0)).train()(a), dropped),
    named("Sequential", ((2, 3), (3, 4), (4,)),
          layer(lambda rng: layers.Sequential(layers.Linear(3, 4, rng), layers.ReLU())),
          lambda *a: anp.maximum(reference.linear(*a), 0)),
    named("Conv2d", ((1, 2, 4, 4), (3, 2, 3, 3), (3,)), layer(lambda rng: conv.Conv2d(2, 3, 3, rng)),
          reference.conv2d),
    named("MaxPool2d", ((1, 2, 4, 4),), layer(lambda rng: conv.MaxPool2d()), reference.max_pool2d),
    named("CausalAttention", ((2, 3, 4), *((4, 4), (4,)) * 4),
          layer(lambda rng: attention.CausalAttention(4, 2, rng)),
          lambda *a: reference.self_attention(*a, heads=2)),
    named("FeedForward", ((2, 3, 4), *BLOCK[-4:]), layer(lambda rng: transformer.FeedForward(4, 6, rng)),
          reference.feed_forward),
    named("TransformerBlock", ((2, 3, 4), *BLOCK),
          layer(lambda rng: transformer.TransformerBlock(4, 2, 6, rng)),
          lambda *a: reference.transformer_block(*a, heads=2)),
]
# fmt: on

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


# ---------------------------------------------------------------- the two judges


def our_gradients(case: Case) -> tuple[np.ndarray, list[np.ndarray]]:
    """A weight for every output element, and the gradients of the weighted sum for every input."""
    tensors = [Tensor(array, requires_grad=True) for array in case.inputs()]
    out = case.ours(*tensors)
    weights = np.random.default_rng(1).normal(size=out.shape)
    out.backward(weights)
    return weights, [tensor.grad for tensor in tensors]


def differences(function: Callable[[], float], array: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of `function`, which reads `array`, for every element of it."""
    slopes = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        kept = array[at]
        array[at] = kept + step
        above = function()
        array[at] = kept - step
        slopes[at] = (above - function()) / (2 * step)
        array[at] = kept
    return slopes


@each_case
def test_gradient_agrees_with_central_differences(case):
    weights, gradients = our_gradients(case)
    inputs = case.inputs()

    def weighted():
        return float((case.ours(*map(Tensor, inputs)).data * weights).sum())

    for array, gradient in zip(inputs, gradients, strict=True):
        np.testing.assert_allclose(gradient, differences(weighted, array), rtol=1e-6, atol=1e-8)


@each_case
def test_gradient_agrees_with_the_package_autograd(case):
    weights, gradients = our_gradients(case)

    def weighted(*arrays):
        return anp.sum(case.theirs(*arrays) * weights)

    expected = grad(weighted, argnum=tuple(range(len(gradients))))(*case.inputs())
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@each_case
def test_forward_agrees_with_the_reference(case):
    inputs = case.inputs()
    ours, theirs = case.ours(*map(Tensor, inputs)), case.theirs(*inputs)
    np.testing.assert_allclose(ours.data, theirs, rtol=1e-12, atol=1e-13)


# ---------------------------------------------------------------- nothing is forgotten


def operations() -> set[str]:
    """Everything public that gives a Tensor (by its return annotation), and every layer."""
    methods = {
        f"Tensor.{name}": value.fget if isinstance(value, property) else value
        for name, value in vars(Tensor).items()
    }
    functions = {
        f"{room.__name__.rpartition('.')[2]}.{name}": value
        for room in ROOMS
        for name, value in inspect.getmembers(room, inspect.isfunction)
        if value.__module__ == room.__name__ and not name.startswith("_")
    }
    give_tensors = {
        name
        for name, value in (methods | functions).items()
        if inspect.isroutine(value) and inspect.get_annotations(value).get("return") == "Tensor"
    }
    return give_tensors - NO_OPERATIONS


def layer_names() -> set[str]:
    return {
        name
        for room in LAYER_ROOMS
        for name, value in inspect.getmembers(room, inspect.isclass)
        if value.__module__ == room.__name__ and issubclass(value, Module)
    } - NO_LAYERS


def uncovered() -> set[str]:
    return (operations() | layer_names()) - {case.name.split(" ")[0] for case in CASES}


def test_every_operation_and_layer_has_a_gradient_case():
    assert not uncovered(), "add a line to CASES for each"


def test_a_new_operation_without_a_case_is_noticed(monkeypatch):
    def cube(self: Tensor) -> Tensor:
        return self**3

    monkeypatch.setattr(Tensor, "cube", cube, raising=False)
    assert uncovered() == {"Tensor.cube"}


def test_every_case_names_something_that_exists():
    known = operations() | layer_names()
    assert {case.name.split(" ")[0] for case in CASES} <= known


# ---------------------------------------------------------------- where there is a kink


def gradient_of(function: Callable[[Tensor], Tensor], *numbers: float) -> list[float]:
    x = Tensor(list(numbers), requires_grad=True)
    function(x).backward()
    return x.grad.tolist()


def test_a_tie_shares_its_gradient_evenly():
    assert gradient_of(lambda x: x.max(0), 1, 4, 4, 4, 4) == [0, 0.25, 0.25, 0.25, 0.25]


def test_a_tie_in_a_pooling_window_shares_its_gradient_evenly():
    assert gradient_of(lambda x: conv.max_pool2d(x.reshape(1, 1, 2, 2)).sum(), 5, 5, 1, 0) == [0.5, 0.5, 0, 0]


def test_relu_has_slope_zero_at_zero():
    assert gradient_of(lambda x: ops.relu(x).sum(), -1, 0, 1) == [0, 0, 1]


@pytest.mark.parametrize(("exponent", "slopes"), [(0, [0, 0]), (1, [1, 1]), (2, [0, 4])])
def test_a_power_has_its_slope_at_zero_too(exponent, slopes):
    assert gradient_of(lambda x: (x**exponent).sum(), 0, 2) == slopes


# ---------------------------------------------------------------- the graph


def leaf(*numbers: float) -> Tensor:
    return Tensor(list(numbers), requires_grad=True)


def test_gradients_add_up_where_a_tensor_is_used_twice():
    x = leaf(3)
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [7]


def test_gradients_add_up_over_two_losses_until_they_are_cleared():
    x = leaf(3)
    (x * 2).sum().backward()
    (x * 5).sum().backward()
    assert x.grad.tolist() == [7]
    x.zero_grad()
    assert x.grad is None


def test_a_diamond_is_walked_once():
    x = leaf(1)
    for _ in range(60):  # 2^60 paths, 60 nodes
        x = x + x
    assert len(topological_order(x)) == 61


def test_a_chain_longer_than_the_recursion_limit_is_fine():
    x = leaf(1)
    y = x
    for _ in range(5_000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1]


def test_only_leaves_that_asked_get_a_gradient():
    x, constant = leaf(3), Tensor([2.0])
    product = x * constant
    product.sum().backward()
    assert x.grad.tolist() == [2]
    assert constant.grad is None
    assert product.grad is None


@pytest.mark.parametrize(
    "operation", [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul]
)
def test_no_gradient_is_computed_for_a_constant(operation):
    one, constant = Tensor([[3.0]], requires_grad=True), Tensor([[2.0]])
    for pair in ((one, constant), (constant, one)):
        gradients = operation(*pair).backward_fn(np.ones((1, 1)))
        assert [gradient is None for gradient in gradients] == [each is constant for each in pair]


def test_gradients_of_two_leaves_are_two_arrays():
    a, b = leaf(1, 2), leaf(3, 4)
    (a + b).sum().backward()
    a.grad *= 10
    assert b.grad.tolist() == [1, 1]


def test_a_float64_input_does_not_make_float64_of_a_float32_gradient():
    x = leaf(1)
    (x * np.array([2.0])).sum().backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("algorithm", ["positions", "im2col"])
def test_kernels_have_the_same_gradient_where_the_picture_wants_none(algorithm):
    def kernel_gradient(wanted):
        x = Tensor(np.arange(9.0).reshape(1, 1, 3, 3), requires_grad=wanted)
        kernel = Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
        conv.conv2d(x, kernel, Tensor([0.0]), algorithm).sum().backward()
        return kernel.grad.ravel().tolist()

    assert kernel_gradient(False) == kernel_gradient(True) == [8, 12, 20, 24]


def test_nothing_is_recorded_inside_no_grad():
    with no_grad():
        y = leaf(1) * 2
    assert not y.requires_grad
    assert y.parents == ()


def test_recording_goes_on_after_an_error_inside_no_grad():
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (leaf(1) * 2).requires_grad


def test_detach_keeps_the_numbers_and_forgets_the_history():
    y = (leaf(1) * 2).detach()
    assert y.data.tolist() == [2]
    assert not y.requires_grad


def test_going_back_through_a_graph_twice_is_an_error_not_a_wrong_gradient():
    x = leaf(1)
    shared = x * 2
    shared.sum().backward()
    with pytest.raises(GradientError, match="already been through part of this graph"):
        (shared * shared).sum().backward()


def test_going_back_from_what_was_not_recorded_is_an_error():
    with no_grad():
        y = (leaf(1) * 2).sum()
    with pytest.raises(GradientError, match=r"was not recorded: .* inside no_grad\(\)"):
        y.backward()


def test_backward_of_many_numbers_needs_a_gradient_of_that_shape():
    with pytest.raises(ShapeError, match=r"shape \(2,\) needs a gradient"):
        leaf(1, 2).backward()
    with pytest.raises(ShapeError, match=r"\(3,\), the tensor \(2,\)"):
        leaf(1, 2).backward(np.ones(3))
