"""The three networks of the competition, as a student of Modules 1-14 would write them.

Each is a `Network`: raw integers in, logits out, pixels scaled inside `predict`. The optimisations of Modules
16-19 set `engine` or `generator` on a copy. Does not: hold trained weights (perf.workloads).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tinytorch.core.attention import causal_attention
from tinytorch.core.autograd import no_grad
from tinytorch.core.conv import Algorithm, Conv2d, MaxPool2d
from tinytorch.core.layers import Dropout, Embedding, Flatten, LayerNorm, Linear, Module, ReLU, Sequential
from tinytorch.core.tensor import Array, ShapeError, Tensor
from tinytorch.core.transformer import TransformerBlock


@dataclass(frozen=True)
class Recipe:
    """What one needs to go on training a network: where batches come from, and how long and fast to move."""

    batches: Callable[[int, np.random.Generator], Iterator[tuple[Array, Array]]]  # (size, rng) -> endless pairs
    batch_size: int
    rate: float  # peak learning rate of Adam
    fine_tune_steps: int  # after pruning
    distill_steps: int  # of a student that starts from nothing


class Engine(Protocol):
    """Another way to compute a network's logits, made from its weights by add_custom_kernels."""

    def __call__(self, inputs: Array, /) -> Array:
        """Raw inputs to logits, as `Network.predict`."""

    def rebuild(self, network: Any) -> Engine:
        """The same kind of engine for a network whose weights have changed."""


class Network(Module):
    """A model with `predict(inputs) -> logits`, numpy in and numpy out."""

    engine: Engine | None = None  # set by add_custom_kernels; replaces forward in predict
    recipe: Recipe | None = None  # set by the workload; lets pruning fine-tune

    def predict(self, inputs: Array) -> Array:
        """Logits as float32 for raw integer inputs; nothing is recorded for gradients."""
        if self.engine is not None:
            return self.engine(inputs)
        with no_grad():
            return self.forward(inputs).data

    def copy(self) -> Any:
        """An independent copy: parameters are new arrays, the recipe is shared."""
        return copy.deepcopy(self, {id(self.recipe): self.recipe})

    def changed(self, change: Callable[[Any], None]) -> Any:
        """A copy on which `change` was called, its engine rebuilt for the new weights.

        All verbs of Modules 16-19 go through here, so they compose in any order and leave `self` as it was.
        """
        result = self.copy()
        engine, result.engine = result.engine, None
        change(result)
        if engine is not None:
            result.engine = engine.rebuild(result)
        return result


def scale_pixels(images: Array) -> Tensor:
    """Bytes 0..255 to floats 0..1."""
    return Tensor(images.astype(np.float32) / 255)


class MLP(Network):
    """Fully connected classifier of 28x28 pictures: 784-128-64-10 with ReLU, 109,386 parameters.

    Args:
        hidden: widths of the hidden layers.
        stride: look at every `stride`-th row and column of pixels only (1: all 784; 2: 196).
        rng:    of the initial weights.
    """

    def __init__(
        self, hidden: tuple[int, ...] = (128, 64), stride: int = 1, rng: np.random.Generator | None = None
    ) -> None:
        rng = rng or np.random.default_rng()
        self.stride = stride
        sizes = (len(range(0, 28, stride)) ** 2, *hidden)
        layers: list[Module] = []
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            layers += [Linear(inputs, outputs, rng), ReLU()]
        self.network = Sequential(*layers, Linear(sizes[-1], 10, rng))

    def forward(self, images: Array) -> Tensor:
        """(N, 784) bytes -> logits (N, 10)."""
        if images.ndim != 2 or images.shape[1] != 784:
            raise ShapeError(f"MLP takes images (N, 784), got {images.shape}")
        if self.stride > 1:
            thinned = images.reshape(-1, 28, 28)[:, :: self.stride, :: self.stride]
            images = thinned.reshape(len(images), -1)
        return self.network(scale_pixels(images))


class CNN(Network):
    """3x3x32, pool, 3x3x64, pool, 1600-10: 34,826 parameters."""

    def __init__(
        self,
        channels: tuple[int, int] = (32, 64),
        rng: np.random.Generator | None = None,
        algorithm: Algorithm = "positions",
        dropout: float = 0.0,
    ) -> None:
        rng = rng or np.random.default_rng()
        first, second = channels
        self.network = Sequential(
            Conv2d(1, first, 3, rng, algorithm), ReLU(), MaxPool2d(),
            Conv2d(first, second, 3, rng, algorithm), ReLU(), MaxPool2d(),
            Flatten(), Dropout(dropout, rng), Linear(second * 25, 10, rng),
        )  # fmt: skip

    def forward(self, images: Array) -> Tensor:
        """(N, 28, 28, 1) bytes -> logits (N, 10)."""
        if images.ndim != 4 or images.shape[1:] != (28, 28, 1):
            raise ShapeError(f"CNN takes images (N, 28, 28, 1), got {images.shape}")
        return self.network(scale_pixels(images).transpose(0, 3, 1, 2))


