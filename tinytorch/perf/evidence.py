"""Facts about a model, found by looking and by intervening: change a weight or take a kernel away, and see.

A tensor counts only if permuting its entries moves the outputs, and everything is compared with the baseline, so
padding, dead copies and attributes earn nothing. Does not: turn facts into points (the notebook does).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
MOST_COMPARED = 8000  # answers
PAIRS = 9  # of timings with and without the engine

# Where each family earns nothing and where it earns everything; tests/benchmarks/evidence.py measures what honest
# entries and fakes of all three events reach on these scales.
ENDS: Mapping[str, tuple[float, float]] = {
    "quantization": (0.0, 3.0),  # log2(32 / bits per weight): from float32 to four bits
    "pruning": (0.3, 0.9),  # share of the baseline's weights that are gone
    "distillation": (0.9, 0.97),  # rank correlation of the classes that were not chosen
    "custom kernels": (0.1, 3.0),  # log2 of the speedup that they give: up to 8 times
    "memory optimization": (0.1, 4.0),  # log2(baseline's peak memory / the model's): up to a sixteenth
    "compression": (0.5, 2.0),  # log2(stored bytes / packed bytes)
}


@dataclass(frozen=True)
class Facts(Record):
    """What was found; None where there is nothing to compare with."""

    weights: int  # live weights that are not zero
    baseline_weights: int
    bits_per_weight: float  # stored bits of the live weights / their number, the baseline's number at most
    dead_tensors: int  # large arrays that the outputs do not depend on
    unmoved: float  # share of the choices that stay when all large arrays are shuffled: 1.0 if they mean nothing
    structured: bool  # some matrix is smaller than the baseline's
    provenance: float  # 0..1: how far the weights are those of the baseline
    agreement: float | None  # rank correlation of the logits of the classes that the baseline did not choose
    kernel: str  # name of the engine, "" without one
    kernel_speedup: float  # time without the engine / time with it; 1.0 without one
    memory_ratio: float | None  # baseline's peak memory / the model's
    packed_ratio: float  # stored bytes / bytes after lzma, of no more weights than the baseline has


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
    answers: tuple[np.ndarray, np.ndarray] | None = None,
    memory_ratio: float | None = None,
) -> Facts:
    """Look at a model beside its baseline.

    Args:
        inputs:  (N, ...) a few probe inputs; outputs on them tell whether a tensor is used.
        answers: logits of the model and of the baseline on the same graded inputs.
        memory_ratio: where peak memory was measured.
    """
    live, dead = live_weights(model, inputs)
    own, _ = live_weights(baseline, inputs)
    count = sum(int(np.count_nonzero(weight.values)) for weight in live)
    bits = sum(weight.bits * weight.values.size for weight in live)
    size, most = (sum(weight.values.size for weight in weights) for weights in (live, own))
    return Facts(
        weights=count,
        baseline_weights=sum(int(np.count_nonzero(weight.values)) for weight in own),
        bits_per_weight=_bits_per_weight(bits, size, most),
        dead_tensors=dead,
        unmoved=_unmoved(model, inputs),
        structured=_is_structured(live, own),
        provenance=_provenance(live, own),
        agreement=None if answers is None else other_choices(*answers),
        kernel=str(getattr(getattr(model, "engine", None), "name", "")),
        kernel_speedup=kernel_speedup(model, inputs),
        memory_ratio=memory_ratio,
        packed_ratio=_packed_ratio(live, size, most),
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


def other_choices(logits: np.ndarray, baseline: np.ndarray) -> float:
    """Do the classes that were *not* chosen come in one order? Mean rank correlation (Spearman 1904), -1..1.

    Plain agreement says little: any good network agrees. What a student has from its teacher is how alike other
    classes look to it (the "dark knowledge" of Hinton et al. 2015).

    Args:
        logits, baseline: (N, classes) or (N, T, classes); what the baseline chose is left out on both sides.
    """
    classes = baseline.shape[-1]
    others = np.ones((min(baseline[..., 0].size, MOST_COMPARED), classes), dtype=bool)
    sides = [each.reshape(-1, classes)[: len(others)] for each in (logits, baseline)]
    others[np.arange(len(others)), sides[1].argmax(axis=-1)] = False
    own, theirs = (_centred_ranks(side[others].reshape(-1, classes - 1)) for side in sides)
    spread = np.sqrt((own**2).sum(axis=-1) * (theirs**2).sum(axis=-1))
    return float(((own * theirs).sum(axis=-1) / spread).mean())


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Place of each value in its row, counted from the middle."""
    return values.argsort(axis=-1).argsort(axis=-1) - (values.shape[-1] - 1) / 2


