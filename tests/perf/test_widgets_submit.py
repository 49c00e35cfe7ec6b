"""The submit panel: a child measures, the kernel stays free, and one line says what happened."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import threading

import pytest

from tests.perf.sample_class import submission
from tests.perf.test_board import HOSTILE, Reader
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import CompetitionProfiler, TinyMLPerfCompetitionPlus, make_leaderboard
from tinytorch.perf.store import Store, StoreError
from tinytorch.perf.verify import VerifyError
from tinytorch.perf.widgets import Leaderboards, SubmitPanel, WidgetError
from tinytorch.perf.widgets.measuring import STAGES
from tinytorch.perf.workloads.baselines import load_baseline

PATIENCE_S = 60


class Profiler:
    """Has the stages that the panel knows, and no work to do."""

    def measure_rounds(self):
        for _ in range(3):
            self.measure_round()

    def measure_round(self):
        pass


class Toy:
    """A competition whose models say themselves what becomes of them."""

    def __init__(self, store):
        self.store, self.profiler = store, Profiler()

    def submit_entry(self, team_name, event_name, optimized_model, optimization_description, github_url):
        self.profiler.measure_rounds()
        more = optimized_model() or {}
        words = {"optimization_description": optimization_description, "github_url": github_url}
        return self.store.append(submission(event_name, team_name, 3.0) | words | more)


def opened(folder, **models):
    store = Store(folder / "store.sqlite")
    boards = Leaderboards(store, make_leaderboard)
    panel = SubmitPanel(Toy(store), models or {"good": dict}, boards, team="Byte Club")
    return store, boards, panel


def submitted(panel):
    """The state and the words when it is over."""
    panel.submit.click()
    assert panel.wait(PATIENCE_S)
    return said(panel)


def said(panel):
    reader = Reader(panel.outcome.value)
    (line,) = reader.all("div", data_testid="outcome")
    return line["data-state"], " ".join(filter(None, reader.text))


# ---------------------------------------------------------------- what happens


def test_an_entry_is_measured_stored_and_shown(tmp_path):
    store, boards, panel = opened(tmp_path)
    panel.words.value, panel.link.value = "int8", " https://example.org/code "
    state, words = submitted(panel)
    assert (state, words) == (
        "ok",
        "Stored. MLP Sprint: 3.00× [2.97, 3.03], faster, team's best: rank 1 of 1 on the speed board.",
    )
    (kept,) = store.submissions()
    assert (kept["team_name"], kept["github_url"]) == ("Byte Club", "https://example.org/code")
    assert boards.own_team == "Byte Club"
    assert "you" in Reader(boards.table.value).text
    assert (panel.submit.disabled, panel.cancel.disabled, panel.bar.value) == (False, True, 1.0)


def test_another_process_measures(tmp_path):
    store, _, panel = opened(tmp_path, here=lambda: {"pid": os.getpid()})
    submitted(panel)
    assert store.submissions()[0]["pid"] != os.getpid()


def test_the_stages_are_told_between_the_rounds(tmp_path):
    _, _, panel = opened(tmp_path, good=dict)
    seen = []
    panel.outcome.observe(lambda change: seen.append(said(panel)), "value")
    submitted(panel)
    assert seen[0] == ("measuring", "starting")
    assert ("measuring", "timing: finding the size of a block") in seen
    assert seen[-1][0] == "ok"


def test_below_the_floor_is_stored_with_its_reason(tmp_path):
    _, _, panel = opened(tmp_path, bad=lambda: {"ranked": False, "reasons": ["4 points less accurate"]})
    state, words = submitted(panel)
    assert state == "refused"
    assert words.startswith("Stored, not ranked.")
    assert words.endswith("4 points less accurate.")


def raising(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (VerifyError("the name is empty; choose one"), "Refused: the name is empty; choose one"),
        (ZeroDivisionError("by 0"), "Refused: ZeroDivisionError: by 0"),
        (SystemExit(3), "Refused: SystemExit: 3"),
        (KeyboardInterrupt(), "Refused: KeyboardInterrupt:"),
    ],
)
def test_an_error_of_the_model_is_told_in_words(tmp_path, error, words):
    store, _, panel = opened(tmp_path, bad=raising(error))
    assert submitted(panel) == ("refused", words)
    assert len(store) == 0
    assert not panel.submit.disabled, "another try is possible"


def test_a_model_that_ends_python_is_told(tmp_path):
    store, _, panel = opened(tmp_path, bad=lambda: os._exit(0))
    state, words = submitted(panel)
    assert state == "failed"
    assert words.startswith("The measuring process died")
    assert len(store) == 0


def test_a_result_that_cannot_be_stored_is_told(tmp_path):
    _, _, panel = opened(tmp_path, bad=lambda: {"event_score": float("nan")})
    state, words = submitted(panel)
    assert state == "failed"
    assert words.startswith("Measured, not stored:")


def test_what_a_model_prints_goes_nowhere(tmp_path, capfd):
    _, _, panel = opened(tmp_path, loud=lambda: sys.stdout.write("look at me") and {})
    assert submitted(panel)[0] == "ok"
    assert "look" not in "".join(capfd.readouterr())


# ---------------------------------------------------------------- cancel


def forever():
    while True:
        pass


def forking(writer):
    """A model that starts a process of its own and says so."""

    def start():
        if os.fork() != 0:
            os.write(writer, b"forked")
        forever()

    return start


def test_cancel_ends_the_child_and_stores_nothing(tmp_path):
    store, _, panel = opened(tmp_path, endless=forever)
    panel.submit.click()
    pid = panel._running.pid
    assert not panel.cancel.disabled
    panel.cancel.click()
    assert panel.wait(PATIENCE_S)
    assert said(panel) == ("cancelled", "Cancelled. Nothing was stored.")
    assert len(store) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert submitted(SubmitPanel(Toy(store), {"good": dict}, team="Byte Club"))[0] == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_cancel_ends_what_the_model_has_started(tmp_path):
    reader, writer = os.pipe()
    _, _, panel = opened(tmp_path, forks=forking(writer))
    panel.submit.click()
    assert os.read(reader, 6) == b"forked"
    os.close(writer)  # what the panel started holds the other ends, as long as it lives
    panel.cancel.click()
    assert panel.wait(PATIENCE_S)
    assert select.select([reader], [], [], PATIENCE_S)[0] and os.read(reader, 1) == b""
    os.close(reader)


def test_a_second_click_starts_nothing(tmp_path):
    _, _, panel = opened(tmp_path, endless=forever)
    panel.submit.click()
    first = panel._running
    panel.start()
    assert panel._running is first
    panel.close()
    assert panel.wait(PATIENCE_S)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_what_the_model_leaves_behind_does_not_keep_the_result(tmp_path):
    def leaves_a_process():
        if os.fork() == 0:
            forever()

    _, _, panel = opened(tmp_path, pool=leaves_a_process)
    assert submitted(panel)[0] == "ok"


def test_a_board_that_breaks_does_not_lock_the_panel(tmp_path, monkeypatch):
    store, boards, panel = opened(tmp_path)
    monkeypatch.setattr(boards, "refresh", lambda: 1 / 0)
    assert submitted(panel) == ("failed", "ZeroDivisionError: division by zero")
    assert (panel.submit.disabled, panel.cancel.disabled, len(store)) == (False, True, 1)


# ---------------------------------------------------------------- in a loop


def in_a_loop(panel, *steps):
    """Shown in a loop; each step follows a turn of a thread of its own, as clicks do in a subshell."""

    async def show():
        panel.shown()
        for step in steps:
            await asyncio.to_thread(step)
        while panel._asked:
            await asyncio.sleep(0)

    asyncio.run(show())
    assert panel.wait(PATIENCE_S)


def test_a_click_is_overtaken_by_what_was_typed_before_it(tmp_path):
    store, _, panel = opened(tmp_path)

    def click_then_hear():
        panel._loop.call_soon_threadsafe(panel.submit.click)
        panel._loop.call_soon_threadsafe(setattr, panel.team, "value", "Typed Before")

    in_a_loop(panel, click_then_hear)
    assert said(panel)[0] == "ok"
    assert [each["team_name"] for each in store.submissions()] == ["Typed Before"]


def test_an_entry_that_waits_for_a_cell_says_so_and_can_be_cancelled(tmp_path, monkeypatch):
    monkeypatch.setattr("tinytorch.perf.widgets.submit.SETTLE_S", PATIENCE_S)
    store, _, panel = opened(tmp_path)
    seen = []
    in_a_loop(
        panel,
        panel.submit.click,
        panel.submit.click,
        lambda: seen.append((said(panel), panel.submit.disabled, panel.cancel.disabled)),
        panel.cancel.click,
        lambda: seen.append((said(panel), panel.submit.disabled, panel.cancel.disabled)),
    )
    assert seen == [
        (("measuring", "starting when no cell runs"), True, False),
        (("cancelled", "Cancelled. Nothing was stored."), False, True),
    ]
    assert panel._running is None and len(store) == 0


def test_a_submission_waits_for_all_cells_that_are_queued(tmp_path, monkeypatch):
    """A cell holds the loop; between two of them a few turns of the loop are left."""
    monkeypatch.setattr("tinytorch.perf.widgets.submit.SETTLE_S", 0.02)
    store, _, panel = opened(tmp_path)
    began = []
    monkeypatch.setattr(panel, "_start", lambda: began.append(cells[-1]))
    cells = [0]

    async def run_cells():
        panel.shown()
        panel.submit.click()
        for number in range(1, 6):
            cells.append(number)
            pause.wait(0.05)  # the cell
            for _ in range(5):
                await asyncio.sleep(0)
        while not began:
            await asyncio.sleep(0.01)

    pause = threading.Event()
    asyncio.run(run_cells())
    assert began == [5]


def test_the_bar_only_goes_forward(tmp_path):
    profiler = CompetitionProfiler(budget_s=0.2)
    competition = TinyMLPerfCompetitionPlus(store=tmp_path / "store.sqlite", profiler=profiler)
    panel = SubmitPanel(competition, {"baseline": load_baseline("mlp_sprint")}, team="Byte Club")
    stages, shares = [], []
    panel.outcome.observe(lambda change: stages.append(said(panel)[1]), "value")
    panel.bar.observe(lambda change: shares.append(change["new"]), "value")
    submitted(panel)
    assert shares == sorted(shares)
    assert [each for each in stages if "round " not in each][:-1] == [
        "starting",
        *(words for _, _, words, _ in STAGES),
    ]


# ---------------------------------------------------------------- models, words, other viewers


def test_a_model_that_is_offered_later_is_chosen(tmp_path):
    store, _, panel = opened(tmp_path)
    panel.offer("newer", lambda: {"note": "newer"})
    assert panel.model.options == ("good", "newer")
    submitted(panel)
    assert store.submissions()[0]["note"] == "newer"


def test_without_a_model_there_is_no_panel(tmp_path):
    with pytest.raises(WidgetError, match="models is empty; hand in at least one"):
        SubmitPanel(Toy(Store(tmp_path / "store.sqlite")), {})


def test_where_no_process_can_be_forked_the_panel_says_what_to_do(tmp_path, monkeypatch):
    _, _, panel = opened(tmp_path)
    monkeypatch.delattr(os, "fork")
    assert submitted(panel) == (
        "failed",
        "Not started: this system cannot fork a process; call competition.submit_entry(...) instead",
    )


@pytest.mark.parametrize("name", [*HOSTILE, r"$\frac{1$", "=1+2"], ids=lambda name: ascii(name)[:24])
def test_no_name_becomes_code_in_the_panel(tmp_path, name):
    words = name.encode("utf-8", "replace").decode()
    _, boards, panel = opened(tmp_path, **{"bad": raising(VerifyError(words)), words: dict})
    panel.team.value = panel.words.value = words
    submitted(panel)
    panel.model.value = words
    shown = [panel.outcome.value, panel.static_html(), boards.table.value]
    try:
        submitted(panel)
    except StoreError:  # refused with words of its own
        pass
    for value in (
        *shown,
        panel.outcome.value,
        panel.static_html(),
        boards.table.value,
        boards.news.value,
    ):
        assert not {tag for tag, _ in Reader(value).elements} & {"script", "img", "svg", "iframe"}
        assert not [given for _, given in Reader(value).elements if any(key.startswith("on") for key in given)]


def test_the_static_line_says_what_happened_last(tmp_path):
    _, _, panel = opened(tmp_path)
    assert panel.static_text() == "Submit panel: Choose a model and submit it."
    submitted(panel)
    assert "Stored. MLP Sprint: 3.00×" in panel._bundle()["text/html"]


def test_the_librarys_competition_is_measured_in_the_child(tmp_path):
    profiler = CompetitionProfiler(budget_s=0.2)
    competition = TinyMLPerfCompetitionPlus(store=tmp_path / "store.sqlite", profiler=profiler)
    boards = Leaderboards(competition.store, make_leaderboard)
    model = add_custom_kernels(load_baseline("mlp_sprint"), compiled=False)
    state, words = submitted(SubmitPanel(competition, {"kernels": model}, boards, team="Byte Club"))
    assert state == "ok", words
    assert "faster" in words
    assert "rank 1 of 1" in words
    assert "measure_rounds" not in vars(profiler), "what tells the stages stays in the child"
