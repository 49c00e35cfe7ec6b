"""The one exception of this room, and the check that all of it needs."""

from __future__ import annotations


class WorkloadError(ValueError):
    """An event, a split, a size or a data file is not what it should be; the message says what to do."""


def at_least_one(name: str, count: int) -> int:
    """`count` itself.

    Raises:
        WorkloadError: it is zero or negative.
    """
    if count < 1:
        raise WorkloadError(f"{name} is {count}, at least 1 is needed")
    return count
