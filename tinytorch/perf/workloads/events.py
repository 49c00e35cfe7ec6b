"""The three events: what is asked, how it is judged, and what a medal takes.

The thresholds were found by experiment, on one thread of one machine. Does not: hold data, models or scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinytorch.perf.workloads.errors import WorkloadError


@dataclass(frozen=True)
class Event:
    """The rules of one event."""

    name: str  # "mlp_sprint"
    title: str  # "MLP Sprint"
    summary: str  # one line
    task: str  # "images": one answer an input; "tokens": one an input and position
    input_shape: tuple[int, ...]  # of one input
    classes: int  # logits an answer
    metric: str  # "accuracy" or "bits_per_character"
    floor: float  # how much worse than the baseline still passes, in the unit of the metric
    batch_sizes: tuple[int, ...]
    rule: str  # of the score: "speed", "balance" or "decathlon"
    medals: tuple[float, float, float]  # least score for bronze, silver and gold
    victory: str  # the condition in one sentence

    def output_shape(self, inputs: np.ndarray) -> tuple[int, ...]:
        """Shape that the logits for `inputs` must have: (N, 10) for images, (N, T, 66) for tokens."""
        answers = inputs.shape if self.task == "tokens" else inputs.shape[:1]
        return (*answers, self.classes)


MLP_SPRINT = Event(
    name="mlp_sprint",
    title="MLP Sprint",
    summary="handwritten digits through a small multilayer perceptron, as fast as it will go",
    task="images",
    input_shape=(784,),
    classes=10,
    metric="accuracy",
    floor=0.010,
    batch_sizes=(1, 32, 256),
    rule="speed",
    medals=(1.3, 2.0, 3.0),
    victory=(
        "The highest geometric mean of the speedups at batch 1, 32 and 256 wins, "
        "with at most 1 point less accuracy than the baseline on freshly perturbed digits."
    ),
)

CNN_MARATHON = Event(
    name="cnn_marathon",
    title="CNN Marathon",
    summary="small digits anywhere on the canvas through a convolutional network, in balance",
    task="images",
    input_shape=(28, 28, 1),
    classes=10,
    metric="accuracy",
    floor=0.010,
    batch_sizes=(1, 32, 256),
    rule="balance",
    medals=(2.0, 6.0, 12.0),
    victory=(
        "The highest cube root of speedup x peak memory saved x weight bytes saved wins, "
        "with at most 1 point less accuracy than the baseline on fresh placements."
    ),
)

TRANSFORMER_DECATHLON = Event(
    name="transformer_decathlon",
    title="Transformer Decathlon",
    summary="the next character of Shakespeare from a causal language model, in ten disciplines",
    task="tokens",
    input_shape=(64,),
    classes=66,
    metric="bits_per_character",
    floor=0.03,
    batch_sizes=(1, 32),
    rule="decathlon",
    medals=(1.3, 1.9, 2.5),
    victory=(
        "The highest geometric mean of the ratios in all ten disciplines wins, "
        "with at most 0.03 bits per character more than the baseline on unseen text."
    ),
)

EVENTS: Mapping[str, Event] = MappingProxyType(
    {event.name: event for event in (MLP_SPRINT, CNN_MARATHON, TRANSFORMER_DECATHLON)}
)


def get_event(name: str) -> Event:
    """The rules of the event called `name`.

    Raises:
        WorkloadError: there is no such event; the message lists those there are.
    """
    if not isinstance(name, str) or name not in EVENTS:
        raise WorkloadError(f"unknown event {name!r}; known: {', '.join(EVENTS)}; use get_available_events()")
    return EVENTS[name]
