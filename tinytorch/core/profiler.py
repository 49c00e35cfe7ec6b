"""The profiler (Module 15): where time, arithmetic and bytes go, layer by layer, and a clock to trust.

    with Profiler(model) as profile:
        model.predict(images)
    profile          # a table; profile.bar() for a flame-like picture

A model with custom kernels (Module 16) does not run its layers; there the engine is one row, and nobody knows its
arithmetic. Does not: compare two models (that is the benchmark, Module 20).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns  # the function itself: setting time.perf_counter_ns later does not stop our clock
from typing import Any, TypeAlias

import numpy as np

from tinytorch.core.layers import Module
from tinytorch.core.tensor import Tensor

Call: TypeAlias = Callable[..., Any]
Flops: TypeAlias = Callable[[tuple[int, ...], tuple[int, ...]], int]  # of the shapes that go in and come out


class ProfilerError(RuntimeError):
    """The profiler was given something without layers, or asked for what it has not seen."""


class Clock:
    """Monotonic time in seconds, less the time in which this thread was ready but had to wait for a core.

    On Linux the second field of `/proc/thread-self/schedstat` counts that waiting time; where the file is missing
    or says nothing the clock is wall time, and `name` says so. `overhead_s` is what reading the clock adds to an
    interval between two readings. Make one in the thread that uses it; in a forked child it counts the child.
    """

    _file: int | None = None

    def __init__(self, schedstat: str | os.PathLike[str] = "/proc/thread-self/schedstat") -> None:
        self._schedstat = schedstat
        self.count_from_here()
        self.overhead_s = float(np.median([-(self.now_s() - self.now_s()) for _ in range(101)]))
        _clocks.add(self)

    def count_from_here(self) -> None:
        """Count the thread that calls this."""
        self._close()
        self._file = _open_counters(self._schedstat)
        self.name = "wall" if self._file is None else "wall minus waiting"

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def __del__(self) -> None:
        self._close()

    def wall_s(self) -> float:
        return perf_counter_ns() * 1e-9

    def waited_s(self) -> float:
        """Seconds this thread has waited for a core so far; 0 where the system does not tell."""
        return 0.0 if self._file is None else _counters(self._file)[1] * 1e-9

    def now_s(self) -> float:
        waited_s = self.waited_s()
        while True:
            now_s = self.wall_s() - waited_s
            before_s, waited_s = waited_s, self.waited_s()
            if waited_s == before_s:  # else it waited amid the reading: off by that, and time could run backwards
                return now_s


_clocks: weakref.WeakSet[Clock] = weakref.WeakSet()


def _count_the_child() -> None:
    """What a child inherits counts a thread of the parent, by whose waits time would run backwards."""
    for clock in _clocks:
        clock.count_from_here()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_the_child)


def _open_counters(path: str | os.PathLike[str]) -> int | None:
    """A descriptor of the scheduler's counters, None where there are none."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        counting = any(_counters(file))  # all zero: a kernel built without them
    except (OSError, ValueError):
        counting = False
    if not counting:
        os.close(file)
    return file if counting else None


def _counters(file: int) -> list[int]:
    """Nanoseconds on a core, nanoseconds waiting for one, turns. Raises ValueError where there are not three."""
    running, waiting, turns = os.pread(file, 64, 0).split()
    return [int(running), int(waiting), int(turns)]


@dataclass
class Span:
    """What one layer did: all its calls added up."""

    name: str  # dotted, "" for the model itself
    kind: str  # class name
    weight_bytes: int = 0  # own parameters as kept in memory; of an engine, all it keeps, buffers included
    calls: int = 0
    own_s: float = 0.0  # in its own code
    inner_s: float = 0.0  # in timed layers that it called
    flops: int | None = 0  # own arithmetic; None where nobody knows
    output_bytes: int = 0

    @property
    def time_s(self) -> float:
        return self.own_s + self.inner_s

    def is_in(self, other: Span) -> bool:
        return other is not self and self.name.startswith(f"{other.name}." if other.name else "")


@dataclass
class _Running:
    """A call that has not come back yet."""

    span: Span
    inner_s: float = 0.0  # in the timed calls it has made
    below: int = 0  # how many those are, at any depth


class _TimedEngine:
    """Stands in an engine's place while it is profiled, with a row for each of its entrances."""

    def __init__(self, engine: Any, timed: Callable[[str, Call], Call]) -> None:
        self._call = timed("engine", engine)
        if hasattr(engine, "ops"):
            self.ops = {name: timed(f"engine {name}", op) for name, op in engine.ops.items()}
        if hasattr(engine, "step"):
            self.step = timed("engine step", engine.step)

    def __call__(self, inputs: Any) -> Any:
        return self._call(inputs)


