"""Peak memory of a model in a fresh worker, seen from outside where that can be seen.

The worker loads its model once so that its code is there. Then three figures are taken, and the largest counts:
what tracemalloc saw inside, to the byte; how far the kernel's high-water mark grew, which sees what is hidden from
tracemalloc; and, by the orders of a match, that growth with all memory from before that was used again, for a
worker may take its memory early and never give it back. Does not: time anything, or grade the answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autograder.referee import protocol
from autograder.referee.players import finite
from autograder.referee.sandbox import Setup, Worker, WorkerError
from autograder.referee.worker import LEAST_MEMORY_TRACED
from tinytorch.perf.records import Memory
from tinytorch.perf.workloads.events import EVENTS

NOISE_BYTES = 1 << 18  # of the high-water mark, run to run, with the allocator settings below
# By the orders of a match, honest workers showed up to 1 MB more than by the others (arrays at new places, answers
# on their way, code of a large batch); and 2.5 to 6.7 MB of Python's own memory are used with any model.
MATCH_NOISE_BYTES, MOST_USED_ANYWAY_BYTES = 5 << 18, 8 << 20
# An arena, and everything above 64 kB given back at once: then freed memory does not blur the high-water mark.
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
METHOD = "fresh worker: largest of tracemalloc, resident high-water mark and pages that were used"
MAPPING = re.compile(r"^(?=[0-9a-f]+-[0-9a-f]+ )", re.MULTILINE)  # where one begins in smaps


def memory_setup(setup: Setup) -> Setup:
    """The same worker, with an allocator for measuring memory instead of time."""
    return replace(setup, keep_freed_memory=False, environment=ALLOCATOR)


def peak_memory(worker: Worker, inputs: np.ndarray) -> Memory:
    """Most bytes that the worker's model held at once while it was loaded and answered `inputs` twice.

    Raises:
        WorkerError: it ended, refused, answered in another shape, or told bytes that are no number.
    """
    return memory_and_answers(worker, inputs)[0]


def memory_and_answers(worker: Worker, inputs: np.ndarray) -> tuple[Memory, np.ndarray]:
    """`peak_memory`, and logits that it was measured with: they can be graded as those are that were timed."""
    _told_bytes(worker, inputs[:1], 0)
    before = _marks_set_back(worker)
    _told_bytes(worker, inputs, 0)
    grown = _pages(worker).high_water_bytes - before.high_water_bytes - inputs.nbytes - NOISE_BYTES
    traced = _told_bytes(worker, inputs, LEAST_MEMORY_TRACED)
    in_match, answers = _in_match_bytes(worker, inputs)
    given = sum(array.nbytes for array in worker.setup.weights.values())
    return Memory(max(grown, traced, in_match, given, 1), METHOD), answers


def _in_match_bytes(worker: Worker, inputs: np.ndarray) -> tuple[int, np.ndarray]:
    """Bytes that building and answering need by the orders of a match, and the answers.

    Memory from before that is used again counts, but for what a single input takes: that is Python's own.
    """
    (_, anyway, _), (grown, kept, answers) = (_seen(worker, each) for each in (inputs[:1], inputs))
    used_again = max(0, kept - min(anyway, MOST_USED_ANYWAY_BYTES))
    return grown + used_again - inputs.nbytes - answers.nbytes - MATCH_NOISE_BYTES, answers


def _seen(worker: Worker, inputs: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Bytes that came, bytes from before that were used, and the logits."""
    _told_bytes(worker, inputs[:1], 0)  # after it an honest worker holds no model
    before = _marks_set_back(worker)
    answers = _build_and_predict(worker, inputs)
    after = _pages(worker)
    return after.high_water_bytes - before.high_water_bytes, after.used_of(before), answers


def _build_and_predict(worker: Worker, inputs: np.ndarray) -> np.ndarray:
    """Logits, finite: the second of two answers of a new model."""
    event = next(event for event in EVENTS.values() if event.input_shape == inputs.shape[1:])
    worker.build()
    for _ in range(2):
        (answers,), _ = worker.call(protocol.PREDICT, (inputs,), [event.output_shape(inputs)])
    return finite(answers, "predict")


def _told_bytes(worker: Worker, inputs: np.ndarray, number: int) -> int:
    """What the worker itself says: it counts where it is more than what is seen, so a lie gains nothing."""
    (counted,), _ = worker.call(protocol.MEMORY, (inputs,), [(1,)], number=number)
    if counted.dtype.kind not in "iu" or counted[0] < 0:
        raise WorkerError("answers", f"told {counted[0]} bytes of memory ({counted.dtype})", worker.name)
    return int(counted[0])


# -- seen from outside ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pages:
    """Of a process, by the kernel, in bytes; all 0 where this system shows nothing: then tracemalloc speaks."""

    high_water_bytes: int = 0  # most that was resident since the mark was set back
    resident_bytes: int = 0
    file_bytes: int = 0  # of these, pages of files
    used_bytes: int = 0  # of these, own pages that were read or written since the marks were set back

    def used_of(self, before: Pages) -> int:
        """Bytes that were resident `before` and are not still there, untouched."""
        new_of_files = max(0, self.file_bytes - before.file_bytes)
        return before.resident_bytes - (self.resident_bytes - self.used_bytes - new_of_files)


def _marks_set_back(worker: Worker) -> Pages:
    """No page counts as used, and the high-water mark is what is resident now."""
    if Path("/proc/self/clear_refs").exists():
        with _living(worker):
            # Of clear_refs in proc(5): pages used; pages written to, which makes the processor forget megabytes
            # that it knows and would not mark again; the high-water mark.
            for mark in ("1", "4", "5"):
                Path(f"/proc/{worker.pid}/clear_refs").write_text(mark, encoding="ascii")
    return _pages(worker)


def _pages(worker: Worker) -> Pages:
    if not Path("/proc/self/clear_refs").exists():
        return Pages()
    with _living(worker):
        status, maps = (_text(f"/proc/{worker.pid}/{name}") for name in ("status", "smaps"))
        high_water, resident, of_files = (_bytes(status, name) for name in ("VmHWM", "VmRSS", "RssFile"))
        return Pages(high_water, resident, of_files, sum(map(_used_bytes, MAPPING.split(maps)[1:])))


def _used_bytes(mapping: str) -> int:
    """Pages of one mapping that were used and are the process's own.

    Pages of files are not: other processes that use the library mark them, too. Changed copies of them are.
    Huge pages are Python's, from before the worker said that it wants none: used as a whole or not at all.
    """
    _, _, _, _, inode, *path = mapping.partition("\n")[0].split()
    used = max(0, _bytes(mapping, "Referenced") - _bytes(mapping, "AnonHugePages"))
    on_disk = inode != "0" and path[-1] != "(deleted)"  # shared memory has a file that nobody can find
    return min(used, _bytes(mapping, "Anonymous")) if on_disk else used


def _bytes(text: str, name: str) -> int:
    """A line of `status` or `smaps`. Raises ValueError where there is none: a process that has ended has none."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no line {name}")
    return int(found[1]) * 1024


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")


@contextmanager
def _living(worker: Worker) -> Iterator[None]:
    """What cannot be read of a process that has ended is its end. Raises WorkerError."""
    with worker._alive():
        try:
            yield
        except ValueError as error:
            raise ProcessLookupError(str(error)) from error
