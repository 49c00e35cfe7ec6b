"""Module 17: how many bits, how wrong, how many bytes, and that the model given stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.compact import CompactParameter, weight_matrices
from tinytorch.core.compression import apply_pruning
from tinytorch.core.layers import LayerNorm, Linear, Parameter, WeightsError, read_arrays
from tinytorch.core.models import CNN, MLP, CharTransformer, Network
from tinytorch.core.quantization import QuantizationError, apply_quantization


def rng(seed=0):
    return np.random.default_rng(seed)


def tiny(seed=0):
    return CharTransformer(symbols=5, context=6, width=8, blocks=2, heads=2, hidden=12, rng=rng(seed))


NETWORKS = {
    "mlp": (lambda seed=0: MLP(hidden=(8, 6), rng=rng(seed)), rng().integers(256, size=(3, 784), dtype=np.uint8)),
    "cnn": (lambda seed=0: CNN((2, 3), rng(seed)), rng().integers(256, size=(3, 28, 28, 1), dtype=np.uint8)),
    "transformer": (tiny, rng().integers(5, size=(3, 6))),
}
each_network = pytest.mark.parametrize(("make", "inputs"), NETWORKS.values(), ids=NETWORKS)
each_width = pytest.mark.parametrize("bits", range(2, 9))


def matrices(model):
    return [weight for _, _, weight in weight_matrices(model)]


def snapshot(model):
    return {name: (type(weight), weight.data.tolist()) for name, weight in model.named_parameters()}


def file_bytes(model):
    return sum(array.nbytes for array in model.state_dict().values())


# ---------------------------------------------------------------- what becomes of the weights


@each_width
@each_network
def test_every_matrix_gets_the_bits_and_biases_stay_floats(make, inputs, bits):
    model = apply_quantization(make(), bits)
    assert {weight.bits for weight in matrices(model)} == {bits}
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    assert others
    assert {type(parameter) for parameter in others} == {Parameter}


@pytest.mark.parametrize("per_channel", [True, False])
@each_width
@each_network
def test_no_weight_moves_by_more_than_half_a_step(make, inputs, bits, per_channel):
    model = make()
    for before, after in zip(matrices(model), matrices(apply_quantization(model, bits, per_channel)), strict=True):
        assert (np.abs(after.data - before.data) <= after.scale * 0.5001).all()


@each_network
def test_a_channel_is_an_output(make, inputs):
    for weight in matrices(apply_quantization(make())):
        outputs = weight.shape[0] if weight.ndim == 4 else weight.shape[-1]
        assert weight.scale.size == outputs == max(weight.scale.shape)
    assert {weight.scale.size for weight in matrices(apply_quantization(make(), per_channel=False))} == {1}


def moved(model, changed):
    pairs = zip(matrices(model), matrices(changed), strict=True)
    return sum(float(((before.data - after.data) ** 2).sum()) for before, after in pairs)


@each_network
def test_more_bits_and_a_scale_a_channel_move_the_weights_less(make, inputs):
    model = make()
    by_bits = [moved(model, apply_quantization(model, bits)) for bits in range(2, 9)]
    assert by_bits == sorted(by_bits, reverse=True)
    assert by_bits[2] < moved(model, apply_quantization(model, 4, per_channel=False))


@each_network
def test_eight_bits_hardly_change_the_logits_and_two_do(make, inputs):
    model = make()
    logits = model.predict(inputs)
    wrong = {bits: np.linalg.norm(apply_quantization(model, bits).predict(inputs) - logits) for bits in (2, 8)}
    assert wrong[8] < 0.03 * np.linalg.norm(logits)
    assert wrong[2] > 10 * wrong[8]


@each_network
def test_the_model_given_is_left_alone(make, inputs):
    model = add_custom_kernels(make(), version=3)
    before, engine, answer = snapshot(model), model.engine, model.predict(inputs)
    changed = apply_quantization(model, 2)
    assert changed is not model
    assert type(changed) is type(model)
    assert snapshot(model) == before
    assert model.engine is engine
    assert np.array_equal(model.predict(inputs), answer)


@each_network
def test_an_engine_is_built_again_for_the_quantized_weights(make, inputs):
    changed = apply_quantization(add_custom_kernels(make(), version=3), bits=3)
    slow = apply_quantization(make(), bits=3)
    np.testing.assert_allclose(changed.predict(inputs), slow.predict(inputs), rtol=1e-3, atol=1e-4)


@each_network
def test_fewer_bits_later_are_the_bits(make, inputs):
    once, twice = apply_quantization(make(), 3), apply_quantization(apply_quantization(make(), 8), 3)
    assert {weight.bits for weight in matrices(twice)} == {3}
    np.testing.assert_allclose(twice.predict(inputs), once.predict(inputs), rtol=0.2, atol=0.2)


@each_network
def test_the_same_bits_again_change_nothing(make, inputs):
    once = apply_quantization(make(), 4)
    codes = [weight.codes.tolist() for weight in matrices(once)]
    assert [weight.codes.tolist() for weight in matrices(apply_quantization(once, 4))] == codes


@each_network
def test_pruned_weights_stay_zero(make, inputs):
    pruned = apply_pruning(make(), 0.5, fine_tune=False)
    for before, after in zip(matrices(pruned), matrices(apply_quantization(pruned, 4)), strict=True):
        assert np.array_equal(after.mask, before.mask)
        assert not after.data[~before.mask].any()
        assert (after.mask.sum(), after.bits) == (after.size - round(after.size / 2), 4)


# ---------------------------------------------------------------- in the file


def test_the_sprint_in_eight_bits_is_a_quarter():
    weights, biases = 784 * 128 + 128 * 64 + 64 * 10, 128 + 64 + 10
    model = MLP(rng=rng())
    assert file_bytes(model) == 4 * (weights + biases)
    scales, width = biases, 3  # a scale an output, as biases; and three times the number of bits
    assert file_bytes(apply_quantization(model)) == weights + 4 * scales + width + 4 * biases


@each_width
@each_network
def test_the_file_holds_integers_of_so_many_bits(make, inputs, bits, tmp_path):
    model = apply_quantization(make(), bits)
    model.save_weights(tmp_path / "w.npz")
    stored = read_arrays(tmp_path / "w.npz")
    for name, weight in model.named_parameters():
        if weight.ndim >= 2:
            assert stored[f"{name}:codes"].dtype == np.uint8
            assert stored[f"{name}:codes"].size == -(-weight.size * bits // 8)
            assert stored[f"{name}:bits"] == bits
        else:
            assert stored[name].dtype == np.float32


@pytest.mark.parametrize("per_channel", [True, False])
@each_width
@each_network
def test_an_equally_quantized_model_takes_the_weights_over(make, inputs, bits, per_channel, tmp_path):
    saved, loaded = (apply_quantization(make(seed), bits, per_channel) for seed in (1, 2))
    assert snapshot(saved) != snapshot(loaded)
    saved.save_weights(tmp_path / "w.npz")
    loaded.load_weights(tmp_path / "w.npz")
    assert snapshot(loaded) == snapshot(saved)
    assert np.array_equal(loaded.predict(inputs), saved.predict(inputs))


def test_a_pruned_and_quantized_model_survives_a_file(tmp_path):
    saved, loaded = (apply_quantization(apply_pruning(tiny(seed), fine_tune=False), 4) for seed in (1, 2))
    saved.save_weights(tmp_path / "w.npz")
    loaded.load_weights(tmp_path / "w.npz")
    assert snapshot(loaded) == snapshot(saved)


def test_quantized_weights_do_not_fit_a_model_of_floats(tmp_path):
    apply_quantization(tiny()).save_weights(tmp_path / "w.npz")
    with pytest.raises(WeightsError, match="symbol.weight: expected a plain array, the file has parts .*'codes'"):
        tiny().load_weights(tmp_path / "w.npz")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("bits", [None, 0, 1, 9, 32, 4.0, 2.5, "8", True, np.nan])
def test_a_strange_number_of_bits_is_named(bits):
    with pytest.raises(QuantizationError, match=f"2 to 8 bits, a whole number, got bits={bits!r}"):
        apply_quantization(tiny(), bits)


def test_numpys_integers_are_bits_too():
    assert {weight.bits for weight in matrices(apply_quantization(tiny(), np.int8(8)))} == {8}


@pytest.mark.parametrize("model", [Linear(2, 2, rng()), object(), None], ids=["layer", "object", "None"])
def test_what_is_no_network_is_refused(model):
    with pytest.raises(
        QuantizationError, match=f"takes an MLP, CNN or CharTransformer, got {type(model).__name__}"
    ):
        apply_quantization(model)


def test_a_network_without_matrices_is_refused():
    class Norms(Network):
        def __init__(self):
            self.norm = LayerNorm(3)

    with pytest.raises(QuantizationError, match="Norms has no parameter with two or more axes"):
        apply_quantization(Norms())


def test_a_network_of_ones_own_is_quantized_as_well():
    class Own(Network):
        def __init__(self):
            self.layer = Linear(2, 2, rng())

    assert isinstance(apply_quantization(Own()).layer.weight, CompactParameter)
