"""The leaderboards of an event that follow the store; the reader's own row is always in sight.

Redraws only what is looked at. Looks into the store between cells, never while one runs: a measurement in the
notebook's own process is not disturbed. Does not: rank or score; `make_leaderboard` is handed in.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from datetime import datetime
from typing import Any

import ipywidgets as widgets

from tinytorch.perf.board import DIVISIONS, board_html, board_text, clean
from tinytorch.perf.board import METRICS as SHOWN
from tinytorch.perf.feed import (
    METRICS,
    ORDERS,
    RULE,
    Feed,
    MakeLeaderboard,
    Store,
    Submission,
    board_of,
    places_won,
    view_of,
)
from tinytorch.perf.plots.standing import lead_changes
from tinytorch.perf.records import Leaderboard
from tinytorch.perf.widgets.easel import Dashboard, WidgetError, line_of_text
from tinytorch.perf.workloads.events import EVENTS

ROWS = (15, 50)
KEYS = "By keyboard: Tab moves on, Space opens a list, arrows and Enter choose from it, Enter presses a button."
BOTH, ALL = "both", 0  # a list of ipywidgets shows nothing where None is chosen
LOOK_S = 1.0  # from one look into the store to the next
MOST_FOLLOWERS = 4  # in one kernel: a cell that is run again leaves the board before to the garbage collector

_followers: list[weakref.ref[Leaderboards]] = []


class Leaderboards(Dashboard):
    """Who wins an event, then its speed, innovation and composite boards, alive.

    Args:
        store: of the submissions, a `perf.store.Store`.
        make_leaderboard: (event, metric, submissions) -> Leaderboard; the notebook's or the library's.
        own_team: whose row is marked and always shown.
        event: shown first.
        mode: "practice" or "official" results; never both on one board.
        clock: for "checked at"; a test hands in its own.
    """

    _following: asyncio.Task[None] | None = None

    def __init__(
        self,
        store: Store,
        make_leaderboard: MakeLeaderboard,
        own_team: str | None = None,
        event: str = "mlp_sprint",
        mode: str = "practice",
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        if event not in EVENTS:
            raise WidgetError(f"there is no event {event!r}; expected one of {', '.join(EVENTS)}")
        self._feed, self._make, self._clock = Feed(store, mode), make_leaderboard, clock
        self._lock = threading.RLock()  # a callback may come in a thread of its own
        self._own_team = own_team
        self._controls(event)
        hint = widgets.HTML(line_of_text(KEYS, test_id="keys", status=False))
        shown = [self.metric, self.weighing, self.table, self.news, self.checked, hint]
        super().__init__([self._row(), *shown], "live leaderboards")
        self._feed.refresh()
        self._seen, self._since = self._feed.last_id(), clock()
        self._draw()
        self._watch()

    def _controls(self, event: str) -> None:
        wide = widgets.Layout(width="auto")
        looks = {"layout": wide, "style": {"description_width": "initial"}}
        titles = [(each.title, name) for name, each in EVENTS.items()]
        divisions = (BOTH, *DIVISIONS)
        rows = [*((f"{count} rows", count) for count in ROWS), ("all rows", ALL)]
        self.event = widgets.Dropdown(options=titles, value=event, description="Event", **looks)
        self.division = widgets.Dropdown(options=divisions, value=BOTH, description="Division", **looks)
        self.order = widgets.Dropdown(options=ORDERS, description="Order by", **looks)
        self.search = widgets.Text(placeholder="team name", description="Find", **looks)
        self.rows = widgets.Dropdown(options=rows, value=ROWS[0], description="Show", **looks)
        self.mark = widgets.Button(
            description="Mark as seen", tooltip="Count changes of rank from now on", layout=wide
        )
        # Buttons: in a notebook the arrow keys, which tabs need, belong to the notebook.
        self.metric = widgets.ToggleButtons(options=[(SHOWN[metric].title, metric) for metric in METRICS])
        self.metric.add_class("tp-choice")
        self.table = widgets.HTML()
        self.weight = widgets.FloatSlider(
            RULE, min=0.0, max=1.0, step=0.05, description="Weight of speed", readout_format=".2f",
            style={"description_width": "initial"}, layout=widgets.Layout(width="min(30em, 100%)"),
        )  # fmt: skip
        self.number = widgets.BoundedFloatText(
            RULE, min=0.0, max=1.0, step=0.05, description="Weight as a number",
            style={"description_width": "initial"}, layout=widgets.Layout(width="18em"),
        )  # fmt: skip
        widgets.link((self.weight, "value"), (self.number, "value"))
        self.leaders = widgets.HTML()
        self.weighing = widgets.VBox([widgets.HBox([self.weight, self.number]), self.leaders])
        self.news, self.checked = widgets.HTML(line_of_text("", test_id="news")), widgets.HTML()

    def _row(self) -> widgets.HBox:
        return widgets.HBox([self.event, self.division, self.order, self.rows, self.search, self.mark])

    def _watch(self) -> None:
        controls = (self.event, self.division, self.order, self.search, self.rows, self.metric, self.weight)
        for control in controls:
            control.observe(lambda _: self._draw(), "value")
        for control in (self.event, self.division, self.order, self.weight):  # the picture has these, too
            control.observe(lambda _: self.snapshot(), "value")
        self.mark.on_click(lambda _: self.mark_seen())

    # ------------------------------------------------------------ what is shown

    @property
    def own_team(self) -> str | None:
        """Whose row is marked "you"."""
        return self._own_team

    @own_team.setter
    def own_team(self, team: str | None) -> None:
        self._own_team = team
        self._draw()
        self.snapshot()

    def board(self, metric: str, until: int | None = None) -> Leaderboard:
        """One board as chosen by the controls, whole and by rank; as it was at an id, or is now."""
        return board_of(self._make, self.event.value, metric, self._entries(until), self.weight.value)

    def _entries(self, until: int | None = None) -> list[Submission]:
        """Of the event and division that are chosen."""
        division = None if self.division.value == BOTH else self.division.value
        return self._feed.entries(self.event.value, division, until)

    def changes(self, metric: str, now: Leaderboard) -> dict[str, int]:
        """Places won by each team since the boards were opened or marked as seen."""
        return places_won(now if self._seen == self._feed.last_id() else self.board(metric, self._seen), now)

    def _draw(self) -> None:
        with self._lock:
            metric = self.metric.value
            self.table.value = self._table(metric, most=self.rows.value or None, search=self.search.value)
            self.weighing.layout.display = None if metric == "composite" else "none"
            if metric == "composite":
                self.leaders.value = line_of_text(self._leading(), test_id="leaders", status=False)
            self._tell_time()

    def _table(self, metric: str, most: int | None, search: str = "", style: bool = False) -> str:
        board = self.board(metric)
        changes = self.changes(metric, board)
        view = view_of(board, changes, self.order.value, search, most, self._own_team)
        table = board_html(view.board, style, self._own_team, changes, view.skipped)
        if view.found:
            return table
        none = line_of_text(f"No team matches “{clean(search)}”.", test_id="no-match", status=False)
        return none + (table if view.board.standings else "")

    def _leading(self) -> str:
        """For which weights who leads: exact, because a composite is a straight line over the weight."""
        entries = [each for each in self._entries() if each["ranked"]]
        changes = lead_changes(entries)
        ends = [weight for weight, _ in changes[1:]] + [1.0]
        parts = [
            f"{start:.2f} to {end:.2f} {clean(leader['team_name'])}"
            for (start, leader), end in zip(changes, ends, strict=False)
        ]
        return f"Highest score, by weight of speed: {'; '.join(parts)}" if parts else "No ranked entry yet."

    def _tell_time(self) -> None:
        since = f"changes of rank since {self._since:%H:%M}"
        live = "live, checked at" if self._following else "as of"
        words = f"{live} {self._clock():%H:%M:%S}; {since}"
        self.checked.value = line_of_text(words, test_id="checked", status=False)

    # ------------------------------------------------------------ following the store

    def refresh(self) -> bool:
        """Look into the store once, redraw if something came; True if it did."""
        with self._lock:
            before = self._feed.last_id()
            changed = self._feed.refresh()
            if changed:
                self._draw()
                self.news.value = line_of_text(self._newest(before), "news", test_id="news")
                self.snapshot()
            else:
                self._tell_time()
            return changed

    def _newest(self, before: int) -> str:
        """The last result that came, for those who cannot see the board change."""
        entries = [each for each in self._feed.entries(self.event.value) if each["id"] > before]
        if not entries:
            return ""
        team = entries[-1]["team_name"]
        ranks = [row for row in self.board(self.metric.value).standings if row.team.casefold() == team.casefold()]
        what = f"rank {ranks[0].rank}" if ranks else "not ranked"
        return f"New result: {clean(team)}, {what} on the {self.metric.value} board."

    def mark_seen(self) -> None:
        """Count changes of rank from now on."""
        self._seen, self._since = self._feed.last_id(), self._clock()
        self._draw()
        self.snapshot()

    def shown(self) -> None:
        """Follow the store from now on, where there is a loop to do it in."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a script: nobody waits for what comes later
            return
        if self._following is None:
            self._following = loop.create_task(_follow(weakref.ref(self)))
            _followers.append(weakref.ref(self))
            while len(_followers) > MOST_FOLLOWERS:
                if (oldest := _followers.pop(0)()) is not None:
                    oldest.unfollow()
            self._draw()

    def unfollow(self) -> None:
        """Stop looking into the store; `refresh()` still does."""
        if self._following is not None:
            self._following.cancel()
            self._following = None
            self._tell_time()

    def close(self) -> None:
        self.unfollow()
        super().close()

    # ------------------------------------------------------------ without a kernel

    def static_html(self) -> str:
        tables = [self._table(metric, ROWS[0], style=metric == METRICS[0]) for metric in METRICS]
        return "".join(tables)

    def static_text(self) -> str:
        return "\n".join(board_text(self.board(metric), self._own_team) for metric in METRICS)


async def _follow(reference: weakref.ref[Any]) -> None:
    """Look into the store again and again, as long as somebody holds the board; an error is shown, and goes by."""
    while (board := reference()) is not None:
        try:
            board.refresh()
        except Exception as error:  # a store that is locked or gone, or a ranking of the student's own
            words = f"{type(error).__name__}: {error}; looking again every {LOOK_S:g} s"
            board.checked.value = line_of_text(words, "failed", test_id="checked", status=False)
        del board
        await asyncio.sleep(LOOK_S)
