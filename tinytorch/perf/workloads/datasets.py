"""What an event runs on: clean inputs to look at, batches to train on, fresh inputs to time and grade on.

Three kinds of data with one face, `Dataset`; `load_dataset` picks the one of the event. Nothing is read
from disk before it is asked for, and what is shared is read-only. Does not: time, judge, or hold a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinytorch.perf.workloads.digits import dither, load_digits, nudge, perturb, place
from tinytorch.perf.workloads.errors import WorkloadError, at_least_one
from tinytorch.perf.workloads.events import get_event
from tinytorch.perf.workloads.text import LENGTH, load_text, spliced, windows, windows_at

TRAINING_STRENGTH = 2.0  # of perturbations in training: the Sprint gains 1.5 points over those graded (1.0)
PLACE_SEED = 20  # of the placements in `inputs` and `train_inputs` of the Marathon, the same for everybody
WINDOWS = 400  # in `inputs` of the Decathlon, evenly over the play
PASSAGES = 100  # equal parts of the play; the graded windows of one part are one group

Batch = tuple[np.ndarray, np.ndarray]  # inputs and labels, row for row


@dataclass(frozen=True, eq=False)
class GradingSet:
    """Fresh inputs with their answers, read-only; the same seed gives the same set.

    Rows of one group are copies of one picture, or windows from one part of the play. Their errors go
    together, so a standard error counts groups, not rows.
    """

    event: str
    split: str
    seed: int
    inputs: np.ndarray  # (rows, ...) as the models of the event take them
    labels: np.ndarray  # (rows,) int64, or (rows, 64) for text
    groups: np.ndarray  # (rows,) int64, from 0

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        groups = self.groups.max() + 1
        return f"GradingSet({self.event}, {self.split}, seed {self.seed}: {len(self)} inputs in {groups} groups)"


class Dataset(ABC):
    """The data of one event and split; pictures are uint8, tokens and labels are int64."""

    def __init__(self, event: str, split: str = "public") -> None:
        self.event = get_event(event).name
        if split not in ("public", "official"):
            raise WorkloadError(
                f"unknown split {split!r}; known: public, official; to train, use training_batches()"
            )
        self.split = split

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        inputs = f"{len(self)} inputs of {self.inputs.shape[1:]} {self.inputs.dtype}"
        return f"Dataset({self.event}, {self.split}: {inputs})"

    @property
    def inputs(self) -> np.ndarray:
        """Clean inputs, read-only: (1000, 784) or (1000, 28, 28, 1) pixels, or (400, 64) tokens."""
        return self._examples[0]

    @property
    def labels(self) -> np.ndarray:
        """The answers to `inputs`, read-only: (1000,) classes, or (400, 64) next tokens."""
        return self._examples[1]

    @property
    def train_inputs(self) -> np.ndarray:
        """Clean inputs of the training split, read-only; to train well, use `training_batches`."""
        return self._training_examples[0]

    @property
    def train_labels(self) -> np.ndarray:
        """The answers to `train_inputs`, read-only."""
        return self._training_examples[1]

    def training_batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Endless batches (inputs, labels) of the training split, varied anew each time.

        Pictures come in shuffled passes, each at most once a pass: a rest too small for a batch is left
        out. Windows of text begin anywhere.

        Raises:
            WorkloadError: a batch would be empty, or larger than a pass.
        """
        return self._stream(at_least_one("batch_size", batch_size), rng)

    def batch(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Inputs to time on, (size, ...): random examples of the split, so altered that none comes twice."""
        return self._fresh(at_least_one("size", size), rng)

    def grading_set(self, seed: int, copies: int = 4) -> GradingSet:
        """Fresh inputs with answers: `copies` of every picture, or windows of each hundredth of the play."""
        rng = np.random.default_rng(seed)
        inputs, labels, groups = read_only(*self._varied(rng, at_least_one("copies", copies)))
        return GradingSet(self.event, self.split, seed, inputs, labels, groups)

    @cached_property
    def _examples(self) -> tuple[np.ndarray, ...]:
        return read_only(*self._clean(self.split))

    @cached_property
    def _training_examples(self) -> tuple[np.ndarray, ...]:
        return read_only(*self._clean("train"))

    @abstractmethod
    def _clean(self, split: str) -> Batch: ...

    @abstractmethod
    def _stream(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]: ...

    @abstractmethod
    def _fresh(self, size: int, rng: np.random.Generator) -> np.ndarray: ...

    @abstractmethod
    def _varied(self, rng: np.random.Generator, copies: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


class CentredDigits(Dataset):
    """MLP Sprint: the digits as they are, 784 pixels; varied by small rotations, stretches and shifts."""

    def _clean(self, split: str) -> Batch:
        digits = load_digits(split)
        return digits.images, digits.labels

    def _stream(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
        for images, labels in passes(batch_size, rng):
            yield perturb(images, rng, copies=1, strength=TRAINING_STRENGTH), labels

    def _fresh(self, size: int, rng: np.random.Generator) -> np.ndarray:
        return dither(nudge(some_digits(self.split, size, rng), rng), rng)

    def _varied(self, rng: np.random.Generator, copies: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        digits = load_digits(self.split)
        originals = np.tile(np.arange(len(digits)), copies)
        return perturb(digits.images, rng, copies), digits.labels[originals], originals


class PlacedDigits(Dataset):
    """CNN Marathon: each digit at half size somewhere on a canvas of 28 x 28 x 1; varied by its place."""

    def _clean(self, split: str) -> Batch:
        digits = load_digits(split)
        return place(digits.images, np.random.default_rng(PLACE_SEED)), digits.labels

    def _stream(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
        for images, labels in passes(batch_size, rng):
            yield place(perturb(images, rng, copies=1, strength=TRAINING_STRENGTH), rng), labels

    def _fresh(self, size: int, rng: np.random.Generator) -> np.ndarray:
        return dither(place(some_digits(self.split, size, rng), rng), rng)

    def _varied(self, rng: np.random.Generator, copies: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        digits = load_digits(self.split)
        originals = np.tile(np.arange(len(digits)), copies)
        return place(digits.images, rng, copies), digits.labels[originals], originals


class TextWindows(Dataset):
    """Transformer Decathlon: 64 characters of a play, and for each the next; varied by where they begin."""

    def _clean(self, split: str) -> Batch:
        codes = load_text(split)
        count = len(codes) // LENGTH - 1 if split == "train" else WINDOWS
        return windows_at(codes, np.linspace(0, len(codes) - LENGTH - 1, count).astype(np.int64))

    def _stream(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
        while True:
            yield windows(load_text("train"), rng, batch_size)

    def _fresh(self, size: int, rng: np.random.Generator) -> np.ndarray:
        return spliced(load_text(self.split), rng, size)

    def _varied(self, rng: np.random.Generator, copies: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        codes = load_text(self.split)
        slots = np.arange(PASSAGES * copies)  # one window in each, so that none overlap
        width = len(codes) // len(slots)
        if width <= LENGTH:
            most = len(codes) // (PASSAGES * (LENGTH + 1))
            raise WorkloadError(f"copies is {copies}, but only {most} windows fit beside each other")
        starts = slots * width + rng.integers(width - LENGTH, size=len(slots))
        return *windows_at(codes, starts), slots // copies


KINDS: dict[str, type[Dataset]] = {
    "mlp_sprint": CentredDigits,
    "cnn_marathon": PlacedDigits,
    "transformer_decathlon": TextWindows,
}


def load_dataset(event: str, split: str = "public") -> Dataset:
    """The data of an event: "public" to practise on, "official" to be ranked on.

    Raises:
        WorkloadError: there is no such event or split.
    """
    return KINDS[get_event(event).name](event, split)


def read_only(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays themselves, closed for writing."""
    for array in arrays:
        array.setflags(write=False)
    return arrays


def some_digits(split: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random pictures of a split, some perhaps more than once: (count, 784)."""
    images = load_digits(split).images
    return images[rng.integers(len(images), size=count)]


def passes(batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Batches of (batch_size, 784) training pictures and their labels, one shuffled pass after another.

    Raises:
        WorkloadError: a batch is larger than a pass.
    """
    digits = load_digits("train")
    if batch_size > len(digits):
        raise WorkloadError(f"batch_size is {batch_size}, but there are only {len(digits)} pictures to train on")
    while True:
        order = rng.permutation(len(digits))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            yield digits.images[rows], digits.labels[rows]
