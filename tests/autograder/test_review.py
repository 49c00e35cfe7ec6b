"""What an instructor does to a board: hold an entry, clear it, pick one by lot, run the final choices again."""

from __future__ import annotations

import hashlib
import sys

import pytest

from autograder.__main__ import main
from autograder.audit import pick
from autograder.referee import officiate
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.perf.checks import toy_submission
from tinytorch.perf.entry import save_entry
from tinytorch.perf.records import Report
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


def breaks_for(*teams, error=IndexError):
    """A judge that fails itself where one of these teams has handed in."""

    def judge(entry, terms):
        if entry.team_name in teams:
            raise error("what it saw: 1 2 3")
        ranked = official(entry.team_name, speedup_vs_baseline=2.0, seed=terms.seed, reasons=[], checks=[])
        return Report(ranked | {"event_name": entry.event_name})

    return judge


def entries_of(folder, *names):
    """Folders a, b, ... of these teams' entries, and the folder that holds them."""
    for at, team in enumerate(names):
        save_entry(load_baseline("mlp_sprint"), folder / "entries" / "abc"[at], team, "mlp_sprint")
    return str(folder / "entries")


def test_the_finals_go_on_after_an_entry_in_whose_run_the_referee_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(officiate, "judge", breaks_for("Cats"))
    url = str(tmp_path / "finals.sqlite")
    assert main(["finals", entries_of(tmp_path, "Owls", "Cats", "Bats"), url, "--seed", "3"]) == 1
    told, rows = capsys.readouterr(), Store(url).submissions()
    assert [(each["team_name"], each["ranked"], each["seed"], each["final"]) for each in rows] == [
        ("Owls", True, 3, True),
        ("Cats", False, 3, True),
        ("Bats", True, 3, True),
    ]
    assert "b: not ranked: the referee could not finish this run: IndexError" in told.out
    assert "what it saw" in told.err and "what it saw" not in told.out + str(rows), "a trace for the instructor"


def test_two_runs_of_a_team_that_fail_in_one_second_are_both_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(officiate, "judge", breaks_for("Cats"))
    url = str(tmp_path / "finals.sqlite")
    assert main(["finals", entries_of(tmp_path, "Cats", "Cats", "Owls"), url]) == 1
    assert [each["team_name"] for each in Store(url).submissions()] == ["Cats", "Cats", "Owls"]


def test_finals_whose_baseline_does_not_play_stop_and_say_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(officiate, "judge", breaks_for("Cats", error=officiate.RefereeError))
    url = str(tmp_path / "finals.sqlite")
    assert main(["finals", entries_of(tmp_path, "Cats", "Owls"), url, "--seed", "3"]) == 2
    told = capsys.readouterr()
    assert "stopped at a: " in told.err and "into a new store with --seed 3" in told.err
    assert "the seed was 3" in told.out and len(Store(url)) == 0


@pytest.mark.parametrize("error", [ValueError, IndexError])
def test_a_run_in_which_the_referee_fails_counts_against_the_limit(tmp_path, capsys, monkeypatch, error):
    monkeypatch.setattr(officiate, "judge", breaks_for("Cats", error=error))
    entry, url = entries_of(tmp_path, "Cats") + "/a", str(tmp_path / "board.sqlite")
    if error is ValueError:
        assert main(["referee", entry, "--store", url, "--limit", "1"]) == 2
    else:  # a kind that no verb expects ends with a trace, as everywhere
        with pytest.raises(IndexError, match="what it saw"):
            main(["referee", entry, "--store", url, "--limit", "1"])
    (row,) = Store(url).submissions()
    assert row["reasons"] == [f"the referee could not finish this run: {error.__name__}"]
    assert (row["mode"], row["ranked"], len(row["entry_sha256"])) == ("official", False, 64)
    assert "stored as entry 1" in capsys.readouterr().err
    assert main(["referee", entry, "--store", url, "--limit", "1"]) == 2
    assert "has had 1 official runs in mlp_sprint today" in capsys.readouterr().err


def test_a_run_that_is_stopped_by_hand_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(officiate, "judge", breaks_for("Cats", error=KeyboardInterrupt))
    url = str(tmp_path / "board.sqlite")
    assert main(["referee", entries_of(tmp_path, "Cats") + "/a", "--store", url]) == 130
    assert len(Store(url)) == 0


def closed_pipe(result):
    raise BrokenPipeError("nobody reads on")


def test_a_report_that_cannot_be_printed_is_not_stored_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(officiate, "judge", breaks_for())
    monkeypatch.setattr("autograder.referee.report.as_text", closed_pipe)
    url = str(tmp_path / "board.sqlite")
    assert main(["referee", entries_of(tmp_path, "Cats") + "/a", "--store", url]) == 2
    assert [each["ranked"] for each in Store(url).submissions()] == [True]


def test_finals_without_entries_say_what_to_give(tmp_path, capsys):
    assert main(["finals", str(tmp_path), str(tmp_path / "finals.sqlite")]) == 2
    assert "holds no entry folders" in capsys.readouterr().err
