"""From the percent notebook to its two copies: `tinytorch/core/benchmarking.py` and the paired `.ipynb`.

    python -m tinytorch.export                      write both copies
    python -m tinytorch.export --check              write nothing, exit 1 if a copy is stale
    python -m tinytorch.export --notebook MY.ipynb  put your own notebook's code into the package
    python -m tinytorch.export --reference          put the reference back, touch no notebook
    python -m tinytorch.export --remove             take the module out (a student's folder has no reference)
    python -m tinytorch.export ... --to DIR         write the module into another clone of the package

The notebook says what goes into the package in nbdev's spelling: one cell with `#| default_exp core.NAME`,
and `#| export` as the first line of each exported cell. In the module

* imports are gathered at the top (so nothing can be set before one), and what an exported cell does besides
  importing and defining is refused;
* `### BEGIN SOLUTION` and `### END SOLUTION` lines are gone;
* a method that a later cell gives to a class with `@add_method(Class)` stands inside the class, comments
  and all, so that readers, documentation and mypy see an ordinary class;
* the docstring is an exported cell that holds nothing but a string, else the notebook's title and first
  paragraph; `__all__` is every public name that the cells define.

The text comes out as `ruff format` would leave it, if the notebook is formatted: nothing is reflowed, only
moved. Comments above or beside an import stay in the notebook.

The module is made with the standard library alone, so that a student needs nothing but Python to export.
That is why percent files are read by a strict parser of our own; jupytext makes the `.ipynb`, and whatever
the two read differently is an error.

Does not: run a cell, import what it writes, format code or grade it.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import difflib
import hashlib
import inspect
import io
import itertools
import json
import os
import re
import shlex
import symtable
import sys
import textwrap
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path("modules/20_tinymlperf/tinymlperf.py")
MODULE = "core.benchmarking"  # what it says itself; asked only where it is not there
GENERATED = "# GENERATED from "
COMMAND = ("python", "-m", "tinytorch.export")
LINE_LENGTH = 115  # ruff's, in pyproject.toml

# What the notebook opens with. The last filter keeps jupytext's own version out of the file: with it, each
# upgrade of jupytext would make every copy stale.
HEADER = """\
# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: nbgrader,tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---
"""

Method = TypeVar("Method")


class ExportError(ValueError):
    """The notebook cannot be exported, or its copy cannot be written: says where, why, and what to do."""


def add_method(cls: type) -> Callable[[Method], Method]:
    """Give `cls` one more method from a later cell of the notebook; the exporter moves it into the class."""

    def attach(method: Method) -> Method:
        function: Any = getattr(method, "fget", method)  # a property keeps its name in there
        setattr(cls, function.__name__, method)
        return method

    return attach


# ------------------------------------------------------------------ from text to cells


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook, as it was written."""

    kind: str  # "code", "markdown" or "raw"
    source: str
    metadata: Mapping[str, Any]
    line: int  # number of its first line in the percent file; 1 in an .ipynb, whose cells count by themselves
    number: int  # in the notebook, from 1

    @property
    def grade_id(self) -> str | None:
        return self.metadata.get("nbgrader", {}).get("grade_id")

    def where(self, lineno: int = 1) -> str:
        """The `lineno`-th line of this cell, in words."""
        name = f"cell '{self.grade_id}'" if self.grade_id else f"cell number {self.number}"
        return f"{name}, line {self.line + lineno - 1}"


def read_cells(path: Path) -> list[Cell]:
    """Cells of a notebook, by its suffix: `.ipynb`, else a percent script."""
    return (parse_ipynb if path.suffix == ".ipynb" else parse_percent)(_read(path))


def parse_ipynb(text: str) -> list[Cell]:
    """Cells of a notebook in Jupyter's own format (nbformat 4)."""
    try:
        entries = json.loads(text)["cells"]
        return [_cell_of_ipynb(entry, number) for number, entry in enumerate(entries, start=1)]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(
            f"not a notebook of nbformat 4 ({type(error).__name__}: {error}); save it again in Jupyter"
        ) from error


def _cell_of_ipynb(entry: Mapping[str, Any], number: int) -> Cell:
    source = "".join(entry["source"]).replace("\r\n", "\n")  # a list of lines, or one string
    return Cell(entry["cell_type"], source, entry.get("metadata", {}), line=1, number=number)


def parse_percent(text: str) -> list[Cell]:
    """Cells of a percent script: an optional `# ---` header, then `# %%`, `# %% [markdown]` or `# %% [raw]`.

    A marker may carry metadata as `key=JSON`. Stricter than jupytext: titles, code above the first marker and
    markdown that is not commented are errors.
    """
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if re.match(r"# ?%%", line)]
    if not starts:
        raise ExportError("no cell found; a cell begins with a line `# %%`")
    _refuse_code_above(lines[: starts[0]])
    ends = [*starts[1:], len(lines)]
    return [
        _cell_of_percent(lines[start:end], start + 1, number)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1)
    ]


def _refuse_code_above(lines: Sequence[str]) -> None:
    """Above the first marker stand the header between two `# ---` and nothing else."""
    try:
        rest = lines[lines.index("# ---", 1) + 1 :] if lines and lines[0] == "# ---" else lines
    except ValueError:
        raise ExportError("line 1: the header is not closed by a second `# ---`") from None
    if any(line.strip() for line in rest):
        raise ExportError(
            "text between the header and the first cell; begin it with `# %%`, `# %% [markdown]` for prose"
        )


