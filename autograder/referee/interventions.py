"""Carries out the interventions that prove techniques: other weights, no kernels, each in a fresh worker.

A worker that had seen two versions of the weights could undo the change; so each sees one. What an intervention is
and what it proves is decided in perf.evidence; what it is worth, in the notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autograder.referee import protocol
from autograder.referee.inputs import SPLIT
from autograder.referee.kernels import ghosts
from autograder.referee.sandbox import Setup, Worker, WorkerError, cores, one_core, workers
from tinytorch.core.benchmarking import claimed_families, innovation_report
from tinytorch.perf.entry import Entry, rebuilt
from tinytorch.perf.evidence import PROBES, Facts, Intervention, Run, facts_from_runs, gather_facts, interventions
from tinytorch.perf.records import Report
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import Event, get_event

if TYPE_CHECKING:
    from autograder.referee.officiate import Terms

WARM, TIMED = 2, 5
MOST_SIDE_BY_SIDE = 2  # workers whose time does not matter; more would come near the limits of wall time


def innovation_of(
    entry: Entry,
    event: Event,
    baseline: Setup,
    setup: Setup,
    terms: Terms,
    answers: tuple[np.ndarray, np.ndarray],
    measured: Mapping[str, float],
    scratch: Path,
) -> Report:
    """Evidence for the six families with the score they add up to, as practice gives it; 0 where not asked for.

    Args:
        measured: `memory_ratio` and `speedup` of the match.
    """
    claimed = claimed_families(entry.optimization_description)
    if not terms.interventions:
        return Report(
            innovation_score=0.0, detected_techniques=[], claimed_techniques=sorted(claimed), evidence=[], facts={}
        )
    probes = load_dataset(event.name, SPLIT).batch(PROBES[event.name], terms.rng(4))
    facts = _facts(entry, baseline, setup, terms, probes, answers, measured, scratch)
    return innovation_report(facts, claimed)


def _facts(
    entry: Entry,
    baseline: Setup,
    setup: Setup,
    terms: Terms,
    probes: np.ndarray,
    answers: tuple[np.ndarray, np.ndarray],
    measured: Mapping[str, float],
    scratch: Path,
) -> Facts:
    """By looking at the model where it is the library's own, else by interventions in workers."""
    model = rebuilt(entry)
    if model is not None:
        with one_core():
            known = load_baseline(entry.event_name)
            return gather_facts(model, known, probes, answers, measured["memory_ratio"])
    shape = get_event(entry.event_name).output_shape(probes)
    asked = interventions(entry, baseline.weights, terms.seed)

    def carried_out(each: Intervention) -> Run:
        return carry_out(each, changed(setup, each, entry, scratch), probes, shape)

    with ThreadPoolExecutor(min(MOST_SIDE_BY_SIDE, cores())) as side_by_side:
        found = list(side_by_side.map(carried_out, [each for each in asked if not each.timed]))
    with one_core():
        found += [carried_out(each) for each in asked if each.timed]
        own = carry_out(unchanged(baseline), baseline, probes, shape)
    runs = {run.name: run for run in found}
    return facts_from_runs(entry, baseline.weights, runs, own, answers, **measured)


def unchanged(baseline: Setup) -> Intervention:
    """The baseline's own run, timed, in the form of an intervention that changes nothing."""
    return Intervention("baseline", dict(baseline.weights), None, False, True, "what the entry is compared with")


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


def carry_out(intervention: Intervention, setup: Setup, probes: np.ndarray, shape: tuple[int, ...]) -> Run:
    """Logits of one fresh worker; None where it broke, which is an answer too."""
    try:
        with workers(setup) as (worker,):
            logits = _logits(worker, probes, shape)
            time_s = _time_s(worker, probes, shape) if intervention.timed else None
    except WorkerError:
        return Run(intervention.name, None)
    return Run(intervention.name, logits, time_s)


def _logits(worker: Worker, probes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    (logits,), _ = worker.call(protocol.PREDICT, (probes,), [shape])
    good = logits.dtype.kind == "f" and bool(np.isfinite(logits).all())
    return logits.astype(np.float32) if good else None


def _time_s(worker: Worker, probes: np.ndarray, shape: tuple[int, ...]) -> float:
    times = [worker.call(protocol.PREDICT, (probes,), [shape])[1] for _ in range(WARM + TIMED)]
    return min(times[WARM:])
