"""Inputs that nobody has seen, with their labels: official split, altered by a secret seed, each used once.

What is timed is graded, so every input that a worker gets comes from here. The official play is short: its windows
overlap, so that later questions hold the answers to earlier ones, and a table of it computes nothing. So most
windows of the Decathlon are of the long training text, where the entry must keep up with the baseline as well, and
jump to another place somewhere: what comes after the jump must not have helped before it (laws).
Does not: show a worker a label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from tinytorch.perf.workloads.digits import dither, load_digits, perturb_alike, place, random_warps
from tinytorch.perf.workloads.scenarios import PROMPT
from tinytorch.perf.workloads.text import LENGTH, load_text, windows_at

STOCK = 2000  # pictures made at once
ALIKE = 100  # of them with the same rotation, stretch and shift
PASSAGES = 100  # parts of the play; windows of one part are one group
WINDOWS, NEW = 2000, 3  # windows of the play that are made at once, and how many of other text to each of them
WINDOWS_ALONE, NEW_ALONE = 125, 15  # of questions with one window: a table of the play answers it as a whole
SPLIT = "official"


@dataclass(frozen=True)
class Batch:
    """Inputs for a worker, and what only the referee knows about them."""

    inputs: np.ndarray  # (N, ...) as the event's models take them
    labels: np.ndarray  # (N,) or (N, T)
    groups: np.ndarray  # (N,) which picture or part of the play each comes from; -1 where it is no official text
    seams: np.ndarray  # (N,) where another passage begins; 0 where none does


class Source:
    """Batches of one event, without end and without repetition."""

    def __init__(self, event: str, rng: np.random.Generator) -> None:
        self._together = _Stock(MAKERS[event], rng)
        self._alone = _Stock(passages_alone, rng) if MAKERS[event] is passages else self._together

    def batch(self, size: int) -> Batch:
        """The next `size` inputs."""
        return (self._alone if size == 1 else self._together).take(size)


class _Stock:
    """Inputs that are made many at once and given away in order."""

    def __init__(self, make: Callable[[np.random.Generator], Batch], rng: np.random.Generator) -> None:
        self._make, self._rng = make, rng
        self._stock, self._next = make(rng), 0

    def take(self, size: int) -> Batch:
        if self._next + size > len(self._stock.labels):
            self._stock, self._next = self._make(self._rng), 0
        rows = slice(self._next, self._next + size)
        self._next += size
        return Batch(*(getattr(self._stock, each.name)[rows] for each in fields(Batch)))


def centred(rng: np.random.Generator) -> Batch:
    """Digits of the Sprint: rotated, stretched and shifted as in every grading set."""
    digits = load_digits(SPLIT)
    rows = rng.integers(len(digits), size=STOCK)
    images = [
        perturb_alike(digits.images[rows[at : at + ALIKE]], random_warps(rng, 1)) for at in range(0, STOCK, ALIKE)
    ]
    order = rng.permutation(STOCK)
    return Batch(np.concatenate(images)[order], digits.labels[rows][order], rows[order], np.zeros(STOCK, int))


def placed(rng: np.random.Generator) -> Batch:
    """Digits of the Marathon: anywhere, their lowest bits tossed so that no picture comes twice."""
    digits = load_digits(SPLIT)
    rows = rng.integers(len(digits), size=STOCK)
    return Batch(dither(place(digits.images[rows], rng), rng), digits.labels[rows], rows, np.zeros(STOCK, int))


def passages_alone(rng: np.random.Generator) -> Batch:
    """Fewer windows of the play: what a table of it gains at batch 1 stays below what rounds differ by."""
    return passages(rng, WINDOWS_ALONE, NEW_ALONE)


def passages(rng: np.random.Generator, count: int = WINDOWS, new: int = NEW) -> Batch:
    """`count` windows of the official play, and `new` as many of the training text with a jump in each, mixed."""
    official = load_text(SPLIT)
    starts = rng.choice(len(official) - LENGTH - 1, count, replace=False)
    inputs, labels = windows_at(official, starts)
    more, next_ones, seams = _with_jumps(load_text("train"), new * count, rng)
    order = rng.permutation(count + len(more))
    groups = np.concatenate([starts * PASSAGES // len(official), np.full(len(more), -1)])
    seams = np.concatenate([np.zeros(count, int), seams])
    return Batch(
        np.concatenate([inputs, more])[order],
        np.concatenate([labels, next_ones])[order],
        groups[order],
        seams[order],
    )


def _with_jumps(
    codes: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows (N, T) that go on elsewhere from their seam (N,) on, and labels: before it what really followed."""
    first, second = (
        np.stack(windows_at(codes, rng.choice(len(codes) - LENGTH - 1, count, replace=False))) for _ in range(2)
    )
    seams = rng.integers(PROMPT + 1, LENGTH, len(first[0]))
    inputs, labels = np.where(np.arange(LENGTH) < seams[:, None], first, second)
    return inputs, labels, seams


MAKERS: dict[str, Callable[[np.random.Generator], Batch]] = {
    "mlp_sprint": centred,
    "cnn_marathon": placed,
    "transformer_decathlon": passages,
}
