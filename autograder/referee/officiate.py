"""An official result: an entry folder in, a Report out, and never an exception for anything that an entry does.

Opens the entry, starts workers, has the match played, has the laws, memory and techniques checked, and hands what
was found to the notebook's own functions, which make the scores. Does not: time, jail or decide what proves what.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autograder.referee import laws
from autograder.referee.answers import answers_of, coarse, problems_of_a_kind, problems_on_new_text, some_of
from autograder.referee.inputs import Source
from autograder.referee.interventions import Found, as_it_is, innovation_of
from autograder.referee.kernels import compile_kernel
from autograder.referee.levels import Level, level_here
from autograder.referee.memory import memory_and_answers, memory_setup
from autograder.referee.players import Court, Player
from autograder.referee.rounds import LEAST_ROUNDS, REST_S, Match, Usage
from autograder.referee.sandbox import (
    Setup,
    Worker,
    WorkerError,
    one_core,
    standing_still,
    workers,
    workers_to_come,
)
from autograder.referee.worker import OPERATIONS
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import (
    judge_quality,
    judged,
    make_results,
)
from tinytorch.perf.entry import Entry, check_entry, load_entry
from tinytorch.perf.evidence import AS_IS, Run, division_of, hidden_bytes
from tinytorch.perf.machine import describe_machine, one_blas_thread
from tinytorch.perf.records import Quality, Report, Round
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import GradingSet
from tinytorch.perf.workloads.events import Event, get_event

LAW_BATCH = 32  # as in the match
MOST_GENERATED = 64  # texts that are looked at
CLOCK = "worker's CPU time, read from outside"
RESTING_SHARE = 0.25  # of a rest may be computed: honest workers were at 0.00, spinning ones at 1.02
BETWEEN_S, BETWEEN_SHARE = 3e-5, 0.1  # CPU between two calls, of a call's: freeing memory, the way to the pipe
IDLE_S, IDLE_SHARE = 1e-3, 0.5  # of a call's time without computing and without waiting for a core
UNSEEN = (
    0.02  # log ratio: how far whole runs of one entry differ, beyond what their rounds tell (benchmarks/referee)
)
# to which a difference is shown: finer ones can be climbed
CLASSES = {"mlp_sprint": "MLP", "cnn_marathon": "CNN", "transformer_decathlon": "CharTransformer"}
BASELINE_SOURCE = """
from tinytorch.core.models import {name}

def build(weights):
    model = {name}()
    model.load_state_dict(weights)
    return model
"""


@dataclass(frozen=True)
class Terms:
    """Under which a run is held."""

    seed: int
    level: Level
    budget_s: float
    interventions: bool = True
    least_rounds: int = LEAST_ROUNDS

    @property
    def commitment(self) -> str:
        """May be published before the run: the seed cannot be found from it, and not changed after it."""
        return hashlib.sha256(f"{self.seed}".encode()).hexdigest()

    def rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose])


@dataclass
class Played:
    """What came out of a match."""

    rounds: list[Round]
    match: Match
    as_is: Run = field(default_factory=lambda: Run(AS_IS, None))  # of the entry, for evidence
    problems: list[WorkerError] = field(default_factory=list)


def referee(
    folder: str | os.PathLike[str],
    seed: int | None = None,
    level: int | None = None,
    budget_s: float = 1.5,
    interventions: bool = True,
) -> Report:
    """Run the entry in `folder` officially.

    Args:
        seed:     of all inputs; None draws a secret one of 64 bits.
        level:    walls at most that high; None for the highest that hold here.
        budget_s: seconds of timing; at least 12 rounds are played.
        interventions: look for evidence of techniques; without it innovation is 0.

    Returns:
        What practice gives, and `mode`, `level`, `seed`, `seed_commitment`, `entry_sha256`, `division`, `checks`
        (names of those that refused). A refused entry has `ranked` False and its `reasons`.

    Raises:
        LevelError: no worker can be run here.
        RefereeError: the baseline itself did not play; the installation is broken.
    """
    chosen = level_here() if level is None else level_here(level)
    terms = Terms(secrets.randbits(63) if seed is None else seed, chosen, budget_s, interventions)
    reasons = check_entry(Path(folder))
    if reasons:
        return refused(
            Report(mode="official", event_name="", team_name=Path(folder).name), "entry folder", reasons
        )
    return judge(load_entry(Path(folder)), terms)


class RefereeError(RuntimeError):
    """The referee's own side failed: nothing is said about the entry."""


