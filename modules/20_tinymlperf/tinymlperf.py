# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: nbgrader,tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # TinyMLPerf: build the benchmark, then compete
#
# In nineteen modules you built a framework. Now you find out how fast it is, and how you would *know*.
#
# That is harder than it sounds. Stop a clock before and after a call, and you get a number. Do it again, and you get
# another one. Give the number to somebody with an interest in it, and it becomes a third. A benchmark is an
# instrument, and an instrument lies unless someone makes it honest. In this module that someone is you: you build
# the instrument, use it in three events, and in the end try to cheat it.
#
# | evening | section | you build | minutes |
# |---|---|---|---|
# | 1 | 1 Measure | a naive benchmark, and one that times in pairs | 35 |
# | | 2 Summarise | a ratio with an interval and a verdict | 30 |
# | | 3 Profile | `CompetitionProfiler`: rounds, warm-up, fresh inputs | 35 |
# | | 4 Events | `TinyMLPerf`: three events, one protocol | 10 |
# | 2 | 5 Verify | the accuracy floor | 25 |
# | | 6 Score | speedup, balance, ten disciplines, innovation by evidence | 35 |
# | | 7 Rank | leaderboards in which a tie is a tie | 20 |
# | | 8 Compete | Modules 16 to 19 in all three events | 30 |
# | | 9 Break it | cheats, and which of your sections stops each | 25 |
#
# **After it you can** say why a single time means little; measure a ratio to about one percent on a busy machine
# and say how sure you are; test whether a faster model still does its job; tell evidence from a claim; and name, for
# any benchmark you meet, the first three ways to fool it.

# %% [markdown]
# ## How this notebook works
#
# Each step has the same five parts. **Why**: a question or a picture. **Build**: one cell for you, with the contract
# in its docstring; replace `raise NotImplementedError()`. **Check**: a cell of tests; when one fails it says what is
# wrong, not what is right. **Look**: a figure drawn with your code. **What did you see?** Try to answer before you
# read on.
#
# Run the cells from top to bottom. A cell that begins with `#| export` becomes part of `tinytorch.core.benchmarking`,
# which other people's code will import, so it prints nothing and says what it raises. Checks in later sections need
# your earlier code at home; when the notebook is graded, each stage is judged for itself.
#
# You need Modules 1 to 19, which the `tinytorch` beside this notebook holds. The next cell looks whether you have
# what it takes.

# %% nbgrader={"grade": false, "grade_id": "prerequisites", "locked": true, "schema_version": 3, "solution": false, "task": false}
import importlib.util
import sys

needed = ("numpy", "threadpoolctl", "matplotlib", "ipywidgets", "IPython", "tinytorch")
missing = [name for name in needed if importlib.util.find_spec(name) is None]
if missing or sys.version_info < (3, 11):
    raise RuntimeError(
        f"Python is {sys.version.split()[0]}, 3.11 or newer is needed; missing: {', '.join(missing) or 'nothing'}. "
        f"Open the notebook with `make lab` in its own folder, which sets all of it up."
    )

# %% nbgrader={"grade": false, "grade_id": "threads", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| default_exp core.benchmarking
import os

from tinytorch.export import add_method

# One thread for every linear algebra library, fixed before numpy is loaded: two threads on a busy machine make
# the ratio of two identical models run from 0.7 to 70.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# %% nbgrader={"grade": false, "grade_id": "about", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
"""The benchmark (Module 20): measure, summarise, profile, verify, score, rank and compete.

Two models are timed in pairs on fresh inputs; the score is the ratio of their times with an interval, so it
carries from one machine to the next. Does not: keep entries (perf.store) or draw (perf.board, perf.plots).
"""

# %% nbgrader={"grade": false, "grade_id": "imports", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinytorch.core.profiler import Clock, Profiler
from tinytorch.perf.evidence import ENDS, Facts, division_of, gather_facts
from tinytorch.perf.machine import (
    array_bytes,
    at_new_places,
    describe_machine,
    keep_freed_memory,
    no_garbage_collection,
    old_objects_set_aside,
    one_blas_thread,
    other_cpu_s,
    peak_memory,
)
from tinytorch.perf.records import Evidence, Leaderboard, Quality, Report, Round, Speedup, Standing
from tinytorch.perf.verify import (
    check_computes,
    check_fresh_answers,
    check_language_model,
    check_model,
    checked_answer,
    checked_description,
    checked_link,
    checked_team,
)
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import Dataset, GradingSet, load_dataset
from tinytorch.perf.workloads.events import EVENTS, Event, get_event
from tinytorch.perf.workloads.scenarios import (
    DISCIPLINES,
    Scenario,
    Task,
    memory_inputs,
    scenarios_for,
    speed_cases,
)

# %% nbgrader={"grade": false, "grade_id": "errors", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
Model = Any  # anything with predict(inputs) -> logits


class BenchmarkError(ValueError):
    """The benchmark cannot give an honest answer; the message says what came, what was expected, what to do."""


# %% [markdown]
# The cells above are imports and belong to the package. The next one is for this notebook alone: a helper that
# draws, and what the checks are written with. Its most useful piece is `FakeClock`, on which time passes only when
# somebody spends it. With it a test of a benchmark needs no stopwatch and never fails because your laptop was busy.

# %% nbgrader={"grade": false, "grade_id": "notebook-tools", "locked": true, "schema_version": 3, "solution": false, "task": false}
from IPython.display import Image

from tinytorch.perf import checks, plots
from tinytorch.perf.checks import FakeClock, FakeTask, TimedModel, given, refuses


def draw(
    chart: Callable[..., Any], *records: Any, size: tuple[float, float] = (8.0, 3.4), **options: Any
) -> Image:
    """A chart of `tinytorch.perf.plots` as a picture; `size` in inches."""
    drawing = plots.figure(*size)
    axes = chart(drawing.subplots(), *records, **options)
    title = " ".join(axes.get_title("left").split())
    return Image(plots.to_png(drawing), width=round(96 * size[0]), alt=title)


# %% [markdown]
# Every result in this notebook is a result *on your machine*. Here is what it says about itself; it is stored with
# each entry, because even a ratio moves when the BLAS library changes.

# %% tags=["look"]
describe_machine(Clock().name)

# %% [markdown]
# ## 1. Measure
#
# **Why.** The baseline of the first event classifies a handwritten digit. How long does that take? Below, the same
# call on the same input, thirty times in a row.
#
# Before you run it, write down a guess: how far apart are the fastest and the slowest of the thirty?

# %%
baseline, dataset = load_baseline("mlp_sprint"), load_dataset("mlp_sprint")
digits = dataset.inputs[:32]

# %% [markdown]
# **Build.** The obvious stopwatch: call, read the clock, keep the difference. We keep *every* time, in order,
# because a benchmark that throws raw times away cannot be checked by anyone. `time.perf_counter()` is the clock;
# `time.time()` jumps when your machine sets its watch.


# %% nbgrader={"grade": false, "grade_id": "measure", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def measure(function: Callable[[], object], runs: int, warmup: int = 0) -> list[float]:
    """Wall-clock seconds of each of `runs` calls, in order, after `warmup` calls that are not timed."""
    ### BEGIN SOLUTION
    for _ in range(warmup):
        function()
    times_s = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times_s.append(time.perf_counter() - start)
    return times_s
    ### END SOLUTION


# %% [markdown]
# **Check.** `time.perf_counter` is replaced by a fake clock for the length of the test, so the times are exact.

# %% nbgrader={"grade": true, "grade_id": "check-measure", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
clock, real = FakeClock(), time.perf_counter
time.perf_counter = clock.wall_s
try:
    seconds = iter([100.0, 1.0, 2.0, 4.0])
    times_s = measure(lambda: clock.spend(next(seconds, 0.0)), runs=3, warmup=1)
finally:
    time.perf_counter = real
assert len(times_s) == 3, f"3 runs were asked for and {len(times_s)} times came back: did a warm-up slip in?"
assert times_s == [1.0, 2.0, 4.0], f"the three runs took 1, 2 and 4 seconds, in that order; you say {times_s}"

# %% nbgrader={"grade": true, "grade_id": "hidden-measure", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
clock, real, log = FakeClock(), time.perf_counter, []
time.perf_counter = clock.wall_s
try:
    times_s = measure(lambda: (log.append(0), clock.spend(0.25)), runs=5)
finally:
    time.perf_counter = real
assert len(log) == 5, f"without warm-up 5 runs are 5 calls, there were {len(log)}"
assert times_s == [0.25] * 5, f"each run took a quarter of a second; you say {times_s}"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** Every dot is one call. The lower lane had ten warm-up calls first.

# %% tags=["look"]
first = measure(lambda: baseline.predict(digits), runs=30)
warm = measure(lambda: baseline.predict(digits), runs=30, warmup=10)
draw(plots.runs, {"no warm-up": first, "10 warm-ups": warm})

# %% [markdown]
# **What did you see?** Most likely a first call that is slower than the rest, and a few outliers that nothing you did
# explains: caches fill, the processor changes its frequency, the system does something else for a moment. Which
# single number would you report? If you take the mean, one hiccup decides. If you take the minimum, luck decides.
#
# ### A naive benchmark
#
# **Why.** A competition needs a *ratio*: baseline time over candidate time. The obvious benchmark times ten calls
# of the baseline, then ten of the candidate, and divides the means. You build it now, because you will need it:
# in Section 9 it is the one that you break.


# %% nbgrader={"grade": false, "grade_id": "naive-speedup", "locked": false, "schema_version": 3, "solution": true, "task": false}
def naive_speedup(baseline: Model, candidate: Model, inputs: np.ndarray, runs: int = 10) -> float:
    """Mean time of the baseline over mean time of the candidate, the baseline timed first; above 1 is faster."""
    ### BEGIN SOLUTION
    baseline_s = np.mean(measure(lambda: baseline.predict(inputs), runs))
    candidate_s = np.mean(measure(lambda: candidate.predict(inputs), runs))
    return float(baseline_s / candidate_s)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-naive-speedup", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
clock, real = FakeClock(), time.perf_counter
slow, fast = TimedModel(clock, 6.0, "baseline"), TimedModel(clock, 2.0, "candidate")
time.perf_counter = clock.wall_s
try:
    with given(globals(), "measure"):
        ratio = naive_speedup(slow, fast, digits, runs=4)
finally:
    time.perf_counter = real
assert ratio != 2 / 6, "a candidate that takes a third of the time has speedup 3: yours is upside down"
assert ratio == 3.0, f"6 seconds against 2 seconds is a speedup of 3, you say {ratio}"
assert clock.log == ["baseline"] * 4 + ["candidate"] * 4, f"first 4 runs of the baseline, then 4: {clock.log}"

# %% nbgrader={"grade": true, "grade_id": "hidden-naive-speedup", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
clock, real = FakeClock(), time.perf_counter
uneven = TimedModel(clock, iter([1.0, 1.0, 1.0, 5.0]), "baseline")
time.perf_counter = clock.wall_s
try:
    with given(globals(), "measure"):
        ratio = naive_speedup(uneven, TimedModel(clock, 1.0, "candidate"), digits, runs=4)
finally:
    time.perf_counter = real
assert ratio == 2.0, f"the mean of 1, 1, 1 and 5 seconds is 2 seconds, so the ratio is 2; you say {ratio}"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** Twelve times the baseline *against itself*. The true ratio is 1.00. What do you expect to see?

# %% tags=["look"]
naive = [naive_speedup(baseline, baseline, digits) for _ in range(12)]
draw(plots.ratios, {"naive, in sequence": naive})

# %% [markdown]
# **What did you see?** On a quiet machine the worst of these is often a quarter off, with another program running
# it may be several times off. A competitor who simply resubmits an unchanged baseline until the dice fall well
# "wins". The rest of Section 1 is about why, and each of the next four functions takes away one cause.
#
# ### Blocks
#
# **Why.** A call that takes ten microseconds is close to what the clock itself costs to read. Time *several* calls
# between two readings, take the cost of reading off, and divide. The library's `Clock` also subtracts the time in
# which your thread was ready but had to wait for a core, where the system tells it: `clock.now_s()`.
#
# A `Task` (from `scenarios`) is what is timed: a tuple of `calls`, each a function with its arguments. Unpack
# the calls *before* the clock starts: whatever you do between the readings is added to the model's time.


# %% nbgrader={"grade": false, "grade_id": "time-block", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def time_block(clock: Clock, tasks: Sequence[Task]) -> float:
    """Seconds for one task, averaged over a block in which each of `tasks` runs once.

    What reading the clock costs (`clock.overhead_s`) is taken off, and so is the time this thread spent waiting
    for a core, where the system tells it (see `Clock`). Never below 1 ns, so that it has a logarithm.
    """
    ### BEGIN SOLUTION
    calls = [call for task in tasks for call in task.calls]  # no method call of ours inside the clock
    start = clock.now_s()
    for function, arguments in calls:
        function(*arguments)
    return max(clock.now_s() - start - clock.overhead_s, 1e-9) / len(tasks)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-time-block", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
clock = FakeClock()
mean_s = time_block(clock, [FakeTask(clock, 1.0), FakeTask(clock, 2.0), FakeTask(clock, 6.0)])
assert mean_s == 3.0, f"three tasks of 1, 2 and 6 seconds take 3 seconds each on average, you say {mean_s}"
mean_s = time_block(clock, [FakeTask(clock, 6.0, calls=3)])
assert mean_s == 6.0, f"one task of three calls is one task of 6 seconds: divide by tasks, not calls; got {mean_s}"
clock = FakeClock(overhead_s=0.5)
mean_s = time_block(clock, [FakeTask(clock, 2.0), FakeTask(clock, 3.0)])
assert mean_s == 2.25, f"reading the clock adds 0.5 s once to the block of 5 s: 2.25 s a task, you say {mean_s}"

# %% nbgrader={"grade": true, "grade_id": "hidden-time-block", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
clock = FakeClock()
busy = Task(((clock.spend, (1.0,)), (clock.wait, (7.0,))))
mean_s = time_block(clock, [busy])
assert mean_s == 1.0, f"7 seconds of waiting for a core are not the model's: use clock.now_s(); got {mean_s}"
clock = FakeClock(overhead_s=1.0)
mean_s = time_block(clock, [FakeTask(clock, 0.0)])
assert mean_s > 0, f"a block shorter than the clock's own cost still needs a time above 0, got {mean_s}"
assert math.isfinite(math.log(mean_s)), f"the log of a block's time must be a number, the time was {mean_s}"
clock = FakeClock()


class TakesLongToUnpack(list):
    """Tasks that take 5 seconds to be looked at."""

    def __iter__(self):
        clock.spend(5.0)
        return super().__iter__()


mean_s = time_block(clock, TakesLongToUnpack([FakeTask(clock, 1.0)]))
assert mean_s == 1.0, f"unpack the calls before the clock starts: the task takes 1 s, you say {mean_s}"
### END HIDDEN TESTS

# %% [markdown]
# ### How long is a block?
#
# **Why.** Both sides of a comparison should be exposed to interruptions for the same time. If one call of the
# baseline takes 1 ms and one of the candidate 0.1 ms, a block holds one call of the first and ten of the second.
# Blocks of less than half a millisecond are ruled by the clock; blocks of more than 5 ms cost more time than they
# give.


# %% nbgrader={"grade": false, "grade_id": "block-sizes", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def block_sizes(
    baseline_s: float, candidate_s: float, shortest_s: float = 5e-4, longest_s: float = 5e-3
) -> tuple[int, int]:
    """How many tasks make a block for each side, so that both blocks take the same time.

    A block lasts as long as the slower side's single task, but at least `shortest_s` and at most `longest_s`: a
    side whose one task is longer than that has a block of one task. Numbers are rounded, and at least 1.

    Args:
        baseline_s, candidate_s: seconds for one task.
    """
    ### BEGIN SOLUTION
    length_s = min(max(baseline_s, candidate_s, shortest_s), max(longest_s, shortest_s))
    return max(1, round(length_s / baseline_s)), max(1, round(length_s / candidate_s))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-block-sizes", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert block_sizes(1e-3, 1e-3) == (1, 1), f"tasks of 1 ms fill a block alone, you say {block_sizes(1e-3, 1e-3)}"
sizes = block_sizes(1e-3, 1e-4)
assert sizes == (1, 10), f"the slower side's task of 1 ms is as long as 10 of the faster side's; you say {sizes}"
sizes = block_sizes(1e-5, 1e-4)
assert sizes == (50, 5), f"10 us and 100 us: a block lasts at least half a millisecond; you say {sizes}"
sizes = block_sizes(1e-1, 1e-3)
assert sizes == (1, 5), f"100 ms and 1 ms: the faster side's block lasts 5 ms and not longer; you say {sizes}"

# %% nbgrader={"grade": true, "grade_id": "hidden-block-sizes", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
assert block_sizes(1.0, 2.0) == (1, 1), "tasks longer than a block make a block of one, never of none"
assert block_sizes(1e-4, 1e-3) == (10, 1), "the slower side may be the candidate"
assert block_sizes(4e-4, 3e-4, shortest_s=2.4e-3) == (6, 8), "shortest_s is an argument: use it"
### END HIDDEN TESTS

# %% [markdown]
# ### Pairs
#
# **Why.** Whatever else your machine does comes and goes: a browser tab wakes up, the fan turns, the processor
# slows down. Ten calls of one model and then ten of the other put *different weather* on the two sides. A block of
# each right after the other sees the same. Who goes first must not be fixed, or the second one always finds the
# caches the first one left; a coin decides.


# %% nbgrader={"grade": false, "grade_id": "time-pair", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def time_pair(
    clock: Clock, baseline: Sequence[Task], candidate: Sequence[Task], baseline_first: bool
) -> tuple[float, float]:
    """Seconds for one task of each side (baseline, candidate), the two blocks timed right after each other."""
    ### BEGIN SOLUTION
    if baseline_first:
        baseline_s = time_block(clock, baseline)
        return baseline_s, time_block(clock, candidate)
    candidate_s = time_block(clock, candidate)
    return time_block(clock, baseline), candidate_s
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-time-pair", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
for baseline_first, order in ((True, "bcc"), (False, "ccb")):
    clock = FakeClock()
    with given(globals(), "time_block"):
        pair = time_pair(clock, [FakeTask(clock, 5.0, "b")], [FakeTask(clock, 1.0, "c")] * 2, baseline_first)
    assert pair != (1.0, 5.0), f"the baseline's time comes first in the result, whoever ran first; got {pair}"
    assert pair == (5.0, 1.0), f"one task of the baseline takes 5 s and one of the candidate 1 s; you say {pair}"
    ran = "".join(clock.log)
    assert ran == order, f"with baseline_first={baseline_first} the order is {order}, yours was {ran}"

# %% nbgrader={"grade": true, "grade_id": "hidden-time-pair", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
clock = FakeClock(overhead_s=0.5)
with given(globals(), "time_block"):
    pair = time_pair(clock, [FakeTask(clock, 2.0)] * 2, [FakeTask(clock, 4.0)], False)
assert pair == (1.75, 3.5), f"each side is a block of its own, with the clock's cost taken off once; got {pair}"
### END HIDDEN TESTS

# %% [markdown]
# ### Many pairs, on inputs that nobody can foresee
#
# **Build.** Pairs until a slice of time is used up. Each block takes its tasks *in a row from a random place on*,
# beginning again at the front, and both sides begin at the same place: they meet the same inputs, and neither can
# tell which one comes next.


