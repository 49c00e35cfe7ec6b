"""Shapes, broadcasting and precision of Tensor's methods, for whatever shapes Hypothesis finds.

Numbers are small integers, so that sums are exact and comparisons are of equality. Gradients are checked by
what they are, the transpose of the forward map: <forward(x), g> = <x, backward(g)> for whatever is linear.
"""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinytorch.core.autograd import unbroadcast
from tinytorch.core.tensor import ShapeError, Tensor

SIDES = {"max_dims": 4, "max_side": 4}
SHAPES = hnp.array_shapes(min_dims=0, **SIDES)
PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=1, **SIDES)
MATMULS = hnp.mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_dims=2, max_side=4)
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv]


def whole(shape, seed=0):
    """Integers 1..4 as float64 of a shape: never zero, so that division is fine."""
    return np.random.default_rng(seed).integers(1, 5, size=shape).astype(np.float64)


def gradients(function, *arrays, seed=9):
    """Integer g of the result's shape, and what backward(g) leaves at every input."""
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    out = function(*tensors)
    g = whole(out.shape, seed)
    out.backward(g)
    return out.data, g, *[tensor.grad for tensor in tensors]


def inner(a, b):
    assert a.shape == b.shape
    return (a * b).sum()


# ---------------------------------------------------------------- two operands


@pytest.mark.parametrize("operation", OPERATORS)
@given(PAIRS)
def test_arithmetic_broadcasts_as_numpy_and_gradients_have_the_operands_shapes(operation, pair):
    a, b = whole(pair.input_shapes[0]), whole(pair.input_shapes[1], seed=1)
    out, _, ga, gb = gradients(operation, a, b)
    np.testing.assert_array_equal(out, operation(a, b))
    assert (out.shape, ga.shape, gb.shape) == (pair.result_shape, a.shape, b.shape)


@given(PAIRS)
def test_gradients_of_a_product_are_its_transpose_in_either_factor(pair):
    a, b = whole(pair.input_shapes[0]), whole(pair.input_shapes[1], seed=1)
    out, g, ga, gb = gradients(operator.mul, a, b)
    assert inner(out, g) == inner(a, ga) == inner(b, gb)


@given(PAIRS)
def test_unbroadcast_is_the_transpose_of_broadcasting(pair):
    x, g = whole(pair.input_shapes[0]), whole(pair.result_shape, seed=1)
    assert inner(np.broadcast_to(x, g.shape), g) == inner(x, unbroadcast(g, x.shape))


@given(MATMULS)
def test_matrix_products_broadcast_as_numpy_and_gradients_are_transposes(pair):
    a, b = whole(pair.input_shapes[0]), whole(pair.input_shapes[1], seed=1)
    out, g, ga, gb = gradients(operator.matmul, a, b)
    np.testing.assert_array_equal(out, a @ b)
    assert inner(out, g) == inner(a, ga) == inner(b, gb)


@pytest.mark.parametrize("operation", OPERATORS)
@given(SHAPES, SHAPES)
def test_shapes_that_do_not_broadcast_stand_both_in_the_error(operation, one, other):
    try:
        np.broadcast_shapes(one, other)
    except ValueError:
        pass
    else:
        assume(False)
    with pytest.raises(ShapeError) as caught:
        operation(Tensor(whole(one)), Tensor(whole(other)))
    assert f"{one} and {other}" in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [((2, 3), (2, 3)), ((3,), (3, 2)), ((5, 2, 3), (4, 3, 2))])
def test_matrices_that_do_not_fit_stand_both_in_the_error(one, other):
    with pytest.raises(ShapeError) as caught:
        Tensor(whole(one)) @ Tensor(whole(other))
    assert str(one) in str(caught.value)
    assert str(other) in str(caught.value)


@pytest.mark.parametrize("operation", OPERATORS)
def test_numbers_and_arrays_stand_on_either_side(operation):
    x, array = Tensor([[1, 2], [4, 8]]), np.array([2.0, 4.0], np.float32)
    for left, right in [(x, 2), (2, x), (x, array), (array, x)]:
        out = operation(left, right)
        raw = [each.data if isinstance(each, Tensor) else each for each in (left, right)]
        np.testing.assert_array_equal(out.data, operation(*raw))


# ---------------------------------------------------------------- reductions


@st.composite
def arrays_and_axes(draw):
    array = whole(draw(hnp.array_shapes(**SIDES)))
    axes = draw(
        st.none() | hnp.valid_tuple_axes(array.ndim, min_size=1) | st.integers(-array.ndim, array.ndim - 1)
    )
    return array, axes, draw(st.booleans())


