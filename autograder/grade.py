"""grade what was collected: every cell judged in a jail, in parallel, one writer to nbgrader's gradebook.

    python -m autograder grade --course DIR                  everything in DIR/submitted that is not graded yet
    python -m autograder grade --course DIR --force ada ben  these two again
    python -m autograder grade --course DIR --due 2026-12-01 --late 10    each day begun after it costs 10 %

Can be stopped at any moment and started again: what is judged is kept in DIR/judged, a grade that stands is not
written again, and one that is written twice is the same grade. Does not: collect, or write feedback.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from autograder.course import (
    ASSIGNMENT,
    add_source,
    make_release,
    nbgrader_course,
    read_source,
    reference_path,
)
from autograder.grading.storage import StorageError, store
from autograder.late import LateRule, due_moment, rule_of, settle
from autograder.terminal import say, with_bar
from tinytorch.export import ROOT, placeholder_text

JUDGED = "judged"
LARGEST_NOTEBOOK = 32 << 20  # bytes
PARSING = threading.Lock()  # Python 3.11 counts the depth of all threads' syntax trees together


class GradeError(ValueError):
    """There is nothing to grade, or the course is not one."""


@dataclass(frozen=True)
class Kit:
    """All that judging needs, as bytes: a worker may live on another machine."""

    master: str  # the notebook as JSON: solutions emptied, hidden tests in place
    package: bytes  # tar of the students' tinytorch
    reference: str  # the exported solution

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.master.encode() + self.package + self.reference.encode()).hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the course is, whom to grade, and with how many hands."""
    parser.add_argument("students", nargs="*", help="by default all in DIR/submitted")
    parser.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="of the course (default: here)")
    parser.add_argument("--force", action="store_true", help="judge again what is judged already")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="at the same time")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a dask scheduler, instead of this machine alone"
    )
    parser.add_argument(
        "--due", metavar="TIME", help="ISO date or time, kept in the gradebook; none: as kept there"
    )
    late = "percent of the points that each day begun after the due date costs, kept for later runs (first: 10)"
    parser.add_argument("--late", type=_percent, metavar="PERCENT", help=late)
    most = "percent that all of them cost at most, kept for later runs (first: 50)"
    parser.add_argument("--late-most", type=_percent, metavar="PERCENT", help=most)


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is no percentage; 0 to 100 was expected")
    return value


def run(options: argparse.Namespace) -> int:
    """Print a line for each student. 0 all graded, 1 not all of them."""
    course = options.course.resolve()
    chosen = submissions_of(course, options.students)
    due = None if options.due is None else due_moment(options.due)
    late = rule_of(course, options.late, options.late_most)
    rows = grade(course, options.students, options.force, options.workers, options.scheduler, due, late)
    failed = 0
    for student, score, notes in with_bar(rows, len(chosen), " students"):
        failed += score is None
        say(f"{student:<24}{'not graded' if score is None else f'{score:g}':>12}   {'; '.join(notes[:3])}")
    return 1 if failed else 0


def grade(
    course: Path,
    students: Sequence[str] = (),
    force: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    due: datetime | None = None,
    late: LateRule | None = None,
) -> Iterator[tuple[str, float | None, list[str]]]:
    """Student, points after what being late costs, and what was noticed, as each is written to the gradebook.

    Args:
        due: is kept in the gradebook; without it the date that is there holds, if there is one.
        late: by default the course's.

    Raises:
        GradeError: nothing was submitted, or not by one of `students`.
    """
    chosen = submissions_of(course, students)
    with nbgrader_course(course, graded=True) as api:
        kit = kit_of(api, course)
        if due is not None:
            with api.gradebook as gradebook:
                gradebook.update_or_create_assignment(ASSIGNMENT, duedate=due)
        for student, judgement in judgements(chosen, kit, course / JUDGED, force, workers, scheduler):
            with api.gradebook as gradebook:
                refusal = recorded(gradebook, course, student, judgement, force)
                if refusal:
                    yield student, None, [refusal, *judgement["notes"]]
                    continue
                score, lateness = settle(gradebook, course, student, late or rule_of(course))
            yield student, score, lateness + judgement["notes"]


