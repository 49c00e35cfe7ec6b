"""A form that enters a model: measured in a child, cancelled at once, and one line that says what happened.

The kernel is free meanwhile, so it is not what is timed. A click may come in a thread of its own (a subshell) and
overtake the words that were typed before it, so it begins in the loop that shows the panel, once no cell runs
there. Does not: measure or judge; the competition that is handed in does, in the child, and its store gets the
result here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import ipywidgets as widgets

from tinytorch.perf.widgets.easel import Dashboard, WidgetError, line_of_text
from tinytorch.perf.widgets.leaderboards import Leaderboards
from tinytorch.perf.widgets.measuring import Competition, Measurement, Message
from tinytorch.perf.workloads.events import EVENTS

REFUSALS = ("VerifyError", "WorkloadError", "BenchmarkError", "EntryError")  # an answer, not a defect
READY = "Choose a model and submit it."
CANCELLED = "Cancelled. Nothing was stored."
SETTLE_S = 0.05  # of a free loop: what was typed before the click has come by then


class SubmitPanel(Dashboard):
    """Team, event, model and words about it; Submit, Cancel, a bar, and what happened.

    Args:
        competition: a `TinyMLPerfCompetitionPlus`, the notebook's or the library's.
        models: name -> model, to choose from; `offer` adds more.
        boards: boards that are to show the result at once and mark the team's row.
        team: filled in at the start.
        event: chosen at the start.

    Raises:
        WidgetError: there is no model to choose.
    """

    _running: Measurement | None = None
    _watcher: threading.Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None  # none in a script
    _asked = False  # Submit was pressed and nothing has begun yet

    def __init__(
        self,
        competition: Competition,
        models: Mapping[str, Any],
        boards: Leaderboards | None = None,
        team: str = "",
        event: str = "mlp_sprint",
    ) -> None:
        self._lock = threading.RLock()  # before all: a panel that was never built is closed, too
        if not models:
            raise WidgetError("models is empty; hand in at least one, {'my first try': model}")
        self._competition, self._models, self._boards = competition, dict(models), boards
        self._said = READY
        self._controls(team, event)
        form = widgets.VBox([
            widgets.HTML('<div class="tp tp-heading">Submit an entry</div>'),
            widgets.HBox([self.team, self.event, self.model]),
            widgets.HBox([self.words, self.link]),
            widgets.HBox([self.submit, self.cancel, self.bar]),
            self.outcome,
        ])  # fmt: skip
        super().__init__([form], "submit panel")
        self.submit.on_click(lambda _: self._ask())
        self.cancel.on_click(lambda _: self.stop())
        self._tell(READY, "idle")

    def _controls(self, team: str, event: str) -> None:
        looks = {"layout": widgets.Layout(width="auto"), "style": {"description_width": "initial"}}
        wide = looks | {"layout": widgets.Layout(width="min(32em, 100%)")}
        titles = [(each.title, name) for name, each in EVENTS.items()]
        # Sent when it is left: letter by letter, a click on Submit overtakes the last ones.
        typed = partial(widgets.Text, continuous_update=False)
        self.team = typed(value=team, placeholder="1 to 40 characters", description="Team", **looks)
        self.event = widgets.Dropdown(options=titles, value=event, description="Event", **looks)
        self.model = widgets.Dropdown(options=list(self._models), description="Model", **looks)
        self.words = typed(placeholder="what you did, for the others", description="Description", **wide)
        self.link = typed(placeholder="https://", description="Link", **wide)
        self.submit = widgets.Button(description="Submit", button_style="primary", layout=looks["layout"])
        self.cancel = widgets.Button(description="Cancel", disabled=True, layout=looks["layout"])
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout=widgets.Layout(width="16em"))
        self.outcome = widgets.HTML()

    def offer(self, name: str, model: Any) -> None:
        """Add a model to choose from, or put a newer one in its place; it is chosen."""
        self._models[name] = model
        self.model.options = list(self._models)
        self.model.value = name

    # ------------------------------------------------------------ measuring

    def shown(self) -> None:
        """Submissions begin in this loop from now on, if there is one."""
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def _ask(self) -> None:
        """Submit was pressed."""
        if self._loop is None:
            self.start()
            return
        with self._lock:
            if self._asked or self._running is not None:
                return
            self._asked = True
            self._busy("starting when no cell runs")
        asyncio.run_coroutine_threadsafe(self._start_when_free(), self._loop)

    async def _start_when_free(self) -> None:
        loop = asyncio.get_running_loop()
        late_s = SETTLE_S
        while late_s >= SETTLE_S:  # a cell ran meanwhile, and the next one may be queued
            due_s = loop.time() + SETTLE_S
            await asyncio.sleep(SETTLE_S)
            late_s = loop.time() - due_s
        with self._lock:
            if self._asked:
                self.start()

    def start(self) -> None:
        """Begin to measure what is chosen; does nothing while something is being measured."""
        with self._lock:
            self._asked = False
            if self._running is None:
                self._busy("starting")
                self._start()

    def _start(self) -> None:
        entry = {
            "team_name": self.team.value,
            "event_name": self.event.value,
            "optimized_model": self._models[self.model.value],
            "optimization_description": self.words.value,
            "github_url": self.link.value.strip(),
        }
        try:
            running = Measurement(self._competition, **entry)
        except (WidgetError, OSError) as error:
            self._finish(f"Not started: {error}", "failed")
            return
        self._running = running
        self._watcher = threading.Thread(target=self._watch, args=(running,), daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Give up what is being measured; nothing of it is stored."""
        with self._lock:  # so that the watcher's last word comes after ours
            asked, self._asked = self._asked, False
            if asked:
                self._finish(CANCELLED, "cancelled")
            elif self._running is not None:
                self._tell("cancelling", "measuring")
                self._running.cancel()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end of the measurement, for a script or a test; False if it takes longer."""
        if self._watcher is None:
            return True
        self._watcher.join(seconds)
        return not self._watcher.is_alive()

    def _watch(self, running: Measurement) -> None:
        """In a thread of its own: what the child says, then the end of it; another try is possible in any case."""
        try:
            self._conclude(running, self._follow(running))
        except Exception as error:  # of a board, or of the student's own ranking
            self._running = None
            self._finish(f"{type(error).__name__}: {error}", "failed")

    def _follow(self, running: Measurement) -> Message:
        """Tell the stages; the child's last word, empty if it had none."""
        for message in running.messages():
            if "stage" not in message:
                return message
            with self._lock:
                if not running.cancelled:
                    self.bar.value = message["share"]
                    self._tell(message["stage"], "measuring")
        return {}

    def _conclude(self, running: Measurement, end: Message) -> None:
        with self._lock:
            self._running = None
        if running.cancelled:
            self._finish(CANCELLED, "cancelled")
        elif "result" in end:
            self._keep(end["result"])
        elif "error" in end:
            kind = "" if end["kind"] in REFUSALS else f"{end['kind']}: "
            self._finish(f"Refused: {kind}{end['error']}", "refused")
        else:
            self._finish("The measuring process died; does the model end Python, or need all memory?", "failed")

    def _keep(self, result: Mapping[str, Any]) -> None:
        """Store what was measured; boards show it."""
        try:
            stored = self._competition.store.append(result)
        except (RuntimeError, ValueError) as error:
            self._finish(f"Measured, not stored: {error}", "failed")
            return
        if self._boards is not None:
            self._boards.refresh()
            self._boards.own_team = stored["team_name"]
        self._finish(self._story(stored), "ok" if stored["ranked"] else "refused")

    def _story(self, stored: Mapping[str, Any]) -> str:
        """One line: how fast, how sure, and where that is on the board or why it is on none."""
        low, high = stored["speedup_ci"]
        event = EVENTS[stored["event_name"]].title
        words = f"{event}: {stored['speedup_vs_baseline']:.2f}× [{low:.2f}, {high:.2f}], {stored['verdict']}"
        if not stored["ranked"]:
            return f"Stored, not ranked. {words}. {'; '.join(stored['reasons'])}."
        return f"Stored. {words}{self._place(stored)}."

    def _place(self, stored: Mapping[str, Any]) -> str:
        if self._boards is None or self._boards.event.value != stored["event_name"]:
            return ""
        standings = self._boards.board("speed").standings
        own = [row for row in standings if row.team.casefold() == stored["team_name"].casefold()]
        rank = f"{'shared ' if own[0].tied else ''}rank {own[0].rank} of {len(standings)}" if own else ""
        return f", team's best: {rank} on the speed board" if own else ""

    # ------------------------------------------------------------ what is shown

    def _tell(self, words: str, state: str) -> None:
        self._said = words
        self.outcome.value = line_of_text(words, state, test_id="outcome")

    def _busy(self, words: str) -> None:
        self.submit.disabled, self.cancel.disabled, self.bar.value = True, False, 0.0
        self._tell(words, "measuring")

    def _finish(self, words: str, state: str) -> None:
        self.bar.value = 1.0 if state == "ok" else 0.0
        self._tell(words, state)
        self.snapshot()
        self.submit.disabled, self.cancel.disabled = False, True

    def static_html(self) -> str:
        return line_of_text(self.static_text(), test_id="outcome", status=False)

    def static_text(self) -> str:
        return f"Submit panel: {self._said}"

    def close(self) -> None:
        self.stop()
        super().close()
