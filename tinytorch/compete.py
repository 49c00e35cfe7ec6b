"""One run through all six stages: `python -m tinytorch.compete`.

The reference optimisations of Modules 16-19 enter all three events as a few made-up teams, some of them weaker or
below the floor; boards and charts are written as one HTML page. Entries are added to the store in the folder, so a
second run adds to the first. Does not: measure, judge (core.benchmarking), keep (perf.store) or draw (perf.plots).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before numpy is loaded, by whichever import comes first; see perf.machine.one_blas_thread.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import CompetitionProfiler, TinyMLPerfCompetitionPlus, make_leaderboard
from tinytorch.core.caching import add_kv_cache
from tinytorch.core.compression import apply_pruning, distill
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.records import Leaderboard
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.events import EVENTS, Event
from tinytorch.perf.workloads.scenarios import speed_cases

Submission = Mapping[str, Any]

METRICS = ("speed", "innovation", "composite")
STORE, PAGE = "tinymlperf.sqlite", "index.html"
NEEDED = {"sqlalchemy": "keeps the entries", "matplotlib": "draws the charts"}  # package of the extra `lab`: why
INDENT = " " * 8  # of what belongs to the line above
INTERRUPTED = 130  # exit code of a command that was stopped by Ctrl-C


class CompeteError(RuntimeError):
    """The run could not begin or was stopped; the message says what to do, `exit_code` is for the shell."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Entry:
    """What one team hands in."""

    team: str
    event: str
    description: str
    make: Callable[[Any], Any]  # baseline -> optimised model


class FlatCNN:
    """A multilayer perceptron behind the CNN's door: fast, and blind to where the digit lies."""

    def __init__(self, mlp: Any) -> None:
        self.mlp = mlp

    def predict(self, images: Any) -> Any:
        """(N, 28, 28, 1) bytes -> logits (N, 10)."""
        return self.mlp.predict(images.reshape(len(images), -1))


def flat_cnn(_: Any) -> FlatCNN:
    """The trained Sprint baseline, which has only ever seen digits in the middle."""
    return FlatCNN(add_custom_kernels(load_baseline("mlp_sprint")))


ENTRIES = (
    Entry("Plain Sailing", "mlp_sprint", "the baseline, unchanged", lambda model: model.copy()),
    Entry("Byte Club", "mlp_sprint", "int8 weights, nothing else", apply_quantization),
    Entry(
        "Loop Unrollers",
        "mlp_sprint",
        "scaling folded into the weights, buffers, fused kernels",
        add_custom_kernels,
    ),
    Entry(
        "Lean Machine",
        "mlp_sprint",
        "int8, half of the neurons pruned and fine-tuned, custom kernels",
        lambda model: add_custom_kernels(apply_pruning(apply_quantization(model), 0.5, structured=True)),
    ),
    Entry(
        "Small Wonder",
        "mlp_sprint",
        "distilled: a student that reads every fourth pixel, custom kernels, int8",
        lambda model: apply_quantization(add_custom_kernels(distill(model))),
    ),
    Entry(
        "Two Bits",
        "mlp_sprint",
        "2-bit weights and custom kernels",
        lambda model: add_custom_kernels(apply_quantization(model, bits=2)),
    ),
    Entry("Column Store", "cnn_marathon", "im2col", lambda model: add_custom_kernels(model, version=2)),
    Entry("Cache Blocks", "cnn_marathon", "channels last, fused, in blocks", add_custom_kernels),
    Entry(
        "Balanced Diet",
        "cnn_marathon",
        "channels last, fused, in blocks, int8 weights",
        lambda model: add_custom_kernels(apply_quantization(model)),
    ),
    Entry(
        "Fewer Channels",
        "cnn_marathon",
        "40 % of the channels pruned away without fine-tuning",
        lambda model: add_custom_kernels(apply_pruning(model, 0.4, structured=True, fine_tune=False)),
    ),
    Entry("Who Needs Conv", "cnn_marathon", "a multilayer perceptron in place of the network", flat_cnn),
    Entry("Prefix Again", "transformer_decathlon", "the baseline, unchanged", lambda model: model.copy()),
    Entry("Total Recall", "transformer_decathlon", "key-value cache", add_kv_cache),
    Entry(
        "Attention Please",
        "transformer_decathlon",
        "fused operations in chunks, numpy only",
        lambda model: add_custom_kernels(model, compiled=False),
    ),
    Entry(
        "All-Rounders",
        "transformer_decathlon",
        "custom kernels, key-value cache, int8 weights",
        lambda model: add_kv_cache(add_custom_kernels(apply_quantization(model))),
    ),
    Entry(
        "Three Bit Tragedy",
        "transformer_decathlon",
        "3-bit weights, key-value cache, custom kernels",
        lambda model: add_kv_cache(add_custom_kernels(apply_quantization(model, bits=3))),
    ),
)


