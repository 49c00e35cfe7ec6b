# GENERATED from modules/20_tinymlperf/tinymlperf.py by `python -m tinytorch.export`; edit the notebook.
"""The benchmark (Module 20): measure, summarise, profile, verify, score, rank and compete.

Two models are timed in pairs on fresh inputs; the score is the ratio of their times with an interval, so it
carries from one machine to the next. Does not: keep entries (perf.store) or draw (perf.board, perf.plots).
"""

from __future__ import annotations

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

__all__ = [
    "CLAIM_WORDS",
    "BenchmarkError",
    "CompetitionProfiler",
    "InnovationDetector",
    "Model",
    "TinyMLPerf",
    "TinyMLPerfCompetitionPlus",
    "answers",
    "best_of_teams",
    "block_sizes",
    "both_at_new_places",
    "centre_and_interval",
    "claimed_families",
    "combine",
    "composite_score",
    "discipline_logs",
    "event_logs",
    "event_of",
    "evidence_scores",
    "example_errors",
    "floor_reason",
    "geometric_mean_time",
    "in_division",
    "innovation_report",
    "innovation_score",
    "is_settled",
    "judge_quality",
    "judged",
    "machine_notes",
    "make_leaderboard",
    "make_results",
    "measure",
    "medal",
    "open_store",
    "paired_difference",
    "pairwise_means",
    "pool_size",
    "rank",
    "round_medians",
    "score_interval",
    "scores",
    "settle",
    "share_of",
    "show_boards",
    "summarise",
    "time_block",
    "time_pair",
    "time_pairs",
    "verdict",
    "weight_bytes",
    "winners_by_weight",
]


# cell: errors
Model = Any  # anything with predict(inputs) -> logits


class BenchmarkError(ValueError):
    """The benchmark cannot give an honest answer; the message says what came, what was expected, what to do."""


# cell: measure
def measure(function: Callable[[], object], runs: int, warmup: int = 0) -> list[float]:
    """Wall-clock seconds of each of `runs` calls, in order, after `warmup` calls that are not timed."""
    for _ in range(warmup):
        function()
    times_s = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times_s.append(time.perf_counter() - start)
    return times_s


# cell: time-block
def time_block(clock: Clock, tasks: Sequence[Task]) -> float:
    """Seconds for one task, averaged over a block in which each of `tasks` runs once.

    What reading the clock costs (`clock.overhead_s`) is taken off, and so is the time this thread spent waiting
    for a core, where the system tells it (see `Clock`). Never below 1 ns, so that it has a logarithm.
    """
    calls = [call for task in tasks for call in task.calls]  # no method call of ours inside the clock
    start = clock.now_s()
    for function, arguments in calls:
        function(*arguments)
    return max(clock.now_s() - start - clock.overhead_s, 1e-9) / len(tasks)


# cell: block-sizes
def block_sizes(
    baseline_s: float, candidate_s: float, shortest_s: float = 5e-4, longest_s: float = 5e-3
) -> tuple[int, int]:
    """How many tasks make a block for each side, so that both blocks take the same time.

    A block lasts as long as the slower side's single task, but at least `shortest_s` and at most `longest_s`: a
    side whose one task is longer than that has a block of one task. Numbers are rounded, and at least 1.

    Args:
        baseline_s, candidate_s: seconds for one task.
    """
    length_s = min(max(baseline_s, candidate_s, shortest_s), max(longest_s, shortest_s))
    return max(1, round(length_s / baseline_s)), max(1, round(length_s / candidate_s))


# cell: time-pair
def time_pair(
    clock: Clock, baseline: Sequence[Task], candidate: Sequence[Task], baseline_first: bool
) -> tuple[float, float]:
    """Seconds for one task of each side (baseline, candidate), the two blocks timed right after each other."""
    if baseline_first:
        baseline_s = time_block(clock, baseline)
        return baseline_s, time_block(clock, candidate)
    candidate_s = time_block(clock, candidate)
    return time_block(clock, baseline), candidate_s


# cell: time-pairs
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


# cell: pairwise-means
def pairwise_means(values: Sequence[float]) -> np.ndarray:
    """Means of all pairs of `values` (n,), each with itself too, in rising order: (n (n + 1) / 2,)."""
    array = np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(array))
    return np.sort((array[first] + array[second]) / 2)


