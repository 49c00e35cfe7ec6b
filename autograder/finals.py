"""run the final choices of a class again under a committed seed: `python -m autograder finals FOLDER STORE`.

What a team could tune to was the seeds of its earlier runs; this one nobody had. Does not: choose for a team.
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys
import traceback
from pathlib import Path

from autograder.__main__ import kept, unfinished
from autograder.referee import referee
from autograder.referee.report import as_line
from autograder.terminal import say, with_bar
from tinytorch.perf.records import Report
from tinytorch.perf.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line takes."""
    parser.add_argument("folder", type=Path, help="folder of entry folders, one for each team and event")
    parser.add_argument("store", help="store of the finals: a new path, or a database URL")
    parser.add_argument("--seed", type=int, help="of all runs; by default a secret one is drawn")
    parser.add_argument("--budget", type=float, default=3.0, metavar="S", help="seconds of timing a run (3)")


def run(options: argparse.Namespace) -> int:
    """Run every entry once. 0 all are ranked, 1 not all of them, 2 nothing to run, or none can be."""
    entries = sorted(path for path in options.folder.iterdir() if path.is_dir()) if options.folder.is_dir() else []
    if not entries:
        raise ValueError(f"{options.folder} holds no entry folders; give the folder in which each team has one")
    store, seed = Store(options.store), secrets.randbits(63) if options.seed is None else options.seed
    if any(each.get("final") for each in store.submissions(hidden=True)):
        raise ValueError(
            f"{options.store} holds finals already; give a new path, and --seed to run the same again"
        )
    print(f"the seed's sha256 is {hashlib.sha256(str(seed).encode()).hexdigest()}: publish it now")
    refused = 0
    try:
        for folder in with_bar(entries, len(entries), " entries"):
            result = final(folder, store, seed, options.budget)
            refused += not result["ranked"]
            say(f"{folder.name}: {as_line(result)}")
    finally:
        print(f"the seed was {seed}")
    return 1 if refused else 0


def final(folder: Path, store: Store, seed: int, budget_s: float) -> Report:
    """The stored result of one entry; a refusal where the referee fails in its run, so that the others go on.

    Raises:
        RuntimeError: the baseline did not play, or no worker can be run: nothing is said about any entry.
    """
    from autograder.referee.levels import LevelError
    from autograder.referee.officiate import RefereeError

    try:
        return kept(store, Report(referee(folder, seed=seed, budget_s=budget_s) | {"final": True}))
    except (RefereeError, LevelError) as error:
        raise RuntimeError(
            f"stopped at {folder.name}: {error}; see what `python -m autograder doctor` says, or take this folder "
            f"out if it happens here alone, and run the finals again into a new store with --seed {seed}"
        ) from error
    except Exception as error:
        traceback.print_exception(error, file=sys.stderr)
        return kept(store, unfinished(folder, error, seed=seed, final=True))
