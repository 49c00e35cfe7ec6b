"""Where submissions live: an append-only table behind SQLAlchemy, by default one SQLite file.

One transaction a submission, synced before `append` returns: a run that is interrupted, even by SIGKILL,
loses nothing stored. Triggers in the database itself, not good will, refuse to change or remove a row. A review,
too, is a row that is added: an entry whose last one is not "cleared" is hidden in every query.
Does not: measure, judge, rank or clean names. The only room that imports sqlalchemy.
"""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy import event as hooks
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from tinytorch.perf.records import Report

SCHEMA_VERSION = 2  # 1 had no reviews; a store of version 1 gets their table when it is opened
DEFAULT_PATH = "tinymlperf.sqlite"
ENVIRONMENT_VARIABLE = "TINYMLPERF_STORE"
UNDER_REVIEW, CLEARED, REFUSED = VERDICTS = ("under review", "cleared", "refused")
LONGEST_REASON = 500  # characters
MOST_NESTED = 50  # a list in a list in a list: deeper than this it contains itself
LOCK_TIMEOUT_S = 30  # how long a writer waits for the others; an append itself takes milliseconds
POSTGRESQL_LOCK = 20_20_20  # any number, the same for all that may create the tables at the same time


class StoreError(RuntimeError):
    """A submission could not be stored or read; what was stored before is untouched."""


_metadata = sql.MetaData()

_schema = sql.Table("tinymlperf_schema", _metadata, sql.Column("version", sql.Integer, primary_key=True))

_submissions = sql.Table(
    "tinymlperf_submissions",
    _metadata,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("submitted_at", sql.String(40), nullable=False),
    sql.Column("second", sql.BigInteger, nullable=False),  # of submitted_at, since 1970
    sql.Column("event_name", sql.Text, nullable=False),
    sql.Column("team_name", sql.Text, nullable=False),
    sql.Column("team_key", sql.Text, nullable=False),
    sql.Column("mode", sql.Text, nullable=False),
    sql.Column("ranked", sql.Boolean, nullable=False),
    sql.Column("submission", sql.JSON, nullable=False),  # the whole of it; the columns above serve queries
    sql.UniqueConstraint("team_key", "event_name", "second", name="one_submission_a_second"),
    sqlite_autoincrement=True,  # never hands out an id twice
)

_reviews = sql.Table(
    "tinymlperf_reviews",
    _metadata,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("submission_id", sql.Integer, sql.ForeignKey(_submissions.c.id), nullable=False, index=True),
    sql.Column("reviewed_at", sql.String(40), nullable=False),
    sql.Column("verdict", sql.Text, nullable=False),
    sql.Column("reason", sql.Text, nullable=False),
    sqlite_autoincrement=True,
)

_GUARDS = {
    "sqlite": (
        """CREATE TRIGGER tinymlperf_no_update BEFORE UPDATE ON tinymlperf_submissions
           BEGIN SELECT RAISE(ABORT, 'append-only: UPDATE refused'); END""",
        """CREATE TRIGGER tinymlperf_no_delete BEFORE DELETE ON tinymlperf_submissions
           BEGIN SELECT RAISE(ABORT, 'append-only: DELETE refused'); END""",
        # INSERT OR REPLACE deletes without asking the DELETE trigger, so look before the new row goes in.
        """CREATE TRIGGER tinymlperf_no_replace BEFORE INSERT ON tinymlperf_submissions
           WHEN EXISTS (
             SELECT 1 FROM tinymlperf_submissions AS old WHERE old.id = NEW.id OR
             (old.second, old.team_key, old.event_name) = (NEW.second, NEW.team_key, NEW.event_name))
           BEGIN SELECT RAISE(ABORT, 'append-only: this team already has a row in this second'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION tinymlperf_refuse() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'append-only: %% refused', TG_OP; END $$""",
        """CREATE TRIGGER tinymlperf_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tinymlperf_submissions
           FOR EACH STATEMENT EXECUTE FUNCTION tinymlperf_refuse()""",
    ),
}
for _dialect, _statements in _GUARDS.items():
    for _statement in _statements:
        hooks.listen(_submissions, "after_create", sql.DDL(_statement).execute_if(dialect=_dialect))

