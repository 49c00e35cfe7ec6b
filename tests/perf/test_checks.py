"""What a check builds on is the reference's while it runs, and the student's again afterwards; toy builders."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.benchmarking import CompetitionProfiler, TinyMLPerfCompetitionPlus, make_results
from tinytorch.core.profiler import Clock
from tinytorch.perf import checks
from tinytorch.perf.checks import CheckError, FakeClock, FakeTask, given
from tinytorch.perf.machine import at_new_places
from tinytorch.perf.verify import VerifyError, checked_answer
from tinytorch.perf.workloads.datasets import Dataset, load_dataset
from tinytorch.perf.workloads.events import EVENTS, MLP_SPRINT, get_event

REFERENCE = '''
class Wrong(ValueError): """A mistake."""

def one(): return "reference one"

def two(): return "reference two, " + one()

def refuse(): raise Wrong("reference")

class Thing:
    limit = 3
    def __init__(self): self.made_by = "reference"
    def first(self): return "reference first"
    def second(self): return "reference second, " + self.first()
    @staticmethod
    def plain(): return "reference plain"
'''

STUDENT = (
    REFERENCE.replace('"reference', '"student')
    + "\ndef is_thing(thing): return isinstance(thing, Thing)\n"
    + "\ndef three(): return one() + ', ' + Thing().second()\n"
)

STUBS = """
def one(): raise NotImplementedError()
class Thing:
    def __init__(self): pass
    def first(self): raise NotImplementedError()
