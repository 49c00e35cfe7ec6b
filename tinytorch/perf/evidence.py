"""Facts about a model, found by looking and by intervening: change a weight or take a kernel away, and see.

A tensor counts only if permuting its entries moves the outputs, and everything is compared with the baseline, so
padding, dead copies and attributes earn nothing. Does not: turn facts into points (the notebook does).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.core.compact import CompactParameter
from tinytorch.core.models import Network
from tinytorch.core.profiler import Clock
from tinytorch.perf.machine import arrays_of, at_new_places
from tinytorch.perf.records import Record

SMALLEST = 256  # elements; smaller arrays (biases, norms, scales) are no weight matrices
MOVED = 1e-3  # of the logits' spread: less than that and the tensor was not used
PAIRS = 9  # of timings with and without the engine


@dataclass(frozen=True)
class Facts(Record):
    """What was found; None where there is nothing to compare with."""

    weights: int  # live weights that are not zero
    baseline_weights: int
    bits_per_weight: float  # mean over the live weights as they are stored
    dead_tensors: int  # large arrays that the outputs do not depend on
    unmoved: float  # share of the choices that stay when all large arrays are shuffled: 1.0 if they mean nothing
    structured: bool  # some matrix is smaller than the baseline's
    provenance: float  # 0..1: how far the weights are those of the baseline
    agreement: float | None  # share of the baseline's wrong answers that the model gives too
    kernel: str  # name of the engine, "" without one
    kernel_speedup: float  # time without the engine / time with it; 1.0 without one
    memory_ratio: float | None  # baseline's peak memory / the model's
    packed_ratio: float  # stored bytes / bytes after lzma


@dataclass(frozen=True)
class Stored:
    """One large array of a model, as stored."""

    name: str  # of a Network's parameter
    values: np.ndarray  # as the layer uses them
    stored: np.ndarray  # as kept
    bits: float  # per weight


def gather_facts(
    model: Any,
    baseline: Any,
    inputs: np.ndarray,
    answers: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    memory_ratio: float | None = None,
) -> Facts:
    """Look at a model beside its baseline.

    Args:
        inputs:  (N, ...) a few probe inputs; outputs on them tell whether a tensor is used.
        answers: classes that the model and the baseline chose on graded inputs, and the labels; all of one shape.
        memory_ratio: where peak memory was measured.
    """
    live, dead = live_weights(model, inputs)
    own, _ = live_weights(baseline, inputs)
    count = sum(int(np.count_nonzero(weight.values)) for weight in live)
    size = max(1, sum(weight.values.size for weight in live))
    return Facts(
        weights=count,
        baseline_weights=sum(int(np.count_nonzero(weight.values)) for weight in own),
        bits_per_weight=sum(weight.bits * weight.values.size for weight in live) / size,
        dead_tensors=dead,
        unmoved=_unmoved(model, inputs),
        structured=_is_structured(live, own),
        provenance=_provenance(live, own),
        agreement=None if answers is None else wrong_agreement(*answers),
        kernel=str(getattr(getattr(model, "engine", None), "name", "")),
        kernel_speedup=kernel_speedup(model, inputs),
        memory_ratio=memory_ratio,
        packed_ratio=_packed_ratio(live),
    )


# -- which weights there are, and which are used -------------------------------------------------------


def live_weights(model: Any, inputs: np.ndarray) -> tuple[list[Stored], int]:
    """Large arrays that the outputs depend on, and the number of those that they do not."""
    before = np.array(model.predict(inputs))  # a copy: the model may write its next answer to the same place
    found = list(_stored(model))
    used = [index for index in range(len(found)) if _moves(model, index, inputs, before)]
    return [found[index] for index in used], len(found) - len(used)


def _moves(model: Any, index: int, inputs: np.ndarray, before: np.ndarray) -> bool:
    after = _shuffled_answer(model, [index], inputs)
    # What breaks the model was used by it, and NaN has moved, too.
    return after is None or not np.abs(after - before).max() <= MOVED * before.std()


def _unmoved(model: Any, inputs: np.ndarray) -> float:
    before = np.array(model.predict(inputs))
    after = _shuffled_answer(model, range(len(list(_stored(model)))), inputs)
    return 0.0 if after is None else float((after.argmax(axis=-1) == before.argmax(axis=-1)).mean())


def _shuffled_answer(model: Any, indices: Sequence[int], inputs: np.ndarray) -> np.ndarray | None:
    """Logits when the entries of some of the large arrays are shuffled; None if the model then breaks."""
    try:
        with np.errstate(all="ignore"):
            return np.array(_shuffled(model, indices).predict(inputs))
    except Exception:  # an index out of range, say
        return None


def _shuffled(model: Any, indices: Sequence[int]) -> Any:
    """A copy of the model in which some of its large arrays are shuffled, each in itself."""
    if isinstance(model, Network):
        return model.changed(lambda copy: _shuffle_parameters(copy, indices))
    copy = at_new_places(model, np.random.default_rng(0))
    arrays = _large(copy)
    for index in indices:
        arrays[index][...] = _permutation(arrays[index], index)
    return copy


def _shuffle_parameters(network: Network, indices: Sequence[int]) -> None:
    parameters = [value for _, value in network.named_parameters() if value.size >= SMALLEST]
    for index in indices:
        parameter = parameters[index]
        if isinstance(parameter, CompactParameter):
            parameter.mask = None  # the shuffled weights lie elsewhere
        parameter.data = _permutation(parameter.data, index)


def _permutation(array: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(array.ravel()).reshape(array.shape)


def _stored(model: Any) -> Iterator[Stored]:
    """The large arrays: parameters of a Network, or all arrays that any other object holds."""
    if not isinstance(model, Network):
        yield from (Stored("", array, array, 8.0 * array.itemsize) for array in _large(model))
        return
    for name, parameter in model.named_parameters():
        if parameter.size >= SMALLEST:
            bits = getattr(parameter, "bits", None)
            arrays = parameter.arrays()
            stored = next(arrays[part] for part in ("codes", "values", "") if part in arrays)
            yield Stored(name, parameter.data, stored, float(bits or 8 * stored.itemsize))


def _large(model: Any) -> list[np.ndarray]:
    return [array for array in arrays_of(model) if array.size >= SMALLEST]


# -- comparing with the baseline -----------------------------------------------------------------------


def _is_structured(live: list[Stored], own: list[Stored]) -> bool:
    shapes = {weight.name: weight.values.shape for weight in own}
    return any(weight.name in shapes and weight.values.shape != shapes[weight.name] for weight in live)


def _provenance(live: list[Stored], own: list[Stored]) -> float:
    """Likeness of each matrix to the baseline matrix it is most like, weighted by size, 0..1.

    Matrices whose shape fits none of the baseline's say nothing; 0 where they are more than half of the weights.
    """
    best = []
    for weight in live:
        likenesses = [_likeness(weight.values, other.values) for other in own]
        known = [likeness for likeness in likenesses if likeness is not None]
        if known:
            best.append((weight.values.size, max(known)))
    compared = sum(size for size, _ in best)
    if 2 * compared < sum(weight.values.size for weight in live):
        return 0.0
    return sum(size * likeness for size, likeness in best) / max(1, compared)


def _likeness(values: np.ndarray, other: np.ndarray) -> float | None:
    """Cosine between arrays where the first is not zero, or between their best matching units; None if neither."""
    if values.shape == other.shape:
        kept = values != 0
        return _cosine(values[kept], other[kept])
    if values.ndim == other.ndim == 2 and values.shape[0] == other.shape[0]:
        return _best_units(values.T, other.T)
    if values.ndim == other.ndim == 4 and values.shape[1:] == other.shape[1:]:
        return _best_units(values.reshape(len(values), -1), other.reshape(len(other), -1))
    return None


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return max(0.0, float(np.dot(a.ravel(), b.ravel())) / norm) if norm else 0.0


def _best_units(units: np.ndarray, others: np.ndarray) -> float:
    """Mean over `units` (n, k) of the largest cosine to any of `others` (m, k)."""
    a = units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
    b = others / np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-12)
    return float(np.clip((a @ b.T).max(axis=1), 0, 1).mean())


def wrong_agreement(chosen: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> float:
    """Of the answers that the baseline gets wrong: the share in which the model makes the same mistake."""
    wrong = baseline != labels
    return float((chosen[wrong] == baseline[wrong]).mean()) if wrong.any() else 0.0


def _packed_ratio(live: list[Stored]) -> float:
    """How much a general compressor still finds in the stored weights (their zeros left out): shared values."""
    kept = [weight.stored[weight.stored != 0] for weight in live]
    import lzma  # here: the benchmark must not cost much more than numpy to import

    raw = b"".join(np.ascontiguousarray(array).tobytes() for array in kept)
    return len(raw) / len(lzma.compress(raw)) if raw else 1.0


# -- taking the kernel away ----------------------------------------------------------------------------


def kernel_speedup(model: Any, inputs: np.ndarray) -> float:
    """Time of a network without its engine / with it, as the median over interleaved pairs; 1.0 without an engine.

    The engine must be what `predict` uses: one that is not called makes no difference in time.
    """
    if getattr(model, "engine", None) is None or not isinstance(model, Network):
        return 1.0
    plain, clock = model.copy(), Clock()
    plain.engine = None
    ratios = []
    for _ in range(PAIRS):
        start = clock.now_s()
        plain.predict(inputs)
        middle = clock.now_s()
        model.predict(inputs)
        ratios.append((middle - start) / max(clock.now_s() - middle, 1e-9))
    return float(np.median(ratios[1:]))
