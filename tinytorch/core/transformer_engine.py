"""The numbered kernels of Module 16 for `CharTransformer`: the same seven operations, each time faster.

* v0  attention by loops over sequences, heads and queries; for the museum
* v1  numpy without Tensor, one head at a time
* v2  all heads at once; queries, keys and values in one product
* v3  fewer passes over memory: softmax in place, sums by products, weights folded, blocks that stay in the cache
* v4  compiled where it pays (transformer_numba.py): norms, embedding, and the step to one more token

Every version gives what the one before gives, but for rounding. Shapes: N batch, T time, Q queries, D model width,
H heads, S = D / H, F hidden, B blocks, V symbols. Does not: set itself on a network (acceleration.py), keep
anything of the network it was built from, or generate (caching.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import prod
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from tinytorch.core.layers import Parameter
from tinytorch.core.models import CharTransformer
from tinytorch.core.tensor import Array, ShapeError

EPSILON = np.float32(1e-5)  # of ops.layer_norm
# Positions that v3 and v4 take at once: four windows of 64, whose scores and hidden units fit the second cache.
ROWS = 256
# Up to so many sequences v4 feeds a token each by itself; with more, BLAS, which reads the weights once, is ahead.
FEW = 24
# exp() of what lies within is neither 0 nor infinite in float32, even summed over a long context.
SAFE_SCORE = 80.0


class EngineError(ValueError):
    """There is no such version of the transformer's kernels, or not on this installation."""


def build_transformer_engine(
    network: CharTransformer, version: int | None = None, compiled: bool | None = None
) -> TransformerEngine:
    """An engine from the weights that `network` has now; compact weights become floats once, here.

    Args:
        network:  of any size; it is not kept.
        version:  0 to 4, see above; by default 4 where numba is installed, else 3.
        compiled: without a version, False keeps to numpy (3) and True asks for numba (4).

    Raises:
        EngineError: no such version, it contradicts `compiled`, or numba is needed and missing.
    """
    installed = find_spec("numba") is not None
    if version is None:
        version = 4 if (installed if compiled is None else compiled) else 3
    if version not in range(len(ENGINES)):
        raise EngineError(f"a transformer's kernels have versions 0 to {len(ENGINES) - 1}, got {version!r}")
    if compiled not in (None, version == 4):
        raise EngineError(f"version={version} and compiled={compiled} contradict each other: leave one out")
    if version == 4 and not installed:
        raise EngineError("version 4 needs numba: pip install 'tinytorch[fast]', or take version=3 (numpy)")
    return ENGINES[version](network)


# -- weights -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weights:
    """All weights of a CharTransformer in float32, those of the blocks stacked."""

    symbol: Array  # (V, D)
    position: Array  # (context, D)
    scale: Array  # (2 B + 1, D), of the norms: two a block, then the last
    shift: Array  # (2 B + 1, D)
    project: Array  # (B, D, 3 D): query, key, value side by side
    project_bias: Array  # (B, 3 D)
    output: Array  # (B, D, D)
    output_bias: Array  # (B, D)
    expand: Array  # (B, D, F)
    expand_bias: Array  # (B, F)
    contract: Array  # (B, F, D)
    contract_bias: Array  # (B, D)
    head: Array  # (D, V)
    head_bias: Array  # (V,)


def gather_weights(network: CharTransformer) -> Weights:
    """Copies of all weights; blocks with fewer hidden units than the widest get units that stay zero."""
    blocks, width = network.blocks, network.symbol.weight.shape[1]
    attention, feed = [block.attention for block in blocks], [block.feed_forward for block in blocks]
    hidden = max((layer.expand.weight.shape[1] for layer in feed), default=0)
    norms = [norm for block in blocks for norm in (block.attention_norm, block.feed_norm)] + [network.norm]
    inner = [(layer.query, layer.key, layer.value) for layer in attention]
    return Weights(
        symbol=_copy(network.symbol.weight),
        position=_copy(network.position.weight),
        scale=np.stack([norm.scale.data for norm in norms]),
        shift=np.stack([norm.shift.data for norm in norms]),
        project=_stack([np.hstack([part.weight.data for part in parts]) for parts in inner], width, 3 * width),
        project_bias=_stack([np.hstack([part.bias.data for part in parts]) for parts in inner], 3 * width),
        output=_stack([layer.output.weight.data for layer in attention], width, width),
        output_bias=_stack([layer.output.bias.data for layer in attention], width),
        expand=_stack([layer.expand.weight.data for layer in feed], width, hidden),
        expand_bias=_stack([layer.expand.bias.data for layer in feed], hidden),
        contract=_stack([layer.contract.weight.data for layer in feed], hidden, width),
        contract_bias=_stack([layer.contract.bias.data for layer in feed], width),
        head=_copy(network.head.weight),
        head_bias=_copy(network.head.bias),
    )


