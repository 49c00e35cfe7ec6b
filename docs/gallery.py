"""Every chart as a picture, in both themes and three widths: `python docs/gallery.py competition --to gallery`.

The entries are those of a run of `python -m tinytorch.compete`; what a run does not keep (single runs, protocols,
a profile, the machine's peak) is measured here in a few seconds. Does not: test or keep anything.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Before numpy is loaded; see perf.machine.one_blas_thread.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from matplotlib.axes import Axes

from tinytorch.compete import STORE, on_show
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import TinyMLPerfCompetitionPlus
from tinytorch.core.profiler import Profiler
from tinytorch.perf import plots
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import EVENTS
from tinytorch.perf.workloads.scenarios import speed_cases

SIZES = {640: (6.4, 3.8), 1200: (8.0, 4.4), 1920: (9.6, 5.2)}  # pixels wide: inches
Chart = Callable[[Axes], Axes]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if the pictures were written, 1 if there is no run to draw."""
    parser = argparse.ArgumentParser(description="Draw every chart from a run of the competition.")
    parser.add_argument("folder", type=Path, help="of the run: what `python -m tinytorch.compete --out` was given")
    parser.add_argument("--to", type=Path, default=Path("gallery"), help="folder of the pictures")
    given = parser.parse_args(arguments)
    if not (given.folder / STORE).is_file():
        sys.stderr.write(f"{given.folder} has no {STORE}; make one with `python -m tinytorch.compete`\n")
        return 1
    given.to.mkdir(parents=True, exist_ok=True)
    competition = TinyMLPerfCompetitionPlus(store=given.folder / STORE)
    peaks = machine()
    for name, chart in [*of_measuring(peaks), *of_entries(competition, peaks)]:
        draw(name, chart, given.to)
    return 0


def draw(name: str, chart: Chart, folder: Path) -> None:
    """One chart in both themes and all widths."""
    for theme in plots.THEMES:
        for pixels, (width, height) in SIZES.items():
            drawing = plots.figure(width, height, theme)
            ax = chart(drawing.subplots())
            path = folder / f"{name}-{theme}-{pixels}.png"
            path.write_bytes(plots.to_png(drawing, dpi=round(pixels / width)))
    sys.stdout.write(f"{name}: {ax.get_title('left')!r}\n")


def of_entries(competition: TinyMLPerfCompetitionPlus, peaks: tuple[float, float]) -> Iterator[tuple[str, Chart]]:
    """Charts of what was handed in, each for every event."""
    for event in EVENTS.values():
        board = competition.leaderboard(event.name)
        entries = on_show(board, competition.store.submissions(event=event.name))
        best = board.standings[0].submission
        of: dict[str, Callable[..., Axes]] = {
            "speedups": lambda ax, entries=entries, event=event: plots.speedups(
                ax, entries, event.title, speed_cases(event)
            ),
            "quality": lambda ax, entries=entries, event=event: plots.quality_against_speed(
                ax, entries, event.title
            ),
            "pareto": lambda ax, entries=entries, event=event: plots.pareto(ax, entries, event.title),
            "balance": lambda ax, entries=entries, event=event: plots.balance(ax, entries, event.title),
            "sizes": lambda ax, entries=entries, event=event: plots.sizes(ax, entries, event.title),
            "disciplines": lambda ax, best=best: plots.disciplines(ax, best),
            "rounds": lambda ax, best=best, event=event: plots.rounds(ax, best, event.title),
            "staircase": lambda ax, entries=entries, event=event: plots.staircase(ax, steps(entries), event.title),
            "roofline": lambda ax, entries=entries, event=event: plots.roofline(
                ax, *peaks, entries_under_the_roof(entries, event.name)
            ),
            "weight": lambda ax, entries=entries: plots.composite_weight(ax, entries),
            "progress": lambda ax, entries=entries: plots.progress(
                ax, [{**each, "team_name": "All of them"} for each in entries]
            ),
        }
        if event.rule != "decathlon":
            del of["disciplines"]
        if event.rule != "balance":
            del of["balance"]
        for name, chart in of.items():
            yield f"{name}-{event.name}", chart


def steps(entries: Sequence[Any]) -> list[dict[str, Any]]:
    """The ranked entries as if each had been built on the one before."""
    ranked = sorted((each for each in entries if each["ranked"]), key=lambda each: each["speedup_vs_baseline"])
    return [
        {
            "label": each["team_name"],
            "ratio": each["speedup_vs_baseline"],
            "low": each["speedup_ci"][0],
            "high": each["speedup_ci"][1],
            "note": each["optimization_description"],
        }
        for each in ranked
    ]


