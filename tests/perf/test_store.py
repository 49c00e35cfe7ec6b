"""The store keeps what it was given: in order, for good, and through threads, crashes and bad input."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tinytorch.perf.store import CLEARED, REFUSED, UNDER_REVIEW, Store, StoreError, team_key

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
TABLE = "tinymlperf_submissions"


def entry(team="Byte Club", event="mlp_sprint", **more):
    return {"team_name": team, "event_name": event, "mode": "practice", "ranked": True, **more}


def ticking(step_s=1.0):
    """A clock that moves on at every look."""
    times = (NOON + timedelta(seconds=step_s * tick) for tick in range(10_000))
    return lambda: next(times)


def store_in(folder, clock=None):
    return Store(folder / "store.sqlite", clock=clock or ticking())


def change(folder, statement):
    """What another program would do to the file."""
    with closing(sqlite3.connect(folder / "store.sqlite")) as connection, connection:
        connection.execute(statement)


# ---------------------------------------------------------------- what comes back


def test_append_returns_the_submission_with_its_number_and_time_in_utc(tmp_path):
    east = datetime(2025, 6, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    report = store_in(tmp_path, clock=lambda: east).append(entry(event_score=3.5))
    assert report == entry(event_score=3.5) | {"id": 1, "submitted_at": "2025-06-01T12:30:00.000+00:00"}


def test_what_append_returns_is_what_is_read_later(tmp_path):
    given = entry(
        "Åström & 東京",
        speedup_ci=(3.25, 3.5),
        cases={"batch 1": {"ratio": 3.4}},
        medal=None,
        note="\x00\n",
    )
    returned = store_in(tmp_path).append(given)
    assert store_in(tmp_path).submissions() == [returned]
    assert returned["speedup_ci"] == [3.25, 3.5]


def test_submissions_come_in_order_of_arrival_even_if_the_clock_goes_back(tmp_path):
    with store_in(tmp_path, clock=ticking(-1)) as store:
        for team in "CAB":
            store.append(entry(team))
        assert [report["team_name"] for report in store.submissions()] == ["C", "A", "B"]
        assert len(store) == 3


def test_submissions_are_found_by_event_and_by_team_in_any_spelling(tmp_path):
    store = store_in(tmp_path)
    for team, event in [("Café", "mlp_sprint"), ("Cafe", "mlp_sprint"), ("CAFE\u0301", "cnn_marathon")]:
        store.append(entry(team, event))
    assert [report["id"] for report in store.submissions(event="mlp_sprint")] == [1, 2]
    assert [report["id"] for report in store.submissions(team="café")] == [1, 3]
    assert store.submissions(event="cnn_marathon", team="Cafe") == []


def test_what_came_after_an_id_is_read_alone(tmp_path):
    store = store_in(tmp_path)
    first, second, third = (store.append(entry(team))["id"] for team in "ABC")
    assert [report["id"] for report in store.submissions(after=first)] == [second, third]
    assert store.submissions(after=third) == []


def test_the_version_changes_with_every_submission_and_review(tmp_path):
    store = store_in(tmp_path)
    seen = [store.version()]
    store.append(entry())
    seen.append(store.version())
    store.review(1, UNDER_REVIEW, "looks odd")
    seen.append(store.version())
    assert seen == [(0, 0, 0), (1, 1, 0), (1, 1, 1)]
    assert store.version() == seen[-1], "while nothing changes, neither does the version"


def test_a_number_in_the_mapping_does_not_choose_the_row(tmp_path):
    assert store_in(tmp_path).append(entry(id=7, submitted_at="yesterday"))["id"] == 1


def test_an_empty_store_is_not_mistaken_for_no_store(tmp_path):
    store = store_in(tmp_path)
    assert len(store) == 0
    assert store


# ---------------------------------------------------------------- where it lives


def test_the_environment_names_the_default_store(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYMLPERF_STORE", f"sqlite:///{tmp_path}/class.sqlite")
    Store().append(entry())
    assert len(Store(tmp_path / "class.sqlite")) == 1


def test_without_a_name_the_file_lies_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("TINYMLPERF_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    store = Store()
    monkeypatch.chdir("/")  # and stays there when the process moves on
    store.append(entry())
    assert len(Store(tmp_path / "tinymlperf.sqlite")) == 1


# ---------------------------------------------------------------- append-only


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {TABLE} SET ranked = 1",
        f"DELETE FROM {TABLE}",
        f"INSERT OR REPLACE INTO {TABLE} SELECT * FROM {TABLE}",
        f"INSERT OR REPLACE INTO {TABLE} SELECT NULL, submitted_at, second, event_name, 'another spelling',"
        f" team_key, mode, ranked, '{{}}' FROM {TABLE}",
    ],
)
def test_the_database_itself_refuses_to_change_a_row(tmp_path, statement):
    stored = store_in(tmp_path).append(entry())
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        change(tmp_path, statement)
    assert store_in(tmp_path).submissions() == [stored]


# ---------------------------------------------------------------- the same team twice in one second


def test_the_same_team_twice_in_one_second_is_refused(tmp_path):
    store = store_in(tmp_path, clock=ticking(0.5))
    store.append(entry("Byte Club"))
    with pytest.raises(
        StoreError, match="BYTE CLUB.*already has a submission in 'mlp_sprint'.*12:00:00.*again in a"
    ):
        store.append(entry("BYTE CLUB"))
    assert store.append(entry("Byte Club"))["submitted_at"] == "2025-06-01T12:00:01.000+00:00"


def test_other_teams_and_other_events_may_share_a_second(tmp_path):
    store = store_in(tmp_path, clock=lambda: NOON)
    for team, event in [("A", "mlp_sprint"), ("B", "mlp_sprint"), ("A", "cnn_marathon")]:
        store.append(entry(team, event))
    assert len(store) == 3


def test_of_many_threads_in_one_second_exactly_one_is_counted(tmp_path):
    def attempt(_):
        try:
            return store_in(tmp_path, clock=lambda: NOON).append(entry())["id"]
        except StoreError:
            return None

    with ThreadPoolExecutor(8) as threads:  # they also race to create the file
        results = list(threads.map(attempt, range(16)))
    assert [result for result in results if result] == [1]


def test_threads_share_one_store(tmp_path):
    store = store_in(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: store.append(entry(f"Team {number}")), range(20)))
    assert sorted(report["id"] for report in store.submissions()) == list(range(1, 21))


# ---------------------------------------------------------------- interruptions

ENDLESS = """
import sys
from tinytorch.perf.store import Store
store = Store(sys.argv[1])
for number in range(1_000_000):
    store.append({"team_name": f"Team {number}", "event_name": "mlp_sprint", "ballast": "x" * 20_000})
    print(number, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_process_killed_in_the_middle_loses_nothing_it_had_stored(tmp_path):
    path = tmp_path / "store.sqlite"
    with subprocess.Popen([sys.executable, "-c", ENDLESS, path], stdout=subprocess.PIPE, text=True) as child:
        confirmed = [int(child.stdout.readline()) for _ in range(10)]
        child.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    teams = [report["team_name"] for report in Store(path).submissions()]
    assert teams[: len(confirmed)] == [f"Team {number}" for number in confirmed]
    assert len(teams) <= len(confirmed) + 1  # the last one may have been stored, but not yet said so
    assert Store(path).append(entry())["id"] == len(teams) + 1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"event_score": float("nan")}, r"\['event_score'\] is nan \(float\)"),
        ({"speedup_ci": [1.0, float("inf")]}, r"\['speedup_ci'\]\[1\] is inf"),
        ({"cases": {"batch 1": {"low": -float("inf")}}}, r"\['cases'\]\['batch 1'\]\['low'\] is -inf"),
        ({"model": object()}, r"\['model'\] is <object object.*\(object\)"),
        ({"team_name": ""}, "team_name is ''"),
        ({"team_name": "A\nB"}, "team_name.*control"),
        ({"team_name": "\ud800"}, "team_name.*control"),
        ({"event_name": None}, "event_name is None"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name_and_leaves_the_rest(tmp_path, bad, where):
    store = store_in(tmp_path)
    stored = store.append(entry())
    with pytest.raises(StoreError, match=where):
        store.append(entry() | bad)
    assert store.submissions() == [stored]


def test_a_mapping_that_contains_itself_is_refused(tmp_path):
    endless = entry()
    endless["self"] = endless
    with pytest.raises(StoreError, match="nested without end"):
        store_in(tmp_path).append(endless)


def test_something_else_than_a_mapping_is_refused(tmp_path):
    with pytest.raises(StoreError, match="team_name is None"):
        store_in(tmp_path).append([1, 2])


def test_a_clock_without_a_time_zone_is_refused(tmp_path):
    with pytest.raises(StoreError, match="without a time zone"):
        store_in(tmp_path, clock=lambda: datetime(2025, 6, 1)).append(entry())


def test_a_closed_store_says_so(tmp_path):
    with store_in(tmp_path) as store:
        store.append(entry())
    with pytest.raises(StoreError, match="was closed; open it again"):
        store.append(entry("Later"))
    assert len(store_in(tmp_path)) == 1


# ---------------------------------------------------------------- bad places


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StoreError, match="nowhere.*make the folder"):
        Store(tmp_path / "nowhere" / "store.sqlite")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="writable"):
        store_in(tmp_path)


