"""The demonstration competition: its entries, its page, and what it says when something is in the way."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from tests.perf.sample_class import entries, submission
from tinytorch import compete
from tinytorch.compete import ENTRIES, charts, latest, main, on_show, rules, verdict_line, write
from tinytorch.core.benchmarking import CompetitionProfiler, make_leaderboard
from tinytorch.perf.store import Store
from tinytorch.perf.workloads.events import EVENTS

SPRINT = EVENTS["mlp_sprint"]


class Sample:
    """A competition that measures nothing: it takes any entry and gives sample results.

    Args:
        stop_at: team at whose entry Ctrl-C is pressed.
    """

    def __init__(self, store, stop_at=None):
        self.store, self.stop_at = store, stop_at

    def submit_entry(self, team, event, model, description):
        if team == self.stop_at:
            raise KeyboardInterrupt
        return self.store.append(submission(event, team, text=description))

    def leaderboard(self, event, metric):
        return make_leaderboard(EVENTS[event], metric, self.store.submissions(event=event))


def quick(monkeypatch, **how):
    """Let the command run without models, measuring and charts."""
    monkeypatch.setattr(compete, "charts", lambda *_: [])
    monkeypatch.setattr(compete, "load_baseline", lambda _: None)
    light = tuple(compete.Entry(each.team, each.event, each.description, lambda _: None) for each in ENTRIES)
    monkeypatch.setattr(compete, "ENTRIES", light)
    opened = compete.open_competition
    monkeypatch.setattr(compete, "open_competition", lambda *given: Sample(opened(*given).store, **how))


def teams_of(event):
    return [entry.team for entry in ENTRIES if entry.event == event]


# ---------------------------------------------------------------- entries


@pytest.mark.parametrize("event", EVENTS)
def test_at_least_four_teams_enter_an_event_each_once(event):
    teams = teams_of(event)
    assert len(teams) >= 4
    assert len(set(teams)) == len(teams)


def test_every_entry_is_of_an_event_and_says_what_it_did():
    assert {entry.event for entry in ENTRIES} == set(EVENTS)
    assert all(entry.description for entry in ENTRIES)


# ---------------------------------------------------------------- one line on one entry


def test_the_verdict_on_a_ranked_entry_is_one_line_of_seventy_columns():
    line = verdict_line(submission(score=2.0, half=0.25, event_score=2.0, medal="silver", innovation_score=0.5))
    assert line.split() == "2.00x [1.60, 2.50] score 2.00 silver innovation 0.50".split()
    assert len(line) <= 70


def test_the_verdict_on_an_entry_below_the_floor_ends_in_its_reasons():
    line = verdict_line(submission(lost=0.12, reasons=["12 points less accurate", "and late"]))
    first, second = line.splitlines()
    assert first.endswith("not ranked")
    assert second.strip() == "12 points less accurate; and late"


def test_a_long_reason_is_wrapped_at_a_hundred_columns():
    lines = verdict_line(submission(lost=0.12, reasons=["word " * 60])).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 100


# ---------------------------------------------------------------- who wins


def test_an_event_is_won_by_its_own_score_and_not_by_speed():
    fast = submission("cnn_marathon", "Fast", 3.0, speedup_vs_baseline=9.0)
    small = submission("cnn_marathon", "Small", 5.0, speedup_vs_baseline=2.0)
    board = make_leaderboard(EVENTS["cnn_marathon"], "event", [fast, small])
    assert [(row.rank, row.team, row.score) for row in board.standings] == [(1, "Small", 5.0), (2, "Fast", 3.0)]


def test_overlapping_event_scores_share_the_win():
    board = make_leaderboard(SPRINT, "event", [submission(team="a", score=2.0), submission(team="b", score=2.01)])
    assert [(row.rank, row.tied) for row in board.standings] == [(1, True), (1, True)]


def test_a_team_counts_with_its_best_ranked_entry():
    runs = [submission(score=2.0), submission(score=3.0), submission(score=2.5), submission(score=9.0, lost=0.2)]
    (row,) = make_leaderboard(SPRINT, "event", runs).standings
    assert row.score == 3.0


def test_nobody_wins_an_event_without_a_ranked_entry():
    assert make_leaderboard(SPRINT, "event", [submission(lost=0.2)]).standings == ()


# ---------------------------------------------------------------- the page


def test_latest_keeps_the_last_submission_of_each_team():
    runs = [submission(team=team, score=score) for team, score in [("a", 1.0), ("b", 2.0), ("a", 3.0)]]
    assert [(each["team_name"], each["event_score"]) for each in latest(runs)] == [("a", 3.0), ("b", 2.0)]


def test_charts_show_what_the_board_ranks_and_the_last_failure_of_the_others():
    best, worse = submission(team="a", score=3.0), submission(team="a", score=2.0)
    failures = [submission(team="b", score=score, lost=0.2) for score in (7.0, 8.0)]
    runs = [best, worse, *failures]
    assert on_show(make_leaderboard(SPRINT, "speed", runs), runs) == [best, failures[1]]


def test_a_chart_of_a_large_class_shows_the_first_fifteen_and_says_so():
    many = [submission(team=f"Team {at}", score=1 + at / 100) for at in range(40)]
    failed = submission(team="Failed", score=9.0, lost=0.2)
    drawn = charts(SPRINT, [failed, *many], make_leaderboard(SPRINT, "event", many))
    assert drawn[0][0] == "MLP Sprint: speedup of the first 15 of 41 entries"
    assert "Team 25" in drawn[0][1] and "Team 24" not in drawn[0][1]
    few = charts(SPRINT, [failed, *many[:3]], make_leaderboard(SPRINT, "event", many[:3]))
    assert few[0][0] == "MLP Sprint: speedup of every entry"


def test_the_rules_of_an_event_name_the_medals():
    assert rules(SPRINT).endswith("Bronze from 1.3, silver from 2, gold from 3.")


def test_the_page_has_three_boards_an_event_its_winner_and_its_charts(tmp_path):
    competition = Sample(Store(tmp_path / "store.sqlite"))
    for each in (entry for event in EVENTS for entry in entries(event)):
        competition.store.append(each)
    page = write(competition, tmp_path / "index.html", list(EVENTS)).read_text()
    assert page.count('data-testid="board"') == 9
    assert page.count("<svg") == 2 + 3 + 3  # the Marathon's balance and the Decathlon's ten disciplines
    assert re.search("Winner: <b><bdi>Hot Path</bdi></b> scores 2.21", page)
    assert "embed, batch 1" not in page  # the cases of the speedup, not all that was timed


def test_a_page_without_any_entry_is_still_a_page(tmp_path):
    page = write(Sample(Store(tmp_path / "store.sqlite")), tmp_path / "index.html", list(EVENTS)).read_text()
    assert page.count("No winner yet.") == 3


# ---------------------------------------------------------------- the command


def test_the_command_submits_all_and_prints_the_path_of_the_page(tmp_path, monkeypatch, capsys):
    quick(monkeypatch)
    assert main(["--out", str(tmp_path / "new" / "folder")]) == 0
    out = capsys.readouterr().out
    assert [entry.team for entry in ENTRIES if entry.team not in out] == []
    assert [event.title for event in EVENTS.values() if out.count(event.title) != 1] == []
    assert max(map(len, out.splitlines()[:-1])) <= 100
    assert (tmp_path / "new/folder/index.html").as_uri() in out


def test_a_second_run_into_the_same_folder_adds_to_the_first(tmp_path, monkeypatch):
    quick(monkeypatch)
    monkeypatch.setattr("tinytorch.perf.store.Store.append", numbered(Store.append))
    assert [main(["--out", str(tmp_path), "--events", "mlp_sprint"]) for _ in range(2)] == [0, 0]
    assert len(Store(tmp_path / compete.STORE)) == 2 * len(teams_of("mlp_sprint"))
    assert (tmp_path / compete.PAGE).read_text().count('data-team="Plain Sailing"') == 3


def numbered(append):
    """Each submission a day after the one before: a team may submit once a second."""
    from datetime import UTC, datetime, timedelta

    days = iter(range(1000))

    def later(store, given):
        store._clock = lambda: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=next(days))
        return append(store, given)

    return later


def test_ctrl_c_keeps_what_was_submitted_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    quick(monkeypatch, stop_at="Loop Unrollers")
    assert main(["--out", str(tmp_path), "--events", "mlp_sprint"]) == 130
    kept = [each["team_name"] for each in Store(tmp_path / compete.STORE).submissions()]
    assert kept == ["Plain Sailing", "Byte Club"]
    assert f"--out {tmp_path} --start 3 --events mlp_sprint" in capsys.readouterr().err


def test_a_stopped_run_goes_on_where_it_was_told_to(tmp_path, monkeypatch, capsys):
    quick(monkeypatch)
    assert main(["--out", str(tmp_path), "--start", str(len(ENTRIES))]) == 0
    assert [each["team_name"] for each in Store(tmp_path / compete.STORE).submissions()] == [ENTRIES[-1].team]
    assert EVENTS[ENTRIES[-1].event].title in capsys.readouterr().out  # also where it begins in the middle


@pytest.mark.parametrize("start", ["0", "-1", "99"])
def test_a_start_beyond_the_entries_is_refused(start, tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--start", start]) == 1
    assert f"--start is {start}; entries are numbered from 1 to {len(ENTRIES)}" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["sqlalchemy", "matplotlib"])
def test_a_missing_package_is_named_before_anything_runs(package, tmp_path, monkeypatch, capsys):
    find = compete.find_spec
    monkeypatch.setattr(compete, "find_spec", lambda name: None if name == package else find(name))
    assert main(["--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert f"not installed: {package}" in error
    assert "pip install -e '.[lab]'" in error
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["--out", str(tmp_path / "file" / "out")]) == 1
    assert re.search(r"cannot make the folder .*file.out: .*; give another with --out", capsys.readouterr().err)


def test_a_store_that_is_something_else_is_refused_in_words_and_left_alone(tmp_path, capsys):
    (tmp_path / compete.STORE).write_text("my diary")
    assert main(["--out", str(tmp_path)]) == 1
    assert "not a database" in capsys.readouterr().err
    assert (tmp_path / compete.STORE).read_text() == "my diary"


def test_an_unknown_event_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--events", "marathon"])
    assert "cnn_marathon" in capsys.readouterr().err


def test_help_says_what_it_does_and_where_to(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert {"--out", "--events", "--start"} <= set(re.findall(r"--\w+", capsys.readouterr().out))


# ---------------------------------------------------------------- for real


@pytest.fixture(scope="module")
def sprint(tmp_path_factory):
    """One real run of the Sprint with a small budget, without the entry that trains for longest."""
    folder = tmp_path_factory.mktemp("sprint")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compete, "ENTRIES", tuple(each for each in ENTRIES if each.team != "Small Wonder"))
        page = compete.run(folder, ["mlp_sprint"], profiler=CompetitionProfiler(budget_s=0.3, seed=5))
    stored = {each["team_name"]: each for each in Store(folder / compete.STORE).submissions()}
    return SimpleNamespace(page=page.read_text(), stored=stored)


def test_a_real_run_ranks_the_honest_and_refuses_two_bits(sprint):
    assert [team for team, each in sprint.stored.items() if not each["ranked"]] == ["Two Bits"]
    assert sprint.stored["Lean Machine"]["speedup_ci"][0] > 1
    assert sprint.stored["Byte Club"]["speedup_ci"][1] < 1  # int8 is smaller, not faster


def test_a_real_run_ends_in_a_page_of_its_results(sprint):
    assert sprint.page.count('data-testid="board"') == 3
    assert "less accuracy than the baseline" in sprint.page
