"""run an entry folder officially: isolated, timed from outside, graded on inputs never seen.

    python -m autograder referee ENTRY            # a report; exit code 0 ranked, 1 not, 2 it could not be run
    official(model)                               # the same from a notebook

What it guarantees, by which check, and what not: docs/referee.md. In here: `officiate` holds the run together,
`rounds` and `players` play, `laws` and `memory` check, `levels` tests the walls, `sandbox`, `jail`, `protocol` and
`worker` are the walls and what stands behind them. Does not: import anything heavy before it is called.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytorch.perf.records import Report

__all__ = ["add_arguments", "official", "referee", "run"]


def referee(folder: str | os.PathLike[str], **terms: Any) -> Report:
    """The official result of an entry folder; see `officiate.referee` for the terms and what is raised."""
    from autograder.referee.officiate import referee

    return referee(folder, **terms)


def official(
    model_or_folder: Any,
    team_name: str = "you",
    event_name: str | None = None,
    optimization_description: str = "",
    github_url: str = "",
    **terms: Any,
) -> Report:
    """An official run on this machine, of an entry folder or of a model of the library.

    Args:
        event_name: of a model; by default found out from what it accepts.
        terms: as for `referee`.
    """
    if isinstance(model_or_folder, (str, os.PathLike)):
        return referee(model_or_folder, **terms)
    import tempfile

    from tinytorch.core.benchmarking import event_of
    from tinytorch.perf.entry import save_entry

    event = event_name or event_of(model_or_folder).name
    with tempfile.TemporaryDirectory(prefix="entry-") as scratch:
        folder = os.path.join(scratch, "entry")
        save_entry(model_or_folder, folder, team_name, event, optimization_description, github_url)
        return referee(folder, **terms)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line takes."""
    parser.add_argument("entry", help="folder with entry.json, submission.py and weights.npz")
    parser.add_argument(
        "--store", metavar="URL", help="append the result to this store (a path or a database URL)"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=10,
        metavar="N",
        help="official runs a team, event and UTC day in the store (10)",
    )
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    parser.add_argument("--seed", type=int, help="of all inputs; by default a secret one is drawn")
    parser.add_argument("--level", type=int, choices=(1, 2, 3), help="walls at most that high; by default all")
    parser.add_argument("--budget", type=float, default=1.5, metavar="S", help="seconds of timing (1.5)")


def run(options: argparse.Namespace) -> int:
    """Print the report of one entry. 0 ranked, 1 not ranked, 2 it could not be run here."""
    import sys

    from autograder.referee.levels import LevelError
    from autograder.referee.report import as_json, as_text

    if not os.path.isdir(options.entry):
        print(f"referee: {options.entry} is no folder; give the entry's, with entry.json in it", file=sys.stderr)
        return 2
    if options.store and (used_up := _used_up(options)):
        print(f"referee: {used_up}", file=sys.stderr)
        return 2
    try:
        result = referee(options.entry, seed=options.seed, level=options.level, budget_s=options.budget)
    except LevelError as error:
        print(f"referee: {error}", file=sys.stderr)
        return 2
    if options.store and result["event_name"]:  # what is no entry at all is nobody's submission
        from tinytorch.perf.store import Store, StoreError

        try:
            result = Store(options.store).append(result)
        except StoreError as error:
            print(f"referee: the result could not be stored: {error}", file=sys.stderr)
            return 2
    print(as_json(result) if options.json else as_text(result))
    return 0 if result["ranked"] else 1


def _used_up(options: argparse.Namespace) -> str | None:
    """Why this team may not run officially any more today; None where it may.

    A refused run counts, too: it has seen answers to official data.
    """
    from tinytorch.perf.entry import check_entry, load_entry
    from tinytorch.perf.store import Store

    if check_entry(options.entry):
        return None  # no entry: it will be refused before it sees anything
    entry = load_entry(options.entry)
    runs = Store(options.store).official_runs_today(entry.team_name, entry.event_name)
    if runs < options.limit:
        return None
    return (
        f"{entry.team_name} has had {runs} official runs in {entry.event_name} today, {options.limit} are "
        f"allowed; measure in practice, and come back after midnight UTC"
    )
