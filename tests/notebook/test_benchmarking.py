"""The benchmark's verbs, each by itself: fake clocks, and numbers one can check in the head."""

from __future__ import annotations

import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.core import benchmarking
from tinytorch.core.benchmarking import (
    BenchmarkError,
    CompetitionProfiler,
    InnovationDetector,
    TinyMLPerf,
    block_sizes,
    centre_and_interval,
    claimed_families,
    combine,
    composite_score,
    discipline_logs,
    event_logs,
    event_of,
    evidence_scores,
    example_errors,
    geometric_mean_time,
    innovation_score,
    is_settled,
    judge_quality,
    machine_notes,
    make_leaderboard,
    medal,
    paired_difference,
    pairwise_means,
    pool_size,
    rank,
    round_medians,
    score_interval,
    share_of,
    summarise,
    time_block,
    time_pair,
    time_pairs,
    verdict,
    weight_bytes,
)
from tinytorch.perf.checks import FakeClock, FakeTask, TimedModel, toy_round
from tinytorch.perf.evidence import Facts
from tinytorch.perf.records import Round, Speedup
from tinytorch.perf.verify import VerifyError
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import GradingSet
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.events import CNN_MARATHON, EVENTS, MLP_SPRINT, TRANSFORMER_DECATHLON
from tinytorch.perf.workloads.scenarios import DISCIPLINES, Scenario

BATCHES = ("batch 1", "batch 32", "batch 256")
LOG2 = math.log(2)


def rng(seed=0):
    return np.random.default_rng(seed)


def sprint_rounds(ratio, count=12):
    return [toy_round(dict.fromkeys(BATCHES, ratio))] * count


# ---------------------------------------------------------------- time in pairs


def test_a_block_is_as_long_as_its_average_task():
    clock = FakeClock()
    assert time_block(clock, [FakeTask(clock, 1), FakeTask(clock, 2), FakeTask(clock, 6)]) == 3


def test_all_calls_of_a_task_count_as_one_task():
    clock = FakeClock()
    assert time_block(clock, [FakeTask(clock, 6, calls=3)]) == 6


def test_what_reading_the_clock_costs_is_taken_off_once_a_block():
    clock = FakeClock(overhead_s=1)
    assert time_block(clock, [FakeTask(clock, 2), FakeTask(clock, 3)]) == 2


def test_a_block_too_short_for_the_clock_still_has_a_logarithm():
    clock = FakeClock(overhead_s=1)
    assert math.isfinite(math.log(time_block(clock, [FakeTask(clock, 0)])))


@pytest.mark.parametrize(
    ("baseline_s", "candidate_s", "sizes"),
    [
        (1e-3, 1e-3, (1, 1)),
        (1e-3, 1e-4, (1, 10)),  # as long as the slower one's single task
        (1e-5, 1e-4, (50, 5)),  # at least half a millisecond
        (1e-1, 1e-3, (1, 5)),  # the faster one's block stays short
        (1.0, 2.0, (1, 1)),
    ],
)
def test_both_blocks_take_the_same_time(baseline_s, candidate_s, sizes):
    assert block_sizes(baseline_s, candidate_s) == sizes


@pytest.mark.parametrize(("baseline_first", "order"), [(True, ["b", "c", "c"]), (False, ["c", "c", "b"])])
def test_a_pair_is_timed_in_the_order_of_the_coin_and_returned_baseline_first(baseline_first, order):
    clock = FakeClock()
    pair = time_pair(clock, [FakeTask(clock, 5, "b")], [FakeTask(clock, 1, "c")] * 2, baseline_first)
    assert pair == (5, 1) and clock.log == order


def test_pairs_fill_the_slice_and_there_is_at_least_one():
    clock = FakeClock()
    tasks = [FakeTask(clock, 1)], [FakeTask(clock, 2)]
    assert time_pairs(clock, *tasks, (1, 1), slice_s=9, rng=rng()) == [(1, 2)] * 3
    assert time_pairs(clock, *tasks, (1, 1), slice_s=0, rng=rng()) == [(1, 2)]


