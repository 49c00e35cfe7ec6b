"""The training loop (Module 7): batches in, gradients back, parameters moved, a progress bar meanwhile.

Everything random comes from the batches' own seeded generator, so a run can be repeated exactly.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, TypeVar

from tinytorch.core.layers import Module
from tinytorch.core.losses import cross_entropy
from tinytorch.core.optimizers import Adam, Optimizer, clip_gradients, cosine_schedule
from tinytorch.core.tensor import Array, Tensor

Item = TypeVar("Item")
Loss = Callable[[Tensor, Any], Tensor]


class TrainingError(RuntimeError):
    """Training cannot go on: the loss is no number any more, or the batches ran out."""


def progress(items: Iterable[Item], total: int, label: str, stream: TextIO | None = None) -> Iterator[Item]:
    """Hand the items on and draw one line of progress, at most five times a second.

    Nothing is drawn where nobody looks (the stream is no terminal).
    """
    stream = stream if stream is not None else sys.stderr
    start, shown = time.monotonic(), 0.0
    for index, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if stream.isatty() and (now - shown > 0.2 or index == total):
            shown, done = now, index / total
            left = (now - start) * (1 - done) / done
            bar = ("#" * round(24 * done)).ljust(24, ".")
            stream.write(f"\r{label} [{bar}] {index}/{total}, {left:.0f} s left " + "\n" * (index == total))
            stream.flush()


def train(
    model: Module,
    batches: Iterator[tuple[Array, Any]],
    steps: int,
    rate: float,
    *,
    loss: Loss = cross_entropy,
    warmup: int = 0,
    decay: float = 0.0,
    largest_gradient: float = 1.0,
    after_step: Callable[[Module], None] | None = None,
    label: str = "training",
) -> list[float]:
    """Train with Adam under a cosine schedule.

    Args:
        model:   its `forward(inputs)` gives what `loss(output, targets)` takes.
        batches: pairs (inputs, targets), at least `steps` of them.
        rate:    peak learning rate; `warmup` steps rise to it, the rest falls to 2 % of it.
        largest_gradient: norm above which all gradients are scaled down.
        after_step: called after each step, e.g. to keep pruned weights at zero.

    Returns:
        The loss of every step.

    Raises:
        TrainingError: the loss is not finite, or the batches ran out.
    """
    optimizer = Adam(model.parameters(), rate, decay=decay)
    losses: list[float] = []
    model.train()
    try:
        for step, (inputs, targets) in enumerate(progress(_first(steps, batches), steps, label)):
            optimizer.rate = cosine_schedule(step, steps, rate, warmup, last=0.02 * rate)
            error = loss(model.forward(inputs), targets)
            losses.append(error.item())
            if not math.isfinite(losses[-1]):
                raise TrainingError(f"loss is {losses[-1]} at step {step}; lower the rate (now {rate})")
            _descend(optimizer, error, largest_gradient)
            if after_step is not None:
                after_step(model)
    finally:
        model.eval()  # also after Ctrl-C: a network left in training mode predicts with dropout
    return losses


def _first(steps: int, batches: Iterator[Item]) -> Iterator[Item]:
    for step in range(steps):
        try:
            yield next(batches)
        except StopIteration:
            raise TrainingError(f"batches ran out after {step} of {steps} steps; pass endless ones") from None


def _descend(optimizer: Optimizer, error: Tensor, largest_gradient: float) -> None:
    optimizer.zero_grad()
    error.backward()
    clip_gradients(optimizer.parameters, largest_gradient)
    optimizer.step()
