"""Batches (Module 8): rows of arrays in a seeded random order. Does not: know files or events."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinytorch.core.tensor import Array, ShapeError


def batches(inputs: Array, targets: Array, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """One pass over all rows in random order; the last batch may be smaller.

    Raises:
        ShapeError: inputs and targets have different numbers of rows.
    """
    if len(inputs) != len(targets):
        raise ShapeError(f"inputs {inputs.shape} and targets {targets.shape} have different numbers of rows")
    if size < 1:
        raise ValueError(f"a batch has at least one row, got size {size}")
    order = rng.permutation(len(inputs))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield inputs[rows], targets[rows]
