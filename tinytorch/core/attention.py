"""Multi-head causal attention (Module 12), as the formula reads: one head at a time, mask made at each call.

N batch, T time, Q queries, D model width, H heads, S = D / H width of a head. Modules 16 (acceleration.py)
and 19 (caching.py) make it fast. Source: Vaswani et al. 2017, section 3.2.
"""

from __future__ import annotations

import numpy as np

from tinytorch.core import ops
from tinytorch.core.layers import Linear, Module
from tinytorch.core.tensor import ShapeError, Tensor


def causal_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(S), later positions masked) v, head by head.

    Args:
        q:    (N, Q, D), the last Q of the T positions, D divisible by `heads`.
        k, v: (N, T, D)

    Returns:
        (N, Q, D), the heads side by side.
    """
    fits = q.ndim == k.ndim == 3 and k.shape == v.shape and q.shape[::2] == k.shape[::2]
    if not fits or q.shape[1] > k.shape[1] or q.shape[-1] % heads:
        raise ShapeError(
            f"attention takes q (N, Q, D), k and v (N, T, D) with Q <= T and D divisible by {heads} heads; "
            f"got {q.shape}, {k.shape} and {v.shape}"
        )
    size, past = q.shape[-1] // heads, k.shape[1] - q.shape[1]
    mixed = []
    for head in range(heads):
        part = np.s_[:, :, head * size : (head + 1) * size]
        scores = q[part] @ k[part].transpose(0, 2, 1) * size**-0.5  # (N, Q, T)
        later = np.triu(np.ones(scores.shape[1:], dtype=bool), k=1 + past)  # (Q, T)
        weights = ops.softmax(ops.masked_fill(scores, later, -1e9))  # (N, Q, T)
        mixed.append(weights @ v[part])  # (N, Q, S)
    return ops.concatenate(mixed)


class CausalAttention(Module):
    """Self-attention with its four projections: (N, T, D) -> (N, T, D)."""

    def __init__(self, width: int, heads: int, rng: np.random.Generator) -> None:
        if width % heads:
            raise ShapeError(f"width {width} cannot be split into {heads} heads")
        self.query = Linear(width, width, rng)
        self.key = Linear(width, width, rng)
        self.value = Linear(width, width, rng)
        self.output = Linear(width, width, rng)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        return self.output(causal_attention(self.query(x), self.key(x), self.value(x), self.heads))

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        count, time, width = inputs  # scores and weighted sum, 2 N T T D each, and softmax
        return 4 * count * time * time * width + 5 * count * self.heads * time * time