class CharTransformer(Network):
    """A causal language model over characters: what comes next, at each of up to `context` positions.

    With the defaults: D = 64, 2 blocks, 4 heads, feed-forward 256, 66 symbols; 112,706 parameters.
    """

    generator: Callable[[CharTransformer, Array, int], Array] | None = None  # set by add_kv_cache

    def __init__(
        self,
        symbols: int = 66,
        context: int = 64,
        width: int = 64,
        blocks: int = 2,
        heads: int = 4,
        hidden: int = 256,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = rng or np.random.default_rng()
        self.symbol = Embedding(symbols, width, rng)
        self.position = Embedding(context, width, rng)
        self.blocks = [TransformerBlock(width, heads, hidden, rng) for _ in range(blocks)]
        self.norm = LayerNorm(width)
        self.head = Linear(width, symbols, rng)
        self.context, self.heads = context, heads

    def forward(self, tokens: Array) -> Tensor:
        """(N, T) integers, T at most the context -> logits (N, T, symbols)."""
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= self.context:
            raise ShapeError(f"takes tokens (N, T) with 1 <= T <= {self.context}, got {tokens.shape}")
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def embed(self, tokens: Array, start: int = 0) -> Tensor:
        """(N, T) integers at positions start .. start + T - 1 -> (N, T, D)."""
        return self.symbol(tokens) + self.position(np.arange(start, start + tokens.shape[1]))

    @property
    def ops(self) -> dict[str, Callable[..., Any]]:
        """The operations this network is a chain of, numpy in and out; an engine's replace the layers' own.

        `embed(tokens, start=0)`, `normalize(x, index)` (two norms a block, then the last),
        `project(x, block)` -> q, k, v, `attend(q, k, v)`, `output(x, block)`, `feed_forward(x, block)`,
        `head(x)`; x (N, T, D).
        """
        own: dict[str, Callable[..., Any]] = {
            "embed": self._embed_op,
            "normalize": self._normalize_op,
            "project": self._project_op,
            "attend": self._attend_op,
            "output": self._output_op,
            "feed_forward": self._feed_forward_op,
            "head": self._head_op,
        }
        return own | getattr(self.engine, "ops", {})

    def _embed_op(self, tokens: Array, start: int = 0) -> Array:
        with no_grad():
            return self.embed(tokens, start).data

    def _normalize_op(self, x: Array, index: int) -> Array:
        block, second = divmod(index, 2)
        norm = self.norm if block == len(self.blocks) else None
        if norm is None:
            norm = self.blocks[block].feed_norm if second else self.blocks[block].attention_norm
        with no_grad():
            return norm(Tensor(x)).data

    def _project_op(self, x: Array, block: int) -> tuple[Array, Array, Array]:
        attention, tensor = self.blocks[block].attention, Tensor(x)
        with no_grad():
            return attention.query(tensor).data, attention.key(tensor).data, attention.value(tensor).data

    def _attend_op(self, q: Array, k: Array, v: Array) -> Array:
        with no_grad():
            return causal_attention(Tensor(q), Tensor(k), Tensor(v), self.heads).data

    def _output_op(self, x: Array, block: int) -> Array:
        with no_grad():
            return self.blocks[block].attention.output(Tensor(x)).data

    def _feed_forward_op(self, x: Array, block: int) -> Array:
        with no_grad():
            return self.blocks[block].feed_forward(Tensor(x)).data

    def _head_op(self, x: Array) -> Array:
        with no_grad():
            return self.head(Tensor(x)).data

    def generate(self, prompt: Array, count: int) -> Array:
        """Continue `prompt` (N, P) greedily by `count` tokens -> (N, P + count).

        The whole prefix is computed again for every token, unless Module 19 has set a `generator`.
        """
        if self.generator is not None:
            return self.generator(self, prompt, count)
        tokens = prompt
        for _ in range(count):
            logits = self.predict(tokens[:, -self.context :])  # (N, T, symbols)
            tokens = np.concatenate([tokens, logits[:, -1:].argmax(axis=-1)], axis=1)
        return tokens
