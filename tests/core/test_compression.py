"""Module 18: which weights and units go, what a fine-tune wins back, and what a smaller network can learn.

Shapes and zeros are counted on tiny networks; only what is said about quality needs the trained baselines and
their data, with far fewer steps than the recipes have.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tinytorch.core import compression
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import answers, example_errors
from tinytorch.core.caching import CachedGenerator, add_kv_cache
from tinytorch.core.compact import CompactParameter, weight_matrices
from tinytorch.core.compression import CompressionError, apply_pruning, distill, smaller, sparsity
from tinytorch.core.conv import Conv2d
from tinytorch.core.layers import Linear, Parameter
from tinytorch.core.models import CNN, MLP, CharTransformer, Recipe
from tinytorch.core.quantization import apply_quantization
from tinytorch.core.training import train
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import EVENTS, get_event


def rng(seed=0):
    return np.random.default_rng(seed)


def mlp(*hidden, stride=1):
    return MLP(hidden or (8, 4), stride, rng())


def cnn():
    return CNN((4, 8), rng())


def tiny(hidden=12):
    return CharTransformer(symbols=5, context=6, width=8, blocks=2, heads=2, hidden=hidden, rng=rng())


NETWORKS = {
    "mlp": (mlp, rng().integers(256, size=(4, 784), dtype=np.uint8)),
    "cnn": (cnn, rng().integers(256, size=(4, 28, 28, 1), dtype=np.uint8)),
    "transformer": (tiny, rng().integers(5, size=(4, 6))),
}
each_network = pytest.mark.parametrize(("make", "inputs"), NETWORKS.values(), ids=NETWORKS)


@dataclasses.dataclass(frozen=True)
class Lot:
    """A recipe's batches: some of the given inputs, with labels of which the model has learnt nothing."""

    inputs: np.ndarray

    def __call__(self, size, generator):
        while True:
            chosen = self.inputs[generator.integers(len(self.inputs), size=size)]
            text = chosen.shape[1:] == (6,)
            yield chosen, generator.integers(5, size=chosen.shape if text else size)


def recipe(inputs, steps=4):
    return Recipe(Lot(inputs), batch_size=4, rate=0.01, fine_tune_steps=steps, distill_steps=steps)


def matrices(model):
    return [weight for _, _, weight in weight_matrices(model)]


def shapes(model):
    return [weight.shape for weight in matrices(model)]


def snapshot(model):
    return {name: (type(weight), weight.data.tolist()) for name, weight in model.named_parameters()}


# ---------------------------------------------------------------- single weights


@pytest.mark.parametrize("amount", [0, 0.3, 0.5, 0.99])
@each_network
def test_each_matrix_loses_its_share(make, inputs, amount):
    for weight in matrices(apply_pruning(make(), amount, fine_tune=False)):
        assert (weight.data == 0).sum() == round(amount * weight.size)


@each_network
def test_the_smallest_go_and_the_rest_stays_as_it_was(make, inputs):
    model = make()
    for before, after in zip(matrices(model), matrices(apply_pruning(model, 0.4, fine_tune=False)), strict=True):
        assert np.abs(before.data[~after.mask]).max() <= np.abs(before.data[after.mask]).min()
        assert np.array_equal(after.data[after.mask], before.data[after.mask])


def test_sparsity_is_the_share_of_zeros():
    model = mlp(8)
    assert sparsity(model) == 0
    assert sparsity(apply_pruning(model, 0.5, fine_tune=False)) == 0.5


def same_weights(bits):
    """An MLP of one matrix (784, 10) of ones."""
    model = MLP((), rng=rng())
    model.network.layers[0].weight = CompactParameter(np.ones((784, 10), np.float32), bits)
    return model


def test_between_equal_weights_the_lot_decides():
    pruned = apply_pruning(same_weights(bits=2), 0.5, fine_tune=False)
    kept = matrices(pruned)[0].mask
    assert kept.sum() == 784 * 5
    assert kept.mean(axis=0) == pytest.approx(np.full(10, 0.5), abs=0.1)  # no output loses most
    assert kept[:392].mean() == pytest.approx(0.5, abs=0.05)  # nor do the first inputs


