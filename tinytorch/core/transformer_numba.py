"""Kernels v4 of Module 16 for the transformer, compiled by numba: norms, embedding, a step. Needs tinytorch[fast].

They win where numpy passes over memory several times or is called for little work; large products stay with BLAS.
Importing this module compiles: some seconds the first time, a fraction of one later, because the machine code is
kept on disk. Does not: choose when it pays, check shapes (transformer_engine.py), or hold the cache (caching.py).
"""

from __future__ import annotations

import numba
import numpy as np

from tinytorch.core.machine_code import FAST_MATH, compiled
from tinytorch.core.tensor import Array

# Read-only arrays too, and only contiguous ones: any other type is an error instead of a slow recompilation.
FLOATS = [numba.types.Array(numba.float32, axes, "C", readonly=True) for axes in range(4)]
TOKENS = [numba.types.Array(numba.int64, axes, "C", readonly=True) for axes in range(3)]
ROWS, CUBE, CACHE = numba.float32[:, ::1], numba.float32[:, :, ::1], numba.float32[:, :, :, ::1]
EPSILON = np.float32(1e-5)  # of ops.layer_norm


# A part of the kernels that call it: a real call of a row would count references, which costs more than its work.
inlined = numba.njit(fastmath=FAST_MATH, inline="always")


# -- many positions ------------------------------------------------------------------------------------


@inlined
def add(a: Array, b: Array, out: Array) -> None:
    """out = a + b, all (D,); `out` may be one of them."""
    for d in range(len(out)):
        out[d] = a[d] + b[d]


@compiled(TOKENS[2], FLOATS[2], FLOATS[2], CUBE)
def embed(tokens: Array, symbol: Array, position: Array, out: Array) -> bool:
    """out[n, t] = symbol[tokens[n, t]] + position[t]; stops with False at a token that is none.

    Args:
        tokens:   (N, T) int64
        symbol:   (V, D)
        position: (T, D)
        out:      (N, T, D), is written
    """
    for n in range(tokens.shape[0]):
        for t in range(tokens.shape[1]):
            token = tokens[n, t]
            if not 0 <= token < len(symbol):
                return False
            add(symbol[token], position[t], out[n, t])
    return True


@inlined
def normalize_row(x: Array, scale: Array, shift: Array, out: Array) -> None:
    """(D,) -> (D,): mean 0, variance 1, then scale and shift."""
    share = np.float32(1) / np.float32(len(x))
    mean = np.float32(0)
    for d in range(len(x)):
        mean += x[d]
    mean *= share
    variance = np.float32(0)
    for d in range(len(x)):
        variance += (x[d] - mean) * (x[d] - mean)
    rate = np.float32(1) / np.sqrt(variance * share + EPSILON)
    for d in range(len(x)):
        out[d] = (x[d] - mean) * rate * scale[d] + shift[d]


@compiled(FLOATS[2], FLOATS[1], FLOATS[1], ROWS)
def normalize(x: Array, scale: Array, shift: Array, out: Array) -> None:
    """Layer norm of each row: x (M, D), scale and shift (D,) -> out (M, D)."""
    for m in range(len(x)):
        normalize_row(x[m], scale, shift, out[m])


@compiled(ROWS, ROWS, FLOATS[1], FLOATS[1], FLOATS[1])
def add_normalize(stream: Array, update: Array, bias: Array, scale: Array, shift: Array) -> None:
    """stream += update + bias, and then update = norm(stream); both (M, D) and written, the others (D,)."""
    for m in range(len(stream)):
        row, new = stream[m], update[m]
        for d in range(len(row)):
            row[d] += new[d] + bias[d]
        normalize_row(row, scale, shift, new)


# -- one position --------------------------------------------------------------------------------------


