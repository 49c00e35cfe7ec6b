"""Is the referee right, and what does it cost? `python tests/benchmarks/referee.py [--runs 20]` prints two tables.

An entry identical to the baseline, in many official runs while the other core is kept busy; and one official run
of the library's models and of each honest entry of the tests, with its wall time and what a call costs beside the
model. Not a test: 20 runs of each event take a quarter of an hour, the second table five minutes.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import numpy as np
from measuring import busy_cores

from autograder.referee import referee
from autograder.referee.levels import level_here
from autograder.referee.officiate import Terms, judge
from tests.autograder.submissions import entry_of, told
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.perf.entry import save_entry
from tinytorch.perf.records import Report
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.events import EVENTS


def judged(model: object, event: str, scratch: str, **terms: object) -> tuple[Report, float]:
    """An official run of a model of the library, and its wall time."""
    folder = Path(scratch) / "entry"
    if not folder.exists():
        save_entry(model, folder, "Benchmark", event)
    start = time.perf_counter()
    return referee(folder, **terms), time.perf_counter() - start


def identical(event: str, runs: int) -> str:
    """The row of an entry that is the baseline: its ratio should be 1."""
    ratios, covered, longest = [], 0, 0.0
    with tempfile.TemporaryDirectory() as scratch, busy_cores(max(1, (os.cpu_count() or 2) - 1)):
        for _ in range(runs):
            result, took = judged(load_baseline(event), event, scratch, interventions=False)
            low, high = result["speedup_ci"]
            ratios.append(result["speedup_vs_baseline"])
            covered += low <= 1 <= high
            longest = max(longest, took)
    share = covered / runs
    return (
        f"{event:<24}{runs:>5}{min(ratios):>9.4f}{np.median(ratios):>9.4f}{max(ratios):>9.4f}"
        f"{share:>10.0%}{longest:>9.1f}"
    )


def whole(event: str, name: str, model: object) -> str:
    """The row of one official run with everything: match, laws, memory, evidence."""
    with tempfile.TemporaryDirectory() as scratch:
        return row(event, name, *judged(model, event, scratch))


def own(path: Path) -> str:
    """The same of an honest entry of the tests, most of them classes of their own."""
    with tempfile.TemporaryDirectory() as scratch:
        entry = entry_of(path, Path(scratch) / "entry")
        start = time.perf_counter()
        result = judge(entry, Terms(secrets.randbits(63), level_here(), budget_s=1.5))
        return row(entry.event_name, path.stem, result, time.perf_counter() - start)


def row(event: str, name: str, result: Report, took: float) -> str:
    """Of the second table."""
    return (
        f"{event:<24}{name:<28}{took:>7.1f}{result['speedup_vs_baseline']:>9.2f}{result['event_score']:>8.2f}"
        f"{result['innovation_score']:>12.2f}{result['overhead_s'] * 1e6:>14.1f}   level {result['level']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="official runs of the baseline as an entry")
    options = parser.parse_args()
    print("An entry identical to the baseline, the other cores busy")
    print(f"{'event':<24}{'runs':>5}{'least':>9}{'median':>9}{'most':>9}{'covers 1':>10}{'max s':>9}")
    for event in EVENTS:
        print(identical(event, options.runs), flush=True)
    print("\nOne official run with everything")
    print(f"{'event':<24}{'entry':<28}{'s':>7}{'speedup':>9}{'score':>8}{'innovation':>12}{'us a call':>14}")
    for event in EVENTS:
        baseline = load_baseline(event)
        for name, model in (
            ("baseline", baseline),
            ("numpy kernels", add_custom_kernels(baseline, version=3)),
            ("numba kernels", add_custom_kernels(baseline, version=4)),
        ):
            print(whole(event, name, model), flush=True)
    for path in sorted((ROOT / "tests" / "autograder" / "honest").glob("*.py"), key=lambda path: told(path)[0]):
        print(own(path), flush=True)


if __name__ == "__main__":
    main()
