"""One side of a match: a worker that is asked for answers, and whose valid answers are kept to be graded.

Also the Decathlon's chain: the referee hands every operation's result to the next, so an operation that is timed
is one that is graded. Does not: compare two sides (rounds) or judge the answers' quality (officiate).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np

from autograder.referee import protocol
from autograder.referee.sandbox import Worker, WorkerError
from autograder.referee.worker import OPERATIONS
from tinytorch.perf.workloads.events import Event
from tinytorch.perf.workloads.scenarios import GENERATED, PROMPT

WIDTH, BLOCKS = 64, 2  # of the Decathlon's baseline, whose operations' shapes are the agreement
FLOATS = tuple(map(np.dtype, ("f2", "f4", "f8")))
CONTINUES = "generation continues the prompt"  # name of a check
CASE_OF = {"output": "project"}  # the output projection is timed with the others

Times: TypeAlias = dict[str, float]


class Court:
    """Who may run: the workers of one side at a time, all others are stopped."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._sides = [[worker] for worker in workers]
        self._playing: list[Worker] = []
        for worker in workers:
            worker.pause()

    def join(self, worker: Worker, hands: Sequence[Worker]) -> None:
        """These run when `worker` runs."""
        self._side_of(worker).extend(hands)
        for each in hands:
            each.pause()

    def give(self, worker: Worker) -> None:
        if worker in self._playing:
            return
        for each in self._playing:
            with suppress(WorkerError):  # it has died, which is said where it is asked next
                each.pause()
        self._playing = self._side_of(worker)
        for each in self._playing:
            each.resume()

    def replace(self, old: Worker, new: Worker) -> None:
        """Take in a worker that was started for one that died."""
        side = self._side_of(old)
        side[side.index(old)] = new
        if side is not self._playing:
            new.pause()

    def _side_of(self, worker: Worker) -> list[Worker]:
        return next(side for side in self._sides if worker in side)


class Player:
    """Asks one worker, and checks what can be checked of an answer by itself.

    Each operation of the Decathlon has a worker of its own, a hand: in one that knows them all, the first could
    work out what the others will be asked for.

    Args:
        helper: whose operations are used where the worker has none; only for the Decathlon.
    """

    def __init__(self, worker: Worker, event: Event, court: Court, helper: Player | None = None) -> None:
        self.worker, self.event, self.court, self.helper = worker, event, court, helper
        self.calls = 0
        self.hands: dict[str, Worker] = {}

    def take(self, hands: Mapping[str, Worker]) -> None:
        """From now on each of these operations is asked of its own worker."""
        self.hands = dict(hands)
        self.court.join(self.worker, list(hands.values()))

    @property
    def workers(self) -> list[Worker]:
        """All that answer for this side."""
        return [self.worker, *self.hands.values()]

    @property
    def operations(self) -> set[str]:
        """Names of the operations that the worker's own model offers."""
        return {name for name, there in zip(OPERATIONS, self.worker.offered, strict=True) if there}

    def ask(
        self,
        code: int,
        given: Sequence[np.ndarray],
        shapes: Sequence[protocol.Shape],
        operation: int = 0,
        number: int = 0,
        worker: Worker | None = None,
    ) -> tuple[list[np.ndarray], float]:
        """Arrays of exactly `shapes` and CPU seconds, of a hand where one is named. Raises WorkerError."""
        asked = worker or self.worker
        self.court.give(asked)
        self.calls += 1
        return asked.call(code, given, shapes, operation, number)

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, float]:
        """Logits, finite, and CPU seconds."""
        (logits,), seconds = self.ask(protocol.PREDICT, (inputs,), [self.event.output_shape(inputs)])
        return finite(logits, "predict"), seconds

    def generate(self, prompt: np.ndarray) -> tuple[np.ndarray, float]:
        """The prompt and GENERATED tokens after it, and CPU seconds."""
        shape = (len(prompt), PROMPT + GENERATED)
        (tokens,), seconds = self.ask(protocol.GENERATE, (prompt,), [shape], number=GENERATED)
        if tokens.dtype.kind not in "iu" or not np.array_equal(tokens[:, :PROMPT], prompt):
            raise WorkerError(CONTINUES, "generate did not give the prompt and integers after it")
        if tokens.min() < 0 or tokens.max() >= self.event.classes:
            raise WorkerError(CONTINUES, "generate gave tokens outside of the alphabet")
        return tokens.astype(np.int64), seconds

    def operate(self, name: str, given: Sequence[np.ndarray], number: int = -1) -> tuple[list[np.ndarray], float]:
        """One operation's arrays, finite, and CPU seconds."""
        if self.helper is not None and name not in self.operations:
            return self.helper.operate(name, given, number)
        code = OPERATIONS.index(name)
        shapes = operation_shapes(name, given[0].shape, self.event.classes)
        hand = self.hands.get(name)
        results, seconds = self.ask(protocol.OPERATION, given, shapes, operation=code, number=number, worker=hand)
        return [finite(result, name) for result in results], seconds

    def chain(self, tokens: np.ndarray) -> tuple[np.ndarray, Times]:
        """The operations one after the other: logits (N, T, V), and CPU seconds by operation."""
        spent = dict.fromkeys((*OPERATIONS,), 0.0)

        def step(name: str, *given: np.ndarray, number: int = -1) -> list[np.ndarray]:
            results, seconds = self.operate(name, given, number)
            spent[name] += seconds
            return results

        (x,) = step("embed", tokens)
        for block in range(BLOCKS):
            q, k, v = step("project", *step("normalize", x, number=2 * block), number=block)
            x = x + step("output", *step("attend", q, k, v), number=block)[0]
            x = x + step("feed_forward", *step("normalize", x, number=2 * block + 1), number=block)[0]
        (logits,) = step("head", *step("normalize", x, number=2 * BLOCKS))
        return logits, spent

    def echo(self, given: Sequence[np.ndarray], shapes: Sequence[protocol.Shape]) -> float:
        """CPU seconds of a call of these shapes without a model in it: only a trusted worker is asked."""
        template = [np.zeros(shape, np.float32) for shape in shapes]
        self.ask(protocol.ECHO, template, shapes, number=1)
        return float(np.median([self.ask(protocol.ECHO, given, shapes)[1] for _ in range(3)]))


def operation_shapes(name: str, shape: protocol.Shape, symbols: int) -> list[protocol.Shape]:
    """Shapes that an operation answers with: (N, T, D), three of them for a projection, (N, T, V) for the head."""
    last = {"head": symbols}.get(name, WIDTH)
    return [(*shape[:2], last)] * (3 if name == "project" else 1)


def finite(array: np.ndarray, source: str) -> np.ndarray:
    """The array, if its values are finite floats; poison that was never overwritten is not."""
    if array.dtype not in FLOATS:
        raise WorkerError("float answers", f"{source} answered with {array.dtype}, expected floats")
    with np.errstate(over="ignore"):
        bad = int(array.size - np.isfinite(array.astype(np.float32)).sum())  # it is graded as float32
    if bad:
        raise WorkerError(
            "finite answers", f"{source} answered with {bad} values of {array.size} that are no numbers"
        )
    return array
