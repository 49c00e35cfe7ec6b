"""What do Modules 16-19 really give? `python tests/benchmarks/staircase.py [EVENT ...] [--picture FILE.png]`.

Prints, for every event, each step of the reference optimisations with its speedup, interval, event score, quality,
peak memory and weight bytes; PyTorch and onnxruntime stand beside them where they are installed. Not a test: it
takes some minutes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from references import references  # beside this file

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import CompetitionProfiler
from tinytorch.core.caching import add_kv_cache
from tinytorch.core.compression import apply_pruning, distill
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.records import Report
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import EVENTS

Step = tuple[str, Callable[[Any], Any]]


def numpy_kernels(model: Any, version: int = 3) -> Any:
    return add_custom_kernels(model, version=version, compiled=False)


def halved(model: Any) -> Any:
    return apply_pruning(model, 0.5, structured=True)


STEPS: dict[str, list[Step]] = {
    "mlp_sprint": [
        ("baseline", lambda model: model.copy()),
        ("17 int8 alone", apply_quantization),
        ("18 half masked, alone", lambda model: apply_pruning(model, 0.5)),
        ("16 v2: no Tensor", lambda model: numpy_kernels(model, 2)),
        ("16 v3: folded, buffers", numpy_kernels),
        ("+ 17 int8", lambda model: apply_quantization(numpy_kernels(model))),
        ("+ 18 half the neurons", lambda model: halved(apply_quantization(numpy_kernels(model)))),
        ("or 18 distilled", lambda model: apply_quantization(distill(numpy_kernels(model)))),
        ("best, with numba", lambda model: apply_quantization(distill(add_custom_kernels(model)))),
    ],
    "cnn_marathon": [
        ("baseline", lambda model: model.copy()),
        ("17 int8 alone", apply_quantization),
        ("16 v1: no Tensor", lambda model: numpy_kernels(model, 1)),
        ("16 v2: im2col", lambda model: numpy_kernels(model, 2)),
        ("16 v3: fused, blocks", numpy_kernels),
        ("+ 17 int8", lambda model: apply_quantization(numpy_kernels(model))),
        ("+ 18 channels / 1.1", lambda model: apply_pruning(
            apply_quantization(numpy_kernels(model)), 0.1, structured=True)),
        ("best, with numba", lambda model: apply_quantization(add_custom_kernels(model))),
    ],
    "transformer_decathlon": [
        ("baseline", lambda model: model.copy()),
        ("17 int8 alone", apply_quantization),
        ("19 cache alone", add_kv_cache),
        ("16 v1: no Tensor", lambda model: numpy_kernels(model, 1)),
        ("16 v2: heads together", lambda model: numpy_kernels(model, 2)),
        ("16 v3: fused, chunks", numpy_kernels),
        ("+ 19 cache", lambda model: add_kv_cache(numpy_kernels(model))),
        ("+ 17 int8", lambda model: apply_quantization(add_kv_cache(numpy_kernels(model)))),
        ("best, with numba", lambda model: apply_quantization(add_kv_cache(add_custom_kernels(model)))),
    ],
}  # fmt: skip


def measured(event: str, budget_s: float) -> Iterator[tuple[str, Report]]:
    """Every step and every reference of an event, against the same baseline."""
    baseline, dataset = load_baseline(event), load_dataset(event)
    profiler = CompetitionProfiler(budget_s=budget_s)
    for label, make in STEPS[event]:
        yield label, profiler.benchmark_model(make(baseline), dataset, baseline)
    for label, model in references(event, baseline):
        yield f"({label})", profiler.benchmark_model(model, dataset, baseline)


def line(label: str, result: Report) -> str:
    cases = [result["cases"][name]["ratio"] for name in ("batch 1", "batch 32")]
    third = result["cases"].get("batch 256", result["cases"].get("generate"))["ratio"]
    low, high = result["speedup_ci"]
    quality = result["quality"]
    return (
        f"{label:<42}{result['speedup_vs_baseline']:>7.2f} [{low:.2f}, {high:.2f}]".ljust(66)
        + "".join(f"{value:>8.2f}" for value in (*cases, third))
        + f"{result['event_score']:>8.2f}{quality['value']:>9.4f} {'ok  ' if quality['ok'] else 'FAIL'}"
        + f"{result['peak_memory_bytes'] / 1e6:>8.2f}{result['model_bytes'] / 1e3:>8.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="*", default=list(EVENTS))
    parser.add_argument("--budget", type=float, default=3.0, help="seconds of timing a step")
    parser.add_argument("--picture", type=Path, help="draw the staircases into this folder, too")
    options = parser.parse_args()
    for event in options.events:
        third = "gen." if event == "transformer_decathlon" else "256"
        print(f"\n{EVENTS[event].title}\n{'step':<42}{'speedup [95 %]':<24}{'B=1':>8}{'B=32':>8}{third:>8}"
              f"{'score':>8}{'quality':>9}{'':>5}{'peak MB':>8}{'kB':>8}", flush=True)  # fmt: skip
        steps = []
        for label, result in measured(event, options.budget):
            print(line(label, result), flush=True)
            steps.append((label, result))
        if options.picture is not None:
            draw(event, steps, options.picture)


def draw(event: str, steps: list[tuple[str, Report]], folder: Path) -> None:
    """One staircase picture, references in a neutral colour."""
    from tinytorch.perf import plots

    rows = [
        {
            "label": label.strip("() "),
            "ratio": result["event_score"],
            "low": result["event_score_ci"][0],
            "high": result["event_score_ci"][1],
            "note": "" if result["accuracy_ok"] else "below the floor",
            "reference": label.startswith(("(", "or ")) or label.endswith("alone"),  # not a step of the chain
        }
        for label, result in steps
    ]
    drawing = plots.figure(8.0, 4.4)
    plots.staircase(drawing.subplots(), rows, EVENTS[event].title)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"staircase_{event}.png").write_bytes(plots.to_png(drawing))


if __name__ == "__main__":
    main()
