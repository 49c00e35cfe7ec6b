"""Has a notebook's cells run by a worker behind walls, and believes only what the worker signs.

A worker that dies or hangs loses the cell that it was in; another one takes the notebook up again without it.
Does not: rebuild or screen (a cell comes with what speaks against it), or turn outcomes into points.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import select
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from autograder.grading.screen import names_bound, objection
from autograder.referee.levels import Level, level_here
from autograder.referee.sandbox import KEPT, THREADS

CELL_S, START_S, NOTEBOOK_S = 30.0, 60.0, 300.0  # the longest that each may take
MEMORY_BYTES, FILE_BYTES = 3 << 30, 8 << 20
MOST_RESTARTS = 8
LONGEST_LINE = 1 << 20  # bytes; a signed report is far shorter
ROOT = Path(__file__).resolve().parents[2]
START = "import sys; sys.path[:0] = [sys.argv[2]]; from autograder.grading.worker import main; main()"


class JudgeError(RuntimeError):
    """The grader's own side failed: nothing is said about the student."""


@dataclass(frozen=True)
class Task:
    """One cell to run."""

    number: int  # in the notebook, from 0
    name: str  # grade_id, or "of your own"
    source: str
    own: bool  # the student wrote it
    check: bool
    objection: str | None = None  # why it is not run


@dataclass(frozen=True)
class Outcome:
    """What came of a cell: an error's name and message, or None; and what it printed."""

    error: tuple[str, str] | None
    said: str = ""


@dataclass(frozen=True)
class Course:
    """What a worker needs of the course: the package that students get, and where the reference lies."""

    package: Path  # folder with the students' tinytorch
    reference: Path  # the exported solution; read before a student's code runs, and hidden from it


def judge(tasks: Sequence[Task], course: Course, level: Level | None = None) -> dict[int, Outcome]:
    """The outcome of every cell, by its number.

    Raises:
        JudgeError: no worker came up.
    """
    walls = (level or level_here(2)).layers
    outcomes: dict[int, Outcome] = {
        task.number: Outcome(("NotRun", task.objection)) for task in tasks if task.objection is not None
    }
    left, deadline = [task for task in tasks if task.objection is None], time.monotonic() + NOTEBOOK_S
    for _ in range(MOST_RESTARTS + 1):
        guilty = _one_worker(left, outcomes, course, [name for name in walls if name != "bubblewrap"], deadline)
        if guilty is None:
            break
        left = [task for task in left if task.number != guilty]
    for task in tasks:
        outcomes.setdefault(task.number, Outcome(("NotRun", "the notebook was over its limits before this cell")))
    return outcomes


def _one_worker(
    tasks: Sequence[Task], outcomes: dict[int, Outcome], course: Course, walls: Sequence[str], deadline: float
) -> int | None:
    """Run all cells; the number of the one in which the worker ended, or None at the end of the notebook.

    A cell's first outcome stands: a worker that takes a notebook up again only makes what later cells need.
    """
    current: int | None = None
    with (
        tempfile.TemporaryDirectory(prefix="judge-") as scratch,
        _Worker(tasks, course, walls, Path(scratch)) as worker,
    ):
        if not worker.message(START_S).get("ready"):
            raise JudgeError(f"no worker came up: {worker.last_words()}")
        while time.monotonic() < deadline:
            message = worker.message(min(CELL_S, max(0.0, deadline - time.monotonic())))
            if "begins" in message:
                current = message["begins"]
            elif "ends" in message:
                error = message["error"]
                outcomes.setdefault(message["ends"], Outcome(error and (error[0], error[1]), message["said"]))
                current = None
            else:
                break
        how = worker.ended()
    if current is None:
        return None
    outcomes[current] = Outcome(("Stopped", f"this cell {how}"))
    return current


