"""Losses (Module 4): one number that says how wrong the logits are. Does not: go back or update."""

from __future__ import annotations

import math

import numpy as np

from tinytorch.core import ops
from tinytorch.core.tensor import Array, ShapeError, Tensor


def cross_entropy(logits: Tensor, targets: Array) -> Tensor:
    """Mean of -log p(target) in nats.

    Args:
        logits:  (..., classes)
        targets: (...) integers in [0, classes)

    Raises:
        ShapeError: the leading axes of the two differ, targets are no integers, or one is no class.
    """
    if logits.shape[:-1] != targets.shape:
        raise ShapeError(
            f"cross_entropy: logits {logits.shape} need targets {logits.shape[:-1]}, got {targets.shape}"
        )
    if not np.issubdtype(targets.dtype, np.integer):
        raise ShapeError(f"cross_entropy: targets must be integers, got {targets.dtype}")
    classes = logits.shape[-1]
    if targets.size and not (0 <= targets.min() and targets.max() < classes):
        raise ShapeError(
            f"cross_entropy: targets reach from {targets.min()} to {targets.max()}, classes {classes}"
        )
    log_p = ops.log_softmax(logits).data.reshape(-1, classes)
    rows, flat = np.arange(targets.size), targets.ravel()

    def backward(g: Array) -> tuple[Array]:
        gradient = np.exp(log_p)
        gradient[rows, flat] -= 1
        return ((gradient * (g / targets.size)).reshape(logits.shape),)

    return Tensor.from_op(np.asarray(-log_p[rows, flat].mean()), (logits,), backward)


def soft_cross_entropy(logits: Tensor, probabilities: Array) -> Tensor:
    """Mean of -sum_c p_c log q_c: how far the softmax of `logits` is from given probabilities, in nats.

    With the teacher's probabilities this is the loss of distillation (Hinton, Vinyals and Dean 2015).

    Raises:
        ShapeError: the two shapes differ.
    """
    if logits.shape != probabilities.shape:
        raise ShapeError(
            f"soft_cross_entropy: logits {logits.shape} and probabilities {probabilities.shape} differ"
        )
    weighted = ops.log_softmax(logits) * probabilities.astype(logits.data.dtype)
    return -weighted.sum() / math.prod(logits.shape[:-1])
