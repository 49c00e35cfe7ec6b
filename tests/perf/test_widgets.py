"""Leaderboards that follow a store: what each control does, and what stays where there is no kernel."""

from __future__ import annotations

import asyncio
import gc
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import ipywidgets
import pytest

from tests.perf.sample_class import ENTRIES, submission
from tests.perf.test_board import HOSTILE, Reader, assert_harmless
from tinytorch.core.benchmarking import make_leaderboard
from tinytorch.perf.feed import Feed, board_of, places_won, view_of
from tinytorch.perf.records import Leaderboard
from tinytorch.perf.store import REFUSED, Store
from tinytorch.perf.widgets import Leaderboards, WidgetError
from tinytorch.perf.widgets.leaderboards import ALL

NOON = datetime(2025, 6, 1, 12)


def ticking():
    """A clock that moves on by a second at every look."""
    times = (NOON + timedelta(seconds=tick) for tick in range(100_000))
    return lambda: next(times)


def filled(folder, entries=None):
    """A store with the sample class, or with `entries`."""
    store = Store(folder / "store.sqlite", clock=lambda: next(arrivals))
    arrivals = (datetime.fromisoformat("2025-06-01T12:00:00+00:00") + timedelta(seconds=at) for at in range(9_999))
    for entry in sample() if entries is None else entries:
        store.append(entry)
    return store


def sample():
    return [submission(event, *entry) for event in ENTRIES for entry in ENTRIES[event]]


def opened(folder, entries=None, **how):
    store = filled(folder, entries)
    return store, Leaderboards(store, make_leaderboard, clock=ticking(), **how)


def crowd(count):
    """Teams of which each is slower than the one before, none of them tied."""
    return [submission(team=f"Team {at:03}", score=9.0 * 0.95**at, half=0.001) for at in range(count)]


def teams(boards):
    return [row["data-team"] for row in Reader(boards.table.value).all("tr") if "data-team" in row]


def text(widget):
    return " ".join(filter(None, Reader(widget.value).text))


def refused(**more):
    """As the referee stores an entry that it did not measure."""
    entry = submission(**more) | {"ranked": False, "reasons": ["it looks ahead"]}
    return {key: value for key, value in entry.items() if key not in ("speedup_vs_baseline", "speedup_ci")}


# ---------------------------------------------------------------- controls


def test_one_board_is_shown_at_a_time(tmp_path):
    _, boards = opened(tmp_path)
    assert teams(boards)[:2] == ["The Vectorizers", "Byte Club"]
    boards.metric.value = "innovation"
    assert teams(boards)[0] == "The Vectorizers"


def test_another_event_has_other_teams(tmp_path):
    _, boards = opened(tmp_path)
    boards.event.value = "transformer_decathlon"
    assert teams(boards)[0] == "Hot Path"
    assert Reader(boards.table.value).all("div", data_event="transformer_decathlon")


def test_a_division_shows_its_own_entries_alone(tmp_path):
    mixed = [submission(team="Same", division="closed"), submission(team="Other", score=3.0, division="open")]
    _, boards = opened(tmp_path, mixed)
    seen = {}
    for boards.division.value in ("both", "closed", "open"):
        seen[boards.division.value] = teams(boards)
    assert seen == {"both": ["Other", "Same"], "closed": ["Same"], "open": ["Other"]}


def test_a_search_keeps_the_ranks_and_the_own_row(tmp_path):
    _, boards = opened(tmp_path, own_team="hot path")
    boards.search.value = "bYtE"
    rows = [row for row in Reader(boards.table.value).all("tr") if "data-team" in row]
    assert [(row["data-team"], row["data-rank"]) for row in rows] == [("Byte Club", "1"), ("Hot Path", "3")]


def test_a_search_without_a_match_says_so(tmp_path):
    _, boards = opened(tmp_path)
    boards.search.value = "<nobody>"
    assert text(boards.table) == "No team matches “<nobody>”."


def test_a_search_without_a_match_says_so_above_the_own_row(tmp_path):
    _, boards = opened(tmp_path, own_team="Hot Path")
    boards.search.value = "nobody"
    assert text(boards.table).startswith("No team matches “nobody”.")
    assert teams(boards) == ["Hot Path"]
    boards.search.value = "segfault"
    assert "No team matches" not in text(boards.table), "it is not ranked, but it is there"


