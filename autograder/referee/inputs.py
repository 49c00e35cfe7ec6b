"""Inputs that nobody has seen, with their labels: official split, altered by a secret seed, each used once.

What is timed is graded, so every input that a worker gets comes from here. Does not: show a worker a label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinytorch.perf.workloads.digits import dither, load_digits, perturb_alike, place, random_warps
from tinytorch.perf.workloads.text import LENGTH, load_text, windows_at

STOCK = 2000  # pictures made at once
ALIKE = 100  # of them with the same rotation, stretch and shift
PASSAGES = 100  # parts of the play; windows of one part are one group
SPLIT = "official"


@dataclass(frozen=True)
class Batch:
    """Inputs for a worker, and what only the referee knows about them."""

    inputs: np.ndarray  # (N, ...) as the event's models take them
    labels: np.ndarray  # (N,) or (N, T)
    groups: np.ndarray  # (N,) which picture or part of the play each comes from


class Source:
    """Batches of one event, without end and without repetition."""

    def __init__(self, event: str, rng: np.random.Generator) -> None:
        self._make = MAKERS[event]
        self._rng = rng
        self._stock = self._make(rng)
        self._next = 0

    def batch(self, size: int) -> Batch:
        """The next `size` inputs."""
        if self._next + size > len(self._stock.labels):
            self._stock, self._next = self._make(self._rng), 0
        rows = slice(self._next, self._next + size)
        self._next += size
        return Batch(self._stock.inputs[rows], self._stock.labels[rows], self._stock.groups[rows])


def centred(rng: np.random.Generator) -> Batch:
    """Digits of the Sprint: rotated, stretched and shifted as in every grading set."""
    digits = load_digits(SPLIT)
    rows = rng.integers(len(digits), size=STOCK)
    images = [
        perturb_alike(digits.images[rows[at : at + ALIKE]], random_warps(rng, 1)) for at in range(0, STOCK, ALIKE)
    ]
    order = rng.permutation(STOCK)
    return Batch(np.concatenate(images)[order], digits.labels[rows][order], rows[order])


def placed(rng: np.random.Generator) -> Batch:
    """Digits of the Marathon: anywhere, their lowest bits tossed so that no picture comes twice."""
    digits = load_digits(SPLIT)
    rows = rng.integers(len(digits), size=STOCK)
    return Batch(dither(place(digits.images[rows], rng), rng), digits.labels[rows], rows)


def passages(rng: np.random.Generator) -> Batch:
    """Windows of the play, each of all that there are once, in random order."""
    codes = load_text(SPLIT)
    starts = rng.permutation(len(codes) - LENGTH - 1)
    inputs, labels = windows_at(codes, starts)
    return Batch(inputs, labels, starts * PASSAGES // len(codes))


MAKERS: dict[str, Callable[[np.random.Generator], Batch]] = {
    "mlp_sprint": centred,
    "cnn_marathon": placed,
    "transformer_decathlon": passages,
}