@dataclass
class Profiler:
    """Times every layer of `model` while the `with` block runs, and gives the model back unchanged.

    What timing itself costs is measured first and taken off, so that small layers do not look large. Do not copy
    the model inside the block: the copy would stay timed.

    Raises:
        ProfilerError: `model` is no Module; or a result is asked for and no layer was called.
    """

    model: Module
    clock: Clock = field(default_factory=Clock)
    spans: list[Span] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, Module):
            raise ProfilerError(
                f"Profiler takes a Module, whose layers it can find, got {type(self.model).__name__}; "
                f"derive your model from tinytorch.core.layers.Module"
            )

    def __enter__(self) -> Profiler:
        self._stack: list[_Running] = []  # from the outermost call that is running to the innermost
        self._replaced: list[tuple[object, str, dict[str, Any]]] = []
        self._call_s = self._cost_of_a_call()
        self.spans = []
        found: dict[int, tuple[str, Module]] = {}  # a layer in two places counts once, in the first
        for name, module in self.model.modules():
            found.setdefault(id(module), (name, module))
        for name, module in found.values():
            span = self._new_span(name, type(module).__name__, _weight_bytes(module))
            self._replace(module, "forward", self._timed(module.forward, span, module.flops))
        self._time_the_rest()
        return self

    def _time_the_rest(self) -> None:
        """The ways into a model beside forward(), and the engine that may run in place of its layers."""
        for name in ("predict", "generate"):
            if hasattr(self.model, name):
                self._replace(self.model, name, self._timed(getattr(self.model, name), self.spans[0]))
        engine = getattr(self.model, "engine", None)
        if engine is not None:
            self._replace(self.model, "engine", _TimedEngine(engine, self._timed_part_of(engine)))

    def __exit__(self, *error: object) -> None:
        for owner, name, before in reversed(self._replaced):
            vars(owner).pop(name)
            vars(owner).update(before)

    def _replace(self, owner: object, name: str, value: object) -> None:
        own = vars(owner)
        self._replaced.append((owner, name, {name: own[name]} if name in own else {}))
        own[name] = value

    def _new_span(self, name: str, kind: str, weight_bytes: int = 0) -> Span:
        self.spans.append(Span(name, kind, weight_bytes))
        return self.spans[-1]

    def _timed_part_of(self, engine: object) -> Callable[[str, Call], Call]:
        kind = type(engine).__name__

        def timed(name: str, call: Call) -> Call:
            span = self._new_span(name, kind, _kept_bytes(engine) if call is engine else 0)
            span.flops = None
            return self._timed(call, span)

        return timed

    # -- while the model runs --------------------------------------------------------------------------

    def _timed(self, call: Call, span: Span, flops: Flops | None = None) -> Call:
        def timed(*inputs: Any, **keywords: Any) -> Any:
            if self._stack and self._stack[-1].span is span:  # predict() of a model calls its own forward()
                return call(*inputs, **keywords)
            running = _Running(span)
            self._stack.append(running)
            start = self.clock.now_s()
            try:
                output = call(*inputs, **keywords)
            finally:
                took = self.clock.now_s() - start - self.clock.overhead_s
                self._stack.pop()
            self._add_time(running, took)
            _add_work(span, inputs, output, flops)
            return output

        return timed

    def _add_time(self, running: _Running, took: float) -> None:
        own = max(0.0, took - running.inner_s - running.below * self._call_s)
        running.span.calls += 1
        running.span.own_s += own
        running.span.inner_s += running.inner_s
        if self._stack:
            self._stack[-1].inner_s += own + running.inner_s
            self._stack[-1].below += 1 + running.below

    def _cost_of_a_call(self) -> float:
        """Seconds that a timed call takes longer than the same call untimed, for whoever makes it."""
        self._call_s = 0.0
        nothing = self._timed(lambda x: x, Span("", ""), Module().flops)
        picture, costs = np.zeros((1, 1), np.float32), []
        for _ in range(51):
            start = self.clock.now_s()
            nothing(picture)
            costs.append(self.clock.now_s() - start - self.clock.overhead_s)
        return float(np.median(costs))

    # -- afterwards ------------------------------------------------------------------------------------

    @property
    def total_s(self) -> float:
        """Seconds in the model and its layers, over all calls."""
        return sum(span.own_s for span in self._called())

    @property
    def flops(self) -> int | None:
        """Arithmetic of all calls; None if an engine did some of it, which nobody counts."""
        counts = [span.flops for span in self._called()]
        return None if None in counts else sum(filter(None, counts))

    def share(self, span: Span) -> float:
        """Part of the whole time that was spent in the span's own code, 0..1; the shares add up to 1."""
        return span.own_s / (self.total_s or 1.0)

    def rows(self) -> list[dict[str, Any]]:
        """One plain mapping a layer that was called, in the order of the model; an engine's `flops` are None."""
        called = self._called()
        return [
            {
                "name": span.name or span.kind,
                "kind": span.kind,
                "depth": sum(span.is_in(other) for other in called),
                "calls": span.calls,
                "time_s": span.time_s,
                "own_s": span.own_s,
                "share": self.share(span),
                "flops": span.flops,
                "weight_bytes": span.weight_bytes,
                "output_bytes": span.output_bytes,
            }
            for span in called
        ]

    def table(self) -> str:
        """The rows as text: time of the layer and below, share of its own code, arithmetic, bytes."""
        lines = [f"{'layer':<36}{'calls':>6}{'time ms':>10}{'own %':>7}{'MFLOP':>9}{'GFLOP/s':>9}{'out kB':>9}"]
        for row, label in zip(self.rows(), self._labels(), strict=True):
            indented = "  " * row["depth"] + label
            lines.append(
                f"{indented[:35]:<36}{row['calls']:>6}{row['time_s'] * 1e3:>10.3f}{row['share'] * 100:>7.1f}"
                f"{_arithmetic(row)}{row['output_bytes'] / 1e3:>9.1f}"
            )
        return "\n".join(lines)

    def bar(self, width: int = 72) -> str:
        """A flame-like picture in text: one line a depth, each layer as wide as its share of the time."""
        rows, scale = self.rows(), width / (self.total_s or 1.0)
        lines = [[" "] * width for _ in range(1 + max(row["depth"] for row in rows))]
        for row, label, start in zip(rows, self._labels(), _starts(rows), strict=True):
            left, right = round(start * scale), round((start + row["time_s"]) * scale)
            lines[row["depth"]][left:right] = f"|{label}".ljust(right - left, "-")[: right - left]
        return "\n".join("".join(line).rstrip() for line in lines)

    def _labels(self) -> list[str]:
        """Name and kind of each row, the name from the layer above it on."""
        called, labels = self._called(), []
        for span in called:
            above = [other.name for other in called if span.is_in(other)]
            short = span.name.removeprefix(f"{above[-1]}." if above and above[-1] else "")
            labels.append(f"{short} {span.kind}".strip())
        return labels

    def _called(self) -> list[Span]:
        called = [span for span in self.spans if span.calls]
        if not called:
            raise ProfilerError("nothing was profiled: call the model inside `with Profiler(model) as profile:`")
        return called

    def __repr__(self) -> str:
        return self.table() if any(span.calls for span in self.spans) else f"Profiler({type(self.model).__name__})"


