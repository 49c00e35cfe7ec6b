"""Evidence is found by looking and by intervening: what is not used, or only claimed, earns nothing."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tinytorch.core.compression import apply_pruning
from tinytorch.core.layers import Linear
from tinytorch.core.models import MLP
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.evidence import (
    FREE_SOURCE_BYTES,
    Run,
    facts_from_runs,
    gather_facts,
    hidden_bytes,
    interventions,
    kernel_speedup,
    live_weights,
    other_choices,
)

BASELINE = MLP(hidden=(64, 64), rng=np.random.default_rng(0))  # three matrices, three biases too small to count
SIZE = 784 * 64 + 64 * 64 + 64 * 10
INPUTS = np.random.default_rng(1).integers(256, size=(16, 784), dtype=np.uint8)


class Student:
    """One hidden layer of a student's own, in plain arrays."""

    def __init__(self, first, second, **own):
        vars(self).update(own, first=first, second=second)

    def predict(self, images):
        return np.maximum(images.astype(np.float32) / 255 @ self.first, 0) @ self.second


def weights(*shape, seed=2):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def student(**own):
    return Student(weights(784, 32), weights(32, 10), **own)


def facts(model, baseline=BASELINE):
    return gather_facts(model, baseline, INPUTS)


def pruned(amount, structured=False):
    return apply_pruning(BASELINE, amount, structured=structured, fine_tune=False)


# ---------------------------------------------------------------- what is used


def test_the_baseline_is_what_it_is():
    found = facts(BASELINE)
    assert found.weights == found.baseline_weights == SIZE
    assert (found.bits_per_weight, found.dead_tensors, found.structured) == (32, 0, False)
    assert found.provenance == pytest.approx(1)
    assert (found.agreement, found.kernel, found.kernel_speedup, found.memory_ratio) == (None, "", 1.0, None)


def test_facts_go_into_json():
    assert json.loads(json.dumps(facts(BASELINE).to_dict()))["weights"] == SIZE


def test_looking_changes_no_weight():
    model = student()
    before = (model.first.copy(), model.second.copy())
    facts(model)
    assert np.array_equal(model.first, before[0]) and np.array_equal(model.second, before[1])


def test_a_layer_that_nothing_passes_through_is_dead():
    model = BASELINE.copy()
    model.spare = Linear(40, 40, np.random.default_rng(0))
    found = facts(model)
    assert (found.dead_tensors, found.weights) == (1, SIZE)


def test_an_unused_integer_copy_earns_no_bits():
    codes = np.rint(weights(784, 32) * 20).astype(np.int8)
    found = facts(student(codes=codes))
    assert (found.bits_per_weight, found.dead_tensors) == (32, 1)


def test_integers_that_answers_are_made_of_earn_their_bits():
    class Dequantized(Student):
        def predict(self, images):
            return np.maximum(images.astype(np.float32) @ (self.first * self.scale), 0) @ (
                self.second * self.scale
            )

    codes = [np.rint(each * 20).astype(np.int8) for each in (weights(784, 32), weights(32, 10))]
    assert facts(Dequantized(*codes, scale=np.float32(0.05))).bits_per_weight == 8


def test_zeros_around_a_matrix_are_not_pruned_weights():
    class Padded(Student):
        def predict(self, images):
            return super().predict(np.hstack([images, np.zeros_like(images)]))

    plain = student()
    padded = Padded(np.vstack([plain.first, np.zeros_like(plain.first)]), plain.second)
    assert facts(padded).weights == facts(plain).weights == 784 * 32 + 32 * 10


def test_what_breaks_the_model_when_it_is_shuffled_is_used():
    class Binned(Student):
        def predict(self, images):
            return super().predict(np.digitize(images, self.edges))

    model = Binned(weights(784, 32), weights(32, 10), edges=np.arange(300))
    live, dead = live_weights(model, INPUTS)
    assert (len(live), dead) == (3, 0)


def test_a_buffer_for_answers_does_not_hide_what_moves_them():
    class Buffered(Student):
        def predict(self, images):
            self.buffer[: len(images)] = super().predict(images)
            return self.buffer[: len(images)]

    model = Buffered(weights(784, 32), weights(32, 10), buffer=np.zeros((64, 10)))
    live, dead = live_weights(model, INPUTS)
    assert (len(live), dead) == (2, 1), "two matrices; the buffer is not a weight"


