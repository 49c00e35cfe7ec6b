"""Is a solution or a hidden test in a folder? Looks for their lines as text and for their statements as syntax.

What stands in the open anyway (the library, the stubs, the visible checks) is no secret. Does not: find a solution
that somebody wrote again in other words.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tinytorch.export import Cell, parse_percent

SHORTEST_LINE = {"solution": 25, "hidden test": 20}  # characters; `return x` proves nothing
MARKER = re.compile(r"#+ (BEGIN|END) (SOLUTION|HIDDEN TESTS)")
SHORTEST_STATEMENT = 120  # characters of its syntax tree


@dataclass(frozen=True)
class Leak:
    """One place in a folder where something secret stands."""

    path: Path
    line: int
    kind: str  # "solution", "hidden test" or "marker"
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.text}"


@dataclass(frozen=True)
class Secrets:
    """What must not be found: lines, and statements as dumped syntax trees, each with its kind."""

    lines: dict[str, str]
    statements: dict[str, str]


# -- what is secret ------------------------------------------------------------------------------------


def secrets_of(notebook: str, open_texts: Iterable[str]) -> Secrets:
    """The secrets of a percent notebook, without what `open_texts` (Python) or its own open parts say, too."""
    texts = list(open_texts)
    shown = "\n".join([*texts, *_open_lines(notebook)])
    public = {dump for text in texts for dump, _ in statements(text)}
    lines: dict[str, str] = {}
    dumps: dict[str, str] = {}
    for cell in (cell for cell in parse_percent(notebook) if cell.kind == "code"):
        kinds = _kinds(cell)
        lines |= {line: kind for line, kind in _long_lines(cell, kinds) if line not in shown}
        for dump, number in statements(cell.source):
            if number in kinds:
                dumps[dump] = kinds[number]
            else:
                public.add(dump)
    return Secrets(lines, {dump: kind for dump, kind in dumps.items() if dump not in public})


def _kinds(cell: Cell) -> dict[int, str]:
    """Number of each line of a cell that stands in a region -> the kind of region."""
    kind, found = "", {}
    for number, line in enumerate(cell.source.split("\n"), start=1):
        if match := MARKER.match(line.strip()):
            kind = match[2].lower().rstrip("s") if match[1] == "BEGIN" else ""
        elif kind:
            found[number] = kind
    return found


def _long_lines(cell: Cell, kinds: dict[int, str]) -> Iterator[tuple[str, str]]:
    lines = cell.source.split("\n")
    for number, kind in kinds.items():
        if len(line := lines[number - 1].strip()) >= SHORTEST_LINE[kind]:
            yield line, kind


def _open_lines(notebook: str) -> Iterator[str]:
    """The lines of a notebook outside of all regions."""
    inside = False
    for line in notebook.split("\n"):
        if match := MARKER.match(line.strip()):
            inside = match[1] == "BEGIN"
        elif not inside:
            yield line


def statements(text: str) -> Iterator[tuple[str, int]]:
    """Every statement that is long enough to be recognised, as its syntax tree, with its line."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return  # a magic, or a solution that does not parse; its lines are looked for all the same
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and len(dump := ast.dump(node)) >= SHORTEST_STATEMENT:
            yield dump, node.lineno


# -- where it is looked for ----------------------------------------------------------------------------


def find_leaks(folder: Path, secrets: Secrets) -> list[Leak]:
    """All leaks in all files of a folder, compressed ones too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [leak for path in paths for leak in _leaks_in(path, path.relative_to(folder), secrets)]


def _leaks_in(path: Path, name: Path, secrets: Secrets) -> Iterator[Leak]:
    if path.suffix == ".pyc":
        yield Leak(name, 1, "solution", "compiled code, which nobody can look into; leave it out")
    for text in _texts(path):
        lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
            yield from _leaks_in_line(name, number, line, secrets)
        for dump, number in statements(text):
            if kind := secrets.statements.get(dump):
                yield Leak(name, number, kind, lines[number - 1].strip())


def _leaks_in_line(name: Path, number: int, line: str, secrets: Secrets) -> Iterator[Leak]:
    if MARKER.match(line.strip()):
        yield Leak(name, number, "marker", line.strip())
    for secret, kind in secrets.lines.items():
        if secret in line:
            yield Leak(name, number, kind, secret)


def _texts(path: Path) -> Iterator[str]:
    """A file's text; of a notebook also each cell, of an archive each member. A line of a notebook is unquoted."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(member).decode("latin-1") for member in archive.namelist())
        return
    text = path.read_bytes().decode("utf-8", errors="replace")
    if path.suffix != ".ipynb":
        yield text
        return
    yield "\n".join(map(_unquoted, text.split("\n")))
    yield from ("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")


def _unquoted(line: str) -> str:
    """What a line of an indented JSON file says; its own line break stays out, so that lines can be counted."""
    try:
        said = json.loads(line.strip().rstrip(","))
    except ValueError:
        return line
    return said.rstrip("\n").replace("\n", " ") if isinstance(said, str) else line
