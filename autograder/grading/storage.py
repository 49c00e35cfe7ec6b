"""A judged notebook in nbgrader's gradebook and its folder `autograded`, by nbgrader's own rules.

What `nbgrader autograde` would store after running the notebook (a test compares the two), in one transaction
instead of one for every cell: of the class's one writer that was a second a notebook. Does not: judge, or run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.course import ASSIGNMENT

TAG, LINK = re.compile(r"<(?=[a-zA-Z/!?])"), re.compile(r"\](?=[(:\[])")


class StorageError(RuntimeError):
    """The gradebook holds another release than the one that was judged."""


def store(gradebook: Any, course: Path, student: str, judgement: Mapping[str, Any]) -> None:
    """Points and comments of every cell, and the notebook with what came of its cells.

    Raises:
        StorageError: the gradebook does not know the notebook's cells.
    """
    import nbformat

    notebook = nbformat.reads(judgement["notebook"], as_version=4)
    replay(notebook, judgement["outcomes"])
    gradebook.update_or_create_student(student)
    gradebook.update_or_create_submission(ASSIGNMENT, student)
    row = gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, student)
    _mark(row, notebook)
    if any(note.startswith("no notebook") for note in judgement["notes"]):
        for comment in row.comments:
            comment.auto_comment = "Your file could not be read as a notebook: hand it in again."
    make_harmless(notebook)
    page = course / "autograded" / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    page.parent.mkdir(parents=True, exist_ok=True)
    part = page.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, page)
    gradebook.db.commit()


def replay(notebook: Any, outcomes: Mapping[str, Any]) -> None:
    """Every cell's outcome, as it was judged before, as its output: an error, or what it printed."""
    for number, told in outcomes.items():
        cell = notebook.cells[int(number)]
        cell.outputs = list(outputs_of(told["said"], told["error"]))
        cell.execution_count = int(number) + 1


def outputs_of(said: str, error: Sequence[str] | None) -> Iterator[Any]:
    """A notebook's outputs for an outcome: what a cell printed, and name and message of its error."""
    from nbformat.v4 import new_output

    if said:
        yield new_output("stream", name="stdout", text=said)
    if error is not None:
        name, message = error
        yield new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])


def make_harmless(notebook: Any) -> None:
    """Tags and links in a student's own text become text: teachers open the page, and nothing in it may run."""
    for cell in notebook.cells:
        theirs = cell.metadata.get("own") or (cell.metadata.get("nbgrader") or {}).get("solution")
        if cell.cell_type != "code" and theirs:
            cell.cell_type, cell.source = "markdown", LINK.sub("] ", TAG.sub("&lt;", cell.source))


def _mark(submitted: Any, notebook: Any) -> None:
    """Points by nbgrader's rule for a cell and its outputs; a teacher's own stay, and are asked for again."""
    from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution

    released = {cell.name: cell.checksum for cell in submitted.notebook.source_cells}
    cells = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
    if cells.keys() != released.keys():
        differing = ", ".join(sorted(cells.keys() ^ released.keys()))
        raise StorageError(
            f"gradebook and notebook differ in {differing}: make the release again, `python -m autograder release`"
        )
    for name, cell in cells.items():
        cell.metadata.nbgrader["checksum"] = released[name]  # by which an answer that was not touched is known
    rows = submitted.notebook
    every = *rows.grade_cells, *rows.solution_cells, *rows.task_cells  # three queries instead of one a grade
    named = {row.id: row.name for row in every}
    for grade in submitted.grades:
        cell = cells[named[grade.cell_id]]
        if is_grade(cell):
            grade.auto_score = determine_grade(cell)[0]
            grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
    for comment in submitted.comments:
        cell = cells[named[comment.cell_id]]
        untouched = is_solution(cell) and cell.metadata.nbgrader.checksum == compute_checksum(cell)
        comment.auto_comment = "No response." if untouched else None
