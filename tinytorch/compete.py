"""One run through all six stages: `python -m tinytorch.compete [--out competition] [--events ...]`.

The reference optimisations of Modules 16-19 enter all three events as a few made-up teams, two of them weaker or below
the floor; boards and charts are written as one HTML page, whose path is printed. Entries are added to the store in
the folder, so a second run adds to the first. Does not: measure or judge (core.benchmarking) or draw (perf.board).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before numpy is loaded, by whichever import comes first; see perf.machine.one_blas_thread.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import TinyMLPerfCompetitionPlus
from tinytorch.core.caching import add_kv_cache
from tinytorch.core.compression import apply_pruning, distill
from tinytorch.core.models import MLP
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.records import Leaderboard, Report
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.events import EVENTS

METRICS = ("speed", "innovation", "composite")


@dataclass(frozen=True)
class Entry:
    """What one team hands in."""

    team: str
    event: str
    description: str
    make: Callable[[Any], Any]  # baseline -> optimised model


class FlatCNN:
    """A multilayer perceptron behind the CNN's door: fast, and blind to where the digit lies."""

    def __init__(self, mlp: MLP) -> None:
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
        "distilled into a student that reads every fourth pixel, custom kernels, int8",
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


def run(folder: Path, events: Sequence[str]) -> Path:
    """Submit every reference entry of `events` and write the page; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    competition = TinyMLPerfCompetitionPlus(store=folder / "tinymlperf.sqlite")
    entries = [entry for entry in ENTRIES if entry.event in events]
    for number, entry in enumerate(entries, start=1):
        say(f"[{number:>2}/{len(entries)}] {entry.event:<22} {entry.team:<18} ", end="")
        start = time.perf_counter()
        submission = submit(competition, entry)
        say(f"{verdict_line(submission)}  ({time.perf_counter() - start:.0f} s)")
    return write(competition, folder / "index.html", events)


def submit(competition: TinyMLPerfCompetitionPlus, entry: Entry) -> Report:
    """Make the team's model from the baseline and hand it in."""
    model = entry.make(load_baseline(entry.event))
    return competition.submit_entry(entry.team, entry.event, model, entry.description)


def verdict_line(submission: Report) -> str:
    """One line on one entry: speedup with interval, the event's score, innovation, or why it is not ranked."""
    low, high = submission["speedup_ci"]
    line = f"{submission['speedup_vs_baseline']:7.2f}x [{low:.2f}, {high:.2f}]  score {submission['event_score']:6.2f}"
    line += f"  innovation {submission['innovation_score']:.2f}  {submission['medal'] or '-':<7}"
    return line if submission["ranked"] else f"{line} not ranked: {'; '.join(submission['reasons'])}"


def write(competition: TinyMLPerfCompetitionPlus, path: Path, events: Sequence[str]) -> Path:
    """The page with the boards and charts of `events`."""
    from tinytorch.perf.board import page_html, write_page

    boards = {event: [competition.leaderboard(event, metric) for metric in METRICS] for event in events}
    figures = {event: charts(competition, boards[event]) for event in events}
    victories = {event: EVENTS[event].victory for event in events}
    page = page_html(boards, figures, "TinyMLPerf", "Practice run of the reference optimisations", victories)
    return write_page(path, page)


def charts(competition: TinyMLPerfCompetitionPlus, boards: Sequence[Leaderboard]) -> list[tuple[str, str]]:
    """Pictures of one event, each with its description in words."""
    from tinytorch.perf import plots

    event = EVENTS[boards[0].event]
    entries = latest(competition.store.submissions(event=event.name))
    drawings = [plots.figure(7.2, 3.8), plots.figure(7.2, 3.8)]
    plots.speedups(drawings[0].subplots(), entries, event.title)
    plots.quality_against_speed(drawings[1].subplots(), entries, event.title)
    words = [f"{event.title}: speedup of every entry", f"{event.title}: quality against speed, with the floor"]
    best = [row.submission for row in boards[0].standings if "disciplines" in row.submission]
    if best:
        drawings.append(plots.figure(7.2, 4.2))
        plots.disciplines(drawings[-1].subplots(), max(best, key=lambda entry: float(entry["event_score"])))
        words.append(f"{event.title}: the ten disciplines of the best entry")
    return [(each, plots.to_svg(drawing)) for each, drawing in zip(words, drawings, strict=True)]


def latest(submissions: Sequence[Report]) -> list[Report]:
    """The last submission of every team."""
    return list({submission["team_name"]: submission for submission in submissions}.values())


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tinytorch.compete", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("competition"), help="folder of the store and the page")
    parser.add_argument("--events", nargs="+", choices=list(EVENTS), default=list(EVENTS), help="all by default")
    options = parser.parse_args(arguments)
    page = run(options.out, options.events)
    say(f"\nLeaderboards and charts: {page.resolve().as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
