"""Module 19: with a cache of keys and values the same tokens come out, for less work, whatever else was done."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import numpy as np
import pytest

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.caching import CachedGenerator, CachingError, KeyValueCache, SteppingEngine, add_kv_cache
from tinytorch.core.compression import apply_pruning
from tinytorch.core.layers import LayerNorm, Linear
from tinytorch.core.models import CNN, MLP, CharTransformer
from tinytorch.core.quantization import apply_quantization
from tinytorch.core.tensor import ShapeError

needs_numba = pytest.mark.skipif(
    find_spec("numba") is None, reason="numba is missing: pip install 'tinytorch[fast]'"
)
LAYERS = None
ENGINES = [LAYERS, 0, 1, 2, 3, pytest.param(4, marks=needs_numba)]


def language_model(context=8, blocks=2, seed=0):
    """9 symbols, sharp enough that the next one is never a close call, and different from place to place."""
    rng = np.random.default_rng(seed)
    model = CharTransformer(9, context, 12, blocks, 3, 16, rng)
    for parameter in model.parameters():
        parameter.data = parameter.data + rng.normal(0, 0.4, parameter.shape).astype(np.float32)
    return model


def with_kernels(model, version):
    return model if version is LAYERS else add_custom_kernels(model, version)


def some_prompt(count, length, seed=0):
    return np.random.default_rng(seed).integers(0, 9, (count, length))


class Counting:
    """Rows that go through layers of one kind while it is active, by the width of what comes out."""

    def __init__(self, monkeypatch):
        self.rows = {}
        forward = Linear.forward

        def counted(layer, x):
            out = layer.weight.shape[1]
            self.rows[out] = self.rows.get(out, 0) + int(np.prod(x.shape[:-1]))
            return forward(layer, x)

        monkeypatch.setattr(Linear, "forward", counted)


# -- the same tokens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ENGINES)
@pytest.mark.parametrize("length", [1, 3, 7, 8, 11], ids="a prompt of {}".format)
@pytest.mark.parametrize("count", [1, 3])
def test_tokens_are_those_of_plain_generation_also_beyond_the_context(version, length, count):
    model, prompt = language_model(), some_prompt(count, length)
    expected = model.generate(prompt, 12)
    tokens = with_kernels(add_kv_cache(model), version).generate(prompt, 12)
    np.testing.assert_array_equal(tokens, expected)
    assert tokens.dtype == expected.dtype
    assert len(set(tokens[:, length:].ravel())) > 2, "a model that repeats itself proves nothing"


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_number_of_blocks_does_not_matter(blocks):
    model, prompt = language_model(blocks=blocks), some_prompt(2, 3)
    np.testing.assert_array_equal(add_kv_cache(model).generate(prompt, 8), model.generate(prompt, 8))


@pytest.mark.parametrize("version", ENGINES)
def test_cache_and_kernels_compose_in_any_order(version):
    model, prompt = language_model(), some_prompt(2, 3)
    expected = model.generate(prompt, 9)
    np.testing.assert_array_equal(add_kv_cache(with_kernels(model, version)).generate(prompt, 9), expected)
    np.testing.assert_array_equal(with_kernels(add_kv_cache(model), version).generate(prompt, 9), expected)


@pytest.mark.parametrize("version", ENGINES)
def test_quantized_and_pruned_models_keep_their_own_tokens(version):
    compact = apply_pruning(apply_quantization(language_model()), 0.3, fine_tune=False)
    prompt = some_prompt(2, 3)
    expected = compact.generate(prompt, 9)
    np.testing.assert_array_equal(add_kv_cache(with_kernels(compact, version)).generate(prompt, 9), expected)
    last = apply_pruning(
        apply_quantization(with_kernels(add_kv_cache(language_model()), version)), 0.3, fine_tune=False
    )
    np.testing.assert_array_equal(last.generate(prompt, 9), expected)


def test_a_cache_on_a_cache_changes_nothing():
    model, prompt = language_model(), some_prompt(1, 3)
    np.testing.assert_array_equal(add_kv_cache(add_kv_cache(model)).generate(prompt, 9), model.generate(prompt, 9))


@pytest.mark.parametrize("count", [0, -1])
def test_nothing_to_generate_gives_the_prompt(count):
    prompt = some_prompt(2, 3)
    np.testing.assert_array_equal(add_kv_cache(language_model()).generate(prompt, count), prompt)


@pytest.mark.parametrize("version", ENGINES)
def test_no_sequences_are_continued_by_nothing(version):
    assert with_kernels(add_kv_cache(language_model()), version).generate(some_prompt(0, 3), 9).shape == (0, 12)


def test_tokens_in_bytes_that_may_not_be_written_to_are_continued_too():
    model, prompt = language_model(), some_prompt(2, 3).astype(np.uint8)
    prompt.flags.writeable = False
    tokens = add_kv_cache(model).generate(prompt, 9)
    np.testing.assert_array_equal(tokens, model.generate(prompt, 9))
    np.testing.assert_array_equal(tokens[:, :3], prompt)


# -- less work -----------------------------------------------------------------------------------------


def test_each_position_is_computed_once(monkeypatch):
    model, prompt = language_model(context=64), some_prompt(1, 8)
    counting = Counting(monkeypatch)
    add_kv_cache(model).generate(prompt, 56)
    hidden, logits = counting.rows[16], counting.rows[9]
    assert hidden == 63 + 56  # first block: 8 + 55 positions; last block: one for each new token
    assert logits == 56


def test_plain_generation_computes_ten_times_as_much(monkeypatch):
    model, prompt = language_model(context=64), some_prompt(1, 8)
    counting = Counting(monkeypatch)
    model.generate(prompt, 56)
    plain = sum(counting.rows.values())
    counting.rows.clear()
    add_kv_cache(model).generate(prompt, 56)
    assert plain > 10 * sum(counting.rows.values())


def test_where_the_engine_has_a_step_it_is_taken(monkeypatch):
    model = add_custom_kernels(add_kv_cache(language_model()), 3)
    steps, step = [], type(model.engine).step
    monkeypatch.setattr(
        type(model.engine), "step", lambda self, *inputs: steps.append(inputs[1]) or step(self, *inputs)
    )
    model.generate(some_prompt(1, 3), 5)
    assert isinstance(model.engine, SteppingEngine)
    assert steps == [3, 4, 5, 6]  # the prompt's three positions go in at once


def test_the_buffers_hold_the_context_and_are_made_once():
    cache = KeyValueCache(language_model(), 3)
    keys, values = cache.keys, cache.values
    cache.feed(some_prompt(3, 5))
    cache.feed(some_prompt(3, 1))
    assert cache.length == 6
    assert cache.keys is keys and cache.values is values
    assert keys.shape == values.shape == (2, 3, 8, 12)


# -- a verb --------------------------------------------------------------------------------------------


def test_the_model_given_stays_as_it_was():
    model, prompt = language_model(), some_prompt(1, 3)
    before = model.predict(prompt)
    cached = add_kv_cache(model)
    cached.head.bias.data[0] += 100
    assert model.generator is None
    np.testing.assert_array_equal(model.predict(prompt), before)
    assert (cached.generate(prompt, 4)[:, 3:] == 0).all()
    assert (model.generate(prompt, 4)[:, 3:] != 0).any()


@pytest.mark.parametrize("version", ENGINES)
def test_deep_copies_generate_independently(version):
    model, prompt = with_kernels(add_kv_cache(language_model()), version), some_prompt(1, 3)
    twin = copy.deepcopy(model)
    expected = model.generate(prompt, 9)
    np.testing.assert_array_equal(twin.generate(prompt, 9), expected)
    changed = twin.changed(lambda network: network.head.bias.data.__setitem__(0, 100.0))
    assert (changed.generate(prompt, 9)[:, 3:] == 0).all()
    np.testing.assert_array_equal(model.generate(prompt, 9), expected)


def test_a_generator_keeps_nothing_between_calls():
    cached, other = add_kv_cache(language_model()), some_prompt(4, 6, seed=1)
    expected = cached.generate(some_prompt(1, 3), 9)
    cached.generate(other, 9)
    np.testing.assert_array_equal(cached.generate(some_prompt(1, 3), 9), expected)
    assert isinstance(cached.generator, CachedGenerator) and not vars(cached.generator)


@pytest.mark.parametrize("model", [MLP((4,)), CNN((2, 2)), LayerNorm(3)], ids=lambda model: type(model).__name__)
def test_a_model_that_does_not_generate_is_an_error_that_says_why(model):
    with pytest.raises(CachingError, match=f"got {type(model).__name__}: a cache keeps keys and values"):
        add_kv_cache(model)


@pytest.mark.parametrize("shape", [(3,), (2, 0), (1, 2, 3)])
def test_a_prompt_of_another_shape_is_an_error(shape):
    with pytest.raises(ShapeError, match=r"a prompt \(N, P\) with P >= 1, got \(" + str(shape[0])):
        add_kv_cache(language_model()).generate(np.zeros(shape, int), 2)
