"""The notebook that is graded: the release's cells, the student's answers in them, their own cells between.

Whatever was deleted, copied, moved, retyped, renamed or locked open is undone. An answer is known by its
grade_id; where the metadata are gone, by the functions and classes that a cell defines. Does not: run or judge
anything.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

OURS = ("nbgrader", "tags")
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", re.DOTALL)


def rebuild(submitted: Any, release: Any) -> tuple[Any, list[str]]:
    """The notebook to grade, and what was put right.

    Args:
        submitted: what the student handed in, a notebook of nbformat 4.
        release: the notebook that students got.
    """
    import copy

    rebuilt, notes = copy.deepcopy(release), []
    solutions = {_id(cell): cell for cell in rebuilt.cells if _is_solution(cell)}
    known = {_id(cell): cell for cell in release.cells if _id(cell)}
    given = {cell.source for cell in release.cells}
    answers: dict[str, str] = {}
    extra: dict[str, list[Any]] = {}
    last = ""
    for cell in submitted.cells:
        name = _id(cell) if _id(cell) in known else _by_definitions(cell, solutions)
        if name in solutions:
            last = name
            if (
                cell.source != solutions[name].source or name not in answers
            ):  # of copies, the last that was worked on
                notes += [f"a second copy of {name}"] if name in answers else []
                answers[name] = cell.source
        elif name:
            last = name
            notes += (
                []
                if cell.source.strip() in _as_released(known[name])
                else [f"{name} was changed, and is as it was"]
            )
        elif cell.source.strip() and cell.source not in given:
            extra.setdefault(last, []).append(_plain(cell))
    notes += [f"{name} is missing" for name in solutions if name not in answers]
    cells: list[Any] = list(extra.get("", []))
    for cell in rebuilt.cells:
        if _id(cell) in answers:
            cell.source = answers[_id(cell)]
        cells += [cell, *(extra.get(_id(cell), []) if _id(cell) else [])]
    rebuilt.cells = _clean(cells)
    return rebuilt, notes


def _id(cell: Any) -> str:
    return str((cell.metadata.get("nbgrader") or {}).get("grade_id", ""))


def _as_released(cell: Any) -> tuple[str, str]:
    """What a student may have in a cell of ours: its source, or what is left of it without hidden tests."""
    return cell.source.strip(), HIDDEN.sub("", cell.source).strip()


def _is_solution(cell: Any) -> bool:
    return bool((cell.metadata.get("nbgrader") or {}).get("solution"))


def _by_definitions(cell: Any, solutions: dict[str, Any]) -> str:
    """The solution cell that defines the same functions and classes; "" where there is none."""
    names = _defined(cell)
    return next((name for name, each in solutions.items() if names and _defined(each) == names), "")


def _defined(cell: Any) -> Sequence[str]:
    if cell.cell_type != "code":
        return ()
    try:
        body = ast.parse(cell.source).body
    except (SyntaxError, ValueError):
        return ()
    return tuple(node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef)))


def _plain(cell: Any) -> Any:
    """A cell of the student's own, which is worth nothing and claims nothing."""
    cell.metadata["own"] = True
    for key in OURS:
        cell.metadata.pop(key, None)
    return cell


def _clean(cells: Sequence[Any]) -> list[Any]:
    for number, cell in enumerate(cells):
        cell["id"] = f"c{number:04d}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.pop("outputs", None)
            cell.pop("execution_count", None)
    return list(cells)
