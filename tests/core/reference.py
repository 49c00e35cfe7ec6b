"""The formulas a second time, as a textbook has them, so that tests have somebody else to ask.

Written in `autograd.numpy`: on plain arrays that is numpy, and the package `autograd` can differentiate it.
Loops where the library has one large product, einsum where it has loops. Imports nothing of ours.
"""

from __future__ import annotations

import autograd.numpy as np


def softmax(x, axis=-1):
    raised = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return raised / np.sum(raised, axis=axis, keepdims=True)


def cross_entropy(logits, targets):
    classes = logits.shape[-1]
    chosen = np.sum(softmax(logits) * np.eye(classes)[targets], axis=-1)
    return -np.mean(np.log(chosen))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def layer_norm(x, scale, shift, epsilon=1e-5):
    mean = np.mean(x, axis=-1, keepdims=True)
    variance = np.var(x, axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + shift


def linear(x, weight, bias):
    return np.einsum("...i,io->...o", x, weight) + bias


def conv2d(x, weight, bias):
    """One pixel of the output at a time."""
    size = weight.shape[2]
    rows, columns = x.shape[2] - size + 1, x.shape[3] - size + 1

    def pixel(i, j):  # (N, O)
        return np.sum(x[:, None, :, i : i + size, j : j + size] * weight, axis=(2, 3, 4)) + bias

    return _picture([[pixel(i, j) for j in range(columns)] for i in range(rows)])


def max_pool2d(x, size=2):
    rows, columns = x.shape[2] // size, x.shape[3] // size

    def pixel(i, j):  # (N, C)
        return np.max(x[:, :, size * i : size * (i + 1), size * j : size * (j + 1)], axis=(2, 3))

    return _picture([[pixel(i, j) for j in range(columns)] for i in range(rows)])


def _picture(pixels):
    """Nested lists [row][column] of (N, C) to (N, C, H, W)."""
    return np.transpose(np.array(pixels), (2, 3, 0, 1))


def causal_attention(q, k, v, heads):
    """All heads at once; a weight that may not look ahead is multiplied by zero."""
    size = q.shape[-1] // heads
    q, k, v = (np.reshape(each, (*each.shape[:2], heads, size)) for each in (q, k, v))  # (N, T, H, S)
    queries, keys = q.shape[1], k.shape[1]
    seen = np.arange(keys) <= np.arange(queries)[:, None] + keys - queries  # (Q, T)
    raised = np.exp(np.einsum("nqhs,nkhs->nhqk", q, k) / np.sqrt(size)) * seen
    weights = raised / np.sum(raised, axis=-1, keepdims=True)  # (N, H, Q, T)
    mixed = np.einsum("nhqk,nkhs->nqhs", weights, v)
    return np.reshape(mixed, (*mixed.shape[:2], heads * size))


def self_attention(x, wq, bq, wk, bk, wv, bv, wo, bo, heads):
    q, k, v = linear(x, wq, bq), linear(x, wk, bk), linear(x, wv, bv)
    return linear(causal_attention(q, k, v, heads), wo, bo)


def feed_forward(x, expand, expand_bias, contract, contract_bias):
    return linear(np.maximum(linear(x, expand, expand_bias), 0), contract, contract_bias)


def transformer_block(x, *weights, heads):
    """`weights` in the order of the block's parameters: norm 2, attention 8, norm 2, feed-forward 4."""
    x = x + self_attention(layer_norm(x, *weights[:2]), *weights[2:10], heads)
    return x + feed_forward(layer_norm(x, *weights[10:12]), *weights[12:])
