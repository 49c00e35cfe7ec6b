"""Optimisers and the learning-rate schedule (Module 6). Does not: compute gradients or choose batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinytorch.core.layers import Parameter


class Optimizer:
    """Holds parameters and a learning rate; a subclass says how one parameter moves."""

    def __init__(self, parameters: Sequence[Parameter], rate: float) -> None:
        if not parameters:
            raise ValueError("an optimizer needs at least one parameter, got an empty list")
        self.parameters, self.rate = list(parameters), rate

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                parameter.data = parameter.data - self.change(index, parameter)

    def change(self, index: int, parameter: Parameter) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no change()")

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.zero_grad()


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013, without Nesterov's look-ahead)."""

    def __init__(self, parameters: Sequence[Parameter], rate: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, rate)
        self.momentum = momentum
        self.velocity = [np.zeros_like(parameter.data) for parameter in self.parameters]

    def change(self, index: int, parameter: Parameter) -> np.ndarray:
        assert parameter.grad is not None
        self.velocity[index] = self.momentum * self.velocity[index] + parameter.grad
        return self.rate * self.velocity[index]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        parameters: Sequence[Parameter],
        rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, rate)
        self.betas, self.epsilon, self.decay, self.steps = betas, epsilon, decay, 0
        self.mean = [np.zeros_like(parameter.data) for parameter in self.parameters]
        self.square = [np.zeros_like(parameter.data) for parameter in self.parameters]

    def step(self) -> None:
        self.steps += 1
        super().step()

    def change(self, index: int, parameter: Parameter) -> np.ndarray:
        assert parameter.grad is not None
        first, second = self.betas
        mean, square = self.mean[index], self.square[index]
        mean += (1 - first) * (parameter.grad - mean)
        square += (1 - second) * (parameter.grad**2 - square)
        unbiased = self.rate * math.sqrt(1 - second**self.steps) / (1 - first**self.steps)
        move = unbiased * mean / (np.sqrt(square) + self.epsilon)
        return move + self.rate * self.decay * parameter.data if self.decay and parameter.ndim > 1 else move


def cosine_schedule(step: int, steps: int, peak: float, warmup: int = 0, last: float = 0.0) -> float:
    """Learning rate at `step` of `steps`: a linear warm-up, then half a cosine from `peak` to `last`.

    Source: Loshchilov and Hutter 2017, without restarts.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return last + (peak - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def clip_gradients(parameters: Sequence[Parameter], largest: float) -> float:
    """Scale all gradients so that their common norm is at most `largest`; returns the norm before."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = math.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients))
    if norm > largest:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = parameter.grad * (largest / norm)
    return norm
