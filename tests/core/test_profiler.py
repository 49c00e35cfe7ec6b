"""The profiler against layers that take known times and sizes, and the clock against a file of known counters."""

from __future__ import annotations

import json
import os
import time
import warnings

import numpy as np
import pytest

from tinytorch.core import profiler
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.attention import CausalAttention
from tinytorch.core.caching import add_kv_cache
from tinytorch.core.compact import CompactParameter
from tinytorch.core.conv import Conv2d, MaxPool2d
from tinytorch.core.layers import GELU, Embedding, Flatten, LayerNorm, Linear, Module, ReLU, Sequential
from tinytorch.core.models import CNN, MLP, CharTransformer
from tinytorch.core.profiler import Clock, Profiler, ProfilerError
from tinytorch.core.tensor import Tensor

KINDS = {
    "mlp": (lambda: MLP(hidden=(8,), rng=rng()), np.ones((2, 784), np.uint8)),
    "cnn": (lambda: CNN(channels=(2, 3), rng=rng()), np.ones((2, 28, 28, 1), np.uint8)),
    "transformer": (lambda: tiny(), np.ones((2, 6), int)),
}
each_kind = pytest.mark.parametrize(("make", "inputs"), KINDS.values(), ids=KINDS)


def rng():
    return np.random.default_rng(0)


def tiny():
    return CharTransformer(symbols=5, context=6, width=8, blocks=2, heads=2, hidden=12, rng=rng())


class Hands:
    """A clock that stands still until a layer moves it."""

    overhead_s = 0.0

    def __init__(self):
        self.time = 0.0

    def now_s(self):
        return self.time


class Reading(Hands):
    """A clock on which nothing takes time but reading it: a second."""

    overhead_s = 1.0

    def now_s(self):
        self.time += 1
        return self.time


class Takes(Module):
    """Moves the clock by `seconds`, after its inner layers have."""

    def __init__(self, clock, seconds, *inner):
        self.clock, self.seconds, self.inner = clock, seconds, list(inner)

    def forward(self, x):
        for layer in self.inner:
            x = layer(x)
        self.clock.time += self.seconds
        return x


def nested(clock):
    """1 s of its own, around 1 s and around 2 s, of which half is in a layer below: 4 s."""
    return Takes(clock, 1, Takes(clock, 1), Takes(clock, 1, Takes(clock, 1)))


def profiled(model, *inputs, clock=None):
    with Profiler(model, clock or Clock()) as profile:
        for each in inputs:
            (model.predict if hasattr(model, "predict") else model)(each)
    return profile


def column(profile, name):
    return [row[name] for row in profile.rows()]


# ---------------------------------------------------------------- time


def test_time_is_told_with_and_without_the_layers_below():
    clock = Hands()
    profile = profiled(nested(clock), 0, clock=clock)
    assert column(profile, "name") == ["Takes", "inner.0", "inner.1", "inner.1.inner.0"]
    assert column(profile, "depth") == [0, 1, 1, 2]
    assert column(profile, "time_s") == [4, 1, 2, 1]
    assert column(profile, "own_s") == [1, 1, 1, 1]
    assert column(profile, "share") == [0.25] * 4
    assert profile.total_s == 4


def test_calls_add_up():
    clock = Hands()
    profile = profiled(nested(clock), 0, 0, 0, clock=clock)
    assert column(profile, "calls") == [3] * 4
    assert column(profile, "own_s") == [3] * 4


def test_what_timing_costs_is_taken_off():
    profile = profiled(nested(Reading()), 0, clock=Reading())
    assert column(profile, "own_s") == [0] * 4


def test_a_model_that_takes_no_time_can_be_shown():
    profile = profiled(nested(Reading()), 0, clock=Reading())
    assert column(profile, "share") == [0] * 4
    assert profile.table()
    assert profile.bar()


def test_a_layer_in_two_places_is_one_row():
    clock = Hands()
    twice = Takes(clock, 1)
    profile = profiled(Takes(clock, 0, twice, twice), 0, clock=clock)
    assert column(profile, "name") == ["Takes", "inner.0"]
    assert column(profile, "calls") == [1, 2]
    assert profile.total_s == 2


def test_layers_called_without_their_model_still_share_the_whole():
    clock = Hands()
    model = nested(clock)
    with Profiler(model, clock) as profile:
        model.inner[1](0)
        model.inner[0](0)
    assert column(profile, "name") == ["inner.0", "inner.1", "inner.1.inner.0"]
    assert column(profile, "depth") == [0, 0, 1]
    assert sum(column(profile, "share")) == 1


