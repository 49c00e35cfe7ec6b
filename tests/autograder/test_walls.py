"""The walls hold, the self-test says so, and it fails loudly for every wall that is left out."""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from autograder.referee import jail, kernels, sandbox
from autograder.referee.levels import LAYERS_OF, LevelError, find_level, self_test
from autograder.referee.sandbox import LAYERS, ROOT, Setup, WorkerError, workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")

PLAIN = """
class Model:
    def predict(self, inputs):
        return inputs[:, :10] * 1.0

def build(weights):
    return Model()
"""
ONES = np.ones((2, 784), np.float32)


def test_all_walls_hold_on_this_machine():
    assert self_test(LAYERS) == []


@pytest.mark.parametrize("off", ["limits", "landlock", "seccomp", "bubblewrap"])
def test_the_self_test_names_a_wall_that_is_off(off):
    wrong = self_test([layer for layer in LAYERS if layer != off], promised=LAYERS)
    assert wrong and all(each.startswith(f"{off}: can ") for each in wrong)


def test_a_wall_that_is_too_narrow_fails_too(monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 1 << 26)
    with pytest.raises(LevelError, match="no worker behind"):
        self_test(LAYERS_OF[2])


def test_what_does_not_hold_lowers_the_level_and_says_why():
    level = find_level(test=lambda layers: ["bubblewrap: can fork"] if "bubblewrap" in layers else [])
    assert level.number == 2 and "level 3 does not hold here: bubblewrap: can fork" in level.notes[0]


def test_without_user_namespaces_it_falls_to_level_2_and_says_so(monkeypatch):
    refuse = [sys.executable, "-c", "raise SystemExit('bwrap: No permissions to create new namespace')"]
    monkeypatch.setattr(sandbox, "bubblewrap", lambda setup, info: refuse)
    level = find_level()
    assert level.number == 2 and "level 3 does not hold here: no worker behind" in level.notes[0]


def test_level_1_is_provisional():
    assert find_level(at_most=1).provisional and not find_level(at_most=2).provisional


def test_no_level_is_an_error_with_every_reason():
    with pytest.raises(LevelError, match="level 3 .* level 2 .* level 1 "):
        find_level(test=lambda layers: ["nothing holds"])