def judge(entry: Entry, terms: Terms) -> Report:
    """The official result of an entry that is well-formed."""
    event = get_event(entry.event_name)
    opening = Report(
        team_name=entry.team_name,
        event_name=event.name,
        optimization_description=entry.optimization_description,
        github_url=entry.github_url,
        mode="official",
        level=terms.level.number,
        level_notes=list(terms.level.notes),
        provisional=terms.level.provisional,
        seed=terms.seed,
        seed_commitment=terms.commitment,
        entry_sha256=entry.sha256,
    )
    try:
        with one_blas_thread(), tempfile.TemporaryDirectory(prefix="referee-kernel-") as scratch:
            return _held(entry, event, terms, opening, Path(scratch))
    except WorkerError as error:
        if error.who == "baseline":
            raise RefereeError(f"the baseline did not play ({error.check}: {error})") from error
        return refused(opening, error.check, [str(error)])


def refused(opening: Report, check: str, reasons: Sequence[str]) -> Report:
    """A report without scores."""
    return Report(
        opening | {"ranked": False, "reasons": list(reasons), "checks": [check], "innovation_score": 0.0}
    )


def _held(entry: Entry, event: Event, terms: Terms, opening: Report, scratch: Path) -> Report:
    """The whole run. Raises WorkerError where there is nothing to score."""
    baseline = baseline_setup(event, terms)
    setup = entry_setup(entry, terms, scratch)
    reference = add_custom_kernels(load_baseline(event.name), version=3)
    with workers_to_come(memory_setup(baseline), memory_setup(setup)) as for_memory, one_core():
        played = _match(event, baseline, setup, terms, reference, for_memory)
        resources = _resources(event, entry, baseline, for_memory.result(), played.match)
    answers = answers_of(played.match, reference)
    played.problems += problems_on_new_text(answers)
    answers = answers.on_official_text()
    logits, reference_logits, graded = answers.logits, answers.expected, answers.graded(event, terms.seed)
    quality = rounded(judge_quality(event, logits, reference_logits, graded))
    played.problems += problems_of_a_kind(event, answers)
    graded_well = _accuracies(quality, logits, reference_logits, graded)
    results = make_results(event, played.rounds, graded_well, resources, UNSEEN)
    some = some_of(logits, terms.rng(5))
    division, kl = division_of(logits[some], reference_logits[some])
    ratio = resources["baseline_peak_memory_bytes"] / resources["peak_memory_bytes"]
    found = Found(logits, reference_logits, ratio, results["speedup_vs_baseline"], played.as_is)
    innovation = innovation_of(entry, event, baseline, setup, terms, found, scratch)
    closing = judged(results, innovation)
    problems = played.problems
    closing["checks"] = [] if closing["ranked"] else ["quality floor"]
    closing["reasons"] += [str(problem) for problem in problems]
    closing["checks"] += [problem.check for problem in problems]
    closing["ranked"] = not closing["reasons"]
    echoes = [float(np.median(each)) for each in played.match.echoes.values()]
    machine = replace(describe_machine(CLOCK), blas_threads=1).to_dict()
    extra = dict(
        division=division, division_kl=kl, overhead_s=min(echoes), machine=machine, restarts=played.match.deaths
    )
    return Report(opening | results | closing | extra)


# -- who plays -----------------------------------------------------------------------------------------


