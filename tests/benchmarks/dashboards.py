"""What the dashboards cost: `python tests/benchmarks/dashboards.py`.

Kernel time of each redraw of a board of 200 teams, the time from the click on Cancel until the child is gone, and
the bytes of a saved notebook with all of them and four charts. Does not: draw in a browser (tests/e2e does).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import nbformat

from tests.perf.sample_class import submission
from tinytorch.core.benchmarking import make_leaderboard
from tinytorch.perf.store import Store
from tinytorch.perf.widgets import Leaderboards, SubmitPanel

TEAMS, TRIES_EACH = 200, 5
CELLS = (
    """
from tinytorch.core.benchmarking import TinyMLPerfCompetitionPlus, make_leaderboard
from tinytorch.perf import plots
from tinytorch.perf.widgets import Leaderboards, SubmitPanel
from tinytorch.perf.workloads.baselines import load_baseline
from IPython.display import Image
competition = TinyMLPerfCompetitionPlus(store="class.sqlite")
boards = Leaderboards(competition.store, make_leaderboard, own_team="Team 150")
panel = SubmitPanel(competition, {"baseline": load_baseline("mlp_sprint")}, boards)
display(boards, panel)
""",
    """
entries = [row.submission for row in boards.board("speed").standings]
for draw in (plots.speedups, plots.quality_against_speed, plots.sizes, plots.pareto):
    drawing = plots.figure()
    draw(drawing.subplots(), entries[:12], "MLP Sprint")
    display(Image(plots.to_png(drawing)))
""",
)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What the dashboards cost.")
    parser.add_argument("--tries", type=int, default=15)
    tries = parser.parse_args().tries
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        fill(place / "class.sqlite")
        print(f"{TEAMS} teams, {TEAMS * TRIES_EACH} submissions; medians of {tries} tries")
        for what, times in redraws(place / "class.sqlite", tries):
            print(f"{what:<52}{1e3 * statistics.median(times):8.1f} ms   slowest {1e3 * max(times):6.1f} ms")
        cancelled = [cancel_s() for _ in range(tries)]
        print(
            f"{'Cancel: from the click until the child is gone':<52}{1e3 * statistics.median(cancelled):8.1f} ms"
            f"   slowest {1e3 * max(cancelled):6.1f} ms"
        )
        for state in (False, True):
            words = "with the state of the widgets" if state else "as saved by default"
            print(f"{'saved notebook, all dashboards, ' + words:<52}{saved_bytes(place, state) / 1e6:8.2f} MB")
    return 0


def fill(path: Path) -> None:
    """A class of 200 teams that submitted five times each."""
    ticks = iter(range(10**6))
    start = 1_750_000_000
    store = Store(path, clock=lambda: datetime.fromtimestamp(start + next(ticks), UTC))
    techniques = {"quantization": 0.67, "pruning": 0.4, "custom kernels": 0.5}
    for again in range(TRIES_EACH):
        for team in range(TEAMS):
            score = 6 * 0.988**team * (1 + 0.02 * again)
            words = "int8, half of the neurons, fused kernels in blocks that stay in the cache"
            store.append(submission(team=f"Team {team:03}", score=score, techniques=techniques, text=words))


def redraws(path: Path, tries: int) -> Iterator[tuple[str, list[float]]]:
    """(what, seconds of each try) of everything that draws a board anew."""
    store = Store(path)
    opening = []
    for _ in range(3):
        start = time.perf_counter()
        boards = Leaderboards(store, make_leaderboard, own_team="Team 150")
        opening.append(time.perf_counter() - start)
    yield "open: read the store, draw", opening
    values = iter(range(10**6))
    steps: list[tuple[str, Callable[[], None]]] = [
        ("another order, 15 rows and the own one", lambda: turn(boards, next(values))),
        ("a letter more in the search", lambda: setattr(boards.search, "value", "Team 1"[: next(values) % 6])),
    ]
    for what, act in steps:
        yield what, [seconds(act) for _ in range(tries)]
    boards.rows.value = 0
    yield "another order, all 200 rows", [seconds(lambda: turn(boards, next(values))) for _ in range(tries)]
    boards.metric.value = "composite"
    yield (
        "a step of the weight, all 200 rows",
        [seconds(lambda: weigh(boards, next(values))) for _ in range(tries)],
    )
    boards.rows.value, boards.metric.value = 15, "speed"
    yield "a look into the store, nothing new", [seconds(boards.refresh) for _ in range(tries)]
    arrivals = []
    for at in range(tries):
        store.append(submission(team=f"Late {at}", score=3.0 + at / 10))
        arrivals.append(seconds(boards.refresh))
    yield "a result arrives: read, draw, picture", arrivals


def turn(boards: Leaderboards, at: int) -> None:
    boards.order.value = ("Team name", "Newest first", "Rank")[at % 3]


def weigh(boards: Leaderboards, at: int) -> None:
    boards.weight.value = 0.05 * (at % 20)


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


class Endless:
    """A competition that never comes to an end."""

    store = None

    def submit_entry(self, **_: object) -> None:
        while True:
            pass


def cancel_s() -> float:
    panel = SubmitPanel(Endless(), {"endless": None})
    panel.start()
    start = time.perf_counter()
    panel.stop()
    panel.wait()
    return time.perf_counter() - start


def saved_bytes(folder: Path, state: bool) -> int:
    """A notebook with boards, panel and charts, after it has run."""
    path = folder / f"saved-{state}.ipynb"
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--inplace",
        "--log-level=ERROR",
    ]
    keep = f"--ExecutePreprocessor.store_widget_state={state}"
    subprocess.run([*command, keep, path.name], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
