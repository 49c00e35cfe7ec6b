"""look whether this machine can grade: versions, jail, compiler, gradebook; and say how to mend what cannot.

    python -m autograder doctor --course DIR

Does not: change anything.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.course import DATABASE

NEEDED = ("nbgrader", "nbformat", "jupytext", "distributed", "sqlalchemy", "matplotlib", "ipywidgets", "tqdm")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    good: bool
    what: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the course is."""
    parser.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="of the course (default: here)")


def run(options: argparse.Namespace) -> int:
    """Print each finding. 0 all is well, 1 something is to be mended."""
    bad = 0
    for finding in findings(options.course):
        bad += not finding.good
        print(f"{'ok  ' if finding.good else 'MEND'} {finding.what}{f': {finding.mend}' if finding.mend else ''}")
    return 1 if bad else 0


def findings(course: Path) -> Iterator[Finding]:
    """Everything that grading needs, one after the other."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        sys.version_info >= (3, 11), f"Python {version}", "" if sys.version_info >= (3, 11) else "3.11 or newer"
    )
    for name in NEEDED:
        there = importlib.util.find_spec(name) is not None
        yield Finding(
            there, f"{name} {_version(name) if there else ''}", "" if there else "pip install 'tinytorch[class]'"
        )
    yield _walls()
    compiler = shutil.which("gcc") or shutil.which("cc")
    mend = "" if compiler else "apt install gcc; without it entries with a kernel.c are refused"
    yield Finding(compiler is not None, f"C compiler {compiler or 'is missing'}", mend)
    yield from _course(course)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(installed)"


def _walls() -> Finding:
    from autograder.referee.levels import LevelError, level_here

    try:
        level = level_here()
    except LevelError as error:
        return Finding(False, "no jail", f"{error}; grade on Linux 5.13 or newer")
    mend = (
        ""
        if level.number >= 2
        else "no Landlock or seccomp: grade on Linux 5.13 or newer, or in a throw-away machine"
    )
    notes = f" ({'; '.join(level.notes)})" if level.notes else ""
    return Finding(level.number >= 2, f"jail of level {level.number}{notes}", mend)


def _course(course: Path) -> Iterator[Finding]:
    writable = os.access(course, os.W_OK)
    yield Finding(
        writable, f"course {course.resolve()}", "" if writable else "make the folder, or give --course another"
    )
    url = os.environ.get(DATABASE)
    file = course / "gradebook.db"
    where = url or str(file)
    if url or file.is_file():
        import sqlalchemy

        try:
            engine = sqlalchemy.create_engine(url or f"sqlite:///{file}")
            sqlalchemy.inspect(engine).get_table_names()
            engine.dispose()
        except Exception as error:  # whatever the driver raises
            mend = f"{DATABASE if url else file} cannot be read: {str(error).splitlines()[0]}"
            yield Finding(False, "gradebook", mend)
            return
    yield Finding(True, f"gradebook {where.partition('@')[2] or where}")
