"""Is the instrument right? `python tests/benchmarks/measuring.py [--results 40] [--quiet]` prints the table.

The same model against itself, and the same work repeated so that the true ratio is known, while the other core is
kept busy; ours side by side with the mean of ten runs, baseline first. Not a test: it takes some minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from tinytorch.core.benchmarking import CompetitionProfiler, combine, summarise
from tinytorch.perf.records import Speedup
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import Dataset, load_dataset

BUSY = """
import os
import numpy as np
parent, a = os.getppid(), np.random.rand(400, 400)
while os.getppid() == parent:  # a benchmark that was killed leaves nobody behind to disturb the next one
    a = np.tanh(a @ a)
"""
CASES = ("batch 1", "batch 32", "batch 256")


class Repeated:
    """A model that does the same work several times."""

    def __init__(self, model: object, times: int) -> None:
        self.model, self.times = model, times

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        for _ in range(self.times - 1):
            self.model.predict(inputs)
        return self.model.predict(inputs)


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Keep `count` cores busy with arithmetic and memory traffic."""
    workers = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def ours(baseline: Repeated, candidate: Repeated, dataset: Dataset, seed: int) -> tuple[Speedup, float]:
    """One result of the benchmark, over the cases that were calibrated, and the seconds it took."""
    start = time.perf_counter()
    profiler = CompetitionProfiler(budget_s=0.8, seed=seed)
    rounds = profiler.measure_rounds(baseline, candidate, dataset)
    return summarise(combine(rounds, CASES)), time.perf_counter() - start


def mean_of_ten(baseline: Repeated, candidate: Repeated, dataset: Dataset, seed: int) -> float:
    """The usual way: ten runs of the baseline, then ten of the candidate, wall time, the same inputs."""
    logs = []
    for size in (1, 32, 256):
        inputs = dataset.batch(size, np.random.default_rng(seed))
        means = []
        for model in (baseline, candidate):
            start = time.perf_counter()
            for _ in range(10):
                model.predict(inputs)
            means.append((time.perf_counter() - start) / 10)
        logs.append(np.log(means[0] / means[1]))
    return float(np.exp(np.mean(logs)))


def row(name: str, truth: float, ratios: Sequence[float], covered: float | None, longest_s: float) -> str:
    errors = np.abs(np.array(ratios) / truth - 1)
    cover = "" if covered is None else f"{covered:.0%}"
    middle, most = np.median(errors), np.quantile(errors, 0.95)
    return (
        f"{name:<26}{truth:>7.2f}{np.median(ratios):>9.4f}{middle:>10.2%}{most:>10.2%}"
        f"{(errors > 0.05).mean():>10.0%}{cover:>10}{longest_s:>9.1f}"
    )


def campaign(truth: float, repeats: tuple[int, int], count: int) -> list[str]:
    dataset, model = load_dataset("mlp_sprint"), load_baseline("mlp_sprint")
    baseline, candidate = (Repeated(model.copy(), times) for times in repeats)
    found = [ours(baseline, candidate, dataset, seed) for seed in range(count)]
    usual = [mean_of_ten(baseline, candidate, dataset, seed) for seed in range(count)]
    covered = float(np.mean([result.low <= truth <= result.high for result, _ in found]))
    ratios = [result.ratio for result, _ in found]
    return [
        row("random pairs in rounds", truth, ratios, covered, max(took for _, took in found)),
        row("mean of ten, in sequence", truth, usual, None, 0.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=40, help="results for a ratio of 1; a quarter for others")
    parser.add_argument("--quiet", action="store_true", help="leave the other cores alone")
    options = parser.parse_args()
    busy = 0 if options.quiet else max(1, (os.cpu_count() or 2) - 1)
    print(f"MLP Sprint, batch 1, 32 and 256; clock: {CompetitionProfiler().clock.name}; {busy} busy core(s)")
    names, widths = (
        ("true", "median", "med err", "95 % err", "off > 5%", "covers", "max s"),
        (7, 9, 10, 10, 10, 10, 9),
    )
    columns = zip(names, widths, strict=True)
    print(f"{'protocol':<26}" + "".join(f"{name:>{width}}" for name, width in columns))
    with busy_cores(busy):
        for truth, repeats, count in (
            (1.0, (1, 1), options.results),
            (1.1, (11, 10), options.results // 4),
            (2.0, (2, 1), options.results // 4),
            (8.0, (8, 1), options.results // 4),
        ):
            print("\n".join(campaign(truth, repeats, count)), flush=True)


if __name__ == "__main__":
    main()