def test_either_side_goes_first_about_as_often():
    clock = FakeClock()
    time_pairs(clock, [FakeTask(clock, 1, "b")], [FakeTask(clock, 1, "c")], (1, 1), slice_s=400, rng=rng())
    firsts = clock.log[::2].count("b")
    assert len(clock.log) == 400 and 70 < firsts < 130


def test_a_block_takes_its_inputs_in_a_row_from_anywhere_on():
    clock = FakeClock()
    pool = [FakeTask(clock, 1, number) for number in range(4)]
    time_pairs(clock, pool, [FakeTask(clock, 0, "c")] * 4, (3, 1), slice_s=300, rng=rng())
    numbers = [name for name in clock.log if name != "c"]
    blocks = {tuple(numbers[at : at + 3]) for at in range(0, len(numbers), 3)}
    assert blocks == {(0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1)}


def test_both_sides_meet_the_same_inputs():
    clock = FakeClock()
    sides = [[FakeTask(clock, 1, number) for number in range(5)] for _ in range(2)]
    time_pairs(clock, *sides, (2, 2), slice_s=100, rng=rng())
    assert all(clock.log[at : at + 2] == clock.log[at + 2 : at + 4] for at in range(0, len(clock.log), 4))


# ---------------------------------------------------------------- one number, and how sure


def test_pairwise_means_by_hand():
    assert pairwise_means([4, 0, 2]).tolist() == [0, 1, 2, 2, 3, 4]


@given(st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=12))
def test_pairwise_means_are_those_of_two_loops(values):
    loops = sorted((a + b) / 2 for at, a in enumerate(values) for b in values[at:])
    assert pairwise_means(values).tolist() == loops


