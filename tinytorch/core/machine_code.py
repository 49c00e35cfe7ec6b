"""Compiles kernels by numba and keeps their machine code on disk, where later processes find it. Needs numba.

A process that may write nothing (the referee's workers) can still read what another has kept: numba itself would
not look into a folder that it cannot write to. Does not: hold kernels (kernels_numba.py, transformer_numba.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

import numba
from numba.core import caching

READ_ONLY = "TINYTORCH_MACHINE_CODE"  # environment variable; "read": what is kept is used, nothing is written

# What a sum may do to be vectorised; infinities and NaN stay what they are.
FAST_MATH = {"reassoc", "contract", "nsz"}


def compiled(*signature: Any, inline: Literal["always", "never"] = "never") -> Callable[[Any], Any]:
    """Compile a function: now, for these argument types, or (without any) together with one that calls it."""

    def decorate(function: Any) -> Any:
        types = [signature] if signature else None
        try:
            return numba.njit(types, fastmath=FAST_MATH, inline=inline, cache=True)(function)
        except RuntimeError:  # there is no folder to keep the machine code in: compile in every process
            return numba.njit(types, fastmath=FAST_MATH, inline=inline)(function)

    return decorate


def only_read() -> None:
    """From now on this process uses machine code that lies beside the sources, and writes none."""

    def nothing(*_: Any) -> None:
        """In place of a step that writes."""

    writing: list[tuple[type, str]] = [
        (caching.InTreeCacheLocator, "ensure_cache_path"),
        (caching.Cache, "save_overload"),
    ]
    for kind, step in writing:
        setattr(kind, step, nothing)


if os.environ.get(READ_ONLY) == "read":
    only_read()
