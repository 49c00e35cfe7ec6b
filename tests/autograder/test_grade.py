"""A class of thirty, graded in one command: each as expected, whatever the others did; killed and begun again."""

from __future__ import annotations

import contextlib
import copy
import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from nbconvert.filters.markdown import markdown2html

from autograder.__main__ import main
from autograder.course import ASSIGNMENT, STAMP, add_source, make_release, nbgrader_course, read_source
from autograder.grade import read
from autograder.grading import judge as judging
from autograder.grading.storage import make_harmless, replay
from tests.notebook.mistakes import MISTAKES
from tinytorch.export import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
FULL = 85
EVERYBODY = os.environ.get("TINYMLPERF_TEST_EVERYBODY") == "1"  # in the slow tests, too: minutes more
RANK = 3  # points of the stage that most attackers stake


def grade_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def answered(notebook, text, stage="rank"):
    changed = copy.deepcopy(notebook)
    next(cell for cell in changed.cells if grade_id(cell) == stage).source = text
    return changed


def mistaken(notebook, name):
    mistake = next(each for each in MISTAKES if each.name == name)
    cell = next(each for each in notebook.cells if grade_id(each) == mistake.stage)
    return answered(notebook, mistake.make(cell.source), mistake.stage)


def rearranged(notebook, change):
    changed = copy.deepcopy(notebook)
    change(changed)
    return changed


def foreign():
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('hello')")])


def first_of(notebook):
    """Section 1 alone."""
    changed = copy.deepcopy(notebook)
    place = next(at for at, cell in enumerate(changed.cells) if grade_id(cell) == "bootstrap")
    changed.cells = changed.cells[:place]
    return changed


ATTACK_ON_THE_GRADEBOOK = """
import sqlite3, glob
for path in glob.glob('../../../gradebook.db') + ['{course}/gradebook.db']:
    sqlite3.connect(path).execute('UPDATE grade SET manual_score = 100')
def rank(scores):
    return []
"""
ATTACKS = {
    "equal to everything": "class E(list):\n    __eq__ = lambda s, o: True\ndef rank(scores):\n    return E()",
    "no asserts": "import ast\nclass T(ast.NodeTransformer):\n    def visit_Assert(self, node):\n        return None\n"
    "get_ipython().ast_transformers.append(T())\ndef rank(scores):\n    return []",
    "reads the checks": "def rank(scores):\n    return open('{course}/source/tinymlperf/tinymlperf.ipynb').read()",
    "sets grades": ATTACK_ON_THE_GRADEBOOK,
    "forks": "import os\ndef rank(scores):\n    while True:\n        os.fork()",
    "leaves": "import os\nos._exit(0)\ndef rank(scores):\n    return []",
    "5 GB": "def rank(scores):\n    return bytearray(5 << 30)",
    "50 MB": "print('x' * 50_000_000)\ndef rank(scores):\n    return []",
    "syntax": "def rank(scores:\n",
    "endless": "def rank(scores):\n    while True:\n        pass",
    "missing package": "import a_package_that_is_not_there\ndef rank(scores):\n    return []",
}


