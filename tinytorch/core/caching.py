"""Caching (Module 19): generation that computes each position once and keeps its keys and values.

A causal model looks only back, so what an earlier position has computed does not change when a token is added.
`add_kv_cache` sets a generator that feeds one token at a time; logits are computed at the last position only,
for nothing else of them is used. Works through `model.ops`, so with the Tensor layers and with any engine.
Does not: cache in predict, which is given whole windows, or sample (generation is greedy).
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from tinytorch.core.models import CharTransformer
from tinytorch.core.tensor import Array, ShapeError

AnyTransformer = TypeVar("AnyTransformer", bound=CharTransformer)


class CachingError(ValueError):
    """The model has nothing that a key-value cache could keep."""


def add_kv_cache(model: AnyTransformer) -> AnyTransformer:
    """Let a language model generate with a cache of keys and values.

    Args:
        model: a CharTransformer, with kernels, compact weights or neither; before or after the other verbs.

    Returns:
        A new model whose `generate` gives the same tokens with less work; `predict` and `model` are as they were.

    Raises:
        CachingError: the model does not generate token by token.
    """
    if not isinstance(model, CharTransformer):
        raise CachingError(
            f"add_kv_cache takes a CharTransformer, got {type(model).__name__}: a cache keeps keys and values "
            f"of earlier tokens, and a model that answers each input once has none; leave this step out"
        )
    return model.changed(_set_generator)


def _set_generator(model: CharTransformer) -> None:
    model.generator = CachedGenerator()


@runtime_checkable
class SteppingEngine(Protocol):
    """An engine with all operations for one more token in one call."""

    def step(self, tokens: Array, past: int, keys: Array, values: Array) -> Array:
        """(N,) tokens at position `past` -> logits (N, V); writes into keys and values (B, N, context, D)."""


class CachedGenerator:
    """Greedy generation with a cache; keeps nothing between calls, so copies of a model may share it."""

    def __call__(self, model: CharTransformer, prompt: Array, count: int) -> Array:
        """Continue `prompt` (N, P) by `count` tokens -> (N, P + count), the tokens of plain generation.

        Beyond the context the window slides, every token gets another position and all keys change: from there
        on the whole window is computed for each token, as plain generation does.

        Raises:
            ShapeError: the prompt is not (N, P) with P >= 1.
        """
        if prompt.ndim != 2 or not prompt.shape[1]:
            raise ShapeError(f"generation continues a prompt (N, P) with P >= 1, got {prompt.shape}")
        start, end = prompt.shape[1], prompt.shape[1] + max(count, 0)
        tokens = np.empty((len(prompt), end), np.result_type(prompt.dtype, np.int64))
        tokens[:, :start] = prompt
        cache = KeyValueCache(model, len(prompt))
        for now in range(start, end):
            if now > model.context:
                cache.length = 0
            first = now - min(now, model.context) + cache.length
            tokens[:, now] = cache.feed(tokens[:, first:now]).argmax(axis=-1)
        return tokens


class KeyValueCache:
    """Keys and values of the positions that a model has seen, in buffers made once for the whole context."""

    def __init__(self, model: CharTransformer, count: int) -> None:
        shape = (len(model.blocks), count, model.context, model.symbol.weight.shape[1])
        self.keys, self.values = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self.length = 0  # positions that are filled
        self.ops: dict[str, Any] = model.ops
        self.stepping = model.engine if isinstance(model.engine, SteppingEngine) else None

    def feed(self, tokens: Array) -> Array:
        """Add tokens (N, T) after the `length` there are -> logits (N, V) of what follows the last."""
        past, self.length = self.length, self.length + tokens.shape[1]
        if tokens.shape[1] == 1 and self.stepping is not None:
            return self.stepping.step(tokens[:, 0], past, self.keys, self.values)
        return self._advance(tokens, past)

    def _advance(self, tokens: Array, past: int) -> Array:
        """The chain of operations for new positions only; in the last block and after it, for the last of them."""
        ops, blocks = self.ops, len(self.keys)
        x = ops["embed"](tokens, past)
        for block in range(blocks):
            q, k, v = ops["project"](ops["normalize"](x, 2 * block), block)
            self.keys[block, :, past : self.length], self.values[block, :, past : self.length] = k, v
            if block == blocks - 1:
                x, q = x[:, -1:], q[:, -1:]
            mixed = ops["attend"](q, self.keys[block, :, : self.length], self.values[block, :, : self.length])
            x = x + ops["output"](mixed, block)
            x = x + ops["feed_forward"](ops["normalize"](x, 2 * block + 1), block)
        return ops["head"](ops["normalize"](x[:, -1:], 2 * blocks))[:, 0]
