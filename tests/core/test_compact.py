"""Weights in fewer bits and with gaps: packing is lossless, rounding is half a step, zeros stay zeros."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinytorch.core.compact import CompactParameter, pack_codes, unpack_codes
from tinytorch.core.layers import WeightsError

BITS = st.integers(2, 8)
SHAPES = hnp.array_shapes(max_dims=4, max_side=6)
NUMBERS = st.floats(-1e6, 1e6, width=32)


@st.composite
def weights(draw):
    return draw(hnp.arrays(np.float32, SHAPES, elements=NUMBERS))


@st.composite
def compact_weights(draw):
    """A compact weight of any kind: quantized or not, per axis or not, with gaps or not."""
    values = draw(weights())
    bits, axis = draw(st.none() | BITS), draw(st.none() | st.integers(0, values.ndim - 1))
    mask = draw(st.none() | hnp.arrays(bool, values.shape))
    return CompactParameter(values, bits, axis, mask)


def compact(bits=4, axis=None, mask=None):
    """(2, 5): magnitudes 0 to 9, so that 4 bits per row have steps of 4/7 and 9/7."""
    return CompactParameter(np.arange(10, dtype=np.float32).reshape(2, 5), bits, axis, mask)


def half_step(parameter):
    """Half a quantization step of every element, with room for the rounding of float32."""
    return np.broadcast_to(parameter.scale, parameter.shape) * (0.5 + 1e-4)


# ---------------------------------------------------------------- packing


@given(BITS, st.data())
def test_packing_is_undone_by_unpacking(bits, data):
    largest = 2 ** (bits - 1) - 1
    codes = data.draw(hnp.arrays(np.int8, st.integers(0, 40), elements=st.integers(-largest, largest)))
    packed = pack_codes(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.size == -(-codes.size * bits // 8)  # whole bytes, rounded up
    np.testing.assert_array_equal(unpack_codes(packed, bits, codes.size), codes)


def test_two_bits_are_four_to_a_byte():
    assert pack_codes(np.array([-1, 0, 1, 1], np.int8), bits=2).tolist() == [0b01_10_11_11]


@pytest.mark.parametrize("bits", range(2, 9))
def test_bytes_of_another_length_are_refused(bits):
    packed = pack_codes(np.zeros(9, np.int8), bits)
    for wrong in (packed[:-1], np.append(packed, packed[:1])):
        with pytest.raises(ValueError, match=f"are not 9 codes of {bits} bits"):
            unpack_codes(wrong, bits, count=9)


# ---------------------------------------------------------------- rounding


@given(weights(), BITS, st.booleans())
def test_quantization_is_wrong_by_at_most_half_a_step(values, bits, per_channel):
    parameter = CompactParameter(values, bits, axis=0 if per_channel else None)
    assert (np.abs(parameter.data - values) <= half_step(parameter) + 1e-30).all()
    assert np.abs(parameter.codes).max() <= 2 ** (bits - 1) - 1
    assert parameter.data.dtype == np.float32


@given(weights(), BITS, st.data())
def test_a_scale_per_channel_never_allows_a_larger_error(values, bits, data):
    axis = data.draw(st.integers(-values.ndim, values.ndim - 1))
    channels, tensor = CompactParameter(values, bits, axis), CompactParameter(values, bits)
    assert (half_step(channels) <= half_step(tensor)).all()
    assert channels.scale.size == values.shape[axis]


@given(compact_weights())
def test_quantizing_what_is_quantized_changes_nothing(parameter):
    codes, numbers = parameter.codes.copy(), parameter.data.copy()
    parameter.data = parameter.data
    np.testing.assert_array_equal(parameter.codes, codes)
    np.testing.assert_allclose(parameter.data, numbers, rtol=1e-6)


def test_steps_are_the_largest_magnitude_over_the_largest_code():
    assert compact(bits=4).scale == np.float32(9 / 7)
    np.testing.assert_allclose(compact(bits=4, axis=0).scale, [[4 / 7], [9 / 7]], rtol=1e-6)
    assert compact(bits=8).codes.tolist()[1][-1] == 127


@pytest.mark.parametrize("value", [0, 1e-40])  # nothing, and too small to divide by
def test_weights_of_nothing_have_codes_of_zero(value):
    parameter = CompactParameter(np.full((2, 3), value, np.float32), bits=8, axis=0)
    assert not parameter.codes.any()
    assert not parameter.data.any()


@pytest.mark.parametrize("bits", [-1, 0, 1, 9, 32])
def test_only_two_to_eight_bits_are_taken(bits):
    with pytest.raises(ValueError, match=f"must be 2 to 8 .*, got {bits}"):
        compact(bits)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_has_no_code(value):
    with pytest.raises(WeightsError, match=r"shape \(3,\) are not all finite"):
        CompactParameter(np.array([1, value, 2]), bits=8)


# ---------------------------------------------------------------- gaps


@given(compact_weights(), st.data())
def test_pruned_weights_stay_zero_whatever_is_assigned(parameter, data):
    parameter.data = data.draw(hnp.arrays(np.float32, parameter.shape, elements=NUMBERS))
    if parameter.mask is not None:
        assert not parameter.data[~parameter.mask].any()


def test_kept_weights_without_bits_are_as_they_were():
    mask = np.arange(10).reshape(2, 5) % 2 == 1
    assert compact(bits=None, mask=mask).data.tolist() == [[0, 1, 0, 3, 0], [5, 0, 7, 0, 9]]


def test_pruned_weights_do_not_stretch_the_scale():
    mask = np.ones((2, 5), bool)
    mask[1, 4] = False  # the 9
    assert compact(bits=4, mask=mask).scale == np.float32(8 / 7)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(WeightsError, match=r"mask has shape \(5,\), the weight \(2, 5\)"):
        compact(mask=np.ones(5, bool))


def test_shape_is_known_without_making_floats(monkeypatch):
    parameter = compact()
    monkeypatch.setattr(CompactParameter, "data", property(lambda self: pytest.fail("dequantized")))
    assert (parameter.shape, parameter.ndim, parameter.size, len(parameter)) == ((2, 5), 2, 10, 2)


# ---------------------------------------------------------------- to a file and back


@given(compact_weights())
def test_a_weight_comes_back_from_its_arrays(saved):
    loaded = CompactParameter(np.ones(saved.shape, np.float32))
    loaded.load_arrays(saved.arrays())
    np.testing.assert_array_equal(loaded.data, saved.data)
    assert loaded.bits == saved.bits
    assert {name: array.tolist() for name, array in loaded.arrays().items()} == {
        name: array.tolist() for name, array in saved.arrays().items()
    }


def test_a_loaded_weight_goes_on_as_its_file_was_made():
    saved, loaded = compact(bits=3, axis=0, mask=np.eye(2, 5, dtype=bool)), compact(bits=None)
    loaded.load_arrays(saved.arrays())
    loaded.data = saved.data = np.arange(10, 20, dtype=np.float32).reshape(2, 5)
    np.testing.assert_array_equal(loaded.data, saved.data)


def test_a_half_pruned_weight_of_four_bits_is_an_eighth_and_its_bitmap():
    parameter = CompactParameter(np.ones((64, 64), np.float32), bits=4, mask=np.tri(64, k=-1, dtype=bool))
    sizes = {name: array.nbytes for name, array in parameter.arrays().items()}
    assert sizes == {"codes": 64 * 63 // 4, "bitmap": 64 * 64 // 8, "scale": 4, "bits": 1}


def test_arrays_are_copies():
    parameter = compact(bits=None)
    parameter.arrays()["values"][:] = 7
    assert parameter.data[0, 0] == 0


MASKED = np.arange(10).reshape(2, 5) < 9
DAMAGED = {
    "no scale": ({"scale": None}, r"expected parts \['bitmap', 'bits', 'codes', 'scale'\], got"),
    "a part too many": ({"more": np.ones(1)}, "expected parts .*'more'"),
    "codes cut": ({"codes": np.zeros(4, np.uint8)}, "are not 9 codes of 4 bits"),
    "codes of another kind": ({"codes": np.zeros(5)}, "is damaged"),
    "bitmap cut": ({"bitmap": np.zeros(1, np.uint8)}, "not one bit for each of 10 weights"),
    "bitmap of another kind": ({"bitmap": np.zeros(2)}, "is damaged"),
    "another mask": ({"bitmap": np.zeros(2, np.uint8)}, "are not 0 codes"),
    "impossible bits": ({"bits": np.array(9)}, "must be 2 to 8 .*, got 9"),
    "many bits": ({"bits": np.array([4, 4])}, "is damaged"),
    "scale of another shape": ({"scale": np.ones(3)}, r"scale of shape \(3,\)"),
    "scale of every element": ({"scale": np.ones((2, 5))}, r"scale of shape \(2, 5\)"),
    "no positive scale": ({"scale": np.array(0.0)}, "not a positive number"),
    "infinite scale": ({"scale": np.array(np.inf)}, "not a positive number"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_arrays_are_named_and_change_nothing(name):
    spoilt, words = DAMAGED[name]
    parameter = compact(mask=MASKED)
    arrays = {part: array for part, array in (parameter.arrays() | spoilt).items() if array is not None}
    before = parameter.data.tolist()
    with pytest.raises(WeightsError, match=words):
        parameter.load_arrays(arrays)
    assert parameter.data.tolist() == before


def test_values_of_the_wrong_number_are_named():
    with pytest.raises(WeightsError, match=r"10 values expected, got shape \(1,\)"):
        compact(bits=None).load_arrays({"values": np.ones(1, np.float32)})


def test_a_plain_array_is_no_compact_weight():
    with pytest.raises(WeightsError, match=r"got \[''\]; '' is a plain array"):
        compact().load_arrays({"": np.ones((2, 5), np.float32)})
