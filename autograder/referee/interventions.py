"""Carries out the interventions that prove techniques: other weights, no kernels, each in a fresh worker.

A worker that had seen two versions of the weights could undo the change; so each sees one. What an intervention is
and what it proves is decided in perf.evidence; what it is worth, in the notebook.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autograder.referee import protocol
from autograder.referee.inputs import SPLIT
from autograder.referee.kernels import ghosts
from autograder.referee.rounds import Match
from autograder.referee.sandbox import Setup, Worker, WorkerError, cores, one_core, workers
from tinytorch.core.benchmarking import claimed_families, innovation_report
from tinytorch.perf.entry import Entry, rebuilt
from tinytorch.perf.evidence import (
    AS_IS,
    PROBES,
    Facts,
    Intervention,
    Run,
    facts_from_runs,
    gather_facts,
    interventions,
)
from tinytorch.perf.records import Report
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import Event

if TYPE_CHECKING:
    from autograder.referee.officiate import Terms

WARM, TIMED = 2, 5  # calls
TIMED_BATCH = 32  # of all events
MOST_SIDE_BY_SIDE = 2  # workers whose time does not matter; more would come near the limits of wall time


@dataclass(frozen=True)
class Found:
    """What the match has told already."""

    logits: np.ndarray
    baseline_logits: np.ndarray
    memory_ratio: float
    speedup: float
    as_is: Run  # of the worker that played: its weights were never changed


def innovation_of(
    entry: Entry, event: Event, baseline: Setup, setup: Setup, terms: Terms, found: Found, scratch: Path
) -> Report:
    """Evidence for the six families with the score they add up to, as practice gives it; 0 where not asked for."""
    claimed = claimed_families(entry.optimization_description)
    if not terms.interventions:
        return Report(
            innovation_score=0.0, detected_techniques=[], claimed_techniques=sorted(claimed), evidence=[], facts={}
        )
    return innovation_report(_facts(entry, event, baseline, setup, terms, found, scratch), claimed)


def _facts(
    entry: Entry, event: Event, baseline: Setup, setup: Setup, terms: Terms, found: Found, scratch: Path
) -> Facts:
    """By looking at the model where it is the library's own, else by interventions in workers."""
    model, answers = rebuilt(entry), (found.logits, found.baseline_logits)
    if model is not None:
        with one_core():
            probes = probes_of(event, terms)
            return gather_facts(model, load_baseline(event.name), probes, answers, found.memory_ratio)
    asked = [each for each in interventions(entry, baseline.weights, terms.seed) if each.name != AS_IS]

    def carried_out(each: Intervention) -> Run:
        return carry_out(each, changed(setup, each, entry, scratch), event, terms)

    with ThreadPoolExecutor(min(MOST_SIDE_BY_SIDE, cores())) as side_by_side:
        runs = list(side_by_side.map(carried_out, [each for each in asked if not each.timed]))
    with one_core():
        runs += [carried_out(each) for each in asked if each.timed]
    by_name = {run.name: run for run in (found.as_is, *runs)}
    return facts_from_runs(entry, baseline.weights, by_name, answers, found.memory_ratio, found.speedup)


def probes_of(event: Event, terms: Terms) -> np.ndarray:
    """Inputs of every run, changed and unchanged."""
    return load_dataset(event.name, SPLIT).batch(PROBES[event.name], terms.rng(4))


def as_it_is(match: Match, terms: Terms) -> Run:
    """The run that changes nothing, by the worker that has played; its time is the match's, where it hurried."""
    player = match.players[1]
    player.court.give(player.worker)
    run = run_of(player.worker, AS_IS, player.event, terms, timed=False)
    return replace(run, time_s=float(np.median(match.answered_s[f"batch {TIMED_BATCH}"])))


def changed(setup: Setup, intervention: Intervention, entry: Entry, scratch: Path) -> Setup:
    """The entry's setup with what the intervention puts in its place."""
    kernel = setup.kernel
    if intervention.kernel_off and entry.kernel_source is not None:
        kernel = str(ghosts(entry.kernel_source, scratch / "ghosts"))
    return replace(
        setup,
        weights=intervention.weights,
        source=setup.source if intervention.source is None else intervention.source,
        kernel=kernel,
        kernel_off=intervention.kernel_off,
    )


def carry_out(intervention: Intervention, setup: Setup, event: Event, terms: Terms) -> Run:
    """The run of a fresh worker."""
    try:
        with workers(setup) as (worker,):
            return run_of(worker, intervention.name, event, terms, intervention.timed)
    except WorkerError:
        return Run(intervention.name, None)


def run_of(worker: Worker, name: str, event: Event, terms: Terms, timed: bool) -> Run:
    """Logits of this worker; None where it broke, which is an answer too."""
    probes = probes_of(event, terms)
    try:
        logits = _logits(worker, probes, event.output_shape(probes))
        return Run(name, logits, _time_s(worker, event, terms) if timed else None)
    except WorkerError:
        return Run(name, None)


def _logits(worker: Worker, probes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    (logits,), _ = worker.call(protocol.PREDICT, (probes,), [shape])
    good = logits.dtype.kind == "f" and bool(np.isfinite(logits).all())
    return logits.astype(np.float32) if good else None


def _time_s(worker: Worker, event: Event, terms: Terms) -> float:
    """Seconds of a call as in the match: its batch, and no input twice, which would tell that it is over."""
    inputs = load_dataset(event.name, SPLIT).batch(TIMED_BATCH * (WARM + TIMED), terms.rng(8))
    batches = np.split(inputs, WARM + TIMED)
    shape = event.output_shape(batches[0])
    times = [worker.call(protocol.PREDICT, (batch,), [shape])[1] for batch in batches]
    return float(np.median(times[WARM:]))
