"""`python -m autograder VERB`: the instructor's commands, one module a verb.

Each verb's module has `add_arguments(parser)` and `run(options) -> int`: 0 fine, 1 the answer is no, 2 bad input.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytorch.perf.records import Report
    from tinytorch.perf.store import Store

VERBS = (
    "release",
    "collect",
    "grade",
    "feedback",
    "export",
    "doctor",
    "referee",
    "board",
    "projector",
    "review",
    "audit",
    "finals",
)

ORDER = """\
From an empty folder to published grades, one line each:

    python -m autograder doctor                                      is this machine fit?
    python -m autograder release --out for-students                  what students get
    python -m autograder collect download.zip --course course        what they hand in
    python -m autograder grade --course course                       points into nbgrader's gradebook
    python -m autograder feedback --course course                    a page for each student
    python -m autograder export grades.csv --course course           a table for Canvas or Moodle

And the competition: referee for one entry, finals for all of them, board and projector to show them, review and
audit to look closer. VERB --help says more; docs/teachers.md says all. Exit codes: 0 done, 1 done but look at what
it says (something was not placed, graded, ranked or fit), 2 bad input, 130 stopped by ctrl-C.
"""

# Before numpy is loaded by a verb; see perf.machine.one_blas_thread.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    try:
        from sqlalchemy.exc import SQLAlchemyError

        options = _parser().parse_args(argv)
    except ModuleNotFoundError as error:
        mend = 'activate the environment that has it (. .venv/bin/activate), or pip install -e ".[class]"'
        print(f"autograder: {error.name} is missing in {sys.executable}: {mend}", file=sys.stderr)
        return 2
    try:
        return _carried_out(options)
    except (ValueError, RuntimeError, OSError, SQLAlchemyError) as error:
        print(f"{options.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{options.verb}: stopped; what was done so far is kept", file=sys.stderr)
        return 130


def _carried_out(options: argparse.Namespace) -> int:
    """Run the verb; an official run in which the referee fails is stored as refused before its error goes on."""
    try:
        return options.run(options)
    except Exception as error:
        if options.verb == "referee" and options.store and _within_the_run(error):
            from tinytorch.perf.store import Store

            result = kept(Store(options.store), unfinished(Path(options.entry), error))
            print(f"referee: stored as entry {result.get('id')}: {result['reasons'][0]}", file=sys.stderr)
        raise


def _within_the_run(error: Exception) -> bool:
    """Did the official run itself fail, and not what is around it, such as the store?"""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals["__name__"] == "autograder.referee.officiate" for frame, _ in frames)


def unfinished(folder: Path, error: Exception, **more: Any) -> Report:
    """A refused official result of an entry in whose run the referee itself failed, with `more` fields.

    It says the kind of the error alone: its text could carry graded inputs out. The event is "" where the folder
    is no entry.
    """
    from autograder.referee.officiate import refused
    from tinytorch.perf.entry import load_entry
    from tinytorch.perf.records import Report

    opening = Report(mode="official", event_name="", team_name=folder.name)
    try:
        entry = load_entry(folder)
        words = ("team_name", "event_name", "optimization_description", "github_url")
        opening |= {name: getattr(entry, name) for name in words} | {"entry_sha256": entry.sha256}
    except Exception:  # of whatever kind: the error to be told is the first one
        pass
    reason = f"the referee could not finish this run: {type(error).__name__}"
    return refused(Report(opening | more), "run finishes", [reason])


def kept(store: Store, result: Report) -> Report:
    """As it is stored; tried once more a second later, since a team may have one submission a second.

    What is no entry at all is nobody's submission, and returned as it is.

    Raises:
        StoreError: the store refused it both times.
    """
    from tinytorch.perf.store import StoreError

    if not result["event_name"]:
        return result
    try:
        return store.append(result)
    except StoreError:
        time.sleep(1.1)
        return store.append(result)


def _parser() -> argparse.ArgumentParser:
    looks: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    whole = importlib.util.find_spec("autograder.grade") is not None
    parser = argparse.ArgumentParser(
        prog="python -m autograder",
        description="What an instructor does." if whole else "The official run of an entry, at home.",
        epilog=ORDER if whole else None,
        **looks,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        if importlib.util.find_spec(f"autograder.{verb}") is None:
            continue  # a student's folder holds the referee alone
        module = importlib.import_module(f"autograder.{verb.replace('-', '_')}")
        summary = (module.__doc__ or "").partition("\n")[0].rstrip(".")
        added = verbs.add_parser(verb, help=summary, description=module.__doc__, **looks)
        module.add_arguments(added)
        added.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
