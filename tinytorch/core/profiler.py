"""The profiler (Module 15): where time, arithmetic and bytes go, layer by layer, and a clock to trust.

    with Profiler(model) as profile:
        model.predict(images)
    profile          # a table; profile.bar() for a flame-like picture

Does not: compare two models (that is the benchmark, Module 20).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytorch.core.layers import Module
from tinytorch.core.tensor import Tensor


class ProfilerError(RuntimeError):
    """The profiler was asked for something it has not seen."""


class Clock:
    """Monotonic time in seconds, less the time in which this thread was ready but had to wait for a core.

    On Linux the second field of `/proc/thread-self/schedstat` counts that waiting time; elsewhere the clock is
    wall time, and `name` says so. `overhead_s` is what reading the clock adds to an interval between two readings.
    Make one in the thread that uses it.
    """

    def __init__(self, schedstat: str = "/proc/thread-self/schedstat") -> None:
        try:
            self._file: int | None = os.open(schedstat, os.O_RDONLY)
            self.waited_s()
        except OSError:
            self._file = None
        self.name = "wall" if self._file is None else "wall minus waiting"
        self.overhead_s = sorted(-(self.now_s() - self.now_s()) for _ in range(101))[50]

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)

    def wall_s(self) -> float:
        return time.perf_counter_ns() * 1e-9

    def waited_s(self) -> float:
        """Seconds this thread has waited for a core so far; 0 where the system does not tell."""
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, 64, 0).split()[1]) * 1e-9

    def now_s(self) -> float:
        return self.wall_s() - self.waited_s()


@dataclass
class Span:
    """What one module did: all its calls added up, sub-modules included."""

    name: str  # dotted, "" for the model itself
    kind: str  # class name
    depth: int
    calls: int = 0
    time_s: float = 0.0
    inner_s: float = 0.0  # of it, spent in sub-modules
    flops: int = 0  # own arithmetic, sub-modules not counted
    weight_bytes: int = 0  # own parameters as kept in memory
    output_bytes: int = 0

    @property
    def own_s(self) -> float:
        return self.time_s - self.inner_s


@dataclass
class Profiler:
    """Times every module below `model` while the `with` block runs, and gives the model back unchanged.

    Costs about a microsecond a call and a layer, so small layers look a little slower than they are.
    """

    model: Module
    clock: Clock = field(default_factory=Clock)
    spans: list[Span] = field(default_factory=list)

    def __enter__(self) -> Profiler:
        self._stack: list[Span] = []  # from the outermost module that is running to the innermost
        names = [name for name, _ in self.model.modules()]
        for name, module in self.model.modules():
            depth = sum(name.startswith(f"{other}." if other else "") and name != other for other in names)
            span = Span(name, type(module).__name__, depth, weight_bytes=_weight_bytes(module))
            self.spans.append(span)
            module.forward = self._timed(module, module.forward, span)  # type: ignore[method-assign]
        if hasattr(self.model, "predict"):
            self.model.predict = self._timed(self.model, self.model.predict, self.spans[0], reenter=False)
        return self

    def __exit__(self, *error: object) -> None:
        for _, module in self.model.modules():
            vars(module).pop("forward", None)
        vars(self.model).pop("predict", None)

    def _timed(
        self, module: Module, call: Callable[..., Any], span: Span, reenter: bool = True
    ) -> Callable[..., Any]:
        def timed(*inputs: Any, **keywords: Any) -> Any:
            if self._stack and self._stack[-1] is span:  # predict() of a model calls its own forward()
                return call(*inputs, **keywords)
            self._stack.append(span)
            start = self.clock.now_s()
            try:
                output = call(*inputs, **keywords)
            finally:
                took = self.clock.now_s() - start
                self._stack.pop()
            self._add(module, span, took, inputs, output)
            return output

        return timed

    def _add(self, module: Module, span: Span, took: float, inputs: tuple[Any, ...], output: Any) -> None:
        span.calls += 1
        span.time_s += took
        if self._stack:
            self._stack[-1].inner_s += took
        arrays = [array for array in map(_array, (*inputs, output)) if array is not None]
        if len(arrays) > 1:
            span.flops += module.flops(arrays[0].shape, arrays[-1].shape)
            span.output_bytes += arrays[-1].nbytes

    @property
    def total_s(self) -> float:
        """Seconds in the model itself, over all calls."""
        self._require_calls()
        return self.spans[0].time_s

    @property
    def flops(self) -> int:
        return sum(span.flops for span in self.spans)

    def share(self, span: Span) -> float:
        """Part of the whole time that was spent in the span's own code, 0..1; the shares add up to 1."""
        return span.own_s / self.total_s

    def rows(self) -> list[dict[str, Any]]:
        """One plain mapping a module that was called, in the order of the model."""
        self._require_calls()
        return [
            {
                "name": span.name or type(self.model).__name__,
                "kind": span.kind,
                "depth": span.depth,
                "calls": span.calls,
                "time_s": span.time_s,
                "own_s": span.own_s,
                "share": self.share(span),
                "flops": span.flops,
                "weight_bytes": span.weight_bytes,
                "output_bytes": span.output_bytes,
            }
            for span in self.spans
            if span.calls
        ]

    def table(self) -> str:
        """The rows as text: time of the layer and below, share of its own code, arithmetic, bytes."""
        lines = [f"{'layer':<34}{'calls':>6}{'time ms':>10}{'own %':>7}{'MFLOP':>9}{'GFLOP/s':>9}{'out kB':>9}"]
        for row in self.rows():
            rate = row["flops"] / row["own_s"] / 1e9 if row["flops"] and row["own_s"] > 0 else 0.0
            label = "  " * row["depth"] + f"{row['name'].rpartition('.')[2]} {row['kind']}"
            lines.append(
                f"{label[:33]:<34}{row['calls']:>6}{row['time_s'] * 1e3:>10.3f}{row['share'] * 100:>7.1f}"
                f"{row['flops'] / 1e6:>9.2f}{rate:>9.1f}{row['output_bytes'] / 1e3:>9.1f}"
            )
        return "\n".join(lines)

    def bar(self, width: int = 72) -> str:
        """A flame-like picture in text: one line a depth, each module as wide as its share of the time."""
        rows, levels = self.rows(), []
        for depth in range(max(row["depth"] for row in rows) + 1):
            line = [" "] * width
            for row, start in zip(rows, self._starts(rows), strict=True):
                if row["depth"] == depth:
                    left = round(start / self.total_s * width)
                    right = round((start + row["time_s"]) / self.total_s * width)
                    label = f"|{row['name'].rpartition('.')[2]} {row['kind']}".ljust(right - left, "-")
                    line[left:right] = list(label[: right - left])
            levels.append("".join(line).rstrip())
        return "\n".join(levels)

    def _starts(self, rows: list[dict[str, Any]]) -> list[float]:
        """Where each row begins if every module's children lie side by side from its left edge."""
        starts: list[float] = []
        ends: dict[int, float] = {}
        for row in rows:
            start = ends.get(row["depth"], 0.0)
            starts.append(start)
            ends[row["depth"]], ends[row["depth"] + 1] = start + row["time_s"], start
        return starts

    def _require_calls(self) -> None:
        if not self.spans or not self.spans[0].calls:
            raise ProfilerError("nothing was profiled: call the model inside `with Profiler(model) as profile:`")

    def __repr__(self) -> str:
        return self.table() if self.spans and self.spans[0].calls else f"Profiler({type(self.model).__name__})"


def _weight_bytes(module: Module) -> int:
    own = (value for value in vars(module).values() if isinstance(value, Tensor))
    return sum(array.nbytes for tensor in own for array in vars(tensor).values() if isinstance(array, np.ndarray))


def _array(value: Any) -> np.ndarray | None:
    if isinstance(value, Tensor):
        return value.data
    return value if isinstance(value, np.ndarray) else None
