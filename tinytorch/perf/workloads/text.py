"""Shakespeare's plays as numbers: 66 symbols, one code 0..65 each, and windows to predict the next one in.

Does not: know the events, grade, or train.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinytorch.perf.workloads.archive import FILES, read_array
from tinytorch.perf.workloads.digits import SPLITS
from tinytorch.perf.workloads.errors import WorkloadError, at_least_one

LENGTH = 64  # symbols in a window


class Alphabet:
    """The symbols of a text in the order of their codes."""

    def __init__(self, symbols: str) -> None:
        self.symbols = symbols
        self._codes = {symbol: code for code, symbol in enumerate(symbols)}
        if len(self._codes) != len(symbols):
            raise WorkloadError(f"an alphabet names each symbol once, this one repeats some: {symbols!r}")

    def __len__(self) -> int:
        return len(self.symbols)

    def __repr__(self) -> str:
        return f"Alphabet({self.symbols!r})"

    def encode(self, text: str) -> np.ndarray:
        """Codes of the characters: (len(text),) uint8.

        Raises:
            WorkloadError: a character is not in the alphabet; names the first one and its place.
        """
        try:
            return np.fromiter((self._codes[symbol] for symbol in text), np.uint8, len(text))
        except KeyError as missing:
            symbol = missing.args[0]
            raise WorkloadError(
                f"character {symbol!r} at {text.index(symbol)} is not among the {len(self)} symbols "
                f"{self.symbols!r}; leave it out or replace it"
            ) from None

    def decode(self, codes: np.ndarray) -> str:
        """Characters of the codes.

        Raises:
            WorkloadError: a code lies outside 0..len(alphabet) - 1.
        """
        codes = np.asarray(codes)
        if codes.size and not (0 <= codes.min() and codes.max() < len(self)):
            raise WorkloadError(f"codes run from {codes.min()} to {codes.max()}, expected 0 to {len(self) - 1}")
        return "".join(self.symbols[code] for code in codes)


@cache
def load_alphabet() -> Alphabet:
    """The alphabet of the shipped plays."""
    return Alphabet(_stored("alphabet").tobytes().decode("ascii"))


def load_text(split: str) -> np.ndarray:
    """The plays of one split as codes, (n,) uint8, read-only: "train" (13), "public", "official" (one each).

    Raises:
        WorkloadError: there is no such split, or the data file is missing or damaged.
    """
    if split not in SPLITS:
        raise WorkloadError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    return _stored(split)


@cache
def _stored(name: str) -> np.ndarray:
    remedy = "make it again with `python -m tinytorch.perf.workloads.make_data text`"
    return read_array(FILES / "text.npz", name, remedy)


def windows(
    codes: np.ndarray, rng: np.random.Generator, count: int, length: int = LENGTH
) -> tuple[np.ndarray, np.ndarray]:
    """Windows from anywhere in a text, and for each of their symbols the one that follows.

    Returns:
        inputs (count, length) and targets (count, length), both int64; `targets[:, :-1]` is `inputs[:, 1:]`.

    Raises:
        WorkloadError: the text is too short for one window and its last target.
    """
    if len(codes) <= length:
        raise WorkloadError(f"the text has {len(codes)} symbols, at least {length + 1} are needed for a window")
    return windows_at(codes, rng.integers(len(codes) - length, size=at_least_one("count", count)), length)


def windows_at(codes: np.ndarray, starts: np.ndarray, length: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """Windows and targets, as `windows`, that begin at `starts` (count,)."""
    spans = sliding_window_view(codes, length + 1)[starts].astype(np.int64)  # (count, length + 1)
    return spans[:, :-1], spans[:, 1:]


def spliced(codes: np.ndarray, rng: np.random.Generator, count: int, length: int = LENGTH) -> np.ndarray:
    """Windows that are two pieces of the text joined at a random seam: (count, length) int64.

    A text of 100,000 symbols has only as many windows, so plain ones come twice within a few hundred draws;
    of these there are 10^11.
    """
    first, second = rng.integers(len(codes) - length, size=(2, count, 1))
    seam = rng.integers(1, length, size=(count, 1))
    steps = np.arange(length)
    return codes[np.where(steps < seam, first, second) + steps].astype(np.int64)
