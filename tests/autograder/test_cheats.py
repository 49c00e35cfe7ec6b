"""Every known cheat is refused by the check that its first line names, or gains nothing by it.

A cheat is a submission.py in `cheats/`; its first line says `event | check | what it tries`; `weights(baseline)`
makes what it brings along, where that is not the baseline's weights. A new cheat is a new file. "no gain: ..." is
accepted as what it is: an entry as fast as it honestly is.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from autograder.referee.levels import level_here
from autograder.referee.officiate import Terms, judge
from autograder.referee.rounds import LEAST_ROUNDS
from tinytorch.perf.entry import Entry
from tinytorch.perf.records import Report
from tinytorch.perf.workloads.baselines import load_baseline

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls and the clock are Linux's")
CHEATS = sorted((Path(__file__).parent / "cheats").glob("*.py"))
UNEARNED = 1.10


def play(path: Path, budget_s: float = 0.1, rounds: int = 5) -> Report:
    event, source = promise(path)[0], path.read_text()
    baseline = load_baseline(event)
    at_home = runpy.run_path(str(path)) if "\ndef weights(" in source else {}
    weights = at_home["weights"](baseline) if at_home else baseline.state_dict()
    entry = Entry(path.parent, "Cheats", event, "", "", source, weights, at_home.get("KERNEL_C"), "0" * 64)
    terms = Terms(seed=7, level=level_here(), budget_s=budget_s, interventions=False, least_rounds=rounds)
    return judge(entry, terms)


def promise(path: Path) -> list[str]:
    """Event, check, and what is tried."""
    return path.read_text().split('"""')[1].split(" | ")


@pytest.mark.parametrize("path", CHEATS, ids=lambda path: path.stem)
def test_a_cheat_is_refused_or_gains_nothing(path):
    if not stopped(
        path, play(path)
    ):  # five short rounds were too few to tell, or to cheat in: as long as an official run is
        result = play(path, budget_s=1.5, rounds=LEAST_ROUNDS)
        assert stopped(path, result), (result["speedup_vs_baseline"], result["event_score"], result["reasons"])


def stopped(path: Path, result: Report) -> bool:
    """By the check that was promised, or by being no faster than it has earned."""
    check = promise(path)[1]
    if check.startswith("no gain"):
        refused_unscored = not result["ranked"] and "event_score" not in result
        return refused_unscored or max(result["speedup_vs_baseline"], result["event_score"]) <= UNEARNED
    return bool(set(check.split(" or ")) & set(result["checks"])) and not result["ranked"]


def test_there_are_cheats_for_every_event():
    events = [promise(path)[0] for path in CHEATS]
    assert len(events) >= 45
    assert min(events.count(event) for event in set(events)) >= 5 and len(set(events)) == 3


def test_graded_inputs_do_not_leave_in_an_error_message():
    result = play(next(path for path in CHEATS if path.stem == "tells_what_it_sees"))
    assert "PIXELS" not in "".join(result["reasons"])
