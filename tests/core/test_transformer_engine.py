"""Every version of the transformer's kernels against the Tensor layers: whole, in single operations, and alone."""

from __future__ import annotations

import copy
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.core import transformer_engine
from tinytorch.core.compact import CompactParameter
from tinytorch.core.layers import LayerNorm, Linear
from tinytorch.core.models import CharTransformer
from tinytorch.core.tensor import ShapeError
from tinytorch.core.transformer import FeedForward
from tinytorch.core.transformer_engine import ROWS, EngineError, build_transformer_engine

needs_numba = pytest.mark.skipif(
    find_spec("numba") is None, reason="numba is missing: pip install 'tinytorch[fast]'"
)
STEPPING = [3, pytest.param(4, marks=needs_numba)]
VERSIONS = [0, 1, 2, *STEPPING]
INSTALLED = range(5 if find_spec("numba") else 4)


def rng(seed=0):
    return np.random.default_rng(seed)


def language_model(symbols=7, context=6, width=6, blocks=2, heads=3, hidden=5, seed=0):
    """Norms and biases as training leaves them; new layers have ones and zeros, which hide many a mistake."""
    model = CharTransformer(symbols, context, width, blocks, heads, hidden, rng(seed))
    draw = rng(seed + 1)
    for _, layer in model.modules():
        if isinstance(layer, (Linear, LayerNorm)):
            offset = layer.bias if isinstance(layer, Linear) else layer.shift
            offset.data = draw.normal(size=offset.shape).astype(np.float32) / 2
        if isinstance(layer, LayerNorm):
            layer.scale.data = draw.uniform(0.5, 2, layer.scale.shape).astype(np.float32)
    model.symbol.weight.data = draw.normal(size=(symbols, width)).astype(np.float32)
    model.position.weight.data = draw.normal(size=(context, width)).astype(np.float32)
    return model


def some_tokens(*shape, symbols=7, seed=0):
    return rng(seed).integers(0, symbols, shape)


def floats(*shape, seed=0):
    return rng(seed).normal(size=shape).astype(np.float32)


def assert_agree(seen, expected):
    """To 1e-4 of the spread, and in float32."""
    assert seen.dtype == np.float32
    assert seen.shape == expected.shape
    np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-4 * max(expected.std(), 1e-3))


