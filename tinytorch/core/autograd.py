"""The bookkeeping of reverse-mode differentiation: who was computed from whom, and in which order to go back.

A node of the graph is anything that looks like `Node`. Does not: know numpy operations (tensor.py and ops.py)
or update parameters (optimizers.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np


class GradientError(RuntimeError):
    """There is no way back from here; the message says why."""


class Node(Protocol):
    """What `topological_order` and `run_backward` need to see."""

    data: np.ndarray
    requires_grad: bool
    grad: np.ndarray | None
    parents: tuple[Any, ...]
    backward_fn: Callable[[np.ndarray], Sequence[np.ndarray | None]] | None


# A context variable, so that one thread's no_grad() does not stop another one's training.
_recording: ContextVar[bool] = ContextVar("recording", default=True)


def is_recording() -> bool:
    """True unless inside `no_grad()`."""
    return _recording.get()


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording the graph: less time, less memory, no gradients."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def topological_order(root: Node) -> list[Node]:
    """All nodes that `root` was computed from, parents before children. Iterative: deep graphs are fine."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order


def run_backward(root: Node, seed: np.ndarray) -> None:
    """Add d(root)/d(leaf) * `seed` to the `grad` of every leaf that asked for one: the chain rule, backwards.

    The graph is taken apart on the way, so that its memory is free as soon as it was used.

    Raises:
        GradientError: `root` was not recorded, or an earlier call has already taken part of its graph apart.
    """
    if not root.requires_grad:
        raise GradientError(
            "backward() of a tensor that was not recorded: nothing it was computed from has requires_grad, "
            "or it was computed inside no_grad()"
        )
    gradients: dict[int, np.ndarray] = {id(root): seed}
    for node in reversed(topological_order(root)):
        gradient = gradients.pop(id(node), None)
        if gradient is None:
            continue
        if node.backward_fn is None:
            _add_to_leaf(node, gradient)
            continue
        for parent, part in zip(node.parents, node.backward_fn(gradient), strict=True):
            if part is not None and parent.requires_grad:
                known = gradients.get(id(parent))
                gradients[id(parent)] = part if known is None else known + part
        node.parents, node.backward_fn = (), _taken_apart


def _add_to_leaf(leaf: Node, gradient: np.ndarray) -> None:
    # A copy: `gradient` may be another leaf's too, a read-only view, or float64 because of one float64 input.
    own = np.array(gradient, dtype=leaf.data.dtype)
    leaf.grad = own if leaf.grad is None else leaf.grad + own


def _taken_apart(gradient: np.ndarray) -> Sequence[np.ndarray | None]:
    raise GradientError(
        "backward() has already been through part of this graph; compute it again for each backward(), "
        "or add the losses and go back once"
    )


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum `gradient` over the axes that broadcasting added or stretched, so that it has `shape` again."""
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    stretched = tuple(i + added for i, size in enumerate(shape) if size != gradient.shape[i + added])
    return gradient.sum(axis=tuple(range(added)) + stretched, keepdims=True).reshape(shape)
