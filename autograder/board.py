"""write the boards of a class from a store: a page that stands alone, a CSV table, JSON.

    python -m autograder board board.sqlite --out site                      official results, all events and boards
    python -m autograder board board.sqlite --out site --until 2026-12-01   frozen: nothing later is shown

Official and practice results never stand on one board; what is under review is on none. Does not: measure.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder.late import due_moment
from autograder.stored import stored
from tinytorch.core.benchmarking import in_division, make_leaderboard
from tinytorch.perf.board import clean
from tinytorch.perf.feed import METRICS, board_of
from tinytorch.perf.records import Leaderboard
from tinytorch.perf.workloads.events import EVENTS

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so
FIELDS = (
    "event",
    "board",
    "rank",
    "tied",
    "team",
    "score",
    "low",
    "high",
    "division",
    "medal",
    "submitted_at",
    "entry",
)


class ShowError(ValueError):
    """There is nothing to show."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and where to."""
    parser.add_argument("store", help="path of the store, or a database URL")
    parser.add_argument(
        "--out", type=Path, default=Path("board"), metavar="DIR", help="folder to write (default: board)"
    )
    parser.add_argument("--practice", action="store_true", help="the teams' own results instead of official ones")
    parser.add_argument("--division", choices=("closed", "open"), help="one division only (default: both)")
    parser.add_argument(
        "--until", metavar="TIME", help="ISO date (all of that day, UTC) or time: freeze, show nothing later"
    )
    parser.add_argument("--pseudonyms", metavar="SECRET", help="names that only who knows SECRET can tell again")


def run(options: argparse.Namespace) -> int:
    """Write the page, the table and the JSON. 0 written, 2 nothing to show."""
    mode = "practice" if options.practice else "official"
    entries = chosen(stored(options.store).submissions(), mode, options.until, options.division)
    if not entries:
        limits = f" until {options.until}" if options.until else ""
        raise ShowError(f"{options.store} holds no {mode} results to show{limits}")
    if options.pseudonyms:
        entries = [
            dict(each) | {"team_name": pseudonym(each["team_name"], options.pseudonyms)} for each in entries
        ]
    options.out.mkdir(parents=True, exist_ok=True)
    boards = boards_of(entries)
    page(options.out / "index.html", entries, boards, subtitle(mode, options.division, options.until))
    rows = [row for group in boards.values() for board in group for row in rows_of(board)]
    with (options.out / "board.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    (options.out / "board.json").write_text(json.dumps(rows, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(f"{options.out}: index.html, board.csv, board.json; {len(entries)} {mode} results")
    return 0


def chosen(
    submissions: Sequence[Mapping[str, Any]], mode: str, until: str | None, division: str | None
) -> list[Mapping[str, Any]]:
    """Submissions of one mode, up to a time, of one division."""
    last = None if until is None else due_moment(until)
    return in_division(in_time([each for each in submissions if each.get("mode") == mode], last), division)


def in_time(submissions: Sequence[Mapping[str, Any]], last: datetime | None) -> list[Mapping[str, Any]]:
    """Those handed in up to a moment, all of them for None."""
    return [each for each in submissions if last is None or datetime.fromisoformat(each["submitted_at"]) <= last]


def pseudonym(team: str, secret: str) -> str:
    """The same team has the same one; without the secret nobody can find the team."""
    return f"Team {hmac.new(secret.encode(), team.casefold().encode(), hashlib.sha256).hexdigest()[:6]}"


def boards_of(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Leaderboard]]:
    """Of every event that has entries: the board that decides who wins it, then the three of the course."""
    of = {event: [each for each in entries if each["event_name"] == event.name] for event in EVENTS.values()}
    return {
        event.name: [board_of(make_leaderboard, event.name, metric, own) for metric in METRICS]
        for event, own in of.items()
        if own
    }


def page(
    path: Path, entries: Sequence[Mapping[str, Any]], boards: Mapping[str, Sequence[Leaderboard]], words: str
) -> None:
    """The page that stands alone."""
    from tinytorch.compete import charts, on_show, rules
    from tinytorch.perf.board import page_html, write_page

    own = {name: [each for each in entries if each["event_name"] == name] for name in boards}
    winners = {name: group[METRICS.index("event")] for name, group in boards.items()}
    tables = {name: [board for board in group if board.metric != "event"] for name, group in boards.items()}
    figures = {name: charts(EVENTS[name], on_show(tables[name][0], own[name]), winners[name]) for name in boards}
    conditions = {name: rules(EVENTS[name]) for name in boards}
    write_page(path, page_html(tables, figures, "TinyMLPerf", words, conditions, winners))


def subtitle(mode: str, division: str | None, until: str | None) -> str:
    """What the page shows, in words."""
    words = "Official results" if mode == "official" else "Practice, measured in the teams' own sessions"
    words += f", {division} division" if division else ""
    return words + (f"; frozen at {until}" if until else "")


def rows_of(board: Leaderboard) -> list[dict[str, Any]]:
    """A board as plain rows."""
    return [
        {
            "event": board.event, "board": board.metric, "rank": row.rank, "tied": row.tied, "team": row.team,
            "score": row.score, "low": row.low, "high": row.high,
            "division": row.submission.get("division"), "medal": row.submission.get("medal"),
            "submitted_at": row.submission.get("submitted_at"), "entry": row.submission.get("id"),
        }
        for row in board.standings
    ]  # fmt: skip


def _cell(value: Any) -> Any:
    """Text on one line that a spreadsheet does not take for a formula."""
    if not isinstance(value, str):
        return value
    shown = clean(value)
    return f"'{shown}" if shown.startswith(FORMULA) else shown
