"""Module 16: every kernel against the one before, every engine against the layers, and what the verb promises.

The engines of the transformer have a file of their own.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.core import acceleration, kernels
from tinytorch.core.acceleration import AccelerationError, add_custom_kernels
from tinytorch.core.compact import CompactParameter
from tinytorch.core.conv import Conv2d
from tinytorch.core.layers import GELU, Linear, Sequential
from tinytorch.core.models import CNN, MLP, CharTransformer
from tinytorch.core.tensor import ShapeError

needs_numba = pytest.mark.skipif(
    find_spec("numba") is None, reason="numba is missing: pip install 'tinytorch[fast]'"
)
FASTEST = [3, pytest.param(4, marks=needs_numba)]
VECTORIZED = [1, 2, *FASTEST]


def rng(seed=0):
    return np.random.default_rng(seed)


def floats(*shape, seed=0):
    return rng(seed).normal(size=shape).astype(np.float32)


def with_biases(network, seed=1):
    """Biases of either sign, as training leaves them; new layers have zeros, which hide many a mistake."""
    for _, layer in network.modules():
        if isinstance(layer, (Conv2d, Linear)):
            layer.bias.data = floats(*layer.bias.shape, seed=seed) / 4
    return network


def mlp(hidden=(16, 8), stride=1):
    return with_biases(MLP(hidden, stride, rng()))


def cnn(channels=(4, 6)):
    return with_biases(CNN(channels, rng()))


NETWORKS = {
    "mlp": mlp((128, 64)),
    "student": mlp((64, 32), stride=2),
    "odd stride": mlp((7,), stride=3),
    "linear": mlp(()),
    "cnn": cnn((32, 64)),
    "narrow cnn": cnn((24, 48)),
    "odd cnn": cnn((5, 3)),
    "thin cnn": cnn((1, 1)),
}
each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def drawings(network, count, seed=0):
    """Raw pictures for a network: some strokes in a corner of empty paper, and the last one blank."""
    pictures = np.zeros((count, 28, 28), np.uint8)
    top, left = rng(seed).integers(20, size=2)
    pictures[: max(count - 1, 1), top : top + 8, left : left + 8] = rng(seed).integers(256, size=(8, 8))
    pictures[::3] = rng(seed).integers(256, size=pictures[::3].shape)
    return pictures[..., None] if isinstance(network, CNN) else pictures.reshape(count, 784)


def assert_same_logits(network, reference, inputs):
    logits, expected = network.predict(inputs), reference.predict(inputs)
    assert logits.shape == expected.shape
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4 * max(expected.std(), 1e-3), rtol=0)


def assert_close(array, expected):
    assert array.shape == expected.shape
    np.testing.assert_allclose(array, expected, atol=1e-4, rtol=1e-4)


# ---------------------------------------------------------------- kernels: each against the one before


@st.composite
def convolutions(draw):
    """Images (N, C, H, W), kernels (O, C, K, K) and biases (O,) that leave at least 2 x 2 pixels."""
    n, c, o, size = (draw(st.integers(1, most)) for most in (3, 4, 5, 3))
    height, width = (draw(st.integers(size + 1, size + 6)) for _ in range(2))
    seed = draw(st.integers(0, 99))
    return (
        floats(n, c, height, width, seed=seed),
        floats(o, c, size, size, seed=seed + 1),
        floats(o, seed=seed + 2),
    )


@given(convolutions())
@settings(max_examples=25)
def test_one_kernel_position_at_a_time_gives_what_the_loops_give(case):
    assert_close(kernels.convolve_v1(*case), kernels.convolve_v0(*case))


@given(convolutions())
def test_im2col_gives_what_the_kernel_positions_give(case):
    assert_close(kernels.convolve_v2(*case), kernels.convolve_v1(*case))


@given(convolutions())
def test_channels_last_gives_what_im2col_gives(case):
    images, weight, bias = case
    out = kernels.convolve_v3(images.transpose(0, 2, 3, 1), kernels.channels_last(weight), bias, weight.shape[2])
    assert_close(out.transpose(0, 3, 1, 2), kernels.convolve_v2(*case))


@given(convolutions())
def test_the_fused_kernel_gives_convolution_relu_and_pooling_one_after_the_other(case):
    images, weight, bias = case
    expected = kernels.max_pool_v2(np.maximum(kernels.convolve_v2(images, weight, bias), 0))
    size, columns = weight.shape[2], expected.shape[3]
    columns_buffer, products_buffer = np.full((2, 20_000), np.nan, np.float32)  # what is read was written before
    out = kernels.convolve_pool_v3(
        images.transpose(0, 2, 3, 1),
        kernels.channels_last(weight),
        np.tile(-bias, columns),
        columns_buffer,
        products_buffer,
        size,
    )
    assert_close((out + bias).transpose(0, 3, 1, 2), expected)


@given(st.integers(2, 7), st.integers(2, 7))
def test_pooling_by_maxima_of_pictures_is_exact(height, width):
    images = floats(2, 3, height, width)
    np.testing.assert_array_equal(kernels.max_pool_v2(images), kernels.max_pool_v1(images))


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 6))
def test_dense_kernels_give_what_the_loops_give(count, inputs, outputs):
    case = floats(count, inputs), floats(inputs, outputs, seed=1), floats(outputs, seed=2)
    x, weight, bias = case
    loops = kernels.dense_v0(*case)
    assert_close(kernels.dense_v1(*case), loops)
    assert_close(kernels.dense_v2(*case), kernels.dense_v1(*case))
    out = np.empty_like(loops)
    assert kernels.dense_v3(x, weight, -bias, out) is out
    assert_close(out + bias, np.maximum(loops, 0))


def test_a_bias_left_out_of_a_layer_comes_back_through_the_weights_of_the_next():
    weights = [np.ones((1, 1)), np.array([[2.0], [3.0]])]  # the second layer sees the one unit twice
    totals = kernels.carry_biases(weights, [np.array([10.0]), np.array([1.0])])
    assert [total.tolist() for total in totals] == [[10], [1 + 10 * 2 + 10 * 3]]


def test_an_axis_made_by_none_does_not_confuse_the_windows():
    pictures = rng().integers(256, size=(2, 6, 6)).astype(np.float32)
    weight, bias = floats(9, 2), floats(2)
    made, copied = pictures[..., None], pictures[..., None].copy()
    np.testing.assert_array_equal(
        kernels.convolve_v3(made, weight, bias), kernels.convolve_v3(copied, weight, bias)
    )


# ---------------------------------------------------------------- engines: each against the layers


@pytest.mark.parametrize("version", VECTORIZED)
@each_network
def test_an_engine_answers_as_the_layers_do(network, version):
    fast = add_custom_kernels(network, version)
    assert fast.engine.version == version
    assert fast.engine.name.startswith(f"v{version} ")
    for count in (1, 3, 32):
        assert_same_logits(fast, network, drawings(network, count))


@pytest.mark.parametrize("network", [mlp((3,), stride=7), cnn((1, 2))], ids=["mlp", "cnn"])
def test_the_loops_answer_as_the_layers_do(network):
    assert_same_logits(add_custom_kernels(network, 0), network, drawings(network, 2))


@pytest.mark.parametrize("version", FASTEST)
@pytest.mark.parametrize("network", [mlp(), mlp(stride=2), cnn()], ids=["mlp", "student", "cnn"])
def test_buffers_fit_batches_of_any_size_in_any_order(network, version):
    fast = add_custom_kernels(network, version)
    for count in (7, 1, 256, 2, 600, 3):
        assert_same_logits(fast, network, drawings(network, count))
    assert fast.predict(drawings(network, 1)[:0]).shape == (0, 10)


@pytest.mark.parametrize("version", FASTEST)
@pytest.mark.parametrize("network", [mlp(), cnn()], ids=["mlp", "cnn"])
def test_logits_are_not_overwritten_by_the_next_call(network, version):
    fast = add_custom_kernels(network, version)
    first = fast.predict(drawings(network, 4))
    kept = first.copy()
    fast.predict(drawings(network, 4, seed=1))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("version", FASTEST)
@pytest.mark.parametrize("network", [mlp(), mlp(stride=2), cnn()], ids=["mlp", "student", "cnn"])
@pytest.mark.parametrize(
    "disguise",
    [
        lambda images: np.asfortranarray(images),
        lambda images: np.repeat(images, 2, axis=0)[::2],
        lambda images: images.astype(np.int64),
        lambda images: images.astype(np.float64),
    ],
    ids=["fortran order", "every other row", "int64", "float64"],
)
def test_pixels_count_and_not_how_they_lie_in_memory(network, version, disguise):
    images = drawings(network, 5)
    assert_same_logits(add_custom_kernels(network, version), network, disguise(images))


@pytest.mark.parametrize("version", FASTEST)
@pytest.mark.parametrize("network", [mlp(), cnn()], ids=["mlp", "cnn"])
def test_inputs_may_be_read_only_and_stay_as_they_are(network, version):
    images = drawings(network, 5)
    images.setflags(write=False)
    before = images.copy()
    assert_same_logits(add_custom_kernels(network, version), network, images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("version", VECTORIZED)
@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (mlp(), (2, 783), r"MLP takes images \(N, 784\), got \(2, 783\)"),
        (mlp(), (784,), r"MLP takes images \(N, 784\), got \(784,\)"),
        (cnn(), (2, 28, 28), r"CNN takes images \(N, 28, 28, 1\), got \(2, 28, 28\)"),
        (cnn(), (2, 784), r"CNN takes images \(N, 28, 28, 1\), got \(2, 784\)"),
    ],
)
def test_a_wrong_shape_gets_the_error_that_the_layers_give(network, shape, words, version):
    for each in (network, add_custom_kernels(network, version)):
        with pytest.raises(ShapeError, match=words):
            each.predict(np.zeros(shape, np.uint8))


# ---------------------------------------------------------------- engines as objects


def arrays_in(value):
    """All arrays of a plain object, through lists, tuples and attributes; anything else fails."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in arrays_in(item)]
    if isinstance(value, (int, str)):
        return []
    assert type(value).__module__ == "tinytorch.core.acceleration", f"{type(value).__name__} is kept in an engine"
    return [array for item in vars(value).values() for array in arrays_in(item)]