# %% nbgrader={"grade": false, "grade_id": "time-pairs", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def time_pairs(
    clock: Clock,
    baseline: Sequence[Task],
    candidate: Sequence[Task],
    sizes: tuple[int, int],
    slice_s: float,
    rng: np.random.Generator,
) -> list[tuple[float, float]]:
    """Pairs of times until `slice_s` seconds of the clock are over, at least one pair.

    Args:
        baseline, candidate: tasks for the same inputs, in the same order; a block takes them from a random place
            on, beginning again at the front, so that no side can tell which input comes next.
        sizes: tasks in a block of the baseline and of the candidate.
    """
    ### BEGIN SOLUTION
    pairs: list[tuple[float, float]] = []
    end = clock.now_s() + slice_s
    while not pairs or clock.now_s() < end:
        start = int(rng.integers(len(baseline)))
        first, second = (
            [tasks[(start + step) % len(tasks)] for step in range(size)]
            for tasks, size in zip((baseline, candidate), sizes, strict=True)
        )
        pairs.append(time_pair(clock, first, second, baseline_first=bool(rng.random() < 0.5)))
    return pairs
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-time-pairs", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
with given(globals(), "time_block", "time_pair"):
    clock = FakeClock()
    sides = [FakeTask(clock, 1.0, "b")], [FakeTask(clock, 2.0, "c")]
    pairs = time_pairs(clock, *sides, (1, 1), 9.0, np.random.default_rng(0))
    assert pairs[0] != (2.0, 1.0), "each pair is (baseline, candidate): yours are swapped"
    assert pairs == [(1.0, 2.0)] * 3, f"pairs of 3 seconds fill a slice of 9 seconds with 3 of them; got {pairs}"
    pairs = time_pairs(clock, *sides, (1, 1), 0.0, np.random.default_rng(0))
    assert len(pairs) == 1, f"even a slice of no time gives one pair, got {len(pairs)}"
    clock.log.clear()
    pairs = time_pairs(clock, *sides, (1, 1), 600.0, np.random.default_rng(0))
    firsts = clock.log[::2].count("b")
    assert 70 < firsts < 130, f"a coin decides who goes first; in 200 pairs the baseline went first {firsts} times"
    pool = [FakeTask(clock, 1.0, number) for number in range(4)]
    clock.log.clear()
    time_pairs(clock, pool, [FakeTask(clock, 0.0, "c")] * 4, (3, 1), 300.0, np.random.default_rng(0))
    seen = [name for name in clock.log if name != "c"]
    blocks = {tuple(seen[at : at + 3]) for at in range(0, len(seen), 3)}
    assert blocks == {(0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1)}, f"in a row, from anywhere on: {blocks}"

# %% nbgrader={"grade": true, "grade_id": "hidden-time-pairs", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "time_block", "time_pair"):
    clock = FakeClock()
    both = [[FakeTask(clock, 1.0, number) for number in range(5)] for _ in range(2)]
    time_pairs(clock, *both, (2, 2), 100.0, np.random.default_rng(3))
    same = all(clock.log[at : at + 2] == clock.log[at + 2 : at + 4] for at in range(0, len(clock.log), 4))
    assert same, "both sides of a pair must begin at the same input"
    clock.log.clear()
    sides = [FakeTask(clock, 1.0, "b")], [FakeTask(clock, 2.0, "c")]
    time_pairs(clock, *sides, (4, 2), 1.0, np.random.default_rng(0))
    counts = clock.log.count("b"), clock.log.count("c")
    assert counts == (4, 2), f"a block of 4 and one of 2 were asked for, there were {counts}"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** The baseline against itself again, twelve times, each time for as long as the naive benchmark took. Both
# lanes have the same axis.


# %% tags=["look"]
def paired_speedup(first: Model, second: Model, inputs: np.ndarray, slice_s: float) -> float:
    sides = [[Task(((model.predict, (inputs,)),))] for model in (first, second)]
    pairs = np.array(time_pairs(Clock(), *sides, (2, 2), slice_s, np.random.default_rng()))
    return float(np.median(pairs[:, 0] / pairs[:, 1]))


slice_s = 20 * float(np.median(warm))
paired = [paired_speedup(baseline, baseline, digits, slice_s) for _ in range(12)]
draw(plots.ratios, {"naive, in sequence": naive, "in pairs, median": paired})

# %% [markdown]
# **What did you see?** The same model, the same machine, the same number of calls: only the *order* changed, and
# the median replaced the mean. Now start something heavy in another window (compile, play a film) and run the two
# look cells again. Which lane moves?
#
# Not everything is solved. Two copies of a model can differ by a few percent because their arrays lie at other
# places in memory, and no number of pairs will show that. Section 3 deals with it.

# %% [markdown]
# ## 2. Summarise
#
# **Why.** You have a list of ratios. A leaderboard needs one number, and an honest leaderboard needs to know how far
# that number could have come out differently. Two questions, then: what is the *centre* of these values, and how
# wide is the *interval* in which the truth lies, 95 times out of 100?
#
# We work with the logarithm of the ratio. Twice as fast and half as fast are then equally far from a tie,
# $\log 2$ and $-\log 2$, and the mean of logs is the log of the geometric mean.
#
# ### The bootstrap
#
# **Build.** The interval that needs no theory: pretend that your sample is the world. Draw as many values from it as
# it has, *with replacement*, take the median, do it a thousand times. The middle 95 % of those medians are the
# interval. (Efron, 1979; the percentile method.)


