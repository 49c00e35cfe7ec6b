"""Layers (Modules 3-5): what owns parameters, and the tree that holds them.

`Module` finds its parameters and sub-layers by looking at its own attributes, so a layer is an ordinary
class. Weights travel as `.npz` without pickle. Does not: know losses, optimisers or events.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core import ops
from tinytorch.core.tensor import Array, ShapeError, Tensor


class WeightsError(ValueError):
    """Weights do not fit the model, or a weights file cannot be read."""


class Parameter(Tensor):
    """A Tensor that belongs to a layer and is trained."""

    def __init__(self, data: Any) -> None:
        super().__init__(data, requires_grad=True)

    def arrays(self) -> dict[str, Array]:
        """What a weights file holds of this parameter, by the suffix of its name; "" is the plain array."""
        return {"": self.data.copy()}

    def load_arrays(self, arrays: dict[str, Array]) -> None:
        """Take over what `arrays()` gave. Raises WeightsError where name, shape or kind differ."""
        if arrays.keys() != {""}:
            raise WeightsError(f"expected a plain array, the file has parts {sorted(arrays)}")
        if arrays[""].shape != self.shape:
            raise WeightsError(f"file has shape {arrays[''].shape}, model {self.shape}")
        if arrays[""].dtype.kind not in "fiu":
            raise WeightsError(f"expected real numbers, the file has {arrays[''].dtype}")
        self.data = np.array(arrays[""], dtype=self.data.dtype)


def uniform_parameter(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> Parameter:
    """Uniform in +-sqrt(6 / fan_in), which keeps the variance through ReLU layers (He et al. 2015)."""
    bound = np.sqrt(6 / fan_in)
    return Parameter(rng.uniform(-bound, bound, shape).astype(np.float32))


class Module:
    """Base of all layers and models.

    A subclass sets parameters and sub-layers as attributes and writes `forward`. Modules in lists are found
    too. `training` is switched for the whole tree by `train()` and `eval()`.
    """

    training: bool = False

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    # -- the tree --------------------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Module]]:
        """Direct sub-layers with their names; the members of a list are named `attribute.0`, ..."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list):
                yield from ((f"{name}.{i}", item) for i, item in enumerate(value) if isinstance(item, Module))

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and everything below it, outermost first, with dotted names."""
        yield prefix, self
        for name, child in self.children():
            yield from child.modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names, in the order in which they were made."""
        for prefix, module in self.modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield (f"{prefix}.{name}" if prefix else name), value

    def parameters(self) -> list[Parameter]:
        return [parameter for _, parameter in self.named_parameters()]

    def train(self, training: bool = True) -> Module:
        """Switch dropout on (or off, with False) in the whole tree."""
        for _, module in self.modules():
            module.training = training
        return self

    def eval(self) -> Module:
        return self.train(False)

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        """Floating-point operations of one call with these shapes, without sub-layers; 0 if negligible."""
        return 0

    # -- weights ---------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """All weights as they are stored: `layer.weight`, or `layer.weight:codes` and so on where compact."""
        return {
            f"{name}:{part}" if part else name: array
            for name, parameter in self.named_parameters()
            for part, array in parameter.arrays().items()
        }

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Set all weights.

        Raises:
            WeightsError: names are missing or unknown, or a shape differs; weights are unchanged then.
        """
        parts: dict[str, dict[str, Array]] = {}
        for key, array in state.items():
            name, _, part = key.partition(":")
            parts.setdefault(name, {})[part] = array
        parameters = dict(self.named_parameters())
        missing, unknown = parameters.keys() - parts.keys(), parts.keys() - parameters.keys()
        if missing or unknown:
            raise WeightsError(f"weights do not fit: missing {sorted(missing)}, unknown {sorted(unknown)}")
        loaded = {name: copy.copy(parameter) for name, parameter in parameters.items()}
        for name, parameter in loaded.items():
            try:
                parameter.load_arrays(parts[name])
            except WeightsError as error:
                raise WeightsError(f"{name}: {error}") from error
        for name, parameter in parameters.items():  # all of them fit: now change the model
            vars(parameter).update(vars(loaded[name]))

    def save_weights(self, path: Path | str) -> None:
        """Write all weights to an `.npz` file (no pickle) of exactly this name.

        Whole or not at all: what was there stays until the new file is complete.
        """
        partial = Path(f"{path}.{os.getpid()}.partial")  # beside it: a file is renamed only within its disk
        try:
            with open(partial, "wb") as file:  # given a name, numpy would append .npz where it is missing
                np.savez(file, **self.state_dict())  # type: ignore[arg-type]
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def load_weights(self, path: Path | str) -> None:
        """Read what `save_weights` wrote. Raises WeightsError where the file is damaged or does not fit."""
        self.load_state_dict(read_arrays(path))


def read_arrays(path: Path | str) -> dict[str, Array]:
    """All arrays of an `.npz` file, pickle refused.

    Raises:
        WeightsError: no such file, not an npz file, damaged, or with Python objects in it.
    """
    try:
        # Opened here, because np.load leaves a damaged file open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise WeightsError(f"no weights file at {path}; train or reinstall to get it") from error
    except Exception as error:  # zipfile, zlib and numpy each have their own way to be surprised
        raise WeightsError(
            f"{path} is not a readable .npz of plain arrays ({type(error).__name__}: {error}); "
            f"get the file again, or write it with save_weights()"
        ) from error


class Linear(Module):
    """y = x W + b for x (..., inputs) -> (..., outputs)."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.weight = uniform_parameter((inputs, outputs), inputs, rng)  # (inputs, outputs)
        self.bias = Parameter(np.zeros(outputs, np.float32))  # (outputs,)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.weight.shape[0]:
            raise ShapeError(f"Linear with weight {self.weight.shape} got x of shape {x.shape}")
        return x @ self.weight + self.bias

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        return 2 * math.prod(inputs) * output[-1]


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        return math.prod(output)


class GELU(Module):
    """See `ops.gelu`."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.gelu(x)

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        return 9 * math.prod(output)


class Flatten(Module):
    """(N, ...) -> (N, product of the rest)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1)


class LayerNorm(Module):
    """Normalise the last axis; see `ops.layer_norm`."""

    def __init__(self, size: int) -> None:
        self.scale = Parameter(np.ones(size, np.float32))  # (D,)
        self.shift = Parameter(np.zeros(size, np.float32))  # (D,)

    def forward(self, x: Tensor) -> Tensor:
        return ops.layer_norm(x, self.scale, self.shift)

    def flops(self, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
        return 8 * math.prod(output)


class Embedding(Module):
    """A learned row of `size` numbers for each of `count` symbols: integers (...) -> (..., size)."""

    def __init__(self, count: int, size: int, rng: np.random.Generator) -> None:
        self.weight = Parameter(rng.normal(0, 0.02, (count, size)).astype(np.float32))  # (V, D)

    def forward(self, indices: Array) -> Tensor:
        return ops.take_rows(self.weight, indices)


class Dropout(Module):
    """While training: zero a share of the elements; else nothing."""

    def __init__(self, rate: float, rng: np.random.Generator) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"dropout rate is a share in [0, 1), got {rate}")
        self.rate, self.rng = rate, rng

    def forward(self, x: Tensor) -> Tensor:
        return ops.dropout(x, self.rate, self.rng) if self.training and self.rate else x


class Sequential(Module):
    """Layers one after the other."""

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x