def test_the_own_row_stands_at_its_rank_among_those_that_were_found(tmp_path):
    _, boards = opened(tmp_path, crowd(9), own_team="Team 004")
    boards.search.value = "8"
    assert teams(boards) == ["Team 004", "Team 008"]
    boards.search.value = "0"
    assert teams(boards) == [f"Team {at:03}" for at in range(9)]


def test_what_is_chosen_at_first_is_nothing_that_a_list_cannot_show(tmp_path):
    _, boards = opened(tmp_path)
    for control in (boards.division, boards.rows):
        assert None not in dict(control._options_full).values()


def test_innovation_that_looks_the_same_shares_a_rank(tmp_path):
    scores = {"More": 0.8149, "Less": 0.8051, "Other": 0.8049}
    entries = [submission(team=team, innovation_score=score) for team, score in scores.items()]
    stored = filled(tmp_path, entries).submissions()
    rows = board_of(make_leaderboard, "mlp_sprint", "innovation", stored).standings
    assert [(row.team, row.rank, row.tied) for row in rows] == [
        ("Less", 1, True), ("More", 1, True), ("Other", 3, False),
    ]  # fmt: skip
    assert rows[1].submission["innovation_score"] == 0.8149, "the row still has what was found"


@pytest.mark.parametrize(
    ("order", "first"),
    [("Rank", "The Vectorizers"), ("Team name", "Byte Club"), ("Newest first", "Integer Arithmetics")],
)
def test_rows_come_in_the_order_that_was_chosen(tmp_path, order, first):
    _, boards = opened(tmp_path)
    boards.order.value = order
    assert teams(boards)[0] == first


def test_the_own_row_is_seen_below_the_first_fifteen_of_two_hundred(tmp_path):
    _, boards = opened(tmp_path, crowd(40), own_team="Team 030")
    assert len(teams(boards)) == 16
    assert teams(boards)[-1] == "Team 030"
    assert "24 more teams" in text(boards.table)
    boards.rows.value = ALL
    assert len(teams(boards)) == 40
    assert "more teams" not in text(boards.table)


def test_who_has_no_row_is_told_how_many_there_are(tmp_path):
    _, boards = opened(tmp_path, crowd(20))
    assert "The first 15 of 20 teams." in text(boards.table)


def test_practice_and_official_results_never_stand_on_one_board(tmp_path):
    entries = [submission(team="At Home"), submission(team="In Court", mode="official")]
    store, boards = opened(tmp_path, entries)
    assert teams(boards) == ["At Home"]
    assert teams(Leaderboards(store, make_leaderboard, mode="official")) == ["In Court"]


def test_an_event_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(WidgetError, match=r"no event 'sprint'; expected one of mlp_sprint"):
        opened(tmp_path, event="sprint")


# ---------------------------------------------------------------- the weight of the composite


def test_the_rule_of_the_course_is_ranked_by_the_function_that_was_handed_in(tmp_path):
    asked = []

    def make(event, metric, entries):
        asked.append(metric)
        return make_leaderboard(event, metric, entries)

    boards = Leaderboards(filled(tmp_path), make)
    boards.metric.value = "composite"
    assert set(asked[1:]) >= {"composite"}
    assert teams(boards)[0] == "The Vectorizers"


def test_the_weight_decides_who_leads_and_the_ranges_say_where(tmp_path):
    fast = submission(team="Fast", score=4.0)
    clever = submission(team="Clever", score=2.0, techniques={"pruning": 1.0, "quantization": 1.0, "sharing": 1.0})
    _, boards = opened(tmp_path, [fast, clever])
    boards.metric.value = "composite"
    assert teams(boards) == ["Fast", "Clever"]
    boards.weight.value = 0.0
    assert teams(boards) == ["Clever", "Fast"]
    assert "0.00 × speedup + 1.00 × innovation" in text(boards.table)
    assert text(boards.leaders) == "Highest score, by weight of speed: 0.00 to 0.33 Clever; 0.33 to 1.00 Fast"


def test_a_composite_at_another_weight_has_scores_between_speedup_and_innovation(tmp_path):
    store = filled(tmp_path, [submission(score=3.0, techniques={"pruning": 0.8})])
    (row,) = board_of(make_leaderboard, "mlp_sprint", "composite", store.submissions(), 0.5).standings
    assert row.score == pytest.approx(0.5 * 3.0 + 0.5 * 0.4)
    assert row.submission["speedup_vs_baseline"] == 3.0, "the row still shows what was measured"


# ---------------------------------------------------------------- what has changed


