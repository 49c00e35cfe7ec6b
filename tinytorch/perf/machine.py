"""The machine as a measuring instrument: what it is, how to keep it steady, how much memory a model takes.

One BLAS thread, an allocator that keeps what it was given back, arrays at new places before each round, and peak
memory in a forked child. Does not: time anything (the benchmark does) or know events.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import json
import os
import platform
import select
import signal
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.perf.records import Machine, Memory

Place = Callable[[np.ndarray], np.ndarray]  # makes a copy of an array somewhere
CHILD_LIMIT_S = 120.0
LINE_BYTES, PAGE_BYTES = 64, 4096
RSS_NOISE_BYTES = 1 << 20  # of the resident high-water mark, run to run
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h


class MachineError(RuntimeError):
    """The machine did not do what a measurement needs."""


# -- what it is ----------------------------------------------------------------------------------------


def describe_machine(clock: str) -> Machine:
    """The machine of this process; `clock` is the name of the clock in use."""
    blas, threads = _blas()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        numpy=np.__version__,
        blas=blas,
        blas_threads=threads,
        clock=clock,
    )


def _blas() -> tuple[str, int]:
    from threadpoolctl import threadpool_info  # here: importing it loads and asks every library

    for library in threadpool_info():
        if library["user_api"] == "blas":
            kernel = library.get("architecture", "")
            return f"{library['internal_api']} {library['version']} {kernel}".strip(), library["num_threads"]
    return "unknown", 0


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


# -- keeping it steady ---------------------------------------------------------------------------------


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit every BLAS and OpenMP library that is loaded by now to one thread.

    Two threads on a busy machine make ratios of identical models run from 0.7 to 70.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks up to 32 MB instead of giving each back to the system.

    Otherwise whether a 1 MB temporary costs page faults depends on what else lies at the end of the heap, and the
    same model is twice as slow in one process as in another. True where it was done (glibc only).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 32 << 20) and mallopt(M_TRIM_THRESHOLD, 1 << 30))


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect once, then leave the collector off inside."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def other_cpu_s() -> float:
    """CPU seconds so far of this process's other threads and of its ended children; should stand still in a round."""
    times = os.times()
    return time.process_time() - time.thread_time() + times.children_user + times.children_system


# -- arrays at new places ------------------------------------------------------------------------------


def at_new_places(model: Any, rng: np.random.Generator) -> Any:
    """A copy of `model` in which every array lies at a new, 64-byte aligned place in memory.

    Where arrays happen to lie moves a ratio by up to 5 %, and no repetition in one layout removes it. Walks
    attributes, lists, tuples and dicts; an array that two objects share is still shared. What has no `__dict__`
    (compiled functions, modules, files) is kept as it is.
    """
    return _moved(model, lambda array: _placed(array, rng), {})


def _moved(value: Any, place: Place, done: dict[int, tuple[Any, Any]]) -> Any:
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, np.ndarray):
        result = value if value.dtype.hasobject else place(value)
    elif type(value) in (list, tuple):
        result = type(value)(_moved(item, place, done) for item in value)
    elif type(value) is dict:
        result = {key: _moved(item, place, done) for key, item in value.items()}
    elif _is_plain_object(value):
        result = _empty_twin(value)
        done[id(value)] = (value, result)  # before its attributes, which may point back
        for key, item in vars(value).items():
            object.__setattr__(result, key, _moved(item, place, done))
    else:
        return value
    done[id(value)] = (value, result)  # keeps `value` alive, so that its id stays taken
    return result


def _empty_twin(value: Any) -> Any:
    """A new object of the same class, its attributes still to be set.

    Setting them one by one gives every copy the same inner layout, however the original came about. Copying its
    `__dict__` as a whole does not, and then the interpreter's inline caches suit one model better than the other: up
    to 3 % at batch 1.
    """
    kind = type(value)
    return kind.__new__(kind) if kind.__new__ is object.__new__ else copy.copy(value)


