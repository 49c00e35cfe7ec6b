"""Handwritten digits: 5,000 real MNIST pictures, and the small changes that make fresh ones of them.

A picture is a row of 784 `uint8` pixels, 0 paper to 255 ink; on a canvas it is (28, 28, 1).
Copies lie one after the other: row `c * n + i` of a result is copy `c` of picture `i`.
All chance comes from the generator handed in, so the same seed gives the same pixels.
Does not: know the events, grade, or train.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinytorch.perf.workloads.archive import FILES, read_array
from tinytorch.perf.workloads.errors import WorkloadError, at_least_one

SPLITS = ("train", "public", "official")  # the array `split` of the file holds indices into this
SIDE = 28
SMALL = SIDE // 2
CHUNK = 128  # pictures warped at once: their coordinates, 0.4 MB each, stay in the cache

MAX_ROTATION = math.radians(6)
MAX_STRETCH = 0.06  # of width, height and shear
MAX_SHIFT = 1.0  # pixel


@dataclass(frozen=True, eq=False)
class Digits:
    """Pictures with their classes, read-only."""

    images: np.ndarray  # (n, 784) uint8
    labels: np.ndarray  # (n,) int64, 0..9

    def __len__(self) -> int:
        return len(self.labels)


@cache
def load_digits(split: str) -> Digits:
    """The digits of one split: "train" (3,000), "public" or "official" (1,000 each), as many of each class.

    Raises:
        WorkloadError: there is no such split, or the data file is missing or damaged.
    """
    if split not in SPLITS:
        raise WorkloadError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    mine = _stored("split") == SPLITS.index(split)
    images, labels = _stored("images")[mine], _stored("labels")[mine].astype(np.int64)
    images.setflags(write=False)
    labels.setflags(write=False)
    return Digits(images, labels)


@cache
def _stored(name: str) -> np.ndarray:
    remedy = "make it again with `python -m tinytorch.perf.workloads.make_data digits`"
    return read_array(FILES / "digits.npz", name, remedy)


def perturb(images: np.ndarray, rng: np.random.Generator, copies: int = 4, strength: float = 1.0) -> np.ndarray:
    """Copies of pictures, a little rotated (6 degrees), stretched and sheared (6 %) and shifted (1 pixel).

    Each amount is drawn evenly between minus and plus its limit. Pixels are interpolated in both directions,
    and what comes in from outside is paper.

    Args:
        images:   (n, 784) uint8.
        strength: by which all limits are multiplied.

    Returns:
        (copies * n, 784) uint8.
    """
    _check(images)
    rows = np.tile(np.arange(len(images)), at_least_one("copies", copies))
    warps = random_warps(rng, len(rows), strength)
    padded = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 2), (1, 2))).astype(np.float32)
    result = np.empty((len(rows), SIDE * SIDE), np.uint8)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        result[part] = _warp(padded, rows[part], warps[part]).reshape(-1, SIDE * SIDE)
    return result


def perturb_alike(images: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Pictures (n, 784) all changed by the same `warp` (1, 2, 3) of `random_warps`: at half the price."""
    _check(images)
    padded = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 2), (1, 2))).reshape(len(images), -1)
    x, y = (each.ravel() for each in _sources(warp))  # (784,)
    column, row = x.astype(np.int32), y.astype(np.int32)
    width = SIDE + 3
    corner, right, below = row * width + column, x - column, y - row

    def beside(step: int) -> np.ndarray:
        return padded.take(corner + step, axis=1).astype(np.float32)

    top, bottom = _mix(beside(0), beside(1), right), _mix(beside(width), beside(width + 1), right)
    return (_mix(top, bottom, below) + 0.5).astype(np.uint8)


