"""The notebook as a class and its grader see it: solutions emptied or changed, cells run, points given.

nbgrader's rules in one process: cells run from top to bottom in one namespace, an error ends its cell and no
more, a check without an error earns its points. Cells tagged `look` are left out unless asked for.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinytorch.export import Cell, read_cells

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "modules/20_tinymlperf/tinymlperf.py"
REFERENCE = ROOT / "tinytorch/core/benchmarking.py"
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION", re.DOTALL | re.MULTILINE)

Edit = Callable[[str], str]


@dataclass(frozen=True)
class Grade:
    """What became of one check."""

    grade_id: str
    points: float
    message: str | None  # of the error; None where the check holds

    @property
    def earned(self) -> float:
        return 0.0 if self.message is not None else self.points


def cells() -> list[Cell]:
    """The notebook's cells with its solutions."""
    return read_cells(SOURCE)


def nbgrader_of(cell: Cell) -> Mapping[str, Any]:
    return cell.metadata.get("nbgrader", {})


def is_solution(cell: Cell) -> bool:
    """A code cell that the student fills in."""
    return cell.kind == "code" and bool(nbgrader_of(cell).get("solution"))


def is_check(cell: Cell) -> bool:
    """A code cell that is graded by running it."""
    return cell.kind == "code" and bool(nbgrader_of(cell).get("grade"))


def stage_of(check_id: str) -> str:
    """The solution cell that a check belongs to."""
    return re.sub(r"^(check|hidden)-", "", check_id)


def emptied(source: str) -> str:
    """A solution cell as the release has it."""
    return SOLUTION.sub(r"\1# YOUR CODE HERE\n\1raise NotImplementedError()", source)


def up_to(book: Sequence[Cell], stage: str) -> Sequence[Cell]:
    """The notebook as far as the last check of a stage."""
    checks = (
        place for place, cell in enumerate(book) if is_check(cell) and stage_of(cell.grade_id or "") == stage
    )
    return book[: max(checks) + 1]


def play(
    book: Sequence[Cell], edits: Mapping[str, Edit] | None = None, without: Collection[str] = ()
) -> list[Grade]:
    """Run the notebook with some cells changed; the grade of each check, in order.

    Args:
        book: cells of the notebook.
        edits: what becomes of a cell's source, by its grade_id.
        without: grade_ids of checks that are left out.
    """
    edits, namespace, grades = dict(edits or {}), {"__name__": "__main__"}, []
    with reference_at(REFERENCE), untouched_process():
        for cell in book:
            name = cell.grade_id or ""
            if cell.kind != "code" or "look" in cell.metadata.get("tags", ()) or name in without:
                continue
            if name in edits:
                cell = replace(cell, source=edits.pop(name)(cell.source))
            message = run(cell, namespace)
            if is_check(cell):
                grades.append(Grade(name, nbgrader_of(cell)["points"], message))
    if edits:
        raise KeyError(f"the notebook has no cells {sorted(edits)}")
    return grades


def run(cell: Cell, namespace: dict[str, Any]) -> str | None:
    """Run one cell; the last line of its traceback if it fails."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in a kernel a warning is no error
            exec(compile(cell.source, f"<{cell.where()}>", "exec"), namespace)  # what a kernel does
    except Exception as error:
        return traceback.format_exception_only(error)[-1].strip()
    return None


@contextlib.contextmanager
def reference_at(path: Path) -> Iterator[None]:
    """Where checks find what earlier stages should have given."""
    before = os.environ.get("TINYMLPERF_REFERENCE")
    os.environ["TINYMLPERF_REFERENCE"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TINYMLPERF_REFERENCE"]
        else:
            os.environ["TINYMLPERF_REFERENCE"] = before


@contextlib.contextmanager
def untouched_process() -> Iterator[None]:
    """A student's cell may leave a patched clock behind."""
    clock = time.perf_counter
    try:
        yield
    finally:
        time.perf_counter = clock