def test_a_better_result_moves_up_and_says_so(tmp_path):
    store, boards = opened(tmp_path, crowd(4))
    store.append(submission(team="Team 003", score=20.0, half=0.001))
    assert boards.refresh()
    assert teams(boards)[0] == "Team 003"
    assert "▲ up by 3" in text(boards.table)
    assert text(boards.news) == "New result: Team 003, rank 1 on the event board."
    boards.metric.value = "speed"
    store.append(submission(team="Team 002", score=30.0, half=0.001))
    boards.refresh()
    assert text(boards.news) == "New result: Team 002, rank 1 on the speed board."
    boards.mark.click()
    assert "▲" not in text(boards.table)


def test_nothing_new_draws_nothing(tmp_path):
    _, boards = opened(tmp_path)
    seen = []
    boards.table.observe(seen.append, "value")
    assert not boards.refresh()
    assert seen == []


def test_a_new_team_is_new(tmp_path):
    store, boards = opened(tmp_path, crowd(2))
    store.append(submission(team="Late", score=8.8, half=0.001))
    boards.refresh()
    assert "new" in Reader(boards.table.value).text
    assert places_won(boards.board("speed", until=2), boards.board("speed")) == {"Team 000": 0, "Team 001": -1}


def test_an_entry_that_is_refused_in_a_review_goes(tmp_path):
    store, boards = opened(tmp_path, crowd(3))
    store.review(1, REFUSED, "it sleeps on duty")
    assert boards.refresh()
    assert teams(boards) == ["Team 001", "Team 002"]


def test_a_feed_finds_a_lower_id_that_was_shown_late():
    class Late:
        rows = [{"id": 2, "event_name": "mlp_sprint", "mode": "practice"}]

        def version(self):
            return len(self.rows), 2, 0

        def submissions(self, after=0):
            return [row for row in self.rows if row["id"] > after]

    feed = Feed(Late())
    feed.refresh()
    Late.rows.insert(0, {"id": 1, "event_name": "mlp_sprint", "mode": "practice"})
    assert feed.refresh()
    assert [each["id"] for each in feed.entries("mlp_sprint")] == [1, 2]


def test_a_board_that_follows_shows_what_arrives_and_stops_when_told(tmp_path, monkeypatch):
    monkeypatch.setattr("tinytorch.perf.widgets.leaderboards.LOOK_S", 0)

    async def story():
        store, boards = opened(tmp_path, crowd(2))
        boards.shown()
        arrived = asyncio.Event()
        boards.table.observe(lambda _: arrived.set(), "value")
        store.append(submission(team="Late", score=50.0))
        await asyncio.wait_for(arrived.wait(), 30)
        assert teams(boards)[0] == "Late"
        assert "live, checked at 12:" in text(boards.checked)
        boards.unfollow()
        assert "as of" in text(boards.checked)

    asyncio.run(story())


def test_following_holds_no_board_that_nobody_else_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("tinytorch.perf.widgets.leaderboards.LOOK_S", 0)

    async def story():
        _, boards = opened(tmp_path, crowd(2))
        boards.shown()
        task = boards._following
        boards.close()
        del boards
        gc.collect()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)

    asyncio.run(story())


def test_controls_may_be_changed_from_several_threads(tmp_path):
    _, boards = opened(tmp_path)

    def change(at):
        boards.order.value = ("Rank", "Team name", "Newest first")[at % 3]
        boards.search.value = "ab"[at % 2]
        return boards.refresh()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(change, range(24))) == [False] * 24


def test_redrawing_makes_no_new_widgets(tmp_path):
    _, boards = opened(tmp_path)
    before = set(ipywidgets.widgets.widget._instances)
    for at in range(20):
        boards.search.value = str(at)
    assert set(ipywidgets.widgets.widget._instances) <= before


def test_the_browsers_choice_arrives(tmp_path):
    class Comm:
        comm_id, kernel = "one", None

        def on_msg(self, callback):
            self.receive = callback

        def on_close(self, callback):
            pass

        def send(self, *_, **__):
            pass

        def close(self, *_, **__):
            pass

    _, boards = opened(tmp_path)
    boards.event.comm = comm = Comm()
    state = {"method": "update", "state": {"index": 1}, "buffer_paths": []}
    comm.receive({"content": {"data": state}, "buffers": []})
    assert boards.event.value == "cnn_marathon"
    assert teams(boards)[0] == "Byte Club"


