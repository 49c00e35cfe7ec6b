"""The transformer block (Module 13): attention and feed-forward, each on a normalised input and added to it.

Does not: embed tokens or produce logits (models.py). Source: pre-norm form, Xiong et al. 2020.
"""

from __future__ import annotations

import numpy as np

from tinytorch.core import ops
from tinytorch.core.attention import CausalAttention
from tinytorch.core.layers import LayerNorm, Linear, Module
from tinytorch.core.tensor import Tensor


class FeedForward(Module):
    """Two linear layers with a ReLU between them, applied at each position: (N, T, D) -> (N, T, D)."""

    def __init__(self, width: int, hidden: int, rng: np.random.Generator) -> None:
        self.expand = Linear(width, hidden, rng)
        self.contract = Linear(hidden, width, rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(ops.relu(self.expand(x)))


class TransformerBlock(Module):
    """x + attention(norm(x)), then the same with the feed-forward layer: (N, T, D) -> (N, T, D)."""

    def __init__(self, width: int, heads: int, hidden: int, rng: np.random.Generator) -> None:
        self.attention_norm = LayerNorm(width)
        self.attention = CausalAttention(width, heads, rng)
        self.feed_norm = LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, rng)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_norm(x))
