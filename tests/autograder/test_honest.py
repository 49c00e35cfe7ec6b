"""Honest entries are ranked and their techniques proved; fakes of techniques earn nothing.

The first line of each file names the families that it really uses; a fake pretends all the others.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autograder.referee.rounds import LEAST_ROUNDS
from tests.autograder.submissions import WORDS, official, told
from tinytorch.core.benchmarking import CLAIM_WORDS, claimed_families, innovation_score

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls and the clock are Linux's")
HERE = Path(__file__).parent
HONEST, FAKES = (sorted((HERE / kind).glob("*.py")) for kind in ("honest", "fakes"))
PROVED, NOTHING = 0.25, 0.1


def families(path):
    return {family.strip() for family in told(path)[1].split(",") if family.strip()}


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_an_honest_entry_is_ranked_and_its_techniques_are_proved(path, tmp_path):
    result = official(path, tmp_path / "short")
    if not result["ranked"] or unproved(path, result):  # too few rounds to tell: as long as an official run is
        result = official(path, tmp_path / "long", budget_s=1.5, least_rounds=LEAST_ROUNDS)
    assert result["ranked"], result["reasons"]
    assert not unproved(path, result), {each["family"]: each["finding"] for each in result["evidence"]}


def unproved(path, result):
    """Families that the entry really uses, and that were not found in it."""
    points = {each["family"]: each["score"] for each in result["evidence"]}
    return {family: points.get(family) for family in families(path) if points.get(family, 0) < PROVED}


@pytest.mark.parametrize("path", FAKES, ids=lambda path: path.stem)
def test_a_technique_that_is_only_pretended_earns_nothing(path, tmp_path):
    result = official(path, tmp_path / "entry")
    assert set(result["claimed_techniques"]) == claimed_families(WORDS) == set(CLAIM_WORDS)
    assert result["ranked"], "the network does its job; only its claims are false"
    pretended = [each for each in result["evidence"] if each["family"] not in families(path)]
    assert innovation_score(each["score"] for each in pretended) <= NOTHING, [e for e in pretended if e["score"]]


def test_there_are_honest_entries_for_all_events_and_families():
    assert len(HONEST) >= 15 and len(FAKES) >= 12
    assert len({told(path)[0] for path in HONEST}) == 3
    assert set().union(*map(families, HONEST)) == set(CLAIM_WORDS)
    assert all(len(told(path)) == 3 for path in HONEST + FAKES)
