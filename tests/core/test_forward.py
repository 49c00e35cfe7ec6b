"""Forward passes against numbers one can check by hand and formulas written a second time (reference.py).

test_gradients.py compares every operation with the reference on small shapes; here are the sizes of the
competition, single precision, and the numbers at which a formula breaks.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.core import reference
from tinytorch.core import losses, ops
from tinytorch.core.attention import CausalAttention, causal_attention
from tinytorch.core.compact import CompactParameter
from tinytorch.core.conv import conv2d, max_pool2d
from tinytorch.core.layers import GELU, Linear
from tinytorch.core.tensor import ShapeError, Tensor

ALGORITHMS = ["positions", "im2col"]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def float32(*arrays):
    return [Tensor(array.astype(np.float32)) for array in arrays]


# ---------------------------------------------------------------- convolution and pooling


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_kernel_of_ones_adds_up_its_window(algorithm):
    picture = Tensor([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    out = conv2d(picture, Tensor(np.ones((1, 1, 2, 2))), Tensor([0.5]), algorithm)
    assert out.data.tolist() == [[[[12.5, 16.5], [24.5, 28.5]]]]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_kernel_is_not_flipped(algorithm):
    kernel = np.zeros((1, 1, 2, 2))
    kernel[0, 0, 0, 1] = 1  # looks at the right upper pixel of its window
    out = conv2d(Tensor([[[[1, 2], [3, 4]]]]), Tensor(kernel), Tensor([0.0]), algorithm)
    assert out.item() == 2


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_convolution_of_the_second_layer_of_the_marathon(algorithm):
    x, weight, bias = normal(2, 32, 13, 13), normal(64, 32, 3, 3) / 17, normal(64)
    expected = reference.conv2d(x, weight, bias)
    exact = conv2d(Tensor(x), Tensor(weight), Tensor(bias), algorithm)
    single = conv2d(*float32(x, weight, bias), algorithm)
    np.testing.assert_allclose(exact.data, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(single.data, expected, rtol=1e-4, atol=1e-5)
    assert single.data.dtype == np.float32


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_kernel_as_large_as_the_picture_gives_one_pixel(algorithm):
    x, weight = normal(1, 2, 3, 3), normal(4, 2, 3, 3)
    out = conv2d(Tensor(x), Tensor(weight), Tensor(np.zeros(4)), algorithm)
    np.testing.assert_allclose(out.data.ravel(), weight.reshape(4, -1) @ x.ravel())


def test_a_compact_kernel_is_made_to_floats_once_a_call(monkeypatch):
    reads, kernel = [], CompactParameter(np.ones((1, 1, 3, 3), np.float32), bits=8)
    data = CompactParameter.data.fget
    monkeypatch.setattr(CompactParameter, "data", property(lambda self: reads.append(1) or data(self)))
    conv2d(Tensor(np.ones((1, 1, 3, 3))), kernel, Tensor([0.0]))
    assert len(reads) == 1


def test_an_unknown_algorithm_is_refused_with_those_there_are():
    picture = Tensor(np.ones((1, 1, 3, 3)))
    with pytest.raises(ValueError, match="knows the algorithms positions, im2col, got 'winograd'"):
        conv2d(picture, picture, Tensor([0.0]), "winograd")


def test_pooling_leaves_out_a_rest_at_the_right_and_below():
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    assert max_pool2d(Tensor(x)).data.tolist() == [[[[6, 8], [16, 18]]]]


def test_pooling_of_the_marathon():
    x = normal(2, 32, 26, 26)
    np.testing.assert_array_equal(max_pool2d(Tensor(x)).data, reference.max_pool2d(x))


# ---------------------------------------------------------------- attention


def test_attention_of_the_decathlon():
    q, k, v = (normal(2, 64, 64, seed=seed) for seed in range(3))
    expected = reference.causal_attention(q, k, v, heads=4)
    np.testing.assert_allclose(causal_attention(*map(Tensor, (q, k, v)), heads=4).data, expected, rtol=1e-12)
    single = causal_attention(*float32(q, k, v), heads=4)
    np.testing.assert_allclose(single.data, expected, rtol=1e-4, atol=1e-5)
    assert single.data.dtype == np.float32


def test_the_first_position_sees_itself_only():
    q, k, v = (normal(1, 5, 4, seed=seed) for seed in range(3))
    np.testing.assert_allclose(causal_attention(*map(Tensor, (q, k, v)), heads=2).data[:, 0], v[:, 0])


def test_equal_keys_average_what_was_seen_so_far():
    values = np.array([[[0.0], [2.0], [4.0]]])  # (1, 3, 1)
    out = causal_attention(Tensor(normal(1, 3, 1)), Tensor(np.ones((1, 3, 1))), Tensor(values), heads=1)
    np.testing.assert_allclose(out.data.ravel(), [0, 1, 2])


def test_a_later_token_changes_nothing_before_it():
    attention, x = CausalAttention(8, 2, np.random.default_rng(0)), normal(1, 6, 8)
    before = attention(Tensor(x)).data
    x[:, 4:] += 100
    after = attention(Tensor(x)).data
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert not np.allclose(before[:, 4:], after[:, 4:])


def test_the_last_queries_alone_get_what_they_get_among_all():
    q, k, v = (Tensor(normal(2, 7, 4, seed=seed)) for seed in range(3))
    whole, last = causal_attention(q, k, v, heads=2), causal_attention(q[:, 5:], k, v, heads=2)
    np.testing.assert_allclose(last.data, whole.data[:, 5:])


@pytest.mark.parametrize(
    ("q", "k", "v", "heads"),
    [
        ((1, 3, 4), (1, 3, 4), (1, 2, 4), 2),
        ((1, 3, 4), (1, 3, 6), (1, 3, 6), 2),
        ((2, 3, 4), (1, 3, 4), (1, 3, 4), 2),
        ((1, 4, 4), (1, 3, 4), (1, 3, 4), 2),
        ((1, 3, 4), (1, 3, 4), (1, 3, 4), 3),
    ],
    ids=["values", "width", "batch", "more queries than keys", "heads"],
)
def test_attention_names_all_three_shapes_where_they_do_not_fit(q, k, v, heads):
    with pytest.raises(ShapeError) as caught:
        causal_attention(*(Tensor(np.ones(shape)) for shape in (q, k, v)), heads)
    assert f"divisible by {heads} heads; got {q}, {k} and {v}" in str(caught.value)


# ---------------------------------------------------------------- activations, softmax, layer norm


def test_gelu_is_near_x_times_the_normal_distribution():
    x = np.linspace(-6, 6, 1001)
    exact = [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x]
    np.testing.assert_allclose(ops.gelu(Tensor(x)).data, exact, atol=5e-4)  # the tanh form: 4.8e-4 at 2.7


def test_gelu_stays_single_precision_and_finite():
    out = GELU()(Tensor([-1e4, 0.0, 1e4])).data
    assert out.tolist() == [0, 0, 1e4]
    assert out.dtype == np.float32


def test_softmax_sums_to_one_and_survives_large_numbers():
    assert ops.softmax(Tensor([1e4, 1e4, -1e4])).data.tolist() == [0.5, 0.5, 0]
    np.testing.assert_allclose(ops.softmax(Tensor(normal(3, 4)), axis=0).data.sum(axis=0), 1)


def test_softmax_does_not_see_a_common_shift():
    x = normal(3, 4)
    np.testing.assert_allclose(ops.softmax(Tensor(x)).data, ops.softmax(Tensor(x + 100)).data, rtol=1e-12)


def test_log_softmax_of_the_impossible_is_finite():
    assert ops.log_softmax(Tensor([0.0, -1e4])).data.tolist() == [0, -1e4]


def test_layer_norm_has_mean_zero_and_variance_one():
    out = ops.layer_norm(Tensor(5 + 3 * normal(2, 3, 64)), Tensor(np.ones(64)), Tensor(np.zeros(64))).data
    np.testing.assert_allclose(out.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(axis=-1), 1, rtol=1e-5)


def test_layer_norm_of_a_constant_row_is_the_shift():
    out = ops.layer_norm(Tensor(np.full((1, 4), 7)), Tensor(np.ones(4)), Tensor([1, 2, 3, 4]))
    assert out.data.tolist() == [[1, 2, 3, 4]]


def test_linear_is_a_product_and_a_bias():
    layer = Linear(2, 1, np.random.default_rng(0))
    layer.weight.data, layer.bias.data = np.array([[2.0], [3.0]]), np.array([10.0])
    assert layer(Tensor([[1, 1], [0, 2]])).data.tolist() == [[15], [16]]


def test_dropout_keeps_the_mean_and_zeroes_its_share():
    out = ops.dropout(Tensor(np.ones(10_000)), 0.25, np.random.default_rng(0)).data
    assert set(out.tolist()) == {0, 1 / 0.75}
    assert abs(np.mean(out == 0) - 0.25) < 0.015  # 3.5 standard errors


# ---------------------------------------------------------------- losses


def test_cross_entropy_of_the_clueless_is_the_logarithm_of_the_classes():
    assert losses.cross_entropy(Tensor(np.zeros((3, 8))), np.array([0, 3, 7])).item() == math.log(8)


def test_cross_entropy_of_the_sure_and_wrong_is_the_gap():
    assert losses.cross_entropy(Tensor([[1e4, 0.0]]), np.array([1])).item() == 1e4


def test_cross_entropy_takes_one_target_for_every_leading_index():
    logits, targets = normal(2, 5, 3), np.random.default_rng(0).integers(3, size=(2, 5))
    expected = reference.cross_entropy(logits, targets)
    assert losses.cross_entropy(Tensor(logits), targets).item() == pytest.approx(expected)


def test_soft_cross_entropy_with_certain_probabilities_is_cross_entropy():
    logits, targets = Tensor(normal(2, 5, 3)), np.random.default_rng(0).integers(3, size=(2, 5))
    soft = losses.soft_cross_entropy(logits, np.eye(3)[targets])
    assert soft.item() == pytest.approx(losses.cross_entropy(logits, targets).item())


def test_soft_cross_entropy_stays_in_the_precision_of_the_logits():
    logits = Tensor(normal(2, 3).astype(np.float32))
    assert losses.soft_cross_entropy(logits, np.full((2, 3), 1 / 3)).data.dtype == np.float32


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.array([0, 1, 2]), r"logits \(2, 3\) need targets \(2,\), got \(3,\)"),
        (np.array([0, 3]), "targets reach from 0 to 3, classes 3"),
        (np.array([-1, 0]), "targets reach from -1 to 0"),
        (np.array([0.0, 1.0]), "must be integers, got float64"),
    ],
)
def test_cross_entropy_says_what_is_wrong_with_the_targets(targets, words):
    with pytest.raises(ShapeError, match=words):
        losses.cross_entropy(Tensor(np.zeros((2, 3))), targets)


# ---------------------------------------------------------------- what operations refuse


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ops.concatenate([Tensor(np.ones((2, 3))), Tensor(np.ones((4, 3)))]), r"\(2, 3\), \(4, 3\)"),
        (lambda: ops.masked_fill(Tensor(np.ones((2, 3))), np.ones(4, bool), 0), r"\(4,\) .* \(2, 3\)"),
        (lambda: ops.take_rows(Tensor(np.ones((4, 3))), np.array([0, 4])), r"\(2,\) .* 0 to 4, .* \(4, 3\)"),
        (lambda: ops.take_rows(Tensor(np.ones((4, 3))), np.array([-1])), r"\(1,\) .* -1 to -1, .* \(4, 3\)"),
        (lambda: ops.take_rows(Tensor(np.ones((4, 3))), np.array([0.5])), "integers, got float64"),
        (lambda: Tensor(np.ones((2, 3))).transpose(0, 0), r"\(2, 3\) as \(0, 0\)"),
        (lambda: conv2d(Tensor(normal(1, 1, 4, 4)), Tensor(normal(1, 1, 2, 3)), Tensor([0])), r"1, 1, 2, 3"),
    ],
)  # fmt: skip
def test_an_operation_says_which_shapes_or_numbers_do_not_fit(call, words):
    with pytest.raises(ShapeError, match=words):
        call()