def the_class(solution, release):
    """Student -> (notebook or bytes, expected points)."""
    reverse, half = (lambda nb: nb.cells.reverse()), (lambda nb: nb.cells.extend(copy.deepcopy(nb.cells[20:60])))

    def without_metadata(notebook):
        for cell in notebook.cells:
            cell.metadata = nbformat.NotebookNode()

    def without_checks(notebook):
        notebook.cells = [cell for cell in notebook.cells if not grade_id(cell).startswith(("check-", "hidden-"))]

    people = {
        "perfect": (solution, FULL),
        "empty": (release, 0),
        "Zoë Ångström-李": (solution, FULL),
        "section one": (first_of(solution), 13),
        "reversed": (rearranged(solution, reverse), FULL),
        "copied cells": (rearranged(solution, half), FULL),
        "no metadata": (rearranged(solution, without_metadata), FULL),
        "no checks": (rearranged(solution, without_checks), FULL),
        "foreign": (foreign(), 0),
        "not a notebook": (b"PK\x03\x04 hello", 0),
        "nothing at all": (b"", 0),
        "tags": (
            rearranged(
                release, lambda nb: [cell.metadata.update(tags=["look", "skip-execution"]) for cell in nb.cells]
            ),
            0,
        ),
    }
    for name, text in ATTACKS.items():
        people[name] = (answered(solution, text), FULL - RANK)
    for name, cost in (
        ("upside down", 2), ("median for mean", 1), ("nats for bits", 3), ("floor ignored", 1), ("weights swapped", 2),
        ("dense ranks", 3), ("ranks failed entries", 2), ("everybody is ranked", 1),
    ):  # fmt: skip
        people[f"mistake {name}"] = (mistaken(solution, name), FULL - cost)
    return people


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The course with everybody's submission in it, and what each is worth."""
    root = tmp_path_factory.mktemp("class")
    add_source(root, read_source())
    with nbgrader_course(root) as api:
        release = nbformat.read(make_release(api, root), as_version=4)
    solution = nbformat.read(root / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", as_version=4)
    people = the_class(solution, release)
    for student, (notebook, _) in people.items():
        folder = root / "submitted" / student / ASSIGNMENT
        folder.mkdir(parents=True)
        text = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
        (folder / f"{ASSIGNMENT}.ipynb").write_bytes(text.replace(b"{course}", str(root).encode()))
    return root, {student: points for student, (_, points) in people.items()}


@pytest.fixture(scope="module")
def graded(made):
    """Graded in one command; its exit code."""
    patience, judging.CELL_S = judging.CELL_S, 4.0
    try:
        return main(["grade", "--course", str(made[0])])
    finally:
        judging.CELL_S = patience


def scores_in(root):
    with nbgrader_course(root, graded=True) as api, api.gradebook as gradebook:
        return {each.student.id: each.score for each in gradebook.assignment_submissions(ASSIGNMENT)}


def test_a_class_of_thirty_is_graded_as_expected(made, graded, record_property):
    root, expected = made
    found = scores_in(root)
    for student, points in expected.items():
        record_property(
            "graded    expected    student", f"{found.get(student, 'none'):>6}    {points:>8}    {student}"
        )
    assert graded == 0 and len(expected) >= 30
    assert {student: found.get(student) for student in expected} == expected


def test_feedback_is_written_for_everybody_and_holds_no_hidden_test(made, graded):
    root, expected = made
    assert (
        main(["feedback", "--course", str(root), "perfect", "empty", "mistake dense ranks", "Zoë Ångström-李"])
        == 0
    )
    source = nbformat.read(root / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", as_version=4)
    hidden = [cell.source.split("\n")[1:-1] for cell in source.cells if grade_id(cell).startswith("hidden-")]
    shown = "\n".join(cell.source for cell in source.cells if not grade_id(cell).startswith("hidden-"))
    secret = {line.strip() for lines in hidden for line in lines if len(line.strip()) > 40} - set(
        shown.split("\n")
    )
    for student in ("empty", "mistake dense ranks"):
        page = (root / "feedback" / student / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text()
        assert not [line for line in secret if line in page and line not in shown]
    assert "comes rank 3, not 2" in page


def test_markup_in_a_students_text_does_not_run():
    text = (
        "a < b, <script>alert(1)</script> <b onclick='x()'> [c](javascript:alert(2)) [d][e]\n\n[e]: javascript:x()"
    )
    answer = {"nbgrader": {"solution": True}}
    kinds = [("markdown", {"own": True}), ("markdown", answer), ("raw", {"own": True})]
    cells = [{"cell_type": kind, "metadata": metadata, "source": text} for kind, metadata in kinds]
    notebook = nbformat.from_dict({"cells": cells})
    make_harmless(notebook)
    for cell in notebook.cells:
        assert (cell.cell_type, cell.source.count("<")) == ("markdown", 1), "what is no tag stays"
        assert "href" not in markdown2html(cell.source) and "[c] (javascript" in cell.source


def test_a_second_run_changes_nothing_and_judges_nothing(made, graded, monkeypatch):
    root, expected = made
    monkeypatch.setattr("autograder.grade.judgement_of", None)  # would fail if it were called
    assert main(["grade", "--course", str(root)]) == 0
    assert scores_in(root) == expected


def test_grades_go_into_a_table_with_competition_points_by_the_rule(made, graded, tmp_path):
    from tinytorch.perf.checks import toy_submission
    from tinytorch.perf.store import Store

    board, teams, out = tmp_path / "board.sqlite", tmp_path / "teams.csv", tmp_path / "grades.csv"
    store = Store(board)
    official = dict(toy_submission("Owls", 2.0)) | {"event_name": "mlp_sprint", "mode": "official"}
    store.append(official | {"medal": "silver"})
    store.append(official | {"event_name": "cnn_marathon", "medal": None})
    store.append(official | {"event_name": "transformer_decathlon", "medal": "gold", "mode": "practice"})
    teams.write_text("student,team\nperfect,OWLS\nempty,Cats\n")
    command = ["export", str(out), "--course", str(made[0]), "--form", "moodle", "--board", str(board)]
    assert main([*command, "--teams", str(teams)]) == 0
    with out.open(newline="") as file:
        rows = {row["Username"]: row for row in csv.DictReader(file)}
    assert (rows["perfect"]["TinyMLPerf"], rows["perfect"]["TinyMLPerf competition"]) == ("85.0", "4")
    assert rows["empty"]["TinyMLPerf competition"] == "0"
    assert main(command) == 2, "what is there is not overwritten"


def test_a_grader_that_is_killed_five_times_and_begun_again_gives_the_same_grades(made, graded, tmp_path):
    root, expected = made
    chosen = ["empty", "section one", "mistake dense ranks"]
    again = part_of(root, tmp_path / "again", chosen)
    command = [sys.executable, "-m", "autograder", "grade", "--course", str(again), "--workers", "1"]
    moments = [random.uniform(1, 8) for _ in range(5)]
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert scores_in(again) == {student: expected[student] for student in chosen}, f"killed after {moments} s"
    with closing(sqlite3.connect(again / "gradebook.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_each_day_begun_after_the_due_date_costs_a_tenth(made, graded, tmp_path, capsys):
    root, expected = made
    days = {"perfect": 0.0, "empty": 9.0, "mistake dense ranks": 1.4}
    course = part_of(root, tmp_path / "late", days)
    due = datetime(2026, 12, 1, 17, tzinfo=UTC)
    for student, late in days.items():
        stamp = course / "submitted" / student / ASSIGNMENT / STAMP
        stamp.write_text(f"{due + timedelta(days=late):%Y-%m-%d %H:%M:%S} UTC")
    grade = ["grade", "--course", str(course)]
    assert main([*grade, "--due", "2026-12-01T18:00+01:00"]) == 0
    late = expected["mistake dense ranks"] * 0.8
    assert f"{late:g}   " in capsys.readouterr().out
    table = tmp_path / "grades.csv"
    assert main(["export", str(table), "--course", str(course)]) == 0
    with table.open(newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == pytest.approx({"perfect": FULL, "empty": 0, "mistake dense ranks": late})
    assert main([*grade, "--late", "100", "--late-most", "100"]) == 0
    assert "points lost, day 2 after the due date" in capsys.readouterr().out, "the date is in the gradebook"
    assert main(grade) == 0 and "mistake dense ranks                0   " in capsys.readouterr().out, (
        "and the rule"
    )
    with nbgrader_course(course, graded=True) as api, api.gradebook as gradebook:
        gradebook.grant_extension(ASSIGNMENT, "mistake dense ranks", days=2)
    assert main(grade) == 0
    assert f"{expected['mistake dense ranks']:g}   " in capsys.readouterr().out, (
        "an extension gives the points back"
    )


def test_nbgraders_own_autograde_would_store_the_same(made, graded, tmp_path):
    """Given the same notebooks and, in the place of a kernel, the same outcomes."""
    from nbgrader.converters.autograde import Autograde
    from nbgrader.preprocessors import Execute, NbGraderPreprocessor

    root, chosen = made[0], ["perfect", "empty", "syntax", "mistake dense ranks"]
    course = part_of(root, tmp_path / "theirs", chosen)
    judged = {student: json.loads((root / "judged" / f"{student}.json").read_text()) for student in chosen}

    class Replayed(NbGraderPreprocessor):
        def preprocess(self, notebook, resources):
            replay(notebook, judged[resources["nbgrader"]["student"]]["outcomes"])
            return notebook, resources

    with nbgrader_course(course) as api:
        make_release(api, course)
        steps = Autograde.autograde_preprocessors.default()
        api.config.Autograde.autograde_preprocessors = [Replayed if step is Execute else step for step in steps]
        for student, judgement in judged.items():
            (course / "submitted" / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb").write_text(judgement["notebook"])
            assert api.autograde(ASSIGNMENT, student)["success"]
    for student in chosen:
        assert stored(course, student) == stored(root, student), student


def stored(root, student):
    """All that a gradebook and the folder beside it hold of one submission."""
    with nbgrader_course(root, graded=True) as api, api.gradebook as gradebook:
        row = gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, student)
        grades = {each.name: (each.auto_score, bool(each.needs_manual_grade), each.score) for each in row.grades}
        comments = {each.name: each.comment for each in row.comments}
    page = nbformat.read(root / "autograded" / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", as_version=4)
    cells = [(cell.source, cell.get("outputs"), cell.metadata.get("nbgrader")) for cell in page.cells]
    return grades, comments, cells


def part_of(root, folder, students):
    """A course of its own with some of the submissions."""
    for name in ("source", "release"):
        shutil.copytree(root / name, folder / name)
    for student in students:
        shutil.copytree(root / "submitted" / student, folder / "submitted" / student)
    return folder


@pytest.mark.skipif(
    "TINYMLPERF_TEST_GRADEBOOK" not in os.environ, reason="TINYMLPERF_TEST_GRADEBOOK names no database"
)
def test_the_gradebook_may_live_in_postgresql(made, tmp_path, monkeypatch):
    root, expected = made
    monkeypatch.setenv("TINYMLPERF_GRADEBOOK", os.environ["TINYMLPERF_TEST_GRADEBOOK"])
    chosen = list(expected) if EVERYBODY else ["Zoë Ångström-李", "sets grades"]
    course = part_of(root, tmp_path / "course", chosen)
    assert main(["grade", "--course", str(course)]) == 0
    assert scores_in(course) == {student: expected[student] for student in chosen}
    assert not (course / "gradebook.db").exists()


def test_a_dask_scheduler_may_be_a_process_of_its_own(made, tmp_path):
    root, expected = made
    chosen = list(expected) if EVERYBODY else ["perfect", "mistake dense ranks"]
    course = part_of(root, tmp_path / "course", chosen)
    with dask_cluster(tmp_path) as address:
        assert main(["grade", "--course", str(course), "--scheduler", address]) == 0
    assert scores_in(course) == {student: expected[student] for student in chosen}


@contextlib.contextmanager
def dask_cluster(folder):
    """A scheduler and two workers, each a process, as on machines of their own."""
    place = folder / "scheduler.json"
    scheduler = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--scheduler-file",
        str(place),
        "--port",
        "0",
    ]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        "--scheduler-file",
        str(place),
        "--nthreads",
        "1",
    ]
    commands = [[*scheduler, "--no-dashboard"], *[[*worker, "--no-dashboard", "--no-nanny"]] * 2]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for command in commands]
    try:
        while not place.is_file() or not place.read_text():
            assert started[0].poll() is None, "the scheduler ended"
        yield json.loads(place.read_text())["address"]
    finally:
        for process in started:
            process.terminate()
            process.wait()


@pytest.mark.parametrize(
    ("text", "cells", "words"),
    [
        ("", 0, "no notebook"),
        ("[]", 0, "no notebook"),
        ('{"cells": 7}', 0, "no notebook"),
        (
            '{"cells": [{"cell_type": "code", "metadata": {}, "source": ["a = 1\\n", "b"]}, 3, {}]}',
            1,
            "2 cells are none",
        ),
        ('{"cells": ' + "[" * 100_000, 0, "no notebook"),
    ],
)
def test_whatever_is_handed_in_is_read(text, cells, words):
    notebook, notes = read(text)
    assert len(notebook.cells) == cells and words in notes[0]


def test_nothing_to_grade_says_what_to_do(tmp_path, capsys):
    assert main(["grade", "--course", str(tmp_path)]) == 2
    assert "collect it first" in capsys.readouterr().err


def test_the_doctor_finds_this_machine_fit(tmp_path, capsys):
    assert main(["doctor", "--course", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "MEND" not in out and "jail of level" in out and "gradebook.db" in out