# ---------------------------------------------------------------- measure, verify, score, store


def run(
    folder: Path,
    events: Sequence[str] = tuple(EVENTS),
    start: int = 1,
    profiler: CompetitionProfiler | None = None,
) -> Path:
    """Submit the reference entries of `events`, from number `start` on, and write the page; returns its path.

    Raises:
        CompeteError: the folder cannot be made, `start` is no entry's number, or Ctrl-C was pressed. What was
            submitted before is in the store.
    """
    entries = [entry for entry in ENTRIES if entry.event in events]
    if not 1 <= start <= len(entries) + 1:
        raise CompeteError(f"--start is {start}; entries are numbered from 1 to {len(entries)}")
    competition, number, said = open_competition(folder, profiler), start, ""
    try:
        for number, entry in enumerate(entries[start - 1 :], start):
            if entry.event != said:
                say(f"\n{EVENTS[entry.event].title}")
                said = entry.event
            say(f"[{number:>2}/{len(entries)}] {entry.team:<18} ", end="")
            say(submit(competition, entry))
        number = len(entries) + 1
        return write(competition, folder / PAGE, events)
    except KeyboardInterrupt:
        raise CompeteError(how_to_go_on(folder, events, number, len(entries)), INTERRUPTED) from None


def open_competition(folder: Path, profiler: CompetitionProfiler | None = None) -> TinyMLPerfCompetitionPlus:
    """The competition whose store lies in `folder`, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CompeteError(
            f"cannot make the folder {folder}: {error.strerror}; give another with --out"
        ) from error
    return TinyMLPerfCompetitionPlus(store=folder / STORE, profiler=profiler)


def submit(competition: TinyMLPerfCompetitionPlus, entry: Entry) -> str:
    """Make the team's model from the baseline and hand it in; returns how it did and how long that took."""
    began = time.perf_counter()
    model = entry.make(load_baseline(entry.event))
    submission = competition.submit_entry(entry.team, entry.event, model, entry.description)
    return f"{verdict_line(submission)}  ({time.perf_counter() - began:.0f} s)"


def verdict_line(submission: Submission) -> str:
    """Speedup with interval, the event's score and medal, innovation; or below it why the entry is not ranked."""
    low, high = submission["speedup_ci"]
    line = f"{submission['speedup_vs_baseline']:7.2f}x {f'[{low:.2f}, {high:.2f}]':<16}"
    line += f"  score {submission['event_score']:5.2f} {submission['medal'] or '':<6}"
    if submission["ranked"]:
        return f"{line}  innovation {submission['innovation_score']:.2f}"
    reasons = "; ".join(submission["reasons"])
    return f"{line}  not ranked\n" + textwrap.fill(reasons, 96, initial_indent=INDENT, subsequent_indent=INDENT)


def how_to_go_on(folder: Path, events: Sequence[str], number: int, count: int) -> str:
    """What is kept after Ctrl-C before entry `number` was done, and the command for the rest."""
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable
    command = [python, "-m", "tinytorch.compete", "--out", str(folder), "--start", str(number)]
    command += [] if set(events) == set(EVENTS) else ["--events", *events]
    done = f"stopped with {number - 1} of {count} entries done; they are kept in {folder / STORE}"
    return f"{done}. To go on:\n  {shlex.join(command)}"


# ---------------------------------------------------------------- show


def write(competition: TinyMLPerfCompetitionPlus, path: Path, events: Sequence[str]) -> Path:
    """The page with the boards and charts of `events`, from all that is in the store."""
    from tinytorch.perf.board import page_html, write_page
    from tinytorch.perf.feed import board_of

    stored = {event: competition.store.submissions(event=event) for event in events}
    boards = {
        event: [board_of(make_leaderboard, event, metric, stored[event]) for metric in METRICS] for event in events
    }
    winners = {event: make_leaderboard(EVENTS[event], "event", stored[event]) for event in events}
    figures = {
        event: charts(EVENTS[event], on_show(boards[event][0], stored[event]), winners[event]) for event in events
    }
    page = page_html(
        boards,
        figures,
        "TinyMLPerf",
        "Practice run of the reference optimisations",
        {event: rules(EVENTS[event]) for event in events},
        winners,
    )
    return write_page(path, page)


