"""What a submission cannot do to its grading: hide, break, forge, look into, or reach beyond its own cells."""

from __future__ import annotations

import copy
import json
import shutil
import sys

import pytest

from autograder.course import reference_path, source_notebook
from autograder.grading import judge as judging
from autograder.grading.judge import Course, JudgeError, judge, tasks_of
from autograder.grading.rebuild import HIDDEN, rebuild
from autograder.grading.screen import objection
from autograder.grading.storage import outputs_of
from tests.notebook.classroom import ROOT, SOURCE, emptied
from tinytorch.export import placeholder_text

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
STAGE = "rank"
SLOW = ("-measure-round", "-measure-rounds", "-innovation-detector", "-submit-entry")
CHECKS = ("check-rank", "hidden-rank")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The students' package and, elsewhere, the reference."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "tinytorch", root / "tinytorch", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tinytorch/core/benchmarking.py").write_text(placeholder_text())
    reference = tmp_path_factory.mktemp("secret") / "reference.py"
    shutil.copy(reference_path(), reference)
    return Course(root, reference)


@pytest.fixture(scope="module")
def whole():
    return source_notebook(SOURCE.read_text())


@pytest.fixture(scope="module")
def solution(whole):
    """Without the checks that measure: they take most of the time, and no attack here is on them."""
    notebook = copy.deepcopy(whole)
    notebook.cells = [cell for cell in notebook.cells if not grade_id(cell).endswith(SLOW)]
    return notebook


@pytest.fixture(scope="module")
def release(solution):
    return released(solution)


def released(solution):
    """As students get it: solutions emptied. Hidden tests stay: the judge works on the master's cells."""
    notebook = copy.deepcopy(solution)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = emptied(cell.source)
    return notebook


def with_answer(notebook, text, stage=STAGE):
    """The release with one answer, and nothing else done."""
    changed = copy.deepcopy(notebook)
    next(cell for cell in changed.cells if grade_id(cell) == stage).source = text
    return changed


def with_cell(notebook, text, before="check-measure"):
    changed = copy.deepcopy(notebook)
    place = next(at for at, cell in enumerate(changed.cells) if grade_id(cell) == before)
    changed.cells.insert(place, copy.deepcopy(changed.cells[place]))
    changed.cells[place].update(source=text, metadata={})
    return changed


def grade_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def errors(submitted, release, course):
    """Error of each check that failed, by its grade_id."""
    notebook, _ = rebuild(submitted, release)
    outcomes = judge(tasks_of(notebook), course)
    found = {grade_id(notebook.cells[number]): outcome.error for number, outcome in outcomes.items()}
    return {name: error for name, error in found.items() if name.startswith(("check-", "hidden-")) and error}


def checks_of(notebook):
    return {grade_id(cell) for cell in notebook.cells if grade_id(cell).startswith(("check-", "hidden-"))}


# ---------------------------------------------------------------- the two ends


def test_the_solution_passes_every_check(whole, course):
    assert errors(copy.deepcopy(whole), released(whole), course) == {}


def test_the_release_passes_none(whole, course):
    release = released(whole)
    assert set(errors(copy.deepcopy(release), release, course)) == checks_of(release)


# ---------------------------------------------------------------- attacks