def _bits_per_weight(bits: float, size: int, most: int) -> float:
    """Stored bits for each weight that a network of the baseline's size needs: more numbers do not dilute them."""
    return bits / max(1, min(size, most)) if bits else 32.0


def _packed_ratio(live: list[Stored], size: int, most: int) -> float:
    """How much a general compressor still finds in the stored weights (their zeros left out): shared values.

    More numbers than the baseline's are not counted as stored: a copy that packs away is no compression.
    """
    kept = [weight.stored[weight.stored != 0] for weight in live]
    import lzma  # here: the benchmark must not cost much more than numpy to import

    raw = b"".join(np.ascontiguousarray(array).tobytes() for array in kept)
    needed = min(1.0, most / max(1, size))
    return needed * len(raw) / len(lzma.compress(raw)) if raw else 1.0


# -- taking the kernel away ----------------------------------------------------------------------------


def kernel_speedup(model: Any, inputs: np.ndarray) -> float:
    """Time of a network without its engine / with it; 1.0 without an engine.

    Median over interleaved pairs, geometric mean over batches of one, of an eighth and of all `inputs`: an event
    times small and large batches, too. The engine must be what `predict` uses: one that is not called makes no
    difference in time.
    """
    if getattr(model, "engine", None) is None or not isinstance(model, Network):
        return 1.0
    plain, clock = model.copy(), Clock()
    plain.engine = None
    sizes = sorted({1, max(1, len(inputs) // 8), len(inputs)})
    logs = [math.log(_time_ratio(plain, model, inputs[:size], clock)) for size in sizes]
    return math.exp(sum(logs) / len(logs))


def _time_ratio(slow: Any, fast: Any, inputs: np.ndarray, clock: Clock) -> float:
    ratios = []
    for _ in range(PAIRS):
        start = clock.now_s()
        slow.predict(inputs)
        middle = clock.now_s()
        fast.predict(inputs)
        ratios.append(max(middle - start, 1e-9) / max(clock.now_s() - middle, 1e-9))
    return float(np.median(ratios[1:]))


# -- entries, whose code is not trusted: the referee runs what is listed here, each in a process of its own ----

PROBES = {"mlp_sprint": 256, "cnn_marathon": 64, "transformer_decathlon": 8}  # inputs of a run
AS_IS = "as is"  # name of the run that changes nothing
MOST_SHUFFLED = 24  # arrays that are shuffled one by one, the largest first
FREE_SHARE = 0.05  # of the examined live bytes that may lie in arrays nobody shuffled: biases, scales, shapes
FREE_SOURCE_BYTES = 4096  # of packed source text that are not counted as weights: about 400 lines
CLOSED_NAT = 0.01  # mean divergence of the answers up to which a network counts as the same


@dataclass(frozen=True)
class Intervention:
    """What to change before the entry answers once more."""

    name: str
    weights: Mapping[str, np.ndarray]  # what build gets
    source: str | None  # in place of submission.py
    kernel_off: bool  # numba's functions and kernel.c's replaced by such as do nothing
    timed: bool
    proves: str


@dataclass(frozen=True)
class Run(Record):
    """What came of one intervention; no logits where the entry broke: then what was changed was used."""

    name: str
    logits: np.ndarray | None
    time_s: float | None = None


def interventions(entry: Any, baseline_weights: Mapping[str, np.ndarray], seed: int) -> tuple[Intervention, ...]:
    """All runs that facts_from_runs needs for an entry with `weights`, `source` and `kernel_source`."""
    names = _shuffled_names(entry.weights)

    def shuffled(chosen: Sequence[str]) -> dict[str, np.ndarray]:
        changed = dict(entry.weights)
        return changed | {name: _permutation(changed[name], seed + at) for at, name in enumerate(chosen)}

    listed = [
        Intervention(AS_IS, dict(entry.weights), None, False, True, "what the others are compared with"),
        Intervention("all shuffled", shuffled(names), None, False, False, "the file carries the model"),
    ]
    for name in names:
        listed.append(Intervention(f"shuffled: {name}", shuffled([name]), None, False, False, f"{name} is used"))
    if _has_kernels(entry):
        listed.append(
            Intervention("without kernels", dict(entry.weights), None, True, True, "the kernels are used")
        )
    return tuple(listed)


def facts_from_runs(
    entry: Any,
    baseline_weights: Mapping[str, np.ndarray],
    runs: Mapping[str, Run],
    answers: tuple[np.ndarray, np.ndarray],
    memory_ratio: float,
    speedup: float,
) -> Facts:
    """Facts about an entry from what its interventions gave; `answers` as in gather_facts.

    Args:
        speedup: of the whole entry over the baseline in its event, which its kernels may have a share in.
    """
    own = [Stored(name, array, array, 32.0) for name, array in baseline_weights.items() if array.size >= SMALLEST]
    names = _shuffled_names(entry.weights)
    used = [name for name in names if _run_moved(runs[AS_IS], runs[f"shuffled: {name}"])]
    arrays = {name: entry.weights[name] for name in used}
    most = sum(weight.values.size for weight in own)
    live = [Stored(name, array, array, _stored_bits(array, own)) for name, array in arrays.items()]
    live += _unproved(entry.weights, used, most)
    counts = [_count(weight) for weight in live]
    hidden = hidden_bytes(entry)  # at most as many weights as four bits each make
    size = sum(counts) + 2 * hidden
    bits = sum(n * w.bits for n, w in zip(counts, live, strict=True)) + 8 * hidden
    stored = sum(round(n * _share_kept(w.stored)) for n, w in zip(counts, live, strict=True))
    return Facts(
        weights=stored + 2 * hidden,
        baseline_weights=sum(int(np.count_nonzero(weight.values)) for weight in own),
        bits_per_weight=_bits_per_weight(bits, size, most),
        dead_tensors=len(names) - len(used),
        unmoved=_unmoved_share(runs[AS_IS], runs["all shuffled"]),
        structured=size < most,
        provenance=_provenance(live, own),
        agreement=other_choices(*answers),
        kernel="own" if _has_kernels(entry) else "",
        kernel_speedup=_kernel_worth(runs, speedup),
        memory_ratio=memory_ratio,
        packed_ratio=_packed_ratio(live, size, most),
    )


def division_of(logits: np.ndarray, baseline_logits: np.ndarray) -> tuple[str, float]:
    """("closed" or "open", mean Kullback-Leibler divergence in nat of the answers from the baseline's).

    Closed is the same network, computed otherwise; open is any other above the floor.
    """
    expected, found = (_log_probabilities(each) for each in (baseline_logits, logits))
    divergence = max(0.0, float((np.exp(expected) * (expected - found)).sum(axis=-1).mean()))
    return ("closed" if divergence <= CLOSED_NAT else "open"), divergence


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _shuffled_names(weights: Mapping[str, np.ndarray]) -> list[str]:
    """Large arrays that hold weights; a bitmap of kept places is none, and breaks when it is shuffled."""
    large = [name for name, array in weights.items() if array.size >= SMALLEST and not _kept_beside(name, weights)]
    return sorted(large, key=lambda name: -weights[name].nbytes)[:MOST_SHUFFLED]


def _kept_beside(name: str, weights: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the arrays X:... that hold one value for each bit that is set in the bitmap X:bitmap.

    None where `name` is no bitmap, or is one in name only. Values of fewer than eight bits may be packed in bytes.
    """
    stem, _, part = name.rpartition(":")
    bitmap = weights[name]
    if part != "bitmap" or bitmap.dtype != np.uint8:
        return []
    kept = int(np.bitwise_count(bitmap).sum())
    packed = {(kept * bits + 7) // 8 for bits in range(1, 8)}
    return [
        other
        for other, array in weights.items()
        if other != name and other.rpartition(":")[0] == stem
        if array.size == kept or (array.dtype.itemsize == 1 and array.size in packed)
    ]


def _unproved(weights: Mapping[str, np.ndarray], used: Sequence[str], most: int) -> list[Stored]:
    """What lies in arrays that nobody shuffled, or that shuffling left alone: one a dtype, [] where it is little.

    Weights may be cut into small pieces, or lie beside their places and be sorted at home. Left out are bitmaps of
    values that are used, as long as they have no more bits than the baseline has weights (`most`).
    """
    bitmaps = [name for name in weights if set(_kept_beside(name, weights)) & set(used)]
    if 8 * sum(weights[name].nbytes for name in bitmaps) > most + 8 * len(bitmaps):
        bitmaps = []
    rest = [array.ravel() for name, array in weights.items() if name not in {*used, *bitmaps}]
    if sum(array.nbytes for array in rest) <= FREE_SHARE * sum(weights[name].nbytes for name in used):
        return []
    kinds = {dtype: [array for array in rest if array.dtype == dtype] for dtype in {array.dtype for array in rest}}
    pools = {f"small {dtype}": np.concatenate(arrays) for dtype, arrays in kinds.items()}
    return [Stored(name, pool, pool, 8.0 * pool.itemsize) for name, pool in sorted(pools.items())]


def _has_kernels(entry: Any) -> bool:
    return entry.kernel_source is not None or "numba" in entry.source


def _run_moved(before: Run, after: Run) -> bool:
    """Did the change move the outputs? What breaks the entry was used by it."""
    if before.logits is None or after.logits is None:
        return before.logits is not None
    return not float(np.abs(after.logits - before.logits).max()) <= MOVED * float(before.logits.std())


def _unmoved_share(before: Run, after: Run) -> float:
    if before.logits is None or after.logits is None:
        return 0.0
    return float((after.logits.argmax(axis=-1) == before.logits.argmax(axis=-1)).mean())


def _stored_bits(array: np.ndarray, own: Sequence[Stored]) -> float:
    """Bits of a weight as stored; bytes that hold several are known by the sizes of the baseline's matrices."""
    sizes = {weight.values.size for weight in own}
    if array.dtype.itemsize == 1 and array.size not in sizes:
        for bits in (4, 2, 3, 5, 6, 7):
            if any(array.size == (size * bits + 7) // 8 for size in sizes):
                return float(bits)
    return 8.0 * array.dtype.itemsize


def _count(weight: Stored) -> int:
    """How many weights an array holds."""
    return round(weight.stored.nbytes * 8 / weight.bits)


def _share_kept(stored: np.ndarray) -> float:
    return np.count_nonzero(stored) / stored.size


def _kernel_worth(runs: Mapping[str, Run], speedup: float) -> float:
    """The entry's speedup to the power of its kernels' share of the time; 1 where the answers do not need them.

    The share is what is left of the time when they do nothing. Where the entry breaks without them it is unknown,
    and counted as all.
    """
    run, without = runs[AS_IS], runs.get("without kernels")
    if without is None or not _run_moved(run, without) or not run.time_s:
        return 1.0
    share = 1.0 if without.time_s is None else min(1.0, max(0.0, 1 - without.time_s / run.time_s))
    return float(max(1.0, speedup) ** share)


def hidden_bytes(entry: Any) -> int:
    """What source and listing pack to beyond FREE_SOURCE_BYTES: more than code, weights for instance.

    The listing is what `build` gets beside numbers: names, kinds and shapes of the arrays, in their order.
    """
    import lzma  # here: the benchmark must not cost much more than numpy to import

    listing = "".join(f"{name} {array.dtype.str} {array.shape}\n" for name, array in entry.weights.items())
    text = entry.source + (entry.kernel_source or "") + listing
    return max(0, len(lzma.compress(text.encode())) - FREE_SOURCE_BYTES)
