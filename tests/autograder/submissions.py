"""Reads the submissions of `honest/` and `fakes/`: files that a student could hand in, with what is done at home.

The first line says `event | ... | what it is`. Beside `build`, which the referee calls, a file has
`weights(baseline)`, which makes the arrays of weights.npz, or only `model(baseline)`, whose result `save_entry`
writes. A string KERNEL_C becomes kernel.c; `@TEXT@` is replaced by what `text(baseline)` gives.
"""

from __future__ import annotations

import runpy
from functools import lru_cache
from pathlib import Path

from autograder.referee.levels import level_here
from autograder.referee.officiate import Terms, judge
from tinytorch.perf.entry import Entry, load_entry, save_entry
from tinytorch.perf.records import Report
from tinytorch.perf.workloads.baselines import load_baseline

WORDS = "int2 quantization, numba and SIMD kernels, 99 % pruned, distilled student, buffers, huffman"


def told(path: Path) -> list[str]:
    """The parts of the first line."""
    return [part.strip() for part in path.read_text().split('"""')[1].split("|")]


def entry_of(path: Path, folder: Path) -> Entry:
    """The entry that the file's author would hand in; `folder` is where save_entry may write."""
    event, own = told(path)[0], runpy.run_path(str(path))
    baseline = load_baseline(event)
    if "model" in own:
        save_entry(own["model"](baseline), folder, "Honest", event, WORDS)
        return load_entry(folder)
    source = path.read_text()
    if "text" in own:
        source = source.replace("@TEXT@", own["text"](baseline))
    return Entry(folder, "Own", event, WORDS, "", source, own["weights"](baseline), own.get("KERNEL_C"), "0" * 64)


@lru_cache
def level():
    """Measured once."""
    return level_here()


def official(path: Path, folder: Path, budget_s: float = 0.1, least_rounds: int = 6) -> Report:
    """A short official run with evidence."""
    return judge(entry_of(path, folder), Terms(7, level(), budget_s, least_rounds=least_rounds))