def test_a_read_only_store_can_be_read_but_refuses_to_write(tmp_path):
    stored = store_in(tmp_path).append(entry())
    read_only = Store(f"sqlite:///file:{tmp_path}/store.sqlite?mode=ro&uri=true")
    with pytest.raises(StoreError, match="read-only: make it writable"):
        read_only.append(entry("Later"))
    assert read_only.submissions() == [stored]


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear diary, " * 100)
    with pytest.raises(StoreError, match=r"letter\.txt refused: file is not a database"):
        Store(letter)
    assert letter.read_text() == "Dear diary, " * 100


def test_a_database_of_something_else_is_left_as_it_is(tmp_path):
    change(tmp_path, "CREATE TABLE grades (student TEXT)")
    before = (tmp_path / "store.sqlite").read_bytes()
    with pytest.raises(StoreError, match="a database of something else"):
        store_in(tmp_path)
    assert (tmp_path / "store.sqlite").read_bytes() == before


def test_a_damaged_store_is_refused(tmp_path):
    store_in(tmp_path).append(entry())
    path = tmp_path / "store.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)
    with pytest.raises(StoreError, match="damaged.*restore a copy"):
        store_in(tmp_path).submissions()


def test_a_store_of_another_version_is_refused_and_kept(tmp_path):
    store_in(tmp_path).append(entry())
    change(tmp_path, "UPDATE tinymlperf_schema SET version = 3")
    with pytest.raises(StoreError, match=r"version \[3\], this program reads version 2; nothing was changed"):
        store_in(tmp_path)
    change(tmp_path, "UPDATE tinymlperf_schema SET version = 2")
    assert len(store_in(tmp_path)) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "forgets all"),
        ("nosuchdatabase://host/name", "no driver for"),
        ("postgresql+nosuchdriver://user:secret@host/name", "no driver for"),
        ("://", "no SQLAlchemy URL"),
    ],
)
def test_a_url_that_leads_nowhere_says_what_to_do(url, words):
    with pytest.raises(StoreError, match=words) as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_writer_that_waits_too_long_says_who_to_close(tmp_path, monkeypatch):
    monkeypatch.setattr("tinytorch.perf.store.LOCK_TIMEOUT_S", 0)
    store = store_in(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked.*another program holds it"):
            store.append(entry())
    assert store.append(entry())["id"] == 1


# ---------------------------------------------------------------- reviews and limits


def numbers(rows):
    return [row["id"] for row in rows]


def reviewed(folder):
    """A store whose second entry of three is under review."""
    store = store_in(folder)
    for _ in range(3):
        store.append(entry())
    store.review(2, UNDER_REVIEW, "the same weights as another team's")
    return store


@pytest.mark.parametrize("wanted", [{}, {"event": "mlp_sprint"}, {"team": "BYTE CLUB"}], ids=str)
def test_an_entry_under_review_is_hidden_in_every_query(tmp_path, wanted):
    store = reviewed(tmp_path)
    assert numbers(store.submissions(**wanted)) == [1, 3]
    assert numbers(store.submissions(**wanted, hidden=True)) == [1, 2, 3]


def test_an_entry_under_review_is_not_counted(tmp_path):
    assert len(reviewed(tmp_path)) == 2


@pytest.mark.parametrize(("verdict", "seen"), [(CLEARED, [1, 2, 3]), (REFUSED, [1, 3]), (UNDER_REVIEW, [1, 3])])
def test_the_last_review_decides(tmp_path, verdict, seen):
    store = reviewed(tmp_path)
    store.review(2, verdict, "they showed their notebook")
    assert numbers(store.submissions()) == seen
    assert [each["verdict"] for each in store.reviews(2)] == [UNDER_REVIEW, verdict]
    assert store.reviews(1) == [] and len(store.reviews()) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((9, CLEARED, "fine"), "has no submission 9"),
        ((1, "guilty", "fine"), "expected under review, cleared, refused"),
        ((1, CLEARED, " "), "needs a reason"),
        ((1, CLEARED, "x" * 501), "of 1 to 500 characters"),
    ],
)
def test_a_review_that_says_nothing_is_refused(tmp_path, given, words):
    store = reviewed(tmp_path)
    with pytest.raises(StoreError, match=words):
        store.review(*given)
    assert len(store.reviews()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tinymlperf_reviews SET verdict = 'cleared'",
        "DELETE FROM tinymlperf_reviews",
        "INSERT OR REPLACE INTO tinymlperf_reviews SELECT id, submission_id, reviewed_at, 'cleared', reason"
        " FROM tinymlperf_reviews",
    ],
)
def test_the_database_itself_refuses_to_change_a_review(tmp_path, statement):
    reviewed(tmp_path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        change(tmp_path, statement)
    assert numbers(store_in(tmp_path).submissions()) == [1, 3]


def test_official_runs_of_a_team_are_counted_by_day_and_event_whatever_became_of_them(tmp_path):
    store = store_in(tmp_path, clock=ticking(6 * 3600))  # noon, 18 h, midnight, ...
    for more in ({"mode": "official"}, {"mode": "official", "ranked": False}, {}, {"mode": "official"}):
        store.append(entry(**more))
    assert store.official_runs_today("byte club", "mlp_sprint") == 1  # at noon of the second day
    store = store_in(tmp_path, clock=lambda: NOON)
    assert store.official_runs_today("Byte Club", "mlp_sprint") == 3  # later ones count, too: clocks are set back
    assert store.official_runs_today("Byte Club", "cnn_marathon") == 0


def test_a_store_of_version_1_gets_its_reviews_and_keeps_its_rows(tmp_path):
    stored = store_in(tmp_path).append(entry())
    for statement in ("DROP TABLE tinymlperf_reviews", "UPDATE tinymlperf_schema SET version = 1"):
        change(tmp_path, statement)
    store = store_in(tmp_path)
    assert store.submissions() == [stored]
    store.review(1, UNDER_REVIEW, "a look at it")
    assert store.submissions() == [] and store.submissions(hidden=True) == [stored]


# ---------------------------------------------------------------- other databases


@pytest.mark.skipif(
    "TINYMLPERF_TEST_POSTGRESQL" not in os.environ, reason="TINYMLPERF_TEST_POSTGRESQL names no database"
)
def test_postgresql_keeps_the_same_promises():
    import sqlalchemy

    url = os.environ["TINYMLPERF_TEST_POSTGRESQL"]  # rows stay in it: that is the point
    event = f"test of {datetime.now(UTC).isoformat()}"
    store = Store(url, clock=lambda: NOON)
    stored = store.append(entry(event=event))
    with pytest.raises(StoreError, match="already has a submission"):
        store.append(entry(event=event))
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect() as connection:
        for statement in (
            f"UPDATE {TABLE} SET ranked = true",
            f"DELETE FROM {TABLE}",
            f"TRUNCATE {TABLE} CASCADE",
        ):
            with pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"), connection.begin():
                connection.execute(sqlalchemy.text(statement))
    assert Store(url).submissions(event=event) == [stored]
    store.review(stored["id"], UNDER_REVIEW, "a look at it")
    assert Store(url).submissions(event=event) == [] and Store(url).reviews(stored["id"])
    assert store.official_runs_today("Byte Club", event) == 0


def test_the_key_of_a_team_ignores_case_and_composition():
    assert team_key("STRASSE") == team_key("Straße")
    assert team_key("A\u030angström") == team_key("Ångström")
    assert team_key("Byte Club") != team_key("ByteClub")
