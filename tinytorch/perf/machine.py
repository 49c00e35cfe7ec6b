"""The machine as a measuring instrument: what it is, how to keep it steady, how much memory a model takes.

One BLAS thread, an allocator that keeps what it was given back, arrays at new places before each round, and peak
memory in a forked child. Does not: time anything (the benchmark does) or know events.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MethodType
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

    libraries = [each for each in threadpool_info() if each["user_api"] == "blas"]
    if not libraries:
        return "unknown", 0
    library = next(filter(_is_numpys, libraries), libraries[0])
    kernel = library.get("architecture", "")
    return f"{library['internal_api']} {library['version']} {kernel}".strip(), library["num_threads"]


def _is_numpys(library: dict[str, Any]) -> bool:
    """numba loads scipy, whose wheel brings a second BLAS; every model here computes with numpy's."""
    return any(part.startswith("numpy") for part in Path(library["filepath"]).parts[-3:-1])


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
def old_objects_set_aside() -> Iterator[None]:
    """Collect once; inside, a collection looks only at what is new, and takes a millisecond instead of fifty.

    What somebody else has set aside before stays aside.
    """
    others = gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        if not others:
            gc.unfreeze()


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
    """CPU seconds so far of this process's other threads and ended children; should stand still in a round."""
    times = os.times()
    return time.process_time() - time.thread_time() + times.children_user + times.children_system


# -- arrays at new places ------------------------------------------------------------------------------


def at_new_places(model: Any, rng: np.random.Generator) -> Any:
    """A copy of `model` in which every array lies at a new, 64-byte aligned place in memory.

    Where arrays happen to lie moves a ratio by up to 5 %, and no repetition in one layout removes it. Walks
    attributes, slots, lists, tuples, dicts and bound methods; an array that two objects share is still shared.
    What has no attributes or is made in a way of its own (modules, compiled functions, files, enums, what has a
    `__new__` or a `__del__`) is kept as it is.
    """
    return _moved(model, lambda array: _placed(array, rng), {})


def arrays_of(model: Any) -> list[np.ndarray]:
    """Every array of numbers that `at_new_places` moves, each once, in the order of the walk."""
    done: dict[int, tuple[Any, Any]] = {}
    _moved(model, np.copy, done)
    return [value for value, twin in done.values() if isinstance(value, np.ndarray) and twin is not value]


def array_bytes(model: Any) -> int:
    """Bytes of all of `arrays_of(model)`."""
    return sum(array.nbytes for array in arrays_of(model))


def _moved(value: Any, place: Place, done: dict[int, tuple[Any, Any]]) -> Any:
    """`value` made anew. `done` maps an id to the original and its copy, and so keeps the id taken."""
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, MethodType):
        return MethodType(value.__func__, _moved(value.__self__, place, done))
    if isinstance(value, tuple):
        twin = _like(value, [_moved(item, place, done) for item in value])
        return done.setdefault(id(value), (value, twin))[1]
    twin = _empty_twin(value, place)
    done[id(value)] = (value, twin)  # before what is inside, which may point back
    if isinstance(value, list):
        twin[:] = [_moved(item, place, done) for item in value]
    elif isinstance(value, dict):
        twin.update((key, _moved(item, place, done)) for key, item in value.items())
    elif twin is not value and not isinstance(value, np.ndarray):
        for name, item in _attributes(value).items():
            object.__setattr__(twin, name, _moved(item, place, done))
    return twin