class _Worker:
    """A process that runs one notebook; a context manager, killed at the end."""

    def __init__(self, tasks: Sequence[Task], course: Course, walls: Sequence[str], scratch: Path) -> None:
        shutil.copy(_fonts(), scratch)
        self._key = secrets.token_bytes(32)
        self._reports, reports = os.pipe()
        self._buffer, self._timed_out = b"", False
        self._log = tempfile.TemporaryFile()
        orders = {
            "key": self._key.hex(),
            "path": _import_path(course),
            "reference": str(course.reference),
            "walls": list(walls),
            "readable": _readable(course),
            "memory_bytes": MEMORY_BYTES,
            "cpu_s": int(NOTEBOOK_S),
            "file_bytes": FILE_BYTES,
            "cells": [asdict(task) for task in tasks],
        }
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-B", "-P", "-c", START, str(reports), str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            cwd=scratch,
            env=_environment(scratch),
            pass_fds=(reports,),
            start_new_session=True,
        )
        os.close(reports)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(orders).encode())
            self._process.stdin.close()

    def message(self, timeout_s: float) -> dict[str, Any]:
        """The next signed report; {} when there is none in time, or the worker has ended."""
        end = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                signature, _, text = line.partition(b" ")
                right = hmac.new(self._key, text, hashlib.sha256).hexdigest().encode()
                if hmac.compare_digest(signature, right):
                    found: dict[str, Any] = json.loads(text)
                    return found
            if len(self._buffer) > LONGEST_LINE:
                self._buffer = b""  # not signed: not ours
            wait = end - time.monotonic()
            if wait <= 0 or not select.select([self._reports], [], [], wait)[0]:
                self._timed_out = True
                return {}
            more = os.read(self._reports, 1 << 16)
            if not more:
                return {}
            self._buffer += more

    def ended(self) -> str:
        """How the worker ended, after "this cell"."""
        if self._timed_out:
            return f"did not end in {CELL_S:.0f} s, or the notebook not in {NOTEBOOK_S:.0f} s"
        code = self._process.wait()
        return f"ended the process (signal {-code})" if code < 0 else f"ended the process (exit code {code})"

    def last_words(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode("utf-8", "replace")

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._reports)
        self._log.close()


@cache
def _fonts() -> Path:
    """matplotlib's list of the machine's fonts; a worker without it would make its own, half a second each."""
    import matplotlib.font_manager  # makes the list where there is none

    return max(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))


def _environment(scratch: Path) -> dict[str, str]:
    fixed = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "HOME": str(scratch)}
    fixed |= {"TMPDIR": str(scratch), "MPLCONFIGDIR": str(scratch), "IPYTHONDIR": str(scratch)}
    return fixed | dict.fromkeys(THREADS, "1") | {name: os.environ[name] for name in KEPT if name in os.environ}


def _import_path(course: Course) -> list[str]:
    packages = [*site.getsitepackages(), str(Path(np.__file__).parents[1])]
    return list(dict.fromkeys([str(course.package), str(ROOT), *packages]))


def _readable(course: Course) -> list[str]:
    """The system's libraries, Python, packages, the students' package and the jail; never the repository."""
    system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/dev/zero"]
    system += ["/proc/self/maps", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat"]  # threadpoolctl and platform ask
    ours = [str(course.package), str(ROOT / "autograder" / "referee"), str(ROOT / "autograder" / "__init__.py")]
    packages = [sys.base_prefix, sys.prefix, *site.getsitepackages(), sysconfig.get_paths()["stdlib"]]
    return list(dict.fromkeys([*system, *packages, *ours]))


def tasks_of(notebook: Any) -> list[Task]:
    """The code cells of a rebuilt notebook, screened; cells that only look are left out."""
    tasks = []
    for number, cell in enumerate(notebook.cells):
        own = cell.metadata.get("nbgrader") or {}
        if cell.cell_type == "code" and (own or "look" not in cell.metadata.get("tags", ())):
            students = bool(own.get("solution")) or bool(cell.metadata.get("own"))
            name = own.get("grade_id", "of your own")
            tasks.append(Task(number, name, cell.source, students, bool(own.get("grade"))))
    protected = names_bound(task.source for task in tasks if not task.own and not task.check)
    return [replace(task, objection=objection(task.source, protected)) if task.own else task for task in tasks]
