"""The tree of layers, its weights on their way to a file and back, and what a wrong shape or file gets."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.attention import CausalAttention
from tinytorch.core.compact import CompactParameter
from tinytorch.core.conv import Conv2d, MaxPool2d
from tinytorch.core.layers import (
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    Module,
    Parameter,
    ReLU,
    Sequential,
    WeightsError,
    read_arrays,
)
from tinytorch.core.losses import soft_cross_entropy
from tinytorch.core.models import CNN, MLP, CharTransformer
from tinytorch.core.tensor import ShapeError, Tensor
from tinytorch.core.transformer import FeedForward, TransformerBlock


def rng(seed=0):
    return np.random.default_rng(seed)


def small(seed=0):
    """Two linear layers with dropout between: weights (2, 3), (3,), (3, 1), (1,)."""
    return Sequential(Linear(2, 3, rng(seed)), Dropout(0.5, rng()), Linear(3, 1, rng(seed + 1)))


class Pair(Module):
    """Parameters of its own, a sub-layer, and a list with something in it that is no layer."""

    def __init__(self):
        self.shift = Parameter(np.zeros(2))
        self.inner = Linear(2, 2, rng())
        self.many = [LayerNorm(2), "no layer", ReLU()]


def values(model):
    return {name: parameter.data.tolist() for name, parameter in model.named_parameters()}


# ---------------------------------------------------------------- the tree


def test_parameters_are_found_in_attributes_and_lists_in_the_order_they_were_made():
    names = [name for name, _ in Pair().named_parameters()]
    assert names == ["shift", "inner.weight", "inner.bias", "many.0.scale", "many.0.shift"]
    assert [parameter.shape for parameter in Pair().parameters()] == [(2,), (2, 2), (2,), (2,), (2,)]


def test_modules_are_named_by_their_way_from_the_root():
    kinds = {name: type(module).__name__ for name, module in Pair().modules()}
    assert kinds == {"": "Pair", "inner": "Linear", "many.0": "LayerNorm", "many.2": "ReLU"}


def test_names_of_the_transformer_follow_its_parts():
    names = dict(CharTransformer(rng=rng()).named_parameters())
    assert {
        "symbol.weight",
        "blocks.1.attention.key.bias",
        "blocks.0.feed_forward.expand.weight",
    } < names.keys()


def test_train_and_eval_reach_the_whole_tree():
    model = small()
    assert not any(module.training for _, module in model.modules())
    assert all(module.training for _, module in model.train().modules())
    assert not any(module.training for _, module in model.eval().modules())


def test_a_layer_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Pair has no forward\(\)"):
        Pair()(Tensor([1.0]))


def test_initial_weights_stay_in_their_bound_and_come_from_the_seed():
    weight = Linear(6, 50, rng()).weight.data
    assert 0.9 < np.abs(weight).max() <= 1  # sqrt(6 / 6)
    assert weight.dtype == np.float32
    assert values(small(seed=1)) == values(small(seed=1)) != values(small(seed=2))


# ---------------------------------------------------------------- dropout


def test_dropout_works_only_while_training():
    layer, x = Dropout(0.5, rng()), Tensor(np.ones((4, 8)))
    assert layer(x) is x
    assert set(layer.train()(x).data.ravel().tolist()) == {0, 2}
    assert layer.eval()(x) is x


def test_dropout_of_nothing_is_nothing():
    x = Tensor([1.0])
    assert Dropout(0, rng()).train()(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1, 50])
def test_a_dropout_rate_is_a_share(rate):
    with pytest.raises(ValueError, match=rf"share in \[0, 1\), got {rate}"):
        Dropout(rate, rng())


# ---------------------------------------------------------------- wrong shapes

WRONG = {
    "Linear": (lambda x: Linear(4, 2, rng())(x), (3, 5), r"\(4, 2\).*\(3, 5\)"),
    "LayerNorm": (lambda x: LayerNorm(4)(x), (3, 5), r"\(3, 5\).*\(4,\)"),
    "Conv2d channels": (lambda x: Conv2d(3, 2, 2, rng())(x), (1, 4, 5, 5), r"\(1, 4, 5, 5\), \(2, 3, 2, 2\)"),
    "Conv2d size": (lambda x: Conv2d(1, 2, 3, rng())(x), (1, 1, 5, 2), r"\(1, 1, 5, 2\), \(2, 1, 3, 3\)"),
    "MaxPool2d": (lambda x: MaxPool2d(2)(x), (1, 3, 4, 1), r"\(N, C, H, W\) with H, W >= 2.*\(1, 3, 4, 1\)"),
    "MaxPool2d axes": (lambda x: MaxPool2d(2)(x), (4, 4), r"\(N, C, H, W\).*\(4, 4\)"),
    "CausalAttention": (lambda x: CausalAttention(4, 2, rng())(x), (1, 3, 6), r"\(4, 4\).*\(1, 3, 6\)"),
    "CausalAttention axes": (lambda x: CausalAttention(4, 2, rng())(x), (3, 4), r"\(N, Q, D\).*\(3, 4\)"),
    "FeedForward": (lambda x: FeedForward(4, 8, rng())(x), (1, 3, 6), r"\(4, 8\).*\(1, 3, 6\)"),
    "TransformerBlock": (lambda x: TransformerBlock(4, 2, 8, rng())(x), (1, 3, 6), r"\(1, 3, 6\).*\(4,\)"),
    "Sequential": (lambda x: Sequential(Flatten(), Linear(4, 2, rng()))(x), (3, 5), r"\(4, 2\).*\(3, 5\)"),
    "MLP": (lambda x: MLP().predict(x.data), (2, 28, 28), r"\(N, 784\).*\(2, 28, 28\)"),
    "CNN": (lambda x: CNN().predict(x.data), (2, 784), r"\(N, 28, 28, 1\).*\(2, 784\)"),
    "CharTransformer": (lambda x: CharTransformer().predict(x.data), (2, 65), r"T <= 64.*\(2, 65\)"),
    "soft_cross_entropy": (lambda x: soft_cross_entropy(x, np.ones((2, 4))), (2, 3), r"\(2, 3\).*\(2, 4\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shape_is_named_beside_the_one_expected(name):
    call, shape, words = WRONG[name]
    with pytest.raises(ShapeError, match=words):
        call(Tensor(np.zeros(shape)))


def test_an_unknown_symbol_is_named_beside_the_table():
    with pytest.raises(ShapeError, match=r"\(1, 2\) reach from 1 to 66, the table is \(66, 64\)"):
        CharTransformer().predict(np.array([[1, 66]]))
    with pytest.raises(ShapeError, match="must be integers, got float64"):
        Embedding(4, 2, rng())(np.array([0.5]))


def test_a_width_that_the_heads_do_not_divide_is_refused_at_once():
    with pytest.raises(ShapeError, match="width 6 cannot be split into 4 heads"):
        CausalAttention(6, 4, rng())


# ---------------------------------------------------------------- weights to a file and back


def test_weights_survive_a_file_without_pickle(tmp_path):
    saved, other = small(seed=1), small(seed=2)
    saved.save_weights(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {"layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"}
        assert {archive[name].dtype for name in archive.files} == {np.dtype(np.float32)}
    other.load_weights(tmp_path / "w.npz")
    assert values(other) == values(saved)


def test_weights_are_written_to_the_very_name_that_was_given(tmp_path):
    small().save_weights(tmp_path / "weights")
    small().load_weights(tmp_path / "weights")
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_trace(tmp_path, monkeypatch):
    def stop_half_way(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    saved, path = small(), tmp_path / "w.npz"
    saved.save_weights(path)
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", stop_half_way)
    with pytest.raises(OSError, match="disk full"):
        saved.save_weights(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_compact_weights_stay_integer_in_the_file(tmp_path):
    def compacted(seed):
        model = small(seed)
        weight = model.layers[0].weight.data
        model.layers[0].weight = CompactParameter(weight, bits=4, axis=1, mask=weight > -0.5)
        return model

    saved, other = compacted(seed=1), compacted(seed=2)
    saved.save_weights(tmp_path / "w.npz")
    parts = read_arrays(tmp_path / "w.npz")
    assert parts["layers.0.weight:codes"].dtype == np.uint8
    assert {name.partition(":")[2] for name in parts} == {"", "codes", "scale", "bits", "bitmap"}
    other.load_weights(tmp_path / "w.npz")
    assert values(other) == values(saved)


def test_a_state_is_a_snapshot():
    model = small()
    state = model.state_dict()
    state["layers.0.bias"][:] = 7
    assert model.layers[0].bias.data.tolist() == [0, 0, 0]
    model.load_state_dict(state)
    state["layers.0.bias"][:] = 8
    assert model.layers[0].bias.data.tolist() == [7, 7, 7]


def test_a_loaded_weight_takes_the_precision_of_the_model():
    model = small()
    model.load_state_dict({name: array.astype(np.float64) for name, array in model.state_dict().items()})
    assert {parameter.data.dtype for parameter in model.parameters()} == {np.dtype(np.float32)}


# ---------------------------------------------------------------- weights that do not fit


def without(state, name):
    return {key: array for key, array in state.items() if key != name}


LAST = "layers.2.weight"  # so that everything before it would already have been changed
UNFIT = {
    "missing": (lambda s: without(s, LAST), r"missing \['layers.2.weight'\], unknown \[\]"),
    "unknown": (lambda s: s | {"layers.9.weight": s[LAST]}, r"missing \[\], unknown \['layers.9.weight'\]"),
    "wrong shape": (lambda s: s | {LAST: s[LAST].T}, r"layers.2.weight: .*\(1, 3\), model \(3, 1\)"),
    "compact": (
        lambda s: without(s, LAST) | {LAST + ":codes": s[LAST]},
        r"plain array, .* parts \['codes'\]",
    ),
    "words": (
        lambda s: s | {LAST: np.array([["a"], ["b"], ["c"]])},
        "layers.2.weight: expected real numbers, .*U1",
    ),
    "complex": (lambda s: s | {LAST: s[LAST] * 1j}, "layers.2.weight: expected real numbers, .*complex"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_weights_that_do_not_fit_are_named_and_change_nothing(name):
    spoil, words = UNFIT[name]
    model = small(seed=1)
    before = values(model)
    with pytest.raises(WeightsError, match=words):
        model.load_state_dict(spoil(small(seed=2).state_dict()))
    assert values(model) == before


def cut(share):
    return lambda content: content[: int(share * len(content))]


def flipped(content):
    """One bit of the last weight: found by the checksum of the archive."""
    at = content.rindex(b"PK\x01\x02") - 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [cut(0), cut(0.01), cut(0.5), cut(0.99), lambda content: content[len(content) // 2 :], flipped],
    ids=["empty", "a few bytes", "half", "all but the end", "second half", "one bit"],
)
def test_a_damaged_file_is_a_clear_error_and_changes_nothing(damage, tmp_path):
    path, model = tmp_path / "w.npz", small(seed=1)
    small(seed=2).save_weights(path)
    path.write_bytes(damage(path.read_bytes()))
    before = values(model)
    with pytest.raises(WeightsError, match=r"w\.npz is not a readable .npz .*; get the file again"):
        model.load_weights(path)
    assert values(model) == before


def test_a_file_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file at .*none\.npz; train or reinstall"):
        small().load_weights(tmp_path / "none.npz")


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(WeightsError, match="not a readable .npz"):
        small().load_weights(tmp_path)


def test_python_objects_in_a_file_are_refused_and_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    np.savez(tmp_path / "w.npz", weight=np.array([Bomb()], dtype=object))
    with pytest.raises(WeightsError, match="Object arrays cannot be loaded"):
        read_arrays(tmp_path / "w.npz")
    np.save(tmp_path / "w.npy", np.array([Bomb()], dtype=object))
    with pytest.raises(WeightsError):
        read_arrays(tmp_path / "w.npy")


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "w.npy", np.ones(3))
    with pytest.raises(WeightsError, match="not a readable .npz"):
        read_arrays(tmp_path / "w.npy")