def baseline_setup(event: Event, terms: Terms) -> Setup:
    """The baseline as an entry like any other."""
    source = BASELINE_SOURCE.format(name=CLASSES[event.name])
    return Setup(source, load_baseline(event.name).state_dict(), layers=terms.level.layers, name="baseline")


def entry_setup(entry: Entry, terms: Terms, scratch: Path) -> Setup:
    """The entry, its kernel compiled."""
    kernel = None if entry.kernel_source is None else str(compile_kernel(entry.kernel_source, scratch / "kernel"))
    return Setup(entry.source, entry.weights, kernel=kernel, layers=terms.level.layers)


def _match(
    event: Event, baseline: Setup, setup: Setup, terms: Terms, reference: Any, others: Future[list[Worker]]
) -> Played:
    """The rounds, and all laws that the players must obey; the `others` get ready first, and then stand still."""
    with workers(baseline, setup) as started, standing_still(others.result()), ExitStack() as stack:

        def revive() -> Worker:
            started.append(Worker(setup))
            started[-1].ready()
            return started[-1]

        court = Court(started)
        first = Player(started[0], event, court)
        second = Player(started[1], event, court, helper=first if event.rule == "decathlon" else None)
        source = Source(event.name, terms.rng(0))
        match = Match(event, first, second, source, terms.rng(1), revive)
        if event.rule == "decathlon":
            names = (OPERATIONS, sorted(second.operations))
            hands = stack.enter_context(workers(*(baseline for _ in names[0]), *(setup for _ in names[1])))
            first.take(dict(zip(OPERATIONS, hands, strict=False)))
            second.take(dict(zip(names[1], hands[len(OPERATIONS) :], strict=True)))
            match.interludes = _interludes(match, terms)
        played = Played(match.play(terms.budget_s, terms.least_rounds), match)
        played.problems += match.problems
        for law in _last_laws(event, match, reference, terms):
            try:
                law()
            except WorkerError as problem:
                played.problems.append(problem)
        if terms.interventions:
            played.as_is = as_it_is(match, terms)
        return played


def _interludes(match: Match, terms: Terms) -> dict[int, list[Callable[[], None]]]:
    """Laws of a language model, each before a round drawn by lot, with batches like those of the match."""
    entry, rng = match.players[1], terms.rng(2)
    drawn: dict[int, list[Callable[[], None]]] = {}
    laws_due: list[Callable[[], None]] = [
        lambda: laws.check_causal(entry, match.source.batch(LAW_BATCH).inputs, terms.rng(7))
    ]
    if entry.operations:
        laws_due.append(lambda: laws.check_chain(entry, match.source.batch(LAW_BATCH).inputs))
        for name in sorted(entry.operations):
            for size in match.event.batch_sizes:
                laws_due.append(partial(_check_operation, match, name, size))
    for at in rng.permutation(len(laws_due)):
        drawn.setdefault(int(rng.integers(terms.least_rounds)), []).append(laws_due[at])
    return drawn


def _check_operation(match: Match, name: str, size: int) -> None:
    laws.check_operation(match.players[1], name, match.source.batch(size).inputs)


def _last_laws(event: Event, match: Match, reference: Any, terms: Terms) -> Iterator[Callable[[], None]]:
    """Checks of what was done in the match, each a call without arguments."""
    yield partial(check_usage, match.usage)
    if event.rule != "decathlon":
        return
    entry, generated, rng = match.players[1], match.graded.generated, terms.rng(6)
    if entry.operations:
        yield lambda: laws.check_head(match.graded.head_s)
    some = [generated[at] for at in rng.permutation(len(generated))[:MOST_GENERATED]]
    yield lambda: laws.check_generation(entry, reference, some, _agreement(match, reference, rng))


