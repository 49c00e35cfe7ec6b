"""The three networks: their size, their shapes, and what predict, generate, copy and changed promise."""

from __future__ import annotations

import numpy as np
import pytest

from tests.core import reference
from tinytorch.core.autograd import is_recording
from tinytorch.core.conv import Conv2d
from tinytorch.core.losses import cross_entropy
from tinytorch.core.models import CNN, MLP, CharTransformer, Network
from tinytorch.core.tensor import ShapeError, Tensor


def rng(seed=0):
    return np.random.default_rng(seed)


def tiny(**more):
    """A transformer of 5 symbols, context 6, width 8."""
    return CharTransformer(symbols=5, context=6, width=8, blocks=2, heads=2, hidden=12, rng=rng(), **more)


def bytes_of(*shape):
    return rng(1).integers(256, size=shape, dtype=np.uint8)


def tokens_of(*shape, symbols=66):
    return rng(1).integers(symbols, size=shape)


NETWORKS = {
    "mlp": (MLP, bytes_of(2, 784), (2, 10), 109_386),
    "cnn": (CNN, bytes_of(2, 28, 28, 1), (2, 10), 34_826),
    "transformer": (CharTransformer, tokens_of(2, 64), (2, 64, 66), 112_706),
}
each_network = pytest.mark.parametrize(("make", "inputs", "shape", "count"), NETWORKS.values(), ids=NETWORKS)


def weights(network):
    return {name: parameter.data.copy() for name, parameter in network.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- all three


@each_network
def test_parameters_are_as_many_as_the_rules_say(make, inputs, shape, count):
    assert sum(parameter.size for parameter in make(rng=rng()).parameters()) == count


@each_network
def test_logits_are_single_precision_and_finite(make, inputs, shape, count):
    logits = make(rng=rng()).predict(inputs)
    assert logits.shape == shape
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


@each_network
def test_nothing_on_the_way_is_double_precision(make, inputs, shape, count, monkeypatch):
    made = []
    monkeypatch.setattr(Tensor, "__setattr__", remember_types(made))
    network = make(rng=rng())
    cross_entropy(network.forward(inputs), np.zeros(shape[:-1], int)).backward()
    assert set(made) == {np.dtype(np.float32)}


def remember_types(made):
    def set_attribute(self, name, value):
        if name in {"data", "grad"} and value is not None:
            made.append(value.dtype)
        object.__setattr__(self, name, value)

    return set_attribute


@each_network
def test_predict_leaves_its_input_as_it_was_and_records_nothing(make, inputs, shape, count):
    network, before = make(rng=rng()), inputs.copy()
    inputs.setflags(write=False)
    logits = network.predict(inputs)
    assert np.array_equal(inputs, before)
    assert np.array_equal(logits, network.predict(inputs))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert type(logits) is np.ndarray


@each_network
def test_predict_computes_without_recording(make, inputs, shape, count):
    network, seen = make(rng=rng()), []
    forward = network.forward
    network.forward = lambda given: seen.append(is_recording()) or forward(given)
    network.predict(inputs)
    assert seen == [False]


@each_network
def test_logits_agree_with_the_formulas_written_a_second_time(make, inputs, shape, count):
    network = make(rng=rng())
    weights = [parameter.data.astype(np.float64) for parameter in network.parameters()]
    expected = FORMULAS[make](inputs, weights)
    np.testing.assert_allclose(network.predict(inputs), expected, rtol=1e-4, atol=1e-5)


def mlp_formula(images, weights):
    x = images / 255
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = np.maximum(reference.linear(x, weight, bias), 0)
    return reference.linear(x, *weights[-2:])


def cnn_formula(images, weights):
    x = images[:, None, :, :, 0] / 255
    for weight, bias in (weights[:2], weights[2:4]):
        x = reference.max_pool2d(np.maximum(reference.conv2d(x, weight, bias), 0))
    return reference.linear(x.reshape(len(x), -1), *weights[-2:])


def transformer_formula(tokens, weights):
    symbols, positions, *blocks = weights[:-4]
    x = symbols[tokens] + positions
    for first in (0, 16):  # 16 parameters a block
        x = reference.transformer_block(x, *blocks[first : first + 16], heads=4)
    return reference.linear(reference.layer_norm(x, *weights[-4:-2]), *weights[-2:])


FORMULAS = {MLP: mlp_formula, CNN: cnn_formula, CharTransformer: transformer_formula}


@each_network
def test_every_parameter_gets_a_gradient(make, inputs, shape, count):
    network = make(rng=rng())
    cross_entropy(network.forward(inputs), np.zeros(shape[:-1], int)).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or p.grad.shape != p.shape]
    assert not idle


