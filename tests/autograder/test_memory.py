"""Peak memory as the referee sees it: honest entries have what they need, and nobody less than that."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from autograder.referee import memory
from autograder.referee.levels import level_here
from autograder.referee.memory import memory_and_answers, memory_setup, peak_memory
from autograder.referee.officiate import Terms, baseline_setup
from autograder.referee.sandbox import Setup, WorkerError, workers
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import get_event
from tinytorch.perf.workloads.scenarios import memory_inputs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's marks are Linux's")
CHEATS = Path(__file__).parent / "cheats"
SMALL = """
import numpy as np

class Model:
    def predict(self, inputs):
        return np.zeros((len(inputs), 10))

"""
MB = 1 << 20


def inputs_of(event):
    return memory_inputs(load_dataset(event, "official"), np.random.default_rng(0))


def peak_of(setup, event):
    with workers(memory_setup(setup)) as (worker,):
        return peak_memory(worker, inputs_of(event)).peak_bytes


def peak_of_source(source, weights=None):
    """In the Sprint, behind limits alone: the walls are not what is tested."""
    return peak_of(Setup(source, weights or {}, layers=("limits",)), "mlp_sprint")


def peak_of_cheat(name):
    source = (CHEATS / f"{name}.py").read_text()
    weights = load_baseline("cnn_marathon").state_dict()
    return peak_of(Setup(source, weights, layers=level_here().layers), "cnn_marathon")


def peak_of_baseline(event):
    terms = Terms(0, level_here(), 0.1)
    return peak_of(baseline_setup(get_event(event), terms), event)


@pytest.fixture(scope="module")
def marathon_bytes():
    return peak_of_baseline("cnn_marathon")


@pytest.mark.parametrize(
    "name", [path.stem for path in sorted(CHEATS.glob("*.py")) if "memory seen by the kernel" in path.read_text()]
)
def test_an_unmodified_network_needs_what_it_needs_whatever_it_says(name, marathon_bytes):
    assert peak_of_cheat(name) == pytest.approx(marathon_bytes, rel=0.13)


def test_an_honest_model_needs_the_same_each_time(marathon_bytes):
    assert peak_of_baseline("cnn_marathon") == pytest.approx(marathon_bytes, rel=0.02)


def building(line):
    return SMALL + f"def build(weights):\n    model = Model()\n    {line}\n    return model\n"


def test_what_a_model_keeps_is_seen():
    assert peak_of_source(building("model.kept = np.ones(20 << 17)")) == pytest.approx(20 * MB, rel=0.1)


def test_memory_outside_of_numpy_is_seen():
    line = "import mmap; model.kept = mmap.mmap(-1, 20 << 20); model.kept[:] = bytes([1]) * (20 << 20)"
    assert peak_of_source(building(line)) == pytest.approx(40 * MB, rel=0.1)  # and what it is filled with


TAKEN_EARLY = """
import numpy as np
KEPT = np.ones(20 << 17)  # before there is a model

class Model:
    def predict(self, inputs):
        KEPT[: len(inputs) << 13] = 0
        return np.zeros((len(inputs), 10))

def build(weights):
    return Model()
"""


def test_memory_that_was_taken_early_and_is_used_is_seen():
    assert peak_of_source(TAKEN_EARLY) == pytest.approx(16 * MB, rel=0.13)  # of the 20 MB


def test_no_model_needs_less_than_the_weights_that_it_was_given():
    assert peak_of_source(building("weights.clear()"), {"a": np.ones(3 << 17)}) >= 3 * MB


@pytest.mark.parametrize("told", ["np.array([np.nan])", "np.array([-1])", "np.array([True])", "np.array([2.0])"])
def test_bytes_must_be_a_number(told):
    source = f"import sys\nsys.modules['autograder.referee.worker'].Room.memory = lambda *_, **__: {told}\n"
    with pytest.raises(WorkerError, match="bytes of memory") as caught:
        peak_of_source(source + building("pass"))
    assert caught.value.check == "answers"


def test_a_worker_that_has_ended_is_its_own_end():
    with workers(Setup(building("pass"), {}, layers=("limits",))) as (worker,):
        worker.kill()
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # it stays in the list of processes
        for look in (memory._marks_set_back, memory._pages):
            with pytest.raises(WorkerError) as caught:
                look(worker)
            assert caught.value.check == "worker lives"


def test_the_answers_come_back_to_be_graded():
    with workers(memory_setup(Setup(building("pass"), {}, layers=("limits",)))) as (worker,):
        _, answers = memory_and_answers(worker, inputs_of("mlp_sprint"))
    assert answers.shape == (256, 10) and not answers.any()


MAPPING = "7f00-7f01 rw-s 00000000 {}\nRss: 8 kB\nReferenced: {} kB\nAnonymous: {} kB\nAnonHugePages: {} kB\n"


@pytest.mark.parametrize(
    ("file", "used_kb"),
    [
        ("00:00 0", 40),
        ("00:01 77 /memfd:x (deleted)", 40),
        ("00:01 78 /dev/zero (deleted)", 40),
        ("fe:00 5 /lib/x", 3),
    ],
)
def test_pages_of_files_on_disk_count_where_they_were_changed(file, used_kb):
    assert memory._used_bytes(MAPPING.format(file, 40, 3, 0)) == used_kb * 1024


def test_huge_pages_are_none_of_the_models():
    assert memory._used_bytes(MAPPING.format("00:00 0", 2088, 2088, 2048)) == 40 * 1024
    line = "import re; model.kept = np.ones(20 << 17); pages = open('/proc/self/smaps').read()"
    line += "; assert not any(map(int, re.findall('AnonHugePages: *([0-9]+)', pages)))"
    assert peak_of_source(building(line)) == pytest.approx(20 * MB, rel=0.1)


def test_where_the_system_shows_nothing_tracemalloc_speaks(monkeypatch):
    monkeypatch.setattr(memory, "_marks_set_back", lambda worker: memory.Pages())
    monkeypatch.setattr(memory, "_pages", lambda worker: memory.Pages())
    assert peak_of_source(building("model.kept = np.ones(20 << 17)")) == pytest.approx(20 * MB, rel=0.01)
