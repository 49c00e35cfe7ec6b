"""The machine as an instrument: arrays move and nothing else changes, memory is seen wherever it is."""

from __future__ import annotations

import copy
import ctypes
import enum
import gc
import json
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tinytorch.perf import machine
from tinytorch.perf.machine import (
    MachineError,
    array_bytes,
    arrays_of,
    at_new_places,
    describe_machine,
    keep_freed_memory,
    no_garbage_collection,
    old_objects_set_aside,
    one_blas_thread,
    other_cpu_s,
    peak_memory,
)

MB = 1_000_000
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in a forked child on Linux only")
Pair = namedtuple("Pair", "first second")


class Holder:
    """Any student's class: what it was given are its attributes."""

    def __init__(self, **parts):
        vars(self).update(parts)


class Slotted:
    __slots__ = ("__hidden", "weight")

    def __init__(self, weight):
        self.weight, self.__hidden = weight, weight

    def hidden(self):
        return self.__hidden


@dataclass(frozen=True)
class Frozen:
    weight: np.ndarray


class Made:
    """Has a way of its own to come about."""

    def __new__(cls, size):
        made = super().__new__(cls)
        made.weight = np.zeros(size)
        return made


class Owner:
    """Gives something back when it ends: two copies would give it back twice."""

    def __init__(self):
        self.handle = 3

    def __del__(self):
        pass


class Colour(enum.Enum):
    RED = 1


def moved(model, seed=0):
    return at_new_places(model, np.random.default_rng(seed))


def address(array):
    return array.ctypes.data


def counted(shape=(2, 3), dtype=np.float32):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


# ---------------------------------------------------------------- arrays at new places

CONTAINERS = {
    "attribute": lambda array: array,
    "list": lambda array: [array],
    "list in a tuple": lambda array: ([array],),
    "dict": lambda array: {"weight": array},
    "ordered dict": lambda array: OrderedDict(weight=array),
    "default dict": lambda array: defaultdict(list, weight=array),
    "named tuple": lambda array: Pair(array, 1),
    "object": lambda array: Holder(weight=array),
    "frozen dataclass": Frozen,
    "slots": Slotted,
}


def inside(container):
    """The one array that a container of CONTAINERS holds."""
    (array,) = arrays_of(Holder(part=container))
    return array


@pytest.mark.parametrize("kind", CONTAINERS)
def test_an_array_moves_wherever_a_model_keeps_it(kind):
    array = counted()
    model = Holder(part=CONTAINERS[kind](array))
    twin = moved(model)
    found = inside(twin.part)
    assert type(twin.part) is type(model.part)
    assert address(found) % 64 == 0 and not np.shares_memory(found, array)
    assert np.array_equal(found, array) and found.dtype == array.dtype
    assert inside(model.part) is array, "the original was changed"


def test_each_round_finds_the_array_at_another_place():
    model = Holder(weight=np.zeros(100))
    places = {address(moved(model, seed).weight) % 4096 for seed in range(20)}
    assert len(places) > 10, "64 places to choose from"


def test_an_array_that_two_objects_share_is_still_shared():
    weight = counted()
    twin = moved(Holder(first=Holder(weight=weight), second=[weight], pair=(weight, weight)))
    assert twin.first.weight is twin.second[0] is twin.pair[0] is twin.pair[1]
    assert not np.shares_memory(twin.first.weight, weight)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_the_order_of_the_axes_in_memory_is_kept(axes):
    array = counted((2, 3, 4)).transpose(axes)
    twin = moved(Holder(weight=array)).weight
    assert np.array_equal(twin, array) and twin.strides == array.strides


@pytest.mark.parametrize(
    "array", [np.float32(3) * np.ones(()), np.zeros((0, 3)), np.array(["a", "bc"]), np.eye(3)[::2]]
)
def test_arrays_of_any_shape_and_kind_keep_their_values(array):
    twin = moved(Holder(part=array)).part
    assert twin.shape == array.shape and twin.dtype == array.dtype and np.array_equal(twin, array)


def test_an_array_of_a_class_of_its_own_keeps_its_class():
    masked = np.ma.MaskedArray([1.0, 2.0], mask=[False, True])
    twin = moved(Holder(part=masked)).part
    assert type(twin) is np.ma.MaskedArray and twin.mask.tolist() == [False, True]
    assert not np.shares_memory(twin.data, masked.data)


def test_circles_are_walked_once():
    layer = Holder(weight=counted())
    layer.layers = [layer]
    layer.layers.append(layer.layers)
    layer.names = {"me": layer}
    twin = moved(layer)
    assert twin is not layer
    assert twin.layers[0] is twin and twin.layers[1] is twin.layers and twin.names["me"] is twin


def test_a_circle_through_a_tuple_ends():
    model = Holder(weight=counted())
    model.parts = (model, model.weight)
    twin = moved(model)
    assert twin.parts[0] is twin and twin.parts[1] is twin.weight