@each_network
def test_a_seed_repeats_the_weights(make, inputs, shape, count):
    assert same(weights(make(rng=rng(3))), weights(make(rng=rng(3))))
    assert not same(weights(make(rng=rng(3))), weights(make(rng=rng(4))))


@each_network
def test_one_row_alone_gets_what_it_gets_in_a_batch(make, inputs, shape, count):
    network = make(rng=rng())
    np.testing.assert_allclose(network.predict(inputs)[1:], network.predict(inputs[1:]), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- copy and changed


class Doubling:
    """An engine that answers with twice the bias it was built from."""

    def __init__(self, network):
        self.bias = 2 * network.head.bias.data

    def __call__(self, inputs):
        return self.bias

    def rebuild(self, network):
        return Doubling(network)


def test_a_change_leaves_the_original_as_it_was():
    network = tiny()
    before = weights(network)
    changed = network.changed(lambda new: new.head.bias.data.fill(7))
    assert same(weights(network), before)
    assert changed.head.bias.data.tolist() == [7] * 5
    assert same(weights(changed), before | {"head.bias": np.full(5, 7)})


def test_a_change_that_fails_leaves_the_original_as_it_was():
    def fail(new):
        new.blocks.clear()
        raise KeyError("half way")

    network = tiny()
    with pytest.raises(KeyError):
        network.changed(fail)
    assert len(network.blocks) == 2


def test_a_change_rebuilds_the_engine_for_the_new_weights_only():
    network = tiny()
    network.engine = Doubling(network)
    changed = network.changed(lambda new: new.head.bias.data.fill(7))
    assert changed.predict(None).tolist() == [14] * 5
    assert network.predict(None).tolist() == [0] * 5


def test_an_engine_set_by_the_change_itself_needs_no_rebuilding():
    changed = tiny().changed(lambda new: setattr(new, "engine", Doubling(new)))
    assert changed.predict(None).tolist() == [0] * 5


def test_a_copy_shares_its_recipe_and_nothing_else():
    network = tiny()
    network.recipe = object()
    other = network.copy()
    other.blocks[0].attention.query.weight.data[:] = 0
    assert other.recipe is network.recipe
    assert network.blocks[0].attention.query.weight.data.any()


def test_an_engine_replaces_forward():
    network = Network()
    network.engine = lambda inputs: inputs + 1
    assert network.predict(1) == 2


# ---------------------------------------------------------------- pictures


def test_pixels_are_scaled_inside_predict():
    network, white = MLP(hidden=(), rng=rng()), np.full((1, 784), 255, np.uint8)
    sums = network.network.layers[0].weight.data.sum(axis=0)
    np.testing.assert_allclose(network.predict(white)[0], sums, rtol=1e-4, atol=1e-4)


def test_a_stride_looks_at_every_other_row_and_column():
    network, images = MLP(hidden=(), stride=2, rng=rng()), bytes_of(1, 784)
    assert network.network.layers[0].weight.shape == (14 * 14, 10)
    before = network.predict(images)
    images.reshape(1, 28, 28)[:, 1::2, :] = 0
    images.reshape(1, 28, 28)[:, :, 1::2] = 0
    assert np.array_equal(network.predict(images), before)


def test_both_ways_to_convolve_agree_in_logits_and_all_gradients():
    plain, fast = CNN(rng=rng()), CNN(rng=rng(), algorithm="im2col")
    images, targets = bytes_of(2, 28, 28, 1), np.array([3, 7])
    for network in (plain, fast):
        cross_entropy(network.forward(images), targets).backward()
    np.testing.assert_allclose(fast.predict(images), plain.predict(images), rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        np.testing.assert_allclose(other.grad, one.grad, rtol=1e-3, atol=1e-5, err_msg=name)


def test_the_marathon_begins_with_the_convolution_that_reads_like_the_formula():
    algorithms = [layer.algorithm for layer in CNN().network.layers if isinstance(layer, Conv2d)]
    assert algorithms == ["positions", "positions"]


def test_dropout_of_the_cnn_is_silent_in_predict():
    images = bytes_of(1, 28, 28, 1)
    dropping = CNN(channels=(2, 3), rng=rng(), dropout=0.5)
    assert np.array_equal(dropping.predict(images), dropping.predict(images))
    dropping.train()
    assert not np.array_equal(dropping.predict(images), dropping.predict(images))


# ---------------------------------------------------------------- text


def chained(network, tokens):
    """The seven operations in the order of the docstring of `ops`."""
    ops = network.ops
    x = ops["embed"](tokens)
    for block in range(len(network.blocks)):
        q, k, v = ops["project"](ops["normalize"](x, 2 * block), block)
        x = x + ops["output"](ops["attend"](q, k, v), block)
        x = x + ops["feed_forward"](ops["normalize"](x, 2 * block + 1), block)
    return ops["head"](ops["normalize"](x, 2 * len(network.blocks)))


def test_the_operations_in_a_chain_give_the_logits_of_predict():
    network, tokens = CharTransformer(rng=rng()), tokens_of(2, 64)
    assert np.array_equal(chained(network, tokens), network.predict(tokens))


def test_embedding_can_start_at_a_later_position():
    network, tokens = tiny(), tokens_of(2, 6, symbols=5)
    whole, rest = network.ops["embed"](tokens), network.ops["embed"](tokens[:, 4:], start=4)
    assert np.array_equal(whole[:, 4:], rest)
    with pytest.raises(ShapeError, match=r"reach from 4 to 6, the table is \(6, 8\)"):
        network.ops["embed"](tokens[:, :3], start=4)


def test_an_engines_operation_replaces_one_and_leaves_the_others():
    class Engine:
        ops = {"head": "replaced"}

    network = tiny()
    network.engine = Engine()
    assert network.ops["head"] == "replaced"
    assert network.ops["embed"] == network._embed_op


def test_generation_keeps_the_prompt_and_takes_the_likeliest_each_time():
    network, prompt = tiny(), tokens_of(2, 3, symbols=5)
    text = network.generate(prompt, 3)
    assert text.shape == (2, 6)
    assert np.array_equal(text[:, :3], prompt)
    for end in (3, 4, 5):
        likeliest = network.predict(text[:, :end])[:, -1].argmax(axis=-1)
        assert text[:, end].tolist() == likeliest.tolist()


def test_generation_beyond_the_context_looks_at_the_last_tokens_only(monkeypatch):
    network, windows = tiny(), []
    monkeypatch.setattr(network, "predict", lambda tokens: windows.append(tokens[0].tolist()) or np.eye(5)[tokens])
    network.generate(np.array([[0, 1, 2, 3, 4]]), 3)  # this predict repeats the last token
    assert windows == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 4], [1, 2, 3, 4, 4, 4]]


def test_a_generator_replaces_generation():
    network = tiny()
    network.generator = lambda model, prompt, count: (model is network, prompt, count)
    assert network.generate("prompt", 3) == (True, "prompt", 3)


@pytest.mark.parametrize("shape", [(2, 0), (2, 7), (2,), (2, 3, 4)])
def test_tokens_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match=r"1 <= T <= 6, got"):
        tiny().predict(np.zeros(shape, int))
