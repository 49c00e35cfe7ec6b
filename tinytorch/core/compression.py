"""Compression (Module 18): fewer weights by pruning, a smaller network by distillation.

A mask of zeros saves bytes in the file and no time; taking whole neurons or channels away saves both. What was
lost is won back by a short fine-tune in which the old model is the teacher. Does not: change bits (Module 17).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tinytorch.core import ops
from tinytorch.core.compact import CompactParameter, weight_matrices
from tinytorch.core.conv import Algorithm, Conv2d
from tinytorch.core.layers import Linear, Module, Parameter
from tinytorch.core.losses import cross_entropy, soft_cross_entropy
from tinytorch.core.models import CNN, MLP, CharTransformer, Network, Recipe
from tinytorch.core.tensor import Array, Tensor
from tinytorch.core.training import train

AnyNetwork = TypeVar("AnyNetwork", bound=Network)
TEMPERATURE = 3.0  # of the teacher's probabilities: high enough to see second choices (Hinton et al. 2015)
SOFT = 0.9  # weight of the teacher in the loss; the labels have the rest


class CompressionError(ValueError):
    """The model cannot be compressed as wished; the message says what is missing."""


def apply_pruning(
    model: AnyNetwork,
    amount: float = 0.3,
    structured: bool = False,
    fine_tune: bool = True,
    recipe: Recipe | None = None,
    seed: int = 0,
) -> AnyNetwork:
    """Take the weights that matter least away, then train the rest a little.

    Args:
        model:      a network of the library; quantized weights come out quantized to the same bits.
        amount:     share of the weights of each matrix (or of each layer's hidden units, of which one stays, if
                    structured) to remove; weights that were pruned before count.
        structured: remove whole neurons, channels or feed-forward units, which makes the matrices smaller;
                    otherwise set single weights to zero, smallest magnitude first (Han et al. 2015).
        fine_tune:  train the remaining weights towards the old model's answers.
        recipe:     where batches come from; by default the model's own, which load_benchmark sets.
        seed:       of the fine-tune's batches, and of the lot between weights of equal magnitude.

    Returns:
        A new model; `model` is as it was.

    Raises:
        CompressionError: no Network, amount outside [0, 1), or a fine-tune without a recipe.
    """
    _check(model, "apply_pruning")
    if not 0 <= amount < 1:
        raise CompressionError(f"amount is the share of weights to remove, in [0, 1); got {amount}")
    recipe = _recipe(model, recipe) if fine_tune else None

    def change(copy: AnyNetwork) -> None:
        if structured:
            _drop_units(copy, amount)
        else:
            _mask_smallest(copy, amount, np.random.default_rng(seed))
        if recipe is not None:
            _imitate(copy, model, recipe, recipe.fine_tune_steps, recipe.rate / 4, seed)

    return model.changed(change)


def distill(
    teacher: AnyNetwork,
    student: AnyNetwork | None = None,
    steps: int | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
) -> AnyNetwork:
    """Train a smaller network to answer as the teacher does, second choices included (Hinton et al. 2015).

    Args:
        teacher: a trained network of the library.
        student: the untrained smaller one; by default `smaller(teacher)`.
        steps:   training steps; by default the recipe's.
        recipe:  where batches come from; by default the teacher's own.
        seed:    of the batches.

    Returns:
        The trained student in float32, with kernels and cache of the kind the teacher had.

    Raises:
        CompressionError: no Network, or no recipe.
    """
    _check(teacher, "distill")
    if student is not None:
        _check(student, "distill")
    recipe = _recipe(teacher, recipe)
    result = smaller(teacher, seed) if student is None else student.copy()
    _imitate(result, teacher, recipe, recipe.distill_steps if steps is None else steps, recipe.rate, seed)
    result.recipe = teacher.recipe
    if isinstance(teacher, CharTransformer):
        result.generator = teacher.generator
    result.engine = None if teacher.engine is None else teacher.engine.rebuild(result)
    return result


def smaller(teacher: Network, seed: int = 0) -> Any:
    """An untrained student: 1/4 of an MLP's pixels, 3/4 of a CNN's channels, 1/2 of a transformer's FF units."""
    rng = np.random.default_rng(seed)
    if isinstance(teacher, CharTransformer):
        return _smaller_transformer(teacher, rng)
    *layers, _ = _weighted(teacher)
    if isinstance(teacher, MLP):
        return MLP(tuple(layer.weight.shape[1] for layer in layers), 2 * teacher.stride, rng)
    first, second = (max(1, len(layer.weight) * 3 // 4) for layer in layers)
    return CNN((first, second), rng)


def _smaller_transformer(teacher: CharTransformer, rng: np.random.Generator) -> CharTransformer:
    symbols, width = teacher.symbol.weight.shape
    hidden = max(1, teacher.blocks[0].feed_forward.expand.weight.shape[1] // 2)
    return CharTransformer(symbols, teacher.context, width, len(teacher.blocks), teacher.heads, hidden, rng)


def sparsity(model: Module) -> float:
    """Share of the weights of all matrices that are exactly zero."""
    matrices = [weight.data for _, _, weight in weight_matrices(model)]
    return 1 - sum(map(np.count_nonzero, matrices)) / sum(matrix.size for matrix in matrices)


# -- single weights ------------------------------------------------------------------------------------


def _mask_smallest(model: Module, amount: float, rng: np.random.Generator) -> None:
    for layer, name, weight in weight_matrices(model):
        values, pruned_before = weight.data, getattr(weight, "mask", None)
        magnitudes = np.abs(values)
        if pruned_before is not None:
            magnitudes[~pruned_before] = -1  # before any weight that is zero by rounding
        setattr(layer, name, _like(weight, values, mask=_all_but_smallest(magnitudes, amount, rng)))


def _all_but_smallest(magnitudes: Array, amount: float, rng: np.random.Generator) -> Array:
    """False for the share `amount` of smallest and for what is negative; between equal ones the lot decides.

    Few bits leave many equal ones: pruned in order, the first inputs would lose all their weights.
    """
    order = np.lexsort((rng.random(magnitudes.size), magnitudes.ravel()))
    kept = np.ones(magnitudes.size, bool)
    kept[order[: round(amount * magnitudes.size)]] = False
    return kept.reshape(magnitudes.shape) & (magnitudes >= 0)


def _like(weight: Parameter, values: Array, mask: Array | None) -> Parameter:
    """`values` kept as `weight` was: the same bits and scales, with a new mask."""
    if isinstance(weight, CompactParameter):
        return CompactParameter(values, weight.bits, weight.axis, mask)
    return Parameter(values) if mask is None else CompactParameter(values, mask=mask)


# -- whole units ---------------------------------------------------------------------------------------


def _drop_units(model: Module, amount: float) -> None:
    """Remove the units whose incoming and outgoing weights are smallest, as a product of norms."""
    for producer, consumer in _pairs(model):
        _drop_units_between(producer, consumer, amount)


def _drop_units_between(producer: Linear | Conv2d, consumer: Linear | Conv2d, amount: float) -> None:
    out_axis = 0 if isinstance(producer, Conv2d) else 1
    in_axis = 1 if isinstance(consumer, Conv2d) else 0
    units = producer.weight.shape[out_axis]
    spread = consumer.weight.shape[in_axis] // units  # rows a unit feeds: 25 from a pooled channel
    incoming = _norms(producer.weight.data, out_axis)
    outgoing = _norms(consumer.weight.data, in_axis).reshape(units, spread)
    importance = incoming * np.sqrt((outgoing**2).sum(axis=1))
    keep = np.sort(np.argsort(importance)[min(round(units * amount), units - 1) :])
    rows = (keep[:, None] * spread + np.arange(spread)).ravel()
    producer.weight = _take(producer.weight, keep, out_axis)
    producer.bias = _take(producer.bias, keep, 0)
    consumer.weight = _take(consumer.weight, rows, in_axis)


def _pairs(model: Module) -> Iterator[tuple[Linear | Conv2d, Linear | Conv2d]]:
    """Layers whose units only the next weighted layer sees."""
    if isinstance(model, CharTransformer):
        yield from ((block.feed_forward.expand, block.feed_forward.contract) for block in model.blocks)
    else:
        weighted = _weighted(model)
        yield from zip(weighted, weighted[1:], strict=False)


def _weighted(model: Module) -> list[Linear | Conv2d]:
    return [layer for _, layer in model.modules() if isinstance(layer, Linear | Conv2d)]


def _norms(weight: Array, axis: int) -> Array:
    return np.sqrt((weight**2).sum(axis=tuple(i for i in range(weight.ndim) if i != axis)))


def _take(weight: Parameter, indices: Array, axis: int) -> Parameter:
    mask = getattr(weight, "mask", None)
    kept = None if mask is None else np.take(mask, indices, axis)
    return _like(weight, np.take(weight.data, indices, axis), kept)


# -- learning from the old model -----------------------------------------------------------------------


def _imitate(student: Network, teacher: Network, recipe: Recipe, steps: int, rate: float, seed: int) -> None:
    """Train `student` in place: some of it towards the labels, most towards the teacher's probabilities."""
    loosened, slow = _loosen(student), _use_fast_convolution(student)
    teacher = teacher.copy()
    _use_fast_convolution(teacher)
    batches = recipe.batches(recipe.batch_size, np.random.default_rng(seed))
    taught = ((inputs, (labels, _probabilities(teacher, inputs))) for inputs, labels in batches)
    train(
        student,
        taught,
        steps,
        rate,
        loss=_imitation_loss,
        after_step=lambda _: _apply_masks(loosened),
        label="learning from the old model",
    )
    for layer, algorithm in slow:
        layer.algorithm = algorithm
    for parameter in student.parameters():
        parameter.zero_grad()  # or every copy of the model would carry its last gradients along
    _tighten(loosened)


def _use_fast_convolution(model: Module) -> list[tuple[Conv2d, Algorithm]]:
    """Switch to the convolution one trains with -> what each layer had before."""
    before = [(layer, layer.algorithm) for _, layer in model.modules() if isinstance(layer, Conv2d)]
    for layer, _ in before:
        layer.algorithm = "im2col"
    return before


def _probabilities(teacher: Network, inputs: Array) -> Array:
    return ops.softmax(Tensor(teacher.predict(inputs) / TEMPERATURE)).data


def _imitation_loss(logits: Tensor, targets: tuple[Array, Array]) -> Tensor:
    labels, probabilities = targets
    # T^2 keeps the two gradients comparable when the temperature changes (Hinton et al. 2015, section 2).
    soft = soft_cross_entropy(logits * (1 / TEMPERATURE), probabilities) * TEMPERATURE**2
    return cross_entropy(logits, labels) * (1 - SOFT) + soft * SOFT


class _Loosened(NamedTuple):
    """A compact weight that a plain one stands in for while it is trained."""

    layer: Module
    name: str
    compact: CompactParameter
    plain: Parameter


def _loosen(model: Module) -> list[_Loosened]:
    """Put plain float parameters in the place of compact ones, so that small steps are not rounded away."""
    found = [
        _Loosened(layer, name, weight, Parameter(weight.data.copy()))
        for layer, name, weight in weight_matrices(model)
        if isinstance(weight, CompactParameter)
    ]
    for each in found:
        setattr(each.layer, each.name, each.plain)
    return found


def _apply_masks(loosened: list[_Loosened]) -> None:
    for each in loosened:
        if each.compact.mask is not None:
            each.plain.data = each.plain.data * each.compact.mask


def _tighten(loosened: list[_Loosened]) -> None:
    for each in loosened:
        each.compact.data = each.plain.data
        setattr(each.layer, each.name, each.compact)


def _check(model: object, verb: str) -> None:
    if not isinstance(model, (MLP, CNN, CharTransformer)):
        raise CompressionError(f"{verb} takes an MLP, CNN or CharTransformer, got {type(model).__name__}")


def _recipe(model: Network, recipe: Recipe | None) -> Recipe:
    found = recipe or model.recipe
    if found is None:
        raise CompressionError(
            "no training data to fine-tune on: pass recipe=Recipe(...), take a model from load_benchmark(), "
            "or (pruning only) fine_tune=False"
        )
    return found
