"""Starts a worker behind as many walls as asked for, and asks it one thing at a time by the referee's own clock.

Layers: `limits`, `landlock` and `seccomp` are closed by the worker itself (jail), `bubblewrap` stands around it.
Does not: decide which layers hold on this machine (levels), what is measured (rounds) or whether it is right.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import mmap
import os
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import tinytorch
from autograder.referee import protocol
from tinytorch.perf.workloads.archive import FILES

LAYERS = ("limits", "landlock", "seccomp", "bubblewrap")
ROOT = Path(tinytorch.__file__).parents[1]  # tinytorch and autograder lie in it
MEMORY_BYTES, CPU_S, FILE_BYTES = 3 << 30, 120, 1 << 20
START_S, BUILD_S, CALL_S = 30.0, 30.0, 5.0  # the longest that each may take
KEPT = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # which kernels BLAS takes: the same for all models
ASK_PERSONALITY, NO_RANDOM_ADDRESSES = 0xFFFFFFFF, 0x0040000  # of linux/personality.h
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
BUILT_IN_ERRORS = {name for name, each in vars(builtins).items() if isinstance(each, type) and "Error" in name}
NO_ARRAYS = ("NoneType", "Tensor", "list", "tuple", "dict", "str", "int", "float", "float32", "float64", "matrix")
START = (
    "import sys; sys.path[:0] = sys.argv[5:]; from autograder.referee.worker import main; "
    "main(*map(int, sys.argv[1:5]))"
)


class WorkerError(RuntimeError):
    """A worker died, hung, refused or answered what it was not asked; `check` names which.

    `who` is the name of the worker, where it is known.
    """

    def __init__(self, check: str, message: str, who: str = "") -> None:
        super().__init__(message)
        self.check, self.who = check, who


@dataclass(frozen=True)
class Setup:
    """What a worker is to serve, and behind which walls."""

    source: str  # text of submission.py
    weights: Mapping[str, np.ndarray]
    kernel: str | None = None  # path of the compiled kernel.c
    kernel_off: bool = False
    layers: Collection[str] = LAYERS
    keep_freed_memory: bool = True  # steadier times; False where memory is measured
    name: str = "entry"
    environment: Mapping[str, str] = field(default_factory=dict)  # beside the fixed one


def environment(setup: Setup) -> dict[str, str]:
    """All that a worker's environment holds: the same for the baseline and every entry, and nothing of ours."""
    fixed = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "HOME": "/", "TMPDIR": "/"}
    fixed |= dict.fromkeys(THREADS, "1")
    fixed["TINYTORCH_MACHINE_CODE"] = "read"  # what was compiled of the library need not be compiled again
    return fixed | {name: os.environ[name] for name in KEPT if name in os.environ} | dict(setup.environment)


def import_path() -> list[str]:
    """Where a worker finds tinytorch, autograder and the packages that are installed here."""
    packages = [*site.getsitepackages(), str(Path(np.__file__).parents[1])]
    return list(dict.fromkeys([str(ROOT), *packages]))


def readable() -> list[str]:
    """What a worker may read: the system's libraries, Python, packages and our code, never the data or weights."""
    system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/dev/zero"]
    ours = [str(path) for path in (ROOT / "tinytorch", ROOT / "autograder" / "referee")]
    ours += [str(ROOT / "autograder" / "__init__.py")]
    wanted = [*system, sys.base_prefix, sys.prefix, *import_path()[1:], *ours]
    return list(dict.fromkeys(part for path in wanted for part in all_but(Path(path), FILES)))


def all_but(path: Path, hidden: Path) -> Iterator[str]:
    """Paths that together are everything under `path` but `hidden`."""
    if not hidden.is_relative_to(path):
        yield str(path)
    elif path != hidden:
        for child in path.iterdir():
            yield from all_but(child, hidden)