def random_warps(rng: np.random.Generator, count: int, strength: float = 1.0) -> np.ndarray:
    """Maps from places in a new picture to places in the old, seen from the centre: (count, 2, 3) float32.

    The first two columns are the matrix on (x, y), the third is the shift in pixels.
    """
    angle = strength * rng.uniform(-MAX_ROTATION, MAX_ROTATION, count)
    wider, higher, shear = strength * rng.uniform(-MAX_STRETCH, MAX_STRETCH, (3, count))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # (2, 2, count)
    stretch = np.array([[1 + wider, shear], [np.zeros(count), 1 + higher]])
    warps = np.empty((count, 2, 3), np.float32)
    warps[:, :, :2] = np.einsum("abn,bcn->nac", rotation, stretch)
    warps[:, :, 2] = strength * rng.uniform(-MAX_SHIFT, MAX_SHIFT, (count, 2))
    return warps


def _warp(padded: np.ndarray, rows: np.ndarray, warps: np.ndarray) -> np.ndarray:
    """Pictures `rows` of `padded` (n, 31, 31), with one pixel of paper before and two after, warped."""
    x, y = _sources(warps)  # each (m, 28, 28)
    column, row = x.astype(np.int32), y.astype(np.int32)
    width = padded.shape[2]
    corner = row * width + column + (rows * width * width)[:, None, None]
    right, below = x - column, y - row  # shares of the neighbours, 0..1
    top = _mix(padded.take(corner), padded.take(corner + 1), right)
    bottom = _mix(padded.take(corner + width), padded.take(corner + width + 1), right)
    return (_mix(top, bottom, below) + 0.5).astype(np.uint8)


def _sources(warps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in the padded old picture each new pixel lies; far outside counts as just outside."""
    middle = (SIDE - 1) / 2
    across = np.arange(SIDE, dtype=np.float32) - middle
    a, b, shift = (warps[:, :, column, None, None] for column in range(3))  # (m, 2, 1, 1): x and y
    places = a * across + b * across[:, None] + (shift + middle)  # (m, 2, 28, 28)
    places = np.clip(places, -1, SIDE) + 1
    return places[:, 0], places[:, 1]


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + share * (second - first)


def shrink(images: np.ndarray) -> np.ndarray:
    """Pictures at half size, each pixel the rounded mean of 2 x 2: (n, 784) -> (n, 14, 14) uint8."""
    _check(images)
    wide = images.reshape(-1, SIDE, SIDE).astype(np.uint16)
    sums = wide[:, ::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, ::2] + wide[:, 1::2, 1::2]
    return ((sums + 2) // 4).astype(np.uint8)


def place(images: np.ndarray, rng: np.random.Generator, copies: int = 1) -> np.ndarray:
    """Small digit anywhere: pictures at half size, each on its own canvas, all 15 x 15 places alike.

    Args:
        images: (n, 784) uint8.

    Returns:
        (copies * n, 28, 28, 1) uint8.
    """
    small = np.tile(shrink(images), (at_least_one("copies", copies), 1, 1))
    return _scatter(small, SIDE, rng)[..., None]


def nudge(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures shifted by -1, 0 or 1 whole pixels in both directions, at a fifth of the price of `perturb`.

    Takes and gives (n, 784) uint8; a row or column that is pushed over the edge is lost.
    """
    _check(images)
    wide = _scatter(images.reshape(-1, SIDE, SIDE), SIDE + 2, rng)
    return wide[:, 1:-1, 1:-1].reshape(-1, SIDE * SIDE)


def _scatter(pictures: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Square pictures, each at a random place of its own empty square: (n, s, s) -> (n, side, side)."""
    count, size = pictures.shape[:2]
    canvas = np.zeros((count, side, side), np.uint8)
    top, left = rng.integers(side - size + 1, size=(2, count))
    places = sliding_window_view(canvas, (size, size), axis=(1, 2), writeable=True)  # (n, tops, lefts, s, s)
    places[np.arange(count), top, left] = pictures
    return canvas


def dither(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Toss the two lowest bits of each inked pixel: invisible, but no picture comes twice; paper stays."""
    noise = rng.integers(4, size=images.shape, dtype=np.uint8)
    return images ^ noise * (images > 3)


def _check(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != SIDE * SIDE:
        raise WorkloadError(f"pictures are {images.dtype} {images.shape}, expected uint8 (n, {SIDE * SIDE})")