def test_a_user_who_is_not_root_reaches_the_same_level():
    python = Path(sys.base_prefix) / "bin" / "python3"
    lines = (
        "import sys; sys.path[:0] = sys.argv[1:]; from autograder.referee.levels import find_level; "
        "print(find_level().number)"
    )
    packages = sysconfig.get_path("purelib")
    for interpreter in (str(python), f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            run = subprocess.run(
                [interpreter, "-c", lines, str(ROOT), packages],
                capture_output=True,
                text=True,
                user=65534 if not hasattr(sandbox.os, "getuid") or sandbox.os.getuid() == 0 else None,
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
            )
        except (PermissionError, FileNotFoundError):
            continue  # an interpreter below somebody's closed home
        assert run.stdout.strip() in ("2", "3"), run.stderr
        return
    pytest.skip("no interpreter of this version that another user may run")


def test_the_environment_of_a_worker_holds_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_CLASS", "42")
    seen = "import os\n" + PLAIN.replace("inputs[:, :10] * 1.0", "1.0 * len(os.environ) + inputs[:, :10] * 0")
    setup = Setup(seen, {})
    with workers(setup) as (worker,):
        (answer,), _ = worker.call(sandbox.protocol.PREDICT, (ONES,), [(2, 10)])
    assert (
        answer[0, 0] <= len(sandbox.environment(setup)) + 2
    )  # the shell's PWD and the like, nothing of this process


def test_a_worker_that_dies_is_told_from_one_that_hangs(monkeypatch):
    monkeypatch.setattr(sandbox, "CALL_S", 0.2)
    for line, check in (("import os; os._exit(3)", "worker lives"), ("while True: pass", "answers in time")):
        broken = PLAIN.replace("return inputs", f"{line}\n        return inputs").replace(
            ": pass\n", ":\n            pass\n"
        )
        with workers(Setup(broken, {})) as (worker,), pytest.raises(WorkerError) as caught:
            worker.call(sandbox.protocol.PREDICT, (ONES,), [(2, 10)])
        assert caught.value.check == check


def test_nothing_that_is_asked_of_a_dead_worker_is_an_error_of_ours():
    with workers(Setup(PLAIN, {})) as (worker,):
        worker.kill()
        with pytest.raises(WorkerError):
            worker.call(sandbox.protocol.PREDICT, (ONES,), [(2, 10)])
        for ask in (worker.pause, worker.resume, worker.cpu_s, worker.waited_s):
            with contextlib.suppress(
                WorkerError
            ):  # or it is no error at all, as long as the kernel keeps its number
                ask()


def comes_to_rest(worker, looks=200_000, in_a_row=2000):
    """Does its CPU time stand still? On a busy machine the signal takes its time."""
    last, same = worker.cpu_s(), 0
    for _ in range(looks):
        now = worker.cpu_s()
        last, same = now, same + 1 if now == last else 0
        if same == in_a_row:
            return True
    return False


def test_a_stopped_worker_does_nothing():
    busy = "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()\n"
    with workers(Setup(busy + PLAIN, {})) as (worker,):
        worker.pause()
        assert comes_to_rest(worker)


def folder_with_data(root):
    """A system's folder with packages in it, and a link that leads to them: (the folder, what is hidden)."""
    data = root / "usr" / "lib" / "packages" / "files"
    data.mkdir(parents=True)
    (data / "digits.npz").touch()
    (data.parent / "code.py").touch()
    (root / "usr" / "lib64").symlink_to("lib")
    (root / "usr" / "include").mkdir()
    return root / "usr", data


def test_the_compiler_may_read_everything_but_the_data(tmp_path):
    system, data = folder_with_data(tmp_path)
    found = set(kernels.readable([str(system), str(system / "lib64")], data))
    assert found == {str(data.parent / "code.py"), str(system / "include")}
    assert kernels.readable([str(system)], tmp_path / "elsewhere") == [str(system)]


INCBIN = '__asm__(".section .rodata\\n.incbin \\"%s\\"\\n.text"); int first(void) { return 1; }'


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
def test_a_kernel_cannot_carry_the_data_away(tmp_path):
    data = next(path for path in sorted(sandbox.FILES.iterdir()) if path.is_file())
    assert kernels.compile_kernel(INCBIN % shutil.which("gcc"), tmp_path / "may").is_file()
    with pytest.raises(WorkerError, match="does not compile"):
        kernels.compile_kernel(INCBIN % data, tmp_path / "may_not")


# In each: must it be denied, and the call. Some calls are denied with some arguments only.
DENIED_SO = """
import ctypes, errno, mmap
system = ctypes.CDLL(None, use_errno=True)
page = mmap.mmap(-1, 4096)
place = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page)))

def denied(call, *given):
    return getattr(system, call)(*given) == -1 and ctypes.get_errno() == errno.EPERM

WRONG = [each for each in [%s] if not (denied(*each[1:]) == each[0])]
"""


def wrong_in_a_worker(tried):
    """How many of the calls come out otherwise than they must, behind the walls of level 2."""
    source = DENIED_SO % ", ".join(tried) + PLAIN.replace(
        "inputs[:, :10] * 1.0", "inputs[:, :10] * 0.0 + len(WRONG)"
    )
    with workers(Setup(source, {}, layers=LAYERS_OF[2])) as (worker,):
        (answer,), _ = worker.call(sandbox.protocol.PREDICT, (ONES,), [(2, 10)])
    return answer[0, 0]


FREE, COLD, PAGEOUT, DONTNEED, SET_OWNER, SET_SIGNAL, SET_DUMPABLE, GET_FLAGS = 8, 20, 21, 4, 8, 10, 4, 3


def test_calls_are_denied_by_their_arguments():
    tried = [f"(True, 'madvise', place, 4096, {advice})" for advice in (FREE, COLD, PAGEOUT)]
    tried += [f"(True, 'fcntl', 0, {command}, 1)" for command in (SET_OWNER, SET_SIGNAL, 15)]
    tried += [f"(True, 'prctl', {option}, 0, 0, 0, 0)" for option in (SET_DUMPABLE, 35, 41)]
    tried += [f"(False, 'fcntl', 0, {GET_FLAGS})"]
    tried += [f"(False, 'madvise', place, 4096, {DONTNEED})", "(False, 'prctl', 3, 0, 0, 0, 0)"]
    assert wrong_in_a_worker(tried) == 0


def test_nothing_of_system_v_can_be_made_or_used():
    calls = ["shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semctl"]
    calls += ["semtimedop", "mq_open", "mq_unlink", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"]
    column = jail.MACHINES[platform.machine()][0]
    tried = [f"(True, 'syscall', {jail.DENIED[call][column]}, 0, 0, 0, 0, 0)" for call in calls]
    assert wrong_in_a_worker(tried) == 0