def arrays_of(value):
    """All arrays of an object, found as the measuring protocol finds them; anything else must be plain."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [array for item in value.values() for array in arrays_of(item)]
    assert isinstance(value, int) or type(value).__module__ == transformer_engine.__name__, value
    return [] if isinstance(value, int) else arrays_of(vars(value))


# -- whole predictions ---------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 3), st.integers(1, 9), st.integers(1, 8), st.data())
def test_logits_are_those_of_the_layers(heads, size, blocks, hidden, context, data):
    model = language_model(5, context, heads * size, blocks, heads, hidden)
    tokens = some_tokens(data.draw(st.integers(1, 4)), data.draw(st.integers(1, context)), symbols=5)
    for version in INSTALLED:
        assert_agree(build_transformer_engine(model, version)(tokens), model.predict(tokens))


@pytest.mark.parametrize("version", VERSIONS)
def test_more_sequences_than_a_block_holds_come_out_in_order(version):
    model = language_model()
    tokens = some_tokens(2 * ROWS // 6 + 1, 6)
    assert_agree(build_transformer_engine(model, version)(tokens), model.predict(tokens))


@pytest.mark.parametrize("version", VERSIONS)
def test_no_sequences_give_no_logits(version):
    assert build_transformer_engine(language_model(), version)(some_tokens(0, 4)).shape == (0, 4, 7)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_later_token_changes_no_earlier_logits(version):
    engine = build_transformer_engine(language_model(), version)
    tokens = some_tokens(3, 6)
    before = engine(tokens)
    tokens[:, 4] = (tokens[:, 4] + 1) % 7
    after = engine(tokens)
    np.testing.assert_array_equal(after[:, :4], before[:, :4])
    assert (after[:, 4:] != before[:, 4:]).any()


@pytest.mark.parametrize("version", VERSIONS)
def test_scores_beyond_what_exp_can_take_are_no_trouble(version):
    model = language_model()
    for block in model.blocks:
        block.attention.query.weight.data = 100 * block.attention.query.weight.data
    tokens = some_tokens(3, 6)
    assert_agree(build_transformer_engine(model, version)(tokens), model.predict(tokens))


@pytest.mark.parametrize("version", VERSIONS)
def test_blocks_may_have_different_numbers_of_hidden_units(version):
    model = language_model(hidden=5)
    model.blocks[1].feed_forward = FeedForward(6, 3, rng())
    tokens = some_tokens(2, 6)
    assert_agree(build_transformer_engine(model, version)(tokens), model.predict(tokens))


@pytest.mark.parametrize("version", VERSIONS)
def test_compact_weights_become_floats_once(version, monkeypatch):
    model = language_model()
    contract = model.blocks[0].feed_forward.contract
    contract.weight = CompactParameter(contract.weight.data, bits=8, axis=1)
    model.head.weight = CompactParameter(model.head.weight.data, bits=4)
    tokens, engine = some_tokens(2, 6), build_transformer_engine(model, version)
    expected = model.predict(tokens)
    monkeypatch.setattr(CompactParameter, "data", None)
    assert_agree(engine(tokens), expected)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_tokens_may_be_any_integers_and_read_only(version, dtype):
    model = language_model()
    tokens = some_tokens(2, 6).astype(dtype)
    tokens.flags.writeable = False
    assert_agree(build_transformer_engine(model, version)(tokens), model.predict(tokens))


def test_a_fused_prediction_needs_less_than_half_the_memory():
    model = language_model(width=32, context=64, heads=4, hidden=128)
    tokens = some_tokens(32, 64)
    engine = build_transformer_engine(model, 3)
    peaks = []
    for predict in (model.predict, engine):
        tracemalloc.start()
        predict(tokens)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 2 * peaks[1]


# -- single operations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_each_operation_gives_what_the_layers_give(version):
    model, x = language_model(), floats(3, 5, 6) + 2
    x.flags.writeable = False
    own, theirs = build_transformer_engine(model, version).ops, model.ops
    assert own.keys() == theirs.keys()
    assert_agree(own["embed"](some_tokens(3, 4)), theirs["embed"](some_tokens(3, 4)))
    assert_agree(own["embed"](some_tokens(3, 2), 4), theirs["embed"](some_tokens(3, 2), 4))
    for index in range(5):
        assert_agree(own["normalize"](x, index), theirs["normalize"](x, index))
    for block in range(2):
        for mine, other in zip(own["project"](x, block), theirs["project"](x, block), strict=True):
            assert_agree(mine, other)
        assert_agree(own["output"](x, block), theirs["output"](x, block))
        assert_agree(own["feed_forward"](x, block), theirs["feed_forward"](x, block))
    assert_agree(own["head"](x), theirs["head"](x))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("queries", [1, 3, 5])
def test_attention_serves_the_last_queries_of_longer_keys(version, queries):
    model = language_model()
    k, v = floats(60, 5, 6, seed=1), floats(60, 5, 6, seed=2)
    q = np.split(floats(60, 5, 18), 3, axis=-1)[1][:, -queries:]  # a view with gaps, as project gives
    assert_agree(build_transformer_engine(model, version).ops["attend"](q, k, v), model.ops["attend"](q, k, v))


@pytest.mark.parametrize("version", VERSIONS)
def test_results_are_safe_from_the_next_call_and_inputs_from_this_one(version):
    engine = build_transformer_engine(language_model(), version)
    calls = [
        (engine, (some_tokens(2, 6),), (some_tokens(2, 6, seed=1),)),
        (engine.ops["embed"], (some_tokens(2, 6),), (some_tokens(2, 6, seed=1),)),
        (engine.ops["normalize"], (floats(2, 6, 6), 0), (floats(2, 6, 6, seed=1), 0)),
        (engine.ops["project"], (floats(2, 6, 6), 0), (floats(2, 6, 6, seed=1), 0)),
        (engine.ops["attend"], (floats(2, 6, 6),) * 3, (floats(2, 6, 6, seed=1),) * 3),
        (engine.ops["output"], (floats(2, 6, 6), 0), (floats(2, 6, 6, seed=1), 0)),
        (engine.ops["feed_forward"], (floats(2, 6, 6), 0), (floats(2, 6, 6, seed=1), 0)),
        (engine.ops["head"], (floats(2, 6, 6),), (floats(2, 6, 6, seed=1),)),
    ]
    for function, arguments, others in calls:
        given_in = copy.deepcopy(arguments)
        result = function(*arguments)
        kept = copy.deepcopy(result)
        function(*others)
        np.testing.assert_array_equal(np.array(result), np.array(kept))
        np.testing.assert_array_equal(np.array(arguments[0]), np.array(given_in[0]))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_network_with_an_engine_offers_the_engines_operations(version):
    model = language_model()
    model.engine = build_transformer_engine(model, version)
    assert all(operation.__self__ is model.engine for operation in model.ops.values())


# -- a step --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", STEPPING)
@pytest.mark.parametrize("count", [1, 3, 40])
def test_steps_give_the_logits_of_the_whole_sequence(version, count):
    model = language_model()
    engine = build_transformer_engine(model, version)
    tokens = some_tokens(count, 6)
    keys, values = np.empty((2, 2, count, 6, 6), np.float32)
    for past in range(6):
        logits = engine.step(tokens[:, past], past, keys, values)
        assert_agree(logits, model.predict(tokens[:, : past + 1])[:, -1])


@pytest.mark.parametrize("version", STEPPING)
def test_a_step_beyond_the_context_or_into_other_buffers_is_an_error(version):
    engine = build_transformer_engine(language_model(), version)
    room = np.empty((2, 3, 6, 6), np.float32)
    with pytest.raises(ShapeError, match=r"0 <= past < 6.* got \(3,\), 6,"):
        engine.step(some_tokens(3), 6, room, room)
    with pytest.raises(ShapeError, match=r"values \(2, 3, 6, 6\); .* \(2, 2, 6, 6\)$"):
        engine.step(some_tokens(3), 0, room, room[:, 1:])


@pytest.mark.parametrize("version", STEPPING)
def test_a_step_with_a_token_that_is_none_is_an_error(version):
    engine = build_transformer_engine(language_model(), version)
    room = np.empty((2, 1, 6, 6), np.float32)
    with pytest.raises(IndexError, match="7"):
        engine.step(np.array([7]), 0, room, room)


# -- what does not fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", [(6,), (2, 7), (2, 0), (1, 2, 3)])
def test_tokens_of_another_shape_are_an_error_with_that_shape(version, shape):
    engine = build_transformer_engine(language_model(), version)
    with pytest.raises(ShapeError, match=r"takes tokens \(N, T\) with 1 <= T <= 6, got \(" + str(shape[0])):
        engine(np.zeros(shape, int))


@pytest.mark.parametrize("version", VERSIONS)
def test_tokens_that_are_no_integers_or_no_symbols_are_errors(version):
    engine = build_transformer_engine(language_model(), version)
    with pytest.raises(ShapeError, match="integers, got float64"):
        engine(np.zeros((1, 6)))
    with pytest.raises(IndexError, match="7"):
        engine(np.full((1, 6), 7))
    with pytest.raises(ShapeError, match="1 <= T <= 2 from position 4 on, got"):
        engine.ops["embed"](some_tokens(1, 3), 4)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["normalize", "project", "output", "feed_forward"])
def test_a_wrong_width_is_an_error_with_both_widths(version, name):
    operation = build_transformer_engine(language_model(), version).ops[name]
    with pytest.raises(ShapeError, match=r"takes x \(N, T, 6\), got \(2, 5, 4\)"):
        operation(floats(2, 5, 4), 0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("q", "k"), [((2, 5, 6), (2, 4, 6)), ((2, 4, 6), (3, 4, 6)), ((2, 4, 4), (2, 4, 4)), ((2, 4, 6), (2, 7, 6))]
)
def test_attention_of_arrays_that_do_not_fit_is_an_error(version, q, k):
    attend = build_transformer_engine(language_model(), version).ops["attend"]
    with pytest.raises(ShapeError, match=r"Q <= T <= 6 and D divisible by 3 heads; got"):
        attend(floats(*q), floats(*k), floats(*k))


def test_versions_that_do_not_exist_or_contradict_compiled_are_errors():
    with pytest.raises(EngineError, match="versions 0 to 4, got 5"):
        build_transformer_engine(language_model(), version=5)
    with pytest.raises(EngineError, match="version=2 and compiled=True contradict"):
        build_transformer_engine(language_model(), version=2, compiled=True)


def test_without_numba_the_best_is_numpy_and_asking_for_more_is_an_error(monkeypatch):
    monkeypatch.setattr(transformer_engine, "find_spec", lambda name: None)
    assert build_transformer_engine(language_model()).version == 3
    for wish in ({"version": 4}, {"compiled": True}):
        with pytest.raises(EngineError, match=r"needs numba: pip install 'tinytorch\[fast\]'"):
            build_transformer_engine(language_model(), **wish)


@needs_numba
def test_with_numba_the_best_is_compiled_unless_numpy_is_asked_for():
    assert build_transformer_engine(language_model()).version == 4
    assert build_transformer_engine(language_model(), compiled=False).version == 3


# -- a plain object ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_holds_plain_arrays_of_its_own(version):
    model = language_model()
    engine = build_transformer_engine(model, version)
    engine(some_tokens(2, 6))
    arrays = arrays_of(vars(engine))
    assert len(arrays) >= 14
    assert all(array.base is None and array.flags.c_contiguous for array in arrays)
    weights = [parameter.data for parameter in model.parameters()]
    assert not any(np.shares_memory(array, weight) for array in arrays for weight in weights)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_deep_copy_of_an_engine_goes_its_own_way(version):
    engine, tokens = build_transformer_engine(language_model(), version), some_tokens(2, 6)
    before, twin = engine(tokens), copy.deepcopy(engine)
    np.testing.assert_array_equal(twin(tokens), before)
    for array in arrays_of(vars(twin)):
        array[...] = 0
    np.testing.assert_array_equal(engine(tokens), before)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rebuilt_engine_has_the_new_weights_and_the_old_version(version):
    model, tokens = language_model(), some_tokens(2, 6)
    engine = build_transformer_engine(model, version)
    before = engine(tokens)
    changed = model.copy()
    changed.head.weight.data = 2 * changed.head.weight.data
    rebuilt = engine.rebuild(changed)
    assert rebuilt.version == engine.version == version
    assert rebuilt.name.startswith(f"v{version} ")
    assert_agree(rebuilt(tokens), changed.predict(tokens))
    np.testing.assert_array_equal(engine(tokens), before)