# %% nbgrader={"grade": false, "grade_id": "bootstrap", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bootstrap_interval(
    values: Sequence[float], rng: np.random.Generator, resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the median of `values` (n,)."""
    ### BEGIN SOLUTION
    array = np.asarray(values, dtype=float)
    picks = rng.integers(len(array), size=(resamples, len(array)))
    medians = np.median(array[picks], axis=1)  # (resamples,)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-bootstrap", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
low, high = bootstrap_interval([3.0] * 9, np.random.default_rng(0))
assert (low, high) == (3.0, 3.0), (
    f"nine equal values leave no doubt: the interval is 3 to 3, you say {low} to {high}"
)
low, high = bootstrap_interval(range(101), np.random.default_rng(0))
assert low < high, "every resample has the same median: draw with replacement, so that a value may come twice"
assert low < 50 < high, f"the median of 0 to 100 is 50, and your interval {low} to {high} misses it"
assert 12 < high - low < 30, f"medians of resamples of 0 to 100 spread over about 20; yours over {high - low:.0f}"

# %% nbgrader={"grade": true, "grade_id": "hidden-bootstrap", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
narrow = bootstrap_interval(range(101), np.random.default_rng(0), level=0.5)
wide = bootstrap_interval(range(101), np.random.default_rng(0), level=0.99)
assert wide[0] < narrow[0] < 50 < narrow[1] < wide[1], "more confidence takes a wider interval"
low, high = bootstrap_interval([0.0] * 8 + [1e9], np.random.default_rng(0))
assert high == 0.0, f"one wild value of nine moves no median of a resample, yet your interval ends at {high}"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** How good is it when there are few values? A world in which we know the truth: 12 draws of a skewed,
# heavy-tailed noise around zero, 300 times over. In how many of the 300 does the interval hold the zero?


# %% tags=["look"]
def noisy(rng: np.random.Generator, count: int = 12) -> np.ndarray:
    return rng.standard_t(3, count) * 0.02  # a hiccup now and then, as in real timings


rng = np.random.default_rng(1)
held = [low <= 0 <= high for low, high in (bootstrap_interval(noisy(rng), rng, 200) for _ in range(300))]
f"the bootstrap's 95 % interval of 12 values held the truth in {np.mean(held):.0%} of 300 tries"

# %% [markdown]
# **What did you see?** Close to what it promises, and it made no assumption. It has one weakness for us: it draws
# lots, so that a score computed again from the stored times comes out a little differently. For a leaderboard we want
# an interval that anybody can recompute to the last digit.
#
# ### Hodges and Lehmann
#
# **Why.** The median looks at one or two values in the middle and wastes the others; the mean looks at all and falls
# for the wildest. In between lies an estimate that uses every value and still shrugs off a hiccup: take the means of
# *all pairs* of values, each with itself too, and of those the median.


# %% nbgrader={"grade": false, "grade_id": "pairwise-means", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def pairwise_means(values: Sequence[float]) -> np.ndarray:
    """Means of all pairs of `values` (n,), each with itself too, in rising order: (n (n + 1) / 2,)."""
    ### BEGIN SOLUTION
    array = np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(array))
    return np.sort((array[first] + array[second]) / 2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-pairwise-means", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
means = np.asarray(pairwise_means([4, 0, 2]))
assert len(means) == 6, (
    f"three values make 6 pairs, each value with itself too and no pair twice; you have {len(means)}"
)
assert means.tolist() == sorted(means.tolist()), f"the means come in rising order; yours: {means.tolist()}"
assert means.tolist() == [0, 1, 2, 2, 3, 4], f"of 4, 0 and 2 by hand; yours: {means.tolist()}"

# %% nbgrader={"grade": true, "grade_id": "hidden-pairwise-means", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
means = np.asarray(pairwise_means([1.0, 2.0, 4.0, 8.0]))
assert means.tolist() == [1, 1.5, 2, 2.5, 3, 4, 4.5, 5, 6, 8], f"of 1, 2, 4 and 8; yours: {means.tolist()}"
### END HIDDEN TESTS

# %% [markdown]
# **Build.** The centre is the median of the pairwise means. For the interval, count in from both ends of the sorted
# means: if the truth were further out than that, the signed ranks of Wilcoxon's test would hardly ever come out as
# they did. With $n$ values there are $M = n(n+1)/2$ means; the spread of the rank sum is
# $\sqrt{n(n+1)(2n+1)/24}$, and the ends are the means in place
#
# $$k = \max\left(1, \left\lfloor M/2 - z\sqrt{n(n+1)(2n+1)/24} \right\rfloor\right)$$
#
# counted from each end, 1 being the outermost.


# %% nbgrader={"grade": false, "grade_id": "centre-and-interval", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def centre_and_interval(values: Sequence[float], z: float = 1.96) -> tuple[float, float, float]:
    """Hodges-Lehmann centre of `values` and their Wilcoxon signed-rank interval.

    Args:
        values: (n,) at least 5, roughly symmetric around what they measure.
        z:      normal quantile of the confidence; 1.96 for 95 %.

    Returns:
        (centre, low, high)

    Raises:
        BenchmarkError: fewer than 5 values.

    Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd ed., sections 3.2 and 3.3.
    """
    ### BEGIN SOLUTION
    n = len(values)
    if n < 5:
        raise BenchmarkError(f"{n} rounds are too few for an interval, at least 5 are needed; raise timing_runs")
    means = pairwise_means(values)
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    rank = max(1, math.floor(len(means) / 2 - z * spread))
    return float(np.median(means)), float(means[rank - 1]), float(means[-rank])
    ### END SOLUTION


# %% [markdown]
# **Check.** The numbers are from the textbook: depression scores of nine patients before and after a tranquilizer.

# %% nbgrader={"grade": true, "grade_id": "check-centre-and-interval", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
change = [-0.952, 0.147, -1.022, -0.43, -0.62, -0.59, -0.49, 0.08, -0.01]
with given(globals(), "pairwise_means"):
    centre, low, high = centre_and_interval(change)
    assert abs(centre - np.mean(change)) > 1e-3, "the centre is the median of the pairwise means, not the mean"
    assert abs(centre + 0.46) < 1e-3, f"the textbook's estimate is -0.460; you say {centre:.3f}"
    assert low <= centre <= high, f"the interval holds its centre; yours: {low:.3f}, {centre:.3f}, {high:.3f}"
    assert abs(low + 0.806) < 1e-3, (
        f"the interval begins at the 5th mean from the bottom, -0.806; yours: {low:.3f}"
    )
    assert abs(high - 0.035) < 1e-3, f"the interval ends at the 5th mean from the top, 0.035; yours: {high:.3f}"
    with refuses(
        BenchmarkError, "4", why="four values are too few for an interval: BenchmarkError is what says so"
    ):
        centre_and_interval([1.0, 2.0, 3.0, 4.0])

# %% nbgrader={"grade": true, "grade_id": "hidden-centre-and-interval", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "pairwise_means"):
    steady = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    wild = centre_and_interval([*steady, 5.0])[0]
    assert abs(wild - 0.03) < 0.01, f"one wild round of eight must not move the centre to {wild}"
    _, low, high = centre_and_interval(range(20))
    _, narrow_low, narrow_high = centre_and_interval(range(20), z=1.0)
    assert low < narrow_low and narrow_high < high, "a smaller z is a narrower interval"
    assert centre_and_interval(range(5))[1:] == (0.0, 4.0), "with 5 values k is 1: the outermost means"
### END HIDDEN TESTS

# %% [markdown]
# ### Four things an interval can say
#
# **Why.** "1.013 times faster" is what a leaderboard prints and nobody believes. What a reader wants is one of four
# words. *Faster*: even the low end is more than 2 % above a tie. *Slower*: the mirror image, $1/1.02$. *Tie*: the
# whole interval lies close to 1, within about 4 %. And the honest fourth one, which most benchmarks do not have:
# *not settled*.


# %% nbgrader={"grade": false, "grade_id": "verdict", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def verdict(low: float, high: float, tie: float = 0.02) -> str:
    """What an interval of a speedup says: "faster", "slower", "tie" or "not settled".

    Faster means more than `tie` faster with the whole interval (above 1 + tie), and slower likewise (below
    1 / (1 + tie)); a tie is an interval strictly between 1 / (1 + 2 tie) and 1 + 2 tie.
    """
    ### BEGIN SOLUTION
    if low > 1 + tie:
        return "faster"
    if high < 1 / (1 + tie):
        return "slower"
    return "tie" if 1 / (1 + 2 * tie) < low and high < 1 + 2 * tie else "not settled"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-verdict", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
asked = {(1.05, 1.2): "faster", (0.5, 0.9): "slower", (0.99, 1.01): "tie", (0.8, 1.3): "not settled"}
for (low, high), word in asked.items():
    said = verdict(low, high)
    assert said == word, f"an interval from {low} to {high} is {word!r}, you say {said!r}"
said = verdict(1.01, 1.2)
assert said != "faster", "the low end is only 1 % above a tie: the whole interval must be more than 2 % faster"
assert said == "not settled", f"1.01 to 1.2 may be a tie or may be faster: not settled, you say {said!r}"

# %% nbgrader={"grade": true, "grade_id": "hidden-verdict", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
asked = {(0.975, 1.03): "tie", (1.015, 1.035): "tie", (0.9, 0.985): "not settled", (0.95, 0.979): "slower"}
for (low, high), word in asked.items():
    said = verdict(low, high)
    assert said == word, f"an interval from {low} to {high} is {word!r}, you say {said!r}"
assert verdict(1.05, 1.06, tie=0.1) == "tie", "tie is an argument: use it"
### END HIDDEN TESTS

# %% [markdown]
# ### From log ratios to a `Speedup`
#
# **Build.** Centre and interval of the logs, then back through `exp`. One thing is added. Some errors hold for a whole
# run and no statistic of that run can see them (where the linker put a function, say). We know their size from many
# runs, about half a percent, and put it into every interval: half-widths that have nothing to do with each other add
# like the sides of a right triangle, `math.hypot`.


# %% nbgrader={"grade": false, "grade_id": "summarise", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def summarise(log_ratios: Sequence[float], unseen: float = 0.005) -> Speedup:
    """The speedup that the log ratios of the rounds stand for, with its 95 % interval.

    Args:
        log_ratios: (rounds,) natural logs of baseline time / candidate time.
        unseen:     half-width, as a log, that is always there: what moves a whole run and no statistic sees.

    Returns:
        Speedup with the interval laid evenly around the centre, as a log.
    """
    ### BEGIN SOLUTION
    centre, low, high = centre_and_interval(log_ratios)
    half = math.hypot((high - low) / 2, unseen)
    ratio, low, high = (math.exp(value) for value in (centre, centre - half, centre + half))
    return Speedup(ratio, low, high, verdict(low, high))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-summarise", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
with given(globals(), "pairwise_means", "centre_and_interval", "verdict"):
    same = summarise([math.log(2)] * 12)
    assert math.isclose(same.ratio, 2), f"twelve rounds of log 2 are a speedup of 2; you say {same.ratio:.4f}"
    half = math.log(same.high / same.low) / 2
    assert half > 1e-9, "twelve equal rounds still leave the unseen half percent"
    assert math.isclose(half, 0.005), f"twelve equal rounds have a half-width of `unseen`, 0.005; yours {half:.4f}"
    assert same.verdict == "faster", f"1.99 to 2.01 is faster, your Speedup says {same.verdict!r}"
    logs = [0.0, 0.02, 0.04, 0.06, 0.08]
    half = math.log(summarise(logs, unseen=0.03).high / summarise(logs, unseen=0.03).low) / 2
    assert math.isclose(half, 0.05), f"half-widths 0.04 and 0.03 make 0.05, as 4 and 3 make 5; yours: {half:.4f}"

# %% nbgrader={"grade": true, "grade_id": "hidden-summarise", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "pairwise_means", "centre_and_interval", "verdict"):
    logs = [-0.3, -0.29, -0.31, -0.3, -0.32, -0.28]
    slow = summarise(logs)
    assert math.isclose(slow.ratio, math.exp(-0.3)), f"the ratio is exp of the centre; yours: {slow.ratio}"
    assert math.isclose(slow.ratio**2, slow.low * slow.high), "the interval lies evenly around the centre, as logs"
    assert slow.verdict == "slower", f"a speedup of 0.74 is slower, you say {slow.verdict!r}"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** Three protocols measure the baseline against itself with the same number of calls: the mean of a sequence
# with the usual "plus or minus two standard errors", the median of pairs with your bootstrap, and your `summarise`.


# %% tags=["look"]
def sequence_estimate(runs: int = 60) -> dict[str, Any]:
    first, second = (np.array(measure(lambda: baseline.predict(digits), runs)) for _ in range(2))
    ratio = first.mean() / second.mean()
    error = ratio * math.hypot(*(2 * side.std() / side.mean() / math.sqrt(runs) for side in (first, second)))
    return {"label": "mean, in sequence", "ratio": ratio, "low": ratio - error, "high": ratio + error}


ratios = [paired_speedup(baseline, baseline, digits, slice_s) for _ in range(12)]
low, high = bootstrap_interval(ratios, np.random.default_rng(0))
ours = summarise(np.log(ratios))
draw(plots.intervals, [
    sequence_estimate(),
    {"label": "pairs, bootstrap", "ratio": float(np.median(ratios)), "low": low, "high": high},
    {"label": "pairs, summarise", "ratio": ours.ratio, "low": ours.low, "high": ours.high},
], truth=1.0)  # fmt: skip

# %% [markdown]
# **What did you see?** Run it a few times. The formula with the standard errors is not wrong, its *assumption* is: it
# takes the two sides to be draws from one world, and between them the weather changed. An interval is only as honest
# as the way the data came about. Pairs first, statistics second.

# %% [markdown]
# ## 3. Profile
#
# **Why.** A benchmark says *how fast*; before you optimise you want to know *where the time goes*. Module 15's
# profiler answers that, layer by layer. Both belong in one instrument, which this section assembles:
# `CompetitionProfiler`. Its first cell is given. Read the constants; you will use all of them.


# %% nbgrader={"grade": false, "grade_id": "competition-profiler", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
class CompetitionProfiler:
    """Compares a model with a baseline on one event: speed, quality, memory and size.

    Args:
        warmup_runs: least calls of each model before anything is timed.
        timing_runs: least rounds; never fewer than 12.
        budget_s:    seconds for the timing of one event; more are used if 12 rounds take longer.
        target:      half-width of the score's interval, as a share, at which timing may stop early.
        seed:        of everything random; None draws one. It is kept in the results.
        clock:       the clock to use; by default a new `Clock()`.

    Raises:
        BenchmarkError: a number of runs, a budget, a target or a seed makes no sense.
    """

    LEAST_ROUNDS, MOST_ROUNDS = 12, 60
    LEAST_ROUND_S = 0.02
    LONGEST_CALL_S = 5.0
    POOL = 96  # most inputs of a scenario in a round

    def __init__(
        self,
        warmup_runs: int = 3,
        timing_runs: int = 10,
        budget_s: float = 3.0,
        target: float = 0.01,
        seed: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not (warmup_runs >= 1 and timing_runs >= 1 and budget_s > 0 and target > 0):
            raise BenchmarkError(
                f"warmup_runs and timing_runs are at least 1, budget_s and target above 0; "
                f"got {warmup_runs}, {timing_runs}, {budget_s} and {target}"
            )
        self.warmup_runs, self.timing_runs = warmup_runs, timing_runs
        self.budget_s, self.target = budget_s, target
        self.seed = int(np.random.SeedSequence().generate_state(1)[0] if seed is None else seed)
        if self.seed < 0:
            raise BenchmarkError(f"seed is a whole number from 0 on, got {seed}")
        self.clock = clock or Clock()
        self._references: dict[tuple[int, int, str, str], tuple[np.ndarray, int]] = {}
        self._kept: list[Model] = []


# %% [markdown]
# ### Where the time goes
#
# **Build.** `@add_method(CompetitionProfiler)` puts a function into the class from a later cell, so that we can build it
# method by method. The first one wraps Module 15: `with Profiler(model, clock) as profile:` records what the model does
# inside the block. The first call of a model is special (you saw it in Section 1), so it must not be in the profile.


# %% nbgrader={"grade": false, "grade_id": "profile-layers", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@add_method(CompetitionProfiler)
def profile_layers(self, model: Model, inputs: np.ndarray) -> Profiler:
    """Where one answer of a tinytorch model spends its time, by layer, after a warm-up call (Module 15)."""
    ### BEGIN SOLUTION
    model.predict(inputs)
    with Profiler(model, self.clock) as profile:
        model.predict(inputs)
    return profile
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-profile-layers", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
watched, answered = load_baseline("mlp_sprint"), []
watched.predict = lambda inputs: answered.append(1) or type(watched).predict(watched, inputs)
profile = CompetitionProfiler().profile_layers(watched, dataset.inputs[:4])
assert isinstance(profile, Profiler), f"return the Profiler, which holds the table; got {type(profile).__name__}"
assert len(answered) == 2, f"one call to warm up and one in the profile; the model answered {len(answered)} times"
layers = [row for row in profile.rows() if row["kind"] == "Linear"]
assert layers and all(row["calls"] == 1 for row in layers), "the warm-up call must not be in the profile"

# %% nbgrader={"grade": true, "grade_id": "hidden-profile-layers", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
clock = FakeClock()
profile = CompetitionProfiler(clock=clock).profile_layers(load_baseline("mlp_sprint"), dataset.inputs[:4])
assert all(row["time_s"] == 0 for row in profile.rows()), "time it with self.clock, the profiler's own clock"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** All three baselines. Before you run it, guess for each: which layer takes most of the time, and why?

# %% tags=["look"]
instrument = CompetitionProfiler()
draw(plots.profile, instrument.profile_layers(baseline, dataset.inputs[:32]).rows())

# %% tags=["look"]
network, pictures = load_baseline("cnn_marathon"), load_dataset("cnn_marathon").inputs[:32]
draw(plots.profile, instrument.profile_layers(network, pictures).rows())

# %% tags=["look"]
transformer, text = load_baseline("transformer_decathlon"), load_dataset("transformer_decathlon").inputs[:32]
draw(plots.profile, instrument.profile_layers(transformer, text).rows(), size=(8.0, 5.2))

# %% [markdown]
# **What did you see?** In the MLP one matrix product does nearly all the work, at a good rate of operations a second:
# little can be gained there without doing *fewer* of them. The convolution does its work at a fraction of that rate,
# since it is a loop over kernel positions; that is where Module 16 will earn its keep. And in the transformer the time
# is spread over many small layers, none of which is worth optimising alone.
#
# ### Calibrate
#
# **Why.** Before anything is timed, each model is called a few times (caches fill, buffers are allocated, compilers
# compile), and those calls tell how long one takes. From that follows how many tasks make a block. A model that takes
# minutes must be refused *now*, with a message, not after half an hour.
#
# **Build.** `scenario.inputs(rng)` draws fresh inputs; `scenario.prepare(model, inputs)` gives a dictionary with a
# `Task` for each name in `scenario.cases`. For each case: time blocks of one task, at least two and at least
# `self.warmup_runs` of them, drop the first, take the fastest of the rest. The helper below is given.


# %% nbgrader={"grade": false, "grade_id": "call-time", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
@add_method(CompetitionProfiler)
def check_call_time(self, case: str, baseline_s: float, candidate_s: float) -> None:
    """Raise BenchmarkError if one call takes longer than `LONGEST_CALL_S`."""
    if max(baseline_s, candidate_s) > self.LONGEST_CALL_S:
        raise BenchmarkError(
            f"one call of '{case}' takes {candidate_s:.1f} s, the baseline {baseline_s:.2g} s; timing it "
            f"would take minutes: make the model faster than {self.LONGEST_CALL_S:.0f} s a call first"
        )


# %% nbgrader={"grade": false, "grade_id": "calibrate", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@add_method(CompetitionProfiler)
def calibrate(
    self, baseline: Model, candidate: Model, scenario: Scenario, rng: np.random.Generator
) -> dict[str, tuple[int, int]]:
    """Warm both models up and find how many tasks make a block, for every case of a scenario.

    Each model runs every case at least twice and at least `warmup_runs` times; the first time is dropped and
    the fastest of the others counts.

    Raises:
        BenchmarkError: one call takes longer than 5 s.
    """
    ### BEGIN SOLUTION
    sizes = {}
    inputs = scenario.inputs(rng)
    prepared = [scenario.prepare(model, inputs) for model in (baseline, candidate)]
    for case in scenario.cases:
        times = []
        for tasks in prepared:
            runs = [time_block(self.clock, [tasks[case]]) for _ in range(max(2, self.warmup_runs))]
            times.append(min(runs[1:]))  # the first one fills caches
        self.check_call_time(case, *times)
        sizes[case] = block_sizes(*times)
    return sizes
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-calibrate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
with given(globals(), "time_block", "block_sizes"):
    clock, rng = FakeClock(), np.random.default_rng(0)
    slow = TimedModel(clock, iter([4.0, 2e-3, 1e-3]), "baseline")  # the first call compiles
    fast = TimedModel(clock, 1e-4, "candidate")
    sizes = CompetitionProfiler(warmup_runs=3, clock=clock).calibrate(
        slow, fast, checks.toy_scenario("batch 1"), rng
    )
    assert clock.log.count("baseline") == 3, (
        f"3 warm-up runs, each timed: there were {clock.log.count('baseline')}"
    )
    assert sizes != {"batch 1": (1, 7)} and sizes != {"batch 1": (1, 5000)}, "the first run fills caches: drop it"
    assert sizes == {"batch 1": (1, 10)}, f"the fastest run after the first took 1 ms, and 0.1 ms; you say {sizes}"
    patient = CompetitionProfiler(warmup_runs=2, clock=clock)
    with refuses(
        BenchmarkError, "batch 1", "6.0 s", why="a model that takes 6 s a call is refused with BenchmarkError"
    ):
        patient.calibrate(fast, TimedModel(clock, 6.0), checks.toy_scenario("batch 1"), rng)

# %% nbgrader={"grade": true, "grade_id": "hidden-calibrate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "time_block", "block_sizes"):
    clock, rng = FakeClock(), np.random.default_rng(0)
    models = TimedModel(clock, 1e-3, "b"), TimedModel(clock, 2e-3, "c")
    profiler = CompetitionProfiler(warmup_runs=1, clock=clock)
    sizes = profiler.calibrate(*models, checks.toy_scenario("batch 1", "batch 32"), rng)
    assert sizes == {"batch 1": (2, 1), "batch 32": (2, 1)}, f"one entry for every case of the scenario: {sizes}"
    assert clock.log.count("b") == clock.log.count("c") == 4, (
        "even with warmup_runs=1 each case runs twice a model"
    )
    lucky = TimedModel(clock, iter([1e-6, 1e-3, 2e-3])), TimedModel(clock, 1e-4)
    sizes = CompetitionProfiler(warmup_runs=3, clock=clock).calibrate(*lucky, checks.toy_scenario("batch 1"), rng)
    assert sizes == {"batch 1": (1, 10)}, f"the first run never counts, not even when it is the fastest: {sizes}"
### END HIDDEN TESTS

# %% [markdown]
# ### Rounds
#
# **Why.** Pairs take care of the weather. Two more things make a ratio lie, and both stay the same for a whole run, so
# that no number of pairs will show them. *Where the arrays lie*: two copies of one model differ by up to 5 %, because one
# of them is unlucky with its cache lines. And *the inputs*: a model that has seen an input before may remember the
# answer. So we work in rounds. For each round both models are copied to new places in memory and get inputs that did not
# exist before; the round gives one log ratio a case, and rounds, not pairs, are what we count.
#
# The helpers are given.


# %% nbgrader={"grade": false, "grade_id": "round-helpers", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
@add_method(CompetitionProfiler)
def _spent(self) -> tuple[float, float, float]:
    """Seconds so far: wall time, waiting for a core, CPU time of other threads and children."""
    return self.clock.wall_s(), self.clock.waited_s(), other_cpu_s()


def both_at_new_places(baseline: Model, candidate: Model, rng: np.random.Generator) -> tuple[Model, Model]:
    """Copies of both models, moved in random order: who is copied second lies more scattered."""
    if rng.random() < 0.5:
        moved = at_new_places(baseline, rng)
        return moved, at_new_places(candidate, rng)
    moved = at_new_places(candidate, rng)
    return at_new_places(baseline, rng), moved


def round_medians(
    pairs: Mapping[str, Sequence[tuple[float, float]]],
) -> tuple[dict[str, float], dict[str, int], dict[str, float], dict[str, float]]:
    """For every case: median log ratio, number of pairs, median baseline and candidate time."""
    table = {case: np.array(each) for case, each in pairs.items()}  # case -> (pairs, 2)
    return (
        {case: float(np.median(np.log(each[:, 0] / each[:, 1]))) for case, each in table.items()},
        {case: len(each) for case, each in table.items()},
        {case: float(np.median(each[:, 0])) for case, each in table.items()},
        {case: float(np.median(each[:, 1])) for case, each in table.items()},
    )


# %% nbgrader={"grade": false, "grade_id": "pool-helpers", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def pool_size(scenario: Scenario, sizes: Mapping[str, tuple[int, int]], most: int) -> int:
    """How many inputs a round of a scenario gets: enough that no block meets one twice, if they cost little.

    Where an input is a chain of operations to prepare, a few serve all blocks.
    """
    wanted = max(2, *(max(sizes[case]) for case in scenario.cases))
    return min(most if len(scenario.cases) == 1 else most // 12, wanted)


def settle(tasks: Sequence[Sequence[Task]], sizes: tuple[int, int]) -> None:
    """Run each side once at its new place, untimed, where a call is short enough for that to matter."""
    if max(sizes) > 1:
        for function, arguments in (call for side in tasks for call in side[0].calls):
            function(*arguments)


# %% [markdown]
# **Build.** One round, with a generator of its own made from `seed`. For each scenario: move both models
# (`both_at_new_places`), draw a pool of inputs (`pool_size(scenario, sizes, self.POOL)` of them), prepare both models for
# *the same* inputs. Then, with `no_garbage_collection()`, for each case: `settle` both sides, and `time_pairs` for
# `slice_s`. At the end `Round(seed, *round_medians(pairs), *spent)`, where `spent` is how much the three numbers of
# `self._spent()` grew.


# %% nbgrader={"grade": false, "grade_id": "measure-round", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@add_method(CompetitionProfiler)
def measure_round(
    self,
    baseline: Model,
    candidate: Model,
    scenarios: Sequence[Scenario],
    sizes: Mapping[str, tuple[int, int]],
    slice_s: float,
    seed: int,
) -> Round:
    """One round: both models at new places, fresh inputs, and `slice_s` seconds of pairs for every case."""
    ### BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    spent_before = self._spent()
    pairs: dict[str, list[tuple[float, float]]] = {}
    for scenario in scenarios:
        models = both_at_new_places(baseline, candidate, rng)
        pool = pool_size(scenario, sizes, self.POOL)
        inputs = [scenario.inputs(rng) for _ in range(pool)]
        prepared = [[scenario.prepare(model, each) for each in inputs] for model in models]
        with no_garbage_collection():
            for case in scenario.cases:
                first, second = ([each[case] for each in side] for side in prepared)
                settle((first, second), sizes[case])
                pairs[case] = time_pairs(self.clock, first, second, sizes[case], slice_s, rng)
    spent = (now - before for now, before in zip(self._spent(), spent_before, strict=True))
    return Round(seed, *round_medians(pairs), *spent)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-measure-round", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
with given(globals(), "time_block", "time_pair", "time_pairs"):
    clock = FakeClock()
    slow, fast = TimedModel(clock, 4.0, "b"), TimedModel(clock, 1.0, "c")
    scenario, sizes = checks.toy_scenario("batch 1", "batch 32"), {"batch 1": (1, 1), "batch 32": (1, 4)}
    one = CompetitionProfiler(clock=clock).measure_round(slow, fast, [scenario], sizes, 50.0, seed=3)
    assert set(one.log_ratios) == {"batch 1", "batch 32"}, f"every case is timed; yours: {set(one.log_ratios)}"
    assert math.isclose(one.log_ratios["batch 1"], math.log(4)), f"4 s against 1 s: {one.log_ratios['batch 1']}"
    assert one.pairs == {"batch 1": 10, "batch 32": 7}, (
        f"pairs of 5 s, and of 8 s, in 50 s for every case: {one.pairs}"
    )
    assert one.seed == 3, f"the round keeps its seed, {one.seed} is not 3"
    calls = clock.log.count("b")
    assert calls == 10 + 7 + 1, (
        f"17 pairs, and one call to settle before batch 32: 18 of the baseline, not {calls}"
    )
    assert math.isclose(one.wall_s, clock.time_s), f"the round took {clock.time_s:.3f} s, it says {one.wall_s:.3f}"

# %% nbgrader={"grade": true, "grade_id": "hidden-measure-round", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "time_block", "time_pair", "time_pairs"):
    clock, drawn, seen = FakeClock(), [], {}
    toy = checks.toy_scenario("batch 1")

    def draw_inputs(rng):
        drawn.append(rng.random(4))
        return drawn[-1]

    def prepare(model, inputs):
        seen.setdefault(id(model), []).append(inputs)
        return toy.prepare(model, inputs)

    watched = Scenario("toy", toy.cases, draw_inputs, prepare)
    slow, fast = TimedModel(clock, 1e-3), TimedModel(clock, 1e-4)
    profiler = CompetitionProfiler(clock=clock)
    rounds = [
        profiler.measure_round(slow, fast, [watched], {"batch 1": (1, 10)}, 0.01, seed) for seed in (5, 5, 6)
    ]
    assert len(drawn) == 30, (
        f"a round draws {pool_size(watched, {'batch 1': (1, 10)}, 96)} fresh inputs, you {len(drawn) / 3:g}"
    )
    assert np.array_equal(drawn[:10], drawn[10:20]), "the same seed draws the same inputs"
    assert not np.array_equal(drawn[:10], drawn[20:]), "another seed draws other inputs"
    assert not {id(slow), id(fast)} & set(seen), "what is prepared and timed are the moved copies, not the models"
    pools = list(seen.values())
    assert len(pools[0]) >= 10 and pools[0][0] is pools[1][0], "both models are prepared for the same inputs"
### END HIDDEN TESTS

# %% [markdown]
# ### A score from rounds
#
# **Build.** The speed score of an event is a geometric mean over its cases, batch 1, 32 and 256 say. On the log scale
# that is a plain mean. One value a round.


# %% nbgrader={"grade": false, "grade_id": "combine", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def combine(rounds: Iterable[Round], cases: Sequence[str]) -> list[float]:
    """Log of the geometric mean over `cases`, for every round: a mean of logs."""
    ### BEGIN SOLUTION
    return [float(np.mean([each.log_ratios[case] for case in cases])) for each in rounds]
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "is-settled", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def is_settled(rounds: Sequence[Round], cases: Sequence[str], target: float) -> bool:
    """Is the interval of the speedup over `cases` within `target` of its centre? Fewer than 5 rounds never are."""
    if len(rounds) < 5:
        return False
    result = summarise(combine(rounds, cases))
    return math.log(result.high / result.low) / 2 <= target


# %% nbgrader={"grade": true, "grade_id": "check-combine", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
rounds = [checks.toy_round({"batch 1": 2.0, "batch 32": 8.0}), checks.toy_round({"batch 1": 1.0, "batch 32": 1.0})]
logs = combine(rounds, ("batch 1", "batch 32"))
assert len(logs) == 2, f"one value a round: two rounds came and {len(logs)} values went"
assert not math.isclose(logs[0], math.log(5)), "5 is the arithmetic mean of 2 and 8; we want the geometric mean"
assert np.allclose(logs, [math.log(4), 0.0]), (
    f"the geometric mean of 2 and 8 is 4, its log {math.log(4):.3f}; {logs}"
)

# %% nbgrader={"grade": true, "grade_id": "hidden-combine", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
logs = combine([checks.toy_round({"batch 1": 3.0, "batch 32": 0.1, "generate": 7.0})], ("batch 1",))
assert np.allclose(logs, [math.log(3)]), f"only the cases that were asked for count; you say {logs}"
assert isinstance(logs, list) and all(type(value) is float for value in logs), "plain floats in a list"
### END HIDDEN TESTS

# %% [markdown]
# ### When to stop
#
# **Why.** Stop too early and the interval is wide; never stop and the student goes to bed. We stop when the interval is
# narrow enough (`is_settled`, at `self.target`), or when the budget is spent, but never before 12 rounds: an interval
# from five rounds that happens to be narrow is luck, and stopping at the luckiest moment is a bias of its own.
#
# **Build.** Warm up and calibrate every scenario first. Then rounds: at least `max(self.LEAST_ROUNDS, self.timing_runs)`,
# at most `self.MOST_ROUNDS`, each with a seed of its own from `seeds`. A slice of a round is `self.budget_s / 20` (at least
# `self.LEAST_ROUND_S`) shared by all cases. The budget is read from `self.clock.wall_s()`.


# %% nbgrader={"grade": false, "grade_id": "measure-rounds", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@add_method(CompetitionProfiler)
def measure_rounds(self, baseline: Model, candidate: Model, dataset: Dataset) -> list[Round]:
    """Rounds until the interval of the speedup is narrow enough or the budget is spent, at least 12."""
    keep_freed_memory()
    scenarios = scenarios_for(dataset, baseline)
    cases = speed_cases(get_event(dataset.event))
    seeds = np.random.SeedSequence(self.seed)
    rng = np.random.default_rng(seeds.spawn(1)[0])
    rounds: list[Round] = []
    with one_blas_thread(), old_objects_set_aside():
        ### BEGIN SOLUTION
        sizes: dict[str, tuple[int, int]] = {}
        for scenario in scenarios:
            sizes |= self.calibrate(baseline, candidate, scenario, rng)
        slice_s = max(self.LEAST_ROUND_S, self.budget_s / 20) / len(sizes)
        least = max(self.LEAST_ROUNDS, self.timing_runs)
        end = self.clock.wall_s() + self.budget_s
        while len(rounds) < least or (self.clock.wall_s() < end and len(rounds) < self.MOST_ROUNDS):
            seed = int(seeds.spawn(1)[0].generate_state(1)[0])
            rounds.append(self.measure_round(baseline, candidate, scenarios, sizes, slice_s, seed))
            if len(rounds) >= least and is_settled(rounds, cases, self.target):
                break
        ### END SOLUTION
    return rounds


# %% nbgrader={"grade": true, "grade_id": "check-measure-rounds", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
needed = ("time_block", "block_sizes", "time_pair", "time_pairs", "summarise", "combine", "is_settled")
methods = ("CompetitionProfiler.calibrate", "CompetitionProfiler.measure_round")
with given(globals(), *needed, *methods):
    clock = FakeClock()
    steady = TimedModel(clock, 1e-3), TimedModel(clock, 5e-4)
    profiler = CompetitionProfiler(budget_s=0.5, seed=1, clock=clock)
    rounds = profiler.measure_rounds(*steady, dataset)
    assert len(rounds) == 12, f"equal rounds are settled, but 12 are the least; you made {len(rounds)}"
    assert math.isclose(rounds[0].log_ratios["batch 256"], math.log(2)), "1 ms against 0.5 ms, baseline first"
    assert len({each.seed for each in rounds}) == 12, "every round has a seed of its own"
    lively = TimedModel(clock, lambda _: 1e-3 * 2 ** np.random.default_rng(len(clock.log)).normal())
    more = CompetitionProfiler(timing_runs=15, budget_s=1e-3, seed=1, clock=clock).measure_rounds(
        lively, steady[1], dataset
    )
    assert len(more) == 15, f"timing_runs=15 asks for at least 15 rounds, you made {len(more)}"

# %% nbgrader={"grade": true, "grade_id": "hidden-measure-rounds", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), *needed, *methods):
    clock = FakeClock()
    models = (
        TimedModel(clock, lambda _: 1e-3 * 2 ** np.random.default_rng(len(clock.log)).normal()),
        TimedModel(clock, 1e-3),
    )
    profiler = CompetitionProfiler(budget_s=1.0, seed=1, clock=clock)
    rounds = profiler.measure_rounds(*models, dataset)
    assert 12 <= len(rounds) <= 30, f"20 slices fill the budget of 1 s; you made {len(rounds)} rounds"
    profiler = CompetitionProfiler(budget_s=2000.0, target=1e-9, seed=1, clock=clock)
    profiler.LEAST_ROUND_S, profiler.MOST_ROUNDS = 1e-3, 14
    assert len(profiler.measure_rounds(TimedModel(clock, 4.0), TimedModel(clock, 4.0), dataset)) == 14, (
        "MOST_ROUNDS"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Look.** A real measurement: the baseline against a copy of itself, with everything you have built. Each dot is a
# round.

# %% tags=["look"]
rounds = CompetitionProfiler(budget_s=1.0).measure_rounds(baseline, baseline.copy(), dataset)
lanes = {
    case: [math.exp(each.log_ratios[case]) for each in rounds] for case in ("batch 1", "batch 32", "batch 256")
}
lanes["all together"] = [math.exp(value) for value in combine(rounds, list(lanes))]
draw(plots.ratios, lanes)

# %% tags=["look"]
summarise(combine(rounds, ("batch 1", "batch 32", "batch 256")))

# %% [markdown]
# **What did you see?** Compare the horizontal axis with the one in Section 1. A model against itself comes out within
# about a percent, and the interval says so. That is the whole of the instrument; everything after this decides what it is
# allowed to be used for.

# %% [markdown]
# ## 4. Events
#
# **Why.** "Ours is faster" means nothing before it is said at what. A *suite* fixes the task, the data, the baseline and
# the rule, the same for everybody. Ours has three events, each with another bottleneck:
#
# | event | model | the score | what it rewards |
# |---|---|---|---|
# | MLP Sprint | 784-128-64-10 on digits | speed | fewer instructions around one matrix product |
# | CNN Marathon | two convolutions, a small digit anywhere | cube root of speed x memory x size | layout, fusion, small weights |
# | Transformer Decathlon | a language model of two blocks | mean of ten disciplines | no weak spot |
#
# **Build.** The suite is short, because what it stands on is long: `load_baseline`, `load_dataset` and `EVENTS` are
# imported above.


# %% nbgrader={"grade": false, "grade_id": "suite", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class TinyMLPerf:
    """The suite: three events, each with a trained baseline and a dataset.

    Args:
        split: "public" to practise on; "official" is what a referee uses.
    """

    def __init__(self, split: str = "public") -> None:
        self.split = split

    def get_available_events(self) -> dict[str, str]:
        """Names of the events, each with one line (its summary) that says what it is."""
        ### BEGIN SOLUTION
        return {event.name: event.summary for event in EVENTS.values()}
        ### END SOLUTION

    def load_benchmark(self, event_name: str) -> tuple[Model, Dataset]:
        """A fresh copy of the trained baseline of an event, and the event's dataset in this suite's split.

        Raises:
            WorkloadError: there is no such event (the message lists them), or its weights are damaged.
        """
        ### BEGIN SOLUTION
        return load_baseline(event_name), load_dataset(event_name, self.split)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-suite", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
tinyperf = TinyMLPerf()
events = tinyperf.get_available_events()
assert set(events) == {"mlp_sprint", "cnn_marathon", "transformer_decathlon"}, (
    f"the names are those in EVENTS: {events}"
)
assert all(isinstance(line, str) and line for line in events.values()), "each event comes with its summary"
model, data = tinyperf.load_benchmark("mlp_sprint")
assert data.event == "mlp_sprint" and model.predict(data.inputs[:2]).shape == (2, 10), (
    "first the model, then the data"
)
assert tinyperf.load_benchmark("mlp_sprint")[0] is not model, (
    "two competitors must not share one model: a fresh copy"
)

# %% nbgrader={"grade": true, "grade_id": "hidden-suite", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
assert TinyMLPerf(split="official").load_benchmark("mlp_sprint")[1].split == "official", "the split is the suite's"
with refuses(ValueError, "mlp_sprint", why="there is no event called chess: WorkloadError says so"):
    TinyMLPerf().load_benchmark("chess")
### END HIDDEN TESTS

# %% [markdown]
# **Look.** What the models get to see: pixels from 0 to 255 (scaling them is part of the work, inside the clock), and
# characters as numbers.

# %% tags=["look"]
draw(plots.pictures, {
    "MLP Sprint: digits": load_dataset("mlp_sprint").inputs[:12].reshape(-1, 28, 28),
    "CNN Marathon: anywhere": load_dataset("cnn_marathon").inputs[:12, ..., 0],
}, size=(8.0, 2.6))  # fmt: skip

# %% tags=["look"]
from tinytorch.perf.workloads.text import load_alphabet

[load_alphabet().decode(line) for line in load_dataset("transformer_decathlon").inputs[:3]]

# %% [markdown]
# **What did you see?** In the Marathon the digit is half as large and lies somewhere else each time. An MLP would have to
# learn every place by itself; only a convolution knows that a seven is a seven anywhere. That choice was made against
# cheating: with centred digits, a tiny MLP in the network's place was over a hundred times faster and lost one point of
# accuracy. A suite decides what wins before anyone competes.

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflect-evening", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# **Question (3 points).** A colleague reports: "I ran both models a hundred times on my laptop, the mean times were 41.2 ms
# and 39.9 ms, so the new one is 3 % faster." Name three things you would ask before you believe it, and for each say what
# could have gone wrong. Two or three sentences each.
#
# ### BEGIN SOLUTION
# *For the instructor.* One point for each question that (a) names a mechanism from Sections 1 to 3 and (b) says how it
# would produce a 3 % difference without any speedup. Examples: were the runs interleaved or in sequence (weather changed
# between the sides)? Mean or median, and may we see the raw times (one hiccup)? Was there a warm-up, was it the same for
# both? Is there an interval, from independent repetitions? Were the arrays at the same places in every run (layout moves
# up to 5 %)? Same inputs, fresh or cached? How many threads, what clock? "Run it more often" alone earns nothing: a
# hundred runs in one layout and one sequence repeat the same error.
# ### END SOLUTION

# %% [markdown]
# ## 5. Verify
#
# **Why.** Here is a model that is a thousand times faster than the baseline: it answers "zero" whatever you show it. On
# digits it is right in one case of ten. Without a check of *quality* it wins every competition there is.
#
# So each event has a **floor**: how much worse than the baseline a model may be. In Sprint and Marathon one point of
# accuracy, in the Decathlon 0.03 bits per character. Your second evening begins with the three functions that hold it.


# %%
class AlwaysZero:
    """Answers the digit 0, very fast."""

    def __init__(self) -> None:
        self.weights = np.zeros(10, dtype=np.float32)  # a model without weights would be refused

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.eye(10, dtype=np.float32)[np.zeros(len(inputs), dtype=int)]


# %% [markdown]
# ### How wrong is each answer?
#
# **Build.** One number an example, for either metric. For `"accuracy"`: 1 where the largest logit is not the label's. For
# `"bits_per_character"`: how many bits the model would need to write down the character that really came,
# $-\log_2 p(\text{label})$, averaged over the positions of the example. The probabilities are the softmax of the logits
# *over the last axis*; subtract the largest logit first, or `exp` overflows (you met this in Module 4).


# %% nbgrader={"grade": false, "grade_id": "example-errors", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def example_errors(metric: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How wrong the model is on each example: (N,) floats.

    Args:
        metric: "accuracy" (0 where the largest logit is the label's, else 1) or "bits_per_character"
            (-log2 of the label's probability, averaged over the positions of the example).
        logits: (N, classes) or (N, T, classes)
        labels: (N,) or (N, T)
    """
    ### BEGIN SOLUTION
    if metric == "accuracy":
        return (logits.argmax(axis=-1) != labels).astype(float)
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]
    return -chosen.reshape(len(labels), -1).mean(axis=1) / math.log(2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-example-errors", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
logits = np.array([[0.0, 2.0, 1.0], [3.0, 1.0, 0.0], [9.0, 1.0, 5.0]])
errors = np.asarray(example_errors("accuracy", logits, np.array([1, 2, 0])))
assert errors.shape == (3,), f"one number an example: three examples, your shape is {errors.shape}; which axis?"
assert errors.tolist() != [1, 1, 1], "the largest logit of each example: over the last axis, not the first"
assert errors.tolist() != [1, 0, 1], "an error is 1 where the answer is WRONG; yours counts the right ones"
assert errors.tolist() == [0, 1, 0], f"right, wrong, right; you say {errors.tolist()}"
even = np.zeros((2, 5, 4))  # two texts of five characters, four symbols all as likely
bits = np.asarray(example_errors("bits_per_character", even, np.ones((2, 5), dtype=int)))
assert bits.shape == (2,), f"one number a text: average over its positions; your shape is {bits.shape}"
assert not np.allclose(bits, math.log(4)), "that is nats: a bit is log to the base of 2"
assert np.allclose(bits, 2), f"one of four symbols, all as likely, takes 2 bits; you say {bits}"

# %% nbgrader={"grade": true, "grade_id": "hidden-example-errors", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
far = np.array([[[1000.0, 0.0], [0.0, 1000.0]]], dtype=np.float32)
bits = np.asarray(example_errors("bits_per_character", far, np.array([[0, 1]])))
assert np.allclose(bits, 0), f"sure and right takes no bits, however large the logits are; you say {bits}"
odds = np.log(np.array([[[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]]))
bits = np.asarray(example_errors("bits_per_character", odds, np.array([[0, 1]])))
assert np.allclose(bits, 2), f"1 bit and 3 bits are 2 on average, you say {bits}"
### END HIDDEN TESTS

# %% [markdown]
# ### The difference, and how sure we are of it
#
# **Why.** Ask two models the *same* questions and most of the luck in the choice of questions cancels: the difference is
# **paired**. But the grading set has four slightly turned copies of each picture. Copies go together: if one is misread,
# so are the others. Counted as four independent examples they would halve the standard error without any new information.
# They form a *group*, and a group counts once.
#
# **Build.** Take the mean difference within each group; the standard error is the standard deviation of those means
# (`ddof=1`) over the root of the number of groups. `np.bincount(groups, values)` adds up by group.


# %% nbgrader={"grade": false, "grade_id": "paired-difference", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def paired_difference(candidate: np.ndarray, baseline: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Mean of candidate - baseline and its standard error; rows of one group go together and count once.

    Args:
        candidate, baseline: (N,) errors on the same examples.
        groups: (N,) integers from 0.
    """
    ### BEGIN SOLUTION
    difference = candidate - baseline
    means = np.bincount(groups, difference) / np.bincount(groups)  # (number of groups,)
    return float(difference.mean()), float(means.std(ddof=1) / math.sqrt(len(means)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-paired-difference", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
worse, better = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, 0.0])
difference, error = paired_difference(worse, better, np.arange(4))
assert difference == 0.5, (
    f"positive is worse: the candidate errs on 2 of 4 where the baseline does not; {difference}"
)
assert math.isclose(error, math.sqrt(1 / 12)), (
    f"of 1, 0, 1, 0: std(ddof=1) / sqrt(4) is 0.289; you say {error:.3f}"
)
copies = np.repeat(np.arange(4), 4)
_, grouped = paired_difference(np.repeat(worse, 4), np.repeat(better, 4), copies)
assert grouped > 0.15, (
    f"four copies of each example are no new information: the error stays, yours is {grouped:.3f}"
)
assert math.isclose(grouped, error), (
    f"four copies of everything change nothing: {error:.3f}, you say {grouped:.3f}"
)

# %% nbgrader={"grade": true, "grade_id": "hidden-paired-difference", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
difference, error = paired_difference(np.ones(6), np.ones(6), np.array([0, 0, 1, 1, 2, 2]))
assert (difference, error) == (0.0, 0.0), "two models that err alike differ by nothing, with certainty"
_, error = paired_difference(np.array([1.0, 0, 0, 0]), np.zeros(4), np.array([0, 1, 0, 1]))
assert math.isclose(error, 0.25), f"groups need not lie side by side: means 0.5 and 0, error 0.25; you say {error}"
### END HIDDEN TESTS

# %% [markdown]
# ### The judgement
#
# **Build.** Everything about quality in one record. `difference` is always "positive is worse". `value` and `baseline` are
# in the metric as people know it: accuracy (not error), or bits. The point estimate decides; a result within one standard
# error of the floor is marked `borderline`, so that a reader knows the next grading set might decide otherwise.


# %% nbgrader={"grade": false, "grade_id": "judge-quality", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def judge_quality(event: Event, logits: np.ndarray, baseline_logits: np.ndarray, graded: GradingSet) -> Quality:
    """Compare a model with its baseline on the same fresh inputs, and the difference with the event's floor.

    The point estimate decides (exactly at the floor still passes); within one standard error of the floor the
    result is marked borderline.
    """
    ### BEGIN SOLUTION
    errors, baseline_errors = (
        example_errors(event.metric, each, graded.labels) for each in (logits, baseline_logits)
    )
    difference, standard_error = paired_difference(errors, baseline_errors, graded.groups)
    value, baseline = float(errors.mean()), float(baseline_errors.mean())
    if event.metric == "accuracy":
        value, baseline = 1 - value, 1 - baseline
    return Quality(
        metric=event.metric,
        value=value,
        baseline=baseline,
        difference=difference,
        standard_error=standard_error,
        floor=event.floor,
        ok=difference <= event.floor,
        borderline=abs(difference - event.floor) < standard_error,
        seed=graded.seed,
        examples=len(graded),
    )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-judge-quality", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
with given(globals(), "example_errors", "paired_difference"):
    event, graded = get_event("mlp_sprint"), dataset.grading_set(seed=0, copies=1)
    right = checks.right_model(graded).predict(graded.inputs)
    wrong = right.copy()
    wrong[:8] = right[:8, ::-1]  # eight of a thousand answers turned round
    wrong[8:30] = np.roll(right[8:30], 1, axis=1)
    same = judge_quality(event, right, right, graded)
    assert (same.value, same.difference) == (1.0, 0.0), f"accuracy, not error, in `value`: {same.value}"
    assert same.ok, "no worse than the baseline passes"
    worse = judge_quality(event, wrong, right, graded)
    assert worse.difference > 0, "positive is worse: is it the candidate minus the baseline?"
    assert math.isclose(worse.difference, 0.03), f"30 of 1000 answers are wrong now; you say {worse.difference}"
    assert not worse.ok, "3 points worse is below the floor of 1 point"
    better = judge_quality(event, right, wrong, graded)
    assert better.ok and better.value > better.baseline, "a model better than the baseline passes"
    assert worse.examples == 1000 and worse.seed == 0, "the record says on how many examples, and on which seed"

# %% nbgrader={"grade": true, "grade_id": "hidden-judge-quality", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "example_errors", "paired_difference"):
    near = right.copy()
    near[:9] = np.roll(right[:9], 1, axis=1)
    close = judge_quality(event, near, right, graded)
    assert close.ok and close.borderline, "9 wrong of 1000 passes the floor of 10, within one standard error of it"
    assert not same.borderline and not worse.borderline, "far from the floor nothing is borderline"
    text = get_event("transformer_decathlon")
    windows = load_dataset("transformer_decathlon").grading_set(seed=0, copies=1)
    flat = np.zeros((*windows.labels.shape, 66), dtype=np.float32)
    bits = judge_quality(text, flat, flat, windows)
    assert math.isclose(bits.value, math.log2(66)), "bits per character stay bits: the more, the worse"
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "answers", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def answers(model: Model, graded: GradingSet, batch: int = 200) -> np.ndarray:
    """Logits for a whole grading set, a batch at a time, each checked for shape, dtype and finite values."""
    event = get_event(graded.event)
    starts = range(0, len(graded), batch)
    return np.concatenate([checked_answer(model, graded.inputs[at : at + batch], event) for at in starts])


# %% [markdown]
# **Look.** What do the techniques of Modules 17 and 18 cost in quality? And a network that was pruned too far? The vertical
# line is the floor.

# %% tags=["look"]
from tinytorch.core.compression import apply_pruning
from tinytorch.core.quantization import apply_quantization

fresh = dataset.grading_set(seed=1)
expected = answers(baseline, fresh)
tries = {
    "int8": apply_quantization(baseline),
    "int4": apply_quantization(baseline, bits=4),
    "int2": apply_quantization(baseline, bits=2),
    "half pruned": apply_pruning(baseline, 0.5),
    "80 % pruned": apply_pruning(baseline, 0.8),
    "90 % pruned": apply_pruning(baseline, 0.9),
}
sprint = get_event("mlp_sprint")
judged_tries = {
    name: judge_quality(sprint, answers(model, fresh), expected, fresh) for name, model in tries.items()
}
draw(plots.losses, {name: each.to_dict() for name, each in judged_tries.items()})

# %% tags=["look"]
judge_quality(get_event("mlp_sprint"), answers(AlwaysZero(), fresh), expected, fresh)

# %% [markdown]
# **What did you see?** Eight bits cost nothing that could be measured, four a few tenths of a point; two bits and nine
# weights of ten gone fall off a cliff. The network that lost eight of ten lies *on* the floor: its interval covers the line,
# and with another seed it may fall on the other side. That is what `borderline` tells a reader. And the model that answers
# zero is stored with its reason and ranked nowhere, at any speed. Note that the grading set is *fresh*: every seed turns and
# shifts the pictures anew, so that learning the public answers by heart helps nobody.

# %% [markdown]
# ## 6. Score
#
# **Why.** You can measure a speedup and hold a floor. A competition needs one number to sort by, and here begins politics:
# every formula rewards something, and people optimise what is rewarded. This section builds the formulas of the course and
# asks what is wrong with each.
#
# ### The composite
#
# **Build.** The rule of the course: 0.7 times the speed score (the speedup) plus 0.3 times the innovation score (between 0
# and 1).


# %% nbgrader={"grade": false, "grade_id": "composite", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def composite_score(speed: float, innovation: float, weight: float = 0.7) -> float:
    """The rule of the course: `weight` x speed + (1 - weight) x innovation, 0.7 and 0.3.

    Raises:
        BenchmarkError: the weight is outside 0..1.
    """
    ### BEGIN SOLUTION
    if not 0 <= weight <= 1:
        raise BenchmarkError(f"the weight of speed is between 0 and 1, got {weight}")
    return weight * speed + (1 - weight) * innovation
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-composite", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
score = composite_score(2.0, 0.5)
assert not math.isclose(score, 0.3 * 2 + 0.7 * 0.5), (
    "0.7 is the weight of speed, 0.3 of innovation: yours are swapped"
)
assert math.isclose(score, 1.55), f"0.7 x 2 + 0.3 x 0.5 is 1.55, you say {score}"
for weight in (-0.1, 1.1):
    with refuses(BenchmarkError, str(weight), why=f"a weight of {weight} is refused with BenchmarkError"):
        composite_score(2.0, 0.5, weight)

# %% nbgrader={"grade": true, "grade_id": "hidden-composite", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
assert math.isclose(composite_score(3.0, 1.0, weight=0.5), 2.0), "the weight is an argument: use it"
assert (composite_score(3.0, 1.0, 0), composite_score(3.0, 1.0, 1)) == (1.0, 3.0), "0 and 1 are allowed weights"
### END HIDDEN TESTS

# %% [markdown]
# ### What is wrong with a fixed weighting?
#
# **Why.** Speed has no upper end, innovation ends at 1. With 0.7 and 0.3, the most innovative entry there is gains 0.3, which
# 0.43 of a speedup gains, too. Is the weight 0.7 a fact about quality, or does it just decide who wins?
#
# **Build.** For each weight: who has the highest composite? A leaderboard for every rule at once.


# %% nbgrader={"grade": false, "grade_id": "winners-by-weight", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def winners_by_weight(
    submissions: Sequence[Mapping[str, Any]], weights: Sequence[float]
) -> list[tuple[float, str]]:
    """(weight, team with the highest composite at that weight) where the winner changes, first weight first.

    Args:
        submissions: ranked ones, each with `team_name`, `speedup_vs_baseline` and `innovation_score`.
        weights:     of speed, rising; the first one is always in the result.
    """
    ### BEGIN SOLUTION
    changes: list[tuple[float, str]] = []
    for weight in weights:
        best = max(
            submissions,
            key=lambda each: composite_score(each["speedup_vs_baseline"], each["innovation_score"], weight),
        )
        if not changes or changes[-1][1] != best["team_name"]:
            changes.append((weight, best["team_name"]))
    return changes
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-winners-by-weight", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
toys = [checks.toy_submission("Fast", 2.0, innovation=0.0), checks.toy_submission("Clever", 1.0, innovation=0.9)]
with given(globals(), "composite_score"):
    changes = winners_by_weight(toys, [0.0, 0.25, 0.5, 0.75, 1.0])
    assert changes[0] == (0.0, "Clever"), f"where speed has no weight the clever team wins; yours: {changes[0]}"
    assert len(changes) == 2, f"only the weights where the winner changes, and the first one: {changes}"
    assert changes[1] == (0.5, "Fast"), f"at 0.5 the fast team has 1.0 and the clever one 0.95; yours: {changes}"

# %% nbgrader={"grade": true, "grade_id": "hidden-winners-by-weight", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "composite_score"):
    only = winners_by_weight([checks.toy_submission("Fast", 2.0, innovation=0.0)], [0.2, 0.4])
    assert only == [(0.2, "Fast")], f"without a rival there is one line, at the first weight; yours: {only}"
    three = [*toys, checks.toy_submission("Both", 1.6, innovation=0.7)]
    names = [name for _, name in winners_by_weight(three, np.linspace(0, 1, 101).tolist())]
    assert names == ["Clever", "Both", "Fast"], f"a team in between may win for weights in between; yours: {names}"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** Three invented teams. Each line is a team's composite, from "only innovation counts" on the left to "only speed
# counts" on the right.

# %% tags=["look"]
invented = [
    checks.toy_submission("Raw speed", 1.3, innovation=0.1),
    checks.toy_submission("All-rounder", 1.2, innovation=0.5),
    checks.toy_submission("Research", 0.8, innovation=0.95),
]
draw(plots.composite_weight, invented)

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflect-weights", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Question (4 points).** The dashed line is the rule of the course.
# (a) For which weights does each team win? (b) A real Marathon entry has a speedup of 20. What is the most that innovation
# can still change? (c) Propose a rule that does not have this flaw, and name one way in which a team would exploit *yours*.
#
# ### BEGIN SOLUTION
# *For the instructor.* (a) 1 point: read off the chart or `winners_by_weight`, the two crossings to about 0.02. (b) 1 point:
# at most 0.3 against 14 from speed, about 2 %; the composite has become the speed board. (c) 2 points, one for a rule whose
# scales match (log of the speedup, a rank in each board, speed as a share of the best, a product, separate boards), one for
# an exploit that really works against it (ranks: enter many weak entries; share of the best: depends on others; a log makes
# the first factor of 2 cheap; a product punishes zero innovation absolutely). An answer "other weights" earns nothing for
# (c): that is still fixed.
# ### END SOLUTION

# %% [markdown]
# ### Ten disciplines
#
# **Build.** The Decathlon times five operations and five whole tasks. `DISCIPLINES` maps each name to the timed cases it is
# made of; two are not timed: peak memory and model size are ratios, the same in every round. As in athletics no discipline
# may decide alone: each log ratio is clipped to between $\log 0.1$ and $\log 100$.


# %% nbgrader={"grade": false, "grade_id": "disciplines", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def discipline_logs(
    rounds: Sequence[Round], memory_ratio: float, size_ratio: float, limit: float = 100.0
) -> dict[str, list[float]]:
    """Log ratios of the ten disciplines of the Decathlon, one for each round, clipped to 1/10 .. `limit`.

    Args:
        memory_ratio, size_ratio: baseline / model, of peak memory and of the weights' bytes.
    """
    ### BEGIN SOLUTION
    low, high = math.log(0.1), math.log(limit)
    fixed = {"peak memory": math.log(memory_ratio), "model size": math.log(size_ratio)}
    logs = {
        name: combine(rounds, cases) if cases else [fixed[name]] * len(rounds)
        for name, cases in DISCIPLINES.items()
    }
    return {name: [min(max(value, low), high) for value in values] for name, values in logs.items()}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-disciplines", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
timed = [case for cases in DISCIPLINES.values() for case in cases]
with given(globals(), "combine"):
    ten = discipline_logs([checks.toy_round(dict.fromkeys(timed, 2.0))] * 3, memory_ratio=4.0, size_ratio=8.0)
    assert set(ten) == set(DISCIPLINES), f"ten disciplines, by their names: {sorted(ten)}"
    assert all(len(logs) == 3 for logs in ten.values()), "one value for each round, in every discipline"
    assert np.allclose(ten["latency"], math.log(2)), f"all cases were twice as fast; latency says {ten['latency']}"
    assert np.allclose(ten["peak memory"], math.log(4)), f"a quarter of the memory; yours: {ten['peak memory']}"
    assert np.allclose(ten["model size"], math.log(8)), f"an eighth of the bytes; yours: {ten['model size']}"
    wild = discipline_logs([checks.toy_round(dict.fromkeys(timed, 1e4))] * 3, 1e-3, 1.0)
    assert np.allclose(wild["generation"], math.log(100)), "10,000 times faster counts as 100: clip it"
    assert np.allclose(wild["peak memory"], math.log(0.1)), "1,000 times the memory counts as a tenth: clip it"

# %% nbgrader={"grade": true, "grade_id": "hidden-disciplines", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "combine"):
    halves = dict.fromkeys(timed, 1.0) | {"attend, batch 1": 2.0, "attend, batch 32": 8.0}
    ten = discipline_logs([checks.toy_round(halves)], 1.0, 1.0)
    assert np.allclose(ten["attention"], math.log(4)), "2 and 8 make 4: the geometric mean over the cases"
    assert np.allclose(ten["layer norm"], 0), "a discipline is made of its own cases alone"
    ten = discipline_logs([checks.toy_round(halves)], 9.0, 1.0, limit=3.0)
    assert np.allclose(ten["peak memory"], math.log(3)), "limit is an argument: use it"
### END HIDDEN TESTS

# %% [markdown]
# ### Each event's own score
#
# **Build.** One log a round, by the event's `rule`. `"speed"`: the speedup over `speed_cases(event)`. `"balance"`: the cube
# root of speedup times memory ratio times size ratio, which on the log scale is a mean of three. `"decathlon"`: the
# geometric mean of the ten.


# %% nbgrader={"grade": false, "grade_id": "event-logs", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def event_logs(event: Event, rounds: Sequence[Round], memory_ratio: float, size_ratio: float) -> list[float]:
    """Log of the event's own score, one for each round.

    Sprint: the speedup. Marathon: the cube root of speedup x memory ratio x size ratio. Decathlon: the geometric
    mean of its ten disciplines.
    """
    ### BEGIN SOLUTION
    speed = combine(rounds, speed_cases(event))
    if event.rule == "speed":
        return speed
    if event.rule == "balance":
        return [(value + math.log(memory_ratio) + math.log(size_ratio)) / 3 for value in speed]
    ten = discipline_logs(rounds, memory_ratio, size_ratio)
    return [float(np.mean(values)) for values in zip(*ten.values(), strict=True)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-event-logs", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
with given(globals(), "combine", "discipline_logs"):
    rounds = [checks.toy_round({"batch 1": 1.0, "batch 32": 2.0, "batch 256": 4.0})] * 2
    logs = event_logs(get_event("mlp_sprint"), rounds, 5.0, 7.0)
    assert np.allclose(logs, math.log(2)), f"the Sprint is speed alone: 1, 2 and 4 make 2; you say {np.exp(logs)}"
    logs = event_logs(get_event("cnn_marathon"), rounds, 4.0, 27.0)
    assert np.allclose(logs, math.log(6)), f"the cube root of 2 x 4 x 27 is 6; you say {np.exp(logs)}"

# %% nbgrader={"grade": true, "grade_id": "hidden-event-logs", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "combine", "discipline_logs"):
    rounds = [checks.toy_round(dict.fromkeys(timed, 4.0)), checks.toy_round(dict.fromkeys(timed, 1.0))]
    logs = event_logs(get_event("transformer_decathlon"), rounds, 1.0, 1.0)
    assert np.allclose(logs, [0.8 * math.log(4), 0.0]), (
        f"eight of ten disciplines at 4: 4 ** 0.8; you say {np.exp(logs)}"
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Medals
#
# **Build.** A medal must be *won*, not hit by luck: the whole interval of the score has to reach its threshold.


# %% nbgrader={"grade": false, "grade_id": "medal", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def medal(event: Event, score: Speedup) -> str | None:
    """The best medal ("bronze", "silver", "gold") whose threshold the whole interval reaches, or None.

    `event.medals` holds the thresholds in that order.
    """
    ### BEGIN SOLUTION
    reached = [
        name for name, least in zip(("bronze", "silver", "gold"), event.medals, strict=True) if score.low >= least
    ]
    return reached[-1] if reached else None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-medal", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
sprint = get_event("mlp_sprint")  # bronze 1.3, silver 2.0, gold 3.0
won = medal(sprint, Speedup(2.05, 1.95, 2.15, "faster"))
assert won != "silver", "the interval begins at 1.95, below silver's 2.0: only the whole interval counts"
assert won == "bronze", f"1.95 to 2.15 is bronze, you say {won!r}"
assert medal(sprint, Speedup(9.0, 8.0, 10.0, "faster")) == "gold", "who reaches gold gets gold, not all three"
assert medal(sprint, Speedup(1.0, 0.99, 1.01, "tie")) is None, "no threshold reached is None, not a word"

# %% nbgrader={"grade": true, "grade_id": "hidden-medal", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
assert medal(sprint, Speedup(2.1, 2.0, 2.2, "faster")) == "silver", "exactly at the threshold it is reached"
assert medal(get_event("cnn_marathon"), Speedup(3.0, 2.9, 3.1, "faster")) == "bronze", "thresholds are the event's"
### END HIDDEN TESTS

# %% [markdown]
# ### Innovation by evidence
#
# **Why.** The project that inspired this one scored innovation by reading the team's description: the word "quantization"
# was worth points, and so was "SIMD". You can guess what the descriptions looked like. Words are claims. Points have to come
# from the model, and better than *looking* at a model is **intervening**: shuffle a weight array and see whether the answers
# change; take the kernel away and see whether it gets slower.
#
# `gather_facts` does that and returns a `Facts` record. Here is what it finds in the baseline.

# %% tags=["look"]
from tinytorch.perf.evidence import gather_facts

probes = dataset.batch(16, np.random.default_rng(0))
gather_facts(baseline, baseline, probes)

# %% nbgrader={"grade": false, "grade_id": "claims", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
CLAIM_WORDS: dict[str, tuple[str, ...]] = {
    "quantization": ("quanti", "int8", "int4", "int16", "bits", "low-precision", "fp16"),
    "pruning": ("prun", "spars", "weight removal"),
    "distillation": ("distil", "teacher", "student", "knowledge transfer"),
    "custom kernels": ("kernel", "simd", "vectori", "numba", "fused", "fusion", "im2col"),
    "memory optimization": ("memory", "in-place", "buffer", "cache", "caching", "checkpoint"),
    "compression": ("compress", "weight sharing", "huffman", "codebook", "packed"),
}


def claimed_families(description: str) -> set[str]:
    """Families that the words of a description point to; fills a column, never adds a point."""
    text = description.casefold()
    return {family for family, words in CLAIM_WORDS.items() if any(word in text for word in words)}


def share_of(value: float, nothing: float, everything: float) -> float:
    """Where `value` lies between `nothing` (0.0) and `everything` (1.0), clipped to 0..1."""
    return min(1.0, max(0.0, (value - nothing) / (everything - nothing)))


# %% [markdown]
# **Build.** From facts to points. Each family has a number and two ends: where it earns nothing and where it earns
# everything. The ends stand in the table `ENDS` below; they were derived from honest entries and from fakes of all three
# events. `share_of` (above) puts a number between them: `share_of(x, *ENDS["pruning"])`. Two traps: most numbers are
# *ratios*, so compare their logarithms; and weights that may be shuffled without changing the answers prove nothing at
# all, whatever they look like.

# %% tags=["look"]
from tinytorch.perf.evidence import ENDS

ENDS


# %% nbgrader={"grade": false, "grade_id": "evidence", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def evidence_scores(facts: Facts) -> dict[str, tuple[float, str]]:
    """Points (0..1) and the finding behind them, for each of the six families.

    On the scale of `ENDS`. quantization: log2(32 / bits_per_weight). pruning: share of the baseline's weights that
    are gone, where the weights are the baseline's (provenance above 0.5). distillation: `agreement` on the
    order of the classes not chosen, where more than 0.3 of the weights are gone and they are not the baseline's.
    custom kernels: log2(kernel_speedup). memory optimization: log2(memory_ratio). compression: log2(packed_ratio).

    Weights that may be shuffled without changing most answers (`unmoved` above 0.5) prove nothing: then there are
    no points in any family.
    """
    ### BEGIN SOLUTION
    if facts.unmoved > 0.5:
        finding = f"{facts.unmoved:.0%} of its answers stay when its weights are shuffled"
        return dict.fromkeys(CLAIM_WORDS, (0.0, finding))
    gone = 1 - facts.weights / max(1, facts.baseline_weights)
    inherited = facts.provenance > 0.5
    memory, agreement = facts.memory_ratio or 1.0, facts.agreement or 0.0
    numbers = {
        "quantization": math.log2(32 / max(facts.bits_per_weight, 1)),
        "pruning": gone if inherited else 0.0,
        "distillation": agreement if gone > 0.3 and not inherited else 0.0,
        "custom kernels": math.log2(max(facts.kernel_speedup, 1e-3)),
        "memory optimization": math.log2(memory),
        "compression": math.log2(facts.packed_ratio),
    }
    findings = {
        "quantization": f"{facts.bits_per_weight:.1f} bits per weight",
        "pruning": f"{gone:.0%} of the baseline's weights gone",
        "distillation": f"orders the other classes as the baseline does: {agreement:.2f}",
        "custom kernels": f"{facts.kernel_speedup:.2f}x slower without its kernels",
        "memory optimization": f"{memory:.1f}x less peak memory",
        "compression": f"packs {facts.packed_ratio:.2f}x",
    }
    return {family: (share_of(numbers[family], *ENDS[family]), findings[family]) for family in ENDS}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-evidence", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
plain = {family: points for family, (points, _) in evidence_scores(checks.toy_facts()).items()}
assert set(plain) == set(CLAIM_WORDS), f"one entry for each of the six families; yours: {sorted(plain)}"
assert set(plain.values()) == {0.0}, f"a baseline earns nothing (the logarithm of 1 is 0); yours: {plain}"
bits, finding = evidence_scores(checks.toy_facts(bits_per_weight=8.0))["quantization"]
assert not math.isclose(bits, 24 / 29), "compare bits as a ratio: the logarithm of 32 / bits"
assert math.isclose(bits, 2 / 3), f"8 bits are two of three halvings from 32 to 4: 0.67 points, you say {bits:.2f}"
assert "8" in finding, f"the finding says the number behind the points; yours: {finding!r}"
pruned = checks.toy_facts(weights=400, baseline_weights=1000)
assert math.isclose(evidence_scores(pruned)["pruning"][0], 0.5), "60 % gone is half way from 30 % to 90 %"
other = checks.toy_facts(weights=400, baseline_weights=1000, provenance=0.1, agreement=0.935)
assert evidence_scores(other)["pruning"][0] == 0.0, (
    "a small model with weights of its own is not a pruned baseline"
)
assert math.isclose(evidence_scores(other)["distillation"][0], 0.5), (
    "a rank correlation of 0.935 is half way from 0.90 to 0.97"
)

# %% nbgrader={"grade": true, "grade_id": "hidden-evidence", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
fake = evidence_scores(checks.toy_facts(bits_per_weight=4.0, kernel_speedup=9.0, unmoved=0.9))
assert {points for points, _ in fake.values()} == {0.0}, "weights that may be shuffled earn nothing in any family"
full = evidence_scores(
    checks.toy_facts(bits_per_weight=2.0, kernel_speedup=64.0, memory_ratio=99.0, packed_ratio=8.0)
)
points = [full[family][0] for family in ("quantization", "custom kernels", "memory optimization", "compression")]
assert points == [1.0] * 4, f"beyond the upper end there is no more than 1.0; yours: {points}"
unknown = evidence_scores(checks.toy_facts(memory_ratio=None, agreement=None, kernel_speedup=0.5))
assert {points for points, _ in unknown.values()} == {0.0}, "what was not measured, or got worse, earns nothing"
assert evidence_scores(checks.toy_facts(agreement=1.0))["distillation"][0] == 0.0, (
    "the baseline's twin is no student"
)
### END HIDDEN TESTS

# %% [markdown]
# ### One score from six families
#
# **Build.** Half of the best family's points, 0.3 of the second, 0.2 of the third: one technique done well counts most, a
# second and a third still count, and a long list of half-hearted ones gains nothing.


# %% nbgrader={"grade": false, "grade_id": "innovation-score", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def innovation_score(points: Iterable[float]) -> float:
    """0.5 x best + 0.3 x second + 0.2 x third of the families' points: depth first, then breadth."""
    ### BEGIN SOLUTION
    best = sorted(points, reverse=True)[:3]
    return float(sum(weight * value for weight, value in zip((0.5, 0.3, 0.2), best, strict=False)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-innovation-score", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
score = innovation_score([0.2, 1.0, 0.0, 0.6])
assert not math.isclose(score, 0.45), "the best, the second and the third by their points, not by their place"
assert math.isclose(score, 0.72), (
    f"the strongest first: 0.5 x 1.0 + 0.3 x 0.6 + 0.2 x 0.2 is 0.72, you say {score}"
)
assert innovation_score([]) == 0.0, "no evidence at all is a score of 0.0"

# %% nbgrader={"grade": true, "grade_id": "hidden-innovation-score", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
assert math.isclose(innovation_score([1.0] * 6), 1.0), "six families at 1.0 make 1.0, not more"
assert math.isclose(innovation_score(iter([0.4])), 0.2), (
    "a single family counts half, whatever kind of iterable it is"
)
### END HIDDEN TESTS

# %% [markdown]
# ### The detector
#
# **Build.** Put it together: check the model, find the event (by its name, or else by `event_of`), gather the facts
# (`self.facts`), and hand them to `innovation_report` with the families that the description *claims*
# (`claimed_families`). All three are given below. The description decides nothing else.


# %% nbgrader={"grade": false, "grade_id": "detector-facts", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
class InnovationDetector:
    """Finds what was done to a model by looking at it and by intervening, never by reading about it."""

    PROBES, SEED = 16, 7

    def facts(self, model: Model, event: Event, memory_ratio: float | None) -> Facts:
        """Look at the model beside its event's baseline, on inputs of the public split."""
        dataset, baseline = load_dataset(event.name), load_baseline(event.name)
        probes = dataset.batch(self.PROBES, np.random.default_rng(self.SEED))
        graded = dataset.grading_set(self.SEED, copies=1)
        graded_answers = answers(model, graded), answers(baseline, graded)
        with one_blas_thread():
            return gather_facts(model, baseline, probes, graded_answers, memory_ratio)


def event_of(model: Model) -> Event:
    """The event whose inputs the model answers.

    Raises:
        BenchmarkError: it answers none; pass event_name to see why.
    """
    for event in EVENTS.values():
        probe = load_dataset(event.name).batch(2, np.random.default_rng(0))
        try:
            checked_answer(model, probe, event)
        except ValueError:
            continue
        return event
    raise BenchmarkError(
        f"{type(model).__name__} answers the inputs of no event; pass event_name to see what is wrong"
    )


def innovation_report(facts: Facts, claimed: Collection[str]) -> Report:
    """What `analyze_innovation` returns: the facts' points as `Evidence`, each beside whether it was claimed."""
    found = [
        Evidence(family, round(points, 2), finding, family in claimed)
        for family, (points, finding) in evidence_scores(facts).items()
    ]
    ordered = sorted(found, key=lambda each: -each.score)
    return Report(
        innovation_score=round(innovation_score(each.score for each in ordered), 3),
        detected_techniques=[each.family for each in ordered if each.verified],
        claimed_techniques=sorted(claimed),
        evidence=[each.to_dict() for each in ordered],
        facts=facts.to_dict(),
    )


# %% nbgrader={"grade": false, "grade_id": "innovation-detector", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@add_method(InnovationDetector)
def analyze_innovation(
    self,
    model: Model,
    optimization_description: str = "",
    event_name: str | None = None,
    memory_ratio: float | None = None,
) -> Report:
    """Evidence for the six families, with the score they add up to.

    Args:
        model:      the optimised model.
        optimization_description: what its makers say; only fills `claimed_techniques`.
        event_name: the event it is for; by default found out from what the model accepts (`event_of`).
        memory_ratio: baseline's peak memory / the model's, where it was measured.

    Returns:
        Mapping with `innovation_score` (0..1), `detected_techniques` (families with evidence, strongest
        first), `claimed_techniques`, `evidence` (a list, one for each family) and `facts`.

    Raises:
        VerifyError: that is no model (`check_model`), or the text is none (`checked_description`).
    """
    ### BEGIN SOLUTION
    check_model(model)
    event = get_event(event_name) if event_name else event_of(model)
    facts = self.facts(model, event, memory_ratio)
    claimed = claimed_families(checked_description(optimization_description))
    return innovation_report(facts, claimed)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-innovation-detector", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
from tinytorch.core.quantization import apply_quantization

detector = InnovationDetector()
with given(globals(), "evidence_scores", "innovation_score"):
    words = "SIMD kernels, int4 quantization, 90 % pruned, distilled from a huge teacher, compressed"
    boast = detector.analyze_innovation(model=load_baseline("mlp_sprint"), optimization_description=words)
    assert boast["innovation_score"] < 0.05, (
        f"the baseline with grand words earns nothing: {boast['innovation_score']}"
    )
    assert boast["detected_techniques"] == [], f"a word is no evidence: {boast['detected_techniques']}"
    assert "quantization" in boast["claimed_techniques"], "what was claimed is kept beside it, as a claim"
    small = detector.analyze_innovation(model=apply_quantization(load_baseline("mlp_sprint")))
    assert "quantization" in small["detected_techniques"], f"int8 needs no words: {small['detected_techniques']}"
    with refuses(ValueError, "predict", why="a text is no model: check_model refuses it with VerifyError"):
        detector.analyze_innovation("a model")

# %% nbgrader={"grade": true, "grade_id": "hidden-innovation-detector", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "evidence_scores", "innovation_score"):
    claims = {each["family"]: each["claimed"] for each in boast["evidence"]}
    assert len(claims) == 6 and claims["pruning"], "six families are looked at, each with its claim"
    same = detector.analyze_innovation(load_baseline("mlp_sprint"), "int8", "mlp_sprint", memory_ratio=16.0)
    assert same["detected_techniques"] == ["memory optimization"], "memory_ratio and event_name are arguments"
### END HIDDEN TESTS

# %% [markdown]
# **Look.** The same words, three models. What is *verified* is what the model shows; what is only *claimed* is greyed out on
# every board.

# %% tags=["look"]
words = "int8 quantization, half of the weights pruned, SIMD kernels"
verified = {
    "baseline": detector.analyze_innovation(baseline, words),
    "int8": detector.analyze_innovation(apply_quantization(baseline), words),
    "int8, half pruned": detector.analyze_innovation(apply_pruning(apply_quantization(baseline), 0.5), words),
}
{name: (each["innovation_score"], each["detected_techniques"]) for name, each in verified.items()}

# %% [markdown]
# **What did you see?** The description was the same each time. Is evidence unbeatable, then? No: it is another thing that
# can be measured wrongly, and therefore gamed. A weight array that is multiplied by $10^{-9}$ before it is added is "used"
# and does nothing; the threshold for "the outputs moved" was set with that in mind. Section 9 comes back to this.

# %% [markdown]
# ## 7. Rank
#
# **Why.** Two entries have a speedup of 2.04 [2.00, 2.08] and 2.02 [1.99, 2.05]. Which one is better? A list sorted by the
# first number says: the first. Measure again, and it may be the other. Where the instrument cannot tell, a board must not
# pretend: they *share* a rank.
#
# But what does "cannot tell" mean for twenty entries in a row, each overlapping with the next? If overlap simply handed on,
# the first and the last would share a rank. So: the best entry leads a *band*. Everyone whose interval reaches the leader's
# interval is in the band and has the leader's rank. The first one that does not reach it leads the next band, with the rank
# of its place: 1, 1, 3.


# %% nbgrader={"grade": false, "grade_id": "rank", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def rank(scores: Sequence[tuple[float, float, float]]) -> list[int]:
    """Ranks for (score, low, high), best first; who cannot be told from the leader of a band shares its rank.

    The best score leads the first band; everyone whose interval reaches the leader's (high at or above the
    leader's low) is in it. The next one leads the next band, with the rank of its place: 1, 1, 3.

    Returns:
        ranks in the order in which the scores came.
    """
    ### BEGIN SOLUTION
    order = sorted(range(len(scores)), key=lambda index: scores[index], reverse=True)
    ranks = [0] * len(scores)
    leader_rank, leader_low = 0, math.inf
    for place, index in enumerate(order, start=1):
        _, low, high = scores[index]
        if high < leader_low or place == 1:
            leader_rank, leader_low = place, low
        ranks[index] = leader_rank
    return ranks
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-rank", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
clear = [(1.0, 0.9, 1.1), (3.0, 2.9, 3.1), (2.0, 1.9, 2.1)]
assert rank(clear) == [3, 1, 2], (
    f"the highest score has rank 1; in the order the scores came; you say {rank(clear)}"
)
tied = [(2.04, 2.0, 2.08), (2.02, 1.99, 2.05), (1.5, 1.4, 1.6)]
assert rank(tied)[:2] == [1, 1], f"intervals that reach each other share the rank; you say {rank(tied)}"
assert rank(tied)[2] == 3, f"after two in first place comes rank 3, not 2; you say {rank(tied)}"
chain = [(3.0, 2.8, 3.2), (2.7, 2.5, 2.9), (2.4, 2.2, 2.6)]
assert rank(chain) == [1, 1, 3], f"the third does not reach the LEADER of the band, only the second: {rank(chain)}"

# %% nbgrader={"grade": true, "grade_id": "hidden-rank", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
assert rank([]) == [], "an empty board has no ranks"
assert rank([(1.0, 0.5, 1.5)] * 3) == [1, 1, 1], "equal scores are equal"
bands = [(9.0, 8.5, 9.5), (8.6, 8.2, 9.0), (8.0, 7.9, 8.1), (7.8, 7.0, 8.0), (5.0, 4.0, 6.0)]
assert rank(bands) == [1, 1, 3, 3, 5], f"two bands of two and one alone; you say {rank(bands)}"
assert rank([(2.0, 1.9, 2.1), (1.8, 1.7, 1.9)]) == [1, 1], "an interval that just touches the leader's reaches it"
### END HIDDEN TESTS

# %% [markdown]
# ### Four boards
#
# **Build.** The same submissions make four boards; what differs is the number to sort by, and its interval. For the
# composite the interval follows from the speedup's: put its ends into `composite_score`. Innovation comes without an
# interval: low and high are the score itself.


# %% nbgrader={"grade": false, "grade_id": "score-interval", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def score_interval(submission: Mapping[str, Any], metric: str) -> tuple[float, float, float]:
    """(score, low, high) of a submission by metric: "speed", "innovation", "composite" or "event" (its own).

    Args:
        submission: with `speedup_vs_baseline`, `speedup_ci` (low, high), `innovation_score`, `event_score` and
            `event_score_ci`.

    Raises:
        BenchmarkError: there is no such metric.
    """
    ### BEGIN SOLUTION
    speed, (low, high) = submission["speedup_vs_baseline"], submission["speedup_ci"]
    innovation = submission["innovation_score"]
    if metric == "speed":
        return speed, low, high
    if metric == "innovation":
        return innovation, innovation, innovation
    if metric == "event":
        return submission["event_score"], *submission["event_score_ci"]
    if metric == "composite":
        low, high = composite_score(low, innovation), composite_score(high, innovation)
        return composite_score(speed, innovation), low, high
    raise BenchmarkError(f"unknown leaderboard {metric!r}; known: speed, innovation, composite, event")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-score-interval", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
entry = checks.toy_submission("Toys", 2.0, low=1.0, high=3.0, innovation=0.5, event_score=7.0)
with given(globals(), "composite_score"):
    assert score_interval(entry, "speed") == (2.0, 1.0, 3.0), (
        f"the speedup with its interval: {score_interval(entry, 'speed')}"
    )
    assert score_interval(entry, "innovation") == (0.5, 0.5, 0.5), "innovation comes without an interval"
    assert np.allclose(score_interval(entry, "composite"), (1.55, 0.85, 2.25)), (
        "0.7 x speed + 0.3 x 0.5, at all ends"
    )
    with refuses(BenchmarkError, "beauty", why="there is no board for beauty: BenchmarkError says so"):
        score_interval(entry, "beauty")

# %% nbgrader={"grade": true, "grade_id": "hidden-score-interval", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "composite_score"):
    assert score_interval(entry, "event") == (7.0, 7.0, 7.0), "the event's own score, with its own interval"
### END HIDDEN TESTS

# %% [markdown]
# ### The best of each team
#
# **Build.** A team may submit as often as it likes, and its best *ranked* submission counts. An entry below the floor is
# never ranked, however fast; it is shown with its reason, as long as the team has nothing better. "Rockets" and "ROCKETS" are
# one team (`str.casefold`).


# %% nbgrader={"grade": false, "grade_id": "best-of-teams", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def best_of_teams(
    submissions: Sequence[Mapping[str, Any]], metric: str
) -> tuple[list[Mapping[str, Any]], list[tuple[str, str]]]:
    """Each team's best ranked submission by a metric, best first, and (team, reason) for teams without one.

    Capital and small letters make no other team; of equal submissions the earlier one stays. The reason of a team
    is that of its last submission, its `reasons` joined by "; ".
    """
    ### BEGIN SOLUTION
    best: dict[str, Mapping[str, Any]] = {}
    reasons: dict[str, tuple[str, str]] = {}
    for submission in submissions:
        team = submission["team_name"].casefold()
        if not submission["ranked"]:
            reasons[team] = submission["team_name"], "; ".join(submission["reasons"])
        elif team not in best or score_interval(submission, metric) > score_interval(best[team], metric):
            best[team] = submission
    by_name = [best[team] for team in sorted(best)]
    rows = sorted(by_name, key=lambda each: score_interval(each, metric), reverse=True)
    return rows, [reason for team, reason in reasons.items() if team not in best]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-best-of-teams", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
entries = [
    checks.toy_submission("Slow", 1.2),
    checks.toy_submission("Rockets", 3.0),
    checks.toy_submission("ROCKETS", 2.0),
    checks.toy_submission("Zero", 900.0, ranked=False),
    checks.toy_submission("Slow", 50.0, ranked=False),
]
with given(globals(), "score_interval", "composite_score"):
    rows, unranked = best_of_teams(entries, "speed")
    found = [(each["team_name"], each["speedup_vs_baseline"]) for each in rows]
    assert ("Zero", 900.0) not in found and ("Slow", 50.0) not in found, (
        "below the floor nothing is ranked, at any speed"
    )
    assert len(found) < 3, f"capital and small letters make no other team: {found}"
    assert found == [("Rockets", 3.0), ("Slow", 1.2)], f"the best of each team, best first; yours: {found}"
    assert unranked == [("Zero", "below the floor")], (
        f"teams without a ranked entry, with the reason; yours: {unranked}"
    )

# %% nbgrader={"grade": true, "grade_id": "hidden-best-of-teams", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "score_interval", "composite_score"):
    clever = [
        checks.toy_submission("A", 3.0),
        checks.toy_submission("A", 1.0, innovation=0.9),
        checks.toy_submission("B", 2.0),
    ]
    rows, _ = best_of_teams(clever, "innovation")
    assert [each["innovation_score"] for each in rows] == [0.9, 0.0], "the best by THIS board's metric"
    assert best_of_teams([], "speed") == ([], []), "an empty board is empty"
    before = [dict(each) for each in entries]
    best_of_teams(entries, "speed")
    assert [dict(each) for each in entries] == before, "the submissions that came in are not changed"
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "leaderboard", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def in_division(submissions: Sequence[Mapping[str, Any]], division: str | None) -> list[Mapping[str, Any]]:
    """Those of one division, "closed" (the same network, computed otherwise) or "open"; all of them for None.

    Raises:
        BenchmarkError: there is no such division.
    """
    if division not in (None, "closed", "open"):
        raise BenchmarkError(f"division is {division!r}, expected 'closed', 'open' or None for both")
    return [each for each in submissions if division in (None, each.get("division"))]


def make_leaderboard(event: Event, metric: str, submissions: Sequence[Mapping[str, Any]]) -> Leaderboard:
    """The board of one event: each team's best ranked submission; teams without one are listed with the reason."""
    rows, unranked = best_of_teams(submissions, metric)
    scores = [score_interval(submission, metric) for submission in rows]
    ranks = rank(scores)
    standings = tuple(
        Standing(place, ranks.count(place) > 1, submission["team_name"], *score, submission)
        for place, score, submission in zip(ranks, scores, rows, strict=True)
    )
    return Leaderboard(event.name, event.title, metric, standings, tuple(unranked), machine_notes(rows))


def machine_notes(submissions: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A warning where a board mixes machines: another BLAS kernel moves a ratio by up to 1.5 times."""
    kinds = {"{processor}, {blas}, {clock}".format(**each["machine"]) for each in submissions}
    return (f"mixes {len(kinds)} kinds of machine: {'; '.join(sorted(kinds))}",) if len(kinds) > 1 else ()


# %% [markdown]
# **Look.** Five invented entries. Before you run it: which ranks do you expect?

# %% tags=["look"]
from tinytorch.perf.board import show

show(make_leaderboard(get_event("mlp_sprint"), "speed", [
    checks.toy_submission("Anna", 2.04, 2.0, 2.08),
    checks.toy_submission("Ben", 2.02, 1.99, 2.05, innovation=0.3),
    checks.toy_submission("Chen", 1.98, 1.95, 2.01, innovation=0.1),
    checks.toy_submission("Dana", 1.4, 1.38, 1.42, innovation=0.6),
    checks.toy_submission("Emil", 88.0, 87.0, 89.0, ranked=False),
]))  # fmt: skip

# %% [markdown]
# **What did you see?** Three share the first rank, though their numbers differ. A tie is a finding: it says that the
# difference is smaller than what this instrument can see, and it tells Anna that another evening of tuning in the third
# decimal is wasted.

# %% [markdown]
# ## 8. Compete
#
# **Why.** The pieces are there: rounds, a floor, scores, evidence, ranks. What is missing is the thread through them, from a
# model to a line on a board.
#
# ### The numbers of a result
#
# **Build.** From the rounds to the three things that an entry is known by: the `Speedup` over the event's `speed_cases`, the
# `Speedup` of the event's own score, and the medal, which an entry below the floor does not get. All the pieces are
# yours; `make_results`, below, puts what they give into the report. Hand `unseen` on to `summarise`: a run between
# processes, as the referee's, has more of the error that its rounds do not see.


# %% nbgrader={"grade": false, "grade_id": "geometric-mean-time", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def geometric_mean_time(rounds: Sequence[Round], cases: Sequence[str], side: str) -> float:
    """Seconds of one call: median over the rounds, then the geometric mean over the cases."""
    medians = [float(np.median([getattr(each, side)[case] for each in rounds])) for case in cases]
    return math.exp(float(np.mean(np.log(medians))))


# %% nbgrader={"grade": false, "grade_id": "results", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def scores(
    event: Event,
    rounds: Sequence[Round],
    passed: bool,
    memory_ratio: float,
    size_ratio: float,
    unseen: float = 0.005,
) -> tuple[Speedup, Speedup, str | None]:
    """Speedup over the event's speed cases, the event's own score, and the medal, for which the floor must hold.

    Args:
        passed: the entry reaches the floor.
        memory_ratio, size_ratio: baseline / model, of peak memory and of the weights' bytes.
        unseen: of `summarise`, for both.
    """
    ### BEGIN SOLUTION
    speed = summarise(combine(rounds, speed_cases(event)), unseen)
    score = summarise(event_logs(event, rounds, memory_ratio, size_ratio), unseen)
    return speed, score, medal(event, score) if passed else None
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "make-results", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def make_results(
    event: Event,
    rounds: Sequence[Round],
    quality: Mapping[str, Any],
    resources: Mapping[str, Any],
    unseen: float = 0.005,
) -> Report:
    """Everything measured, and the scores that follow from it; a score can be worked out again from the rounds."""
    memory_ratio = resources["baseline_peak_memory_bytes"] / resources["peak_memory_bytes"]
    size_ratio = resources["baseline_model_bytes"] / resources["model_bytes"]
    speed, score, won = scores(event, rounds, quality["accuracy_ok"], memory_ratio, size_ratio, unseen)
    results = Report(
        event_name=event.name,
        speedup_vs_baseline=speed.ratio,
        speedup_ci=[speed.low, speed.high],
        verdict=speed.verdict,
        baseline_time_s=geometric_mean_time(rounds, speed_cases(event), "baseline_s"),
        optimized_time_s=geometric_mean_time(rounds, speed_cases(event), "candidate_s"),
        event_score=score.ratio,
        event_score_ci=[score.low, score.high],
        medal=won,
        **quality,
        **resources,
        cases={case: summarise(combine(rounds, [case]), unseen).to_dict() for case in rounds[0].log_ratios},
    )
    if event.rule == "decathlon":
        ten = discipline_logs(rounds, memory_ratio, size_ratio)
        results["disciplines"] = {name: summarise(logs, unseen).to_dict() for name, logs in ten.items()}
    results["rounds"] = [each.to_dict() for each in rounds]
    return results


# %% nbgrader={"grade": true, "grade_id": "check-results", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
marathon, rounds = (
    get_event("cnn_marathon"),
    [checks.toy_round({"batch 1": 8.0, "batch 32": 8.0, "batch 256": 8.0})] * 12,
)
fine, low = {"accuracy_ok": True}, {"accuracy_ok": False}
resources = {
    "baseline_peak_memory_bytes": 8_000,
    "peak_memory_bytes": 1_000,
    "baseline_model_bytes": 400,
    "model_bytes": 50,
}
needed = ("summarise", "combine", "event_logs", "discipline_logs", "medal")
with given(globals(), *needed):
    found = make_results(marathon, rounds, fine, resources)
    assert math.isclose(found["speedup_vs_baseline"], 8), f"8 in every case is 8: {found['speedup_vs_baseline']}"
    assert math.isclose(found["event_score"], 8), (
        f"the cube root of 8 x 8 x 8 is 8; you say {found['event_score']:.3f}"
    )
    assert found["medal"] == "silver", f"8 reaches the Marathon's silver; you say {found['medal']}"
    assert make_results(marathon, rounds, low, resources)["medal"] is None, (
        "no medal below the floor, at any speed"
    )

# %% nbgrader={"grade": true, "grade_id": "hidden-results", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), *needed):
    decathlon = get_event("transformer_decathlon")
    ten = make_results(
        decathlon, [checks.toy_round(dict.fromkeys(timed, 2.0))] * 12, fine, resources | {"model_bytes": 400}
    )
    assert math.isclose(ten["event_score"], 2**0.8 * 8**0.1), "eight disciplines at 2, memory at 8, size at 1"
    low, high = make_results(marathon, rounds, fine, resources, unseen=0.1)["event_score_ci"]
    assert high / low > 1.2, "unseen=0.1 is 10 % on either side: hand it on to summarise"
    assert ten["disciplines"]["model size"]["ratio"] == 1.0, "size_ratio is baseline over model"
### END HIDDEN TESTS

# %% [markdown]
# ### Quality, memory, size
#
# Given: what checks the answers and grades them, and what measures memory, in a process of its own, never at the same time
# as speed. `check_fresh_answers` asks whether two different batches got exactly the same logits, `check_computes` whether
# an input that was seen before is answered much faster than a new one.


# %% nbgrader={"grade": false, "grade_id": "measure-quality", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
@add_method(CompetitionProfiler)
def measure_quality(self, model: Model, dataset: Dataset, baseline: Model) -> dict[str, Any]:
    """Check the model's answers on fresh inputs and compare their quality with the baseline's."""
    event, graded = get_event(dataset.event), dataset.grading_set(self.seed)
    checked_answer(model, graded.inputs[:2], event)  # a quick refusal before the long work
    check_fresh_answers(model, graded.inputs[:8], graded.inputs[8:16], event)
    rng = np.random.default_rng()  # without a seed: nobody has seen these inputs
    check_computes(model, lambda: dataset.batch(8, rng), self.clock)
    if event.task == "tokens":
        check_language_model(model, baseline, graded.inputs[:4], event)
    logits, reference = answers(model, graded), self._reference(baseline, dataset, graded)[0]
    quality = judge_quality(event, logits, reference, graded)
    accuracy, baseline_accuracy = (
        float((each.argmax(axis=-1) == graded.labels).mean()) for each in (logits, reference)
    )
    return {
        "accuracy": accuracy,
        "baseline_accuracy": baseline_accuracy,
        "accuracy_ok": quality.ok,
        "quality": quality.to_dict(),
        "division": division_of(logits, reference)[0],
    }


# %% nbgrader={"grade": false, "grade_id": "measure-resources", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
@add_method(CompetitionProfiler)
def measure_resources(self, model: Model, dataset: Dataset, baseline: Model) -> dict[str, Any]:
    """Peak memory at the event's largest batch, and bytes of the weights, of both models."""
    inputs = memory_inputs(dataset, np.random.default_rng(self.seed))
    with one_blas_thread():
        memory = peak_memory(model, lambda each: each.predict(inputs))
    return {
        "peak_memory_bytes": memory.peak_bytes,
        "baseline_peak_memory_bytes": self._reference(baseline, dataset, None)[1],
        "memory_method": memory.method,
        "model_bytes": weight_bytes(model),
        "baseline_model_bytes": weight_bytes(baseline),
    }


@add_method(CompetitionProfiler)
def _reference(self, baseline: Model, dataset: Dataset, graded: GradingSet | None) -> tuple[np.ndarray, int]:
    """The baseline's logits on the grading set and its peak memory, worked out once for each baseline."""
    key = (id(baseline), self.seed, dataset.event, dataset.split)
    if key not in self._references:
        graded = dataset.grading_set(self.seed) if graded is None else graded
        inputs = memory_inputs(dataset, np.random.default_rng(self.seed))
        with one_blas_thread():
            logits = answers(baseline, graded)
            peak = peak_memory(baseline, lambda each: each.predict(inputs)).peak_bytes
        self._references[key] = (logits, peak)
        self._kept.append(baseline)  # so that its id is not used again
    return self._references[key]


# %% nbgrader={"grade": false, "grade_id": "weight-bytes", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def weight_bytes(model: Model) -> int:
    """Bytes of a model's weights as they are stored: `state_dict()` where there is one, else all its arrays.

    Raises:
        BenchmarkError: there are none.
    """
    found = array_bytes(model.state_dict() if callable(getattr(model, "state_dict", None)) else model)
    if not found:
        raise BenchmarkError(
            f"no weights found in {type(model).__name__}; keep them as numpy arrays in attributes, lists or dicts"
        )
    return found


# %% [markdown]
# ### One call that benchmarks a model
#
# **Build.** First refuse what is no dataset (`BenchmarkError`, say what came) or no model (`check_model`, for the
# baseline; `measure_quality` checks the other). Then quality, resources, rounds, *in this order*: an invalid model is refused
# before the slow part. The result is what `make_results` says, with the `seed` and the `machine`
# (`describe_machine(self.clock.name).to_dict()`).


# %% nbgrader={"grade": false, "grade_id": "benchmark-model", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@add_method(CompetitionProfiler)
def benchmark_model(
    self,
    optimized_model: Model,
    dataset: Dataset,
    baseline_model: Model | None = None,
) -> Report:
    """Compare a model with a baseline: valid answers, quality, memory, size, then speed.

    Args:
        optimized_model: anything with `predict(inputs) -> logits`.
        dataset:         from `load_benchmark`; says which event it is.
        baseline_model:  what to compare with; by default the event's trained baseline.

    Returns:
        Mapping that `json.dumps` takes: `speedup_vs_baseline` (1.0 is a tie), `speedup_ci`, `verdict`,
        `event_score`, `accuracy`, `accuracy_ok`, `peak_memory_bytes`, `model_bytes`, the raw `rounds`, the
        `machine` and more.

    Raises:
        VerifyError: the model's answers are not valid.
        BenchmarkError: `dataset` is none, or the model is too slow or has no weights.
        MachineError: its memory could not be measured.
    """
    ### BEGIN SOLUTION
    if not isinstance(dataset, Dataset):
        raise BenchmarkError(f"dataset is {type(dataset).__name__}, expected what load_benchmark(event) gives")
    event = get_event(dataset.event)
    baseline = load_baseline(event.name) if baseline_model is None else baseline_model
    check_model(baseline)
    quality = self.measure_quality(optimized_model, dataset, baseline)
    resources = self.measure_resources(optimized_model, dataset, baseline)
    rounds = self.measure_rounds(baseline, optimized_model, dataset)
    machine = describe_machine(self.clock.name)
    return Report(make_results(event, rounds, quality, resources), seed=self.seed, machine=machine.to_dict())
    ### END SOLUTION


# %% [markdown]
# **Check.** A profiler whose parts only write down that they were called, and with whom.


# %% nbgrader={"grade": true, "grade_id": "check-benchmark-model", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
class Rehearsal(CompetitionProfiler):
    """Measures nothing: notes who was handed in, and gives toy results."""

    def __init__(self) -> None:
        super().__init__(seed=11)
        self.called: list[str] = []

    def measure_quality(self, model, dataset, baseline):
        self.called.append(f"quality of {model.name} against {baseline.name}")
        return {"accuracy": 1.0, "accuracy_ok": True}

    def measure_resources(self, model, dataset, baseline):
        self.called.append(f"resources of {model.name} against {baseline.name}")
        return resources

    def measure_rounds(self, baseline, candidate, dataset):
        self.called.append(f"rounds of {candidate.name} against {baseline.name}")
        return [checks.toy_round({"batch 1": 2.0, "batch 32": 2.0, "batch 256": 2.0})] * 12


mine, theirs = checks.zeros_model("mlp_sprint"), checks.zeros_model("mlp_sprint")
mine.name, theirs.name, rehearsal = "mine", "theirs", Rehearsal()
with given(globals(), "make_results"):
    found = rehearsal.benchmark_model(mine, dataset, theirs)
    wanted = [f"{part} of mine against theirs" for part in ("quality", "resources", "rounds")]
    assert rehearsal.called == wanted, (
        f"quality, resources, rounds, model against baseline; yours: {rehearsal.called}"
    )
    assert math.isclose(found["speedup_vs_baseline"], 2), "the speedup comes from the rounds, by make_results"
    assert found["seed"] == 11 and "blas" in found["machine"], "a result says its seed and its machine"

# %% nbgrader={"grade": true, "grade_id": "hidden-benchmark-model", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "make_results"):
    for wrong in ("mlp_sprint", None, dataset.inputs):
        with refuses(
            BenchmarkError,
            type(wrong).__name__,
            why=f"a {type(wrong).__name__} is no dataset: BenchmarkError says so",
        ):
            rehearsal.benchmark_model(mine, wrong, theirs)
    with refuses(ValueError, "predict", why="a baseline that cannot predict is refused by check_model"):
        rehearsal.benchmark_model(mine, dataset, "no model")
### END HIDDEN TESTS

# %% [markdown]
# **Look.** The first honest result: three techniques one after the other, measured by what you have built.

# %% tags=["look"]
from tinytorch.core.acceleration import add_custom_kernels

three = add_custom_kernels(apply_pruning(apply_quantization(baseline)))
result = CompetitionProfiler(budget_s=1.0).benchmark_model(three, dataset, baseline)
result

# %% tags=["look"]
draw(plots.rounds, result, "MLP Sprint")

# %% [markdown]
# ### From a result to a verdict
#
# **Build.** The last judgement. Below the floor an entry gets no innovation points and no rank, but the reason in words
# (`floor_reason`, given). The composite is made of the speedup and the innovation score that it *got*.


# %% nbgrader={"grade": false, "grade_id": "floor-reason", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
def floor_reason(quality: Mapping[str, Any]) -> str:
    """Why an entry is not ranked, in words."""
    worse, floor = quality["difference"], quality["floor"]
    if quality["metric"] == "accuracy":
        return f"{worse * 100:.2f} points less accuracy than the baseline, at most {floor * 100:.2f} allowed"
    return f"{worse:.4f} bits per character more than the baseline, at most {floor:.4f} allowed"


# %% nbgrader={"grade": false, "grade_id": "judged", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def judged(results: Mapping[str, Any], innovation: Mapping[str, Any]) -> dict[str, Any]:
    """Scores, rank-worthiness and reasons; below the floor there is no innovation and no rank.

    Returns:
        all of `innovation`, with `innovation_score` (0.0 below the floor), `speed_score`, `composite_score`,
        `ranked`, and `reasons` (a list of its own, empty for a ranked entry).
    """
    ### BEGIN SOLUTION
    quality, ok = results["quality"], results["accuracy_ok"]
    score = innovation["innovation_score"] if ok else 0.0
    return dict(innovation) | {
        "innovation_score": score,
        "speed_score": results["speedup_vs_baseline"],
        "composite_score": composite_score(results["speedup_vs_baseline"], score),
        "ranked": ok,
        "reasons": [] if ok else [floor_reason(quality)],
    }
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-judged", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
about = {"metric": "accuracy", "difference": 0.02, "floor": 0.01}
good = {"quality": about | {"difference": 0.0}, "accuracy_ok": True, "speedup_vs_baseline": 2.0}
poor = good | {"quality": about, "accuracy_ok": False}
praise = {"innovation_score": 0.5, "detected_techniques": ["pruning"]}
with given(globals(), "composite_score"):
    first, second = judged(good, praise), judged(good, praise)
    assert first["ranked"] and first["reasons"] == [], (
        f"an entry that holds the floor is ranked, without reasons: {first}"
    )
    assert math.isclose(first["composite_score"], 1.55), f"0.7 x 2 + 0.3 x 0.5, you say {first['composite_score']}"
    assert first["reasons"] is not second["reasons"], (
        "two entries must not share one list: make a new one for each"
    )
    fallen = judged(poor, praise)
    assert not fallen["ranked"], "below the floor nothing is ranked, at any speed"
    assert fallen["innovation_score"] == 0.0, "below the floor there is no innovation either"
    assert fallen["reasons"] == [floor_reason(about)], f"the reason is said in words; yours: {fallen['reasons']}"

# %% nbgrader={"grade": true, "grade_id": "hidden-judged", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), "composite_score"):
    assert first["speed_score"] == 2.0 and first["detected_techniques"] == ["pruning"], (
        "all of `innovation` is kept"
    )
    assert math.isclose(judged(poor, praise)["composite_score"], 1.4), (
        "made of the innovation score that it GOT: 0"
    )
    assert praise["innovation_score"] == 0.5, "what came in is not changed"
### END HIDDEN TESTS

# %% [markdown]
# ### The competition
#
# The class that takes entries. Where they are kept is handed in (`store`), by default the file `tinymlperf.sqlite` beside
# this notebook; nothing in it is ever overwritten.


# %% nbgrader={"grade": false, "grade_id": "competition", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
class TinyMLPerfCompetitionPlus:
    """Takes entries, measures and scores them, and keeps three leaderboards an event.

    Args:
        store:    where entries are kept: a `perf.store.Store`, a path or URL for one, or None for the default
            (the file tinymlperf.sqlite, or what TINYMLPERF_STORE names).
        profiler: the instrument; by default `CompetitionProfiler()`.
    """

    def __init__(self, store: Any = None, profiler: CompetitionProfiler | None = None) -> None:
        self.store = open_store(store)
        self.profiler = profiler or CompetitionProfiler()
        self.tinyperf = TinyMLPerf()
        self.innovation_detector = InnovationDetector()
        self._benchmarks: dict[str, tuple[Model, Dataset]] = {}

    def _benchmark(self, event_name: str) -> tuple[Model, Dataset]:
        """Baseline and dataset of an event, loaded once."""
        if event_name not in self._benchmarks:
            self._benchmarks[event_name] = self.tinyperf.load_benchmark(event_name)
        return self._benchmarks[event_name]


def open_store(store: Any) -> Any:
    """`store` itself if it can append, else a `perf.store.Store` at that path or URL."""
    if callable(getattr(store, "append", None)) and callable(getattr(store, "submissions", None)):
        return store
    from tinytorch.perf.store import Store  # here: a benchmark without a store must not load a database

    return Store() if store is None else Store(store)


# %% [markdown]
# **Build.** Check the words before the slow part, measure, look for evidence (the ratio of peak memories is one of its
# facts), judge, and only then store. `self.store.append(...)` returns what was stored; return that.


# %% nbgrader={"grade": false, "grade_id": "submit-entry", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@add_method(TinyMLPerfCompetitionPlus)
def submit_entry(
    self,
    team_name: str,
    event_name: str,
    optimized_model: Model,
    optimization_description: str = "",
    github_url: str = "",
) -> Report:
    """Measure, verify, score and store one entry in *practice* mode, and return what was stored.

    What is stored: the words as checked (`checked_team` and its sisters; `mode` is "practice"), all results of
    the profiler, and the judgement. An entry below the accuracy floor is stored with its reason and never
    ranked.

    Raises:
        VerifyError: a name, text or link is not valid, or the model's answers are not.
        WorkloadError: there is no such event.
        BenchmarkError, MachineError: the model cannot be measured.
        StoreError: the entry cannot be written.

    Whatever is raised, this entry is not stored and all earlier ones still are.
    """
    ### BEGIN SOLUTION
    words = {
        "team_name": checked_team(team_name),
        "event_name": get_event(event_name).name,
        "optimization_description": checked_description(optimization_description),
        "github_url": checked_link(github_url),
        "mode": "practice",
    }
    baseline, dataset = self._benchmark(event_name)
    results = self.profiler.benchmark_model(optimized_model, dataset, baseline)
    ratio = results["baseline_peak_memory_bytes"] / results["peak_memory_bytes"]
    innovation = self.innovation_detector.analyze_innovation(
        optimized_model, optimization_description, event_name, ratio
    )
    return self.store.append(Report(words | results | judged(results, innovation)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-submit-entry", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
class Shelf(list):
    """A store in memory."""

    def append(self, submission):
        super().append(submission)
        return submission

    def submissions(self, event=None, team=None):
        return [each for each in self if event in (None, each["event_name"])]


class Measured:
    """A profiler that has measured already, and gives everybody the same mapping."""

    def __init__(self):
        self.results = Report(good | resources)

    def benchmark_model(self, optimized_model, dataset, baseline_model=None):
        assert dataset.event == "mlp_sprint" and baseline_model is not None, (
            "hand the event's data and baseline on"
        )
        self.results["measured"] = optimized_model
        return self.results


needed = (
    "judged",
    "composite_score",
    "evidence_scores",
    "innovation_score",
    "InnovationDetector.analyze_innovation",
)
with given(globals(), *needed, "TinyMLPerf.load_benchmark"):
    contest = TinyMLPerfCompetitionPlus(store=Shelf(), profiler=Measured())
    entered = load_baseline("mlp_sprint")
    stored = contest.submit_entry(" Toys ", "mlp_sprint", entered, "int4!", "https://example.org/toys")
    assert len(contest.store) == 1, f"one entry is stored once; the store holds {len(contest.store)}"
    assert stored is contest.store[0], "return what the store returned"
    assert stored["team_name"] == "Toys", f"names are checked and trimmed by checked_team: {stored['team_name']!r}"
    assert stored["measured"] is entered and stored["ranked"], (
        "the model that was handed in is measured and judged"
    )
    assert stored["mode"] == "practice", "a run in this process is practice, and says so"

# %% nbgrader={"grade": true, "grade_id": "hidden-submit-entry", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
with given(globals(), *needed, "TinyMLPerf.load_benchmark"):
    said = (stored["github_url"], stored["optimization_description"])
    assert said == ("https://example.org/toys", "int4!"), f"link and description are kept as they came: {said}"
    assert stored["claimed_techniques"] == ["quantization"], "the description goes to the detector, as a claim"
    assert stored["facts"]["memory_ratio"] == 8.0, "baseline's peak memory over the model's is one of the facts"
    for words in (("", "mlp_sprint"), ("Toys", "chess")):
        with refuses(ValueError, why=f"{words} must be refused before anything is measured"):
            contest.submit_entry(*words, entered)
    assert len(contest.store) == 1, "what is refused is not stored"
    contest.submit_entry("Others", "mlp_sprint", entered)
    kept = [each["team_name"] for each in contest.store]
    assert kept == ["Toys", "Others"], f"a later entry changes no earlier one: make a new mapping; yours: {kept}"
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "boards", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
@add_method(TinyMLPerfCompetitionPlus)
def leaderboard(self, event_name: str, metric: str = "speed", division: str | None = None) -> Leaderboard:
    """One board of an event as a record: metric "speed", "innovation", "composite" or "event".

    Args:
        division: only entries that answer as the baseline does ("closed") or only the others ("open").
    """
    event = get_event(event_name)
    return make_leaderboard(event, metric, in_division(self.store.submissions(event=event.name), division))


@add_method(TinyMLPerfCompetitionPlus)
def display_leaderboard(self, event_name: str) -> None:
    """Show the speed leaderboard of an event."""
    show_boards(self.leaderboard(event_name, "speed"))


@add_method(TinyMLPerfCompetitionPlus)
def display_innovation_leaderboard(self, event_name: str) -> None:
    """Show the innovation leaderboard of an event."""
    show_boards(self.leaderboard(event_name, "innovation"))


@add_method(TinyMLPerfCompetitionPlus)
def display_composite_leaderboard(self, event_name: str) -> None:
    """Show the composite leaderboard of an event."""
    show_boards(self.leaderboard(event_name, "composite"))


# %% nbgrader={"grade": false, "grade_id": "all-boards", "locked": true, "schema_version": 3, "solution": false, "task": false}
#| export
@add_method(TinyMLPerfCompetitionPlus)
def display_all_enhanced_leaderboards(self) -> None:
    """Show all three leaderboards of all events."""
    boards = [
        self.leaderboard(event, metric) for event in EVENTS for metric in ("speed", "innovation", "composite")
    ]
    show_boards(*boards)


def show_boards(*boards: Leaderboard) -> None:
    """Draw boards where one looks: in the notebook, or as text in a terminal."""
    from tinytorch.perf.board import show  # here: measuring must not load what draws

    for board in boards:
        show(board)


# %% [markdown]
# ### Your first entry
#
# Modules 17, 18 and 16, one after the other; each verb gives a new model and leaves the one it was given alone. What does
# each of them change: the time, the bytes, or the accuracy? Guess before you run.

# %% tags=["look"]
from tinytorch.core.acceleration import add_custom_kernels  # Module 16
from tinytorch.core.compression import apply_pruning  # Module 18
from tinytorch.core.quantization import apply_quantization  # Module 17

tinyperf = TinyMLPerf()
model, dataset = tinyperf.load_benchmark("mlp_sprint")
model = apply_quantization(model)
model = apply_pruning(model)
model = add_custom_kernels(model)

competition = TinyMLPerfCompetitionPlus(profiler=CompetitionProfiler(budget_s=1.0))
submission = competition.submit_entry(
    team_name="First Try",
    event_name="mlp_sprint",
    optimized_model=model,
    optimization_description="int8 weights, 30 % pruned, custom kernels",
)

# %% tags=["look"]
competition.display_leaderboard("mlp_sprint")

# %% [markdown]
# ### What each module gives
#
# **Look.** The techniques one at a time in all three events: each bar begins where the step before had got to. The helper
# enters every step, so that the whole way is on record; the best entry of a team counts.

# %%
from tinytorch.core.caching import add_kv_cache


def climb(
    event_name: str, steps: Mapping[str, Callable[[Model], Model]], alone: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Enter each step on top of the one before, those in `alone` each by itself; the event's own score of each."""
    start, _ = tinyperf.load_benchmark(event_name)
    reached, rows = start, []
    for label, step in steps.items():
        made = step(start if label in alone else reached)
        reached = reached if label in alone else made
        team = "One at a Time" if label in alone else "Step by Step"
        found = competition.submit_entry(team, event_name, made, label)
        low, high = found["event_score_ci"]
        note = "" if found["ranked"] else "below the floor"
        rows.append({"label": label, "ratio": found["event_score"], "low": low, "high": high, "note": note,
                     "reference": label in alone})  # fmt: skip
    return rows


# %% tags=["look"]
draw(plots.staircase, climb("mlp_sprint", {
    "int8 (17) alone": apply_quantization,
    "half masked (18) alone": lambda model: apply_pruning(model, 0.5),
    "fused kernels (16)": lambda model: add_custom_kernels(model, compiled=False),
    "+ int8 (17)": apply_quantization,
    "+ half the neurons (18)": lambda model: apply_pruning(model, 0.5, structured=True),
}, alone=("int8 (17) alone", "half masked (18) alone")), "MLP Sprint")  # fmt: skip

# %% tags=["look"]
draw(plots.staircase, climb("cnn_marathon", {
    "im2col (16, v2)": lambda model: add_custom_kernels(model, version=2, compiled=False),
    "fused, in blocks (16, v3)": lambda model: add_custom_kernels(model, compiled=False),
    "+ int8 (17)": apply_quantization,
}), "CNN Marathon")  # fmt: skip

# %% tags=["look"]
draw(plots.staircase, climb("transformer_decathlon", {
    "KV cache (19) alone": add_kv_cache,
    "fused kernels (16)": lambda model: add_custom_kernels(model, compiled=False),
    "+ KV cache (19)": add_kv_cache,
    "+ int8 (17)": apply_quantization,
}, alone=("KV cache (19) alone",)), "Transformer Decathlon")  # fmt: skip

# %% [markdown]
# **What did you see?** Int8 alone makes nothing faster: numpy has no fast integer product, so the weights are turned back into
# floats before each use. It pays in *bytes*, and so in the Marathon and the Decathlon. A mask of zeros gives no speed at all,
# because a zero is multiplied like any other number; leaving whole neurons out does. And the KV cache alone gains little in a
# framework whose overhead a token is larger than the work; with the kernels it is the largest step in generation.

# %% tags=["look"]
decathlete = competition.store.submissions(event="transformer_decathlon")[-1]
draw(plots.disciplines, decathlete, size=(8.0, 4.2))

# %% tags=["look"]
draw(plots.balance, competition.store.submissions(event="cnn_marathon"), "CNN Marathon")

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflect-steps", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# **Question (3 points).** Look at the three staircases on your machine. (a) Which module gave most in each event, and what was
# the bottleneck that it removed? (b) Int8 reduces the bytes of the weights to a quarter. Why does it not make the MLP faster
# here, and on what hardware would it? (c) In which order would you apply Modules 16 to 19 to a new model, and what would you
# measure before you begin?
#
# ### BEGIN SOLUTION
# *For the instructor.* (a) 1 point: kernels in all three, with three different bottlenecks named (call overhead of `Tensor`
# and scaling in the MLP; a loop over kernel positions and its memory traffic in the CNN; many small operations and, in
# generation, recomputing the prefix in the transformer); numbers from the student's own charts. (b) 1 point: numpy's matrix
# product has no integer kernel, so weights are expanded to float32 and the same FLOPs are done; it pays where memory
# bandwidth is the limit, or the processor multiplies 8-bit integers directly (VNNI, tensor cores, phones). (c) 1 point: profile
# first, remove overhead, then reduce the work (structured), then bits; any order that is argued from a profile.
# ### END SOLUTION

# %% [markdown]
# ### The boards
#
# **Look.** All events, all boards. What is on them is what is in your store, this evening's entries and earlier ones.

# %% tags=["look"]
competition.display_all_enhanced_leaderboards()

# %% [markdown]
# ### Your turn
#
# Beat "Step by Step". Change the next cell as often as you like; every entry is kept, and your best one counts. Fewer bits,
# fewer neurons, a distilled student (`distill`), kernels compiled by numba (`add_custom_kernels(model)` where numba is
# installed), or a class of your own with a `predict`: whatever you do, the floor holds, and only evidence counts.

# %% tags=["look"]
model, _ = tinyperf.load_benchmark("cnn_marathon")
model = apply_quantization(add_custom_kernels(model, compiled=False), bits=6)
competition.submit_entry("Your Team", "cnn_marathon", model, "six bits a weight on fused kernels")
competition.display_composite_leaderboard("cnn_marathon")

# %% [markdown]
# ### A board that follows
#
# The boards above are pictures of one moment. The next one is alive: it looks into the store once a second, between two
# cells and never while one runs. *Try* the composite and its slider: at which weight of speed does the winner change, and
# would it be right to choose the weight now that you know?

# %% tags=["look"]
from tinytorch.perf.widgets import Leaderboards, SubmitPanel

boards = Leaderboards(competition.store, make_leaderboard, own_team="Your Team", event="cnn_marathon")
boards

# %% [markdown]
# The panel enters a model without a cell. It measures in a process of its own: this kernel, which draws and answers you,
# is not what is timed, and a model that never ends is stopped by *Cancel*. Build another one in any cell, hand it over with
# `panel.offer("my second try", model)`, submit it, and watch the board.

# %% tags=["look"]
panel = SubmitPanel(competition, {"six bits": model}, boards, team="Your Team", event="cnn_marathon")
panel

# %% [markdown]
# ## 9. Break it
#
# **Why.** You know an instrument only when you have tried to fool it. In this section you change sides: you write cheats
# against the naive benchmark of Section 1, predict which stage of your own stops each, and look whether you were right.
#
# ### Cheat 1: remember the answer
#
# **Build.** A benchmark that times the same input ten times pays for one computation if the model keeps its answers. Keep them
# in a dictionary; `inputs.tobytes()` makes an array a key. Compute only what you have never seen.


# %% nbgrader={"grade": false, "grade_id": "cheat-remembers", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Remembers:
    """Answers like `model`, but computes each input only once."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.known: dict[bytes, np.ndarray] = {}

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        key = inputs.tobytes()
        if key not in self.known:
            self.known[key] = self.model.predict(inputs)
        return self.known[key]
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-cheat-remembers", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
class Counting:
    """A model that counts how many rows it computes."""

    def __init__(self) -> None:
        self.rows = 0

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        self.rows += len(inputs)
        return np.eye(10, dtype=np.float32)[inputs[:, 0] % 10]


honest = Counting()
lazy = Remembers(honest)
once, again = lazy.predict(digits[:4]), lazy.predict(digits[:4])
assert honest.rows == 4, f"the second time nothing is computed; {honest.rows} rows were, for 4 different ones"
assert np.array_equal(once, again) and np.array_equal(once, Counting().predict(digits[:4])), (
    "the answers are right"
)
assert np.array_equal(lazy.predict(digits[4:8]), Counting().predict(digits[4:8])), "another input, another answer"

# %% nbgrader={"grade": true, "grade_id": "hidden-cheat-remembers", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
lazy, changing = Remembers(Counting()), digits[:4].copy()
lazy.predict(changing)
changing[:, 0] += 1
assert np.array_equal(lazy.predict(changing), Counting().predict(changing)), "changed content is another input"
### END HIDDEN TESTS

# %% [markdown]
# ### Cheat 2: compute one row
#
# **Build.** Nobody said that the answers have to be *right*. Compute the first row and give its answer for all of them.


# %% nbgrader={"grade": false, "grade_id": "cheat-first-row", "locked": false, "schema_version": 3, "solution": true, "task": false}
class OnlyTheFirst:
    """Computes one row of each batch and answers it for all rows."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        first = self.model.predict(inputs[:1])
        return np.repeat(first, len(inputs), axis=0)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-cheat-first-row", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
honest = Counting()
found = OnlyTheFirst(honest).predict(digits[:8])
assert found.shape == (8, 10), f"the shape must pass: 8 rows of 10 logits, yours {found.shape}"
assert honest.rows == 1, f"only one row is computed, you computed {honest.rows}"
assert np.array_equal(found, np.repeat(Counting().predict(digits[:1]), 8, axis=0)), (
    "the first row's answer for all"
)

# %% [markdown]
# ### Cheat 3: stop the clock
#
# **Build.** The model runs in the same process as the benchmark, so it can reach the clock. On its first call this one puts a
# clock in the place of `time.perf_counter` that runs ten times too slowly from then on: the reading at that moment plus a
# tenth of what has passed since. It answers honestly.


# %% nbgrader={"grade": false, "grade_id": "cheat-clock", "locked": false, "schema_version": 3, "solution": true, "task": false}
class SlowsTheClock:
    """Answers like `model`; from its first call on, `time.perf_counter` runs at a tenth of its speed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.done = False

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        if not self.done:
            self.done, real = True, time.perf_counter
            start = real()
            time.perf_counter = lambda: start + (real() - start) / 10
        ### END SOLUTION
        return self.model.predict(inputs)


# %% nbgrader={"grade": true, "grade_id": "check-cheat-clock", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
clock, real = FakeClock(), time.perf_counter
time.perf_counter = clock.wall_s
try:
    clock.spend(100.0)
    thief = SlowsTheClock(Counting())
    thief.predict(digits[:1])
    assert time.perf_counter() == 100.0, (
        f"the clock goes on from where it was, 100; it shows {time.perf_counter()}"
    )
    clock.spend(10.0)
    thief.predict(digits[:1])
    shown = time.perf_counter()
    assert shown != 110.0, (
        "after the first call 10 real seconds must look like one; the clock still runs at full speed"
    )
    assert shown == 101.0, (
        f"10 real seconds later the slow clock shows 101, however often it is called; it shows {shown}"
    )
finally:
    time.perf_counter = real

# %% [markdown]
# ### Two more, ready-made
#
# **Cheat 4** needs no code: a baseline with a grand description. **Cheat 5** is patience: resubmit the unchanged baseline until
# the dice fall well. **Cheat 6** is the nastiest. It does not touch itself; it makes the *baseline* slow, by putting a delay
# into the class that both share.


# %%
class Saboteur:
    """An exact copy of the baseline that slows all *other* models of its class down."""

    def __init__(self, model: Model) -> None:
        self.model, self.weights = model, [each.data for each in model.parameters()]
        kind, honest = type(model), type(model).predict

        def delayed(other: Model, inputs: np.ndarray) -> np.ndarray:
            if not hasattr(other, "mine"):
                honest(other, inputs)  # the work is done twice
            return honest(other, inputs)

        model.mine, kind.predict = True, delayed
        self.undo = lambda: setattr(kind, "predict", honest)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.model.predict(inputs)


# %% [markdown]
# ### Predict
#
# Before you run anything: which stage of *your* benchmark stops each cheat? Choose from "pairs and rounds", "the floor",
# "the clock", "evidence", "intervals and ties", "fresh inputs", "nothing".

# %%
prediction = {
    "1 remembers": "...",
    "2 only the first row": "...",
    "3 slows the clock": "...",
    "4 stuffed description": "...",
    "5 resubmits": "...",
    "6 saboteur": "...",
}

# %% [markdown]
# **Look.** First the naive benchmark of Section 1. The number is the speedup that it reports.


# %% tags=["look"]
def naive_finds(cheat: Model) -> float:
    real = time.perf_counter
    try:
        return naive_speedup(load_baseline("mlp_sprint"), cheat, digits)
    finally:
        time.perf_counter = real


saboteur = Saboteur(load_baseline("mlp_sprint"))
naive_says = {
    "1 remembers": naive_finds(Remembers(load_baseline("mlp_sprint"))),
    "2 only the first row": naive_finds(OnlyTheFirst(load_baseline("mlp_sprint"))),
    "3 slows the clock": naive_finds(SlowsTheClock(load_baseline("mlp_sprint"))),
    "5 resubmits": max(naive_finds(load_baseline("mlp_sprint")) for _ in range(20)),
    "6 saboteur": naive_finds(saboteur),
}
saboteur.undo()
Report({name: f"{ratio:.1f} times faster, says the naive benchmark" for name, ratio in naive_says.items()})

# %% [markdown]
# Every one of them "wins", and the last two did nothing at all to their model. Now the same six against what you have built.


# %% tags=["look"]
def ours_finds(cheat: Model, description: str = "") -> str:
    real = time.perf_counter
    try:
        found = TinyMLPerfCompetitionPlus(store=Shelf(), profiler=CompetitionProfiler(budget_s=0.6)).submit_entry(
            "Cheats", "mlp_sprint", cheat, description
        )
    except ValueError as error:
        return f"refused: {error}"
    finally:
        time.perf_counter = real
    low, high = found["speedup_ci"]
    reasons = "ranked" if found["ranked"] else f"not ranked: {'; '.join(found['reasons'])}"
    return f"{reasons}; {found['verdict']} [{low:.2f}, {high:.2f}], innovation {found['innovation_score']:.2f}"


def fresh_model() -> Model:
    return load_baseline("mlp_sprint")


saboteur = Saboteur(fresh_model())
slowed = ours_finds(saboteur)
saboteur.undo()
Report({
    "1 remembers": ours_finds(Remembers(fresh_model())),
    "2 only the first row": ours_finds(OnlyTheFirst(fresh_model())),
    "3 slows the clock": ours_finds(SlowsTheClock(fresh_model())),
    "4 stuffed description": ours_finds(fresh_model(), "int2 quantization, SIMD kernels, 99 % pruned, distilled"),
    "5 resubmits": ours_finds(fresh_model()),
    "6 saboteur": slowed,
})  # fmt: skip

# %% [markdown]
# **What did you see?** Five of six fall, each to a stage that you know. The memory is refused: an input that it has seen is
# answered many times faster than a new one, and `check_computes` asks just that. One row for all falls to the floor. The
# slow clock slows nothing: `Clock` took hold of the real one when the package was loaded, before there was a model. The
# description earns 0.00 without evidence. And the baseline, resubmitted, is a tie, today and tomorrow.
#
# The saboteur is **ranked**. Nothing in this notebook can stop it: baseline and candidate live in one process, and whoever
# shares a process can change everything in it, the other model, the checks, the score. The first five were stopped by code
# that the next cheat may patch. That is why a result from this notebook is called *practice*. For an *official* one your
# instructor's referee runs baseline and entry each in a process of its own, keeps clock and labels in a third one, and hands
# out inputs that nobody has seen. A benchmark ends where its trust ends: ask of each where that is.

# %% [markdown] nbgrader={"grade": true, "grade_id": "design-a-cheat", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# **Question (5 points).** Design a cheat of your own against the benchmark that *you* built (not the naive one).
# (a) Say what it does, in code or in precise words. (b) Which of Sections 1 to 8 does it pass, and why? (c) What would have to
# change in the benchmark, or around it, to stop it? (d) What would your change cost an honest competitor?
#
# ### BEGIN SOLUTION
# *For the instructor.* (a) 2 points for a mechanism that can be carried out (1 if it is only named): a memory of inputs within
# a round, a baseline made slow, work moved into import or into another thread, state kept between rounds, a model that
# recognises grading inputs by their perturbation, a patched library function, a second process. (b) 1 point for each stage
# judged rightly, at most 1. (c) 1 point: separate processes with clock and labels in the parent, one input at a time, new
# inputs for each call, limits on threads and processes, an audit. (d) 1 point for a real cost: slower runs, no warm caches for
# honest buffers, platforms that lack it, effort. Cheats against the naive benchmark earn nothing for (a).
# ### END SOLUTION

# %% [markdown]
# ## Go further
#
# Optional, not graded. Three starting points, if the evening is young.
#
# **A compiled kernel.** Where numba is installed, Module 16 compiles its kernels. How much of the rest of Python's overhead goes?

# %% tags=["look"]
if importlib.util.find_spec("numba"):
    compiled = add_custom_kernels(apply_quantization(fresh_model()), compiled=True)
    numpy_only = add_custom_kernels(apply_quantization(fresh_model()), compiled=False)
    pair = CompetitionProfiler(budget_s=0.6).measure_rounds(numpy_only, compiled, load_dataset("mlp_sprint"))
    numba_gain = summarise(combine(pair, speed_cases(get_event("mlp_sprint"))))
else:
    numba_gain = "numba is not installed: pip install numba, then restart the kernel"
numba_gain

# %% [markdown]
# **Four bits.** Half the bytes of int8. Does the language model hold its floor?

# %% tags=["look"]
story, transformer = load_dataset("transformer_decathlon"), load_baseline("transformer_decathlon")
lines = story.grading_set(seed=3)
losses = {
    f"{bits} bits": judge_quality(
        get_event("transformer_decathlon"),
        answers(apply_quantization(transformer, bits=bits), lines),
        answers(transformer, lines),
        lines,
    ).to_dict()
    for bits in (8, 6, 5, 4)
}
draw(plots.losses, losses)

# %% [markdown]
# **The roofline of your machine.** How many operations a second does it do at best, how many bytes a second does it move, and
# how close do the three baselines come, and your entry? (Williams, Waterman and Patterson, 2009.) The entry is drawn with the
# arithmetic of its baseline: a model that you have distilled does less, and only looks as if it came closer.

# %% tags=["look"]
large, big = np.ones((1024, 1024), dtype=np.float32), np.ones(1 << 24, dtype=np.float32)
copy = np.empty_like(big)
flops_s = 2 * 1024**3 / min(measure(lambda: large @ large, runs=5, warmup=1))
bytes_s = 2 * big.nbytes / min(measure(lambda: np.copyto(copy, big), runs=5, warmup=1))


def under_the_roof(label, name, each):
    inputs, network = load_dataset(name).inputs[:32], load_baseline(name)
    flops = sum(row["flops"] or 0 for row in instrument.profile_layers(network, inputs).rows())
    moved = weight_bytes(each) + inputs.nbytes  # at least: between two steps nothing need leave the cache
    spent_s = min(measure(lambda: each.predict(inputs), runs=5, warmup=1))
    return {"label": label, "flops": flops, "bytes": moved, "time_s": spent_s}


points = [under_the_roof(get_event(name).title, name, load_baseline(name)) for name in EVENTS]
points.append(under_the_roof("your entry", "cnn_marathon", model))
draw(plots.roofline, flops_s, bytes_s, points)

# %% [markdown]
# **Official, at home.** After `make export` the course's referee scores with *your* benchmark, and measures as it does in
# class: each model in a process of its own, on inputs that nobody has seen. It takes a few seconds (Linux; elsewhere the
# result is marked provisional).
#
# ```python
# from autograder.referee import official
# from autograder.referee.report import as_text
#
# print(as_text(official(model, "Your Team", "cnn_marathon", "six bits a weight on fused kernels")))
# ```

# %% [markdown]
# ## What you have built
#
# About 450 lines that measure a ratio to a percent, hold a floor, and take nobody's word for anything. Put them into your own
# framework: save this notebook, then run `make export` in its folder. From then on
#
# ```python
# from tinytorch.core.benchmarking import TinyMLPerf, CompetitionProfiler, TinyMLPerfCompetitionPlus
# ```
#
# is *your* code.
#
# **Three ideas to take along.** A measurement is a comparison, made at the same time, in random order, on inputs nobody has
# seen. A number without an interval is an opinion. And whoever is measured will work on the number: ask of every benchmark
# what its cheapest cheat would be.