@given(arrays_and_axes())
def test_a_sum_over_any_axes_is_numpys_and_its_gradient_the_transpose(drawn):
    array, axes, keepdims = drawn
    out, g, gx = gradients(lambda x: x.sum(axes, keepdims), array)
    np.testing.assert_array_equal(out, array.sum(axis=axes, keepdims=keepdims))
    assert inner(out, g) == inner(array, gx)


@given(arrays_and_axes())
def test_a_mean_over_any_axes_is_numpys_and_its_gradient_spreads_evenly(drawn):
    array, axes, keepdims = drawn
    out, g, gx = gradients(lambda x: x.mean(axes, keepdims), array)
    np.testing.assert_allclose(out, array.mean(axis=axes, keepdims=keepdims), rtol=1e-14)
    np.testing.assert_allclose(inner(out, g), inner(array, gx), rtol=1e-13)


@given(hnp.array_shapes(**SIDES), st.data(), st.booleans())
def test_a_maximum_gives_each_window_its_whole_gradient(shape, data, keepdims):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    out, g, gx = gradients(lambda x: x.max(axis, keepdims), whole(shape))
    np.testing.assert_array_equal(out, whole(shape).max(axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(gx.sum(axis=axis, keepdims=keepdims), g, rtol=1e-14)


# ---------------------------------------------------------------- round trips


@given(hnp.array_shapes(**SIDES))
def test_a_reshape_and_back_is_nothing(shape):
    array = whole(shape)
    out, g, gx = gradients(lambda x: x.reshape(-1).reshape(*shape), array)
    np.testing.assert_array_equal(out, array)
    np.testing.assert_array_equal(gx, g)


@given(hnp.array_shapes(**SIDES), st.randoms(use_true_random=False))
def test_a_transpose_and_back_is_nothing(shape, random):
    order = random.sample(range(len(shape)), len(shape))
    back = [order.index(axis) for axis in range(len(shape))]
    array = whole(shape)
    assert Tensor(array).transpose(*order).shape == tuple(shape[axis] for axis in order)
    out, g, gx = gradients(lambda x: x.transpose(*order).transpose(*back), array)
    np.testing.assert_array_equal(out, array)
    np.testing.assert_array_equal(gx, g)


@given(hnp.array_shapes(**SIDES))
def test_transposing_all_axes_twice_is_nothing(shape):
    np.testing.assert_array_equal(Tensor(whole(shape)).T.T.data, whole(shape))


@given(hnp.array_shapes(**SIDES), st.data())
def test_picking_puts_gradients_back_where_the_numbers_came_from(shape, data):
    key = data.draw(
        hnp.basic_indices(shape, allow_newaxis=True)
        | hnp.integer_array_indices(shape)  # may name an element twice
        | hnp.arrays(bool, shape)
    )
    out, g, gx = gradients(lambda x: x[key], whole(shape))
    np.testing.assert_array_equal(out, whole(shape)[key])
    assert inner(out, g) == inner(whole(shape), gx)


def test_a_reshape_that_does_not_fit_has_both_shapes_in_its_error():
    with pytest.raises(ShapeError, match=r"\(2, 3\) \(6 elements\) to \(4, 2\)"):
        Tensor(whole((2, 3))).reshape(4, 2)


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("number", [2, 0.5, np.float64(0.5), np.sqrt(2), True])
@pytest.mark.parametrize("operation", OPERATORS)
def test_a_number_leaves_the_precision_of_a_tensor_alone(operation, number):
    for dtype in (np.float32, np.float64):
        x = Tensor(np.ones((2, 3), dtype))
        assert operation(x, number).data.dtype == operation(number, x).data.dtype == dtype


def test_a_number_is_not_rounded_to_single_precision_next_to_double():
    assert (Tensor(np.ones(1)) * 0.1).item() == 0.1


@pytest.mark.parametrize("given_", [2.5, 3, [1.0, 2.0], np.arange(3), np.ones(2, np.float16), np.zeros(2, bool)])
def test_what_is_no_float64_array_becomes_single_precision(given_):
    assert Tensor(given_).data.dtype == np.float32


def test_a_float64_array_stays_and_a_float32_array_is_not_copied():
    single = np.ones(3, np.float32)
    assert Tensor(np.ones(3)).data.dtype == np.float64
    assert Tensor(single).data is single