def submissions_of(course: Path, students: Sequence[str] = ()) -> dict[str, Path]:
    """Student -> notebook. Raises GradeError where there is none, or none of one of `students`."""
    submissions = {
        path.parent.parent.name: path for path in sorted(course.glob(f"submitted/*/{ASSIGNMENT}/*.ipynb"))
    }
    if not submissions or set(students) - set(submissions):
        missing = ", ".join(sorted(set(students) - set(submissions))) or "anybody"
        raise GradeError(f"{course}/submitted holds no {ASSIGNMENT} of {missing}: collect it first")
    return {name: path for name, path in submissions.items() if not students or name in students}


# -- what a worker needs -------------------------------------------------------------------------------


def kit_of(api: Any, course: Path) -> Kit:
    """The course's kit; its release is made where there is none."""
    import nbformat

    source = course / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    released = course / "release" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    if not source.is_file():
        add_source(course, read_source())
    if not released.is_file() or not _is_known(api):
        make_release(api, course)
    master, release = (nbformat.read(path, as_version=4) for path in (source, released))
    stubs = {_id(cell): cell.source for cell in release.cells if _id(cell)}
    for cell in master.cells:
        if (cell.metadata.get("nbgrader") or {}).get("solution"):
            cell.source = stubs[_id(cell)]
    return Kit(nbformat.writes(master), _package(), reference_path().read_text(encoding="utf-8"))


def _is_known(api: Any) -> bool:
    """Does the gradebook have the assignment? A new one does not."""
    with api.gradebook as gradebook:
        return any(each.name == ASSIGNMENT for each in gradebook.assignments)


def _id(cell: Any) -> str:
    return str((cell.metadata.get("nbgrader") or {}).get("grade_id", ""))


def _package() -> bytes:
    """The students' tinytorch: ours without the exported solution."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "tinytorch"
        shutil.copytree(ROOT / "tinytorch", folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        placeholder = folder / reference_path().relative_to(ROOT / "tinytorch")
        placeholder.write_text(placeholder_text(), encoding="utf-8")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in sorted(folder.rglob("*")):
                entry = archive.gettarinfo(path, str(path.relative_to(scratch)))
                entry.mtime = 0  # the same package gives the same bytes
                with path.open("rb") if path.is_file() else io.BytesIO() as content:
                    archive.addfile(entry, content if path.is_file() else None)
        return packed.getvalue()


@lru_cache(maxsize=2)
def _unpacked(sha256: str, kit: Kit) -> Any:
    """The kit on this machine's disk, once a process: the package for all to read, the reference apart from it."""
    from autograder.grading.judge import Course

    package, secret = (Path(tempfile.mkdtemp(prefix=f"{name}-")) for name in ("package", "reference"))
    with tarfile.open(fileobj=io.BytesIO(kit.package)) as archive:
        archive.extractall(package, filter="data")
    compileall.compile_dir(package, quiet=2)  # for the workers, which may write nothing
    (secret / "reference.py").write_text(kit.reference, encoding="utf-8")
    return Course(package, secret / "reference.py")


# -- judging: pure, anywhere ---------------------------------------------------------------------------


def judgement_of(text: str, kit: Kit) -> dict[str, Any]:
    """What came of one submission, as JSON holds it: the rebuilt notebook, an outcome for each cell, notes."""
    import nbformat

    from autograder.grading.judge import judge, tasks_of
    from autograder.grading.rebuild import rebuild

    master = nbformat.reads(kit.master, as_version=4)
    submitted, notes = read(text)
    with PARSING:
        notebook, found = rebuild(submitted, master)
        tasks = tasks_of(notebook)
    notes += found + [f"{task.name}: {task.objection}" for task in tasks if task.objection]
    outcomes = {str(number): asdict(each) for number, each in judge(tasks, _unpacked(kit.sha256, kit)).items()}
    return {"notebook": nbformat.writes(notebook), "outcomes": outcomes, "notes": notes}