def test_a_second_block_starts_anew():
    clock = Hands()
    model = nested(clock)
    profile = profiled(model, 0, clock=clock)
    with profile:
        model(0)
    assert column(profile, "calls") == [1] * 4


@each_kind
def test_shares_of_a_network_add_up_to_one(make, inputs):
    profile = profiled(make(), inputs, inputs)
    assert sum(column(profile, "share")) == pytest.approx(1)
    assert min(column(profile, "share")) >= 0
    assert profile.rows()[0]["time_s"] == pytest.approx(profile.total_s)
    assert column(profile, "calls") == [2] * len(profile.rows())
    json.dumps(profile.rows())


@each_kind
def test_every_layer_of_a_network_has_a_row(make, inputs):
    model = make()
    names = [name or type(model).__name__ for name, _ in model.modules()]
    assert column(profiled(model, inputs), "name") == names


# ---------------------------------------------------------------- arithmetic and bytes


LAYERS = {  # layer, shape of its input, floating-point operations by hand
    "a product and a sum for each weight and row": (Linear(3, 4, rng()), (2, 3), 2 * 2 * 3 * 4),
    "rows of all leading axes": (Linear(3, 4, rng()), (5, 2, 3), 5 * 2 * 2 * 3 * 4),
    "one a number": (ReLU(), (2, 4), 8),
    "nine a number": (GELU(), (2, 4), 72),
    "eight a number": (LayerNorm(4), (2, 4), 64),
    "3x3 of 2 channels to 3x3 of 5": (Conv2d(2, 5, 3, rng()), (1, 2, 5, 5), 3 * 3 * 5 * 2 * (3 * 3 * 2)),
    "what it looks at": (MaxPool2d(), (1, 2, 4, 4), 32),
    "nothing": (Flatten(), (1, 2, 4, 4), 0),
    # 2 x 2 scores of 4 numbers and back, and five for the softmax of each score of 2 heads
    "attention without its products": (
        CausalAttention(4, 2, rng()),
        (1, 2, 4),
        2 * 2 * (2 * 4 * 2) + 5 * 2 * 2 * 2,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_arithmetic_is_what_one_counts_by_hand(name):
    layer, shape, flops = LAYERS[name]
    profile = profiled(layer, Tensor(np.ones(shape)))
    assert profile.rows()[0]["flops"] == flops


def test_looking_up_costs_no_arithmetic():
    assert profiled(Embedding(5, 3, rng()), np.array([1, 2])).flops == 0


def test_arithmetic_of_the_sprint_is_two_for_each_weight_and_one_for_each_relu():
    weights, units = 784 * 128 + 128 * 64 + 64 * 10, 128 + 64
    assert profiled(MLP(rng=rng()), np.ones((3, 784), np.uint8)).flops == 3 * (2 * weights + units)


def test_arithmetic_of_the_marathon():
    first, second = 26 * 26 * 32, 11 * 11 * 64  # numbers after each convolution; ReLU and pooling see each once
    flops = first * (2 * 9 + 2) + second * (2 * 9 * 32 + 2) + 2 * 1600 * 10
    assert profiled(CNN(rng=rng()), np.ones((1, 28, 28, 1), np.uint8)).flops == flops


def test_outputs_are_counted_in_bytes_over_all_calls():
    x = Tensor(np.ones((2, 3), np.float32))
    assert column(profiled(Sequential(Linear(3, 4, rng()), Flatten()), x, x), "output_bytes") == [2 * 32] * 3


def test_a_trained_layer_weighs_no_more_than_an_untrained_one():
    layer, x = Linear(3, 4, rng()), Tensor(np.ones((2, 3)))
    layer(x).sum().backward()  # leaves gradients
    assert profiled(layer, x).rows()[0]["weight_bytes"] == 12 * 4 + 4 * 4


def test_compact_weights_count_as_they_are_kept():
    layer, x = Linear(3, 4, rng()), Tensor(np.ones((2, 3)))
    layer.weight = CompactParameter(layer.weight.data, bits=8, mask=np.ones((3, 4), bool))
    codes, scale, mask, bias = 12, 4, 12, 16
    assert profiled(layer, x).rows()[0]["weight_bytes"] == codes + scale + mask + bias


# ---------------------------------------------------------------- the model comes back


def attributes(model):
    return [dict(vars(module)) for _, module in model.modules()]


@each_kind
def test_the_model_is_given_back_as_it_was(make, inputs):
    model = add_custom_kernels(make(), version=3)
    before, answer = attributes(model), model.predict(inputs)
    profiled(model, inputs)
    assert attributes(model) == before
    assert np.array_equal(model.predict(inputs), answer)


@each_kind
def test_the_model_is_given_back_after_an_exception_too(make, inputs):
    model = make()
    before = attributes(model)
    with pytest.raises(ValueError, match="takes"), Profiler(model):
        model.predict(inputs[:, :0])
    assert attributes(model) == before


def test_layers_that_came_back_before_an_exception_are_told():
    clock = Hands()
    model = Takes(clock, 1, Takes(clock, 2), Takes(None, 1))
    with pytest.raises(AttributeError), Profiler(model, clock) as profile:
        model(0)
    assert column(profile, "name") == ["inner.0"]
    assert column(profile, "own_s") == [2]


def test_a_method_of_the_models_own_instance_is_put_back():
    model = MLP(hidden=(), rng=rng())
    model.predict = own = lambda images: model.forward(images).data
    assert profiled(model, np.ones((1, 784), np.uint8)).rows()[0]["calls"] == 1
    assert model.predict is own


@each_kind
def test_a_profiled_model_answers_as_ever(make, inputs):
    model = make()
    answer = model.predict(inputs)
    with Profiler(model):
        assert np.array_equal(model.predict(inputs), answer)


# ---------------------------------------------------------------- engines and generation


@each_kind
def test_an_engine_is_one_row_that_holds_nearly_all_the_time(make, inputs):
    model = add_custom_kernels(make(), version=3)
    model.predict(inputs)
    whole, engine = profiled(model, *[inputs] * 20).rows()
    assert (engine["name"], engine["kind"], engine["depth"]) == ("engine", type(model.engine).__name__, 1)
    assert engine["calls"] == 20
    assert engine["share"] > 0.5
    assert engine["output_bytes"] == whole["output_bytes"] > 0


def test_nobody_claims_to_know_the_arithmetic_of_an_engine():
    profile = profiled(add_custom_kernels(MLP(rng=rng()), version=3), np.ones((1, 784), np.uint8))
    assert column(profile, "flops") == [0, None]
    assert profile.flops is None
    assert profile.table().splitlines()[-1].split()[-3:-1] == ["-", "-"]


def test_an_engine_weighs_what_it_keeps():
    model = add_custom_kernels(MLP(hidden=(8,), rng=rng()), version=2)  # weights and biases, no buffers
    assert profiled(model, np.ones((1, 784), np.uint8)).rows()[1]["weight_bytes"] == 4 * (
        784 * 8 + 8 + 8 * 10 + 10
    )


def test_generation_is_a_call_of_the_model():
    model, prompt = tiny(), np.ones((1, 2), int)
    with Profiler(model) as profile:
        model.generate(prompt, 3)
    assert (profile.rows()[0]["name"], profile.rows()[0]["calls"]) == ("CharTransformer", 1)
    assert profile.rows()[1]["calls"] == 3  # a token each


def test_generation_with_a_cache_shows_the_layers_it_calls_one_by_one():
    model = add_kv_cache(tiny())
    with Profiler(model) as profile:
        model.generate(np.ones((1, 2), int), 3)
    rows = {row["name"]: row for row in profile.rows()}
    assert rows["blocks.0.attention.query"]["depth"] == 1  # attention as a whole was not called
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)


def test_generation_with_cache_and_engine_shows_the_engines_operations():
    model, prompt = add_kv_cache(add_custom_kernels(tiny(), version=3)), np.ones((1, 2), int)
    tokens = model.generate(prompt, 3)
    with Profiler(model) as profile:
        assert np.array_equal(model.generate(prompt, 3), tokens)
    calls = {row["name"]: row["calls"] for row in profile.rows()}
    assert calls["engine step"] == 2  # after the prompt, which goes through the operations
    assert calls["engine project"] == 2  # blocks
    assert "engine" not in calls


# ---------------------------------------------------------------- as text


def test_the_table_has_a_line_a_layer_with_names_from_the_layer_above():
    clock = Hands()
    header, *lines = str(profiled(nested(clock), 0, clock=clock)).splitlines()
    assert header.split()[:4] == ["layer", "calls", "time", "ms"]
    assert [line[:18].rstrip() for line in lines] == [
        "Takes",
        "  inner.0 Takes",
        "  inner.1 Takes",
        "    inner.0 Takes",
    ]
    assert lines[2].split()[2:5] == ["1", "2000.000", "25.0"]


def test_the_table_tells_the_rate_of_arithmetic():
    class Slow(Linear):
        def forward(self, x):
            clock.time += 1e-3
            return super().forward(x)

    clock = Hands()
    profile = profiled(Slow(1000, 1000, rng()), Tensor(np.ones((1, 1000), np.float32)), clock=clock)
    assert profile.table().splitlines()[1].split()[-3:] == ["2.00", "2.0", "4.0"]  # MFLOP, GFLOP/s, kB


def test_the_bar_is_as_wide_as_the_shares():
    clock = Hands()
    assert profiled(nested(clock), 0, clock=clock).bar(width=40).splitlines() == [
        "|Takes----------------------------------",
        "|inner.0 T|inner.1 Takes------",
        "          |inner.0 T",
    ]


def test_nothing_profiled_is_an_error_that_says_what_to_do():
    with Profiler(tiny()) as profile:
        pass
    assert repr(profile) == "Profiler(CharTransformer)"
    for question in (profile.rows, profile.table, profile.bar, lambda: profile.total_s, lambda: profile.flops):
        with pytest.raises(ProfilerError, match="nothing was profiled: call the model inside"):
            question()


def test_something_without_layers_is_refused():
    with pytest.raises(ProfilerError, match="takes a Module, whose layers it can find, got int; derive"):
        Profiler(7)


# ---------------------------------------------------------------- the clock


def counters(tmp_path, text):
    path = tmp_path / "schedstat"
    path.write_text(text)
    return path


def test_waiting_for_a_core_is_taken_off(tmp_path, monkeypatch):
    path = counters(tmp_path, "5000000000 2000000000 7\n")
    clock = Clock(path)
    assert clock.name == "wall minus waiting"
    monkeypatch.setattr(profiler, "perf_counter_ns", lambda: 10_000_000_000)
    assert (clock.wall_s(), clock.waited_s(), clock.now_s()) == (10, 2, 8)
    path.write_text("6000000000 3000000000 8\n")
    assert (clock.wall_s(), clock.waited_s(), clock.now_s()) == (10, 3, 7)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_in_a_forked_child_the_clock_counts_the_child(tmp_path):
    """With its parent's waits, time ran backwards, and a block was sized for a task of no time."""
    path = counters(tmp_path, "5000000000 2000000000 7\n")
    clock = Clock(path)
    (tmp_path / "of the child").write_text("1000 4000000000 1\n")
    (tmp_path / "of the child").replace(path)  # the same path leads to other counters, as thread-self does
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: the child only reads
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, f"{clock.waited_s()} {clock.name}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    told = os.read(reader, 100).decode()
    os.waitpid(child, 0)
    os.close(reader)
    assert (told, clock.waited_s()) == ("4.0 wall minus waiting", 2.0)


def test_waiting_amid_a_reading_does_not_turn_time_back(tmp_path, monkeypatch):
    path = counters(tmp_path, "5000000000 2000000000 7\n")
    clock = Clock(path)
    walls = iter([10_000_000_000, 13_000_000_000])

    def wall_then_wait():
        wall = next(walls)
        path.write_text("5000000000 5000000000 8\n")  # three seconds without a core
        return wall

    monkeypatch.setattr(profiler, "perf_counter_ns", wall_then_wait)
    assert clock.now_s() == 8


def test_without_the_file_the_clock_is_wall_time_and_says_so(tmp_path, monkeypatch):
    clock = Clock(tmp_path / "missing")
    monkeypatch.setattr(profiler, "perf_counter_ns", lambda: 10_000_000_000)
    assert (clock.name, clock.waited_s(), clock.now_s()) == ("wall", 0, 10)


@pytest.mark.parametrize("text", ["", "0 0 0\n", "1 2\n", "some other words\n"])
def test_a_file_that_says_nothing_is_not_believed(text, tmp_path):
    open_before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    clock = Clock(counters(tmp_path, text))
    assert clock.name == "wall"
    assert not open_before or len(os.listdir("/proc/self/fd")) == open_before


def test_overhead_is_what_a_second_reading_adds(tmp_path, monkeypatch):
    readings = iter(range(0, 10**12, 10**9))  # one second each
    monkeypatch.setattr(profiler, "perf_counter_ns", lambda: next(readings))
    assert Clock(tmp_path / "missing").overhead_s == 1


def test_the_file_is_closed_with_the_clock(tmp_path):
    clock = Clock(counters(tmp_path, "1 2 3\n"))
    descriptor = clock._file
    del clock
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("name", ["perf_counter", "perf_counter_ns", "monotonic", "time"])
def test_who_stops_the_clocks_of_the_time_module_does_not_stop_ours(name, monkeypatch, tmp_path):
    clock = Clock(tmp_path / "missing")
    monkeypatch.setattr(time, name, lambda: 0)
    assert clock.wall_s() > 0 and clock.now_s() > 0 and Clock(tmp_path / "missing").wall_s() > 0


def test_the_clock_of_this_machine_goes_forward():
    clock = Clock()
    readings = [clock.now_s() for _ in range(100)]
    assert readings[-1] > readings[0]
    assert clock.overhead_s >= 0