_REVIEW_GUARDS = {
    "sqlite": (
        """CREATE TRIGGER tinymlperf_no_review_update BEFORE UPDATE ON tinymlperf_reviews
           BEGIN SELECT RAISE(ABORT, 'append-only: UPDATE refused'); END""",
        """CREATE TRIGGER tinymlperf_no_review_delete BEFORE DELETE ON tinymlperf_reviews
           BEGIN SELECT RAISE(ABORT, 'append-only: DELETE refused'); END""",
        """CREATE TRIGGER tinymlperf_no_review_replace BEFORE INSERT ON tinymlperf_reviews
           WHEN EXISTS (SELECT 1 FROM tinymlperf_reviews AS old WHERE old.id = NEW.id)
           BEGIN SELECT RAISE(ABORT, 'append-only: REPLACE refused'); END""",
    ),
    "postgresql": (
        """CREATE TRIGGER tinymlperf_reviews_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tinymlperf_reviews
           FOR EACH STATEMENT EXECUTE FUNCTION tinymlperf_refuse()""",
    ),
}
for _dialect, _statements in _REVIEW_GUARDS.items():
    for _statement in _statements:
        hooks.listen(_reviews, "after_create", sql.DDL(_statement).execute_if(dialect=_dialect))

_last_review = (
    sql.select(sql.func.max(_reviews.c.id))
    .where(_reviews.c.submission_id == _submissions.c.id)
    .correlate(_submissions)
    .scalar_subquery()
)
_visible = ~sql.exists().where(_reviews.c.id == _last_review, _reviews.c.verdict != CLEARED)


class Store:
    """Submissions in order of arrival. Safe to share between threads and processes: a connection per call.

    Args:
        url_or_path: path of a SQLite file or any SQLAlchemy URL; without it the environment variable
            TINYMLPERF_STORE, and without that `tinymlperf.sqlite` in the current folder.
        clock: gives the time of arrival as an aware datetime; a test hands in its own.

    Raises:
        StoreError: the store cannot be opened, is no TinyMLPerf store, or was written by another version.
    """

    def __init__(
        self, url_or_path: str | os.PathLike[str] | None = None, clock: Callable[[], datetime] | None = None
    ):
        self._url = _url(url_or_path or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_PATH)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._engine: Engine | None = _engine(self._url)
        with self._connection("write") as connection:
            _create_or_check(connection, _place(self._url))
        self._log_ahead()

    def append(self, submission: Mapping[str, Any]) -> Report:
        """Store one submission for good and return it as it was stored, with `id` and `submitted_at` set.

        Args:
            submission: at least `team_name` and `event_name`; all of it must be strict JSON.

        Raises:
            StoreError: not JSON (NaN, infinity, an array), no team or event, the same team twice in one event
                in one second, or the database refused to write.
        """
        arrived = _utc(self._clock())
        row = _row(submission, arrived)
        try:
            with self._connection("write") as connection:
                insert = sql.insert(_submissions).values(row).returning(_submissions.c.id)
                row_id = connection.execute(insert).scalar_one()
        except IntegrityError as error:
            raise StoreError(
                f"team {row['team_name']!r} already has a submission in {row['event_name']!r} of the second "
                f"{arrived:%H:%M:%S} UTC; one a second is counted, submit again in a second"
            ) from error
        return _report(row_id, row["submission"])

    def submissions(
        self, event: str | None = None, team: str | None = None, hidden: bool = False, after: int = 0
    ) -> list[Report]:
        """All submissions in order of arrival, or those of one event or one team (case does not matter).

        Args:
            hidden: also those that are under review, or were refused in one.
            after: an `id`; only those that were stored later.
        """
        query = sql.select(_submissions.c.id, _submissions.c.submission).order_by(_submissions.c.id)
        if after:
            query = query.where(_submissions.c.id > after)
        if not hidden:
            query = query.where(_visible)
        if event is not None:
            query = query.where(_submissions.c.event_name == event)
        if team is not None:
            query = query.where(_submissions.c.team_key == team_key(team))
        with self._connection("read") as connection:
            return [_report(row.id, row.submission) for row in connection.execute(query)]

    def version(self) -> tuple[int, int, int]:
        """Number of submissions, last id of a submission and of a review: while these stay, so do all answers."""
        tables = ((sql.func.count, _submissions), (sql.func.max, _submissions), (sql.func.max, _reviews))
        found = (sql.select(sql.func.coalesce(of(table.c.id), 0)).scalar_subquery() for of, table in tables)
        with self._connection("read") as connection:
            count, submission, review = connection.execute(sql.select(*found)).one()
        return count, submission, review

    def review(self, submission_id: int, verdict: str, reason: str) -> Report:
        """Add a review to a submission: its last verdict decides whether it is seen.

        Args:
            verdict: "under review", "cleared" or "refused".
            reason: for the team to read, 1 to 500 characters.

        Raises:
            StoreError: no such submission, verdict or reason.
        """
        if verdict not in VERDICTS:
            raise StoreError(f"verdict is {verdict!r}, expected {', '.join(VERDICTS)}")
        if not isinstance(reason, str) or not 1 <= len(reason.strip()) <= LONGEST_REASON:
            raise StoreError(f"a review needs a reason of 1 to {LONGEST_REASON} characters, for the team to read")
        at = _utc(self._clock()).isoformat(timespec="milliseconds")
        row = {"submission_id": submission_id, "reviewed_at": at, "verdict": verdict, "reason": reason.strip()}
        there = sql.select(_submissions.c.id).where(_submissions.c.id == submission_id)
        with self._connection("write") as connection:
            if connection.execute(there).first() is None:
                raise StoreError(f"{_place(self._url)} has no submission {submission_id!r}")
            insert = sql.insert(_reviews).values(row).returning(_reviews.c.id)
            return Report({"id": connection.execute(insert).scalar_one()} | row)

    def reviews(self, submission_id: int | None = None) -> list[Report]:
        """All reviews in their order, or those of one submission."""
        query = sql.select(_reviews).order_by(_reviews.c.id)
        if submission_id is not None:
            query = query.where(_reviews.c.submission_id == submission_id)
        with self._connection("read") as connection:
            return [Report(row._asdict()) for row in connection.execute(query)]

    def official_runs_today(self, team: str, event: str) -> int:
        """How many official runs of a team in an event were stored in this UTC day, whatever became of them."""
        midnight = _utc(self._clock()).replace(hour=0, minute=0, second=0, microsecond=0)
        query = sql.select(sql.func.count()).where(
            _submissions.c.team_key == team_key(team),
            _submissions.c.event_name == event,
            _submissions.c.mode == "official",
            _submissions.c.second >= math.floor(midnight.timestamp()),
        )
        with self._connection("read") as connection:
            return connection.execute(query).scalar_one()

    def __len__(self) -> int:
        with self._connection("read") as connection:
            query = sql.select(sql.func.count()).select_from(_submissions).where(_visible)
            return connection.execute(query).scalar_one()

    def __bool__(self) -> bool:
        return True  # an empty store is a store: `store or default` must not swap it

    def __repr__(self) -> str:
        return f"Store({_place(self._url)!r})"

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse further calls; no connection is open between calls, so there is nothing to lose."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None

    def _log_ahead(self) -> None:
        """Let SQLite's readers not wait for its writer. Changes the file: not before it is known as ours."""
        if self._url.get_backend_name() == "sqlite":
            with self._connection("settle") as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    @contextmanager
    def _connection(self, purpose: str) -> Iterator[Connection]:
        """A connection in one transaction: committed at the end, rolled back by an exception."""
        if self._engine is None:
            raise StoreError(f"the store {_place(self._url)} was closed; open it again with Store(...)")
        try:
            with self._engine.connect() as connection, connection.execution_options(purpose=purpose).begin():
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise StoreError(_refusal(self._url, str(error.orig))) from error