def _add_work(span: Span, inputs: tuple[Any, ...], output: Any, flops: Flops | None) -> None:
    """Count the bytes that came out and, where there are arrays at both ends, the arithmetic between them."""
    given, results = _arrays(inputs), _arrays(output)
    span.output_bytes += sum(array.nbytes for array in results)
    if flops is not None and span.flops is not None and given and results:
        span.flops += flops(given[0].shape, results[0].shape)


def _arithmetic(row: dict[str, Any]) -> str:
    """MFLOP and GFLOP/s of a row, two cells of nine; `-` where there is none or nobody knows."""
    if not row["flops"]:
        return f"{'-':>9}{'-':>9}"
    rate = f"{row['flops'] / row['own_s'] / 1e9:.1f}" if row["own_s"] else "-"
    return f"{row['flops'] / 1e6:>9.2f}{rate:>9}"


def _starts(rows: list[dict[str, Any]]) -> list[float]:
    """Where each row begins if the layers inside one lie side by side from its left edge."""
    starts: list[float] = []
    ends: dict[int, float] = {}
    for row in rows:
        start = ends.get(row["depth"], 0.0)
        starts.append(start)
        ends[row["depth"]], ends[row["depth"] + 1] = start + row["time_s"], start
    return starts


def _weight_bytes(module: Module) -> int:
    """Bytes of the module's own tensors: all that a weight keeps (codes, scales, mask), without gradients."""
    own = (vars(value) for value in vars(module).values() if isinstance(value, Tensor))
    return sum(_kept_bytes({name: part for name, part in each.items() if name != "grad"}) for each in own)


def _kept_bytes(value: Any) -> int:
    """Bytes of all arrays that can be reached from `value` by its attributes and containers."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, list | tuple):
        return sum(map(_kept_bytes, value))
    return sum(map(_kept_bytes, (value if isinstance(value, dict) else getattr(value, "__dict__", {})).values()))


def _arrays(value: Any) -> list[np.ndarray]:
    """The arrays in what a layer takes or gives: a Tensor, an array, or a tuple of them."""
    parts = value if isinstance(value, tuple) else (value,)
    arrays = (part.data if isinstance(part, Tensor) else part for part in parts)
    return [array for array in arrays if isinstance(array, np.ndarray)]