@pytest.mark.parametrize("version", VECTORIZED)
@pytest.mark.parametrize("network", [mlp(), cnn()], ids=["mlp", "cnn"])
def test_an_engine_keeps_plain_arrays_of_its_own(network, version):
    fast = add_custom_kernels(network, version)
    fast.predict(drawings(network, 3))
    arrays = arrays_in(fast.engine) + [parameter.data for parameter in fast.parameters()]
    shared = [(a, b) for i, a in enumerate(arrays) for b in arrays[:i] if np.shares_memory(a, b)]
    assert not shared
    assert fast.state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize("version", VECTORIZED)
@pytest.mark.parametrize("network", [mlp(), cnn()], ids=["mlp", "cnn"])
def test_a_copy_of_an_engine_works_alone(network, version):
    engine = add_custom_kernels(network, version).engine
    images = drawings(network, 3)
    expected = engine(images)
    twin = copy.deepcopy(engine)
    for array in arrays_in(engine):
        array.fill(0)
    np.testing.assert_array_equal(twin(images), expected)


def test_the_model_stays_as_it_was_and_kernels_can_be_replaced():
    network = mlp()
    first = add_custom_kernels(network, 2)
    second = add_custom_kernels(first, 3)
    assert (network.engine, first.engine.version, second.engine.version) == (None, 2, 3)
    assert_same_logits(second, network, drawings(network, 3))


