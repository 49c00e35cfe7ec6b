"""Train the baselines from nothing: `python -m tinytorch.perf.workloads.train [EVENT ...] [--seed 0] [--out DIR]`.

tinytorch does all of it. Writes EVENT.npz and enters seed, hash and quality in baselines.json; about 5 seconds
for the MLP, a minute for the CNN and 20 minutes for the language model (times in the data sheet).
Does not: optimise for speed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.autograd import no_grad
from tinytorch.core.models import Network
from tinytorch.core.ops import log_softmax
from tinytorch.core.training import train
from tinytorch.perf.workloads.archive import FILES, sha256
from tinytorch.perf.workloads.baselines import PLANS, REGISTER, read_register, training_batches
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import EVENTS, get_event

GRADING_SEED = 1  # of the quality that is registered


def train_baseline(event: str, seed: int = 0) -> Network:
    """The baseline of an event, trained from seeded random weights; the same seed gives the same weights."""
    plan = PLANS[get_event(event).name]
    rng = np.random.default_rng(seed)
    network = plan.train_as(rng)
    batches = training_batches(event, plan.batch_size, rng)
    train(network, batches, plan.steps, plan.rate, warmup=plan.warmup, decay=plan.decay, label=event)
    return network


def quality(network: Network, event: str, split: str) -> float:
    """Accuracy (share) or bits per character on a fresh grading set of a split."""
    graded = load_dataset(event, split).grading_set(GRADING_SEED)
    with no_grad():
        log_p = np.concatenate([log_softmax(network.forward(part)).data for part in _parts(graded.inputs)])
    if get_event(event).metric == "accuracy":
        return float((log_p.argmax(axis=-1) == graded.labels).mean())
    return float(-np.take_along_axis(log_p, graded.labels[..., None], axis=-1).mean() / np.log(2))


def _parts(inputs: np.ndarray, size: int = 200) -> list[np.ndarray]:
    return [inputs[start : start + size] for start in range(0, len(inputs), size)]


def describe(network: Network, event: str, seed: int, cpu_s: float) -> dict[str, Any]:
    """What baselines.json says of a trained network (without the hash of its file)."""
    metric = get_event(event).metric
    scores = {f"{metric}_{split}": round(quality(network, event, split), 4) for split in ("public", "official")}
    return {"seed": seed, "steps": PLANS[event].steps, "cpu_s": round(cpu_s), **scores}


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 where every event was trained."""
    parser = argparse.ArgumentParser(prog="python -m tinytorch.perf.workloads.train", description=__doc__)
    parser.add_argument(
        "events", nargs="*", default=list(EVENTS), help=f"any of {', '.join(EVENTS)}; all by default"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the weights and batches (default: 0, the shipped ones)"
    )
    parser.add_argument(
        "--out", type=Path, default=FILES, help="folder for the weights (default: the package's own)"
    )
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for event in options.events:
        start = time.process_time()
        network = train_baseline(event, options.seed)
        entry = describe(network, event, options.seed, time.process_time() - start)
        network.save_weights(options.out / f"{event}.npz")
        register(event, entry, options.out)
        print(event, json.dumps(entry))
    return 0


def register(event: str, entry: dict[str, Any], folder: Path) -> None:
    """Enter a weights file of `folder` with its hash."""
    path = folder / REGISTER
    known = read_register(folder) if path.exists() else {}
    known[event] = entry | {"sha256": sha256(folder / f"{event}.npz")}
    path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
