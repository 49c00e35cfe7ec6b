"""The projector: what a page of the board holds, what a frozen one keeps to itself, and to whom it answers."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import threading
from datetime import UTC, datetime

import pytest

from autograder.course import CourseError
from autograder.projector import ProjectorError, Screen, add_arguments, server_of, wish_of
from tests.perf.sample_class import submission
from tests.perf.test_board import HOSTILE, Reader, assert_harmless
from tests.perf.test_widgets import Careless, crowd
from tinytorch.perf.feed import Feed
from tinytorch.perf.store import Store


def screen(count=25, rows=10, entries=None):
    """An official store of teams that are slower and slower."""
    official = [each | {"mode": "official"} for each in (crowd(count) if entries is None else entries)]
    store = Careless(each | {"id": at} for at, each in enumerate(official, 1))
    return store, Screen(Feed(store, "official"), None, rows)


def teams(answer):
    return [row["data-team"] for row in Reader(answer["html"]).all("tr") if "data-team" in row]


def test_pages_hold_so_many_rows_and_the_last_one_the_rest():
    _, shown = screen(25)
    answers = [shown.show(wish_of(f"page={page}")) for page in range(3)]
    assert [len(teams(answer)) for answer in answers] == [10, 10, 5]
    assert (answers[0]["pages"], answers[0]["teams"]) == (3, 25)
    assert shown.show(wish_of("page=99"))["page"] == 2


def test_a_result_that_arrives_is_on_the_next_answer():
    store, shown = screen(3)
    assert teams(shown.show(wish_of("")))[0] == "Team 000"
    store.append(submission(team="Late", score=20.0, mode="official") | {"id": 4})
    assert teams(shown.show(wish_of("")))[0] == "Late"


def test_a_frozen_board_shows_nothing_later_and_counts_it():
    store, shown = screen(3)
    store.append(submission(team="Late", score=20.0, mode="official") | {"id": 4})
    answer = shown.show(wish_of("until=3"))
    assert "Late" not in answer["html"]
    assert (answer["newer"], answer["last"]) == (1, 4)


def test_places_are_revealed_from_the_last_one_up_and_the_others_are_not_sent():
    _, shown = screen(12)
    assert teams(shown.show(wish_of("hidden=12"))) == []
    assert teams(shown.show(wish_of("hidden=10"))) == ["Team 010", "Team 011"]
    assert "Team 000" not in shown.show(wish_of("hidden=1"))["html"]
    assert teams(shown.show(wish_of("hidden=0")))[0] == "Team 000"


def test_a_board_of_which_nothing_is_revealed_does_not_say_that_nobody_is_on_it():
    _, shown = screen(3)
    hidden = Reader(shown.show(wish_of("hidden=10"))["html"]).text
    assert "Nothing revealed yet." in hidden and "No ranked entry yet." not in hidden
    empty = Reader(shown.show(wish_of("hidden=10&event=cnn_marathon"))["html"]).text
    assert "No ranked entry yet." in empty


def test_the_board_that_decides_who_wins_comes_first():
    slow = submission("cnn_marathon", "Small", 5.0, speedup_vs_baseline=2.0, speedup_ci=[1.9, 2.1])
    fast = submission("cnn_marathon", "Fast", 3.0, speedup_vs_baseline=9.0, speedup_ci=[8.9, 9.1])
    _, shown = screen(entries=[slow, fast])
    assert teams(shown.show(wish_of("event=cnn_marathon"))) == ["Small", "Fast"]
    assert teams(shown.show(wish_of("event=cnn_marathon&metric=speed"))) == ["Fast", "Small"]


def test_nothing_handed_in_later_than_a_time_is_shown():
    early, late = (
        submission(team=team, submitted_at=f"2026-12-0{day}T12:00:00+00:00")
        for day, team in enumerate(("Early", "Late"), 1)
    )
    store, _ = screen(entries=[early, late])
    shown = Screen(Feed(store, "official"), None, 10, datetime(2026, 12, 1, 23, tzinfo=UTC))
    assert teams(shown.show(wish_of(""))) == ["Early"]
    assert shown.show(wish_of("until=1"))["newer"] == 0


def test_practice_is_not_official():
    store, _ = screen(2)
    assert teams(Screen(Feed(store, "practice"), None, 10).show(wish_of(""))) == []


@pytest.mark.parametrize(
    "query",
    ["event=x", "metric=x", "page=-1", "until=1e3", "hidden=²", "hidden=-1", "reveal=3", "page=" + "9" * 10],
)
def test_an_address_that_makes_no_sense_is_refused(query):
    with pytest.raises(ProjectorError):
        wish_of(query)


@pytest.mark.parametrize("name", [*HOSTILE, r"$\frac{1$", "=1+2"], ids=lambda name: ascii(name)[:24])
def test_no_name_becomes_code_on_the_projector(name):
    _, shown = screen(entries=[submission(team=name, text=name, github_url=name)])
    for metric in ("event", "speed", "innovation", "composite"):
        assert_harmless(shown.show(wish_of(f"metric={metric}"))["html"])


# ---------------------------------------------------------------- the server


def options(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*arguments])


@contextlib.contextmanager
def serving(folder, *more):
    store = Store(folder / "board.sqlite")
    store.append(submission(team="Byte Club", mode="official"))
    with server_of(options(str(folder / "board.sqlite"), "--port", "0", *more)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield store, server.server_port
        finally:
            server.shutdown()
            thread.join()


def get(port, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def test_the_server_answers_the_page_the_script_and_the_board(tmp_path):
    with serving(tmp_path) as (_, port):
        assert "<!DOCTYPE html>" in get(port, "/")[1]
        assert "'use strict'" in get(port, "/projector.js")[1]
        assert json.loads(get(port, "/board?metric=speed")[1])["teams"] == 1
        assert [get(port, path)[0].status for path in ("/nowhere", "/../x", "/board?event=x")] == [404, 404, 400]


def test_the_server_only_reads_and_forbids_scripts_in_the_page(tmp_path):
    with serving(tmp_path) as (_, port):
        assert [get(port, "/board", method)[0].status for method in ("POST", "PUT", "DELETE")] == [501] * 3
        policy = get(port, "/")[0].headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_a_page_of_another_site_that_calls_itself_this_machine_gets_no_answer(tmp_path):
    with serving(tmp_path) as (_, port):
        assert get(port, "/board", Host="evil.example")[0].status == 403
        assert get(port, "/board", Host=f"localhost:{port}")[0].status == 200


def test_a_port_that_is_taken_is_told(tmp_path):
    with serving(tmp_path) as (_, port), pytest.raises(ProjectorError, match="choose another --port"):
        server_of(options(str(tmp_path / "board.sqlite"), "--port", str(port)))


def test_a_ceremony_begins_with_the_first_places_hidden_and_what_is_newer_away(tmp_path):
    with serving(tmp_path, "--reveal", "--rows", "5") as (_, port):
        assert 'data-begin="until=1&amp;hidden=5"' in get(port, "/")[1]
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as (_, port):
        assert 'data-begin=""' in get(port, "/")[1]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ([], "Official"),
        (["--practice"], "Practice"),
        (["--division", "open"], "Official, open division"),
        (["--until", "2026-12-01"], "Official, until 2026-12-01"),
    ],
)
def test_the_page_says_which_results_it_shows(tmp_path, how, words):
    with serving(tmp_path, *how) as (_, port):
        assert f">{words}</header>" in get(port, "/")[1]


def test_a_time_that_is_none_is_told(tmp_path):
    Store(tmp_path / "board.sqlite").append(submission())
    with pytest.raises(CourseError, match="is no ISO time"):
        server_of(options(str(tmp_path / "board.sqlite"), "--until", "tomorrow"))


def test_rows_have_limits(tmp_path):
    with pytest.raises(ProjectorError, match="expected 3 to 40"):
        server_of(options(str(tmp_path / "board.sqlite"), "--rows", "100"))
