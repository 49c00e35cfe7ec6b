"""The same networks with the same weights in PyTorch and onnxruntime: bars beside the staircase, never a dependency.

Each runs eagerly or as one graph, in one thread, as a user would write it. Answers are checked against the baseline's
before a model is handed out. Does not: time. A library's own temporaries are seen by the resident high-water mark
alone, so a reference's peak memory is a lower bound that can be about 1 MB too low.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Weights = dict[str, np.ndarray]
Run = Callable[[np.ndarray], np.ndarray]

CLOSE = {"onnxruntime, dynamic int8": 0.2}  # most difference from the baseline, as a share of the logits' spread
PROBES = {
    "mlp_sprint": lambda rng: rng.integers(0, 256, (8, 784), dtype=np.uint8),
    "cnn_marathon": lambda rng: rng.integers(0, 256, (8, 28, 28, 1), dtype=np.uint8),
    "transformer_decathlon": lambda rng: rng.integers(0, 66, (8, 64)),
}


class ReferenceError_(RuntimeError):
    """placeholder"""


class Reference:
    """A model of another library: `run` is a function, which the harness leaves alone when it copies the weights."""

    def __init__(self, run: Run, weights: Weights) -> None:
        self.run, self.weights = run, weights

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.run(inputs)

    def state_dict(self) -> Weights:
        return self.weights


# -- PyTorch -------------------------------------------------------------------------------------------


def torch_model(event: str, baseline: Any) -> Reference:
    """Eager, in inference mode, one thread."""
    import torch

    torch.set_num_threads(1)
    weights = baseline.state_dict()
    tensors = {name: torch.from_numpy(_rows_first(name, array)) for name, array in weights.items()}
    forward = {"mlp_sprint": _torch_mlp, "cnn_marathon": _torch_cnn, "transformer_decathlon": _torch_transformer}[event]

    def run(inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return forward(torch.from_numpy(inputs), tensors, getattr(baseline, "heads", 0)).numpy()

    return Reference(run, weights)