# ---------------------------------------------------------------- together with Modules 17 and 18


def quantize_and_prune(network):
    """What the other verbs leave behind: 4-bit codes, a third of them masked."""
    for _, layer in network.modules():
        if isinstance(layer, (Conv2d, Linear)):
            values = layer.weight.data
            layer.weight = CompactParameter(
                values, bits=4, mask=np.abs(values) > np.quantile(np.abs(values), 1 / 3)
            )


@pytest.mark.parametrize("version", VECTORIZED)
@pytest.mark.parametrize("network", [mlp(), mlp(stride=2), cnn()], ids=["mlp", "student", "cnn"])
def test_kernels_before_or_after_compact_weights_are_the_same(network, version):
    compact = network.changed(quantize_and_prune)
    before = add_custom_kernels(network, version).changed(quantize_and_prune)
    after = add_custom_kernels(compact, version)
    assert before.engine.version == after.engine.version == version
    assert all(type(weight) is CompactParameter for weight in after.parameters() if weight.ndim > 1)
    images = drawings(network, 5)
    assert_same_logits(before, compact, images)
    np.testing.assert_array_equal(before.predict(images), after.predict(images))


def test_compact_weights_become_floats_once(monkeypatch):
    fast = add_custom_kernels(cnn().changed(quantize_and_prune), 3)
    monkeypatch.setattr(CompactParameter, "data", property(lambda _: pytest.fail("dequantized in predict")))
    fast.predict(drawings(fast, 3))