def _cell_of_percent(lines: Sequence[str], lineno: int, number: int) -> Cell:
    """The cell whose marker is the first of `lines` and stands on line `lineno` of the file."""
    match = re.fullmatch(r"# %%(?: \[(markdown|raw)\])?((?: \w+=.*)?)", lines[0].rstrip())
    if not match:
        raise ExportError(
            f"line {lineno}: `{lines[0]}` is no cell marker; "
            "write `# %%`, `# %% [markdown]` or `# %% [raw]`, then metadata as key=JSON"
        )
    kind, metadata = match[1] or "code", _metadata(match[2], lineno)
    body = lines[1:] if kind == "code" else _uncommented(lines[1:], lineno + 1)
    return Cell(kind, "\n".join(body).rstrip("\n"), metadata, lineno + 1, number)


def _metadata(text: str, lineno: int) -> dict[str, Any]:
    """`nbgrader={...} tags=[...]` as a dictionary."""
    found: dict[str, Any] = {}
    while text := text.lstrip():
        key, _, text = text.partition("=")
        try:
            found[key], end = json.JSONDecoder().raw_decode(text)
        except json.JSONDecodeError as error:
            raise ExportError(f"line {lineno}: metadata `{key}` is not JSON ({error})") from error
        text = text[end:]
    return found


def _uncommented(lines: Sequence[str], lineno: int) -> list[str]:
    for offset, line in enumerate(lines):
        if line.strip() and line != "#" and not line.startswith("# "):
            raise ExportError(f"line {lineno + offset}: prose must begin with `# `, found `{line}`")
    return [line[2:] for line in lines]


# ------------------------------------------------------------------ which cells, and whither


# `#| name`, and what black makes of it; not `# | a | table | in a comment |`.
_DIRECTIVE = re.compile(r"(?:#\| ?|# \| ?(?=export\b|default_exp\b))(\S+)\s*(.*?)\s*$")


def directives(cell: Cell) -> dict[str, str]:
    """`{"export": ""}` for a code cell that opens with `#| export`.

    Raises:
        ExportError: an unknown directive, or one below the cell's first line of code.
    """
    if cell.kind != "code":
        return {}
    found = {}
    lines = cell.source.split("\n")
    opening = len(list(itertools.takewhile(lambda line: line.startswith("#") or not line.strip(), lines)))
    for lineno, line in enumerate(lines, start=1):
        if match := _DIRECTIVE.match(line):
            _check_directive(cell, lineno, match[1], opening)
            found[match[1]] = match[2]
    return found


def _check_directive(cell: Cell, lineno: int, name: str, opening: int) -> None:
    if name not in ("default_exp", "export"):
        raise ExportError(f"{cell.where(lineno)}: unknown `#| {name}`; known are `default_exp` and `export`")
    if lineno > opening:
        raise ExportError(f"{cell.where(lineno)}: `#| {name}` must stand above the code of its cell")


def default_exp(cells: Iterable[Cell]) -> str:
    """The module that the notebook names, such as "core.benchmarking"; always one room of `core`."""
    named = [found["default_exp"] for cell in cells if "default_exp" in (found := directives(cell))]
    if len(named) != 1:
        raise ExportError(
            f"{len(named)} cells name the module, exactly one must: `#| default_exp core.benchmarking`"
        )
    if not re.fullmatch(r"core\.[a-z][a-z0-9_]*", named[0]):
        raise ExportError(f"`#| default_exp {named[0]}`: expected core.NAME, such as core.benchmarking")
    return named[0]


