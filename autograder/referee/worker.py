"""What runs inside the jail: takes an order and an array, gives an array back. Nothing it says is believed.

It holds no clock, no label, no seed and no verdict, so there is nothing in here to steal or to forge. The
student's code is imported after the jail is closed. Does not: know whether it serves the baseline or an entry.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.referee import jail, protocol
from tinytorch.perf.machine import at_new_places, keep_freed_memory

OPERATIONS = ("embed", "normalize", "project", "attend", "output", "feed_forward", "head")
DISABLE_HUGE_PAGES = 41  # of linux/prctl.h
LEAST_MEMORY_TRACED = 1  # number of a MEMORY order that wants to know what tracemalloc sees


class RefusalError(RuntimeError):
    """The student's code cannot do what was ordered; the text goes to the referee."""


class Room:
    """The submission and the model it built."""

    def __init__(self, setup: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        self.weights = weights
        self.module = types.ModuleType("submission")
        self.module.__dict__["KERNEL"] = setup["kernel"]
        sys.modules["submission"] = self.module
        if setup["kernel_off"]:
            replace_kernels()
        self.source = setup["source"]
        self.model: Any = None
        self.template: Sequence[np.ndarray] = ()
        self._generate: Callable[[np.ndarray, int], np.ndarray] | None = None

    def load(self) -> None:
        """Run the submission's own lines."""
        exec(compile(self.source, "submission.py", "exec"), self.module.__dict__)
        if not callable(getattr(self.module, "build", None)):
            raise RefusalError("submission.py defines no build(weights)")

    def build(self) -> None:
        """A new model, its weights at new places in memory."""
        self.model = None
        self.model = self.module.build(at_new_places(self.weights, np.random.default_rng()))
        if not callable(getattr(self.model, "predict", None)):
            raise RefusalError("build(weights) gave no object with predict(inputs)")
        self._generate = getattr(self.model, "generate", None) or self.plain_generation

    def answer(self, code: int, operation: int, number: int, given: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """What an order other than PREDICT asks for: arrays; raises whatever the student's code raises."""
        if code == protocol.ECHO:  # what a call costs without a model; first it is told what to answer
            self.template = [array.copy() for array in given] if number else self.template
            return self.template
        if code == protocol.OPERATION:
            extra = (number,) if number >= 0 else ()
            result = self.model.ops[OPERATIONS[operation]](*given, *extra)
            return result if isinstance(result, tuple) else (result,)
        if code == protocol.GENERATE:
            assert self._generate is not None
            return (self._generate(given[0], number),)
        if code == protocol.BUILD:
            self.build()
            return (offered(self.model),)
        if code == protocol.MEMORY:
            return (self.memory(given[0], traced=number == LEAST_MEMORY_TRACED),)
        raise protocol.ProtocolError(f"unknown order {code}")

    def plain_generation(self, prompt: np.ndarray, count: int) -> np.ndarray:
        """Greedy continuation with nothing but predict: the whole prefix again for every token."""
        tokens = prompt
        for _ in range(count):
            tokens = np.concatenate([tokens, self.model.predict(tokens)[:, -1:].argmax(axis=-1)], axis=1)
        return tokens

    def memory(self, inputs: np.ndarray, traced: bool) -> np.ndarray:
        """Load the model anew and run it twice; bytes at the peak by tracemalloc, 0 where that was not asked.

        What only building took is not counted, what it left behind is. Once it was traced, no collection looks at
        what there is by now: it would use all of it, and the referee sees what is used.
        """
        import tracemalloc

        if traced:
            tracemalloc.start()
        self.model = self.module.build({name: array.copy() for name, array in self.weights.items()})
        if traced:
            tracemalloc.reset_peak()
        for _ in range(2):
            self.model.predict(inputs)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.model = None
        gc.collect()
        if traced:
            gc.freeze()
        trim()  # so that the next run's pages are seen to come
        return np.array([peak])


def offered(model: Any) -> np.ndarray:
    """Which of the operations the model has: (7,) 0 or 1."""
    own = getattr(model, "ops", {})
    unknown = set(own) - set(OPERATIONS)
    if unknown:
        raise RefusalError(f"unknown operations {sorted(unknown)} in ops; known: {', '.join(OPERATIONS)}")
    return np.array([name in own for name in OPERATIONS], np.int64)


def replace_kernels() -> None:
    """Make every function that numba would compile do nothing: who really uses one then answers otherwise."""
    try:
        import numba
    except ImportError:
        return

    def ghost(*arguments: Any, **_: Any) -> Any:
        if arguments and callable(arguments[0]) and not isinstance(arguments[0], type):
            return lambda *_a, **_k: None
        return lambda _function: lambda *_a, **_k: None

    for name in ("njit", "jit", "vectorize", "guvectorize", "cfunc"):
        setattr(numba, name, ghost)


def lock(setup: dict[str, Any]) -> None:
    """Close the jail, layer by layer."""
    if "limits" in setup["layers"]:
        jail.limit(setup["memory_bytes"], setup["cpu_s"], setup["file_bytes"])
    if "landlock" in setup["layers"]:
        jail.landlock(setup["readable"])
    if "seccomp" in setup["layers"]:
        jail.seccomp()


class Voice:
    """The worker's end of the pipes and of the shared memory.

    Attributes:
        questions: code, operation, number and arrays of each form of order that has come.
        forms:     where an array of such a dtype and shape lies in the outputs, and the message that it does.
    """

    def __init__(self, orders: int, replies: int, inputs: int, outputs: int) -> None:
        self.orders, self.replies = orders, replies
        self.inputs = mmap.mmap(inputs, protocol.INPUT_BYTES)
        self.outputs = mmap.mmap(outputs, protocol.OUTPUT_BYTES)
        self.questions: dict[bytes, tuple[int, int, int, list[np.ndarray]]] = {}
        self.forms: dict[tuple[np.dtype, protocol.Shape], tuple[np.ndarray, bytes]] = {}

    def new_question(self, message: bytes) -> tuple[int, int, int, list[np.ndarray]]:
        """What is ordered; raises ProtocolError where the other end is closed."""
        if len(message) != protocol.HEADER.size:
            raise protocol.ProtocolError(f"a message of {len(message)} bytes")
        code, operation, number, kinds = protocol.parse(message)
        self.questions[message] = code, operation, number, protocol.views(self.inputs, kinds)
        return self.questions[message]

    def new_form(self, array: np.ndarray) -> tuple[np.ndarray, bytes]:
        """Where the answer goes, and what is said then. Raises RefusalError where it is no plain array."""
        check_plain(array)
        (place,) = protocol.views(self.outputs, protocol.kinds_of((array,)))
        self.forms[array.dtype, array.shape] = place, protocol.header(protocol.DONE, 0, 0, (array,))
        return self.forms[array.dtype, array.shape]

    def say(self, operation: int, arrays: Sequence[np.ndarray]) -> None:
        """Give arrays back. Raises RefusalError where they are no plain arrays."""
        for array in arrays:
            check_plain(array)
        protocol.write(self.outputs, arrays)
        protocol.send(self.replies, protocol.header(protocol.DONE, operation, 0, arrays))

    def refuse(self, text: str) -> None:
        """Say why not, in at most TEXT_LIMIT bytes."""
        words = text.encode("utf-8", "replace")[: protocol.TEXT_LIMIT]
        protocol.send(self.replies, protocol.header(protocol.REFUSED, 0, len(words), ()) + words)


def check_plain(array: Any) -> None:
    """Raises RefusalError where it is no array that can lie in shared memory."""
    if type(array) is not np.ndarray:
        raise RefusalError(f"returned {type(array).__name__}, expected a numpy array")
    if array.dtype not in protocol.DTYPES or array.ndim > protocol.MOST_AXES:
        raise RefusalError(f"returned {array.dtype} {array.shape}, expected a plain array of numbers")


def obey(room: Room, voice: Voice) -> None:
    """One order after the other, until END or until the referee is gone.

    Nearly all goes the shortest way there is, and an echo the same way: it is on the clock, and an entry could put
    a shorter one in its place. Arrays lie in shared memory until the next order; who writes to them harms itself.
    """
    while True:
        message = os.read(voice.orders, protocol.HEADER.size)
        code, operation, number, given = voice.questions.get(message) or voice.new_question(message)
        if code == protocol.END:
            return
        try:
            answers: Sequence[np.ndarray]
            if code == protocol.PREDICT:
                answers = (room.model.predict(given[0]),)
            else:
                answers = room.answer(code, operation, number, given)
            if len(answers) == 1 and type(answers[0]) is np.ndarray:
                (answer,) = answers
                place, reply = voice.forms.get((answer.dtype, answer.shape)) or voice.new_form(answer)
                place[...] = answer
                os.write(voice.replies, reply)
            else:
                voice.say(operation, answers)
        except Exception as error:
            voice.refuse(words_of(error, private=code != protocol.BUILD))


def words_of(error: Exception, private: bool) -> str:
    """What the student is told; where graded inputs could be in the message, only its kind."""
    if isinstance(error, RefusalError) or not private:
        return f"{type(error).__name__}: {error}" if not isinstance(error, RefusalError) else str(error)
    return f"{type(error).__name__} (run the same model in practice to read the message)"


def main(orders: int, replies: int, inputs: int, outputs: int) -> None:
    """Read the setup, lock, load, then obey. Leaves with os._exit: no handler of the student's runs."""
    voice = Voice(orders, replies, inputs, outputs)
    length = int.from_bytes(protocol.receive(orders, 8), "little")
    setup = json.loads(protocol.receive(orders, length))
    names = setup["weights"]
    weights = dict(zip((name for name, *_ in names), arrays_of(voice, names), strict=True))
    try:
        if setup["keep_freed_memory"]:
            keep_freed_memory()
        else:
            small_pages()
        lock(setup)
        room = Room(setup, weights)
        room.load()
        voice.say(0, ())
    except (Exception, SystemExit) as error:
        voice.refuse(words_of(RefusalError(f"{type(error).__name__}: {error}"), private=False))
        os._exit(1)
    try:
        obey(room, voice)
    finally:
        os._exit(0)


def arrays_of(voice: Voice, names: list[Any]) -> list[np.ndarray]:
    """The weights, as the setup lists them."""
    kinds = tuple((np.dtype(dtype), tuple(shape)) for _, dtype, shape in names)
    return protocol.read(voice.inputs, kinds)


def small_pages() -> None:
    """No more huge pages, where Linux is asked: of one, the referee sees only that some part was used."""
    try:
        ctypes.CDLL(None).prctl(DISABLE_HUGE_PAGES, 1, 0, 0, 0)
    except (AttributeError, OSError, TypeError):
        return


def trim() -> None:
    """Give freed memory back to the system, where glibc can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return
