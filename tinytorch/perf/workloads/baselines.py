"""The three baselines: which network an event starts from, its shipped weights, and how it was trained.

`load_baseline` reads weights that `python -m tinytorch.perf.workloads.train` wrote and checks their hash.
Does not: train (train.py) or optimise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.layers import WeightsError
from tinytorch.core.models import CNN, MLP, CharTransformer, Network, Recipe
from tinytorch.perf.workloads.archive import FILES, sha256
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.events import get_event

REGISTER = "baselines.json"  # seed, hash and quality of each weights file


@dataclass(frozen=True)
class Plan:
    """How one baseline is made and trained from nothing."""

    make: Callable[[np.random.Generator], Network]
    train_as: Callable[[np.random.Generator], Network]  # the same weights with what only training needs
    batch_size: int
    steps: int
    rate: float  # peak of Adam's learning rate
    warmup: int
    decay: float
    recipe: tuple[int, int]  # steps of a fine-tune, steps of a distillation


PLANS = {
    "mlp_sprint": Plan(
        make=lambda rng: MLP(rng=rng),
        train_as=lambda rng: MLP(rng=rng),
        batch_size=100,
        steps=9000,
        rate=3e-3,
        warmup=100,
        decay=0.2,
        recipe=(600, 6000),
    ),
    "cnn_marathon": Plan(
        make=lambda rng: CNN(rng=rng),
        train_as=lambda rng: CNN(rng=rng, algorithm="im2col", dropout=0.2),
        batch_size=64,
        steps=6000,
        rate=2e-3,
        warmup=100,
        decay=0.0,
        recipe=(120, 1200),
    ),
    "transformer_decathlon": Plan(
        make=lambda rng: CharTransformer(rng=rng),
        train_as=lambda rng: CharTransformer(rng=rng),
        batch_size=32,
        steps=14_000,
        rate=4e-3,
        warmup=200,
        decay=0.2,  # with 0.05 the plays are learned by heart a little: 0.05 bits worse on others
        recipe=(150, 2000),
    ),
}


def training_batches(event: str, size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless training batches of an event; as a function it can be part of a Recipe."""
    return load_dataset(event).training_batches(size, rng)


def recipe_for(event: str) -> Recipe:
    """What pruning and distillation need to train on."""
    plan = PLANS[get_event(event).name]
    fine_tune, distill = plan.recipe
    return Recipe(partial(training_batches, event), plan.batch_size, plan.rate, fine_tune, distill)


def load_baseline(event: str, folder: Path = FILES) -> Network:
    """The trained baseline of an event, ready to predict, with the recipe to go on training it.

    Raises:
        WorkloadError: no such event, or the weights are missing, damaged or not the registered ones.
    """
    name = get_event(event).name
    path, register = folder / f"{name}.npz", read_register(folder)
    registered = register.get(name, {}).get("sha256", "none")
    remedy = f"reinstall, or train them again with `python -m tinytorch.perf.workloads.train {name}`"
    try:
        found = sha256(path)
        if found != registered:
            raise WorkloadError(f"{path} has hash {found[:12]}, {registered[:12]} is registered; {remedy}")
        network = PLANS[name].make(np.random.default_rng(0))
        network.load_weights(path)
    except (OSError, WeightsError) as error:
        raise WorkloadError(f"weights of {name} cannot be read ({error}); {remedy}") from error
    network.recipe = recipe_for(name)
    return network


def read_register(folder: Path = FILES) -> dict[str, dict[str, Any]]:
    """Seed, hash, quality and training time of every shipped weights file, by event."""
    import json  # here: the benchmark must not cost much more than numpy to import

    path = folder / REGISTER
    try:
        register: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkloadError(f"{path} cannot be read ({error}); reinstall to get it") from error
    return register
