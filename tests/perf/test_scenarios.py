"""What is timed: the right cases, fresh inputs, and in the Decathlon the operations that answers are made of."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.models import CharTransformer
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.events import CNN_MARATHON, EVENTS, MLP_SPRINT, TRANSFORMER_DECATHLON
from tinytorch.perf.workloads.scenarios import (
    DISCIPLINES,
    GENERATED,
    PROMPT,
    Task,
    blocks_of,
    generator_of,
    memory_inputs,
    ops_of,
    run_chain,
    scenarios_for,
    speed_cases,
)

NETWORK = CharTransformer(width=8, blocks=2, heads=2, hidden=8, rng=np.random.default_rng(0))
TOKENS = np.random.default_rng(1).integers(66, size=(3, 64))
BATCHES = ("batch 1", "batch 32", "batch 256")


class Recorder:
    """A model that remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def predict(self, inputs):
        self.asked.append(inputs)


class OnlyPredict:
    def predict(self, tokens):
        return NETWORK.predict(tokens)


def rng(seed=0):
    return np.random.default_rng(seed)


def scenarios(event):
    return scenarios_for(load_dataset(event.name), NETWORK)


def cases(event):
    return [case for scenario in scenarios(event) for case in scenario.cases]


# ---------------------------------------------------------------- cases


@pytest.mark.parametrize("event", [MLP_SPRINT, CNN_MARATHON], ids=lambda event: event.name)
def test_pictures_come_in_three_batch_sizes(event):
    assert tuple(cases(event)) == speed_cases(event) == BATCHES


def test_the_decathlon_times_every_operation_and_whole_answers():
    names = ("embed", "normalize", "project", "attend", "feed_forward")
    parts = {f"{name}, batch {size}" for name in names for size in (1, 32)}
    found = cases(TRANSFORMER_DECATHLON)
    assert len(found) == len(set(found)) and set(found) == parts | {"batch 1", "batch 32", "generate"}


def test_the_decathlons_speed_is_that_of_whole_answers():
    assert speed_cases(TRANSFORMER_DECATHLON) == ("batch 1", "batch 32", "generate")


def test_ten_disciplines_are_made_of_what_is_timed_each_case_once():
    used = [case for group in DISCIPLINES.values() for case in group]
    assert len(DISCIPLINES) == 10 and sorted(used) == sorted(cases(TRANSFORMER_DECATHLON))


# ---------------------------------------------------------------- inputs and tasks


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)
def test_inputs_are_fresh_and_of_the_events_shape(event):
    for scenario in scenarios(event):
        first, second = (scenario.inputs(rng(seed)) for seed in (0, 1))
        length = (PROMPT,) if scenario.name == "generate" else event.input_shape
        assert (
            first.shape == second.shape == (int(scenario.name.split()[-1]) if length != (PROMPT,) else 1, *length)
        )
        assert not np.array_equal(first, second)
        assert np.array_equal(first, scenario.inputs(rng(0))), "the same seed gives the same inputs"


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)
def test_memory_is_measured_on_the_largest_batch(event):
    assert memory_inputs(load_dataset(event.name), rng()).shape == (event.batch_sizes[-1], *event.input_shape)


def test_a_task_asks_the_model_for_just_these_inputs():
    model, scenario = Recorder(), scenarios(MLP_SPRINT)[0]
    inputs = scenario.inputs(rng())
    task = scenario.prepare(model, inputs)["batch 1"]
    assert model.asked == [], "preparing is outside of the clock, so it must not warm anything up"
    task()
    assert model.asked == [inputs]


def test_a_task_makes_all_of_its_calls_in_order():
    seen = []
    Task(((seen.append, (1,)), (seen.append, (2,))))()
    assert seen == [1, 2]


# ---------------------------------------------------------------- operations


@pytest.mark.parametrize("model", [NETWORK, add_custom_kernels(NETWORK, version=3)], ids=["layers", "kernels"])
def test_the_chain_of_operations_is_predict(model):
    logits, _ = run_chain(ops_of(model, NETWORK), TOKENS, blocks_of(NETWORK))
    np.testing.assert_allclose(logits, NETWORK.predict(TOKENS), rtol=1e-3, atol=1e-4)


def test_every_call_of_the_chain_is_timed():
    _, seen = run_chain(NETWORK.ops, TOKENS, blocks=2)
    counts = {name: len(calls) for name, calls in seen.items()}
    assert counts == {"embed": 1, "normalize": 5, "project": 4, "attend": 2, "feed_forward": 2, "head": 1}


def test_an_operation_is_timed_on_what_the_model_itself_feeds_it():
    asked = []

    def attend(q, k, v):
        asked.append(q)
        return NETWORK.ops["attend"](q, k, v)

    model = OnlyPredict()
    model.ops = {"attend": attend}
    tasks = scenarios(TRANSFORMER_DECATHLON)[0].prepare(model, TOKENS[:1])
    prepared = list(asked)
    tasks["attend, batch 1"]()
    assert len(prepared) == 2 and all(a is b for a, b in zip(asked[2:], prepared, strict=True))


def test_what_a_model_has_no_operation_for_the_baseline_does():
    model = OnlyPredict()
    assert ops_of(model, NETWORK).keys() == NETWORK.ops.keys()
    model.ops = {"embed": len}
    assert ops_of(model, NETWORK)["embed"] is len


def test_an_unknown_operation_is_named_with_the_known_ones():
    model = OnlyPredict()
    model.ops = {"sharpen": len}
    with pytest.raises(WorkloadError, match=r"unknown operations \['sharpen'\] in ops; known: embed, .*head"):
        ops_of(model, NETWORK)


def test_operations_come_from_a_language_model():
    with pytest.raises(WorkloadError, match="the Decathlon's baseline is Recorder, expected a CharTransformer"):
        ops_of(OnlyPredict(), Recorder())


# ---------------------------------------------------------------- generation


def test_a_model_without_generate_continues_by_predict_alone():
    prompt = TOKENS[:, :PROMPT]
    continued = generator_of(OnlyPredict())(prompt, 5)
    assert np.array_equal(continued, NETWORK.generate(prompt, 5))


def test_a_model_with_generate_uses_its_own():
    assert generator_of(NETWORK) == NETWORK.generate


def test_generation_fills_the_window():
    assert PROMPT + GENERATED == 64
    tasks = scenarios(TRANSFORMER_DECATHLON)[-1].prepare(NETWORK, TOKENS[:1, :PROMPT])
    ((function, arguments),) = tasks["generate"].calls
    assert function(*arguments).shape == (1, 64)
