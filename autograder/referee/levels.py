"""Which walls hold on this machine: tried from inside, through the same door that every entry goes through.

A worker is given a submission that tries what it must be able to do and what it must not; a wall counts only if
all its controls come out right. Does not: trust a version number or the presence of a program.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

import numpy as np

from autograder.referee import protocol
from autograder.referee.jail import JailError
from autograder.referee.sandbox import LAYERS, Setup, WorkerError, workers
from tinytorch.perf.workloads.archive import FILES

LAYERS_OF = {1: ("limits",), 2: ("limits", "landlock", "seccomp"), 3: LAYERS}

# Executed, it would replace the prober; so a file that is not there: the wall says EPERM before the disk ENOENT.
EXEC = """
import errno, os
try:
    os.execv("/no/such/program", ["x"])
except OSError as error:
    assert error.errno == errno.ENOENT
"""

# What is made so outlives the process, and so it is taken away again where it could be made.
SYSTEM_V = """
import ctypes
system = ctypes.CDLL(None)
made = system.shmget(0, 4096, 0o1600)
assert made >= 0
system.shmctl(made, 0, None)
"""

# name of a control: (the layer it proves, or "" where it must succeed; the line that tries it)
CONTROLS = {
    "import the library": ("", "import tinytorch.core.models"),
    "start a thread": ("", "import threading; threading.Thread(target=int).start()"),
    "compile machine code": ("", "import mmap; mmap.mmap(-1, 4096, prot=7)"),
    "allocate 100 MB": ("", "bytearray(100 << 20)"),
    "allocate 8 GB": ("limits", "import mmap; mmap.mmap(-1, 8 << 30)"),
    "raise its own limits": ("seccomp", "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
    "read a file of the instructor": ("landlock", "open(SECRET).read()"),
    "read the data of the events": ("landlock", "open(DATA, 'rb').read(1)"),
    "list the processes": ("landlock", "import os; os.listdir('/proc')"),
    "write a file": ("landlock", "open(SECRET + '.new', 'w')"),
    "open a socket": ("seccomp", "import socket; socket.socket()"),
    "fork": ("seccomp", "import os; os.fork() or os._exit(0)"),
    "run a program": ("seccomp", EXEC),
    "signal the referee": ("seccomp", "import os; os.kill(os.getppid(), 0)"),
    "make shared memory of System V": ("seccomp", SYSTEM_V),
    "choose its own core": ("seccomp", "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))"),
    "be known by its number outside": ("bubblewrap", "import os; assert os.getpid() == OUTSIDE"),
    "be the user who started it": ("bubblewrap", "import os; assert os.getuid() != 65534"),
    "see that a file of the instructor is there": ("bubblewrap", "import os; os.stat(SECRET)"),
    "leave its namespaces": ("seccomp", "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0"),
}

SUBMISSION = """
import numpy as np
SECRET, DATA, CONTROLS = {secret!r}, {data!r}, {controls!r}

class Prober:
    def predict(self, outside):
        return np.array([[tried(line, int(outside[0, 0])) for line in CONTROLS]], np.float32)

def tried(line, outside):
    try:
        exec(line, {{"SECRET": SECRET, "DATA": DATA, "OUTSIDE": outside}})
    except BaseException:
        return 0.0
    return 1.0

def build(weights):
    return Prober()
"""


class LevelError(RuntimeError):
    """This machine cannot run a worker at all, or not at the level that was asked for."""


@dataclass(frozen=True)
class Level:
    """How well a worker is locked in, and what was found out on the way."""

    number: int
    layers: tuple[str, ...]
    notes: tuple[str, ...]  # why it is no higher

    @property
    def provisional(self) -> bool:
        """Level 1 keeps an entry from the verdict, but not from this machine's files."""
        return self.number < 2


def self_test(layers: Collection[str], promised: Collection[str] | None = None) -> list[str]:
    """Controls that came out wrong in a worker behind `layers`; empty if all walls of `promised` hold.

    Args:
        promised: layers whose controls must be denied; by default `layers`.

    Raises:
        LevelError: no worker came up.
    """
    promised = layers if promised is None else promised
    with tempfile.NamedTemporaryFile("w", prefix="instructor-") as secret:
        secret.write("labels")
        secret.flush()
        found = _probe(layers, secret.name)
    wrong = []
    for (name, (layer, _)), succeeded in zip(CONTROLS.items(), found, strict=True):
        if not layer and not succeeded:
            wrong.append(f"cannot {name}, but must")
        if layer in promised and succeeded:
            wrong.append(f"{layer}: can {name}")
    return wrong


def _probe(layers: Collection[str], secret: str) -> list[bool]:
    source = SUBMISSION.format(
        secret=secret,
        data=str(FILES / "digits.npz"),
        controls=[line for _, line in CONTROLS.values()],
    )
    try:
        with workers(Setup(source, {}, layers=tuple(layers), name="self-test")) as (worker,):
            pid = np.array([[worker.pid]])
            (found,), _ = worker.call(protocol.PREDICT, (pid,), [(1, len(CONTROLS))])
    except (WorkerError, JailError, OSError) as error:
        raise LevelError(f"no worker behind {', '.join(layers) or 'nothing'}: {error}") from error
    return [bool(value) for value in found[0]]


def find_level(at_most: int = 3, test: Callable[[Collection[str]], list[str]] = self_test) -> Level:
    """The highest level whose walls all hold here.

    Raises:
        LevelError: not even a plain worker with limits works.
    """
    notes: list[str] = []
    for number in range(at_most, 0, -1):
        layers = LAYERS_OF[number]
        try:
            wrong = test(layers)
        except LevelError as error:
            wrong = [str(error)]
        if not wrong:
            return Level(number, layers, tuple(notes))
        notes.append(f"level {number} does not hold here: {'; '.join(wrong)}")
    raise LevelError(". ".join(notes))


@cache
def level_here(at_most: int = 3) -> Level:
    """`find_level`, tried once in the life of this process."""
    return find_level(at_most)