# cell: centre-and-interval
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
    n = len(values)
    if n < 5:
        raise BenchmarkError(f"{n} rounds are too few for an interval, at least 5 are needed; raise timing_runs")
    means = pairwise_means(values)
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    rank = max(1, math.floor(len(means) / 2 - z * spread))
    return float(np.median(means)), float(means[rank - 1]), float(means[-rank])


# cell: verdict
def verdict(low: float, high: float, tie: float = 0.02) -> str:
    """What an interval of a speedup says: "faster", "slower", "tie" or "not settled".

    Faster means more than `tie` faster with the whole interval (above 1 + tie), and slower likewise (below
    1 / (1 + tie)); a tie is an interval strictly between 1 / (1 + 2 tie) and 1 + 2 tie.
    """
    if low > 1 + tie:
        return "faster"
    if high < 1 / (1 + tie):
        return "slower"
    return "tie" if 1 / (1 + 2 * tie) < low and high < 1 + 2 * tie else "not settled"


# cell: summarise
def summarise(log_ratios: Sequence[float], unseen: float = 0.005) -> Speedup:
    """The speedup that the log ratios of the rounds stand for, with its 95 % interval.

    Args:
        log_ratios: (rounds,) natural logs of baseline time / candidate time.
        unseen:     half-width, as a log, that is always there: what moves a whole run and no statistic sees.

    Returns:
        Speedup with the interval laid evenly around the centre, as a log.
    """
    centre, low, high = centre_and_interval(log_ratios)
    half = math.hypot((high - low) / 2, unseen)
    ratio, low, high = (math.exp(value) for value in (centre, centre - half, centre + half))
    return Speedup(ratio, low, high, verdict(low, high))


# cell: competition-profiler
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

    # cell: profile-layers
    def profile_layers(self, model: Model, inputs: np.ndarray) -> Profiler:
        """Where one answer of a tinytorch model spends its time, by layer, after a warm-up call (Module 15)."""
        model.predict(inputs)
        with Profiler(model, self.clock) as profile:
            model.predict(inputs)
        return profile

    # cell: call-time
    def check_call_time(self, case: str, baseline_s: float, candidate_s: float) -> None:
        """Raise BenchmarkError if one call takes longer than `LONGEST_CALL_S`."""
        if max(baseline_s, candidate_s) > self.LONGEST_CALL_S:
            raise BenchmarkError(
                f"one call of '{case}' takes {candidate_s:.1f} s, the baseline {baseline_s:.2g} s; timing it "
                f"would take minutes: make the model faster than {self.LONGEST_CALL_S:.0f} s a call first"
            )

    # cell: calibrate
    def calibrate(
        self, baseline: Model, candidate: Model, scenario: Scenario, rng: np.random.Generator
    ) -> dict[str, tuple[int, int]]:
        """Warm both models up and find how many tasks make a block, for every case of a scenario.

        Each model runs every case at least twice and at least `warmup_runs` times; the first time is dropped and
        the fastest of the others counts.

        Raises:
            BenchmarkError: one call takes longer than 5 s.
        """
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

    # cell: round-helpers
    def _spent(self) -> tuple[float, float, float]:
        """Seconds so far: wall time, waiting for a core, CPU time of other threads and children."""
        return self.clock.wall_s(), self.clock.waited_s(), other_cpu_s()

    # cell: measure-round
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

    # cell: measure-rounds
    def measure_rounds(self, baseline: Model, candidate: Model, dataset: Dataset) -> list[Round]:
        """Rounds until the interval of the speedup is narrow enough or the budget is spent, at least 12."""
        keep_freed_memory()
        scenarios = scenarios_for(dataset, baseline)
        cases = speed_cases(get_event(dataset.event))
        seeds = np.random.SeedSequence(self.seed)
        rng = np.random.default_rng(seeds.spawn(1)[0])
        rounds: list[Round] = []
        with one_blas_thread(), old_objects_set_aside():
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
        return rounds

    # cell: measure-quality
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

    # cell: measure-resources
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

    # cell: benchmark-model
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


# cell: round-helpers
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


# cell: pool-helpers
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


# cell: combine
def combine(rounds: Iterable[Round], cases: Sequence[str]) -> list[float]:
    """Log of the geometric mean over `cases`, for every round: a mean of logs."""
    return [float(np.mean([each.log_ratios[case] for case in cases])) for each in rounds]