# Hamilton's scale before and after a tranquilizer: Hollander, Wolfe and Chicken, examples 3.1 to 3.4.
BEFORE = (1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
AFTER = (0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)


def test_the_textbooks_estimate_and_interval():
    change = np.subtract(AFTER, BEFORE)
    centre, low, high = centre_and_interval(change)
    assert centre == pytest.approx(-0.46)
    # The book's exact interval, (-0.786, -0.010), covers 96.1 %; the approximation goes one step further out.
    means = pairwise_means(change)
    assert [low, means[5], means[-6], high] == pytest.approx([-0.806, -0.786, -0.010, 0.035])


@pytest.mark.parametrize("count", [5, 6, 7, 8])
def test_the_interval_covers_the_truth_as_often_as_it_says(count):
    sizes = 2.0 ** np.arange(count)  # every choice of signs is equally likely if the truth is 0
    intervals = [centre_and_interval(signs * sizes) for signs in itertools.product((1, -1), repeat=count)]
    covered = np.mean([low <= 0 <= high for _, low, high in intervals])
    assert 0.93 < covered < 0.975


def test_one_wild_round_moves_the_centre_a_little_and_no_more_the_wilder_it_is():
    steady = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    wild = centre_and_interval([*steady, 5.0])[0]
    assert abs(wild - centre_and_interval(steady)[0]) < 0.01
    assert centre_and_interval([*steady, 500.0])[0] == wild


@given(st.lists(st.floats(-10, 10), min_size=5, max_size=15), st.randoms())
def test_the_interval_holds_its_centre_and_knows_no_order(values, random):
    centre, low, high = centre_and_interval(values)
    assert low <= centre <= high
    random.shuffle(values)
    assert centre_and_interval(values) == (centre, low, high)


def test_four_rounds_have_no_interval():
    with pytest.raises(
        BenchmarkError, match="4 rounds are too few for an interval, at least 5 .* raise timing_runs"
    ):
        centre_and_interval([0.0] * 4)


def test_equal_rounds_leave_only_what_no_statistic_sees():
    found = summarise([LOG2] * 12)
    assert (found.ratio, found.low, found.high) == pytest.approx((2, 2 * math.exp(-0.005), 2 * math.exp(0.005)))
    assert found.verdict == "faster"


def test_half_widths_add_like_the_sides_of_a_right_angle():
    values = [-0.012] * 5 + [0.012] * 5
    _, low, high = centre_and_interval(values)
    found = summarise(values, unseen=0.005)
    assert (low, high) == (-0.012, 0.012) and math.log(found.high) == pytest.approx(0.013)


def test_twice_as_fast_and_half_as_fast_are_equally_far_from_a_tie():
    fast, slow = summarise([LOG2] * 12), summarise([-LOG2] * 12)
    assert fast.ratio * slow.ratio == pytest.approx(1) and (fast.verdict, slow.verdict) == ("faster", "slower")


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (1.03, 1.10, "faster"),
        (1.01, 1.10, "not settled"),
        (0.99, 1.01, "tie"),
        (0.97, 1.03, "tie"),
        (0.97, 1.05, "not settled"),
        (0.90, 0.99, "not settled"),
        (0.90, 0.97, "slower"),
        (0.50, 2.00, "not settled"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low, high, says):
    assert verdict(low, high) == says


# ---------------------------------------------------------------- rounds


def test_cases_are_combined_by_their_geometric_mean():
    rounds = [toy_round({"batch 1": 2.0, "batch 32": 8.0, "generate": 100.0})]
    assert combine(rounds, ["batch 1", "batch 32"]) == pytest.approx([math.log(4)])


def test_a_score_is_settled_when_its_interval_is_narrow_enough():
    rounds = sprint_rounds(2)
    assert is_settled(rounds, BATCHES, target=0.01) and not is_settled(rounds, BATCHES, target=0.004)
    scattered = [*sprint_rounds(2, 6), *sprint_rounds(2.2, 6)]
    assert not is_settled(scattered, BATCHES, target=0.01)


def test_a_round_keeps_the_median_of_its_pairs():
    logs, counts, baseline_s, candidate_s = round_medians({"batch 1": [(2, 1), (4, 2), (9, 1)]})
    assert logs["batch 1"] == pytest.approx(LOG2), "of the ratios 2, 2 and 9"
    assert (counts, baseline_s, candidate_s) == ({"batch 1": 3}, {"batch 1": 4}, {"batch 1": 1})


def test_the_time_of_an_event_is_the_geometric_mean_of_medians():
    rounds = [
        Round(0, {}, {}, {"a": a, "b": b}, {"a": 1.0, "b": 1.0}, 0.0, 0.0, 0.0)
        for a, b in ((1.0, 9.0), (4.0, 9.0), (50.0, 9.0))
    ]
    assert geometric_mean_time(rounds, ["a", "b"], "baseline_s") == pytest.approx(6)
    assert geometric_mean_time(rounds, ["a", "b"], "candidate_s") == pytest.approx(1)


@pytest.mark.parametrize(("sizes", "size"), [((1, 1), 2), ((1, 7), 7), ((500, 1), 96)])
def test_a_round_gets_so_many_inputs_that_no_block_meets_one_twice(sizes, size):
    scenario = Scenario("batch 1", ("batch 1",), inputs=None, prepare=None)
    assert pool_size(scenario, {"batch 1": sizes}, most=96) == size


class Numbers:
    """As much of a dataset as timing needs."""

    event = "mlp_sprint"

    def batch(self, size, rng):
        return rng.random(size)


def measured(baseline_s, candidate_s, **options):
    clock = FakeClock()
    profiler = CompetitionProfiler(budget_s=0.1, seed=1, clock=clock, **options)
    return profiler.measure_rounds(TimedModel(clock, baseline_s), TimedModel(clock, candidate_s), Numbers())


def test_a_model_that_takes_a_third_of_the_time_is_three_times_as_fast():
    rounds = measured(6e-3, 2e-3)
    found = summarise(combine(rounds, BATCHES))
    assert found.ratio == pytest.approx(3) and found.verdict == "faster"
    assert geometric_mean_time(rounds, BATCHES, "candidate_s") == pytest.approx(2e-3)
    assert json.dumps([each.to_dict() for each in rounds])


def test_a_model_against_itself_is_a_tie():
    assert summarise(combine(measured(2e-3, 2e-3), BATCHES)).verdict == "tie"


def test_measuring_stops_when_settled_but_not_before_the_least_rounds():
    assert len(measured(2e-3, 1e-3, timing_runs=1)) == 12
    assert len(measured(2e-3, 1e-3, timing_runs=15)) == 15


def test_each_round_has_a_seed_of_its_own_and_the_first_seed_gives_them_all():
    seeds = [[each.seed for each in measured(2e-3, 2e-3)] for _ in range(2)]
    assert seeds[0] == seeds[1] and len(set(seeds[0])) == 12


def test_a_call_that_takes_too_long_is_refused():
    with pytest.raises(
        BenchmarkError, match=r"one call of 'batch 1' takes 6.0 s, the baseline 0.001 s; .*faster than 5"
    ):
        measured(1e-3, 6)


@pytest.mark.parametrize(
    "options",
    [
        {"warmup_runs": 0},
        {"timing_runs": 0},
        {"budget_s": 0},
        {"budget_s": math.nan},
        {"target": -0.1},
    ],
)
def test_a_profiler_without_runs_or_time_is_refused(options):
    words = r"warmup_runs and timing_runs are at least 1, budget_s and target above 0; got"
    with pytest.raises(BenchmarkError, match=words):
        CompetitionProfiler(**options)


def test_a_seed_is_a_whole_number_from_0_on():
    with pytest.raises(BenchmarkError, match="seed is a whole number from 0 on, got -1"):
        CompetitionProfiler(seed=-1)
    assert CompetitionProfiler(seed=np.int64(3)).seed == 3 and CompetitionProfiler(seed=0).seed == 0
    assert CompetitionProfiler().seed != CompetitionProfiler().seed


def test_layers_are_profiled_by_module_15():
    baseline, dataset = TinyMLPerf().load_benchmark("mlp_sprint")
    kinds = [span.kind for span in CompetitionProfiler().profile_layers(baseline, dataset.inputs[:4]).spans]
    assert kinds == ["MLP", "Sequential", "Linear", "ReLU", "Linear", "ReLU", "Linear"]


# ---------------------------------------------------------------- events


def test_there_are_three_events_with_one_line_each():
    events = TinyMLPerf().get_available_events()
    assert list(events) == ["mlp_sprint", "cnn_marathon", "transformer_decathlon"]
    assert all(line and "\n" not in line for line in events.values())


def test_a_benchmark_is_a_baseline_of_ones_own_and_a_dataset():
    suite = TinyMLPerf()
    (first, dataset), (second, _) = suite.load_benchmark("mlp_sprint"), suite.load_benchmark("mlp_sprint")
    assert first is not second and (dataset.event, dataset.split) == ("mlp_sprint", "public")


@pytest.mark.parametrize("name", ["chess", "", None, ["mlp_sprint"]])
def test_an_unknown_event_is_answered_with_the_known_ones(name):
    with pytest.raises(
        WorkloadError, match="unknown event .*; known: mlp_sprint, cnn_marathon, transformer_decathlon"
    ):
        TinyMLPerf().load_benchmark(name)


def test_an_unknown_split_is_answered_with_the_known_ones():
    with pytest.raises(WorkloadError, match="unknown split 'secret'; known: public, official"):
        TinyMLPerf("secret").load_benchmark("mlp_sprint")


# ---------------------------------------------------------------- the floor


def test_the_wrong_class_is_one_error_and_the_right_one_none():
    logits = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert example_errors("accuracy", logits, np.array([1, 1, 1])).tolist() == [0, 1, 0]


def test_bits_are_the_surprise_at_the_right_character():
    # Softmax of (0, log 3) is (1/4, 3/4), of (0, 0) it is (1/2, 1/2): 2 bits and 1 bit.
    logits = np.array([[[0.0, math.log(3)], [0.0, 0.0]]])
    labels = np.array([[0, 1]])
    assert example_errors("bits_per_character", logits, labels) == pytest.approx([1.5])


def test_bits_do_not_depend_on_what_all_logits_share():
    logits = np.array([[[5e4, 5e4 + math.log(3)]]])
    assert example_errors("bits_per_character", logits, np.array([[1]])) == pytest.approx([math.log2(4 / 3)])
    assert np.isfinite(example_errors("bits_per_character", logits.astype(np.float16), np.array([[1]])))


def test_differences_are_paired_and_a_group_counts_once():
    candidate, baseline = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    mean, error = paired_difference(candidate, baseline, np.array([0, 0, 1, 1, 2, 2]))
    # The groups differ by 1, 0 and 0: standard deviation sqrt(1/3), of a mean of three that is 1/3.
    assert (mean, error) == pytest.approx((1 / 3, 1 / 3))


def test_what_is_equally_hard_for_both_does_not_count():
    errors = np.array([0.0, 1.0, 1.0, 0.0])
    assert paired_difference(errors, errors, np.arange(4)) == (0, 0)


def judged(wrong, baseline_wrong=0, count=1000):
    """A Sprint entry with so many wrong answers of 1,000 different pictures."""
    labels = np.zeros(count, np.int64)
    graded = GradingSet("mlp_sprint", "public", 7, np.zeros((count, 784)), labels, np.arange(count))

    def logits(errors):
        return np.eye(10)[(np.arange(count) < errors).astype(int)]

    return judge_quality(MLP_SPRINT, logits(wrong), logits(baseline_wrong), graded)


def test_quality_is_told_with_the_baselines():
    found = judged(30, 25)
    assert (found.value, found.baseline, found.difference) == pytest.approx((0.970, 0.975, 0.005))
    assert (found.metric, found.floor, found.seed, found.examples) == ("accuracy", 0.01, 7, 1000)


@pytest.mark.parametrize(
    ("wrong", "ok", "borderline"),
    [(0, True, False), (5, True, False), (9, True, True), (10, True, True), (11, False, True), (30, False, False)],
)
def test_the_point_estimate_decides_and_within_one_standard_error_it_is_borderline(wrong, ok, borderline):
    found = judged(wrong)  # one standard error is sqrt(p (1 - p) / 1000): 0.3 points at a loss of 1 point
    assert (found.ok, found.borderline) == (ok, borderline)


def test_more_correct_answers_than_the_baseline_are_a_negative_loss():
    assert judged(0, 20).difference == pytest.approx(-0.02) and judged(0, 20).ok


# ---------------------------------------------------------------- scores


def test_the_rule_of_the_course_is_seven_to_three():
    assert composite_score(3, 0.5) == pytest.approx(0.7 * 3 + 0.3 * 0.5)
    assert composite_score(3, 0.5, weight=1) == 3
    with pytest.raises(BenchmarkError, match="the weight of speed is between 0 and 1, got 1.5"):
        composite_score(3, 0.5, weight=1.5)


def decathlon_rounds(ratio, count=12, **others):
    cases = {case: ratio for group in DISCIPLINES.values() for case in group}
    return [toy_round(cases | others)] * count


def test_ten_disciplines_have_a_ratio_a_round():
    logs = discipline_logs(decathlon_rounds(2.0, count=3), memory_ratio=4, size_ratio=8)
    assert len(logs) == 10 and all(len(each) == 3 for each in logs.values())
    assert logs["attention"] == logs["generation"] == pytest.approx([LOG2] * 3)
    assert logs["peak memory"] == pytest.approx([2 * LOG2] * 3) and logs["model size"] == pytest.approx(
        [3 * LOG2] * 3
    )


def test_no_discipline_counts_more_than_a_hundred_or_less_than_a_tenth():
    logs = discipline_logs(decathlon_rounds(1.0, generate=5000.0), memory_ratio=1e-3, size_ratio=1e9)
    assert logs["generation"][0] == logs["model size"][0] == math.log(100)
    assert logs["peak memory"][0] == math.log(0.1) and logs["latency"][0] == 0


def score(event, rounds, memory_ratio, size_ratio):
    return summarise(event_logs(event, rounds, memory_ratio, size_ratio)).ratio


def test_each_event_has_its_own_score():
    assert score(MLP_SPRINT, sprint_rounds(3), 100, 100) == pytest.approx(3), "speed alone"
    assert score(CNN_MARATHON, sprint_rounds(27), 8, 1) == pytest.approx(6), "cube root of 27 x 8 x 1"
    assert score(TRANSFORMER_DECATHLON, decathlon_rounds(2.0), 2, 2) == pytest.approx(2), "ten times 2"
    assert score(TRANSFORMER_DECATHLON, decathlon_rounds(1.0), 1024, 1) == pytest.approx(100**0.1), "clipped"


@pytest.mark.parametrize(
    ("low", "name"), [(1.2, None), (1.3, "bronze"), (2.5, "silver"), (3.0, "gold"), (9.0, "gold")]
)
def test_a_medal_takes_the_whole_interval(low, name):
    assert medal(MLP_SPRINT, Speedup(low * 1.1, low, low * 1.2, "faster")) == name


# ---------------------------------------------------------------- innovation


@pytest.mark.parametrize(("value", "share"), [(0.0, 0.0), (0.3, 0.0), (0.6, 0.5), (0.9, 1.0), (5.0, 1.0)])
def test_a_share_is_clipped(value, share):
    assert share_of(value, 0.3, 0.9) == pytest.approx(share)


@pytest.mark.parametrize(
    ("points", "found"),
    [([], 0.0), ([0.5], 0.25), ([1, 1, 1, 1, 1, 1], 1.0), ([0.2, 1.0], 0.56), ([0.0, 0.0, 1.0], 0.5)],
)
def test_depth_counts_before_breadth(points, found):
    assert innovation_score(points) == pytest.approx(found)


def facts(**found):
    """Facts about an unchanged baseline, but for what is said."""
    nothing = {
        "weights": 1000,
        "baseline_weights": 1000,
        "bits_per_weight": 32.0,
        "dead_tensors": 0,
        "unmoved": 0.1,
        "structured": False,
        "provenance": 1.0,
        "agreement": 1.0,
        "kernel": "",
        "kernel_speedup": 1.0,
        "memory_ratio": None,
        "packed_ratio": 1.0,
    }
    return Facts(**(nothing | found))


def points(**found):
    return {family: score for family, (score, _) in evidence_scores(facts(**found)).items() if score}


@pytest.mark.parametrize(
    ("found", "earned"),
    [
        ({}, {}),
        ({"bits_per_weight": 8.0}, {"quantization": 2 / 3}),
        ({"bits_per_weight": 4.0}, {"quantization": 1}),
        ({"bits_per_weight": 2.0}, {"quantization": 1}),
        ({"bits_per_weight": 64.0}, {}),
        ({"weights": 400}, {"pruning": 0.5}),
        ({"weights": 800}, {}),
        ({"weights": 400, "provenance": 0.2, "agreement": 0.935}, {"distillation": 0.5}),
        ({"weights": 400, "provenance": 0.2, "agreement": 0.3}, {}),
        ({"weights": 400, "provenance": 0.2, "agreement": None}, {}),
        ({"weights": 900, "provenance": 0.2, "agreement": 0.935}, {}),
        ({"kernel_speedup": 8.0, "kernel": "fused"}, {"custom kernels": 1}),
        ({"kernel_speedup": 0.5, "kernel": "loops"}, {}),
        ({"memory_ratio": 16.0}, {"memory optimization": 1}),
        ({"memory_ratio": 0.5}, {}),
        ({"packed_ratio": 4.0}, {"compression": 1}),
        ({"bits_per_weight": 4.0, "kernel_speedup": 8.0, "unmoved": 0.9}, {}),
    ],
)
def test_evidence_earns_points_in_its_own_family(found, earned):
    assert points(**found) == pytest.approx(earned)


def test_every_family_says_what_was_found():
    for found in (facts(), facts(unmoved=0.9)):
        families = evidence_scores(found)
        assert families.keys() == benchmarking.CLAIM_WORDS.keys()
        assert all(finding for _, finding in families.values())
    assert evidence_scores(facts(bits_per_weight=8.0))["quantization"][1] == "8.0 bits per weight"


WORDS = "int8 quantization pruning distillation custom kernels memory compression"


def test_claims_are_found_in_the_words():
    assert claimed_families(WORDS) == set(benchmarking.CLAIM_WORDS)
    assert claimed_families("Fused NUMBA loops") == {"custom kernels"} and claimed_families("") == set()


def test_words_earn_nothing():
    baseline, _ = TinyMLPerf().load_benchmark("mlp_sprint")
    analysis = InnovationDetector().analyze_innovation(model=baseline, optimization_description=WORDS)
    assert analysis["innovation_score"] == 0.0 and analysis["detected_techniques"] == []
    assert len(analysis["claimed_techniques"]) == 6
    assert all(each["claimed"] and not each["score"] for each in json.loads(json.dumps(analysis))["evidence"])


@pytest.mark.parametrize("event", EVENTS)
def test_the_event_of_a_model_is_found_out(event):
    assert event_of(load_baseline(event)).name == event


def test_a_model_for_no_event_is_told_how_to_find_out_why():
    class Stranger:
        def predict(self, inputs):
            raise TypeError("no")

    with pytest.raises(
        BenchmarkError, match="Stranger answers the inputs of no event; pass event_name to see what"
    ):
        InnovationDetector().analyze_innovation(Stranger())
    with pytest.raises(VerifyError, match="Stranger.predict raised TypeError: no"):
        InnovationDetector().analyze_innovation(Stranger(), event_name="mlp_sprint")
    with pytest.raises(VerifyError, match="has no predict"):
        InnovationDetector().analyze_innovation(object())


def test_weights_are_counted_as_they_are_stored():
    baseline = load_baseline("mlp_sprint")
    assert weight_bytes(baseline) == 4 * 109_386

    class Plain:
        def __init__(self):
            self.layers = [np.zeros(10, np.int8)]

    assert weight_bytes(Plain()) == 10
    with pytest.raises(
        BenchmarkError, match="no weights found in object; keep them as numpy arrays in attributes"
    ):
        weight_bytes(object())


# ---------------------------------------------------------------- ranks and boards


@pytest.mark.parametrize(
    ("scores", "ranks"),
    [
        ([], []),
        ([(2, 1.9, 2.1)], [1]),
        ([(1, 0.9, 1.1), (3, 2.9, 3.1), (2, 1.9, 2.1)], [3, 1, 2]),
        ([(3, 2.8, 3.2), (2.9, 2.7, 3.1), (2, 1.9, 2.1)], [1, 1, 3]),
        # 2.8 reaches the leader's interval; 2.6 reaches that of 2.8, but 2.8 leads no band.
        ([(3, 2.85, 3.2), (2.8, 2.6, 2.9), (2.6, 2.5, 2.7)], [1, 1, 3]),
        ([(1, 1, 1), (1, 1, 1), (0, 0, 0)], [1, 1, 3]),
        # Of two with one score, the surer one leads.
        ([(2, 1.5, 2.5), (2, 1.9, 2.1), (1.7, 1.6, 1.8)], [1, 1, 3]),
    ],
)
def test_who_cannot_be_told_from_the_leader_shares_its_rank(scores, ranks):
    assert rank(scores) == ranks


@st.composite
def intervals(draw):
    centre = draw(st.integers(1, 20)) / 4
    return centre, centre - draw(st.integers(0, 4)) / 4, centre + draw(st.integers(0, 4)) / 4


@given(st.lists(intervals(), max_size=12).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_ranks_do_not_depend_on_the_order_of_arrival(lists):
    first, second = (sorted(zip(rows, rank(rows), strict=True)) for rows in lists)
    assert first == second


@given(st.lists(intervals(), min_size=1, max_size=12))
def test_ranks_are_places_and_no_better_score_ranks_lower(rows):
    ranks = rank(rows)
    by_score = [place for _, place in sorted(zip(rows, ranks, strict=True), reverse=True)]
    assert by_score == sorted(by_score) and by_score[0] == 1
    assert all(by_score.index(place) == place - 1 for place in by_score), (
        "a band starts with the rank of its place"
    )


MACHINE = {"processor": "Fast 3000", "blas": "openblas 0.3", "clock": "wall minus waiting"}


def entry(team, ratio=2.0, half=0.0, innovation=0.0, ranked=True, **more):
    return {
        "team_name": team,
        "speedup_vs_baseline": ratio,
        "speedup_ci": [ratio - half, ratio + half],
        "innovation_score": innovation,
        "ranked": ranked,
        "reasons": [] if ranked else ["too many errors"],
        "machine": MACHINE,
        **more,
    }


def board(*entries, metric="speed"):
    return make_leaderboard(MLP_SPRINT, metric, entries)


def lines(found):
    return [(row.rank, row.team, row.score) for row in found.standings]


def test_a_team_is_shown_with_its_best_entry():
    assert lines(board(entry("A", 2.0), entry("B", 2.5), entry("A", 3.0), entry("A", 1.0))) == [
        (1, "A", 3.0),
        (2, "B", 2.5),
    ]


def test_the_best_entry_depends_on_the_board():
    entries = entry("A", 3.0, innovation=0.1), entry("A", 2.0, innovation=0.9)
    assert lines(board(*entries)) == [(1, "A", 3.0)]
    assert lines(board(*entries, metric="innovation")) == [(1, "A", 0.9)]
    assert lines(board(*entries, metric="composite")) == [(1, "A", pytest.approx(2.13))]


def test_capital_letters_make_no_other_team():
    assert lines(board(entry("Byte Club", 2.0), entry("BYTE CLUB", 3.0))) == [(1, "BYTE CLUB", 3.0)]


def test_an_entry_below_the_floor_is_listed_with_its_reason_and_not_ranked():
    found = board(entry("A"), entry("B", 99.0, ranked=False))
    assert lines(found) == [(1, "A", 2.0)] and found.unranked == (("B", "too many errors"),)


def test_a_team_with_a_good_entry_is_not_listed_for_its_bad_one():
    found = board(entry("A", ranked=False), entry("A"), entry("A", ranked=False))
    assert lines(found) == [(1, "A", 2.0)] and found.unranked == ()


def test_a_name_decides_no_tie():
    found = board(entry("Zebra"), entry("Ant"), entry("Mole", 1.0))
    assert lines(found) == [(1, "Ant", 2.0), (1, "Zebra", 2.0), (3, "Mole", 1.0)]
    assert [row.tied for row in found.standings] == [True, True, False]


def test_an_empty_board_is_a_board():
    found = board()
    assert (found.event, found.title, found.metric) == ("mlp_sprint", "MLP Sprint", "speed")
    assert found.standings == found.unranked == found.notes == ()


def test_the_composite_interval_is_that_of_speed_in_its_share():
    assert score_interval(entry("A", 2.0, half=0.5, innovation=1.0), "composite") == pytest.approx(
        (1.7, 1.35, 2.05)
    )
    assert score_interval(entry("A", innovation=0.4), "innovation") == (0.4, 0.4, 0.4)
    with pytest.raises(BenchmarkError, match="unknown leaderboard 'beauty'; known: speed, innovation, composite"):
        score_interval(entry("A"), "beauty")


def test_a_board_says_when_it_mixes_machines():
    other = MACHINE | {"blas": "mkl 2025"}
    assert machine_notes([entry("A"), entry("B")]) == ()
    (note,) = board(entry("A"), entry("B", machine=other)).notes
    assert note.startswith(
        "mixes 2 kinds of machine: Fast 3000, mkl 2025, wall minus waiting; Fast 3000, openblas"
    )


# ---------------------------------------------------------------- what it costs to import


def cpu_s(code, cache):
    """CPU seconds of a fresh Python that keeps its bytecode in `cache`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"PYTHONPYCACHEPREFIX": str(cache)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_importing_the_benchmark_costs_at_most_half_as_much_again_as_numpy(tmp_path):
    ours, numpys = "import tinytorch.core.benchmarking", "import numpy"
    cpu_s(ours, tmp_path)  # compiles
    ratios = [cpu_s(ours, tmp_path) / cpu_s(numpys, tmp_path) for _ in range(9)]
    assert statistics.median(ratios) <= 1.5, ratios