def _copy(parameter: Parameter) -> Array:
    return np.array(parameter.data, np.float32, order="C")  # compiled kernels take nothing else


def _stack(arrays: list[Array], *shape: int) -> Array:
    """(B, *shape) float32; a smaller array is padded with zeros."""
    stacked = np.zeros((len(arrays), *shape), np.float32)
    for place, array in zip(stacked, arrays, strict=True):
        place[tuple(map(slice, array.shape))] = array
    return stacked


def fold_weights(weights: Weights) -> Weights:
    """Weights with which the same logits come out of norms that only make unit vectors.

    * Scale and shift of a norm go into the product after it: (x s + t) W + b = x (s W) + (t W + b).
    * Norms do not see a mean, so whatever is added to the stream is centred once, here, instead of in every norm.
    * The length of a normal vector is sqrt(D), which goes into the scale.
    """
    w, firsts, seconds = weights, slice(0, -1, 2), slice(1, None, 2)
    scale = _rooted(w.scale)
    return replace(
        w,
        symbol=_centred(w.symbol),
        position=_centred(w.position),
        project=scale[firsts, :, None] * w.project,
        project_bias=w.project_bias + _through(w.shift[firsts], w.project),
        output=_centred(w.output),
        output_bias=_centred(w.output_bias),
        expand=scale[seconds, :, None] * w.expand,
        expand_bias=w.expand_bias + _through(w.shift[seconds], w.expand),
        contract=_centred(w.contract),
        contract_bias=_centred(w.contract_bias),
        head=scale[-1, :, None] * w.head,
        head_bias=w.head_bias + w.shift[-1] @ w.head,
    )


def _rooted(scale: Array) -> Array:
    """Scales (..., D) for vectors of length 1 instead of sqrt(D)."""
    return scale * np.float32(scale.shape[-1] ** 0.5)


def _centred(rows: Array) -> Array:
    return rows - rows.mean(axis=-1, keepdims=True)


def _through(vectors: Array, matrices: Array) -> Array:
    """(B, K), (B, K, M) -> (B, M), block by block."""
    return (vectors[:, None] @ matrices)[:, 0]


class Scratch:
    """Named buffers that grow to the largest size asked for and are never handed to a caller."""

    def __init__(self) -> None:
        self.buffers: dict[str, Array] = {}

    def take(self, name: str, *shape: int) -> Array:
        """An array of `shape` with whatever was left in it; the next `take` of this name overwrites it."""
        size = prod(shape)
        buffer = self.buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self.buffers[name] = np.empty(size, np.float32)
        return buffer[:size].reshape(shape)


@dataclass(frozen=True)
class Past:
    """Keys and values (B, N, context, D) of the `count` positions before those that are computed now."""

    count: int
    keys: Array
    values: Array

    def extend(self, block: int, k: Array, v: Array) -> tuple[Array, Array]:
        """Write k and v (N, T, D) of new positions -> those of all positions so far."""
        end = self.count + k.shape[1]
        self.keys[block, :, self.count : end], self.values[block, :, self.count : end] = k, v
        return self.keys[block, :, :end], self.values[block, :, :end]


# -- v1, v0 --------------------------------------------------------------------------------------------


