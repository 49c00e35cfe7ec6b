"""What counting reaches: the bar a language model must clear to have learned more than letter statistics.

A table of n-grams with Witten-Bell smoothing (Witten and Bell 1991, method C): each order falls back on the
next shorter one in the measure in which its context was followed by ever new symbols.
`python -m tinytorch.perf.workloads.ngram` prints the table of the data sheet.
Does not: take part in an event.
"""

from __future__ import annotations

import numpy as np

from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.text import load_alphabet, load_text

ORDERS = range(7)  # 66**7 contexts with a next symbol still fit into an int64


def bits_per_character(train: np.ndarray, test: np.ndarray, order: int, symbols: int = 66) -> float:
    """Mean surprise in bits at the symbols of `test` after counting `train`, looking `order` symbols back.

    The first `order` symbols of `test` are only context. Order 0 knows how frequent each symbol is, no more.

    Raises:
        WorkloadError: the order is out of range, or a text is not longer than it.
    """
    if order not in ORDERS or min(len(train), len(test)) <= order:
        raise WorkloadError(f"order {order} with {len(train)} and {len(test)} symbols; 0 to 6, and longer texts")
    chance = np.full(len(test) - order, 1 / symbols)
    for length in range(order + 1):
        seen = _spans(train, length, symbols)
        asked = _spans(test, length, symbols)[order - length :]
        chance = _interpolate(seen, asked, chance, symbols)
    return float(-np.log2(chance).mean())


def _spans(codes: np.ndarray, length: int, symbols: int) -> np.ndarray:
    """Each symbol and the `length` before it as one number in base `symbols`: (len(codes) - length,)."""
    spans = np.zeros(len(codes) - length, np.int64)
    for start in range(length + 1):
        spans = spans * symbols + codes[start : start + len(spans)]
    return spans


def _interpolate(seen: np.ndarray, asked: np.ndarray, shorter: np.ndarray, symbols: int) -> np.ndarray:
    """(count + kinds * shorter) / (total + kinds): a context came `total` times, before `kinds` symbols."""
    spans, counts = np.unique(seen, return_counts=True)
    contexts, first, kinds = np.unique(spans // symbols, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, first)
    count = _look_up(spans, counts, asked)
    total = _look_up(contexts, totals, asked // symbols)
    kind = _look_up(contexts, kinds, asked // symbols)
    known = total > 0
    return np.where(known, (count + kind * shorter) / np.where(known, total + kind, 1), shorter)


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values of the wanted keys, 0 where there is none; keys are sorted."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


def main() -> None:
    """Print the table of the data sheet."""
    print(f"{'order':>5}  {'public':>6}  {'official':>8}   bits per character")  # noqa: T201
    for order in ORDERS:
        public, official = (
            bits_per_character(load_text("train"), load_text(split), order, len(load_alphabet()))
            for split in ("public", "official")
        )
        print(f"{order:>5}  {public:>6.3f}  {official:>8.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