def bubblewrap(setup: Setup, info: int) -> list[str]:
    """The command that puts a worker into namespaces of its own, with a tree of what it may read."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1"]
    command += ["--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    command += ["--info-fd", str(info), "--proc", "/proc", "--dev", "/dev"]
    for path in (*readable(), *([setup.kernel] if setup.kernel else [])):
        if path.startswith("/dev/") or not os.path.exists(path):
            continue
        linked = os.path.islink(path) and path in ("/lib", "/lib64")
        command += ["--symlink", os.readlink(path), path] if linked else ["--ro-bind", path, path]
    return [*command, "--chdir", "/"]


class Worker:
    """One worker process. It answers one order at a time; what it does beyond that is its own loss.

    Use as a context manager: the process is killed at the end, never asked.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup, self.name = setup, setup.name
        self.answered_cpu_s = self.answered_wall_s = 0.0
        self._files: list[int] = []
        self._has_seen_inputs = False
        self._scratch = tempfile.mkdtemp(prefix="referee-")
        self._inputs, inputs = self._shared("inputs", protocol.INPUT_BYTES)
        self._outputs, outputs = self._shared("outputs", protocol.OUTPUT_BYTES)
        orders, self._orders = os.pipe()
        self._replies, replies = os.pipe()
        self._files += [self._orders, self._replies]
        self._process = self._start([orders, replies, inputs, outputs])
        self._introduce()

    def _shared(self, name: str, size: int) -> tuple[mmap.mmap, int]:
        """Memory that the worker sees too, and its descriptor."""
        if hasattr(os, "memfd_create"):
            file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        else:
            file, path = tempfile.mkstemp(dir=self._scratch)
            os.unlink(path)
        os.ftruncate(file, size)
        if hasattr(os, "memfd_create"):
            import fcntl  # not everywhere

            # Without these a worker could make it shorter, and the referee would die where it reads.
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return mmap.mmap(file, size), file

    def _start(self, handed: list[int]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", "-B", "-c", START, *map(str, handed), *import_path()]
        info = -1
        passed = list(handed)
        if "bubblewrap" in self.setup.layers:
            self._info, info = os.pipe()
            self._files.append(self._info)
            passed.append(info)
            command = [*bubblewrap(self.setup, info), *command]
        try:
            with fixed_addresses():
                return subprocess.Popen(
                    command,
                    pass_fds=passed,
                    env=environment(self.setup),
                    cwd=self._scratch,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        finally:
            for file in passed:
                os.close(file)

    def _introduce(self) -> None:
        """Tell the worker what it is to serve; it does not answer before that is loaded."""
        weights = self.setup.weights
        message = {
            "weights": [[name, array.dtype.str, array.shape] for name, array in weights.items()],
            "source": self.setup.source,
            "kernel": self.setup.kernel,
            "kernel_off": self.setup.kernel_off,
            "keep_freed_memory": self.setup.keep_freed_memory,
            "layers": sorted(self.setup.layers),
            "readable": [*readable(), *([self.setup.kernel] if self.setup.kernel else [])],
            "memory_bytes": MEMORY_BYTES,
            "cpu_s": CPU_S,
            "file_bytes": FILE_BYTES,
        }
        protocol.write(self._inputs, list(weights.values()))
        text = json.dumps(message).encode()
        try:
            protocol.send(self._orders, len(text).to_bytes(8, "little") + text)
        except protocol.ProtocolError as error:
            raise WorkerError("worker starts", f"the worker ended at once: {self._end()}", self.name) from error

    def ready(self) -> None:
        """Wait until the submission is loaded and its model built. Raises WorkerError."""
        self._reply("submission loads", START_S)
        self.pid = self._find_pid()
        with self._alive():
            self._scheduler = os.open(f"/proc/{self.pid}/schedstat", os.O_RDONLY)
        self._files.append(self._scheduler)
        self.offered = self.build()

    def build(self) -> np.ndarray:
        """Let it build a model anew; which of the operations it offers."""
        self._order(protocol.BUILD, 0, 0, ())
        answers = self._reply("model builds", BUILD_S)
        return answers[0] if len(answers) == 1 and answers[0].shape == (7,) else np.zeros(7, np.int64)

    def _find_pid(self) -> int:
        if "bubblewrap" not in self.setup.layers:
            return self._process.pid
        return int(json.loads(os.read(self._info, 4096))["child-pid"])

    def call(
        self,
        code: int,
        given: Sequence[np.ndarray],
        shapes: Sequence[protocol.Shape],
        operation: int = 0,
        number: int = 0,
        check: str = "answers",
    ) -> tuple[list[np.ndarray], float]:
        """Answers of exactly `shapes`, and the CPU seconds of all the worker's threads that they took.

        The clock starts before the input can be seen and stops when the answer has been copied.

        Raises:
            WorkerError: it died, hung, refused, or answered in other shapes.
        """
        message = protocol.header(code, operation, number, given)
        protocol.poison(self._outputs, 8 * sum(int(np.prod(shape)) + 8 for shape in shapes))
        self._expect_silence()
        self._has_seen_inputs = True
        wall, start = time.perf_counter(), self.cpu_s()
        protocol.write(self._inputs, given)
        self._send(message)
        answers = self._reply(check, CALL_S)
        seconds = self.cpu_s() - start
        self.answered_cpu_s += seconds
        self.answered_wall_s += time.perf_counter() - wall
        if [answer.shape for answer in answers] != list(shapes):
            got, expected = told_shapes([answer.shape for answer in answers], shapes), ", ".join(map(str, shapes))
            raise WorkerError("exact shape", f"answered with {got}, expected shape {expected}", self.name)
        return answers, max(seconds, 1e-7)

    def _expect_silence(self) -> None:
        """Nothing may lie in the pipe before a question: it would be the answer to none."""
        if select.select([self._replies], [], [], 0)[0] and os.read(self._replies, 1):
            raise WorkerError("one answer a question", "the worker answered before it was asked", self.name)

    def _order(self, code: int, operation: int, number: int, given: Sequence[np.ndarray]) -> None:
        protocol.write(self._inputs, given)
        self._send(protocol.header(code, operation, number, given))

    def _send(self, message: bytes) -> None:
        try:
            protocol.send(self._orders, message)
        except protocol.ProtocolError as error:
            raise WorkerError("worker lives", f"the worker died: {self._end()}", self.name) from error

    def _reply(self, check: str, timeout_s: float) -> list[np.ndarray]:
        try:
            message = protocol.receive(self._replies, protocol.HEADER.size, timeout_s)
            code, _, number, kinds = protocol.parse(message)
            if code == protocol.REFUSED:
                count = min(max(number, 0), protocol.TEXT_LIMIT)
                words = protocol.receive(self._replies, count, timeout_s).decode("utf-8", "replace")
                raise WorkerError(check, harmless(words) if self._has_seen_inputs else printable(words), self.name)
            return protocol.read(self._outputs, kinds)
        except protocol.ProtocolError as error:
            self.kill()
            if "no answer" in str(error):
                raise WorkerError("answers in time", f"{error}; it was stopped", self.name) from error
            raise WorkerError(
                "worker lives", f"the worker broke off: {error}, {self._end()}", self.name
            ) from error

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """What the kernel cannot do for a process that has ended is the worker's end, not ours."""
        try:
            yield
        except OSError as error:
            raise WorkerError("worker lives", f"the worker died: {self._end()}", self.name) from error

    def waited_s(self) -> float:
        """Seconds that it was ready to run but had no core, so far: the kernel's word, not its own."""
        with self._alive():
            return int(os.pread(self._scheduler, 64, 0).split()[1]) * 1e-9

    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far, to the nanosecond: the kernel's word, not its own."""
        with self._alive():
            return time.clock_gettime_ns((~self.pid << 3) | 2) * 1e-9

    def pause(self) -> None:
        """Stop it, so that it cannot work while another is timed."""
        with self._alive():
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        with self._alive():
            os.kill(self.pid, signal.SIGCONT)

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def kill(self) -> None:
        for pid in {self._process.pid, getattr(self, "pid", self._process.pid)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _end(self) -> str:
        """How the process ended, in words."""
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            return "it did not end"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        self.kill()
        self._process.wait()
        for file in self._files:
            os.close(file)
        self._files = []
        self._inputs.close()
        self._outputs.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def workers(*setups: Setup) -> Iterator[list[Worker]]:
    """Workers that start at the same time; all are ready when the block begins, and dead after it.

    One that is appended to the list is closed with the others.
    """
    started: list[Worker] = []
    try:
        for setup in setups:
            started.append(Worker(setup))
        yield _all_ready(started)
    finally:
        for worker in started:
            worker.close()


@contextmanager
def workers_to_come(*setups: Setup) -> Iterator[Future[list[Worker]]]:
    """Workers that get ready while something else is done; `result()` waits. All are dead after the block."""
    started: list[Worker] = []
    try:
        for setup in setups:
            started.append(Worker(setup))
        with ThreadPoolExecutor(1) as waiting:
            try:
                yield waiting.submit(_all_ready, started)
            finally:
                for worker in started:
                    worker.kill()
    finally:
        for worker in started:
            worker.close()


def _all_ready(started: list[Worker]) -> list[Worker]:
    for worker in started:
        worker.ready()
    return started


@contextmanager
def standing_still(stopped: Sequence[Worker]) -> Iterator[None]:
    """These workers are stopped while others are timed."""
    for worker in stopped:
        worker.pause()
    try:
        yield
    finally:
        for worker in stopped:
            worker.resume()


@contextmanager
def one_core() -> Iterator[None]:
    """What starts inside, on one core: processes take turns anyway, and waking another one costs 50 us."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def fixed_addresses() -> Iterator[None]:
    """What starts inside has stack, heap and libraries where every other such process has them.

    At random places one of two equal workers was up to 15 % slower at batch 1 for its whole life, in a fifth of
    the runs. Where the system cannot (none but Linux, some containers) the places stay random.

    Source: Mytkowicz and others, Producing Wrong Data Without Doing Anything Obviously Wrong!, ASPLOS 2009.
    """
    personality = getattr(ctypes.CDLL(None), "personality", None) if sys.platform == "linux" else None
    before = -1 if personality is None else personality(ctypes.c_ulong(ASK_PERSONALITY))
    if personality is None or before == -1 or personality(ctypes.c_ulong(before | NO_RANDOM_ADDRESSES)) == -1:
        yield
        return
    try:
        yield
    finally:
        personality(ctypes.c_ulong(before))


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def harmless(words: str) -> str:
    """A worker's words once it has seen graded inputs: none that could carry them out.

    Only what it could have said without them: the kind of a built-in error, or that an answer is no array.
    """
    name = words.partition(" ")[0].rstrip(":")
    if name in BUILT_IN_ERRORS:
        return f"{name} (run the same model in practice to read the message)"
    if words in {f"returned {kind}, expected a numpy array" for kind in NO_ARRAYS}:
        return words
    if words.startswith("returned "):
        return "returned something else than a plain numpy array of numbers"
    return "an error of a kind of its own (run the same model in practice to read the message)"


def told_shapes(found: Sequence[protocol.Shape], expected: Sequence[protocol.Shape]) -> str:
    """Shapes that are made of expected sizes, in words; others could carry out what a worker has seen."""
    known = {1, *(size for shape in expected for size in shape)}
    if not found:
        return "nothing"
    if {size for shape in found for size in shape} <= known:
        return "shape " + ", ".join(map(str, found))
    return "another shape"


def printable(words: str) -> str:
    """A student's words on one line, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in words)[: protocol.TEXT_LIMIT]