def _is_plain_object(value: Any) -> bool:
    known = not isinstance(value, type) and type(value).__module__ not in ("builtins", "functools", "types")
    return known and hasattr(value, "__dict__") and not hasattr(value, "__code__")


def _placed(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    space = np.empty(array.nbytes + 2 * PAGE_BYTES, np.uint8)
    offset = -space.ctypes.data % PAGE_BYTES + LINE_BYTES * int(rng.integers(PAGE_BYTES // LINE_BYTES))
    order: Any = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    placed = space[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape, order=order)
    placed[...] = array
    return placed


def array_bytes(model: Any) -> int:
    """Bytes of all arrays that `at_new_places` would move, each counted once."""
    done: dict[int, tuple[Any, Any]] = {}
    _moved(model, np.copy, done)
    return sum(value.nbytes for value, _ in done.values() if isinstance(value, np.ndarray))


# -- memory --------------------------------------------------------------------------------------------


def peak_memory(model: Any, run: Callable[[Any], object]) -> Memory:
    """Most memory that `model` held at once, its own arrays included, while `run(model)` ran twice.

    On Linux a forked child first runs the model once, so that its code is there; then it loads (copies every array)
    and runs again. Reported is the larger of what tracemalloc saw (numpy's arrays, to the byte) and, beyond
    `RSS_NOISE_BYTES`, the growth of the resident high-water mark (which also sees compiled kernels' memory).
    Elsewhere tracemalloc in this process alone is used, and the method says so. Never timed at the same time.

    Raises:
        MachineError: the child died or took longer than two minutes.
    """
    if sys.platform != "linux":
        return Memory(_traced_bytes(model, run), "tracemalloc in this process")
    traced, grown = _in_child(lambda: [_grown_bytes(model, run), _traced_bytes(model, run)][::-1])
    # Pages, arenas and stacks make the high-water mark coarse; it speaks only where it says much more.
    seen = grown if grown > 2 * traced + RSS_NOISE_BYTES else traced
    return Memory(seen, "forked child: larger of tracemalloc and resident high-water mark")


def _traced_bytes(model: Any, run: Callable[[Any], object]) -> int:
    tracemalloc.start()
    try:
        _load_and_run(model, run)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _grown_bytes(model: Any, run: Callable[[Any], object]) -> int:
    run(model)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the high-water mark back to now
    before = _high_water_bytes()
    _load_and_run(model, run)
    return _high_water_bytes() - before


def _load_and_run(model: Any, run: Callable[[Any], object]) -> None:
    loaded = _moved(model, lambda array: array.copy(order="K"), {})  # not padded: every byte counts here
    run(loaded)
    run(loaded)


def _high_water_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _in_child(work: Callable[[], list[int]]) -> list[int]:
    """Run `work` in a forked child and hand its numbers back; the child cannot change anything here."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child only computes: no lock of ours is held
        child = os.fork()
    if child == 0:
        _child(work, writer)
    os.close(writer)
    try:
        answer = _read_all(reader, child)
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    if not answer:
        raise MachineError("the child that measures memory died; does the model run out of memory?")
    result: dict[str, Any] = json.loads(answer)
    if "error" in result:
        raise MachineError(f"measuring memory failed in the child: {result['error']}")
    return list(result["numbers"])


def _child(work: Callable[[], list[int]], writer: int) -> None:
    try:
        message: dict[str, Any] = {"numbers": work()}
    except BaseException as error:  # noqa: BLE001 - all of it must reach the parent
        message = {"error": f"{type(error).__name__}: {error}"}
    os.write(writer, json.dumps(message).encode())
    os._exit(0)


def _read_all(reader: int, child: int) -> bytes:
    deadline, parts = time.monotonic() + CHILD_LIMIT_S, []
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            raise MachineError(f"measuring memory took longer than {CHILD_LIMIT_S:.0f} s; use a smaller model")
        part = os.read(reader, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
