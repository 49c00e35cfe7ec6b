"""take an entry off the boards while somebody looks at it, and put it back: `python -m autograder review STORE`.

A review is added to the store and never changed; the last one of an entry decides. Does not: judge.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from autograder.stored import stored
from tinytorch.perf.store import CLEARED, REFUSED, UNDER_REVIEW, Store

VERDICTS = {"hold": UNDER_REVIEW, "clear": CLEARED, "refuse": REFUSED}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line takes."""
    parser.add_argument("store", help="path of the store, or a database URL")
    parser.add_argument("id", nargs="?", type=int, help="number of the entry; without it all reviews are listed")
    parser.add_argument(
        "verdict",
        nargs="?",
        choices=VERDICTS,
        help="hold: hide it; clear: show it again; refuse: hide it for good",
    )
    parser.add_argument("reason", nargs="?", help="for the team to read")


def run(options: argparse.Namespace) -> int:
    """List reviews, or add one. 0 done, 2 bad input."""
    store = stored(options.store)
    if options.id is None:
        print("\n".join(listed(store)) or f"no reviews; {len(store)} entries are seen")
        return 0
    if options.verdict is None or options.reason is None:
        raise ValueError('say what becomes of it and why: review STORE ID hold|clear|refuse "REASON"')
    store.review(options.id, VERDICTS[options.verdict], options.reason)
    print(f"entry {options.id}: {VERDICTS[options.verdict]}")
    return 0


def listed(store: Store) -> Iterator[str]:
    """A line for each review, the newest first."""
    entries = {each["id"]: each for each in store.submissions(hidden=True)}
    for review in reversed(store.reviews()):
        entry = entries[review["submission_id"]]
        yield (
            f"{review['reviewed_at'][:16]}  entry {entry['id']}, {entry['team_name']}, {entry['event_name']}: "
            f"{review['verdict']} ({review['reason']})"
        )
