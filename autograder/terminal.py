"""What a long command shows while it works: lines as they come, and below them a bar where somebody looks.

The bar goes to stderr, and only to a terminal; the lines to stdout, to be kept. Does not: know what is done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def with_bar(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """The items, counted by a bar with the time that is left."""
    from tqdm import tqdm  # here: `doctor` must start without it, to say that it is missing

    yield from tqdm(items, total=total, unit=unit, disable=None, leave=False, smoothing=0.1)


def say(line: str) -> None:
    """A line above the bar, at once."""
    from tqdm import tqdm

    tqdm.write(line)
    sys.stdout.flush()
