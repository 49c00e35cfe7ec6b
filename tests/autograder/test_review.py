"""What an instructor does to a board: hold an entry, clear it, pick one by lot, run the final choices again."""

from __future__ import annotations

import hashlib
import sys

import pytest

from autograder.__main__ import main
from autograder.audit import pick
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.perf.checks import toy_submission
from tinytorch.perf.entry import save_entry
from tinytorch.perf.store import Store
from tinytorch.perf.workloads.baselines import load_baseline


def practised(team, speed=2.0):
    return dict(toy_submission(team, speed)) | {"event_name": "mlp_sprint"}


def official(team, **more):
    return practised(team) | {"mode": "official", "entry_sha256": "ab" * 32, "division": "closed"} | more


@pytest.fixture
def url(tmp_path):
    """A store with three official entries, one of them not ranked, and one of practice."""
    path = str(tmp_path / "board.sqlite")
    store = Store(path)
    for each in (official("Owls"), official("Cats"), official("Bats", ranked=False), practised("Rats", 9.0)):
        store.append(each)
    return path


def seen(url):
    return [each["team_name"] for each in Store(url).submissions()]


def test_an_entry_that_is_held_is_off_the_boards_until_it_is_cleared(url, capsys):
    assert main(["review", url, "2", "hold", "same weights as the Owls"]) == 0
    assert seen(url) == ["Owls", "Bats", "Rats"]
    assert main(["review", url]) == 0
    assert "entry 2, Cats, mlp_sprint: under review (same weights as the Owls)" in capsys.readouterr().out
    assert main(["review", url, "2", "clear", "they shared a tutor"]) == 0
    assert seen(url) == ["Owls", "Cats", "Bats", "Rats"]


def test_a_review_without_a_reason_is_refused(url, capsys):
    assert main(["review", url, "2", "hold"]) == 2
    assert "say what becomes of it and why" in capsys.readouterr().err
    assert main(["review", url, "7", "hold", "why not"]) == 2
    assert "has no submission 7" in capsys.readouterr().err


def test_without_reviews_the_list_says_so(url, capsys):
    assert main(["review", url]) == 0
    assert capsys.readouterr().out == "no reviews; 4 entries are seen\n"


def test_the_lot_falls_on_ranked_official_entries_alone_and_can_be_drawn_again(url):
    entries = Store(url).submissions()
    teams = {pick(entries, seed)["team_name"] for seed in range(40)}
    assert teams == {"Owls", "Cats"}
    assert pick(entries, 5) == pick(entries, 5)


def test_an_audit_says_what_to_look_at_and_may_hold_the_entry(url, capsys):
    assert main(["audit", url, "--seed", "1", "--hold"]) == 0
    out = capsys.readouterr().out
    assert "picked by seed 1" in out and "sha256 abab" in out and "closed division" in out
    assert len(seen(url)) == 3
    assert Store(url).reviews()[0]["reason"] == "picked by lot (seed 1)"


def test_an_audit_of_nothing_says_so(tmp_path, capsys):
    store = tmp_path / "empty.sqlite"
    assert main(["audit", str(store)]) == 2 and not store.exists(), "what only reads makes no store"
    Store(store)
    assert main(["audit", str(store)]) == 1
    assert "no ranked official entry" in capsys.readouterr().out


def test_a_team_has_so_many_official_runs_a_day_and_refused_ones_count(url, tmp_path, capsys):
    entry = save_entry(load_baseline("mlp_sprint"), tmp_path / "entry", "BATS", "mlp_sprint")
    assert main(["referee", str(entry), "--store", url, "--limit", "1"]) == 2
    assert "has had 1 official runs in mlp_sprint today, 1 are allowed" in capsys.readouterr().err
    assert len(Store(url)) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="the walls and the clock are Linux's")
def test_the_finals_run_every_entry_under_one_seed_that_was_committed_to(tmp_path, capsys):
    model = add_custom_kernels(load_baseline("mlp_sprint"), version=3)
    for team in ("Owls", "Cats"):
        save_entry(model, tmp_path / "entries" / team, team, "mlp_sprint")
    (tmp_path / "entries" / "Cats" / "notes.txt").write_text("hello")
    url = str(tmp_path / "finals.sqlite")
    assert main(["finals", str(tmp_path / "entries"), url, "--budget", "0.1", "--seed", "11"]) == 1
    out = capsys.readouterr().out
    assert hashlib.sha256(b"11").hexdigest() in out.splitlines()[0]
    assert "Cats: not ranked: unexpected 'notes.txt'" in out and "the seed was 11" in out
    assert [(each["team_name"], each["seed"], each["final"]) for each in Store(url).submissions()] == [
        ("Owls", 11, True)
    ]


def test_finals_without_entries_say_what_to_give(tmp_path, capsys):
    assert main(["finals", str(tmp_path), str(tmp_path / "finals.sqlite")]) == 2
    assert "holds no entry folders" in capsys.readouterr().err