def team_key(name: str) -> str:
    """The spelling under which teams are told apart: "CAFÉ" and "cafe" + combining accent are one team."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _url(url_or_path: str | os.PathLike[str]) -> URL:
    text = os.fspath(url_or_path)
    try:
        url = make_url(text) if "://" in text else URL.create("sqlite", database=str(Path(text).expanduser()))
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            f"{text!r} is no SQLAlchemy URL; give a path or e.g. 'postgresql+psycopg://host/db'"
        ) from error
    if url.get_backend_name() != "sqlite" or (url.database or "").startswith("file:"):
        return url
    if url.database in (None, "", ":memory:"):
        raise StoreError("an in-memory database forgets all at the end of the process; give the path of a file")
    # Absolute: connections are opened per call, and the process may change its folder between two of them.
    return url.set(database=str(Path(url.database).absolute()))


def _place(url: URL) -> str:
    """The path of a SQLite file, else the URL without its password."""
    return str(url.database) if url.get_backend_name() == "sqlite" else str(url)


def _engine(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    try:
        engine = sql.create_engine(
            url,
            poolclass=NullPool,
            json_serializer=_strict_json,
            connect_args={"timeout": LOCK_TIMEOUT_S} if sqlite else {},
        )
    except (ArgumentError, ImportError) as error:
        raise StoreError(f"no driver for {url}: {error}; install it, or give the path of a SQLite file") from error
    if sqlite:
        hooks.listen(engine, "connect", _settle_sqlite)
        hooks.listen(engine, "begin", _begin_sqlite)
    return engine


def _settle_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where sqlite3 guesses
    connection.execute("PRAGMA synchronous = FULL")  # committed is on the disk, also when the power fails


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once, so "look, then create" cannot race with another process.
    begin = {"write": "BEGIN IMMEDIATE", "read": "BEGIN"}.get(connection.get_execution_options()["purpose"])
    if begin:  # the journal mode is changed outside of a transaction
        connection.exec_driver_sql(begin)


def _create_or_check(connection: Connection, where: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(POSTGRESQL_LOCK)))
    tables = set(sql.inspect(connection).get_table_names())
    present = tables & set(_metadata.tables)
    if tables and not present and connection.dialect.name == "sqlite":  # a PostgreSQL database may be shared
        raise StoreError(f"{where} is a database of something else and was left as it is; give another path")
    if not present:
        _metadata.create_all(connection)
        connection.execute(sql.insert(_schema).values(version=SCHEMA_VERSION))
        return
    versions = connection.execute(sql.select(_schema.c.version)).scalars().all() if _schema.name in present else []
    if versions == [1] and _submissions.name in present:
        _reviews.create(connection)
        connection.execute(sql.update(_schema).values(version=SCHEMA_VERSION))
        return
    if versions != [SCHEMA_VERSION] or _submissions.name not in present:
        raise StoreError(
            f"{where} has the tables of version {versions or 'unknown'}, this program reads version "
            f"{SCHEMA_VERSION}; nothing was changed: give another path, or use the program that wrote it"
        )


def _row(submission: Mapping[str, Any], arrived: datetime) -> dict[str, Any]:
    team, event = (_text(submission, key) for key in ("team_name", "event_name"))
    submitted_at = arrived.isoformat(timespec="milliseconds")
    stored = {key: value for key, value in submission.items() if key != "id"} | {"submitted_at": submitted_at}
    return {
        "submitted_at": submitted_at,
        "second": math.floor(arrived.timestamp()),
        "event_name": event,
        "team_name": team,
        "team_key": team_key(team),
        "mode": str(submission.get("mode", "practice")),
        "ranked": submission.get("ranked") is True,
        "submission": json.loads(_checked_json(stored)),  # tuples come back as lists: now, not only after a reload
    }


def _text(submission: Mapping[str, Any], key: str) -> str:
    value = submission.get(key) if isinstance(submission, Mapping) else None
    if (
        not isinstance(value, str)
        or not value.strip()
        or any(unicodedata.category(c) in ("Cc", "Cs") for c in value)
    ):
        raise StoreError(
            f"{key} is {value!r}; a submission needs a {key} of visible text without control characters"
        )
    return value


def _strict_json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _checked_json(submission: Mapping[str, Any]) -> str:
    try:
        return _strict_json(submission)
    except (TypeError, ValueError, RecursionError) as error:
        where, value = _first_not_json(submission) or ("", submission)
        raise StoreError(
            f"submission{where} is {str(value)[:60]} ({type(value).__name__}); a submission is strict JSON: "
            f"finite numbers, text, booleans, None, lists and mappings with text as keys"
        ) from error


def _first_not_json(value: Any, where: str = "", depth: int = 0) -> tuple[str, Any] | None:
    """Path and value of the first leaf that JSON cannot hold."""
    if depth > MOST_NESTED:
        return where[:60] + "...", "nested without end"
    if isinstance(value, Mapping):
        inner = [(f"[{key!r}]", item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        inner = [(f"[{position}]", item) for position, item in enumerate(value)]
    else:
        good = (
            value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
        )
        return None if good else (where, value)
    return next((bad for step, item in inner if (bad := _first_not_json(item, where + step, depth + 1))), None)


def _report(row_id: int, submission: Mapping[str, Any]) -> Report:
    return Report({"id": row_id} | dict(submission))


def _utc(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise StoreError(
            f"the clock gave {now} without a time zone; give an aware datetime, as datetime.now(UTC) is"
        )
    return now.astimezone(UTC)


_ADVICE = {  # words of SQLite's own message: what to do
    "unable to open": "it must be a file in a writable folder: make the folder, or give another path",
    "readonly": "the file or its folder is read-only: make it writable, or give another path",
    "read-only": "the file or its folder is read-only: make it writable, or give another path",
    "not a database": "the file is something else and was left as it is: give another path",
    "malformed": "the file is damaged and was left as it is: restore a copy, or give another path",
    "locked": f"another program holds it for over {LOCK_TIMEOUT_S} s: close that one and submit again",
    "full": "the disk is full: make room and submit again",
}


def _refusal(url: URL, message: str) -> str:
    message = " ".join(message.split())
    advice = next(
        (text for words, text in _ADVICE.items() if words in message), "check the URL and that it answers"
    )
    return f"the store {_place(url)} refused: {message}; {advice}. Nothing already stored was changed"
