"""The projector: what a page of the board holds, what a frozen one keeps to itself, and to whom it answers."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import threading

import pytest

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
    assert teams(shown.show(wish_of("reveal=0"))) == []
    assert teams(shown.show(wish_of("reveal=2"))) == ["Team 010", "Team 011"]
    assert "Team 000" not in shown.show(wish_of("reveal=11"))["html"]
    assert teams(shown.show(wish_of("reveal=12")))[0] == "Team 000"


def test_practice_is_not_official():
    store, _ = screen(2)
    assert teams(Screen(Feed(store, "practice"), None, 10).show(wish_of(""))) == []


@pytest.mark.parametrize("query", ["event=x", "metric=x", "page=-1", "until=1e3", "reveal=²", "page=" + "9" * 10])
def test_an_address_that_makes_no_sense_is_refused(query):
    with pytest.raises(ProjectorError):
        wish_of(query)


@pytest.mark.parametrize("name", [*HOSTILE, r"$\frac{1$", "=1+2"], ids=lambda name: ascii(name)[:24])
def test_no_name_becomes_code_on_the_projector(name):
    _, shown = screen(entries=[submission(team=name, text=name, github_url=name)])
    for metric in ("speed", "innovation", "composite"):
        assert_harmless(shown.show(wish_of(f"metric={metric}"))["html"])


# ---------------------------------------------------------------- the server


def options(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*arguments])


@contextlib.contextmanager
def serving(folder):
    store = Store(folder / "board.sqlite")
    store.append(submission(team="Byte Club", mode="official"))
    with server_of(options(str(folder / "board.sqlite"), "--port", "0")) as server:
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


def test_rows_have_limits(tmp_path):
    with pytest.raises(ProjectorError, match="expected 3 to 40"):
        server_of(options(str(tmp_path / "board.sqlite"), "--rows", "100"))
