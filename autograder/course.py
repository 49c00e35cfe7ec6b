"""One nbgrader course in one folder: its settings, its source notebook, its release.

The percent notebook stays outside of the course, because nbgrader releases every file it finds beside a source,
solutions and all. Does not: decide what else a student gets (release), or grade in a jail.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tinytorch.export import MODULE, ROOT, SOURCE, notebook_text

ASSIGNMENT = "tinymlperf"
REFERENCE = "TINYMLPERF_REFERENCE"  # perf.checks reads it: whatever a check builds on comes from there
DATABASE = "TINYMLPERF_GRADEBOOK"  # SQLAlchemy URL of the gradebook; by default DIR/gradebook.db
CELL_TIMEOUT_S = 60
STAMP = "timestamp.txt"  # beside a submission: when it was handed in, in nbgrader's form


class CourseError(RuntimeError):
    """nbgrader refused something; the message has its own words."""


def moment(text: str) -> datetime:
    """An ISO date or time, in UTC where it names no zone.

    Raises:
        CourseError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CourseError(f"{text!r} is no ISO time; write 2026-12-01 or 2026-12-01T18:00+01:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def reference_path() -> Path:
    """The reference's module, made from the source notebook."""
    return ROOT / "tinytorch" / f"{MODULE.replace('.', '/')}.py"


def source_notebook(text: str) -> Any:
    """What nbgrader takes as its source: fixed cell ids, and no metadata that points at the script."""
    import nbformat

    notebook: Any = nbformat.reads(notebook_text(text), as_version=4)
    for key in ("jupytext", "tinytorch"):  # with jupytext's, a sync would bring the solutions back
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)
    return notebook


def settings(root: Path, sockets: Path, graded: bool = False) -> Any:
    """nbgrader's settings for a course in `root`.

    Args:
        sockets: a short absolute path; kernels talk over files there instead of open ports.
        graded: nbgrader runs nothing; it keeps what `autograder.grade` has judged, and writes feedback of it.
    """
    from nbgrader.converters.autograde import Autograde
    from traitlets.config import Config

    from autograder.sanitize import PASSED_OVER, OnlyLookingIsPassedOver

    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.course_id = "tinymlperf"  # PostgreSQL refuses an empty one
    config.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", "*.py"]
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = str(sockets / "k")
    config.ExecutePreprocessor.timeout = CELL_TIMEOUT_S
    config.ExecutePreprocessor.skip_cells_with_tag = PASSED_OVER
    config.Autograde.sanitize_preprocessors = [
        *Autograde.sanitize_preprocessors.default(),
        OnlyLookingIsPassedOver,
    ]
    if graded:
        _after_judging(config)
    config.OverwriteCells.add_missing_cells = True  # a deleted check is 0 points, not "no score"
    return config


def _after_judging(config: Any) -> None:
    """Feedback without hidden tests; a database by its URL."""
    from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
    from nbgrader.preprocessors import GetGrades

    from autograder.grading.preprocessors import WithoutHiddenTests

    config.GenerateFeedback.preprocessors = [GetGrades, WithoutHiddenTests, CSSHTMLHeaderPreprocessor]
    if DATABASE in os.environ:
        config.CourseDirectory.db_url = os.environ[DATABASE]


@contextlib.contextmanager
def nbgrader_course(root: Path, graded: bool = False) -> Iterator[Any]:
    """nbgrader's API for the course in `root`, while the environment is as grading needs it; `graded` as above."""
    with _tools_on_path(), tempfile.TemporaryDirectory(prefix="nbg") as sockets, warnings.catch_warnings():
        # SQLAlchemy says that nbgrader asks closed sessions; nothing of ours, and harmless.
        warnings.filterwarnings("ignore", module=r"nbgrader|sqlalchemy|alembic")
        from nbgrader.apps import NbGraderAPI
        from nbgrader.coursedir import CourseDirectory
        from sqlalchemy.exc import SAWarning

        warnings.filterwarnings("ignore", category=SAWarning)
        config = settings(root, Path(sockets), graded)
        api = NbGraderAPI(CourseDirectory(config=config), config=config)
        api.log.setLevel(logging.WARNING)
        yield api


@contextlib.contextmanager
def _tools_on_path() -> Iterator[None]:
    """nbgrader starts `alembic` by name, and kernels inherit where the reference is."""
    before = {name: os.environ.get(name) for name in ("PATH", REFERENCE)}
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before["PATH"] or ""])
    os.environ[REFERENCE] = str(reference_path())
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def add_source(root: Path, text: str) -> None:
    """Put the notebook of a percent script into the course as the source of the assignment."""
    import nbformat

    folder = root / "source" / ASSIGNMENT
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    nbformat.write(source_notebook(text), folder / f"{ASSIGNMENT}.ipynb")


def make_release(api: Any, root: Path) -> Path:
    """The notebook without solutions and hidden tests, made anew; its path.

    Raises:
        CourseError: nbgrader refuses the source.
    """
    result = api.generate_assignment(ASSIGNMENT, force=True)
    if not result["success"]:
        raise CourseError(f"nbgrader refuses the notebook: {result.get('error') or result.get('log')}")
    return root / "release" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"


def read_source() -> str:
    """The percent notebook."""
    return (ROOT / SOURCE).read_text(encoding="utf-8")