def entries_under_the_roof(entries: Sequence[Any], event: str) -> list[dict[str, Any]]:
    """The entries that compute the baseline's network, and so its arithmetic, for one batch of 32.

    Between two steps nothing need leave the cache: bytes moved are at least the weights and what goes in.
    """
    flops = sum(row["flops"] or 0 for row in profiled(event))
    return [
        {
            "label": each["team_name"],
            "flops": flops,
            "bytes": each["model_bytes"] + batch_of(event).nbytes,
            "time_s": float(np.median([one["candidate_s"]["batch 32"] for one in each["rounds"]])),
        }
        for each in entries
        if each["division"] == "closed"
    ]


# ---------------------------------------------------------------- measured here


def of_measuring(peaks: tuple[float, float]) -> Iterator[tuple[str, Chart]]:
    """Charts of how a number comes about, measured on this machine."""
    baseline = load_baseline("mlp_sprint")
    images = load_dataset("mlp_sprint").batch(32, np.random.default_rng(0))
    models = {"baseline": baseline, "baseline again": baseline.copy(), "kernels": add_custom_kernels(baseline)}
    seen = {name: timed(model, images, 30) for name, model in models.items()}
    yield "runs-three", lambda ax: plots.runs(ax, seen)
    yield "runs-one", lambda ax: plots.runs(ax, {"baseline": seen["baseline"]})
    estimates = protocols(baseline, images)
    yield "intervals", lambda ax: plots.intervals(ax, estimates, truth=1.0)
    for event in EVENTS:
        rows = profiled(event)
        yield f"profile-{event}", lambda ax, rows=rows: plots.profile(ax, rows)
        yield (
            f"roofline_of_layers-{event}",
            lambda ax, rows=rows: plots.roofline(ax, *peaks, layers_under_the_roof(rows)),
        )


def timed(model: Any, images: np.ndarray, count: int) -> list[float]:
    """Seconds of each of `count` calls, warm-up and all."""
    times_s = []
    for _ in range(count):
        start = time.perf_counter()
        model.predict(images)
        times_s.append(time.perf_counter() - start)
    return times_s


def protocols(model: Any, images: np.ndarray, tries: int = 40) -> list[dict[str, Any]]:
    """The ratio of a model to itself by three protocols, each tried often: median and 2.5 to 97.5 percentiles."""
    ratios: dict[str, list[float]] = {"mean of ten": [], "median of ten": [], "median of ten pairs": []}
    for _ in range(tries):
        first, second = timed(model, images, 10), timed(model, images, 10)
        ratios["mean of ten"].append(float(np.mean(first) / np.mean(second)))
        ratios["median of ten"].append(float(np.median(first) / np.median(second)))
        pairs = [timed(model, images, 1)[0] / timed(model, images, 1)[0] for _ in range(10)]
        ratios["median of ten pairs"].append(float(np.median(pairs)))
    ends = {name: np.percentile(values, [50, 2.5, 97.5]) for name, values in ratios.items()}
    return [{"label": name, "ratio": each[0], "low": each[1], "high": each[2]} for name, each in ends.items()]


def batch_of(event: str) -> np.ndarray:
    """The same 32 inputs each time."""
    inputs: np.ndarray = load_dataset(event).batch(32, np.random.default_rng(0))
    return inputs


def profiled(event: str) -> list[dict[str, Any]]:
    """Where an event's baseline spends its time."""
    model, inputs = load_baseline(event), batch_of(event)
    model.predict(inputs)
    with Profiler(model) as profile:
        model.predict(inputs)
    return profile.rows()


def layers_under_the_roof(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layers with arithmetic; bytes moved are at least those of the weights and of what came out."""
    return [
        {
            "label": row["name"],
            "flops": row["flops"],
            "bytes": row["weight_bytes"] + row["output_bytes"],
            "time_s": row["own_s"],
        }
        for row in rows
        if row["flops"]
    ]


def machine() -> tuple[float, float]:
    """Floating-point operations a second of a matrix product, bytes a second of a copy; best of five."""
    square = np.ones((768, 768), np.float32)
    big = np.ones(1 << 24, np.float32)
    multiply = min(seconds_of(lambda: square @ square) for _ in range(5))
    copy = min(seconds_of(big.copy) for _ in range(5))
    return 2 * 768**3 / multiply, 2 * big.nbytes / copy


def seconds_of(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
