"""What every cell of the notebook keeps to: ids, points, sizes, markers, prints."""

from __future__ import annotations

import ast
import re
import statistics

import pytest

from tests.notebook.classroom import SOLUTION, cells, emptied, is_check, is_solution, nbgrader_of, stage_of

BOOK = cells()
CODE = [cell for cell in BOOK if cell.kind == "code"]
GRADED = [cell for cell in BOOK if nbgrader_of(cell)]
MOST_LINES, MOST_SOLUTION_LINES, MEDIAN_LINES = 40, 25, 15
KINDS = {  # grade, locked, solution: what nbgrader calls them
    (False, True, False): "given",
    (False, False, True): "solution",
    (True, True, False): "check",
    (True, False, True): "question",
}


def name(cell):
    return cell.grade_id or f"cell-{cell.number}"


def code_lines(source):
    """Lines of code, without comments, docstrings and blank lines."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    strings = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            strings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.split("\n"), start=1)
    return [line for place, line in lines if line.strip() and line.strip()[0] != "#" and place not in strings]


def solutions(cell):
    return [found.group().split("\n")[1:-1] for found in SOLUTION.finditer(cell.source)]


def test_the_autograded_and_the_manual_points_add_up_to_100():
    points = {name(cell): nbgrader_of(cell)["points"] for cell in GRADED if nbgrader_of(cell)["grade"]}
    manual = sum(each for cell, each in points.items() if not cell.startswith(("check-", "hidden-")))
    assert (sum(points.values()), manual) == (100, 15)


@pytest.mark.parametrize("cell", GRADED, ids=name)
def test_metadata_are_those_of_nbgraders_schema(cell):
    own = nbgrader_of(cell)
    kind = KINDS[own["grade"], own["locked"], own["solution"]]
    points = {"points"} if own["grade"] else set()
    assert set(own) == {"grade", "grade_id", "locked", "schema_version", "solution", "task"} | points, kind
    assert own["schema_version"] == 3 and own["task"] is False
    assert (cell.kind == "markdown") == (kind == "question")
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,40}", own["grade_id"])


def test_no_id_stands_twice():
    ids = [cell.grade_id for cell in GRADED]
    assert len(set(ids)) == len(ids)


def test_each_check_belongs_to_a_solution_above_it():
    seen = set()
    for cell in GRADED:
        if is_solution(cell):
            seen.add(cell.grade_id)
        if is_check(cell):
            assert cell.grade_id.startswith(("check-", "hidden-")) and stage_of(cell.grade_id) in seen


def test_each_solution_has_a_visible_check():
    checks = {cell.grade_id for cell in CODE if is_check(cell)}
    for cell in filter(is_solution, CODE):
        assert f"check-{cell.grade_id}" in checks


@pytest.mark.parametrize("cell", [cell for cell in CODE if is_check(cell)], ids=name)
def test_a_hidden_test_is_a_cell_of_its_own(cell):
    lines = cell.source.split("\n")
    marks = [lines[0] == "### BEGIN HIDDEN TESTS", lines[-1] == "### END HIDDEN TESTS"]
    assert marks == [cell.grade_id.startswith("hidden-")] * 2
    assert cell.source.count("HIDDEN TESTS") == sum(marks)


@pytest.mark.parametrize("cell", [cell for cell in CODE if is_check(cell)], ids=name)
def test_a_check_says_what_is_wrong(cell):
    asserts = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assert)]
    bare = [node.lineno for node in asserts if node.msg is None]
    assert not bare, f"lines {bare} assert without a message"


@pytest.mark.parametrize("cell", CODE, ids=name)
def test_no_cell_is_too_long(cell):
    assert len(code_lines(cell.source)) <= MOST_LINES
    for lines in solutions(cell):
        assert len([line for line in lines if line.strip()]) <= MOST_SOLUTION_LINES


def test_half_of_the_cells_have_less_than_15_lines():
    assert statistics.median(len(code_lines(cell.source)) for cell in CODE) < MEDIAN_LINES


@pytest.mark.parametrize("cell", CODE, ids=name)
def test_a_cell_gives_a_value_and_does_not_print(cell):
    calls = [node.func for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    assert "print" not in [call.id for call in calls if isinstance(call, ast.Name)]


@pytest.mark.parametrize("cell", list(filter(is_solution, CODE)), ids=name)
def test_a_solution_cell_without_its_solution_is_still_python(cell):
    assert solutions(cell)
    stub = emptied(cell.source)
    ast.parse(stub)
    assert "SOLUTION" not in stub and stub.count("raise NotImplementedError()") == len(solutions(cell))


@pytest.mark.parametrize("cell", [cell for cell in GRADED if cell.kind == "markdown"], ids=name)
def test_a_question_has_a_rubric_for_the_instructor(cell):
    (rubric,) = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL)
    assert "For the instructor" in rubric
    if rubric.count("One point for each") == 1:
        return
    parts = [int(points) for points in re.findall(r"\([a-d]\) (\d+) points? ?", rubric)]
    assert sum(parts) == nbgrader_of(cell)["points"], "each part of the answer has its points, and they add up"


def test_a_cell_that_only_looks_is_not_exported_or_graded():
    for cell in CODE:
        if "look" in cell.metadata.get("tags", ()):
            assert not nbgrader_of(cell) and "#| export" not in cell.source