class TransformerEngine:
    """Kernels v1, and what all versions share: numpy without Tensor, one head at a time.

    Every operation takes and returns what `CharTransformer.ops` says, in float32; what it returns is the caller's.
    """

    version: ClassVar[int] = 1
    name: ClassVar[str] = "v1 numpy: one head at a time"

    def __init__(self, network: CharTransformer) -> None:
        self.weights = gather_weights(network)
        self.heads = network.heads

    def __call__(self, tokens: Array) -> Array:
        """(N, T) integers, T at most the context -> float32 logits (N, T, V)."""
        self._check_tokens(tokens)
        x = self.embed(tokens)
        for block in range(len(self.weights.project)):
            q, k, v = self.project(self.normalize(x, 2 * block), block)
            x = x + self.output(self.attend(q, k, v), block)
            x = x + self.feed_forward(self.normalize(x, 2 * block + 1), block)
        return self.head(self.normalize(x, len(self.weights.scale) - 1))

    def rebuild(self, network: CharTransformer) -> TransformerEngine:
        """An engine of the same version for the weights that `network` has now."""
        return type(self)(network)

    @property
    def ops(self) -> Mapping[str, Callable[..., Any]]:
        """The seven operations of `CharTransformer.ops`."""
        names = ("embed", "normalize", "project", "attend", "output", "feed_forward", "head")
        return {name: getattr(self, name) for name in names}

    def embed(self, tokens: Array, start: int = 0) -> Array:
        self._check_tokens(tokens, start)
        return self.weights.symbol[tokens] + self.weights.position[start : start + tokens.shape[1]]

    def normalize(self, x: Array, index: int) -> Array:
        self._check_width(x)
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + EPSILON)
        return centred / deviation * self.weights.scale[index] + self.weights.shift[index]

    def project(self, x: Array, block: int) -> tuple[Array, Array, Array]:
        self._check_width(x)
        weight, bias = self.weights.project[block], self.weights.project_bias[block]
        width = len(weight)
        query, key, value = (np.s_[..., i * width : (i + 1) * width] for i in range(3))
        return x @ weight[query] + bias[query], x @ weight[key] + bias[key], x @ weight[value] + bias[value]

    def attend(self, q: Array, k: Array, v: Array) -> Array:
        self._check_attention(q, k, v)
        size = q.shape[-1] // self.heads
        parts = [np.s_[:, :, i * size : (i + 1) * size] for i in range(self.heads)]
        return np.concatenate([_attend_head(q[part], k[part], v[part]) for part in parts], axis=-1)

    def output(self, x: Array, block: int) -> Array:
        return self._dense(x, self.weights.output[block], self.weights.output_bias[block])

    def feed_forward(self, x: Array, block: int) -> Array:
        hidden = np.maximum(self._dense(x, self.weights.expand[block], self.weights.expand_bias[block]), 0)
        return hidden @ self.weights.contract[block] + self.weights.contract_bias[block]

    def head(self, x: Array) -> Array:
        return self._dense(x, self.weights.head, self.weights.head_bias)

    def _dense(self, x: Array, weight: Array, bias: Array) -> Array:
        self._check_width(x)
        return x @ weight + bias

    # -- what does not fit -----------------------------------------------------------------------------

    def _check_tokens(self, tokens: Array, start: int = 0) -> None:
        context = len(self.weights.position)
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= context - start or start < 0:
            room = f"1 <= T <= {context - start}" + (f" from position {start} on" if start else "")
            raise ShapeError(f"takes tokens (N, T) with {room}, got {tokens.shape}")
        if tokens.dtype.kind not in "iu":
            raise ShapeError(f"tokens must be integers, got {tokens.dtype}")

    def _check_width(self, x: Array) -> None:
        width = self.weights.symbol.shape[1]
        if x.ndim != 3 or x.shape[-1] != width:
            raise ShapeError(f"takes x (N, T, {width}), got {x.shape}")

    def _check_attention(self, q: Array, k: Array, v: Array) -> None:
        fits = q.ndim == k.ndim == 3 and k.shape == v.shape and q.shape[::2] == k.shape[::2]
        context = len(self.weights.position)
        if not fits or not q.shape[1] <= k.shape[1] <= context or q.shape[-1] % self.heads:
            raise ShapeError(
                f"attention takes q (N, Q, D), k and v (N, T, D) with Q <= T <= {context} and D divisible by "
                f"{self.heads} heads; got {q.shape}, {k.shape} and {v.shape}"
            )


def _attend_head(q: Array, k: Array, v: Array) -> Array:
    """q (..., Q, S), k and v (..., T, S) -> (..., Q, S); the queries are the last Q of T positions."""
    scores = q @ k.swapaxes(-1, -2) * np.float32(q.shape[-1] ** -0.5)  # (..., Q, T)
    later = np.triu(np.ones(scores.shape[-2:], dtype=bool), k=1 + k.shape[-2] - q.shape[-2])
    scores = np.where(later, np.float32(-1e9), scores)
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True) @ v


