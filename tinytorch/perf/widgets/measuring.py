"""An entry measured in a forked child: what it says on the way, its result, and an end at once if not wanted.

The child is a copy of this process, so it knows the notebook's own classes; nothing that it does comes back except
lines of JSON in a pipe. Does not: store, judge or show.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from tinytorch.perf.widgets.easel import WidgetError

Message = Mapping[str, Any]  # {"stage": words, "share": 0..1}, {"result": ...}, {"error": words, "kind": class}

# Who does it, by which method, what it is called, and where the bar stands when it begins; in this order.
STAGES = (
    ("tinyperf", "load_benchmark", "loading the event", 0.02),
    ("profiler", "measure_quality", "checking the answers", 0.05),
    ("profiler", "measure_resources", "measuring memory and size", 0.15),
    ("profiler", "measure_rounds", "timing: finding the size of a block", 0.25),
    ("innovation_detector", "analyze_innovation", "looking for techniques", 0.9),
)
ROUNDS_FROM, ROUNDS_TO, LEAST_ROUNDS = 0.3, 0.9, 12
SELDOM_S = 0.1  # from one word about rounds to the next: a pipe that is full would stop the clock
LONGEST_WORDS = 500


class Competition(Protocol):
    """What is asked of a competition; `TinyMLPerfCompetitionPlus` has it, the notebook's and the library's."""

    store: Any

    def submit_entry(self, *words: Any, **more: Any) -> Mapping[str, Any]:
        """Measure, judge, and end with `self.store.append(...)`."""


class Measurement:
    """One entry on its way: `messages()` until it ends, `cancel()` at any time and from any thread."""

    def __init__(self, competition: Competition, **entry: Any) -> None:
        """Fork; `entry` are the arguments of `submit_entry`.

        Raises:
            WidgetError: this system cannot fork.
        """
        if not hasattr(os, "fork"):
            raise WidgetError("this system cannot fork a process; call competition.submit_entry(...) instead")
        self._reader, writer = os.pipe()
        with warnings.catch_warnings():
            # The child draws and shows nothing: it takes none of the locks that a thread here may hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            _child(competition, entry, writer)
        os.close(writer)
        with contextlib.suppress(OSError):  # the child does the same: whoever is first
            os.setpgid(self.pid, self.pid)
        self.cancelled = False
        self._lock, self._over = threading.Lock(), False

    def messages(self) -> Iterator[Message]:
        """What the child says, in order, to its last word; then it is gone for good, with all that it started."""
        rest = b""
        try:
            while part := os.read(self._reader, 1 << 16):
                *lines, rest = (rest + part).split(b"\n")
                for message in map(json.loads, lines):
                    yield message
                    if "stage" not in message:  # what the model has started may keep the pipe open
                        return
        finally:
            os.close(self._reader)
            self._end(wait=True)

    def cancel(self) -> None:
        """End the child and whatever it has started, at once."""
        self.cancelled = True
        self._end()

    def _end(self, wait: bool = False) -> None:
        with self._lock:
            if self._over:  # waited for: the number may be another process's by now
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
                os.killpg(self.pid, signal.SIGKILL)
            if wait:
                os.waitpid(self.pid, 0)
                self._over = True


# ---------------------------------------------------------------- in the child


def _child(competition: Competition, entry: Mapping[str, Any], writer: int) -> None:
    """Never returns: this is a copy of a kernel, and must not act as one."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)  # a group of its own: ended as one, and not by an interrupt of the kernel
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")

    def say(**message: Any) -> None:
        _write(writer, json.dumps(message).encode() + b"\n")

    try:
        say(result=_measured(competition, entry, say))
    except BaseException as error:  # all of it must reach the parent
        say(error=str(error)[:LONGEST_WORDS], kind=type(error).__name__)
    finally:
        os._exit(0)  # also if nobody listens any more


def _write(writer: int, line: bytes) -> None:
    while line:
        line = line[os.write(writer, line) :]


def _measured(competition: Competition, entry: Mapping[str, Any], say: Callable[..., None]) -> dict[str, Any]:
    """What the competition would have stored."""
    kept = _Kept()
    own = copy.copy(competition)
    own.store = kept
    for holder, method, words, share in STAGES:
        _announce(getattr(own, holder, None), method, lambda w=words, s=share: say(stage=w, share=s))  # type: ignore[misc]
    _announce(getattr(own, "profiler", None), "measure_round", _rounds(say), before=False)
    own.submit_entry(**entry)
    return kept.submission


class _Kept:
    """A store that keeps the one submission for the parent, who has the real one."""

    def __init__(self) -> None:
        self.submission: dict[str, Any] = {}

    def append(self, submission: Mapping[str, Any]) -> Mapping[str, Any]:
        self.submission = dict(submission)
        return submission


def _announce(holder: Any, method: str, tell: Callable[[], None], before: bool = True) -> None:
    """Tell each time a method of this one object begins or ends; what is not there is not told."""
    inner = getattr(holder, method, None)
    if not callable(inner):
        return

    def told(*given: Any, **more: Any) -> Any:
        if before:
            tell()
        answer = inner(*given, **more)
        if not before:
            tell()
        return answer

    setattr(holder, method, told)


def _rounds(say: Callable[..., None]) -> Callable[[], None]:
    """Told between two rounds, never inside one: nothing is being timed then."""
    done, last = 0, 0.0

    def tell() -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last < SELDOM_S:
            return
        last = time.monotonic()
        share = ROUNDS_FROM + (ROUNDS_TO - ROUNDS_FROM) * min(1.0, done / (2 * LEAST_ROUNDS))
        say(stage=f"timing: round {done} done, at least {LEAST_ROUNDS}", share=share)

    return tell