def two(): return one()
"""


def notebook(text=STUDENT):
    namespace = {"__name__": "__main__"}
    exec(text, namespace)  # as a kernel does
    return namespace


@pytest.fixture
def reference(tmp_path, monkeypatch):
    path = tmp_path / "reference.py"
    path.write_text(REFERENCE)
    monkeypatch.setenv("TINYMLPERF_REFERENCE", str(path))


# ---------------------------------------------------------------- with a reference


def test_a_function_is_the_references_inside_and_the_students_again_outside(reference):
    student = notebook()
    with given(student, "one"):
        assert student["one"]() == "reference one"
        assert student["two"]() == "student two, reference one", "who is not named is the student's"
    assert student["two"]() == "student two, student one"


def test_a_reference_function_builds_on_the_reference_alone(reference):
    student = notebook()
    with given(student, "two"):
        assert student["two"]() == "reference two, reference one"
        assert student["one"]() == "student one"


def test_everything_is_put_back_after_an_exception(reference):
    student = notebook()
    before, methods = dict(student), dict(vars(student["Thing"]))
    with pytest.raises(ZeroDivisionError), given(student, "one", "Thing", "Thing.first"):
        raise ZeroDivisionError
    assert student == before and dict(vars(student["Thing"])) == methods


def test_a_method_is_the_references_on_the_students_own_class(reference):
    student = notebook()
    thing = student["Thing"]()
    with given(student, "Thing.first"):
        assert thing.second() == "student second, reference first"
        assert thing.made_by == "student"
    assert thing.second() == "student second, student first"


def test_a_reference_method_calls_reference_methods_on_a_students_object(reference):
    student = notebook()
    thing = student["Thing"]()
    with given(student, "Thing.second"):
        assert thing.second() == "reference second, reference first"
        assert thing.first() == "student first"


def test_a_whole_class_changes_what_it_does_and_not_what_it_is(reference):
    student = notebook()
    before = student["Thing"]()
    with given(student, "Thing"):
        inside = student["Thing"]()
        assert inside.made_by == "reference" and inside.second() == "reference second, reference first"
        assert student["Thing"].plain() == "reference plain"
        assert student["is_thing"](before) and student["is_thing"](inside)
    assert student["is_thing"](inside) and inside.first() == "student first"


def test_what_a_failed_cell_never_defined_is_lent(reference):
    student = notebook("")
    with given(student, "one", "Thing", "Thing.first"):
        assert student["one"]() == "reference one" and student["Thing"]().first() == "reference first"
    assert "one" not in student and "Thing" not in student


def test_the_reference_raises_the_notebooks_exceptions(reference):
    student = notebook()
    with given(student, "refuse"), pytest.raises(student["Wrong"], match="reference"):
        student["refuse"]()


def test_contexts_nest(reference):
    student = notebook()
    with given(student, "one"):
        with given(student, "Thing", "one"):
            assert student["three"]() == "reference one, reference second, reference first"
        assert student["three"]() == "reference one, student second, student first"
    assert student["three"]() == "student one, student second, student first"


@pytest.mark.parametrize("name", ["three", "Thing.third", "Nothing.first"])
def test_a_check_that_asks_for_what_the_reference_lacks_is_a_wrong_check(reference, name):
    with (
        pytest.raises(CheckError, match=f"asks for `{name}`, which the reference does not define"),
        given({}, name),
    ):
        pass


def test_a_reference_that_is_not_there_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYMLPERF_REFERENCE", str(tmp_path / "none.py"))
    with pytest.raises(CheckError, match=r"TINYMLPERF_REFERENCE is .*none.py, expected a Python file"), given({}):
        pass


def test_a_reference_never_becomes_the_exported_module(reference):
    with given({}, "one"):
        assert checks._MODULE.startswith("_")


# ---------------------------------------------------------------- at home


@pytest.fixture
def at_home(monkeypatch):
    monkeypatch.delenv("TINYMLPERF_REFERENCE", raising=False)


def test_at_home_nothing_is_replaced(at_home):
    student = notebook()
    with given(student, "one", "Thing", "not even a name"):
        assert student["three"]() == "student one, student second, student first"


@pytest.mark.parametrize("name", ["one", "Thing.first", "Thing"])
def test_at_home_a_stub_that_a_check_builds_on_is_named(at_home, name):
    student = notebook(STUBS)
    call = student["two"] if name == "one" else student["Thing"]().first
    words = f"this check builds on `{name}`, which is not written yet: finish that cell first"
    with pytest.raises(AssertionError, match=words), given(student, name):
        call()


def test_at_home_the_stub_under_test_stays_a_stub(at_home):
    student = notebook(STUBS)
    with pytest.raises(NotImplementedError), given(student, "Thing"):
        student["one"]()


# ---------------------------------------------------------------- builders


def test_a_fake_clock_is_a_clock_that_stands_still_until_time_is_spent():
    clock = FakeClock(overhead_s=0.5)
    assert isinstance(clock, Clock) and clock.now_s() == clock.now_s() == 0
    clock.spend(2, "work")
    clock.wait(3)
    assert (clock.wall_s(), clock.waited_s(), clock.now_s(), clock.overhead_s) == (5, 3, 2, 0.5)
    assert (clock.log, clock.name) == (["work"], "fake")


def test_a_fake_task_spends_its_seconds_over_its_calls():
    clock = FakeClock()
    FakeTask(clock, 6, "task", calls=3)()
    assert clock.now_s() == 6 and clock.log == ["task"] * 3


def test_a_timed_model_takes_its_time_in_every_case_of_a_toy_scenario():
    clock = FakeClock()
    scenario = checks.toy_scenario("a", "b")
    tasks = scenario.prepare(checks.TimedModel(clock, 2), scenario.inputs(np.random.default_rng(0)))
    tasks["b"]()
    assert sorted(tasks) == ["a", "b"] and clock.now_s() == 2


def test_a_timed_model_takes_a_time_for_each_call_or_one_by_its_inputs():
    clock = FakeClock()
    in_turn, by_size = checks.TimedModel(clock, iter([5.0, 1.0])), checks.TimedModel(clock, lambda x: 0.5 * len(x))
    in_turn.predict(np.ones(1))
    assert clock.now_s() == 5
    in_turn.predict(np.ones(1))
    by_size.predict(np.ones(4))
    assert clock.now_s() == 8
    with pytest.raises(AssertionError, match="'' was called more often than this check expected"):
        in_turn.predict(np.ones(1))


def test_copies_of_a_timed_model_at_new_places_share_its_clock_its_times_and_its_notes():
    clock, rng = FakeClock(), np.random.default_rng(0)
    model = checks.TimedModel(clock, iter([1.0, 2.0]), "m", answer=lambda inputs: inputs + 1)
    for copy in (at_new_places(model, rng), at_new_places(model, rng)):
        assert copy is not model and copy.predict(np.zeros(1)) == 1
    assert clock.now_s() == 3 and clock.log == ["m", "m"] and clock.inputs == {"m": [bytes(8), bytes(8)]}


def test_a_toy_dataset_keeps_what_was_drawn_and_looks_like_its_event():
    dataset, rng = checks.toy_dataset("cnn_marathon"), np.random.default_rng(0)
    first, second = dataset.batch(3, rng), dataset.batch(3, rng)
    assert isinstance(dataset, Dataset) and first.shape == (3, 28, 28, 1) and first.dtype == np.uint8
    assert dataset.drawn == [first.tobytes(), second.tobytes()] and first.tobytes() != second.tobytes()
    graded = dataset.grading_set(0, copies=2)
    assert len(graded) == len(graded.labels) == len(graded.groups) == 2 * len(dataset)
    assert len(dataset.drawn) == 2, "grading draws nothing that is timed"


def test_toy_tokens_have_a_label_for_every_position():
    dataset = checks.toy_dataset("transformer_decathlon")
    inputs, labels = next(dataset.training_batches(5, np.random.default_rng(0)))
    assert inputs.shape == labels.shape == (5, 64) and inputs.max() < 66


def timed(clock, seconds):
    return checks.TimedModel(clock, seconds, seconds, checks.zeros_model("mlp_sprint").predict)


def test_a_whole_comparison_runs_on_toys():
    clock = FakeClock()
    profiler = CompetitionProfiler(budget_s=1e-3, seed=1, clock=clock)
    results = profiler.benchmark_model(timed(clock, 1e-3), checks.toy_dataset("mlp_sprint"), timed(clock, 2e-3))
    assert results["speedup_vs_baseline"] == pytest.approx(2) and results["accuracy_ok"]
    assert len(results["rounds"]) == profiler.LEAST_ROUNDS


def test_toys_tell_whether_rounds_were_timed_on_fresh_inputs_and_both_models_on_the_same():
    clock, dataset = FakeClock(), checks.toy_dataset("mlp_sprint")
    CompetitionProfiler(budget_s=1e-3, seed=1, clock=clock).measure_rounds(
        timed(clock, 2e-3), timed(clock, 1e-3), dataset
    )
    assert len(set(dataset.drawn)) == len(dataset.drawn), "fresh inputs"
    assert set(clock.inputs[1e-3]) == set(dataset.drawn) >= set(clock.inputs[2e-3]), "the same for both"


@pytest.mark.parametrize("name", EVENTS)
def test_toy_rounds_quality_and_resources_make_results(name):
    results = make_results(
        get_event(name), checks.toy_rounds(name, 2.0), checks.toy_quality(name), checks.toy_resources(4.0, 0.5)
    )
    assert results["speedup_vs_baseline"] == pytest.approx(2) and results["accuracy_ok"]
    assert results["baseline_peak_memory_bytes"] == 4 * results["peak_memory_bytes"]


def test_toy_rounds_spread_around_their_ratio():
    logs = [each.log_ratios["batch 1"] for each in checks.toy_rounds("mlp_sprint", 2.0, count=5, spread=0.2)]
    assert np.diff(logs) == pytest.approx([0.1] * 4) and np.median(logs) == pytest.approx(np.log(2))


@pytest.mark.parametrize("name", EVENTS)
def test_toy_quality_is_worse_by_what_was_said(name):
    floor = get_event(name).floor
    good, bad = checks.toy_quality(name, floor * 0.9), checks.toy_quality(name, floor * 1.1)
    assert (good["accuracy_ok"], bad["accuracy_ok"]) == (True, False)
    assert abs(bad["quality"]["value"] - bad["quality"]["baseline"]) == pytest.approx(floor * 1.1)


def toy_competition(profiler, detector):
    competition = TinyMLPerfCompetitionPlus(store=checks.ToyStore(), profiler=profiler)
    competition.innovation_detector = detector
    return competition


def test_a_toy_competition_takes_an_entry():
    profiler = checks.ToyProfiler(checks.toy_results("mlp_sprint", 3.0, memory_ratio=4.0))
    competition = toy_competition(profiler, detector := checks.ToyDetector(0.5))
    model = checks.zeros_model("mlp_sprint")
    stored = competition.submit_entry("A", "mlp_sprint", model, "int8", "https://example.org")
    assert stored["composite_score"] == pytest.approx(0.7 * 3 + 0.3 * 0.5) and stored["ranked"]
    assert competition.store.kept == [stored] == competition.store.submissions("mlp_sprint")
    assert profiler.asked[0][0] is model and detector.asked[0]["memory_ratio"] == 4
    assert competition.store.submissions("cnn_marathon") == []


def test_a_toy_store_refuses_what_json_does():
    with pytest.raises(ValueError, match="JSON"):
        checks.ToyStore().append({"speedup_vs_baseline": float("nan")})


def test_a_toy_round_holds_the_ratios_it_was_given():
    toy = checks.toy_round({"a": 2.0, "b": 1.0}, candidate_s=3.0)
    assert np.exp(toy.log_ratios["a"]) == pytest.approx(2) and toy.log_ratios["b"] == 0
    assert toy.baseline_s == {"a": 6, "b": 3} and toy.candidate_s == {"a": 3, "b": 3}


def test_a_toy_submission_is_a_point_unless_it_is_given_an_interval():
    assert checks.toy_submission("A", 2.0)["speedup_ci"] == [2.0, 2.0]
    assert checks.toy_submission("A", 2.0, 1.5, 2.5)["speedup_ci"] == [1.5, 2.5]
    failed = checks.toy_submission("A", 2.0, ranked=False)
    assert not failed["ranked"] and failed["reasons"]


def test_toy_facts_are_those_of_the_baseline_but_for_what_is_said():
    facts = checks.toy_facts(bits_per_weight=8.0)
    assert facts.bits_per_weight == 8 and facts.weights == facts.baseline_weights


@pytest.mark.parametrize("name", ["mlp_sprint", "transformer_decathlon"])
def test_the_right_model_makes_no_mistake_and_the_zeros_model_is_valid(name):
    graded, event = load_dataset(name).grading_set(0, copies=1), get_event(name)
    inputs = graded.inputs[:8]
    right = checked_answer(checks.right_model(graded), inputs, event)
    assert (right.argmax(axis=-1) == graded.labels[:8]).all()
    assert not checked_answer(checks.zeros_model(name), inputs, event).any()


def test_the_wrong_shape_is_refused():
    inputs = load_dataset("mlp_sprint").inputs[:3]
    with pytest.raises(VerifyError, match=r"returned shape \(3, 9\), expected logits \(3, 10\)"):
        checked_answer(checks.wrong_shape_model("mlp_sprint"), inputs, MLP_SPRINT)
