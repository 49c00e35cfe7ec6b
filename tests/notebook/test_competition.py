"""A run through all six stages on real data and what bad input gets: clear words, and nothing stored is lost."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from functools import partial
from types import ModuleType

import numpy as np
import pytest

from tinytorch.core import benchmarking
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import (
    BenchmarkError,
    CompetitionProfiler,
    InnovationDetector,
    TinyMLPerf,
    TinyMLPerfCompetitionPlus,
)
from tinytorch.core.compression import apply_pruning
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.machine import MachineError
from tinytorch.perf.store import Store, StoreError
from tinytorch.perf.verify import VerifyError
from tinytorch.perf.workloads.archive import FILES
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.events import EVENTS, get_event

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
TEAM = "First Try"
every_event = pytest.mark.parametrize("event_name", EVENTS)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A competition in which one team has entered each event, as a newcomer would write it."""
    tinyperf = TinyMLPerf()
    competition = TinyMLPerfCompetitionPlus(
        store=tmp_path_factory.mktemp("store") / "tinymlperf.sqlite",
        profiler=CompetitionProfiler(budget_s=0.2, seed=1),
    )
    for event_name in tinyperf.get_available_events():
        m, _ = tinyperf.load_benchmark(event_name)
        m = apply_quantization(m)
        m = apply_pruning(m)
        m = add_custom_kernels(m)
        competition.submit_entry(
            team_name=TEAM,
            event_name=event_name,
            optimized_model=m,
            optimization_description="int8, pruned, custom kernels",
            github_url="https://github.com/first/try",
        )
    return competition


@pytest.fixture
def competition(played):
    """The same competition; whatever a test does to it, the first three entries must outlive."""
    before = played.store.submissions()
    yield played
    assert played.store.submissions()[: len(before)] == before, "something already stored was lost or changed"


def stored(competition, event_name):
    return competition.store.submissions(event=event_name)[0]


class Model:
    """A model of a student's own: answers by the function it was given."""

    def __init__(self, predict, **own):
        vars(self).update(own, predict=predict)


class Replay:
    """A profiler that has measured already."""

    def __init__(self, results):
        self.results = results

    def benchmark_model(self, optimized_model, dataset, baseline_model):
        return dict(self.results)


def submit(competition, model=None, event_name="mlp_sprint", team_name="Byte Club", **words):
    model = load_baseline("mlp_sprint") if model is None else model
    return competition.submit_entry(team_name, event_name, model, **words)


def refused(competition, error, words, **entry):
    """The entry is refused in these words, and the store is as long as before."""
    before = len(competition.store)
    with pytest.raises(error, match=words):
        submit(competition, **entry)
    assert len(competition.store) == before


# ---------------------------------------------------------------- the way through


@every_event
def test_three_verbs_end_above_the_floor_and_faster_than_the_baseline(competition, event_name):
    submission = stored(competition, event_name)
    assert submission["accuracy_ok"] and submission["ranked"] and submission["reasons"] == []
    low, high = submission["speedup_ci"]
    assert 1 < low < submission["speedup_vs_baseline"] < high and submission["verdict"] == "faster"
    assert submission["optimized_time_s"] < submission["baseline_time_s"]
    assert submission["model_bytes"] < submission["baseline_model_bytes"] / 3, "int8 is a quarter"
    assert submission["medal"] in ("bronze", "silver", "gold")


@every_event
def test_a_submission_is_json_with_all_that_it_needs_to_be_checked_again(competition, event_name):
    submission = stored(competition, event_name)
    assert json.loads(json.dumps(submission)) == submission
    assert submission["mode"] == "practice" and submission["seed"] == 1
    assert submission["machine"]["clock"] and submission["peak_memory_bytes"] > 0
    assert len(submission["rounds"]) >= 12 and {"quality", "cases", "evidence", "facts"} <= submission.keys()
    assert ("disciplines" in submission) == (event_name == "transformer_decathlon")


@every_event
def test_a_score_can_be_worked_out_again_from_the_rounds(competition, event_name):
    submission = stored(competition, event_name)
    cases = benchmarking.speed_cases(get_event(event_name))
    logs = [np.mean([each["log_ratios"][case] for case in cases]) for each in submission["rounds"]]
    assert benchmarking.summarise(logs).ratio == pytest.approx(submission["speedup_vs_baseline"])
    share = 0.7 * submission["speedup_vs_baseline"] + 0.3 * submission["innovation_score"]
    assert submission["composite_score"] == pytest.approx(share)