class LoopEngine(TransformerEngine):
    """Kernels v0: attention as one explains it, for one query of one head of one sequence."""

    version, name = 0, "v0 numpy: attention by loops"

    def attend(self, q: Array, k: Array, v: Array) -> Array:
        self._check_attention(q, k, v)
        mixed = np.empty(q.shape, np.float32)
        size, past = q.shape[-1] // self.heads, k.shape[1] - q.shape[1]
        for n in range(len(q)):
            for first in range(0, q.shape[-1], size):
                part = np.s_[first : first + size]
                for i in range(q.shape[1]):
                    seen = np.s_[n, : past + i + 1, part]
                    mixed[n, i : i + 1, part] = _attend_head(q[n, i : i + 1, part], k[seen], v[seen])
        return mixed


# -- v2 ------------------------------------------------------------------------------------------------


class BatchedEngine(TransformerEngine):
    """Kernels v2: one product for query, key and value, and one for the scores of all heads."""

    version, name = 2, "v2 numpy: heads batched"

    def project(self, x: Array, block: int) -> tuple[Array, Array, Array]:
        joined = self._dense(x, self.weights.project[block], self.weights.project_bias[block])
        q, k, v = np.split(joined, 3, axis=-1)
        return q, k, v

    def attend(self, q: Array, k: Array, v: Array) -> Array:
        self._check_attention(q, k, v)
        mixed = _attend_head(self._by_head(q), self._by_head(k), self._by_head(v))  # (N, H, Q, S)
        return mixed.swapaxes(1, 2).reshape(q.shape)

    def _by_head(self, x: Array) -> Array:
        """(N, T, D) -> (N, H, T, S), a view."""
        return x.reshape(*x.shape[:2], self.heads, x.shape[-1] // self.heads).swapaxes(1, 2)


# -- v3 ------------------------------------------------------------------------------------------------


class FusedEngine(BatchedEngine):
    """Kernels v3: few passes, all of them in place, over blocks of `ROWS` positions that stay in the cache.

    What numpy does slowly is left to BLAS: it sums short rows as products with a column of ones. The single
    operations use the weights as they are; a whole prediction uses them folded (see `fold_weights`).
    """

    version, name = 3, f"v3 numpy: folded, fused, blocks of {ROWS} positions"

    def __init__(self, network: CharTransformer) -> None:
        super().__init__(network)
        self.scratch = Scratch()
        context, width = self.weights.position.shape
        self.seen = np.tri(context, dtype=np.float32)  # (context, context): 1 where a query sees a key
        self.ones = np.ones((context, 1), np.float32)
        self.averaging = np.full((width, 1), 1 / width, np.float32)
        self.least = np.full(1, width * EPSILON)  # of a squared length; an array is added faster than a number
        self.rooted = _rooted(self.weights.scale)
        self.carried = self._carry(self.weights)
        self._prepare()

    def _prepare(self) -> None:
        self.folded = fold_weights(self.weights)
        self.folded_carried = self._carry(self.folded)

    @staticmethod
    def _carry(weights: Weights) -> Array:
        """(B, D): relu(z + b) W + c is max(z, -b) W + (b W + c), which saves a pass over the hidden units."""
        return _through(weights.expand_bias, weights.contract) + weights.contract_bias

    def __call__(self, tokens: Array) -> Array:
        self._check_tokens(tokens)
        length, symbols = tokens.shape[1], len(self.weights.head_bias)
        logits = np.empty((*tokens.shape, symbols), np.float32)
        for part in _blocks(len(tokens), length):
            self._predict(tokens[part], logits[part].reshape(-1, symbols))
        return logits

    def step(self, tokens: Array, past: int, keys: Array, values: Array) -> Array:
        """Logits after one more token of each sequence, from the keys and values of those before it.

        Args:
            tokens: (N,) integers at position `past`.
            past:   positions that are in keys and values already, less than the context.
            keys, values: (B, N, context, D) float32; those of the new token are written at `past`.

        Returns:
            (N, V) float32 logits of what comes next.

        Raises:
            ShapeError: the context is full, or keys and values do not have the shape above.
        """
        self._check_step(tokens, past, keys, values)
        logits = np.empty((len(tokens), len(self.weights.head_bias)), np.float32)
        self._predict(tokens[:, None], logits, Past(past, keys, values))
        return logits

    def _check_step(self, tokens: Array, past: int, keys: Array, values: Array) -> None:
        context, width = self.weights.position.shape
        shape = (len(self.weights.project), len(tokens), context, width)
        if tokens.ndim != 1 or not 0 <= past < context or keys.shape != shape or values.shape != shape:
            raise ShapeError(
                f"a step takes tokens (N,), 0 <= past < {context}, keys and values {shape}; "
                f"got {tokens.shape}, {past}, {keys.shape} and {values.shape}"
            )

    def _predict(self, tokens: Array, logits: Array, past: Past | None = None) -> None:
        """(n, T) tokens of one block, after those in `past` -> logits (n T, V), by the folded weights."""
        w, start = self.folded, past.count if past else 0
        stream = w.symbol.take(tokens, axis=0)  # (n, T, D), always centred
        stream += w.position[start : start + tokens.shape[1]]
        stream = stream.reshape(-1, stream.shape[-1])  # (n T, D)
        x, mixed = self.scratch.take("normal", *stream.shape), self.scratch.take("mixed", *stream.shape)
        for block in range(len(w.project)):
            self._direct(stream, x)
            self._mix(x, block, w, mixed.reshape(*tokens.shape, x.shape[1]), past)
            stream += np.matmul(mixed, w.output[block], out=x)
            stream += w.output_bias[block]
            self._direct(stream, x)
            stream += np.matmul(self._hidden(x, block, w), w.contract[block], out=x)
            stream += self.folded_carried[block]
        self._direct(stream, x)
        np.matmul(x, w.head, out=logits)
        logits += w.head_bias

    def _direct(self, stream: Array, out: Array) -> None:
        """Rows that are already centred (..., D), divided by their lengths; `out` may be `stream`."""
        length = np.vecdot(stream, stream)  # (...)
        length += self.least
        np.sqrt(length, out=length)
        np.divide(stream, length[..., None], out=out)

    def _mix(self, x: Array, block: int, w: Weights, mixed: Array, past: Past | None) -> None:
        """Self-attention without its output projection: normal x (n T, D) -> mixed (n, T, D)."""
        width = x.shape[1]
        joined = np.matmul(x, w.project[block], out=self.scratch.take("wide", len(x), 3 * width))
        joined += w.project_bias[block]
        joined = joined.reshape(*mixed.shape[:2], 3 * width)
        q, k, v = joined[..., :width], joined[..., width : 2 * width], joined[..., 2 * width :]
        if past is not None:
            k, v = past.extend(block, k, v)
        self._attend_block(q, k, v, mixed)

    def _hidden(self, x: Array, block: int, w: Weights) -> Array:
        """x (M, D) -> (M, F): hidden units without the bias that is carried to the next one."""
        hidden = self.scratch.take("wide", len(x), w.expand.shape[2])
        np.matmul(x, w.expand[block], out=hidden)
        return np.maximum(hidden, -w.expand_bias[block], out=hidden)

    # -- the single operations -------------------------------------------------------------------------

    def embed(self, tokens: Array, start: int = 0) -> Array:
        self._check_tokens(tokens, start)
        x = self.weights.symbol.take(tokens, axis=0)
        x += self.weights.position[start : start + tokens.shape[1]]
        return x

    def normalize(self, x: Array, index: int) -> Array:
        self._check_width(x)
        normal = np.subtract(x, x @ self.averaging)
        self._direct(normal, normal)
        normal *= self.rooted[index]
        normal += self.weights.shift[index]
        return normal

    def attend(self, q: Array, k: Array, v: Array) -> Array:
        self._check_attention(q, k, v)
        mixed = np.empty(q.shape, np.float32)
        for part in _blocks(len(q), q.shape[1]):
            self._attend_block(q[part], k[part], v[part], mixed[part])
        return mixed

    def _attend_block(self, q: Array, k: Array, v: Array, out: Array) -> None:
        """q (n, Q, D), k and v (n, T, D) -> out (n, Q, D), divided by the sums only after the weighted sum."""
        past, time = k.shape[1] - q.shape[1], k.shape[1]
        scores = self.scratch.take("scores", len(q), self.heads, q.shape[1], time)
        queries = self._by_head(q * np.float32((q.shape[-1] // self.heads) ** -0.5))
        np.matmul(queries, self._by_head(k).swapaxes(-1, -2), out=scores)
        _raise(scores, self.seen[past:time, :time])
        mixed = np.matmul(scores, self._by_head(v), out=self._by_head(out))
        mixed /= scores @ self.ones[:time]

    def feed_forward(self, x: Array, block: int) -> Array:
        self._check_width(x)
        rows = np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1])
        out = np.empty(rows.shape, np.float32)
        for part in _blocks(len(rows)):
            hidden = self._hidden(rows[part], block, self.weights)
            np.matmul(hidden, self.weights.contract[block], out=out[part])
            out[part] += self.carried[block]
        return out.reshape(x.shape)

    def _dense(self, x: Array, weight: Array, bias: Array) -> Array:
        self._check_width(x)
        y = x.reshape(-1, x.shape[-1]) @ weight
        y += bias
        return y.reshape(*x.shape[:2], len(bias))


def _blocks(count: int, length: int = 1) -> list[slice]:
    """Slices of `count` sequences of `length` positions, each of at most `ROWS` positions or one sequence."""
    step = max(1, ROWS // length)
    return [slice(start, start + step) for start in range(0, count, step)]


def _raise(scores: Array, seen: Array) -> None:
    """exp(scores), 0 where a later position is; (..., Q, T) in place, `seen` is (Q, T).

    Softmax takes the largest off first lest exp overflow. Where nothing can, that costs two passes for nothing.
    """
    if scores.max(initial=0) > SAFE_SCORE or scores.min(initial=0) < -SAFE_SCORE:
        scores[..., seen == 0] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    if len(seen) > 1:  # the last position sees everything
        scores *= seen


# -- v4 ------------------------------------------------------------------------------------------------


class CompiledEngine(FusedEngine):
    """Kernels v4: what numpy is slow at is compiled by numba, what BLAS is good at stays with BLAS.

    A compiled norm reads each row once: scale, shift and mean cost nothing, and no folded weights are kept.
    """

    version, name = 4, f"v4 numba: norms, embedding and steps compiled, blocks of {ROWS} positions"

    def _prepare(self) -> None:
        _numba()  # compiles now, not while somebody measures

    def _predict(self, tokens: Array, logits: Array, past: Past | None = None) -> None:
        w, kernels, start = self.weights, _numba(), past.count if past else 0
        stream = self._embed_into(tokens, start, self.scratch.take("stream", *tokens.shape, w.symbol.shape[1]))
        stream = stream.reshape(-1, stream.shape[-1])  # (n T, D)
        x, mixed = self.scratch.take("normal", *stream.shape), self.scratch.take("mixed", *stream.shape)
        kernels.normalize(stream, w.scale[0], w.shift[0], x)
        for block in range(len(w.project)):
            self._mix(x, block, w, mixed.reshape(*tokens.shape, x.shape[1]), past)
            np.matmul(mixed, w.output[block], out=x)
            second, following = 2 * block + 1, 2 * block + 2
            kernels.add_normalize(stream, x, w.output_bias[block], w.scale[second], w.shift[second])
            np.matmul(self._hidden(x, block, w), w.contract[block], out=x)
            kernels.add_normalize(stream, x, self.carried[block], w.scale[following], w.shift[following])
        np.matmul(x, w.head, out=logits)
        logits += w.head_bias

    def embed(self, tokens: Array, start: int = 0) -> Array:
        self._check_tokens(tokens, start)
        return self._embed_into(tokens, start, np.empty((*tokens.shape, self.weights.symbol.shape[1]), np.float32))

    def _embed_into(self, tokens: Array, start: int, out: Array) -> Array:
        w, places = self.weights, np.ascontiguousarray(tokens, np.int64)
        if not _numba().embed(places, w.symbol, w.position[start : start + tokens.shape[1]], out):
            out[...] = super().embed(tokens, start)  # counts from the end where negative, or says what is wrong
        return out

    def normalize(self, x: Array, index: int) -> Array:
        self._check_width(x)
        rows = np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1])
        normal = np.empty(x.shape, np.float32)
        _numba().normalize(rows, self.weights.scale[index], self.weights.shift[index], normal.reshape(rows.shape))
        return normal

    def step(self, tokens: Array, past: int, keys: Array, values: Array) -> Array:
        if len(tokens) > FEW:
            return super().step(tokens, past, keys, values)
        self._check_step(tokens, past, keys, values)
        w = self.weights
        logits = np.empty((len(tokens), len(w.head_bias)), np.float32)
        places = np.ascontiguousarray(tokens, np.int64)
        if not _numba().step(places, past, self.heads, keys, values, *vars(w).values(), logits):
            raise IndexError(f"tokens must be 0 to {len(w.symbol) - 1}, got {tokens.min()} to {tokens.max()}")
        return logits


def _numba() -> ModuleType:
    """The compiled kernels; imported when the first engine needs them."""
    from tinytorch.core import transformer_numba

    return transformer_numba


ENGINES: tuple[type[TransformerEngine], ...] = (
    LoopEngine,
    TransformerEngine,
    BatchedEngine,
    FusedEngine,
    CompiledEngine,
)