# ---------------------------------------------------------------- hostile words, other viewers


@pytest.mark.parametrize("name", [*HOSTILE, r"$\frac{1$", "=1+2", "x" * 10_000], ids=lambda name: ascii(name)[:24])
def test_no_name_becomes_code_in_a_widget(name):
    entry = submission(team=name, text=name, github_url=name, machine=machine(name)) | {"id": 1}
    boards = Leaderboards(Careless([entry]), make_leaderboard, own_team=name)
    for boards.metric.value in ("event", "speed", "innovation", "composite"):
        assert_harmless(boards.table.value)
    for boards.search.value in (name, name + "?"):
        for widget in (boards.leaders, boards.news, boards.checked, boards.table):
            assert {tag for tag, _ in Reader(widget.value).elements} <= {"div", *TABLE}
    tags = {tag for tag, _ in Reader(boards.static_html()).elements}
    assert tags <= {"div", *TABLE}


class Careless(list):
    """A store that looks at no name: the widgets must not rely on the one that does."""

    def version(self):
        return len(self), len(self), 0

    def submissions(self, after=0):
        return [each for each in self if each["id"] > after]


TABLE = set("a b bdi caption p span style table tbody td th thead tr".split())


def machine(name):
    return {"processor": name, "blas": name, "clock": name}


def test_the_static_picture_shows_all_boards_and_is_hidden_by_the_live_one(tmp_path):
    _, boards = opened(tmp_path, own_team="Hot Path")
    bundle = boards._bundle()
    shown = [given["data-metric"] for given in Reader(bundle["text/html"]).all("div", data_testid="board")]
    assert shown == ["event", "speed", "innovation", "composite"]
    assert "Hot Path" in bundle["text/plain"]
    hides = rf"body:has\(\.tp-live-{boards.model_id}\) \.tp-static-{boards.model_id}\{{display:none!important\}}"
    assert re.search(hides, boards._sheet.value)
    assert f"tp-live-{boards.model_id}" in boards._dom_classes


def test_the_static_picture_of_two_hundred_teams_stays_small(tmp_path):
    _, boards = opened(tmp_path, crowd(200), own_team="Team 150")
    assert len(boards.static_html()) < 150_000


def test_an_empty_store_is_an_empty_board(tmp_path):
    _, boards = opened(tmp_path, [])
    assert "No ranked entry yet." in text(boards.table)
    boards.metric.value = "composite"
    assert text(boards.leaders) == "No ranked entry yet."


def test_a_view_counts_what_it_leaves_out():
    board = Leaderboard("e", "E", "speed", (), tuple((f"T{at}", "slow") for at in range(9)))
    view = view_of(board, {}, most=4)
    assert len(view.board.unranked) == 4
    assert view.board.notes == ("5 more teams are not ranked.",)


# ---------------------------------------------------------------- what goes wrong


def test_an_entry_without_a_speedup_stands_at_every_weight(tmp_path):
    _, boards = opened(tmp_path, [submission(team="Fine"), refused(team="Peeker")])
    boards.metric.value = "composite"
    boards.weight.value = 0.5
    assert teams(boards) == ["Fine"]
    assert "it looks ahead" in text(boards.table)


def test_a_board_that_meets_an_error_says_so_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("tinytorch.perf.widgets.leaderboards.LOOK_S", 0)
    store, boards = opened(tmp_path, [])
    look, looks, said = boards.refresh, iter(range(100)), []

    def at_first_locked():
        if next(looks) < 2:
            raise RuntimeError("the store is locked")
        look()

    monkeypatch.setattr(boards, "refresh", at_first_locked)
    store.append(submission(team="Later"))

    async def follow():
        boards.shown()
        while "Later" not in teams(boards):
            said.append(text(boards.checked))
            await asyncio.sleep(0)
        boards.unfollow()

    asyncio.run(follow())
    assert any("RuntimeError: the store is locked; looking again" in each for each in said)


def test_the_picture_follows_what_is_chosen(tmp_path, monkeypatch):
    store, boards = opened(tmp_path)
    shown = []
    monkeypatch.setattr(boards, "snapshot", lambda: shown.append(boards.static_text().splitlines()[0]))
    boards.event.value = "cnn_marathon"
    assert shown[-1].startswith("CNN Marathon")
    count = len(shown)
    boards.mark_seen()
    boards.weight.value = 0.2
    boards.division.value = "open"
    assert len(shown) >= count + 3
