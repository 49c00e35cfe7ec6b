"""Reads a student's cell before it runs, and names what has no business in an answer.

Code that looks into frames, closures, the collector or the interpreter could read the checks or the reference,
which live in the same process. Such a cell is not run; the student is told which word it was. Does not: run
anything, or guard what a name is bound to at run time (worker does).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable

NAMES = frozenset(
    "__import__ breakpoint builtins codecs compile ctypes delattr dir eval exec gc globals importlib inspect "
    "locals marshal pickle runpy sys threading multiprocessing subprocess traceback vars __builtins__ "
    "_tinymlperf_reference".split()
)
DUNDERS = frozenset(
    "__init__ __call__ __enter__ __exit__ __iter__ __len__ __getitem__ __name__ __doc__ __main__ __post_init__ "
    "__repr__ __contains__ __next__".split()
)
FRAMES = ("f_", "tb_", "gi_", "cr_", "ag_", "co_")
GIVEN = frozenset({"given", "refuses", "checks", "CheckError"})  # a check's, never an answer's


def objection(source: str, protected: Collection[str] = ()) -> str | None:
    """Why a cell is not run, in words for the student; None where nothing speaks against it.

    Args:
        protected: names that the course's own cells bind (modules, classes, functions): an answer may use them and
            must not change them. `time.perf_counter` is for cheat 3 to change.

    A cell that is no Python is nothing to object to: it will say so itself.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        word = _word(node) or _changed(node, protected)
        if word:
            line = getattr(node, "lineno", 0)
            return (
                f"line {line} uses `{word}`, which an answer does not need and the grader does not run; "
                f"write it in another way, or ask your instructor"
            )
    return None


def _word(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id if node.id in NAMES | GIVEN or _hidden(node.id) else None
    if isinstance(node, ast.Attribute):
        return (
            node.attr
            if _hidden(node.attr) or node.attr.startswith(FRAMES) or node.attr == "benchmarking"
            else None
        )
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return _imported(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr"):
        name = node.args[1] if len(node.args) > 1 else None
        plain = isinstance(name, (ast.Constant, ast.Name)) and not (
            isinstance(name, ast.Constant) and _hidden(str(name.value))
        )
        return None if plain else node.func.id
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _hidden(node.value):
        return node.value
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name if _hidden(node.name) else None
    return None


def _changed(node: ast.AST, protected: Collection[str]) -> str | None:
    """An attribute of something protected that is assigned to or deleted."""
    stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del))
    if stored and isinstance(node.value, ast.Name) and node.value.id in protected:  # type: ignore[attr-defined]
        place = f"{node.value.id}.{node.attr} ="  # type: ignore[attr-defined]
        return None if place == "time.perf_counter =" else place
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr" and node.args:
        return "setattr" if isinstance(node.args[0], ast.Name) and node.args[0].id in protected else None
    return None


def names_bound(sources: Iterable[str]) -> set[str]:
    """Names that cells bind at their top level: imports, functions, classes, variables."""
    found: set[str] = set()
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found |= {
                    each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)
                }
    return found


def _hidden(name: str) -> bool:
    """A name between double underscores that an answer has no use for."""
    return name.startswith("__") and name.endswith("__") and name not in DUNDERS and len(name) > 4


def _imported(node: ast.Import | ast.ImportFrom) -> str | None:
    modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    names = [alias.name for alias in node.names]
    for word in [*modules, *names]:
        parts = word.split(".")
        if NAMES & set(parts) or "benchmarking" in parts or "checks" in parts or GIVEN & set(parts):
            return word
    return None