def _like(value: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    """`items` as a tuple, or as the same kind of named tuple."""
    return type(value)._make(items) if hasattr(value, "_make") else tuple(items)


def _empty_twin(value: Any, place: Place) -> Any:
    """A moved array; a list, dict or object whose inside is still to be set; or `value` itself.

    Setting attributes one by one gives every copy the same inner layout, however the original came about. Copying
    its `__dict__` as a whole does not, and then the interpreter's inline caches suit one model better than the
    other: up to 3 % at batch 1.
    """
    kind: Any = type(value)
    if isinstance(value, np.ndarray):
        return value if value.dtype.hasobject else place(value)
    if isinstance(value, (list, dict)):
        return copy.copy(value)
    if kind.__new__ is object.__new__ and not hasattr(kind, "__del__") and _attributes(value):
        with suppress(TypeError):  # types written in C have no plain object inside
            return object.__new__(kind)
    return value


def _attributes(value: Any) -> dict[str, Any]:
    """What an object keeps in its `__dict__` and its slots."""
    state: Any = object.__getstate__(value)
    plain, slots = state if isinstance(state, tuple) else (state, None)
    return {**(plain or {}), **(slots or {})}


def _placed(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy at a random multiple of 64 bytes into a page, its axes in the same order in memory."""
    if type(array) is not np.ndarray:
        return array.copy()  # of its own kind, wherever that may lie
    space = np.empty(array.nbytes + 2 * PAGE_BYTES, np.uint8)
    offset = -space.ctypes.data % PAGE_BYTES + LINE_BYTES * int(rng.integers(PAGE_BYTES // LINE_BYTES))
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))  # the slowest first
    flat = space[offset : offset + array.nbytes].view(array.dtype)
    placed = flat.reshape([array.shape[axis] for axis in axes]).transpose(np.argsort(axes))
    placed[...] = array
    return placed


# -- memory --------------------------------------------------------------------------------------------


def peak_memory(model: Any, run: Callable[[Any], object]) -> Memory:
    """Most memory that `model` held at once, its own arrays included, while `run(model)` ran twice.

    On Linux a forked child first runs the model once, so that its code is there; then it loads (copies every
    array) and runs again. Reported is what tracemalloc saw (numpy's arrays, to the byte), unless the resident
    high-water mark grew by more than twice as much: then there was memory outside of numpy, such as a compiled
    kernel's. Where there is no such mark, tracemalloc alone is used, and the method says so. Never timed at the
    same time.

    Raises:
        MachineError: the child died or took longer than two minutes.
    """
    if sys.platform != "linux":
        return Memory(_traced_bytes(model, run), "tracemalloc in this process")
    grown, traced = _in_child(lambda: [_grown_bytes(model, run), _traced_bytes(model, run)])
    if grown < 0:
        return Memory(traced, "forked child: tracemalloc")
    # Pages, arenas and stacks make the high-water mark coarse; it speaks only where it says much more.
    seen = grown if grown > 2 * traced + RSS_NOISE_BYTES else traced
    return Memory(seen, "forked child: larger of tracemalloc and resident high-water mark")


def _traced_bytes(model: Any, run: Callable[[Any], object]) -> int:
    import tracemalloc  # here and below: the benchmark must not cost much more than numpy to import

    tracemalloc.start()
    try:
        tracemalloc.clear_traces()  # somebody may have traced before
        _load_and_run(model, run)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _grown_bytes(model: Any, run: Callable[[Any], object]) -> int:
    """Growth of the resident high-water mark; -1 where the system does not let one set it back."""
    run(model)
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the high-water mark back to now
    except (AttributeError, OSError):
        return -1
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
    import json
    import signal

    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child only computes: no lock of ours is held
        child = os.fork()
    if child == 0:
        _child(work, writer)
    os.close(writer)
    try:
        answer = _read_all(reader)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # late, or no longer wanted; one that has ended does not mind
        os.waitpid(child, 0)
    if not answer:
        raise MachineError("the child that measures memory died; does the model run out of memory, or end Python?")
    result: dict[str, Any] = json.loads(answer)
    if "error" in result:
        raise MachineError(f"measuring memory failed in the child: {result['error']}")
    return list(result["numbers"])


def _child(work: Callable[[], list[int]], writer: int) -> None:
    import json

    try:
        message: dict[str, Any] = {"numbers": work()}
    except BaseException as error:  # all of it must reach the parent
        message = {"error": f"{type(error).__name__}: {error}"}
    os.write(writer, json.dumps(message).encode() + b"\n")
    os._exit(0)


def _read_all(reader: int) -> bytes:
    """A line, or less where the other end is closed before; what a model has started may keep it open."""
    import select

    deadline, parts = time.monotonic() + CHILD_LIMIT_S, list[bytes]()
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise MachineError(f"measuring memory took longer than {CHILD_LIMIT_S:.0f} s; use a smaller model")
        part = os.read(reader, 65536)
        parts.append(part)
        if not part or part.endswith(b"\n"):
            return b"".join(parts)
