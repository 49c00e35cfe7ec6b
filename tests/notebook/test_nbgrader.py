"""The notebook through nbgrader itself: released, validated, autograded, given back; in its own words."""

from __future__ import annotations

import copy
import io
import logging
import re

import nbformat
import pytest

from autograder.course import ASSIGNMENT, add_source, make_release, nbgrader_course, read_source, settings
from tests.notebook.mistakes import MISTAKES

AUTOGRADED = 85
OURS_TO_EXPECT = re.compile(r"Attribute 'checksum' for cell hidden-[a-z-]+ has changed!")  # hidden tests came back
DENSE = next(mistake for mistake in MISTAKES if mistake.name == "dense ranks")


def cell_of(notebook, grade_id):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def with_a_mistake(notebook):
    cell = cell_of(notebook, DENSE.stage)
    cell.source = DENSE.make(cell.source)
    return notebook


def with_tags_on_the_checks(notebook):
    for cell in notebook.cells:
        cell.metadata["tags"] = ["look", "skip-execution", "raises-exception"]
    return notebook


class Ears(logging.Handler):
    """Keeps what is said, from warnings on."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.heard = []

    def emit(self, record):
        self.heard.append(record.getMessage())


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with four submissions, graded and given back; everything nbgrader said on the way."""
    root = tmp_path_factory.mktemp("course")
    add_source(root, read_source())
    ears = Ears()
    with nbgrader_course(root) as api:
        api.log.addHandler(ears)
        release = nbformat.read(make_release(api, root), as_version=4)
        solution = nbformat.read(root / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", as_version=4)
        handed_in = {
            "ada": solution,
            "ben": release,
            "cem": with_a_mistake(copy.deepcopy(solution)),
            "dag": with_tags_on_the_checks(copy.deepcopy(release)),
        }
        for student, notebook in handed_in.items():
            folder = root / "submitted" / student / ASSIGNMENT
            folder.mkdir(parents=True)
            nbformat.write(notebook, folder / f"{ASSIGNMENT}.ipynb")
            for step in (api.autograde, api.generate_feedback):
                result = step(ASSIGNMENT, student)
                assert result["success"], result
        with api.gradebook as gradebook:
            yield root, scores_of(gradebook, handed_in), ears.heard


def scores_of(gradebook, students):
    """Points of each check that was not held, and the total, by student."""
    found = {}
    for student in students:
        notebook = gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, student)
        lost = {grade.name: grade.max_score for grade in notebook.grades if not grade.score}
        found[student] = notebook.score, lost
    return found


def test_the_solution_earns_every_autograded_point_and_the_release_none(course):
    _, scores, _ = course
    assert scores["ada"][0] == AUTOGRADED
    assert set(scores["ada"][1]) == {"reflect-evening", "reflect-weights", "reflect-steps", "design-a-cheat"}
    assert scores["ben"][0] == 0


def test_a_mistake_costs_points_in_its_own_stage_alone(course):
    _, scores, _ = course
    lost = {check for check in scores["cem"][1] if check.startswith(("check-", "hidden-"))}
    assert lost and lost <= {f"check-{DENSE.stage}", f"hidden-{DENSE.stage}"}


def test_a_check_cannot_be_left_out_by_a_tag(course):
    _, scores, _ = course
    assert scores["dag"][0] == 0


def test_nbgrader_says_nothing_that_is_of_our_making(course):
    _, _, said = course
    assert said, "hidden tests that come back are told"
    assert [line for line in said if not OURS_TO_EXPECT.search(line)] == []


def test_every_student_gets_feedback_with_the_words_of_the_checks(course):
    root, scores, _ = course
    for student in scores:
        page = (root / "feedback" / student / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text()
        assert f"{ASSIGNMENT} (Score: {scores[student][0]:.1f} / 100.0)" in page
    assert DENSE.words in (root / "feedback" / "cem" / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text()


def test_validate_passes_the_solution_and_tells_what_the_release_lacks(course, tmp_path):
    from nbgrader.validator import Validator

    root, _, _ = course
    for folder, words in (("source", "Success!"), ("release", "VALIDATION FAILED")):
        said = io.StringIO()
        validator = Validator(config=settings(root, tmp_path))
        validator.stream = said
        validator.validate_and_print(str(root / folder / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"))
        assert words in said.getvalue()