def read(text: str) -> tuple[Any, list[str]]:
    """The notebook in a submission, as much of it as there is, and what was wrong with it. Never raises.

    Not by nbformat.reads: what that mends is rebuilt anyway, and its warnings are the whole process's.
    """
    import nbformat

    try:
        told = json.loads(text)
        cells = [nbformat.from_dict(cell) for cell in told["cells"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return nbformat.v4.new_notebook(), [f"no notebook: {type(error).__name__}; ask for the file again"]
    kept = [cell for cell in cells if _is_cell(cell)]
    for cell in kept:
        cell.source = cell.source if isinstance(cell.source, str) else "".join(map(str, cell.source))
    notes = [f"{len(cells) - len(kept)} cells are none"] if len(kept) < len(cells) else []
    notebook = nbformat.v4.new_notebook()
    notebook.cells = kept  # not by new_notebook, which would validate
    return notebook, notes


def _is_cell(cell: Any) -> bool:
    whole = isinstance(cell, dict) and {"cell_type", "source", "metadata"} <= set(cell)
    return whole and isinstance(cell["source"], (str, list)) and isinstance(cell["metadata"], dict)


def judgements(
    submissions: Mapping[str, Path], kit: Kit, folder: Path, force: bool, workers: int, scheduler: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every student's judgement, the kept ones first, each kept as soon as it is there."""
    folder.mkdir(exist_ok=True)
    todo: dict[str, tuple[str, str]] = {}
    for student, path in submissions.items():
        text = (
            path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size <= LARGEST_NOTEBOOK else ""
        )
        key = hashlib.sha256(f"{kit.sha256}{text}".encode()).hexdigest()
        kept = None if force else _kept(folder / f"{student}.json", key)
        if kept is None:
            todo[student] = text, key
        else:
            yield student, kept
    for student, judgement in _judged(
        {student: text for student, (text, _) in todo.items()}, kit, workers, scheduler
    ):
        judgement["key"] = todo[student][1]
        _keep(folder / f"{student}.json", judgement)
        yield student, judgement


def _judged(
    texts: Mapping[str, str], kit: Kit, workers: int, scheduler: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Judge on dask's workers; here, these are threads: each only waits for a process of its own."""
    if not texts:
        return
    from distributed import Client, LocalCluster, as_completed

    here = {"n_workers": 1, "threads_per_worker": max(1, workers), "processes": False, "dashboard_address": None}
    with (
        LocalCluster(**here) if scheduler is None else scheduler_at(scheduler) as cluster,
        Client(cluster) as client,
    ):
        shared = client.scatter(kit, broadcast=True)
        futures = {client.submit(judgement_of, text, shared, pure=False): who for who, text in texts.items()}
        for future, judgement in as_completed(futures, with_results=True):
            yield futures[future], judgement


class scheduler_at:  # noqa: N801  used as a function
    """An address in the place of a cluster that would have to be closed."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> str:
        return self.address

    def __exit__(self, *_: object) -> None:
        """The scheduler is not ours."""


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    try:
        judgement: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return judgement if judgement.get("key") == key else None


def _keep(path: Path, judgement: Mapping[str, Any]) -> None:
    """All of it or nothing: a killed grader leaves no half file."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(judgement), encoding="utf-8")
    os.replace(part, path)


# -- writing: one hand ---------------------------------------------------------------------------------


def recorded(gradebook: Any, course: Path, student: str, judgement: Mapping[str, Any], force: bool) -> str | None:
    """Why it is not in the gradebook; None where it is, written now if it did not stand there."""
    kept = course / JUDGED / f"{student}.written"
    told = json.dumps([judgement["notebook"], judgement["outcomes"], str(gradebook.engine.url)], sort_keys=True)
    mark = hashlib.sha256(told.encode()).hexdigest()
    if not force and stands(gradebook, course, student, kept, mark):
        return None
    kept.unlink(missing_ok=True)
    try:
        store(gradebook, course, student, judgement)
    except StorageError as error:
        gradebook.db.rollback()
        return str(error)
    kept.write_text(mark, encoding="utf-8")
    return None


def stands(gradebook: Any, course: Path, student: str, kept: Path, mark: str) -> bool:
    """Was just this written before, and is it there?"""
    from nbgrader.api import MissingEntry

    page = course / "autograded" / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    if not (page.is_file() and kept.is_file() and kept.read_text(encoding="utf-8") == mark):
        return False
    try:
        gradebook.find_submission(ASSIGNMENT, student)
    except MissingEntry:
        return False
    return True
