"""What boards need of a store: read once, then only what was added; and what they make of it, without a widget.

Ranks come from the function that is handed in, a student's or the library's. Does not: rank, draw or follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tinytorch.perf.records import Leaderboard, Standing
from tinytorch.perf.workloads.events import EVENTS, Event

Submission = Mapping[str, Any]
MakeLeaderboard = Callable[[Event, str, Sequence[Submission]], Leaderboard]

METRICS = ("event", "speed", "innovation", "composite")  # first the board that decides who wins
ORDERS = ("Rank", "Team name", "Change", "Newest first")
RULE = 0.7  # weight of speed by the rule of the course
LARGE = ("rounds",)  # what no board shows; most of the bytes of a submission
OVERLAP = 50  # ids read again: a database with several writers may show a lower id later


class Store(Protocol):
    """What is asked of a store; `perf.store.Store` has it."""

    def submissions(self, *, after: int = 0) -> Sequence[Submission]:
        """Those stored after the id `after`, in order."""

    def version(self) -> tuple[int, ...]:
        """Changes whenever an answer would."""


@dataclass
class Feed:
    """The submissions of one mode, kept up to date by `refresh`."""

    store: Store
    mode: str = "practice"
    _version: tuple[int, ...] = ()
    _entries: dict[int, Submission] = field(default_factory=dict)

    def refresh(self) -> bool:
        """Read what is new; True if there was something."""
        version = self.store.version()
        if version == self._version:
            return False
        reviewed = self._version[2:] != version[2:]  # what was seen may now be hidden
        known = {} if reviewed else self._entries
        news = self.store.submissions(after=max(0, max(known, default=0) - OVERLAP))
        slim = {each["id"]: {key: each[key] for key in each if key not in LARGE} for each in news}
        self._entries = {**known, **slim}
        self._version = version
        return True

    def last_id(self) -> int:
        """The id of the newest submission, 0 if there is none."""
        return max(self._entries, default=0)

    def entries(self, event: str, division: str | None = None, until: int | None = None) -> list[Submission]:
        """Submissions to an event in order of arrival: of one division or all, up to an id or all."""
        return [
            self._entries[at]
            for at in sorted(self._entries)
            if self._entries[at]["event_name"] == event
            and self._entries[at].get("mode") == self.mode
            and division in (None, self._entries[at].get("division"))
            and (until is None or at <= until)
        ]


# ---------------------------------------------------------------- boards


def board_of(
    make: MakeLeaderboard, event: str, metric: str, submissions: Sequence[Submission], weight: float = RULE
) -> Leaderboard:
    """The board of an event; a composite at any weight of speed from 0 to 1, innovation as it is shown."""
    if metric == "composite" and weight != RULE:
        weighted = _made_of(make, event, "speed", submissions, [_weighted(each, weight) for each in submissions])
        return replace(weighted, metric=f"composite {weight:.2f}")
    rounded = [_rounded(each) for each in submissions] if metric == "innovation" else submissions
    return _made_of(make, event, metric, submissions, rounded)


def _made_of(
    make: MakeLeaderboard,
    event: str,
    metric: str,
    submissions: Sequence[Submission],
    ranked: Sequence[Submission],
) -> Leaderboard:
    """The board of other scores, `ranked`; its rows have the submissions as they are."""
    originals = {each["id"]: each for each in submissions}
    board = make(EVENTS[event], metric, ranked)
    rows = tuple(replace(row, submission=originals[row.submission["id"]]) for row in board.standings)
    return replace(board, standings=rows)


def _rounded(entry: Submission) -> Submission:
    """Innovation to the two digits that are shown: 0.81 and 0.81 share a rank."""
    if not entry["ranked"]:
        return entry
    return {**entry, "innovation_score": round(entry["innovation_score"], 2)}


def _weighted(entry: Submission, weight: float) -> Submission:
    """The composite in the place of the speedup: it is then ranked, with its interval, by the rule of speed."""
    if not entry["ranked"]:  # a refused one may have no speedup
        return entry
    rest = (1 - weight) * entry["innovation_score"]
    score, *ends = (weight * each + rest for each in (entry["speedup_vs_baseline"], *entry["speedup_ci"]))
    return {**entry, "speedup_vs_baseline": score, "speedup_ci": ends}


def places_won(before: Leaderboard, now: Leaderboard) -> dict[str, int]:
    """Places by which each team of `now` went up (above 0) or down; a team that is new there is left out."""
    ranks = {row.team.casefold(): row.rank for row in before.standings}
    return {
        row.team: ranks[row.team.casefold()] - row.rank for row in now.standings if row.team.casefold() in ranks
    }


@dataclass(frozen=True)
class View:
    """What is seen of a board: its rows in some order, the reader's own always among them."""

    board: Leaderboard
    skipped: int  # teams left out just above the last row
    found: bool  # whether a team matches the search, ranked or not


def view_of(
    board: Leaderboard,
    changes: Mapping[str, int],
    order: str = "Rank",
    search: str = "",
    most: int | None = None,
    own_team: str | None = None,
) -> View:
    """The first `most` rows that match, in one of ORDERS; the own row is among them or the last one."""
    wanted, mine = search.strip().casefold(), (own_team or "").casefold()
    names = {row.team: row.team.casefold() for row in board.standings}
    matching = {team for team, name in names.items() if wanted in name}
    rows = [
        row for row in ordered(board.standings, changes, order) if row.team in matching or names[row.team] == mine
    ]
    shown = rows[:most]
    added = [row for row in rows[len(shown) :] if names[row.team] == mine]
    left_out = len(rows) - len(shown)
    notes = [*board.notes]
    if left_out and not added:
        notes.insert(0, f"The first {len(shown)} of {len(rows)} teams.")
    unranked = [each for each in board.unranked if wanted in each[0].casefold()]
    if most is not None and len(unranked) > most:
        notes.append(f"{len(unranked) - most} more teams are not ranked.")
    seen = replace(board, standings=(*shown, *added), unranked=tuple(unranked[:most]), notes=tuple(notes))
    return View(seen, left_out - len(added) if added else 0, not wanted or bool(matching or unranked))


def ordered(standings: Sequence[Standing], changes: Mapping[str, int], order: str) -> list[Standing]:
    """Rows by rank, by name, by places won (new teams first) or by time, newest first."""
    keys: dict[str, Callable[[Standing], Any]] = {
        "Rank": lambda row: 0,  # as they are
        "Team name": lambda row: row.team.casefold(),
        "Change": lambda row: -changes.get(row.team, 1 << 30),
        "Newest first": lambda row: -int(row.submission.get("id", 0)),
    }
    return sorted(standings, key=keys[order])