def test_the_lot_comes_from_the_seed():
    first, again, other = (apply_pruning(same_weights(8), fine_tune=False, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(matrices(first)[0].mask, matrices(again)[0].mask)
    assert not np.array_equal(matrices(first)[0].mask, matrices(other)[0].mask)


@each_network
def test_what_was_pruned_before_counts_and_stays_pruned(make, inputs):
    half = apply_pruning(make(), 0.5, fine_tune=False)
    assert snapshot(apply_pruning(half, 0.3, fine_tune=False)) == snapshot(half)
    for before, after in zip(matrices(half), matrices(apply_pruning(half, 0.75, fine_tune=False)), strict=True):
        assert not (after.mask & ~before.mask).any()
        assert after.mask.sum() == after.size - round(0.75 * after.size)


@pytest.mark.parametrize("per_channel", [True, False])
@each_network
def test_quantized_weights_stay_quantized(make, inputs, per_channel):
    model = apply_quantization(make(), 5, per_channel)
    for before, after in zip(matrices(model), matrices(apply_pruning(model, 0.3, fine_tune=False)), strict=True):
        assert (after.bits, after.axis) == (5, before.axis)
        assert after.scale.shape == before.scale.shape
        assert after.mask.sum() == after.size - round(0.3 * after.size)


# ---------------------------------------------------------------- whole units


def test_a_quarter_of_the_neurons_goes():
    assert shapes(apply_pruning(mlp(8, 4), 0.25, structured=True, fine_tune=False)) == [(784, 6), (6, 3), (3, 10)]


def test_half_of_the_channels_goes_with_all_their_pixels():
    pruned = apply_pruning(cnn(), 0.5, structured=True, fine_tune=False)
    assert shapes(pruned) == [(2, 1, 3, 3), (4, 2, 3, 3), (4 * 25, 10)]


def test_a_third_of_the_feed_forward_units_goes_and_nothing_else():
    before, after = tiny(), apply_pruning(tiny(), 1 / 3, structured=True, fine_tune=False)
    changed = [pair for pair in zip(shapes(before), shapes(after), strict=True) if pair[0] != pair[1]]
    assert changed == [((8, 12), (8, 8)), ((12, 8), (8, 8))] * 2


@each_network
def test_one_unit_always_stays(make, inputs):
    pruned = apply_pruning(make(), 0.99, structured=True, fine_tune=False)
    assert min(min(shape) for shape in shapes(pruned)) == 1
    assert np.isfinite(pruned.predict(inputs)).all()


def silence(model):
    """Every other unit that structured pruning may take speaks to nobody."""
    for producer, consumer in compression._pairs(model):
        units = len(producer.bias)
        axis = 1 if isinstance(consumer, Conv2d) else 0
        values = np.moveaxis(consumer.weight.data.copy(), axis, 0)
        values.reshape(units, -1, *values.shape[1:])[::2] = 0
        consumer.weight.data = np.moveaxis(values, 0, axis)
    return model


@each_network
def test_units_that_speak_to_nobody_are_not_missed(make, inputs):
    model = silence(make())
    pruned = apply_pruning(model, 0.5, structured=True, fine_tune=False)
    assert sum(map(np.prod, shapes(pruned))) < sum(map(np.prod, shapes(model)))
    np.testing.assert_allclose(pruned.predict(inputs), model.predict(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("event", EVENTS)
def test_a_few_units_less_change_the_answers_a_little_and_many_much(event):
    model, inputs = load_baseline(event), load_dataset(event).inputs[:20]
    logits = model.predict(inputs)

    def change(amount):
        pruned = apply_pruning(model, amount, structured=True, fine_tune=False)
        return np.linalg.norm(pruned.predict(inputs) - logits) / np.linalg.norm(logits)

    assert 0 < change(0.05) < 0.2 < change(0.5)


@each_network
def test_units_go_from_quantized_and_pruned_weights_as_well(make, inputs):
    model = apply_quantization(apply_pruning(make(), 0.5, fine_tune=False), 6)
    pruned = apply_pruning(model, 0.25, structured=True, fine_tune=False)
    assert shapes(pruned) == shapes(apply_pruning(make(), 0.25, structured=True, fine_tune=False))
    assert {weight.bits for weight in matrices(pruned)} == {6}
    assert all(not weight.data[~weight.mask].any() for weight in matrices(pruned))


# ---------------------------------------------------------------- the model given, and its engine


@pytest.mark.parametrize("structured", [False, True])
@each_network
def test_the_model_given_is_left_alone(make, inputs, structured):
    model = add_custom_kernels(make(), version=3)
    before, engine, answer = snapshot(model), model.engine, model.predict(inputs)
    apply_pruning(model, 0.5, structured, recipe=recipe(inputs))
    assert snapshot(model) == before
    assert model.engine is engine
    assert np.array_equal(model.predict(inputs), answer)


@pytest.mark.parametrize("structured", [False, True])
@each_network
def test_an_engine_is_built_again_for_what_is_left(make, inputs, structured):
    model = add_custom_kernels(make(), version=3)
    pruned = apply_pruning(model, 0.5, structured, recipe=recipe(inputs))
    slow = pruned.copy()
    slow.engine = None
    assert type(pruned.engine) is type(model.engine)
    np.testing.assert_allclose(pruned.predict(inputs), slow.predict(inputs), rtol=1e-3, atol=1e-4)


# ---------------------------------------------------------------- the fine-tune


@each_network
def test_zeros_stay_zero_after_every_step_of_a_fine_tune(make, inputs, monkeypatch):
    seen = []

    def watched(*arguments, after_step, **more):
        def look(model):
            after_step(model)
            seen.append(sparsity(model))

        return train(*arguments, after_step=look, **more)

    monkeypatch.setattr(compression, "train", watched)
    pruned = apply_pruning(make(), 0.5, recipe=recipe(inputs, steps=3))
    assert seen == [pytest.approx(0.5, abs=0.01)] * 3
    assert sparsity(pruned) == seen[-1]


@each_network
def test_a_fine_tune_moves_what_was_kept(make, inputs):
    raw, tuned = (apply_pruning(make(), 0.5, fine_tune=tune, recipe=recipe(inputs)) for tune in (False, True))
    for before, after in zip(matrices(raw), matrices(tuned), strict=True):
        assert np.array_equal(after.mask, before.mask)
        assert not np.array_equal(after.data, before.data)


@each_network
def test_quantized_weights_come_out_of_a_fine_tune_with_the_same_bits(make, inputs):
    model = apply_quantization(make(), 6)
    tuned = apply_pruning(model, 0.3, recipe=recipe(inputs))
    assert {(type(weight), weight.bits) for weight in matrices(tuned)} == {(CompactParameter, 6)}
    assert {type(other) for other in tuned.parameters() if other.ndim < 2} == {Parameter}


@each_network
def test_a_fine_tune_leaves_no_gradients_and_the_way_to_convolve(make, inputs):
    tuned = apply_pruning(make(), 0.3, recipe=recipe(inputs))
    assert [parameter.grad for parameter in tuned.parameters()] == [None] * len(tuned.parameters())
    assert not any(module.training for _, module in tuned.modules())
    assert all(layer.algorithm == "positions" for _, layer in tuned.modules() if isinstance(layer, Conv2d))


@each_network
def test_the_seed_decides_what_a_fine_tune_gives(make, inputs):
    first, again, other = (snapshot(apply_pruning(make(), recipe=recipe(inputs), seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_the_models_own_recipe_is_taken_and_kept():
    model = tiny()
    model.recipe = recipe(NETWORKS["transformer"][1])
    tuned = apply_pruning(model)
    assert tuned.recipe is model.recipe
    assert snapshot(tuned) == snapshot(apply_pruning(tiny(), recipe=model.recipe))


def error(model, graded):
    """Wrong answers of a hundred, or bits a character, by the kernels: they are the same and faster."""
    logits = answers(add_custom_kernels(model, compiled=False), graded)
    return example_errors(get_event(graded.event).metric, logits, graded.labels).mean()


def shortened(event, **changes):
    """The trained baseline of an event, its recipe changed so that a test is over in two seconds."""
    model = load_baseline(event)
    model.recipe = dataclasses.replace(model.recipe, **changes)
    return model


@pytest.mark.parametrize(
    ("event", "amount", "steps"),
    [("mlp_sprint", 0.7, 150), ("cnn_marathon", 0.5, 40), ("transformer_decathlon", 0.5, 30)],
)
def test_a_short_fine_tune_wins_more_than_half_of_the_loss_back(event, amount, steps):
    model = shortened(event, fine_tune_steps=steps)
    graded = load_dataset(event).grading_set(seed=1, copies=1)
    raw, tuned = (apply_pruning(model, amount, fine_tune=tune) for tune in (False, True))
    whole = error(model, graded)
    assert error(tuned, graded) - whole < 0.5 * (error(raw, graded) - whole)


# ---------------------------------------------------------------- distillation


def test_a_student_is_a_size_smaller():
    assert shapes(smaller(mlp(8, 4))) == [(14 * 14, 8), (8, 4), (4, 10)]
    assert shapes(smaller(cnn())) == [(3, 1, 3, 3), (6, 3, 3, 3), (6 * 25, 10)]
    assert smaller(tiny(hidden=12)).blocks[1].feed_forward.expand.weight.shape == (8, 6)


@each_network
def test_a_students_student_is_smaller_again(make, inputs):
    once = smaller(make())
    twice = smaller(once)
    assert sum(map(np.prod, shapes(twice))) < sum(map(np.prod, shapes(once)))
    assert twice.predict(inputs).shape == make().predict(inputs).shape


@pytest.mark.parametrize(
    ("event", "steps"), [("mlp_sprint", 150), ("cnn_marathon", 150), ("transformer_decathlon", 40)]
)
def test_a_distilled_student_is_smaller_and_better_than_an_untrained_one(event, steps):
    teacher = shortened(event, batch_size=16, rate=5e-3, distill_steps=steps)
    graded = load_dataset(event).grading_set(seed=1, copies=1)
    student = distill(teacher)
    assert sum(weight.size for weight in student.parameters()) < sum(
        weight.size for weight in teacher.parameters()
    )
    assert error(student, graded) < 0.9 * error(smaller(teacher), graded)


@each_network
def test_distilling_leaves_teacher_and_student_alone(make, inputs):
    teacher, student = make(), smaller(make())
    before = snapshot(teacher), snapshot(student)
    result = distill(teacher, student, recipe=recipe(inputs))
    assert (snapshot(teacher), snapshot(student)) == before
    assert shapes(result) == shapes(student)
    assert snapshot(result) != before[1]


@each_network
def test_the_seed_decides_what_distillation_gives(make, inputs):
    first, again, other = (snapshot(distill(make(), recipe=recipe(inputs), seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@each_network
def test_a_student_gets_kernels_where_the_teacher_has_some(make, inputs):
    teacher = add_custom_kernels(make(), version=3)
    student = distill(teacher, recipe=recipe(inputs))
    slow = student.copy()
    slow.engine = None
    assert type(student.engine) is type(teacher.engine)
    np.testing.assert_allclose(student.predict(inputs), slow.predict(inputs), rtol=1e-3, atol=1e-4)
    assert distill(make(), recipe=recipe(inputs)).engine is None


def test_a_student_gets_the_cache_and_the_recipe_of_its_teacher():
    teacher = add_kv_cache(tiny())
    teacher.recipe = recipe(NETWORKS["transformer"][1])
    student = distill(teacher)
    assert isinstance(student.generator, CachedGenerator)
    assert student.recipe is teacher.recipe


def test_a_student_of_a_quantized_teacher_is_float():
    student = distill(apply_quantization(tiny(), 4), recipe=recipe(NETWORKS["transformer"][1]))
    assert {type(weight) for weight in student.parameters()} == {Parameter}


def test_no_steps_leave_the_student_untrained():
    teacher, inputs = tiny(), NETWORKS["transformer"][1]
    assert snapshot(distill(teacher, steps=0, recipe=recipe(inputs))) == snapshot(smaller(teacher))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("verb", [apply_pruning, distill])
def test_without_training_data_the_error_says_where_to_get_some(verb):
    with pytest.raises(CompressionError, match=r"pass recipe=Recipe\(...\), take a model from load_benchmark\(\)"):
        verb(tiny())


@pytest.mark.parametrize("amount", [-0.1, 1, 1.5, np.nan])
def test_an_amount_is_a_share(amount):
    with pytest.raises(CompressionError, match=rf"in \[0, 1\); got {amount}"):
        apply_pruning(tiny(), amount, fine_tune=False)


@pytest.mark.parametrize("verb", [apply_pruning, distill])
def test_what_is_no_network_is_refused(verb):
    with pytest.raises(
        CompressionError, match=f"{verb.__name__} takes an MLP, CNN or CharTransformer, got Linear"
    ):
        verb(Linear(2, 2, rng()))


def test_a_student_that_is_no_network_is_refused():
    with pytest.raises(CompressionError, match="distill takes an MLP, CNN or CharTransformer, got str"):
        distill(tiny(), "student")