EQUAL = """
class Equal(list):
    def {eq}(self, other):
        return True
    def {ne}(self, other):
        return False

def rank(scores):
    return Equal()
"""
STEAL = "def rank(scores):\n    {how}\n    return stolen(scores)\n"
ATTACKS = {
    "an object that equals everything": EQUAL.format(eq="__eq__", ne="__ne__"),
    "an object that equals everything, made by type": (
        "def rank(scores):\n    kind = type('Equal', (list,), {'__' + 'eq__': lambda s, o: True})\n    return kind()\n"
    ),
    "imports the reference": "from tinytorch.core.benchmarking import rank\n",
    "asks for the reference as a check does": STEAL.format(how="stolen = given"),
    "asks for it through the toolbox": STEAL.format(how="stolen = checks._load('x').rank"),
    "looks into the caller's frame": STEAL.format(how="import sys; stolen = sys._getframe(1).f_globals['rank']"),
    "looks at a traceback by a name put together": (
        "import operator\n\ndef rank(scores):\n    try:\n        1 / 0\n    except ZeroDivisionError as error:\n"
        "        frame = operator.attrgetter('__trace' + 'back__.tb_' + 'frame')(error)\n    return frame\n"
    ),
    "takes globals of what it was given": (
        "def rank(scores):\n    return summarise.__globals__['rank'](scores)\n"
    ),
    "says that everything is close": "import numpy\nnumpy.array_equal = lambda *a: True\ndef rank(scores):\n    return []\n",
    "changes what is true": "def all(values):\n    return True\n\ndef rank(scores):\n    return []\n",
    "raises what ends a program": "def rank(scores):\n    raise SystemExit(0)\n",
    "reads the solutions": "def rank(scores):\n    return open('{reference}').read()\n",
    "writes to every file it has": (
        "import os\n\ndef rank(scores):\n    for file in range(3, 64):\n        try:\n"
        "            os.write(file, b'{\"ends\": 0, \"error\": null, \"said\": \"\"}\\n')\n        except OSError:\n"
        "            pass\n    return []\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_earns_nothing_and_hurts_no_other_stage(name, solution, release, course):
    text = ATTACKS[name].replace("{reference}", str(course.reference))
    lost = errors(with_answer(solution, text), release, course)
    assert set(lost) == set(CHECKS), lost


def test_a_cell_that_never_ends_is_stopped_and_the_rest_is_graded(solution, release, course, monkeypatch):
    monkeypatch.setattr(judging, "CELL_S", 3.0)
    endless = "def rank(scores):\n    while True:\n        try:\n            sum(range(10**12))\n        except BaseException:\n            pass\n"
    lost = errors(with_answer(solution, endless), release, course)
    assert set(lost) == set(CHECKS)
    assert "did not end in 3 s" in lost["check-rank"][1]


PATCHES = {
    "of math": "import math as m\nm.isclose = lambda *a, **k: True\n",
    "of numpy": "import numpy as mine\nmine.allclose = mine.array_equal = lambda *a, **k: True\n",
    "of the builtins' names": "def all(x):\n    return True\ndef isinstance(a, b):\n    return True\ndef len(x):\n    return 3\n",
    "of an imported name": "math = None\nnp = None\nrefuses = None\n",
    "of a course's class": "FakeClock.spend = lambda self, seconds, name='': None\n",
    "of the clock": "import time\ntime.perf_counter = lambda: 0.0\n",
}  # fmt: skip


def test_patches_in_cells_of_ones_own_change_no_grade(solution, release, course):
    for notebook, lost in ((solution, set()), (release, checks_of(release))):
        for text in PATCHES.values():
            notebook = with_cell(notebook, text)
        assert set(errors(notebook, release, course)) == lost


def test_a_worker_that_does_not_come_up_is_the_graders_fault(release, course, tmp_path):
    notebook, _ = rebuild(copy.deepcopy(release), release)
    with pytest.raises(JudgeError, match="no worker came up"):
        judge(tasks_of(notebook), Course(course.package, tmp_path / "nowhere.py"))


# ---------------------------------------------------------------- rebuilding


def moved(notebook):
    notebook.cells.reverse()


def copied(notebook):
    notebook.cells += copy.deepcopy([cell for cell in notebook.cells if grade_id(cell)])


def without_ids(notebook):
    for cell in notebook.cells:
        cell.metadata = type(cell.metadata)()
        cell.pop("id", None)


def without_checks(notebook):
    notebook.cells = [cell for cell in notebook.cells if not grade_id(cell).startswith(("check-", "hidden-"))]


def rewritten_checks(notebook):
    for cell in notebook.cells:
        if grade_id(cell).startswith("check-"):
            cell.source, cell.metadata.nbgrader.points = "pass", 500


def retyped(notebook):
    for cell in notebook.cells:
        if grade_id(cell).startswith("hidden-"):
            cell.cell_type = "markdown"


@pytest.mark.parametrize("change", [moved, copied, without_ids, without_checks, rewritten_checks, retyped])
def test_a_notebook_in_disorder_is_rebuilt(change, solution, release, course):
    submitted = copy.deepcopy(solution)
    change(submitted)
    assert errors(submitted, release, course) == {}


def test_disorder_alone_earns_nothing(release, course):
    empty = copy.deepcopy(release)
    for change in (rewritten_checks, retyped, copied, moved):
        change(empty)
    assert set(errors(empty, release, course)) == checks_of(release)


def test_a_foreign_notebook_has_no_answers(release):
    foreign = copy.deepcopy(release)
    foreign.cells = [cell for cell in foreign.cells if not grade_id(cell)][:3]
    _, notes = rebuild(foreign, release)
    assert "rank is missing" in notes and len(notes) > 35


def test_a_students_untouched_notebook_gives_nothing_to_note(release):
    handed_in = copy.deepcopy(release)
    for cell in handed_in.cells:
        cell.source = HIDDEN.sub("", cell.source)
    assert rebuild(handed_in, release)[1] == []
    next(cell for cell in handed_in.cells if grade_id(cell) == "check-rank").source = "pass"
    assert rebuild(handed_in, release)[1] == ["check-rank was changed, and is as it was"]


# ---------------------------------------------------------------- screening


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("import gc", "gc"),
        ("x = (1).__class__", "__class__"),
        ("getattr(x, 'a' + 'b')", "getattr"),
        ("f = 'x.__globals__'[2:]; y = '__globals__'", "__globals__"),
        ("math.isclose = None", "math.isclose ="),
        ("def f():\n    return frame.f_back", "f_back"),
    ],
)
def test_what_an_answer_does_not_need_is_named(source, word):
    assert f"uses `{word}`" in objection(source, {"math"})


@pytest.mark.parametrize(
    "source", ["time.perf_counter = clock", "class A:\n    def __init__(self):\n        self.x = 1", "def ("]
)
def test_what_an_answer_needs_is_not(source):
    assert objection(source, {"time"}) is None


def test_no_solution_is_objected_to(whole):
    notebook, _ = rebuild(copy.deepcopy(whole), whole)
    assert [task.name for task in tasks_of(notebook) if task.objection] == []


def test_an_outcome_goes_into_a_notebook(solution):
    outputs = list(outputs_of("words", ("AssertionError", "no")))
    assert [each.output_type for each in outputs] == ["stream", "error"] and json.dumps(outputs)
