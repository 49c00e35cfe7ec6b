"""How the referee and its worker speak: a fixed header through a pipe, arrays through shared memory.

The same header goes both ways, so an echo costs what a call costs. Neither side unpickles anything, and the
referee believes nothing that a header says: it compares it with what it expects.
Does not: start, jail or time anybody.
"""

from __future__ import annotations

import math
import mmap
import os
import select
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]
Kinds: TypeAlias = tuple[tuple[np.dtype, Shape], ...]

# Orders to a worker; what each takes and gives is said at worker.Room.
BUILD, PREDICT, OPERATION, GENERATE, ECHO, MEMORY, END = range(1, 8)
DONE, REFUSED = 1, 2  # answers; REFUSED is followed by `number` bytes of text

DTYPES = tuple(map(np.dtype, ("u1", "i8", "f4", "f8", "f2", "i4", "i1", "u2", "i2", "u4", "u8", "?")))
MOST_ARRAYS, MOST_AXES, LINE = 3, 6, 64
INPUT_BYTES, OUTPUT_BYTES = 96 << 20, 32 << 20  # of shared memory; pages that nobody touches cost nothing
HEADER = struct.Struct("<BBBxi" + "BBxx6I" * MOST_ARRAYS)
TEXT_LIMIT = 400
POISON = 0xFF  # NaN in every float format, -1 in every signed integer


class ProtocolError(RuntimeError):
    """The other side did not say what it should, or said nothing in time."""


def header(code: int, operation: int, number: int, arrays: Sequence[np.ndarray]) -> bytes:
    """One message about `arrays`, which lie or will lie in shared memory one after the other."""
    return _header(code, operation, number, kinds_of(arrays))


def kinds_of(arrays: Sequence[np.ndarray]) -> Kinds:
    """Dtype and shape of each array."""
    return tuple([(array.dtype, array.shape) for array in arrays])


@lru_cache(1024)  # a batch of the same shape comes thousands of times, and all of this would be on the clock
def _header(code: int, operation: int, number: int, kinds: Kinds) -> bytes:
    fields: list[int] = []
    for dtype, shape in kinds:
        fields += (DTYPES.index(dtype), len(shape), *shape, *(0,) * (MOST_AXES - len(shape)))
    fields += [0] * (8 * (MOST_ARRAYS - len(kinds)))
    return HEADER.pack(code, operation, len(kinds), number, *fields)


@lru_cache(1024)
def parse(message: bytes) -> tuple[int, int, int, Kinds]:
    """Code, operation, number, and dtype and shape of each array. Raises ProtocolError."""
    code, operation, count, number, *fields = HEADER.unpack(message)
    if count > MOST_ARRAYS:
        raise ProtocolError(f"a message about {count} arrays, at most {MOST_ARRAYS} were agreed")
    kinds = []
    for at in range(0, 8 * count, 8):
        dtype, axes, *shape = fields[at : at + 8]
        if dtype >= len(DTYPES) or axes > MOST_AXES:
            raise ProtocolError(f"a message about dtype number {dtype} with {axes} axes")
        kinds.append((DTYPES[dtype], tuple(shape[:axes])))
    return code, operation, number, tuple(kinds)


@lru_cache(1024)
def places(kinds: Kinds, space: int) -> tuple[int, ...]:
    """Where each array begins in shared memory of `space` bytes. Raises ProtocolError where they do not fit."""
    starts, at = [], 0
    for dtype, shape in kinds:
        starts.append(at)
        at += -(-math.prod(shape) * dtype.itemsize // LINE) * LINE
    if at > space:
        raise ProtocolError(f"{at} bytes of arrays do not fit into {space} bytes of shared memory")
    return tuple(starts)


def write(memory: mmap.mmap, arrays: Sequence[np.ndarray]) -> None:
    """Copy `arrays` into shared memory."""
    for view, array in zip(views(memory, kinds_of(arrays)), arrays, strict=True):
        view[...] = array


def read(memory: mmap.mmap, kinds: Kinds) -> list[np.ndarray]:
    """Copies of the arrays in shared memory."""
    return [view.copy() for view in views(memory, kinds)]


def views(memory: mmap.mmap, kinds: Kinds) -> list[np.ndarray]:
    """The arrays in shared memory themselves."""
    starts = places(kinds, len(memory))
    return [np.ndarray(shape, dtype, memory, start) for (dtype, shape), start in zip(kinds, starts, strict=True)]


def poison(memory: mmap.mmap, count: int) -> None:
    """Overwrite the first `count` bytes, so that an answer that was never written is seen."""
    np.frombuffer(memory, np.uint8, min(count, len(memory)))[...] = POISON


def receive(pipe: int, count: int, timeout_s: float | None = None) -> bytes:
    """Exactly `count` bytes. Raises ProtocolError where the other end is closed or silent for `timeout_s`."""
    message = b""
    while len(message) < count:
        if timeout_s is not None and not select.select([pipe], [], [], timeout_s)[0]:
            raise ProtocolError(f"no answer in {timeout_s:.0f} s")
        part = os.read(pipe, count - len(message))
        if not part:
            raise ProtocolError("the other end is closed")
        if len(part) == count:
            return part  # nearly always
        message += part
    return message


def send(pipe: int, message: bytes) -> None:
    """All of `message`. Raises ProtocolError where nobody reads."""
    try:
        while message:
            message = message[os.write(pipe, message) :]
    except BrokenPipeError as error:
        raise ProtocolError("the other end is closed") from error