@pytest.mark.parametrize("version", VECTORIZED)
def test_an_engine_follows_the_network_to_another_kind(version):
    student = mlp()
    student.engine = add_custom_kernels(cnn(), version).engine.rebuild(student)  # as distill does
    assert student.engine.version == version
    assert_same_logits(student, mlp(), drawings(student, 3))


# ---------------------------------------------------------------- what cannot be had


class OwnForward(MLP):
    def forward(self, images):
        return super().forward(images) * 2


def test_a_model_of_another_class_is_refused():
    with pytest.raises(
        AccelerationError, match=r"takes an MLP, CNN or CharTransformer, got Linear; .* in its predict"
    ):
        add_custom_kernels(Linear(2, 3, rng()))


def test_a_model_with_its_own_forward_is_refused():
    with pytest.raises(AccelerationError, match=r"OwnForward has its own forward\(\), .* compute that of MLP"):
        add_custom_kernels(OwnForward(rng=rng()))


def test_layers_that_the_kernels_do_not_know_are_refused():
    network = mlp()
    network.network = Sequential(Linear(784, 4, rng()), GELU(), Linear(4, 10, rng()))
    with pytest.raises(
        AccelerationError, match=r"know the layers Linear, ReLU, Linear; .* has Linear, GELU, Linear"
    ):
        add_custom_kernels(network)


def test_kernels_of_another_size_are_refused():
    network = cnn()
    network.network.layers[0] = Conv2d(1, 4, 5, rng())
    with pytest.raises(AccelerationError, match=r"Conv2d 3, ReLU.* has Conv2d 5, ReLU"):
        add_custom_kernels(network)


@pytest.mark.parametrize("version", [-1, 5, "fast"])
def test_an_unknown_version_is_refused(version):
    with pytest.raises(AccelerationError, match=r"versions 0 to 4 .* got version="):
        add_custom_kernels(mlp(), version)


@pytest.mark.parametrize(("version", "compiled"), [(3, True), (4, False)])
def test_contradicting_wishes_are_refused(version, compiled):
    with pytest.raises(AccelerationError, match=f"version={version} and compiled={compiled} contradict"):
        add_custom_kernels(mlp(), version, compiled)


@pytest.mark.parametrize("wish", [{"version": 4}, {"compiled": True}])
@pytest.mark.parametrize("network", [mlp(), cnn(), CharTransformer(5, 6, 8, 1, 2, 12)], ids=["mlp", "cnn", "text"])
def test_compiled_kernels_without_numba_name_the_package(network, wish, monkeypatch):
    monkeypatch.setattr(acceleration, "find_spec", lambda _: None)
    with pytest.raises(AccelerationError, match=r"pip install 'tinytorch\[fast\]'"):
        add_custom_kernels(network, **wish)


# ---------------------------------------------------------------- which kernels are chosen


def test_without_numba_the_best_is_numpy(monkeypatch):
    monkeypatch.setattr(acceleration, "find_spec", lambda _: None)
    assert add_custom_kernels(mlp()).engine.version == 3
    assert add_custom_kernels(cnn()).engine.version == 3


@needs_numba
@pytest.mark.parametrize("network", [mlp(), cnn()], ids=["mlp", "cnn"])
def test_numba_is_taken_where_it_is_installed_unless_it_is_refused(network):
    assert add_custom_kernels(network).engine.version == 4
    assert add_custom_kernels(network, compiled=True).engine.version == 4
    assert add_custom_kernels(network, compiled=False).engine.version == 3


