"""The verbs of Modules 16 to 19 in every order: each leaves its model alone, and nothing that one did is lost."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import answers, judge_quality
from tinytorch.core.caching import CachedGenerator, add_kv_cache
from tinytorch.core.compact import weight_matrices
from tinytorch.core.compression import apply_pruning
from tinytorch.core.models import CharTransformer
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import EVENTS, get_event

VERBS = {
    "quantize": apply_quantization,
    "prune": lambda model: apply_pruning(model, fine_tune=False),
    "kernels": add_custom_kernels,
    "cache": add_kv_cache,
}
IMAGE_VERBS = ("quantize", "prune", "kernels")
ORDERS = [
    (event, order)
    for event in EVENTS
    for order in itertools.permutations(VERBS if event == "transformer_decathlon" else IMAGE_VERBS)
]
each_order = pytest.mark.parametrize(("event", "order"), ORDERS, ids=[f"{e}-{'-'.join(o)}" for e, o in ORDERS])


def some_inputs(event, count=8):
    return load_dataset(event).inputs[:count]


def contents(value):
    """Everything a model holds, arrays as bytes, so that two states can be compared bit by bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: contents(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [contents(part) for part in value]
    if dataclasses.is_dataclass(value) or type(value).__module__.startswith("tinytorch.core"):
        return type(value), contents(vars(value))
    return value


def applied(event, order):
    model = load_baseline(event)
    for name in order:
        model = VERBS[name](model)
    return model


@each_order
def test_each_verb_gives_a_new_model_and_leaves_the_one_given_bit_by_bit(event, order):
    model = load_baseline(event)
    for name in order:
        before = contents(model)
        changed = VERBS[name](model)
        assert changed is not model
        assert contents(model) == before
        assert contents(changed) != before
        model = changed


@each_order
def test_what_every_verb_did_is_there_at_the_end(event, order):
    model = applied(event, order)
    matrices = [weight for _, _, weight in weight_matrices(model)]
    assert {weight.bits for weight in matrices} == {8}
    for weight in matrices:
        assert (weight.mask == 0).sum() == round(0.3 * weight.size)
        assert not weight.data[~weight.mask].any()
    assert type(model.engine) is type(add_custom_kernels(load_baseline(event)).engine)
    if "cache" in order:
        assert isinstance(model.generator, CachedGenerator)


@each_order
def test_answers_are_those_of_the_weights_the_model_has_at_the_end(event, order):
    model, inputs = applied(event, order), some_inputs(event)
    slow = model.copy()
    slow.engine = None
    logits = model.predict(inputs)
    assert logits.shape == get_event(event).output_shape(inputs)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits, slow.predict(inputs), rtol=1e-3, atol=1e-3)
    if isinstance(model, CharTransformer):
        slow.generator = None
        assert np.array_equal(model.generate(inputs[:1, :10], 20), slow.generate(inputs[:1, :10], 20))


@pytest.mark.parametrize("event", EVENTS)
def test_all_orders_give_nearly_the_same_answers(event):
    """Not quite the same: among weights that quantization has made equal, the lot decides which are pruned."""
    inputs = some_inputs(event, count=50)
    logits = [applied(event, order).predict(inputs) for name, order in ORDERS if name == event]
    spread = np.linalg.norm(np.std(logits, axis=0)) / np.linalg.norm(logits[0])
    changed = np.linalg.norm(logits[0] - load_baseline(event).predict(inputs)) / np.linalg.norm(logits[0])
    assert spread < 0.15 * changed  # what the verbs do matters, their order hardly
    agreeing = np.mean([one.argmax(-1) == logits[0].argmax(-1) for one in logits])
    assert agreeing > 0.95


@pytest.mark.parametrize("event", EVENTS)
def test_the_courses_example_stays_above_the_floor(event):
    baseline, graded = load_baseline(event), load_dataset(event).grading_set(seed=1, copies=1)
    m = baseline
    m = apply_quantization(m)
    m = apply_pruning(m)
    m = add_custom_kernels(m)
    quality = judge_quality(get_event(event), answers(m, graded), answers(baseline, graded), graded)
    assert quality.ok, quality
    assert {weight.bits for _, _, weight in weight_matrices(m)} == {8}