def _agreement(match: Match, reference: Any, rng: np.random.Generator) -> float:
    """Share of timed answers, some of them by lot, in which the entry's first choice is the baseline's."""
    chosen = rng.permutation(len(match.graded.logits))[:LAW_BATCH]
    same = [
        match.graded.logits[at].argmax(axis=-1)
        == reference.predict(match.graded.batches[at].inputs).argmax(axis=-1)
        for at in chosen
    ]
    return float(np.concatenate(same).mean())


def check_usage(usage: Sequence[tuple[Usage, Usage]]) -> None:
    """Did the entry's worker compute only when it was asked, and only by computing? Raises WorkerError."""
    sides = [[each[side] for each in usage] for side in (0, 1)]
    between, idle = [], []
    for side in sides:
        calls = max(1, sum(each.calls for each in side))
        spare = sum(each.answering_wall_s - each.answering_cpu_s - each.waited_s for each in side)
        between.append(sum(each.between_cpu_s for each in side) / calls)
        idle.append(max(0.0, spare) / calls)
    answering = sum(each.answering_cpu_s for each in sides[1]) / max(1, sum(each.calls for each in sides[1]))
    if between[1] > between[0] + BETWEEN_S + BETWEEN_SHARE * answering:
        raise WorkerError(
            "CPU between calls",
            f"its worker computed {between[1] * 1e6:.0f} us between two calls, the baseline's "
            f"{between[0] * 1e6:.0f} us: it must do nothing before it is asked",
        )
    resting = sum(each.resting_cpu_s for each in sides[1]) / max(1, len(sides[1]))
    if resting > RESTING_SHARE * REST_S:
        raise WorkerError(
            "CPU between calls",
            f"its worker computed {resting * 1e6:.0f} of the {REST_S * 1e6:.0f} us in which nothing was asked: "
            f"it must rest until it is asked",
        )
    if idle[1] > idle[0] + IDLE_S + IDLE_SHARE * answering:
        raise WorkerError(
            "wall-clock sanity",
            f"a call took {idle[1] * 1e3:.1f} ms in which its worker neither computed nor waited for a core: "
            f"sleeping, or work elsewhere",
        )


# -- what is graded ------------------------------------------------------------------------------------


def rounded(quality: Quality) -> Quality:
    """As it is shown."""
    return replace(
        quality,
        value=round(quality.value, 2),
        baseline=round(quality.baseline, 2),
        difference=coarse(quality.difference, quality.metric),
        standard_error=round(quality.standard_error, 3),
    )


def _accuracies(quality: Quality, logits: np.ndarray, reference: np.ndarray, graded: GradingSet) -> dict[str, Any]:
    accuracy, baseline = (
        round(float((each.argmax(axis=-1) == graded.labels).mean()), 2) for each in (logits, reference)
    )
    return {
        "accuracy": accuracy,
        "baseline_accuracy": baseline,
        "accuracy_ok": quality.ok,
        "quality": quality.to_dict(),
    }


def _resources(
    event: Event, entry: Entry, baseline: Setup, fresh: Sequence[Worker], match: Match
) -> dict[str, Any]:
    """Peak memory of the baseline's and the entry's model, each in a fresh worker, and bytes of the weights.

    The answers that memory was measured with are graded with the others: they are a kind of call of their own.
    """
    batch = match.source.batch(event.batch_sizes[-1])
    (theirs, _), (own, answers) = (memory_and_answers(worker, batch.inputs) for worker in fresh)
    match.graded.keep("memory", batch, answers)
    return {
        "peak_memory_bytes": own.peak_bytes,
        "baseline_peak_memory_bytes": theirs.peak_bytes,
        "memory_method": own.method,
        "model_bytes": model_bytes(entry),
        "baseline_model_bytes": sum(array.nbytes for array in baseline.weights.values()),
    }


def model_bytes(entry: Entry) -> int:
    """Bytes of the weights in the file that the referee read, and of what more than code the source carries."""
    return max(1, sum(array.nbytes for array in entry.weights.values()) + hidden_bytes(entry))