def test_a_bound_method_works_on_the_copy():
    model = Slotted(counted())
    twin = moved(Holder(model=model, call=model.hidden))
    assert twin.call() is twin.model.weight


def test_private_slots_come_along():
    twin = moved(Slotted(counted()))
    assert twin.hidden() is twin.weight


def test_copies_share_nothing_with_the_original():
    model = Holder(weight=np.zeros(3), settings={"depth": 1}, layers=[])
    twin = moved(model)
    twin.weight[0], twin.settings["depth"] = 1, 2
    twin.layers.append("more")
    assert model.weight[0] == 0 and model.settings == {"depth": 1} and model.layers == []


KEPT = {
    "function": len,
    "lambda": lambda: 1,
    "class": Holder,
    "module": np,
    "universal function": np.add,
    "lock": threading.Lock(),
    "file": sys.__stdout__,
    "enum": Colour.RED,
    "generator of numbers": np.random.default_rng(0),
    "function of C": ctypes.CDLL(None).getpid if sys.platform == "linux" else len,
    "array of objects": np.array([None, "x"], dtype=object),
    "what made itself": Made(3),
    "what owns a handle": Owner(),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_cannot_be_made_anew_is_kept(kind):
    assert moved(Holder(part=KEPT[kind])).part is KEPT[kind]


def test_both_copies_have_the_same_inner_layout_however_the_originals_came_about():
    plain = Holder()
    plain.weight, plain.bias = np.zeros(2), np.zeros(2)
    assembled = copy.copy(plain)  # its attributes in a dict of its own, not in the layout of the class
    vars(assembled).update({f"_{name}": name for name in range(50)})
    for name in range(50):
        del vars(assembled)[f"_{name}"]
    sizes = [sys.getsizeof(vars(moved(model))) for model in (plain, assembled)]
    assert sys.getsizeof(vars(assembled)) > sys.getsizeof(vars(plain)), "otherwise this shows nothing"
    assert sizes[0] == sizes[1]


def test_bytes_are_counted_once_and_not_for_what_is_no_number():
    weight = np.zeros(10, np.float32)
    model = Holder(weight=weight, again=[weight], more=Slotted(np.zeros(3)), names=np.array(["a", None], object))
    assert array_bytes(model) == 40 + 24
    assert array_bytes(Holder()) == 0


# ---------------------------------------------------------------- keeping it steady


def faults_of(lines):
    """Page faults of a fresh process while it makes a megabyte of zeros, fifty times."""
    code = f"""
import resource, numpy as np
from tinytorch.perf.machine import keep_freed_memory
{lines}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    np.ones(131_072)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"""
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@on_linux
def test_freed_memory_is_kept_where_the_system_allows_it():
    assert keep_freed_memory() is ("glibc" in os.confstr("CS_GNU_LIBC_VERSION"))
    assert faults_of("keep_freed_memory()") < 2 * 256, "a megabyte has 256 pages, and is asked for once"


def test_without_such_an_allocator_nothing_is_asked(monkeypatch):
    def no_library(name):
        raise OSError("none")

    monkeypatch.setattr(machine.ctypes, "CDLL", no_library)
    assert keep_freed_memory() is False


def test_the_garbage_collector_is_off_inside_and_as_before_afterwards():
    with no_garbage_collection():
        assert not gc.isenabled()
        with no_garbage_collection():
            pass
        assert not gc.isenabled(), "it was off before the inner block, so it stays off"
    assert gc.isenabled()


def test_old_objects_are_set_aside_and_come_back():
    gc.unfreeze()  # what conftest has set aside
    with old_objects_set_aside():
        assert gc.get_freeze_count() > 1000 > len(gc.get_objects()), "only what is new is looked at"
    assert gc.get_freeze_count() == 0


def test_what_was_set_aside_before_stays_aside():
    gc.freeze()
    with old_objects_set_aside():
        pass
    assert gc.get_freeze_count() > 1000


def test_the_garbage_collector_is_on_again_after_an_error():
    with pytest.raises(KeyError), no_garbage_collection():
        raise KeyError
    assert gc.isenabled()


def test_every_library_is_limited_to_one_thread():
    with one_blas_thread():
        assert {library["num_threads"] for library in threadpool_info()} == {1}


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_cpu_time_of_others_counts_and_our_own_does_not():
    start = other_cpu_s()
    spin(0.1)
    middle = other_cpu_s()
    thread = threading.Thread(target=spin, args=(0.1,))
    thread.start()
    thread.join()
    assert middle - start < (other_cpu_s() - middle) / 4


def test_cpu_time_of_a_child_counts():
    """Counted in ticks of a hundredth of a second, so it must be worth some of them."""
    before = other_cpu_s()
    spins = "import time\nwhile time.process_time() < 0.1: pass"
    subprocess.run([sys.executable, "-c", spins], check=True)
    assert other_cpu_s() > before


# ---------------------------------------------------------------- memory


def peak(model, run=lambda model: None):
    return peak_memory(model, run).peak_bytes


def keep_buffer(model):
    model.buffer = np.ones(MB)


def in_c(size):
    """Memory that numpy knows nothing of."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
    ctypes.memset(block, 1, size)
    libc.free(block)


def from_the_system(size):
    with mmap.mmap(-1, size) as block:
        block.write(b"x" * size)


def test_weights_count():
    assert 8 * MB <= peak(Holder(weights=[np.ones(MB)])) < 8.1 * MB


def test_a_buffer_that_is_made_at_the_first_answer_counts():
    assert 8 * MB <= peak(Holder(buffer=None), keep_buffer) < 16.2 * MB


def test_of_temporaries_the_most_at_one_time_counts():
    def one_after_the_other(_):
        np.ones(MB).sum()
        np.ones(MB).sum()

    def both_at_once(_):
        (np.ones(MB), np.ones(MB))

    assert 8 * MB <= peak(Holder(), one_after_the_other) < 8.1 * MB
    assert 16 * MB <= peak(Holder(), both_at_once) < 16.1 * MB


@on_linux
@pytest.mark.parametrize("take", [in_c, from_the_system])
def test_memory_outside_of_numpy_counts(take):
    assert 50 * MB <= peak(Holder(weight=np.ones(MB)), lambda _: take(50 * MB)) < 150 * MB


@on_linux
def test_measuring_memory_leaves_the_model_alone():
    model = Holder(buffer=None)
    peak(model, keep_buffer)
    assert model.buffer is None


def test_what_was_traced_before_does_not_count():
    tracemalloc.start()
    try:
        ballast = np.ones(10 * MB)
        assert peak(Holder(weights=np.ones(MB))) < 8.1 * MB
    finally:
        tracemalloc.stop()
    assert ballast.size


def test_elsewhere_memory_is_traced_in_this_process(monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "another")
    found = peak_memory(Holder(weights=np.ones(MB)), lambda model: None)
    assert 8 * MB <= found.peak_bytes < 8.1 * MB and found.method == "tracemalloc in this process"


@on_linux
def test_without_a_high_water_mark_the_method_says_so(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    found = peak_memory(Holder(weights=np.ones(MB)), lambda model: None)
    assert 8 * MB <= found.peak_bytes < 8.1 * MB and found.method == "forked child: tracemalloc"


def fail(_):
    raise ValueError("no such kernel")


BAD_ENDS = {
    "killed": (
        lambda _: os.kill(os.getpid(), signal.SIGKILL),
        "the child that measures memory died; .* run out of",
    ),
    "left": (lambda _: os._exit(0), "the child that measures memory died; .* end Python"),
    "raised": (fail, "measuring memory failed in the child: ValueError: no such kernel"),
    "exited": (lambda _: sys.exit(1), "failed in the child: SystemExit: 1"),
    "hangs": (lambda _: signal.pause(), r"measuring memory took longer than 0 s; use a smaller model"),
}


@on_linux
@pytest.mark.parametrize("end", BAD_ENDS)
def test_a_child_that_ends_badly_is_an_error_and_no_child_is_left(end, monkeypatch):
    run, words = BAD_ENDS[end]
    if end == "hangs":
        monkeypatch.setattr(machine, "CHILD_LIMIT_S", 0.1)
    with pytest.raises(MachineError, match=words):
        peak_memory(Holder(), run)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@on_linux
def test_an_interrupt_does_not_wait_for_the_child(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "_read_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        peak_memory(Holder(), lambda _: signal.pause())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# ---------------------------------------------------------------- what it is


def test_a_machine_says_what_moves_a_ratio():
    with one_blas_thread():
        found = describe_machine("wall minus waiting")
    known = json.loads(json.dumps(found.to_dict()))
    assert known["clock"] == "wall minus waiting" and known["blas_threads"] == 1
    assert known["numpy"] == np.__version__ and known["cores"] >= 1
    assert all(known.values()), "every line says something"


@pytest.mark.parametrize("folder", ["numpy.libs", "numpy/.dylibs"])
def test_the_blas_is_numpys_also_where_scipy_has_loaded_its_own(monkeypatch, folder):
    def blas(folder, version):
        path = f"/python/site-packages/{folder}/libopenblas.so"
        return {
            "user_api": "blas",
            "internal_api": "openblas",
            "filepath": path,
            "version": version,
            "num_threads": 1,
        }

    loaded = [blas("scipy.libs", "0.1"), blas(folder, "0.2")]
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: loaded)
    assert describe_machine("wall").blas == "openblas 0.2"


def test_a_blas_shared_by_all_of_an_environment_is_found(monkeypatch):
    library = {"user_api": "blas", "internal_api": "mkl", "filepath": "/env/lib/libmkl.so", "version": "2025.1"}
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: [library | {"num_threads": 1}])
    assert describe_machine("wall").blas == "mkl 2025.1"
