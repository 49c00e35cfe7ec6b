"""What is timed in each event: scenarios (how inputs come) made of cases (what is done with them).

A scenario prepares a model for fresh inputs outside the clock; a case is then a function and its arguments. The
Decathlon's operations are timed on what the model itself feeds them: the chain that prepares them is the chain
that is graded, so an operation that is timed is an operation that is used. Does not: hold a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.core.models import CharTransformer
from tinytorch.perf.workloads.datasets import Dataset
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.events import Event, get_event

Ops = Mapping[str, Callable[..., Any]]
PROMPT, GENERATED = 8, 56  # tokens

# Ten disciplines: what of the timed cases each one is made of; the last two are not timed.
DISCIPLINES: Mapping[str, tuple[str, ...]] = {
    "embedding": ("embed, batch 1", "embed, batch 32"),
    "layer norm": ("normalize, batch 1", "normalize, batch 32"),
    "projections": ("project, batch 1", "project, batch 32"),
    "attention": ("attend, batch 1", "attend, batch 32"),
    "feed-forward": ("feed_forward, batch 1", "feed_forward, batch 32"),
    "latency": ("batch 1",),
    "throughput": ("batch 32",),
    "generation": ("generate",),
    "peak memory": (),
    "model size": (),
}


@dataclass(frozen=True)
class Task:
    """Calls that are timed together, prepared for one model and one input."""

    calls: tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...]

    def __call__(self) -> None:
        for function, arguments in self.calls:
            function(*arguments)


@dataclass(frozen=True)
class Scenario:
    """One way in which inputs come to a model."""

    name: str
    cases: tuple[str, ...]
    inputs: Callable[[np.random.Generator], np.ndarray]  # fresh ones at every call
    prepare: Callable[[Any, np.ndarray], dict[str, Task]]  # (model, inputs) -> a task a case


def scenarios_for(dataset: Dataset, baseline: Any) -> tuple[Scenario, ...]:
    """What is timed in the event of `dataset`; the Decathlon takes missing operations from `baseline`."""
    event = get_event(dataset.event)
    if event.rule != "decathlon":
        return tuple(_prediction(dataset, size) for size in event.batch_sizes)
    chains = (_chain(dataset, size, baseline) for size in event.batch_sizes)
    return (*chains, _generation(dataset))


def speed_cases(event: Event) -> tuple[str, ...]:
    """The cases whose speedups' geometric mean is the speed score: whole answers, never parts of one."""
    batches = tuple(f"batch {size}" for size in event.batch_sizes)
    return (*batches, "generate") if event.rule == "decathlon" else batches


def memory_inputs(dataset: Dataset, rng: np.random.Generator) -> np.ndarray:
    """What peak memory is measured on: the event's largest batch."""
    return dataset.batch(get_event(dataset.event).batch_sizes[-1], rng)


def _prediction(dataset: Dataset, size: int) -> Scenario:
    name = f"batch {size}"
    return Scenario(
        name,
        (name,),
        inputs=lambda rng: dataset.batch(size, rng),
        prepare=lambda model, inputs: {name: Task(((model.predict, (inputs,)),))},
    )


def _generation(dataset: Dataset) -> Scenario:
    return Scenario(
        "generate",
        ("generate",),
        inputs=lambda rng: dataset.batch(1, rng)[:, :PROMPT],
        prepare=lambda model, inputs: {"generate": Task(((generator_of(model), (inputs, GENERATED)),))},
    )


def _chain(dataset: Dataset, size: int, baseline: Any) -> Scenario:
    names = ("embed", "normalize", "project", "attend", "feed_forward")

    def prepare(model: Any, inputs: np.ndarray) -> dict[str, Task]:
        _, seen = run_chain(ops_of(model, baseline), inputs, blocks_of(baseline))
        tasks = {f"{name}, batch {size}": Task(tuple(seen[name])) for name in names}
        return tasks | {f"batch {size}": Task(((model.predict, (inputs,)),))}

    cases = (*(f"{name}, batch {size}" for name in names), f"batch {size}")
    return Scenario(f"batch {size}", cases, lambda rng: dataset.batch(size, rng), prepare)


def ops_of(model: Any, baseline: Any) -> Ops:
    """The model's own operations, the baseline's where it has none.

    Raises:
        WorkloadError: `model.ops` names an operation that there is not, or the baseline has none.
    """
    if not isinstance(baseline, CharTransformer):
        raise WorkloadError(f"the Decathlon's baseline is {type(baseline).__name__}, expected a CharTransformer")
    own: Ops = getattr(model, "ops", {})
    unknown = own.keys() - baseline.ops.keys()
    if unknown:
        raise WorkloadError(f"unknown operations {sorted(unknown)} in ops; known: {', '.join(baseline.ops)}")
    return {**baseline.ops, **own}


def blocks_of(baseline: CharTransformer) -> int:
    """How many times attention and feed-forward follow each other."""
    return len(baseline.blocks)


def run_chain(ops: Ops, tokens: np.ndarray, blocks: int) -> tuple[np.ndarray, dict[str, list[Any]]]:
    """Chain the operations to logits (N, T, V) and keep every call with its arguments, by discipline."""
    seen: dict[str, list[Any]] = {}

    def call(name: str, *arguments: Any) -> Any:
        # The output projection is timed with the others.
        seen.setdefault("project" if name == "output" else name, []).append((ops[name], arguments))
        return ops[name](*arguments)

    x = call("embed", tokens)
    for block in range(blocks):
        q, k, v = call("project", call("normalize", x, 2 * block), block)
        x = x + call("output", call("attend", q, k, v), block)
        x = x + call("feed_forward", call("normalize", x, 2 * block + 1), block)
    return call("head", call("normalize", x, 2 * blocks)), seen


def generator_of(model: Any) -> Callable[[np.ndarray, int], np.ndarray]:
    """The model's `generate(prompt, count)`, or the plain loop over `predict` where it has none."""
    own = getattr(model, "generate", None)
    return own if own is not None else _PlainGeneration(model)


@dataclass(frozen=True)
class _PlainGeneration:
    """Greedy generation with nothing but `predict`: the whole prefix again for every token."""

    model: Any

    def __call__(self, prompt: np.ndarray, count: int) -> np.ndarray:
        tokens = prompt
        for _ in range(count):
            latest = self.model.predict(tokens)[:, -1:]
            tokens = np.concatenate([tokens, latest.argmax(axis=-1)], axis=1)
        return tokens