def test_numba_is_imported_only_when_its_kernels_are_built():
    program = (
        "import sys\n"
        "from tinytorch.core.acceleration import add_custom_kernels\n"
        "from tinytorch.core.models import CNN, MLP\n"
        "[add_custom_kernels(kind(), compiled=False) for kind in (CNN, MLP)]\n"
        "sys.exit('numba' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@needs_numba
def test_a_kernel_that_cannot_be_kept_on_disk_is_compiled_all_the_same(monkeypatch):
    from tinytorch.core import machine_code

    njit = machine_code.numba.njit

    def nowhere_to_write(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(machine_code.numba, "njit", nowhere_to_write)
    assert machine_code.compiled()(lambda x: x + 1)(2) == 3


@needs_numba
def test_a_process_that_may_only_read_finds_what_another_has_kept(tmp_path):
    imported = "from tinytorch.core.machine_code import compiled, numba"
    kernel = f"{imported}\n\n@compiled(numba.int64)\ndef add(x):\n    return x + 1\n"
    (tmp_path / "kernel.py").write_text(kernel)
    look = "import kernel; print(kernel.add(2), sum(kernel.add.stats.cache_hits.values()))"

    def run(**environment):
        command = [sys.executable, "-c", look]
        run = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
        return run.stdout.strip() or run.stderr

    kept = tmp_path / "__pycache__"
    assert run(TINYTORCH_MACHINE_CODE="read") == "3 0"
    assert not list(kept.glob("*.nb*")), "nothing was written"
    assert run() == "3 0"
    before = {path: path.read_bytes() for path in kept.glob("*.nb*")}
    assert before, "kept"
    assert run(TINYTORCH_MACHINE_CODE="read") == "3 1"
    (tmp_path / "kernel.py").write_text(kernel.replace("x + 1", "x + 2"))
    assert run(TINYTORCH_MACHINE_CODE="read") == "4 0", "another function: compiled, and not kept"
    assert {path: path.read_bytes() for path in kept.glob("*.nb*")} == before


# ---------------------------------------------------------------- faster and lighter


def seconds(calls, rounds=5):
    """Median CPU seconds of each call, in turns, so that whatever else runs slows all of them."""
    times = []
    for _ in range(rounds + 1):
        times.append([])
        for call in calls:
            start = time.process_time()
            call()
            times[-1].append(time.process_time() - start)
    return np.median(times[1:], axis=0)  # the first round warms up


def test_kernel_positions_are_fifty_times_faster_than_loops():
    case = floats(1, 8, 13, 13), floats(16, 8, 3, 3), floats(16)
    loops, fifty = seconds(
        [lambda: kernels.convolve_v0(*case), lambda: [kernels.convolve_v1(*case) for _ in range(50)]], rounds=3
    )
    assert loops > fifty


def test_every_version_is_faster_than_the_one_before():
    network = NETWORKS["cnn"]
    images = drawings(network, 32)
    models = [add_custom_kernels(network, version) for version in (1, 2, 3)]
    positions, im2col, fused = seconds([lambda model=model: model.predict(images) for model in models])
    assert positions > 2 * im2col
    assert im2col > 1.3 * fused


def test_the_best_mlp_beats_its_layers_on_one_image():
    network = NETWORKS["mlp"]
    image = drawings(network, 1)
    fast = add_custom_kernels(network, compiled=False)
    layers, kernel = seconds([lambda m=m: [m.predict(image) for _ in range(200)] for m in (network, fast)])
    assert layers > 1.3 * kernel


def test_blocks_and_buffers_hold_a_twentieth_of_the_memory():
    network = NETWORKS["cnn"]
    images = drawings(network, 256)
    layers = peak_bytes(lambda: network.copy().predict(images))
    blocks = peak_bytes(lambda: add_custom_kernels(network, 3).predict(images))
    assert layers > 20 * blocks


def peak_bytes(call):
    """Most memory that Python and numpy held at once during a call, beyond what they held before."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
