"""Peak memory of a model in a fresh worker, seen from outside where that can be seen.

The worker loads its model once so that its code is there; then the referee sets the kernel's high-water mark back,
has it load again and run twice. What tracemalloc saw inside counts where it is more: pages are coarse. A worker
that hides memory from tracemalloc is still seen by the kernel. Does not: time anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from autograder.referee import protocol
from autograder.referee.sandbox import Setup, Worker
from tinytorch.perf.records import Memory

NOISE_BYTES = 1 << 18  # of the high-water mark, run to run, with the allocator settings below
# An arena, and everything above 64 kB given back at once: then freed memory does not blur the high-water mark.
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def memory_setup(setup: Setup) -> Setup:
    """The same worker, with an allocator for measuring memory instead of time."""
    return replace(setup, keep_freed_memory=False, environment=ALLOCATOR)


def peak_memory(worker: Worker, inputs: np.ndarray) -> Memory:
    """Most bytes that the worker's model held at once while it was loaded and ran twice on `inputs`."""

    def run(given: np.ndarray, traced: int) -> int:
        (counted,), _ = worker.call(protocol.MEMORY, (given,), [(1,)], number=traced)
        return int(counted[0])

    run(inputs[:1], 0)
    grown = _growth(worker, lambda: run(inputs, 0)) - inputs.nbytes - NOISE_BYTES
    traced = max(run(inputs, 1), 0)
    return Memory(max(grown, traced, 1), "fresh worker: larger of tracemalloc and resident high-water mark")


def _growth(worker: Worker, run: Callable[[], object]) -> int:
    status = Path(f"/proc/{worker.pid}/status")
    try:
        Path(f"/proc/{worker.pid}/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return 0  # this system does not let one: tracemalloc alone
    before = _high_water_bytes(status)
    run()
    return _high_water_bytes(status) - before


def _high_water_bytes(status: Path) -> int:
    return int(status.read_text(encoding="ascii", errors="replace").partition("VmHWM:")[2].split()[0]) * 1024