@every_event
def test_what_was_done_is_found_in_the_model(competition, event_name):
    submission = stored(competition, event_name)
    assert {"quantization", "custom kernels"} <= set(submission["detected_techniques"])
    assert submission["claimed_techniques"] == ["custom kernels", "pruning", "quantization"]
    assert 0.3 < submission["innovation_score"] <= 1


def test_results_and_analyses_are_json_as_they_are(competition):
    tinyperf = TinyMLPerf()
    baseline, dataset = tinyperf.load_benchmark("mlp_sprint")
    model = add_custom_kernels(baseline)
    results = CompetitionProfiler(warmup_runs=3, timing_runs=10, budget_s=0.2).benchmark_model(
        model, dataset, baseline
    )
    analysis = competition.innovation_detector.analyze_innovation(model=model, optimization_description="faster")
    assert results["speedup_vs_baseline"] > 1 and "rounds" not in str(results["machine"])
    assert 0.0 <= analysis["innovation_score"] <= 1.0 and analysis["detected_techniques"] == ["custom kernels"]
    assert json.loads(json.dumps([results, analysis])) == [results, analysis]
    assert repr(results).startswith("event_name") and len(repr(results).splitlines()) == len(results)


def test_the_baseline_is_the_default_to_compare_with(competition):
    baseline, dataset = competition.tinyperf.load_benchmark("mlp_sprint")
    results = CompetitionProfiler(budget_s=0.1).benchmark_model(baseline.copy(), dataset)
    assert results["accuracy"] == results["baseline_accuracy"] and results["model_bytes"] == 437_544


# ---------------------------------------------------------------- boards


def shows(competition):
    """Every way to look at a competition."""
    for event_name in EVENTS:
        yield partial(competition.display_leaderboard, event_name)
        yield partial(competition.display_innovation_leaderboard, event_name)
        yield partial(competition.display_composite_leaderboard, event_name)
    yield competition.display_all_enhanced_leaderboards


