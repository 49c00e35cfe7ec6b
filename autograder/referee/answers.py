"""What an entry has answered while it was timed, beside what the baseline answers and what was right.

Does not: ask anybody anything, or decide what an entry is worth (the notebook's functions do).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from autograder.referee import laws
from autograder.referee.inputs import SPLIT
from autograder.referee.rounds import Match
from autograder.referee.sandbox import WorkerError
from tinytorch.core.benchmarking import example_errors, floor_reason, paired_difference
from tinytorch.perf.evidence import MOST_COMPARED
from tinytorch.perf.workloads.datasets import GradingSet
from tinytorch.perf.workloads.events import Event

STEPS = {
    "accuracy": 0.005,
    "bits_per_character": 0.01,
}


def coarse(difference: float, metric: str) -> float:
    """A difference of quality as it is shown: so coarse that the official split cannot be climbed by trying."""
    return round(round(difference / STEPS[metric]) * STEPS[metric], 4)


@dataclass(frozen=True)
class Answers:
    """Answers that were timed, the baseline's of the same inputs, and what they should have been."""

    inputs: np.ndarray
    logits: np.ndarray
    expected: np.ndarray
    labels: np.ndarray
    groups: np.ndarray  # -1 where the input is not of the official split
    seams: np.ndarray
    kinds: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Answers:
        return Answers(*(getattr(self, each.name)[rows] for each in fields(self)))

    def graded(self, event: Event, seed: int) -> GradingSet:
        """The set that they make."""
        numbered = np.unique(self.groups, return_inverse=True)[1]
        return GradingSet(event.name, SPLIT, seed, self.inputs, self.labels, numbered)

    def on_official_text(self) -> Answers:
        """Those by which an entry is graded."""
        return self[self.groups >= 0]


def answers_of(match: Match, reference: Any) -> Answers:
    """All answers of the entry that were timed."""
    batches = match.graded.batches
    inputs, labels, groups, seams = (
        np.concatenate([getattr(batch, name) for batch in batches])
        for name in ("inputs", "labels", "groups", "seams")
    )
    expected = [reference.predict(inputs[at : at + 256]) for at in range(0, len(inputs), 256)]
    kinds = np.repeat(match.graded.kinds, [len(batch.labels) for batch in batches])
    return Answers(
        inputs, np.concatenate(match.graded.logits), np.concatenate(expected), labels, groups, seams, kinds
    )


def problems_on_new_text(answers: Answers) -> Iterator[WorkerError]:
    """What laws.check_text finds; nothing in events without text."""
    new = answers[answers.groups < 0]
    try:
        if len(new.labels):
            laws.check_text(new.logits, new.expected, new.labels, new.seams)
    except WorkerError as problem:
        yield problem


def problems_of_a_kind(event: Event, answers: Answers) -> Iterator[WorkerError]:
    """Each kind of call keeps the floor, two standard errors aside: or a small share of calls could do without."""
    errors, expected = (
        example_errors(event.metric, each, answers.labels) for each in (answers.logits, answers.expected)
    )
    for kind in np.unique(answers.kinds):
        rows = answers.kinds == kind
        groups = np.unique(answers.groups[rows], return_inverse=True)[1]
        if groups.max() == 0:
            continue  # one part of the text tells no error
        difference, standard_error = paired_difference(errors[rows], expected[rows], groups)
        if difference - 2 * standard_error > event.floor:
            shown = {"metric": event.metric, "difference": coarse(difference, event.metric), "floor": event.floor}
            yield WorkerError("quality floor", f"in the calls of '{kind}': {floor_reason(shown)}")


def some_of(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows with MOST_COMPARED answers in all, by lot: enough for a mean over answers."""
    answers_a_row = logits[0, ..., 0].size
    return rng.permutation(len(logits))[: max(1, MOST_COMPARED // answers_a_row)]