def test_a_model_that_keeps_its_weights_out_of_sight_shows_that_what_it_shows_means_nothing():
    class Hidden:
        def __init__(self):
            self.table = np.linspace(1, 1.1, 256)  # moves the answers a little, and decides nothing

        def predict(self, images):
            return BASELINE.predict(images) * self.table[images[:, :1]]

    found = facts(Hidden())
    assert found.weights == 256 and found.unmoved == 1
    assert facts(BASELINE).unmoved < 0.5 and facts(student()).unmoved < 0.5


def test_a_model_without_any_weights_proves_nothing():
    class Blank:
        def predict(self, images):
            return np.zeros((len(images), 10), np.float32)

    found = facts(Blank())
    assert (found.weights, found.unmoved) == (0, 1)


# ---------------------------------------------------------------- bits, zeros, origin


@pytest.mark.parametrize("bits", [8, 4, 3])
def test_bits_are_read_from_the_weights(bits):
    assert facts(apply_quantization(BASELINE, bits)).bits_per_weight == bits


def test_zeros_count_as_gone_and_the_rest_is_still_the_baselines():
    found = facts(pruned(0.5))
    assert found.weights == pytest.approx(SIZE / 2, rel=0.01)
    assert found.provenance == pytest.approx(1) and not found.structured


def test_pruning_is_seen_through_quantization():
    found = facts(apply_quantization(pruned(0.5), 4))
    assert found.weights < 0.51 * SIZE and found.bits_per_weight == 4 and found.provenance > 0.95


def test_whole_neurons_that_are_gone_leave_the_others_recognisable():
    found = facts(pruned(0.5, structured=True))
    assert found.weights == 784 * 32 + 32 * 32 + 32 * 10
    assert found.structured and found.provenance > 0.8


def test_weights_of_another_training_are_not_the_baselines():
    assert facts(MLP(hidden=(64, 64), rng=np.random.default_rng(9))).provenance < 0.1


def test_matrices_of_other_shapes_have_no_origin():
    assert facts(MLP(hidden=(20, 12), stride=2, rng=np.random.default_rng(9))).provenance == 0


# ---------------------------------------------------------------- second thoughts, kernels, packing

ORDERED = np.array([[9.0, 1, 2, 3, 4], [0, 9, 1, 2, 3]])  # the baseline chooses the nine


@pytest.mark.parametrize(
    ("logits", "correlation"),
    [
        (ORDERED, 1),
        (3 * ORDERED - 7, 1),
        ([[-5, 1, 2, 3, 4], [0, -5, 1, 2, 3]], 1),  # what was chosen is left out
        (-ORDERED, -1),
        ([[9, 1, 2, 3, 4], [0, 9, -1, -2, -3]], 0),
    ],
)
def test_the_order_of_the_classes_that_were_not_chosen_is_compared(logits, correlation):
    assert other_choices(np.array(logits, dtype=float), ORDERED) == pytest.approx(correlation)


def test_answers_at_each_position_of_a_text_are_compared_alike():
    assert other_choices(np.tile(ORDERED, (3, 4, 1)), np.tile(ORDERED, (3, 4, 1))) == pytest.approx(1)


class Instant:
    """An engine that knows its one answer by heart."""

    name = "instant"

    def __call__(self, images):
        return np.zeros((len(images), 10), np.float32)

    def rebuild(self, network):
        return self


def test_without_an_engine_there_is_nothing_to_take_away():
    assert kernel_speedup(BASELINE, INPUTS) == 1
    assert kernel_speedup(student(engine=Instant()), INPUTS) == 1


def test_a_kernel_that_does_the_work_is_missed_when_it_is_gone():
    model = BASELINE.copy()
    model.engine = Instant()
    assert kernel_speedup(model, INPUTS) > 2
    assert facts(model).kernel == "instant"


def test_a_kernel_that_is_not_used_is_not_missed():
    class Pretender(MLP):
        def predict(self, images):
            return self.forward(images).data

    model = Pretender(hidden=(64, 64), rng=np.random.default_rng(0))
    model.engine = Instant()
    assert 0.5 < kernel_speedup(model, INPUTS) < 2


def test_a_few_shared_values_pack_and_random_ones_do_not():
    assert facts(student()).packed_ratio < 1.2
    codebook = weights(8)
    shared = codebook[np.random.default_rng(3).integers(8, size=(784, 32))]
    assert facts(Student(shared, weights(32, 10))).packed_ratio > 4


def test_zeros_are_no_packing():
    assert facts(pruned(0.9)).packed_ratio < 1.3


# ---------------------------------------------------------------- entries: what nobody shuffles, and names