def test_in_a_terminal_boards_are_text(competition, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    for show in shows(competition):
        assert show() is None
        text = capsys.readouterr().out
        assert TEAM in text and "<" not in text
    assert all(get_event(name).title in text for name in EVENTS) and text.count(TEAM) == 9


def notebook(monkeypatch):
    """As much of IPython as a board asks for; what is displayed ends up in the list."""
    shown = []
    root, core, where, display = map(
        ModuleType, ("IPython", "IPython.core", "IPython.core.getipython", "IPython.display")
    )
    where.get_ipython = object
    display.HTML, display.display = str, shown.append
    for module in (root, core, where, display):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return shown


def test_in_a_notebook_boards_are_html(competition, capsys, monkeypatch):
    shown = notebook(monkeypatch)
    for show in shows(competition):
        show()
    assert len(shown) == 9 + 9 and capsys.readouterr().out == ""
    assert all("<table" in page and TEAM in page for page in shown)


def test_an_unknown_event_has_no_board(competition):
    with pytest.raises(WorkloadError, match="unknown event 'chess'; known: mlp_sprint"):
        competition.display_leaderboard("chess")
    with pytest.raises(BenchmarkError, match="unknown leaderboard 'beauty'; known: speed, innovation, composite"):
        competition.leaderboard("mlp_sprint", "beauty")


def test_an_entry_below_the_floor_is_stored_and_shown_with_its_reason_and_never_ranked(
    competition, capsys, monkeypatch
):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    before = len(competition.store)
    coarse = add_custom_kernels(apply_quantization(load_baseline("mlp_sprint"), bits=2))
    submission = submit(competition, coarse, team_name="Two Bits")
    assert len(competition.store) == before + 1
    assert not submission["accuracy_ok"] and not submission["ranked"] and submission["medal"] is None
    assert submission["innovation_score"] == 0, "below the floor nothing is an innovation"
    (reason,) = submission["reasons"]
    assert "points less accuracy than the baseline, at most 1.00 allowed" in reason
    for metric in ("speed", "innovation", "composite"):
        board = competition.leaderboard("mlp_sprint", metric)
        assert board.unranked == (("Two Bits", reason),)
        assert "Two Bits" not in [row.team for row in board.standings]
    competition.display_leaderboard("mlp_sprint")
    assert f"Two Bits: {reason}" in capsys.readouterr().out


# ---------------------------------------------------------------- bad input


def honest(inputs):
    return load_baseline("mlp_sprint").predict(inputs)


def change_input(inputs):
    inputs[:] = 0
    return honest(inputs)


def give_up(inputs):
    raise RuntimeError("out of paper")


def with_value(value):
    def predict(inputs):
        answer = honest(inputs).copy()
        answer[-1, -1] = value
        return answer

    return predict


BAD_MODELS = {
    "no predict": (object(), r"object has no predict\(inputs\) method; a model is anything with predict"),
    "wrong shape": (
        Model(lambda inputs: honest(inputs).T),
        r"returned shape \(10, 2\), expected logits \(2, 10\)",
    ),
    "wrong dtype": (
        Model(lambda inputs: honest(inputs).astype(int)),
        r"returned int64, expected float logits; add .as",
    ),
    "no array": (Model(lambda inputs: honest(inputs).tolist()), "returned list, expected a numpy array of logits"),
    "NaN": (Model(with_value(np.nan)), "returned 1 values of 20 that are NaN or infinite"),
    "infinity": (Model(with_value(np.inf)), "returned 1 values of 20 that are NaN or infinite"),
    "raises": (
        Model(give_up),
        r"raised RuntimeError: out of paper; it was given uint8 \(2, 784\) and must return",
    ),
    "changes its input": (Model(change_input), r"changed its input; work on a copy \(inputs.astype"),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_a_model_that_does_not_answer_is_refused(competition, kind):
    model, words = BAD_MODELS[kind]
    refused(competition, VerifyError, words, model=model)


def test_a_model_for_another_event_is_refused(competition):
    words = (
        r"MLP.predict raised ShapeError: .*; it was given uint8 \(2, 28, 28, 1\) and must return logits \(2, 10\)"
    )
    refused(competition, VerifyError, words, event_name="cnn_marathon")


def test_a_model_whose_weights_cannot_be_found_is_refused(competition):
    refused(
        competition, BenchmarkError, "no weights found in Model; keep them as numpy arrays", model=Model(honest)
    )


def test_a_model_that_ends_the_process_while_memory_is_measured_is_refused(competition, monkeypatch):
    def no_memory(*_):
        raise MachineError("the child that measures memory died")

    monkeypatch.setattr(benchmarking, "peak_memory", no_memory)
    refused(competition, MachineError, "the child that measures memory died")


BAD_WORDS = {
    "unknown event": (
        {"event_name": "chess"},
        WorkloadError,
        "unknown event 'chess'; known: mlp_sprint, cnn_marathon",
    ),
    "empty name": ({"team_name": ""}, VerifyError, "team_name is empty; choose 1 to 40 characters"),
    "over-long name": ({"team_name": "x" * 41}, VerifyError, "team_name has 41 characters, at most 40 fit"),
    "control character": ({"team_name": "a\x07b"}, VerifyError, r"invisible character U\+0007; leave it out"),
    "no name": ({"team_name": None}, VerifyError, "team_name is NoneType, expected text"),
    "long story": ({"optimization_description": "x" * 2001}, VerifyError, "has 2001 characters, at most 2000"),
    "script as link": ({"github_url": "javascript:alert(1)"}, VerifyError, "github_url is .*, expected https://"),
}


@pytest.mark.parametrize("kind", BAD_WORDS)
def test_bad_words_are_refused_before_anything_is_measured(competition, kind):
    words, error, complaint = BAD_WORDS[kind]
    refused(competition, error, complaint, model=Model(give_up), **words)


@pytest.mark.parametrize("dataset", ["mlp_sprint", None, np.zeros((2, 784), np.uint8)])
def test_what_is_no_dataset_is_refused(dataset):
    with pytest.raises(BenchmarkError, match=r"dataset is \w+, expected what load_benchmark\(event\) gives"):
        CompetitionProfiler().benchmark_model(load_baseline("mlp_sprint"), dataset)


def test_a_baseline_that_is_no_model_is_refused():
    _, dataset = TinyMLPerf().load_benchmark("mlp_sprint")
    with pytest.raises(VerifyError, match=r"str has no predict\(inputs\) method"):
        CompetitionProfiler().benchmark_model(load_baseline("mlp_sprint"), dataset, "baseline")


def test_the_decathlon_compares_with_a_language_model():
    baseline, dataset = TinyMLPerf().load_benchmark("transformer_decathlon")
    with pytest.raises(VerifyError, match="the Decathlon's baseline is Model, expected a CharTransformer"):
        CompetitionProfiler().benchmark_model(baseline, dataset, Model(baseline.predict))


# ---------------------------------------------------------------- the store


def replay(competition, **options):
    """The competition again with what was measured before, so that a second entry takes no time."""
    return TinyMLPerfCompetitionPlus(profiler=Replay(stored_results(competition)), **options)


def stored_results(competition):
    left_out = ("id", "submitted_at", "team_name")
    return {key: value for key, value in stored(competition, "mlp_sprint").items() if key not in left_out}


def test_the_same_team_twice_in_one_second_is_counted_once(competition, tmp_path):
    again = replay(competition, store=Store(tmp_path / "store.sqlite", clock=lambda: NOON))
    submit(again)
    words = r"team 'Byte Club' already has a submission in 'mlp_sprint' of the second 12:00:00 UTC; .*in a second"
    refused(again, StoreError, words)
    submit(again, team_name="Hot Path")
    assert len(again.store) == 2


def test_a_store_that_cannot_be_opened_says_what_to_do(tmp_path):
    with pytest.raises(
        StoreError, match="must be a file in a writable folder: make the folder, or give another path"
    ):
        TinyMLPerfCompetitionPlus(store=tmp_path / "missing" / "store.sqlite")


def test_a_store_that_goes_away_keeps_what_it_had(competition, tmp_path):
    (tmp_path / "here").mkdir()
    again = replay(competition, store=tmp_path / "here" / "store.sqlite")
    submit(again)
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(StoreError, match="Nothing already stored was changed"):
        submit(again, team_name="Hot Path")
    assert [each["team_name"] for each in Store(tmp_path / "there" / "store.sqlite").submissions()] == [
        "Byte Club"
    ]


def test_a_store_may_be_a_path_a_url_or_anything_that_appends(competition, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYMLPERF_STORE", str(tmp_path / "default.sqlite"))
    path = tmp_path / "store.sqlite"
    assert len(TinyMLPerfCompetitionPlus().store) == 0 and (tmp_path / "default.sqlite").exists()
    for store in (path, str(path), f"sqlite:///{path}", Store(path)):
        submit(replay(competition, store=store), team_name=f"Team {type(store).__name__} {len(str(store))}")
    assert len(Store(path)) == 4


def test_boards_are_the_same_after_a_restart(competition):
    reopened = TinyMLPerfCompetitionPlus(store=str(competition.store._url.database))
    assert reopened.leaderboard("cnn_marathon") == competition.leaderboard("cnn_marathon")


@pytest.mark.parametrize("call", [1, 2, 15, 60])
def test_an_interrupt_loses_nothing_and_leaves_the_competition_usable(competition, call):
    calls = iter(range(1, 10_000))
    model = load_baseline("mlp_sprint")

    def interrupted(inputs):
        if next(calls) == call:
            raise KeyboardInterrupt
        return model.predict(inputs)

    before = len(competition.store)
    with pytest.raises(KeyboardInterrupt):
        submit(competition, Model(interrupted, weights=[np.zeros(3)]))
    assert len(competition.store) == before
    assert TEAM in [row.team for row in competition.leaderboard("mlp_sprint").standings]
    submit(replay(competition, store=competition.store), team_name=f"After {call}")
    assert len(competition.store) == before + 1


def test_damaged_weights_stop_an_event_and_lose_nothing(competition, tmp_path, monkeypatch):
    shutil.copytree(FILES, tmp_path / "files")
    (tmp_path / "files" / "mlp_sprint.npz").write_bytes(b"damaged")
    monkeypatch.setattr(benchmarking, "load_baseline", partial(load_baseline, folder=tmp_path / "files"))
    words = r"mlp_sprint.npz has hash \w+, \w+ is registered; reinstall, or train them again"
    fresh = TinyMLPerfCompetitionPlus(store=competition.store, profiler=competition.profiler)
    refused(fresh, WorkloadError, words)
    with pytest.raises(WorkloadError, match=words):
        InnovationDetector().analyze_innovation(load_baseline("mlp_sprint"), event_name="mlp_sprint")