# cell: is-settled
def is_settled(rounds: Sequence[Round], cases: Sequence[str], target: float) -> bool:
    """Is the interval of the speedup over `cases` within `target` of its centre? Fewer than 5 rounds never are."""
    if len(rounds) < 5:
        return False
    result = summarise(combine(rounds, cases))
    return math.log(result.high / result.low) / 2 <= target


# cell: suite
class TinyMLPerf:
    """The suite: three events, each with a trained baseline and a dataset.

    Args:
        split: "public" to practise on; "official" is what a referee uses.
    """

    def __init__(self, split: str = "public") -> None:
        self.split = split

    def get_available_events(self) -> dict[str, str]:
        """Names of the events, each with one line (its summary) that says what it is."""
        return {event.name: event.summary for event in EVENTS.values()}

    def load_benchmark(self, event_name: str) -> tuple[Model, Dataset]:
        """A fresh copy of the trained baseline of an event, and the event's dataset in this suite's split.

        Raises:
            WorkloadError: there is no such event (the message lists them), or its weights are damaged.
        """
        return load_baseline(event_name), load_dataset(event_name, self.split)


# cell: example-errors
def example_errors(metric: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How wrong the model is on each example: (N,) floats.

    Args:
        metric: "accuracy" (0 where the largest logit is the label's, else 1) or "bits_per_character"
            (-log2 of the label's probability, averaged over the positions of the example).
        logits: (N, classes) or (N, T, classes)
        labels: (N,) or (N, T)
    """
    if metric == "accuracy":
        return (logits.argmax(axis=-1) != labels).astype(float)
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]
    return -chosen.reshape(len(labels), -1).mean(axis=1) / math.log(2)


# cell: paired-difference
def paired_difference(candidate: np.ndarray, baseline: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Mean of candidate - baseline and its standard error; rows of one group go together and count once.

    Args:
        candidate, baseline: (N,) errors on the same examples.
        groups: (N,) integers from 0.
    """
    difference = candidate - baseline
    means = np.bincount(groups, difference) / np.bincount(groups)  # (number of groups,)
    return float(difference.mean()), float(means.std(ddof=1) / math.sqrt(len(means)))


# cell: judge-quality
def judge_quality(event: Event, logits: np.ndarray, baseline_logits: np.ndarray, graded: GradingSet) -> Quality:
    """Compare a model with its baseline on the same fresh inputs, and the difference with the event's floor.

    The point estimate decides (exactly at the floor still passes); within one standard error of the floor the
    result is marked borderline.
    """
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


# cell: answers
def answers(model: Model, graded: GradingSet, batch: int = 200) -> np.ndarray:
    """Logits for a whole grading set, a batch at a time, each checked for shape, dtype and finite values."""
    event = get_event(graded.event)
    starts = range(0, len(graded), batch)
    return np.concatenate([checked_answer(model, graded.inputs[at : at + batch], event) for at in starts])


# cell: composite
def composite_score(speed: float, innovation: float, weight: float = 0.7) -> float:
    """The rule of the course: `weight` x speed + (1 - weight) x innovation, 0.7 and 0.3.

    Raises:
        BenchmarkError: the weight is outside 0..1.
    """
    if not 0 <= weight <= 1:
        raise BenchmarkError(f"the weight of speed is between 0 and 1, got {weight}")
    return weight * speed + (1 - weight) * innovation


# cell: winners-by-weight
def winners_by_weight(
    submissions: Sequence[Mapping[str, Any]], weights: Sequence[float]
) -> list[tuple[float, str]]:
    """(weight, team with the highest composite at that weight) where the winner changes, first weight first.

    Args:
        submissions: ranked ones, each with `team_name`, `speedup_vs_baseline` and `innovation_score`.
        weights:     of speed, rising; the first one is always in the result.
    """
    changes: list[tuple[float, str]] = []
    for weight in weights:
        best = max(
            submissions,
            key=lambda each: composite_score(each["speedup_vs_baseline"], each["innovation_score"], weight),
        )
        if not changes or changes[-1][1] != best["team_name"]:
            changes.append((weight, best["team_name"]))
    return changes


# cell: disciplines
def discipline_logs(
    rounds: Sequence[Round], memory_ratio: float, size_ratio: float, limit: float = 100.0
) -> dict[str, list[float]]:
    """Log ratios of the ten disciplines of the Decathlon, one for each round, clipped to 1/10 .. `limit`.

    Args:
        memory_ratio, size_ratio: baseline / model, of peak memory and of the weights' bytes.
    """
    low, high = math.log(0.1), math.log(limit)
    fixed = {"peak memory": math.log(memory_ratio), "model size": math.log(size_ratio)}
    logs = {
        name: combine(rounds, cases) if cases else [fixed[name]] * len(rounds)
        for name, cases in DISCIPLINES.items()
    }
    return {name: [min(max(value, low), high) for value in values] for name, values in logs.items()}


# cell: event-logs
def event_logs(event: Event, rounds: Sequence[Round], memory_ratio: float, size_ratio: float) -> list[float]:
    """Log of the event's own score, one for each round.

    Sprint: the speedup. Marathon: the cube root of speedup x memory ratio x size ratio. Decathlon: the geometric
    mean of its ten disciplines.
    """
    speed = combine(rounds, speed_cases(event))
    if event.rule == "speed":
        return speed
    if event.rule == "balance":
        return [(value + math.log(memory_ratio) + math.log(size_ratio)) / 3 for value in speed]
    ten = discipline_logs(rounds, memory_ratio, size_ratio)
    return [float(np.mean(values)) for values in zip(*ten.values(), strict=True)]


# cell: medal
def medal(event: Event, score: Speedup) -> str | None:
    """The best medal ("bronze", "silver", "gold") whose threshold the whole interval reaches, or None.

    `event.medals` holds the thresholds in that order.
    """
    reached = [
        name for name, least in zip(("bronze", "silver", "gold"), event.medals, strict=True) if score.low >= least
    ]
    return reached[-1] if reached else None


# cell: claims
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


# cell: evidence
def evidence_scores(facts: Facts) -> dict[str, tuple[float, str]]:
    """Points (0..1) and the finding behind them, for each of the six families.

    On the scale of `ENDS`. quantization: log2(32 / bits_per_weight). pruning: share of the baseline's weights that
    are gone, where the weights are the baseline's (provenance above 0.5). distillation: `agreement` on the
    order of the classes not chosen, where more than 0.3 of the weights are gone and they are not the baseline's.
    custom kernels: log2(kernel_speedup). memory optimization: log2(memory_ratio). compression: log2(packed_ratio).

    Weights that may be shuffled without changing most answers (`unmoved` above 0.5) prove nothing: then there are
    no points in any family.
    """
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


# cell: innovation-score
def innovation_score(points: Iterable[float]) -> float:
    """0.5 x best + 0.3 x second + 0.2 x third of the families' points: depth first, then breadth."""
    best = sorted(points, reverse=True)[:3]
    return float(sum(weight * value for weight, value in zip((0.5, 0.3, 0.2), best, strict=False)))


# cell: detector-facts
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

    # cell: innovation-detector
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
        check_model(model)
        event = get_event(event_name) if event_name else event_of(model)
        facts = self.facts(model, event, memory_ratio)
        claimed = claimed_families(checked_description(optimization_description))
        return innovation_report(facts, claimed)


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


# cell: rank
def rank(scores: Sequence[tuple[float, float, float]]) -> list[int]:
    """Ranks for (score, low, high), best first; who cannot be told from the leader of a band shares its rank.

    The best score leads the first band; everyone whose interval reaches the leader's (high at or above the
    leader's low) is in it. The next one leads the next band, with the rank of its place: 1, 1, 3.

    Returns:
        ranks in the order in which the scores came.
    """
    order = sorted(range(len(scores)), key=lambda index: scores[index], reverse=True)
    ranks = [0] * len(scores)
    leader_rank, leader_low = 0, math.inf
    for place, index in enumerate(order, start=1):
        _, low, high = scores[index]
        if high < leader_low or place == 1:
            leader_rank, leader_low = place, low
        ranks[index] = leader_rank
    return ranks


# cell: score-interval
def score_interval(submission: Mapping[str, Any], metric: str) -> tuple[float, float, float]:
    """(score, low, high) of a submission by metric: "speed", "innovation", "composite" or "event" (its own).

    Args:
        submission: with `speedup_vs_baseline`, `speedup_ci` (low, high), `innovation_score`, `event_score` and
            `event_score_ci`.

    Raises:
        BenchmarkError: there is no such metric.
    """
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


# cell: best-of-teams
def best_of_teams(
    submissions: Sequence[Mapping[str, Any]], metric: str
) -> tuple[list[Mapping[str, Any]], list[tuple[str, str]]]:
    """Each team's best ranked submission by a metric, best first, and (team, reason) for teams without one.

    Capital and small letters make no other team; of equal submissions the earlier one stays. The reason of a team
    is that of its last submission, its `reasons` joined by "; ".
    """
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


# cell: leaderboard
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


# cell: geometric-mean-time
def geometric_mean_time(rounds: Sequence[Round], cases: Sequence[str], side: str) -> float:
    """Seconds of one call: median over the rounds, then the geometric mean over the cases."""
    medians = [float(np.median([getattr(each, side)[case] for each in rounds])) for case in cases]
    return math.exp(float(np.mean(np.log(medians))))


# cell: results
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
    speed = summarise(combine(rounds, speed_cases(event)), unseen)
    score = summarise(event_logs(event, rounds, memory_ratio, size_ratio), unseen)
    return speed, score, medal(event, score) if passed else None


# cell: make-results
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


# cell: weight-bytes
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


# cell: floor-reason
def floor_reason(quality: Mapping[str, Any]) -> str:
    """Why an entry is not ranked, in words."""
    worse, floor = quality["difference"], quality["floor"]
    if quality["metric"] == "accuracy":
        return f"{worse * 100:.2f} points less accuracy than the baseline, at most {floor * 100:.2f} allowed"
    return f"{worse:.4f} bits per character more than the baseline, at most {floor:.4f} allowed"


# cell: judged
def judged(results: Mapping[str, Any], innovation: Mapping[str, Any]) -> dict[str, Any]:
    """Scores, rank-worthiness and reasons; below the floor there is no innovation and no rank.

    Returns:
        all of `innovation`, with `innovation_score` (0.0 below the floor), `speed_score`, `composite_score`,
        `ranked`, and `reasons` (a list of its own, empty for a ranked entry).
    """
    quality, ok = results["quality"], results["accuracy_ok"]
    score = innovation["innovation_score"] if ok else 0.0
    return dict(innovation) | {
        "innovation_score": score,
        "speed_score": results["speedup_vs_baseline"],
        "composite_score": composite_score(results["speedup_vs_baseline"], score),
        "ranked": ok,
        "reasons": [] if ok else [floor_reason(quality)],
    }


# cell: competition
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

    # cell: submit-entry
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

    # cell: boards
    def leaderboard(self, event_name: str, metric: str = "speed", division: str | None = None) -> Leaderboard:
        """One board of an event as a record: metric "speed", "innovation", "composite" or "event".

        Args:
            division: only entries that answer as the baseline does ("closed") or only the others ("open").
        """
        event = get_event(event_name)
        return make_leaderboard(event, metric, in_division(self.store.submissions(event=event.name), division))

    def display_leaderboard(self, event_name: str) -> None:
        """Show the speed leaderboard of an event."""
        show_boards(self.leaderboard(event_name, "speed"))

    def display_innovation_leaderboard(self, event_name: str) -> None:
        """Show the innovation leaderboard of an event."""
        show_boards(self.leaderboard(event_name, "innovation"))

    def display_composite_leaderboard(self, event_name: str) -> None:
        """Show the composite leaderboard of an event."""
        show_boards(self.leaderboard(event_name, "composite"))

    # cell: all-boards
    def display_all_enhanced_leaderboards(self) -> None:
        """Show all three leaderboards of all events."""
        boards = [
            self.leaderboard(event, metric) for event in EVENTS for metric in ("speed", "innovation", "composite")
        ]
        show_boards(*boards)


def open_store(store: Any) -> Any:
    """`store` itself if it can append, else a `perf.store.Store` at that path or URL."""
    if callable(getattr(store, "append", None)) and callable(getattr(store, "submissions", None)):
        return store
    from tinytorch.perf.store import Store  # here: a benchmark without a store must not load a database

    return Store() if store is None else Store(store)


# cell: all-boards
def show_boards(*boards: Leaderboard) -> None:
    """Draw boards where one looks: in the notebook, or as text in a terminal."""
    from tinytorch.perf.board import show  # here: measuring must not load what draws

    for board in boards:
        show(board)
