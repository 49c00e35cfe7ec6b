"""pick a ranked official entry at random and say what to look at: `python -m autograder audit STORE`.

Who may be asked to explain an entry writes one that can be explained. Does not: judge.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from autograder.referee.report import times
from autograder.stored import stored
from tinytorch.perf.store import UNDER_REVIEW
from tinytorch.perf.workloads.events import EVENTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line takes."""
    parser.add_argument("store", help="path of the store, or a database URL")
    parser.add_argument("--event", choices=tuple(EVENTS), help="of one event only")
    parser.add_argument("--seed", type=int, help="of the choice; by default drawn, and printed")
    parser.add_argument("--hold", action="store_true", help="hide the entry until it is cleared")


def run(options: argparse.Namespace) -> int:
    """Print one entry to look at. 0 picked, 1 there is none."""
    store = stored(options.store)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    found = pick(store.submissions(event=options.event), seed)
    if found is None:
        print("no ranked official entry to look at")
        return 1
    if options.hold:
        store.review(found["id"], UNDER_REVIEW, f"picked by lot (seed {seed})")
    print("\n".join(what_to_ask(found, seed)))
    return 0


def pick(submissions: list[Any], seed: int) -> Mapping[str, Any] | None:
    """One ranked official entry, each as likely as the other; the same seed picks the same."""
    ranked = [each for each in submissions if each.get("mode") == "official" and each.get("ranked")]
    return ranked[int(np.random.default_rng(seed).integers(len(ranked)))] if ranked else None


def what_to_ask(entry: Mapping[str, Any], seed: int) -> Iterator[str]:
    """What was claimed, what was found, and where the two differ."""
    yield f"entry {entry['id']} of {entry['team_name']}, {entry['event_name']} (picked by seed {seed})"
    yield f"  speedup {times(entry['speedup_vs_baseline'])}, {entry.get('division', 'no')} division"
    yield f"  files   sha256 {entry['entry_sha256']}: is it the folder that was handed in?"
    verified, claimed = set(entry.get("detected_techniques", [])), set(entry.get("claimed_techniques", []))
    for family in sorted(verified | claimed):
        kind = {(True, True): "claimed and verified", (True, False): "claimed, not verified"}
        yield f"  {family}: {kind.get((family in claimed, family in verified), 'verified, not claimed')}"
    yield "  ask the team to explain submission.py line by line, and to change one thing in it"