def exported(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that begin with `#| export`, in their order."""
    _refuse_twins(cells)
    chosen = [cell for cell in cells if "export" in directives(cell)]
    if not chosen:
        raise ExportError("no cell is exported; put `#| export` on the first line of those that should be")
    return chosen


def check_release(chosen: Iterable[Cell]) -> None:
    """Each exported cell that students write keeps its `#| export` when nbgrader empties it."""
    for cell in chosen:
        if cell.metadata.get("nbgrader", {}).get("solution") and _MARKERS[0] not in cell.source:
            raise ExportError(
                f"{cell.where()}: a solution cell without `{_MARKERS[0]}`: nbgrader would empty all of it, "
                "`#| export` included; mark the region, or set solution to false"
            )


def _refuse_twins(cells: Sequence[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        if cell.grade_id is None:
            continue
        if twin := seen.get(cell.grade_id):
            raise ExportError(
                f"grade_id '{cell.grade_id}' stands on two cells, numbers {twin.number} and {cell.number} "
                "(a copied cell keeps its id); delete one, or give it an id of its own"
            )
        seen[cell.grade_id] = cell


# ------------------------------------------------------------------ from a cell to its statements

_TYPE_ALIAS = getattr(ast, "TypeAlias", ast.Assign)  # `type X = ...`, from Python 3.12 on
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.AugAssign)
_ALLOWED = (ast.Import, ast.ImportFrom, *_DEFINITIONS, ast.If, ast.Try, _TYPE_ALIAS)
_MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")


@dataclass(frozen=True, eq=False)
class Piece:
    """One top-level statement of an exported cell, with the comments above it."""

    cell: Cell
    node: ast.stmt
    lines: tuple[str, ...]  # as in the notebook, without directives and SOLUTION markers
    below: tuple[str, ...]  # of the last statement of a cell: the comments that end the cell
    gap: int  # blank lines above it in the notebook
    place: int  # in its cell, from 0


def split(cell: Cell) -> list[Piece]:
    """The top-level statements of an exported cell, with the comments above each and below the last.

    Raises:
        ExportError: a syntax error, a magic, an open SOLUTION region, two statements on one line.
    """
    body = _parsed(cell).body
    lines = _kept_lines(cell)
    ends = _ends(cell, body, lines)
    starts = [1, *(end + 1 for end in ends)]
    spans = [_trimmed(lines, start, end) for start, end in zip(starts, ends, strict=False)]
    below = [()] * (len(body) - 1) + [_trimmed(lines, starts[-1], max(lines, default=0))]
    return [
        Piece(cell, node, span[(gap := _blank_lines(span)) :], rest, gap, place)
        for place, (node, span, rest) in enumerate(zip(body, spans, below, strict=False))
    ]


def _trimmed(lines: Mapping[int, str], start: int, end: int) -> tuple[str, ...]:
    """The lines from number `start` to `end`, without blank ones at the end."""
    text = "\n".join(lines[n] for n in range(start, end + 1) if n in lines).rstrip()
    return tuple(text.split("\n")) if text else ()


def _blank_lines(lines: Iterable[str]) -> int:
    """How many of the first lines are blank."""
    return sum(1 for _ in itertools.takewhile(lambda line: not line.strip(), lines))


def _parsed(cell: Cell) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # will be said where the module is imported
            tree = ast.parse(cell.source)
            compile(tree, cell.where(), "exec", dont_inherit=True)  # finds what the parser lets through
    except SyntaxError as error:
        raise ExportError(_syntax_words(cell, error)) from error
    except ValueError as error:  # null bytes, up to Python 3.11
        raise ExportError(f"{cell.where()}: {error}") from error
    return tree


def _syntax_words(cell: Cell, error: SyntaxError) -> str:
    lineno = error.lineno or 1
    line = cell.source.split("\n")[lineno - 1].strip()
    if line.startswith(("%", "!", "?")) or line.endswith("?"):
        why = "is a magic, and exported cells are plain Python; move it to a cell without `#| export`"
    else:
        why = f"does not parse: {error.msg}"
    return f"{cell.where(lineno)}: `{line}` {why}"


def _ends(cell: Cell, body: Sequence[ast.stmt], lines: Mapping[int, str]) -> list[int]:
    """Number of the last line of each statement; indented comments below a block belong to the block."""
    starts = [*map(_start, body[1:]), cell.source.count("\n") + 2]
    ends = []
    for node, start in zip(body, starts, strict=False):
        end = node.end_lineno or 0
        if start <= end:
            raise ExportError(f"{cell.where(start)}: two statements on one line; give each its own")
        comments = (n for n in range(end + 1, start) if re.match(r"\s+#", lines.get(n, "")))
        ends.append(max(comments, default=end))
    return ends


def _start(node: ast.stmt) -> int:
    """First line of a statement, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _kept_lines(cell: Cell) -> dict[int, str]:
    """Lines of a cell by number from 1, without directives and SOLUTION markers.

    Of the blank lines before and after a marker the longer run stays, and none where a block begins: two runs
    in a row are what no formatter would write.
    """
    _check_regions(cell)
    kept: dict[int, str] = {}
    owed = 0  # below a marker: blank lines to drop, because they already stand above it
    for lineno, line in enumerate(cell.source.split("\n"), start=1):
        if line.strip() in _MARKERS:
            owed = _blanks_to_drop(list(kept.values()))
        elif _DIRECTIVE.match(line):
            continue
        elif owed and not line.strip():
            owed -= 1
        else:
            kept[lineno] = line
            owed = 0 if line.strip() else owed
    return kept


def _blanks_to_drop(above: Sequence[str]) -> int:
    blank = _blank_lines(reversed(above))
    last = above[-1 - blank].strip() if blank < len(above) else ""
    begins_block = last.endswith(":") and not last.startswith("#")
    return len(above) if begins_block else blank


def _check_regions(cell: Cell) -> None:
    opened = 0
    for lineno, line in enumerate(cell.source.split("\n"), start=1):
        if line.strip() not in _MARKERS:
            continue
        begins = line.strip() == _MARKERS[0]
        if begins and opened:
            raise ExportError(f"{cell.where(lineno)}: a SOLUTION region begins inside another one")
        if not begins and not opened:
            raise ExportError(f"{cell.where(lineno)}: END SOLUTION without a BEGIN SOLUTION above it")
        opened = lineno if begins else 0
    if opened:
        raise ExportError(f"{cell.where(opened)}: this SOLUTION region is not closed; add `### END SOLUTION`")


def check_statement(piece: Piece) -> None:
    """Exported cells only import and define: whatever else they do would happen at each import."""
    node, where = piece.node, piece.cell.where(_start(piece.node))
    if not isinstance(node, _ALLOWED):
        todo = "solve this cell first" if isinstance(node, ast.Raise) else "move it to a cell without `#| export`"
        raise ExportError(f"{where}: `{_line(piece, node).strip()}` would run at each import; {todo}")
    if isinstance(node, ast.ImportFrom) and (node.level or node.names[0].name == "*"):
        raise ExportError(
            f"{where}: `{ast.unparse(node)}` cannot be exported; write the module in full and each name"
        )
    if "__all__" in bound_names(node):
        raise ExportError(f"{where}: `__all__` is made by the exporter; delete this line")


def _line(piece: Piece, node: ast.stmt) -> str:
    return piece.cell.source.split("\n")[node.lineno - 1]


def bound_names(node: ast.stmt) -> list[str]:
    """Names that a top-level statement defines; imports and what stands inside functions left out."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.If, ast.Try)):
        blocks = [node.body, node.orelse, getattr(node, "finalbody", [])]
        blocks += [handler.body for handler in getattr(node, "handlers", [])]
        return [name for block in blocks for inner in block for name in bound_names(inner)]
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return []
    # Only the left side: `i` of a comprehension on the right is no name of the module.
    sides = [*getattr(node, "targets", []), getattr(node, "target", None), getattr(node, "name", None)]
    leaves = [leaf for side in sides if side is not None for leaf in ast.walk(side)]
    return [leaf.id for leaf in leaves if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)]


# ------------------------------------------------------------------ methods from later cells


def owner_of(piece: Piece) -> str | None:
    """Name of the class that `@add_method(Class)` gives this function to; None for everything else."""
    decorators = getattr(piece.node, "decorator_list", [])
    ours = [d for d in decorators if isinstance(d, ast.Call) and ast.unparse(d.func) == "add_method"]
    if not ours:
        return None
    names = [argument.id for argument in ours[0].args if isinstance(argument, ast.Name)]
    if len(names) != 1 or ours[0] is not decorators[0] or isinstance(piece.node, ast.ClassDef):
        raise ExportError(
            f"{piece.cell.where(_start(piece.node))}: write `@add_method(Class)` once, "
            "as the first decorator of a function"
        )
    return names[0]


def check_method(method: Piece, body: Sequence[Piece], earlier: Sequence[Piece]) -> None:
    """A moved method must mean the same in the class as it did in its cell.

    Raises:
        ExportError: no such class above it, a method or a function of this name already, or a default value
            that does not exist yet where the class stands.
    """
    (name,), owner = bound_names(method.node), owner_of(method)
    where = f"{method.cell.where(_start(method.node))}: method {name}"
    home = next((piece for piece in body if _is_class(piece.node, owner)), None)
    if home is None or _position(home) > _position(method):
        raise ExportError(f"{where}: no exported cell above defines a class {owner}")
    siblings = [*_class_body(home), *(piece.node for piece in earlier if owner_of(piece) == owner)]
    if name in _names(siblings):
        raise ExportError(f"{where}: class {owner} has one already; delete one of the two")
    if _line(home, first := _class_body(home)[0])[: first.col_offset].strip():
        raise ExportError(f"{where}: class {owner} stands on one line; put its body on the next")
    if name in _names(piece.node for piece in body):
        raise ExportError(f"{where}: takes the name of something else in the notebook; rename one of the two")
    late = _names(piece.node for piece in body if _position(piece) > _position(home))
    if early := sorted(late & _needed_at_once(method.node)):
        raise ExportError(f"{where}: needs {early[0]} where class {owner} begins; define {early[0]} above it")


def _is_class(node: ast.stmt, name: str | None) -> bool:
    return isinstance(node, ast.ClassDef) and node.name == name


def _class_body(piece: Piece) -> list[ast.stmt]:
    assert isinstance(piece.node, ast.ClassDef)
    return piece.node.body


def _names(nodes: Iterable[ast.stmt]) -> set[str]:
    return {name for node in nodes for name in bound_names(node)}


def _position(piece: Piece) -> tuple[int, int]:
    return piece.cell.number, piece.place


def _needed_at_once(node: ast.stmt) -> set[str]:
    """Names that a `def` evaluates when it is met: decorators and default values, not annotations."""
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    values = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    return {leaf.id for value in values for leaf in ast.walk(value) if isinstance(leaf, ast.Name)}


def method_lines(piece: Piece, canonical: bool) -> list[str]:
    """The lines of a method as they stand inside its class: no `@add_method`, four columns to the right.

    Text in strings stays where it is (docstrings do move). Never two blank lines in a row.
    """
    lines = _without_add_method(piece)
    strings, docstrings = _string_lines(lines), _docstring_lines(lines)
    moved: list[str] = []
    for lineno, line in enumerate(lines, start=1):
        if lineno in strings and lineno not in docstrings:
            moved.append(line)
        elif line.strip():
            moved.append("    " + line)
            if canonical and len(moved[-1]) > LINE_LENGTH:
                raise ExportError(
                    f"{piece.cell.where()}: `{line.strip()}` has {len(line)} characters; "
                    f"a method moves 4 columns to the right, into its class: keep it below {LINE_LENGTH - 3}"
                )
        elif lineno in strings or moved[-1]:
            moved.append("")
    return moved


def _without_add_method(piece: Piece) -> list[str]:
    lines = [*piece.lines, *piece.below]
    decorator = ast.parse("\n".join(lines)).body[0].decorator_list[0]  # type: ignore[attr-defined]
    return lines[: decorator.lineno - 1] + lines[decorator.end_lineno :]


def _string_lines(lines: Sequence[str]) -> set[int]:
    """Numbers of the lines that begin inside a string, f-strings included."""
    found: set[int] = set()
    opened: list[int] = []  # from Python 3.12 on, f-strings come as several tokens and may nest
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        kind = tokenize.tok_name[token.type]
        if kind.endswith("STRING_START"):
            opened.append(token.start[0])
        first = opened.pop() if kind.endswith("STRING_END") else token.start[0]
        if "STRING" in kind:
            found.update(range(first + 1, token.end[0] + 1))
    return found


def _docstring_lines(lines: Sequence[str]) -> set[int]:
    homes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, homes)]
    first = [node.body[0] for node in defined if ast.get_docstring(node, clean=False) is not None]
    return {lineno for node in first for lineno in range(node.lineno + 1, (node.end_lineno or 0) + 1)}


# ------------------------------------------------------------------ imports, in the order of ruff's isort


@dataclass(frozen=True)
class Import:
    """One imported name. `member` is None for `import module`."""

    module: str
    member: str | None
    alias: str | None

    @property
    def binds(self) -> str:
        return self.alias or self.member or self.module.partition(".")[0]

    @property
    def origin(self) -> tuple[str, str | None]:
        """What the bound name stands for: `import a.b` and `import a.c` both bind package a."""
        return (self.module if self.member or self.alias else self.binds), self.member

    @property
    def section(self) -> int:
        package = self.module.partition(".")[0]
        if package == "__future__":
            return 0
        return 1 if package in sys.stdlib_module_names else 3 if package == "tinytorch" else 2


FUTURE = Import("__future__", "annotations", None)


def imports_of(pieces: Iterable[Piece]) -> set[Import]:
    """The imports to gather; `add_method` is left out, because in the module there is nothing left to add."""
    found: dict[str, Import] = {}
    gathered = {FUTURE}
    for piece in pieces:
        for imported in _imports(piece.node):
            if imported.origin == ("tinytorch.export", "add_method"):
                continue
            rival = found.setdefault(imported.binds, imported)
            if rival.origin != imported.origin:
                raise ExportError(
                    f"{piece.cell.where(piece.node.lineno)}: `{imported.binds}` is imported from two places, "
                    f"{rival.module} and {imported.module}; give one of them another name with `as`"
                )
            gathered.add(imported)
    return gathered


def _imports(node: ast.stmt) -> list[Import]:
    if isinstance(node, ast.Import):
        return [Import(name.name, None, name.asname) for name in node.names]
    assert isinstance(node, ast.ImportFrom)
    return [Import(node.module or "", name.name, name.asname) for name in node.names]


def import_block(imports: Iterable[Import]) -> str:
    """Import statements: future, standard library, third party, ours; in each first `import`, then `from`."""
    by_section: dict[int, list[Import]] = {section: [] for section in range(4)}
    for found in sorted(imports, key=_import_key):
        by_section[found.section].append(found)
    blocks = ("\n".join([*_whole_lines(mine), *_from_lines(mine)]) for mine in by_section.values() if mine)
    return "\n\n".join(blocks)


def _import_key(found: Import) -> tuple[Any, ...]:
    return _natural(found.module), found.module, _member_key(found.member or ""), found.alias or ""


def _whole_lines(imports: Iterable[Import]) -> list[str]:
    whole = [found for found in imports if found.member is None]
    return [f"import {found.module}" + (f" as {found.alias}" if found.alias else "") for found in whole]


def _from_lines(imports: Iterable[Import]) -> list[str]:
    """`from a import b, c`; a renamed member has a line of its own, as ruff's isort wants it."""
    lines: dict[tuple[str, str | None], list[Import]] = {}
    for found in imports:
        if found.member is not None:
            lines.setdefault((found.module, found.alias), []).append(found)
    return [_from_line(members) for members in lines.values()]


def _from_line(imports: Sequence[Import]) -> str:
    names = [f"{i.member} as {i.alias}" if i.alias else str(i.member) for i in imports]
    line = f"from {imports[0].module} import {', '.join(names)}"
    if len(line) <= LINE_LENGTH:
        return line
    return f"from {imports[0].module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _member_key(name: str) -> tuple[Any, ...]:
    """CONSTANTS, then Classes, then functions; inside each by letter and number: v2 before v10."""
    constant, class_ = len(name) > 1 and name.isupper(), name[:1].isupper()
    return 0 if constant else 1 if class_ else 2, _natural(name), name


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    return tuple((text.lower(), int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name))


# ------------------------------------------------------------------ the module


def module_text(cells: Sequence[Cell], student: str | None = None) -> str:
    """The module that the exported cells make.

    Args:
        cells:   the whole notebook, in its order.
        student: file name of a student's own notebook; the header then says so, and lines are not measured.
            None for the source.

    Raises:
        ExportError: what was exported would not import, or would not mean what it means in the notebook.
    """
    default_exp(cells)
    chosen = exported(cells)
    if student is None:
        check_release(chosen)
    split_cells = [split(cell) for cell in chosen]
    pieces = [piece for cell in split_cells if not _is_docstring(cell) for piece in cell]
    for piece in pieces:
        check_statement(piece)
    imports = [piece for piece in pieces if isinstance(piece.node, (ast.Import, ast.ImportFrom))]
    methods = [piece for piece in pieces if owner_of(piece)]
    body = [piece for piece in pieces if piece not in imports and piece not in methods]
    for done, method in enumerate(methods):
        check_method(method, body, methods[:done])
    gathered = imports_of(imports)
    check_meanings(gathered, [*body, *methods])
    opening = (header(student) + _docstring_text(split_cells, cells)).rstrip("\n")
    head = [opening, import_block(gathered), all_text(body)]
    text = "\n\n".join(head) + body_text(body, methods, canonical=student is None)
    check_names(text, pieces)
    return text


def header(student: str | None) -> str:
    """The first lines of the module; without a date, so that the same notebook gives the same file."""
    if student is None:
        return f"{GENERATED}{SOURCE.as_posix()} by `{' '.join(COMMAND)}`; edit the notebook.\n"
    return (
        f"{GENERATED}a student's own notebook, {' '.join(student.split())}; edit the notebook.\n"
        f"# Take it out: `{' '.join(COMMAND)} --remove`; where the reference is, back to it: `--reference`.\n"
    )


def placeholder_text() -> str:
    """The module while nobody's benchmark is in the package: importing it says which command puts one there."""
    command = f"{' '.join(COMMAND)} --notebook tinymlperf.ipynb"
    return (
        f"{GENERATED}no notebook yet; `{command}` puts yours here.\n"
        '"""The benchmark (Module 20), which you write: exported from your notebook, it stands here."""\n\n'
        "from __future__ import annotations\n\n"
        f'raise ImportError("your benchmark is not exported yet: run {command}")\n'
    )


def _is_docstring(pieces: Sequence[Piece]) -> bool:
    return len(pieces) == 1 and _string_of(pieces[0]) is not None


def _string_of(piece: Piece) -> str | None:
    value = piece.node.value if isinstance(piece.node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _docstring_text(split_cells: Sequence[Sequence[Piece]], cells: Sequence[Cell]) -> str:
    """The module's docstring in quotes, without a newline at the end; empty if the notebook offers none."""
    alone = [pieces[0] for pieces in split_cells if _is_docstring(pieces)]
    if len(alone) > 1:
        raise ExportError(f"{alone[1].cell.where()}: a second docstring; one exported cell may be only a string")
    text = inspect.cleandoc(_string_of(alone[0]) or "") if alone else title_and_paragraph(cells)
    return quoted(text) if text else ""


def title_and_paragraph(cells: Sequence[Cell]) -> str:
    """First heading of the notebook as a sentence, and the paragraph that follows it in the same cell."""
    titled = [cell.source for cell in cells if cell.kind == "markdown" and cell.source.startswith("# ")]
    if not titled:
        return ""
    title, _, rest = titled[0].strip().partition("\n")
    sentence = title.lstrip("# ").rstrip(".") + "."
    paragraph = re.split(r"\n\s*\n", rest.strip())[0]
    if not paragraph or paragraph[0] in "#-*!|":  # a heading, a list, a picture, a table
        return sentence
    return sentence + "\n\n" + textwrap.fill(paragraph, 100, break_on_hyphens=False, break_long_words=False)


def quoted(text: str) -> str:
    """`text` between triple quotes, as ruff formats a docstring."""
    text = text.replace('"""', "'''")
    raw = "r" if "\\" in text else ""
    end = "\n" if "\n" in text else " " if text.endswith(('"', "\\")) else ""
    return f'{raw}"""{text}{end}"""'


def all_text(body: Iterable[Piece]) -> str:
    """`__all__` with every public name that the exported cells define, sorted as ruff sorts it."""
    public = sorted((name for name in _names(piece.node for piece in body) if name[0] != "_"), key=_member_key)
    if not public:
        return "__all__: list[str] = []"
    return "__all__ = [\n" + "".join(f'    "{name}",\n' for name in public) + "]"


def body_text(body: Sequence[Piece], methods: Sequence[Piece], canonical: bool) -> str:
    """Everything below `__all__`: cells two blank lines apart, each headed by its grade_id."""
    text = ""
    for before, piece in zip([None, *body], body, strict=False):
        same_cell = before is not None and before.cell is piece.cell
        adjacent = same_cell and before is not None and before.place == piece.place - 1
        text += "\n" * (1 + (piece.gap if adjacent else 2))
        text += "\n".join([*([] if same_cell else _heading(piece)), *piece.lines])
        mine = [method for method in methods if _is_class(piece.node, owner_of(method))]
        text += "\n".join([_methods_text(piece, mine, canonical), *piece.below])
    return text + "\n"


def _methods_text(home: Piece, methods: Sequence[Piece], canonical: bool) -> str:
    text = ""
    for before, method in zip([home, *methods], methods, strict=False):
        heading = [] if method.cell is before.cell else ["    " + line for line in _heading(method)]
        text += "\n\n" + "\n".join([*heading, *method_lines(method, canonical)])
    return text


def _heading(piece: Piece) -> list[str]:
    return [f"# cell: {piece.cell.grade_id}"] if piece.cell.grade_id else []


def check_meanings(imports: Iterable[Import], pieces: Iterable[Piece]) -> None:
    """A gathered import now comes before every definition: no name may be both."""
    imported = {found.binds for found in imports}
    for piece in pieces:
        if both := sorted(imported & set(bound_names(piece.node))):
            where = piece.cell.where(_start(piece.node))
            raise ExportError(f"{where}: `{both[0]}` is imported and defined; rename one of the two")


def check_names(text: str, pieces: Iterable[Piece]) -> None:
    """Every name that the module uses is defined in it: a notebook has more names than its exported cells."""
    missing = undefined_names(text)
    for piece in pieces:
        for leaf in ast.walk(piece.node):
            if isinstance(leaf, ast.Name) and leaf.id in missing:
                raise ExportError(
                    f"{piece.cell.where(leaf.lineno)}: `{leaf.id}` comes from no exported cell; "
                    "import or define it in one (`#| export`)"
                )


def undefined_names(text: str) -> set[str]:
    """Names that a module looks up and nothing in it binds; annotations are not looked up."""
    module = symtable.symtable(text, "module", "exec")
    tables = [module]
    for table in tables:
        tables.extend(table.get_children())
    symbols = [symbol for table in tables for symbol in table.get_symbols()]
    bound = {s.get_name() for s in module.get_symbols() if s.is_assigned() or s.is_imported()}
    bound |= {s.get_name() for s in symbols if s.is_declared_global() and s.is_assigned()}
    used = {s.get_name() for s in symbols if s.is_referenced() and s.is_global()}
    return used - bound - set(dir(builtins)) - {"__file__"}


# ------------------------------------------------------------------ the paired notebook


def notebook_text(text: str) -> str:
    """The `.ipynb` of a percent script: a pure function of it, without outputs, with stable cell ids.

    Cells keep jupytext's `lines_to_next_cell`: jupytext and ruff put different numbers of blank lines between
    prose and a function, and only with it does the way back end at the same text.

    Raises:
        ExportError: another header than HEADER, metadata or text that would not survive the way there and
            back, an id that Jupyter would not take.
    """
    jupytext, nbformat = _lab()
    if not text.startswith(HEADER):
        raise ExportError(f"the notebook must open with this header:\n{HEADER}")
    cells = parse_percent(text)
    notebook = jupytext.reads(text, fmt="py:percent")
    _refuse_two_readings(cells, [cell.source for cell in notebook.cells])
    for cell, name in zip(notebook.cells, cell_ids(cells), strict=True):
        cell["id"] = name
    notebook.metadata["tinytorch"] = {"sources_sha256": sources_sha256(cells)}
    written: str = nbformat.writes(notebook) + "\n"
    _refuse_loss(text, jupytext.writes(jupytext.reads(written, fmt="ipynb"), fmt="py:percent"))
    return written


def _lab() -> tuple[Any, Any]:
    """jupytext and nbformat, imported only where an `.ipynb` is made."""
    try:
        import jupytext
        import nbformat
    except ImportError as error:
        raise ExportError(
            f"{error.name} is not installed, and the .ipynb is made by it: pip install 'tinytorch[lab]', "
            "or write the module alone with --reference"
        ) from error
    return jupytext, nbformat


def _refuse_two_readings(cells: Sequence[Cell], sources: Sequence[str]) -> None:
    for cell, source in itertools.zip_longest(cells, sources):
        if cell is None or cell.source != source:
            where = cell.where() if cell else "the last cell"
            raise ExportError(f"{where}: jupytext reads this cell differently; is there a magic or `# %%` in it?")


def _refuse_loss(text: str, back: str) -> None:
    if text == back:
        return
    pairs = itertools.zip_longest(text.split("\n"), back.split("\n"), fillvalue="nothing")
    lineno, (there, here) = next((n, pair) for n, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
    raise ExportError(
        f"line {lineno} does not survive the way into the .ipynb and back: `{there}` becomes `{here}`; "
        "write it so, and keep no cell metadata but nbgrader and tags"
    )


def cell_ids(cells: Sequence[Cell]) -> list[str]:
    """An id for each cell: its grade_id, else made from its text: a cell added elsewhere changes none."""
    _refuse_twins(cells)
    seen: Counter[str] = Counter()
    ids = []
    for cell in cells:
        name = cell.grade_id or "cell-" + hashlib.sha256(f"{cell.kind}\n{cell.source}".encode()).hexdigest()[:12]
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
            raise ExportError(f"{cell.where()}: a grade_id has letters, digits, - and _, at most 60")
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return ids


def sources_sha256(cells: Iterable[Cell]) -> str:
    """What the copy remembers of its text: shows later whether somebody worked in it."""
    return hashlib.sha256(json.dumps([(cell.kind, cell.source) for cell in cells]).encode()).hexdigest()


# ------------------------------------------------------------------ files


@dataclass(frozen=True)
class Copy:
    """A file to write, and what should stand in it."""

    path: Path
    text: str

    @property
    def is_fresh(self) -> bool:
        return self.path.exists() and _read(self.path) == self.text


def module_path(home: Path, module: str) -> Path:
    """Where `core.NAME` lives below `home`.

    Raises:
        ExportError: `home` holds no tinytorch/core: nothing is written anywhere else.
    """
    core = home / "tinytorch" / "core"
    if not core.is_dir():
        raise ExportError(f"{home} has no folder tinytorch/core; give --to the folder that holds tinytorch/")
    return core / f"{module.removeprefix('core.')}.py"


def refuse_to_lose(copy: Copy) -> None:
    """Only a generated file is ever overwritten, and a notebook only if nobody has written in it since."""
    if not copy.path.exists():
        return
    if copy.path.suffix == ".ipynb":
        _refuse_to_lose_edits(copy)
    elif not _read(copy.path).startswith(GENERATED):
        raise ExportError(f"{copy.path} is not a generated file; check `#| default_exp`, or move it away")


def _refuse_to_lose_edits(copy: Copy) -> None:
    with _named(copy.path):
        found = sources_sha256(read_cells(copy.path))
    remembered = json.loads(_read(copy.path)).get("metadata", {}).get("tinytorch", {}).get("sources_sha256")
    if found not in (remembered, sources_sha256(parse_ipynb(copy.text))):
        raise ExportError(
            f"{copy.path} was edited since it was generated, and writing it would lose that. "
            f"Your own code into the package: --notebook {copy.path}. Its edits into the source: "
            f"jupytext --sync {copy.path}. Without them: delete the file and export again"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"cannot read {path}: {error}") from error


def _write(copy: Copy) -> None:
    """Write beside the old file, then replace it: a reader sees the one or the other, never a half."""
    beside = copy.path.with_name(f".{copy.path.name}.{os.getpid()}")
    try:
        beside.write_text(copy.text, encoding="utf-8", newline="\n")
        beside.replace(copy.path)
    except OSError as error:
        raise ExportError(f"cannot write {copy.path}: {error}") from error
    finally:
        beside.unlink(missing_ok=True)


# ------------------------------------------------------------------ the command


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """0: the copies are fresh now; 1: `--check` found a stale one; 2: bad input, nothing was written."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        options = _parser().parse_args(argv)
        wanted = copies(options, root)
        return _check(wanted, argv) if options.check else _refresh(wanted)
    except ExportError as error:
        print(f"export: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=" ".join(COMMAND),
        description=f"Write the two copies of {SOURCE.as_posix()}: the module and the paired .ipynb.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--notebook", type=Path, metavar="PATH", help="export your own .ipynb or .py instead")
    which.add_argument("--reference", action="store_true", help="put the reference's module back, nothing else")
    which.add_argument("--remove", action="store_true", help="take your module out of the package again")
    parser.add_argument("--to", type=Path, metavar="DIR", help="write the module below DIR/tinytorch")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a copy is stale")
    return parser


def copies(options: argparse.Namespace, root: Path) -> list[Copy]:
    """What the options ask for: the module, and the `.ipynb` unless an option is about the module."""
    if options.remove:
        return [Copy(module_path(options.to or root, MODULE), placeholder_text())]
    source = root / SOURCE
    notebook = options.notebook or source
    if notebook == source and not source.exists():
        raise ExportError(f"{source} is missing (a student's release has none); export yours with --notebook")
    with _named(notebook):
        cells = read_cells(notebook)
        name = default_exp(cells)
        text = module_text(cells, None if notebook.resolve() == source.resolve() else notebook.name)
    module = Copy(module_path(options.to or root, name), text)
    if options.notebook or options.reference or options.to:
        return [module]
    with _named(source):
        return [module, Copy(source.with_suffix(".ipynb"), notebook_text(_read(source)))]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors from inside begin with the name of the notebook they speak of."""
    try:
        yield
    except ExportError as error:
        raise ExportError(f"{path.name}: {error}") from error


def _refresh(wanted: Sequence[Copy]) -> int:
    stale = [copy for copy in wanted if not copy.is_fresh]
    for copy in stale:
        refuse_to_lose(copy)
    for copy in wanted:
        if copy in stale:
            _write(copy)
        print(f"{'wrote' if copy in stale else 'is fresh already:'} {copy.path}")
    return 0


def _check(wanted: Sequence[Copy], argv: Sequence[str]) -> int:
    stale = [copy for copy in wanted if not copy.is_fresh]
    for copy in stale:
        print("\n".join([f"stale: {copy.path}", *_difference(copy)]))
    if stale:
        print(f"mend it with: {shlex.join([*COMMAND, *(word for word in argv if word != '--check')])}")
    return 1 if stale else 0


def _difference(copy: Copy, most: int = 20) -> Iterator[str]:
    """The first lines of a unified diff from the file to what it should be."""
    there = _read(copy.path).split("\n") if copy.path.exists() else []
    lines = difflib.unified_diff(there, copy.text.split("\n"), "on disk", "from the notebook", lineterm="", n=1)
    yield from itertools.islice(lines, most)
    if (left := sum(1 for _ in lines)) > 0:
        yield f"... and {left} more lines"


if __name__ == "__main__":
    raise SystemExit(main())