OWN = BASELINE.state_dict()
DECOY = (np.arange(1024) % 2).astype(np.uint8)  # as long as 64 x 64 codes of two bits: it may be taken for them


def entry(source="", **arrays):
    return SimpleNamespace(weights=arrays, source=source, kernel_source=None)


def facts_of(arrays, dead=()):
    """Facts about an entry whose answers change with every array that is shuffled, but for the `dead` ones."""
    logits = np.random.default_rng(4).normal(size=(8, 10))
    runs = {
        each.name: Run(each.name, logits if each.name.removeprefix("shuffled: ") in ("as is", *dead) else -logits)
        for each in interventions(entry(**arrays), OWN, 0)
    }
    return facts_from_runs(entry(**arrays), OWN, runs, (logits, logits), 1.0, 1.0)


def flat():
    return np.concatenate([array.ravel() for array in OWN.values()])


def pieces(whole, size):
    return {f"part{at:06}": whole[at : at + size] for at in range(0, len(whole), size)}


def codes():
    return (np.rint(flat() / np.abs(flat()).max() * 127) + 128).astype(np.uint8)


def test_weights_in_pieces_too_small_to_be_shuffled_are_weights():
    found = facts_of(pieces(flat(), 255) | {"decoy": DECOY})
    assert found.bits_per_weight >= 32 and found.weights > 0.99 * SIZE


def test_weights_in_more_arrays_than_are_shuffled_are_weights():
    large = {f"shown{at}": DECOY for at in range(24)}
    assert facts_of(large | pieces(flat(), 256)).bits_per_weight >= 32


def test_pieces_are_judged_together_by_the_bytes_they_take():
    assert facts_of(pieces(codes(), 200)).bits_per_weight == pytest.approx(8, rel=0.01)


@pytest.mark.parametrize(
    "beside",
    [
        {},
        {"all:values": np.ones(300, np.float32)},
        {"other:values": np.zeros(int(np.bitwise_count(codes()).sum()), np.uint8)},
    ],
)
def test_a_bitmap_in_name_only_holds_weights(beside):
    found = facts_of({"all:bitmap": codes(), "decoy": DECOY} | beside)
    assert found.bits_per_weight >= 8 and found.weights > 0.9 * SIZE


def test_a_bitmap_of_values_that_are_not_used_holds_weights():
    kept = np.zeros(int(np.bitwise_count(codes()).sum()), np.uint8)
    found = facts_of({"all:bitmap": codes(), "all:values": kept, "decoy": DECOY}, dead=["all:values"])
    assert found.bits_per_weight >= 8


def test_a_bitmap_of_more_bits_than_the_baseline_has_weights_holds_weights():
    kept = int(np.bitwise_count(codes()).sum())
    found = facts_of({"all:bitmap": codes(), "all:codes": np.zeros((kept + 7) // 8, np.uint8)})
    assert found.bits_per_weight > 8


@pytest.mark.parametrize("bits", [None, 8, 5, 4, 3, 2])
def test_what_the_library_writes_of_a_pruned_network_is_no_hiding_place(bits):
    model = pruned(0.55) if bits is None else apply_quantization(pruned(0.55), bits)
    arrays = model.state_dict()
    names = [each.name for each in interventions(entry(**arrays), OWN, 0)]
    assert sum(name.endswith(":bitmap") for name in arrays) == 3 and not any("bitmap" in name for name in names)
    assert facts_of(arrays).weights < 0.47 * SIZE


def test_biases_and_scales_beside_small_codes_weigh_nothing():
    arrays = apply_quantization(BASELINE, 8).state_dict()
    assert facts_of(arrays).bits_per_weight == 8


def test_names_kinds_and_shapes_of_arrays_are_counted_like_source():
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz012345"), (500, 116))
    named = {"".join(row): np.zeros(1, np.uint8) for row in letters}
    assert hidden_bytes(entry(**named)) > 500 * 116 * 5 / 8 - FREE_SOURCE_BYTES
    shapes = np.random.default_rng(1).integers(1, 999, 512)
    kinds = np.random.default_rng(2).choice(list("bBhHiIef"), 512)
    shaped = {f"a{at}": np.zeros(shapes[at], kinds[at]) for at in range(512)}
    assert hidden_bytes(entry("x = 1\n", **shaped)) + FREE_SOURCE_BYTES > 512 * (9.9 + 3) / 8
    assert hidden_bytes(entry("x = 1\n", **OWN)) == 0
