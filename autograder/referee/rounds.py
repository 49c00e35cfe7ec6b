"""The match: baseline and entry in pairs, in random order, on inputs used once; what was timed is graded.

The clock is the CPU time of all threads of the worker, which the kernel keeps and the referee reads. What a call
costs without a model in it is measured on the baseline's worker, in the same round, and taken off both sides.
Does not: start workers, judge quality, or make scores of rounds (the notebook's functions do).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from autograder.referee.inputs import Batch, Source
from autograder.referee.players import CASE_OF, Player, Times, operation_shapes
from autograder.referee.sandbox import CALL_S, Worker, WorkerError
from autograder.referee.worker import OPERATIONS
from tinytorch.core.benchmarking import block_sizes, is_settled, round_medians
from tinytorch.perf.machine import no_garbage_collection
from tinytorch.perf.records import Round
from tinytorch.perf.workloads.events import Event
from tinytorch.perf.workloads.scenarios import PROMPT, speed_cases

LEAST_ROUNDS, MOST_ROUNDS = 12, 60
SHORTEST_S, LONGEST_S = 5e-4, 5e-3  # of a block
WARM_UPS = 2  # before a block, untimed: the first call after the other side's turn takes twice as long
MOST_TASKS = 48  # in a block: every answer is kept to be graded
TARGET = 0.01
SLOWEST = 20.0  # times the baseline: slower entries are not worth minutes of timing
REST_S = 2e-3  # of each round in which nothing is asked
LEAST_SHARE = 0.5  # of an echo's time that is left to a call at least: a worker could do without most of it
OPS_TIMED = ("embed", "normalize", "project", "attend", "feed_forward")


@dataclass
class Graded:
    """Answers that were timed, with what they should have been."""

    kinds: list[str] = field(default_factory=list)  # "batch 32" or "chain, batch 32"
    batches: list[Batch] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)
    generated: list[np.ndarray] = field(default_factory=list)
    head_s: list[tuple[float, float]] = field(default_factory=list)  # baseline's and entry's, untimed by the rules

    def keep(self, kind: str, batch: Batch, logits: np.ndarray) -> None:
        self.kinds.append(kind)
        self.batches.append(batch)
        self.logits.append(logits.astype(np.float32))


@dataclass(frozen=True)
class Block:
    """Tasks of one side that are timed right after each other."""

    tasks: int
    warm_ups: int  # more of them that come first and are not timed, though graded


def warm_ups(task_s: float) -> int:
    """How many a block needs: what caches cost the first calls is nothing to a task of LONGEST_S."""
    return WARM_UPS if task_s < SHORTEST_S else int(task_s < LONGEST_S)


@dataclass(frozen=True)
class Usage:
    """CPU and wall seconds of a worker, so far or in one round."""

    answering_cpu_s: float = 0.0
    answering_wall_s: float = 0.0
    between_cpu_s: float = 0.0  # CPU that was burnt while nothing was asked
    waited_s: float = 0.0  # ready to run, without a core
    calls: int = 0
    resting_cpu_s: float = 0.0  # CPU that was burnt while the referee slept for REST_S; the entry's alone


class Match:
    """All rounds of one entry against the baseline.

    Args:
        revive: starts the entry's worker again after it has died; done once.
    """

    def __init__(
        self,
        event: Event,
        baseline: Player,
        entry: Player,
        source: Source,
        rng: np.random.Generator,
        revive: Callable[[], Worker],
    ) -> None:
        self.event, self.source, self.rng, self.revive = event, source, rng, revive
        self.deaths = 0
        self.interludes: dict[int, list[Callable[[], None]]] = {}  # laws to try before a round, by its number
        self.problems: list[WorkerError] = []  # that they found
        self.players = (baseline, entry)
        self.graded = Graded()
        self.usage: list[tuple[Usage, Usage]] = []
        self.echoes: dict[str, list[float]] = {}
        self.answered_s: dict[str, list[float]] = {}  # CPU seconds of the entry's answers, by kind
        self._answers: list[tuple[str, Batch, np.ndarray]] = []
        self._cases = self._playable()

    # -- cases: what is timed, and how one task of it is played ------------------------------------------

    def _playable(self) -> dict[str, Callable[[Player, Batch], Times]]:
        """One entry for each kind of task; a task of the chain times five cases at once."""
        kinds: dict[str, Callable[[Player, Batch], Times]] = {}
        for size in self.event.batch_sizes:
            kinds[f"batch {size}"] = self._predict
        if self.event.rule == "decathlon":
            for size in self.event.batch_sizes:
                kinds[f"chain, batch {size}"] = self._chain
            kinds["generate"] = self._generate
        return kinds

    def _size(self, kind: str) -> int:
        return 1 if kind == "generate" else int(kind.rpartition(" ")[2])

    def _predict(self, player: Player, batch: Batch) -> Times:
        kind = f"batch {len(batch.inputs)}"
        logits, seconds = player.predict(batch.inputs)
        if player is self.players[1]:
            self.answered_s.setdefault(kind, []).append(seconds)
        self._answers.append((kind, batch, logits))
        return {kind: seconds}

    def _generate(self, player: Player, batch: Batch) -> Times:
        tokens, seconds = player.generate(batch.inputs[:, :PROMPT])
        if player is self.players[1]:
            self.graded.generated.append(tokens)
        return {"generate": seconds}

    def _chain(self, player: Player, batch: Batch) -> Times:
        """The chain's times by operation; the head's is kept beside, since no discipline counts it."""
        logits, spent = player.chain(batch.inputs)
        self._answers.append((f"chain, batch {len(batch.inputs)}", batch, logits))
        times: Times = {}
        for name, seconds in spent.items():
            case = f"{CASE_OF.get(name, name)}, batch {len(batch.inputs)}"
            times[case] = times.get(case, 0.0) + seconds
        return times

    # -- what a call costs without a model ---------------------------------------------------------------

    def _listen(self, kind: str) -> Times:
        """Seconds of the empty calls that a task of this kind is made of, by case, from the baseline's worker."""
        baseline, size = self.players[0], self._size(kind)
        tokens = self.source.batch(size).inputs
        if kind == "generate":
            return {kind: baseline.echo((tokens[:, :PROMPT],), [(1, 64)])}
        if not kind.startswith("chain"):
            return {kind: baseline.echo((tokens,), [self.event.output_shape(tokens)])}
        x = np.zeros((*tokens.shape, 64), np.float32)
        given = {"embed": (tokens,), "attend": (x, x, x)}
        calls = {"normalize": 5, "embed": 1, "head": 1}
        times: Times = {}
        for name in OPERATIONS:
            shapes = operation_shapes(name, tokens.shape, self.event.classes)
            cost = calls.get(name, 2) * baseline.echo(given.get(name, (x,)), shapes)
            case = f"{CASE_OF.get(name, name)}, batch {size}"
            times[case] = times.get(case, 0.0) + cost
        return times

    def _net(self, times: Times) -> Times:
        """Times less the empty calls."""
        net = {}
        for case, seconds in times.items():
            empty = float(np.median(self.echoes[case]))
            net[case] = max(seconds - empty, LEAST_SHARE * empty)
        return net

    # -- rounds ------------------------------------------------------------------------------------------

    def calibrate(self) -> dict[str, tuple[Block, Block]]:
        """What makes a block of each kind, for both sides; every call is graded like all others."""
        blocks = {}
        for kind in self._cases:
            self._hear(kind)
            batches = [self.source.batch(self._size(kind)) for _ in range(WARM_UPS + 3)]
            least = [
                min(sum(self._net(times).values()) for times in self._play(kind, player, batches))
                for player in self.players
            ]
            if least[1] > SLOWEST * least[0] + CALL_S / 10:
                raise WorkerError(
                    "answers in time",
                    f"'{kind}' takes {least[1]:.2g} s, over {SLOWEST:.0f} times the baseline's {least[0]:.2g} s",
                    self.players[1].worker.name,
                )
            sizes = block_sizes(least[0], least[1], SHORTEST_S, LONGEST_S)
            baseline, entry = (
                Block(min(size, MOST_TASKS), warm_ups(seconds)) for size, seconds in zip(sizes, least, strict=True)
            )
            blocks[kind] = baseline, entry
        return blocks

    def _hear(self, kind: str) -> None:
        for case, seconds in self._listen(kind).items():
            self.echoes.setdefault(case, []).append(seconds)

    def play(self, budget_s: float, least: int = LEAST_ROUNDS) -> list[Round]:
        """Rounds until the interval is narrow enough or the budget is spent, at least `least`."""
        for player in self.players:
            self._rebuild(player)
        blocks = self.calibrate()
        slice_s = max(5e-3, budget_s / 20 / len(blocks))
        rounds: list[Round] = []
        end = time.perf_counter() + budget_s
        cases = speed_cases(self.event)
        while len(rounds) < least or (time.perf_counter() < end and len(rounds) < MOST_ROUNDS):
            try:
                self._try_laws(len(rounds))
                rounds.append(self.round(blocks, slice_s, len(rounds)))
            except WorkerError as error:
                self._after_death(error)
            if len(rounds) >= least and is_settled(rounds, cases, TARGET):
                break
        return rounds

    def _try_laws(self, number: int) -> None:
        """Those whose turn it is: amid the match, so that a worker cannot tell what it is asked for."""
        for law in self.interludes.pop(number, []):
            try:
                law()
            except WorkerError as problem:
                if problem.check == "worker lives":
                    raise
                self.problems.append(problem)

    def _after_death(self, error: WorkerError) -> None:
        """Go on with a new worker where the entry's has died for the first time; the round is lost."""
        self.deaths += 1
        entry = self.players[1]
        if error.check != "worker lives" or error.who != entry.worker.name or self.deaths > 1:
            raise error
        old, entry.worker = entry.worker, self.revive()
        entry.court.replace(old, entry.worker)

    def _rebuild(self, player: Player) -> None:
        player.court.give(player.worker)
        for worker in player.workers:
            worker.build()

    def round(self, blocks: Mapping[str, tuple[Block, Block]], slice_s: float, number: int) -> Round:
        """Both models at new places, then pairs of every kind of task for `slice_s` each."""
        wall = time.perf_counter()
        for player in self.players:
            self._rebuild(player)
        for kind in self._cases:
            for player in self.players:  # not timed: caches fill; graded all the same
                self._play(kind, player, [self.source.batch(self._size(kind))])
            self._hear(kind)
        before = [self._counters(player) for player in self.players]
        pairs: dict[str, list[tuple[float, float]]] = {}
        with no_garbage_collection():
            for kind in self._cases:
                self._pairs(kind, blocks[kind], slice_s, pairs)
        baseline, entry = (self._used(*each) for each in zip(self.players, before, strict=True))
        self.usage.append((baseline, replace(entry, resting_cpu_s=self._rest())))
        waited_s = baseline.waited_s + entry.waited_s
        return Round(number, *round_medians(pairs), time.perf_counter() - wall, waited_s, entry.between_cpu_s)

    def _rest(self) -> float:
        """CPU seconds of the entry's workers while they alone may run and have nothing to do, for REST_S.

        Between two calls the referee is at work on the same core, and some schedulers let nobody else run then.
        """
        entry = self.players[1]
        entry.court.give(entry.worker)
        time.sleep(REST_S / 2)  # what the last call left to tidy up
        start = sum(worker.cpu_s() for worker in entry.workers)
        time.sleep(REST_S)
        return sum(worker.cpu_s() for worker in entry.workers) - start

    def _pairs(
        self,
        kind: str,
        blocks: tuple[Block, Block],
        slice_s: float,
        pairs: dict[str, list[tuple[float, float]]],
    ) -> None:
        end = time.perf_counter() + slice_s
        first = True
        while first or time.perf_counter() < end:
            first = False
            most = max(block.warm_ups + block.tasks for block in blocks)
            batches = [self.source.batch(self._size(kind)) for _ in range(most)]
            order = (0, 1) if self.rng.random() < 0.5 else (1, 0)
            net = {side: self._block(kind, self.players[side], batches, blocks[side]) for side in order}
            for case in net[0]:
                pair = net[0][case], net[1][case]
                if case.startswith("head"):
                    self.graded.head_s.append(pair)
                else:
                    pairs.setdefault(case, []).append(pair)

    def _block(self, kind: str, player: Player, batches: Sequence[Batch], block: Block) -> Times:
        """Mean net seconds of a block's tasks, by case."""
        total: Times = {}
        played = self._play(kind, player, batches[: block.warm_ups + block.tasks])
        for times in played[block.warm_ups :]:
            for case, seconds in times.items():
                total[case] = total.get(case, 0.0) + seconds
        return self._net({case: seconds / block.tasks for case, seconds in total.items()})

    def _play(self, kind: str, player: Player, batches: Sequence[Batch]) -> list[Times]:
        """A task for each batch. The entry's answers are kept after all of them, so that its caches stay warm."""
        self._answers = []
        times = [self._cases[kind](player, batch) for batch in batches]
        if player is self.players[1]:
            for answer in self._answers:
                self.graded.keep(*answer)
        return times

    def _counters(self, player: Player) -> Usage:
        counted = [(w.answered_cpu_s, w.answered_wall_s, w.cpu_s(), w.waited_s()) for w in player.workers]
        answering, wall, cpu, waited = (sum(column) for column in zip(*counted, strict=True))
        return Usage(answering, wall, cpu - answering, waited, player.calls)

    def _used(self, player: Player, before: Usage) -> Usage:
        now = self._counters(player)
        return Usage(*(getattr(now, each.name) - getattr(before, each.name) for each in fields(Usage)))