@inlined
def dense(x: Array, weight: Array, start: Array, out: Array) -> None:
    """out (M,) = start (M,) + x (K,) @ weight (K, M), four rows at a time to read and write `out` less."""
    for m in range(len(out)):
        out[m] = start[m]
    whole = len(x) // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        for m in range(len(out)):
            out[m] += a * weight[k, m] + b * weight[k + 1, m] + c * weight[k + 2, m] + d * weight[k + 3, m]
    for k in range(whole, len(x)):
        for m in range(len(out)):
            out[m] += x[k] * weight[k, m]


@inlined
def attend(q: Array, keys: Array, values: Array, heads: int, weights: Array, out: Array) -> None:
    """One query: q (D,), keys and values (T, D) -> out (D,); weights (T,) is room to work in.

    A head is a range of columns, not a slice, of which numba would not know that it is contiguous. It starts at
    head * size, which cannot be negative: where an index might be, numba wraps it, and nothing is vectorised.
    """
    size = len(q) // heads
    rate = np.float32(1) / np.sqrt(np.float32(size))
    for head in range(heads):
        first = head * size
        largest = np.float32(-np.inf)
        for t in range(len(keys)):
            score = np.float32(0)
            for d in range(size):
                score += q[first + d] * keys[t, first + d]
            weights[t] = score * rate
            largest = max(largest, weights[t])
        total = np.float32(0)
        for d in range(size):
            out[first + d] = 0
        for t in range(len(keys)):
            weight = np.exp(weights[t] - largest)
            total += weight
            for d in range(size):
                out[first + d] += weight * values[t, first + d]
        share = np.float32(1) / total
        for d in range(size):
            out[first + d] *= share


@compiled(
    TOKENS[1], numba.int64, numba.int64, CACHE, CACHE,
    FLOATS[2], FLOATS[2], FLOATS[2], FLOATS[2],
    FLOATS[3], FLOATS[2], FLOATS[3], FLOATS[2], FLOATS[3], FLOATS[2], FLOATS[3], FLOATS[2],
    FLOATS[2], FLOATS[1], ROWS,
)  # fmt: skip
def step(
    tokens: Array,
    past: int,
    heads: int,
    keys: Array,
    values: Array,
    symbol: Array,
    position: Array,
    scale: Array,
    shift: Array,
    project: Array,
    project_bias: Array,
    output: Array,
    output_bias: Array,
    expand: Array,
    expand_bias: Array,
    contract: Array,
    contract_bias: Array,
    head: Array,
    head_bias: Array,
    logits: Array,
) -> bool:
    """A transformer for one token of each sequence, at position `past`; stops with False at a token that is none.

    Args:
        tokens: (N,) int64
        keys, values: (B, N, context, D), are read before `past` and written there
        symbol ... head_bias: the fields of transformer_engine.Weights, in their order
        logits: (N, V), is written
    """
    width = symbol.shape[1]
    stream, x, mixed = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    joined, hidden = np.empty(3 * width, np.float32), np.empty(expand.shape[2], np.float32)
    weights = np.empty(past + 1, np.float32)
    for n in range(len(tokens)):
        if not 0 <= tokens[n] < len(symbol):
            return False
        add(symbol[tokens[n]], position[past], stream)
        for b in range(len(project)):
            normalize_row(stream, scale[2 * b], shift[2 * b], x)
            dense(x, project[b], project_bias[b], joined)
            for d in range(width):
                keys[b, n, past, d], values[b, n, past, d] = joined[width + d], joined[2 * width + d]
            attend(joined[:width], keys[b, n, : past + 1], values[b, n, : past + 1], heads, weights, mixed)
            dense(mixed, output[b], output_bias[b], x)
            add(stream, x, stream)
            normalize_row(stream, scale[2 * b + 1], shift[2 * b + 1], x)
            dense(x, expand[b], expand_bias[b], hidden)
            for k in range(len(hidden)):
                hidden[k] = max(hidden[k], np.float32(0))
            dense(hidden, contract[b], contract_bias[b], x)
            add(stream, x, stream)
        normalize_row(stream, scale[-1], shift[-1], x)
        dense(x, head, head_bias, logits[n])
    return True