def rules(event: Event) -> str:
    """The victory condition and what a medal takes."""
    bronze, silver, gold = event.medals
    return f"{event.victory} Bronze from {bronze:g}, silver from {silver:g}, gold from {gold:g}."


def on_show(board: Leaderboard, submissions: Sequence[Submission]) -> list[Submission]:
    """One entry a team for the charts: the one the board ranks, else the team's last."""
    ranked = {row.team: row.submission for row in board.standings}
    return [ranked.get(each["team_name"], each) for each in latest(submissions)]


def latest(submissions: Sequence[Submission]) -> list[Submission]:
    """The last submission of every team."""
    return list({each["team_name"]: each for each in submissions}.values())


def which_bars(entries: Sequence[Submission]) -> str:
    """Which entries the chart of speedups has room for."""
    from tinytorch.perf.plots.entries import MOST_BARS

    few = len(entries) <= MOST_BARS
    return "every entry" if few else f"the first {MOST_BARS} of {len(entries)} entries"


def charts(event: Event, entries: Sequence[Submission], winners: Leaderboard) -> list[tuple[str, str]]:
    """Pictures of one event, each with its description in words."""
    from tinytorch.perf import plots

    drawn = [plots.figure(6.2, 3.6) for _ in range(2)]
    plots.speedups(drawn[0].subplots(), entries, event.title, speed_cases(event))
    plots.quality_against_speed(drawn[1].subplots(), entries, event.title)
    words = [f"speedup of {which_bars(entries)}", "quality against speed, with the floor"]
    if event.rule == "balance":
        drawn.append(plots.figure(6.2, 4.4))
        plots.balance(drawn[-1].subplots(), [row.submission for row in winners.standings], event.title)
        words.append("speed, memory and weights of the best entries")
    if event.rule == "decathlon" and winners.standings:
        drawn.append(plots.figure(6.2, 4.4))
        plots.disciplines(drawn[-1].subplots(), winners.standings[0].submission)
        words.append("the ten disciplines of the winner")
    return [(f"{event.title}: {each}", plots.to_svg(drawing)) for each, drawing in zip(words, drawn, strict=True)]


# ---------------------------------------------------------------- the command


def check_installed() -> None:
    """Say at once, and not after the first entry, that a package is missing.

    Raises:
        CompeteError: one of the extra `lab` is.
    """
    missing = [f"{name} ({why})" for name, why in NEEDED.items() if find_spec(name) is None]
    if missing:
        raise CompeteError(
            f"not installed: {' and '.join(missing)}; run `make compete`, or install the extra: "
            f"python -m pip install -e '.[lab]'"
        )


def say(text: str, end: str = "\n") -> None:
    """Write at once, also where the output is a pipe."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line as `out`, `events` and `start`."""
    parser = argparse.ArgumentParser(
        prog="python -m tinytorch.compete",
        description="Submit the reference optimisations to all three events as a few made-up teams, and write one "
        "page with the leaderboards and charts. Takes about three minutes; adds to what is in the folder.",
    )
    where: dict[str, Any] = {"type": Path, "default": Path("competition"), "metavar": "FOLDER"}
    which: dict[str, Any] = {"nargs": "+", "choices": list(EVENTS), "default": list(EVENTS), "metavar": "EVENT"}
    begin: dict[str, Any] = {"type": int, "default": 1, "metavar": "N"}
    parser.add_argument("--out", **where, help="where the store and the page go (default: %(default)s)")
    parser.add_argument("--events", **which, help=f"which ones: {', '.join(EVENTS)} (default: all)")
    parser.add_argument("--start", **begin, help="entry to begin with, where a run was stopped (default: 1)")
    return parser.parse_args(arguments)


def attempt(given: argparse.Namespace) -> Path:
    """Run with what else may be in the way turned into a `CompeteError`."""
    check_installed()
    from tinytorch.perf.board import BoardError
    from tinytorch.perf.store import StoreError

    try:
        return run(given.out, given.events, given.start)
    except (BoardError, StoreError) as error:
        raise CompeteError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if the page was written, 130 after Ctrl-C, 1 if something was in the way."""
    given = options(arguments)
    try:
        page = attempt(given)
    except CompeteError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    say(f"\nLeaderboards and charts: {page.resolve().as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
