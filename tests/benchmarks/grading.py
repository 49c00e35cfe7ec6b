"""What does grading cost? `python tests/benchmarks/grading.py [--count 10]` prints a table.

Copies of the solution are graded with one and with two workers, and some of them by nbgrader alone (in its kernel,
cells that only look left out, too); beside it, what the notebook's own cells take. CPU time is of all processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import shutil

from autograder.course import ASSIGNMENT, add_source, make_release, nbgrader_course, read_source
from autograder.grade import grade
from tests.notebook.classroom import cells, play
from tinytorch.perf.machine import describe_machine


def cpu_s():
    """Of this process and of all that have ended below it."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measured(work):
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), cpu_s()
    work()
    return time.perf_counter() - wall, cpu_s() - cpu


def course_with(folder, count):
    """A course in which `count` students have handed in the solution."""
    add_source(folder, read_source())
    source = folder / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    for number in range(count):
        target = folder / "submitted" / f"s{number:03d}" / ASSIGNMENT
        target.mkdir(parents=True)
        shutil.copy(source, target)
    return folder


def ours(count, workers):
    with tempfile.TemporaryDirectory() as scratch:
        course = course_with(Path(scratch), count)
        return measured(lambda: list(grade(course, workers=workers)))


def plain(count):
    with tempfile.TemporaryDirectory() as scratch:
        course = course_with(Path(scratch), count)
        with nbgrader_course(course) as api:
            make_release(api, course)
            return measured(lambda: [api.autograde(ASSIGNMENT, f"s{number:03d}") for number in range(count)])


def main():
    parser = argparse.ArgumentParser(description="What grading costs.")
    parser.add_argument("--count", type=int, default=10, help="submissions (10)")
    count = parser.parse_args().count
    machine = describe_machine("")
    print(f"{machine.processor}, {machine.cores} cores, Python {machine.python}\n")
    play(cells())  # caches fill
    own_wall, own_cpu = measured(lambda: play(cells()))
    print(f"{'':<34}{'submissions':>12}{'wall s each':>13}{'CPU s each':>12}")
    print(f"{'the notebook cells alone':<34}{1:>12}{own_wall:>13.2f}{own_cpu:>12.2f}")
    for name, work, number in (
        ("nbgrader autograde, as it comes", lambda: plain(max(2, count // 3)), max(2, count // 3)),
        ("autograder grade, 1 worker", lambda: ours(count, 1), count),
        ("autograder grade, 2 workers", lambda: ours(count, 2), count),
    ):
        wall, cpu = work()
        print(f"{name:<34}{number:>12}{wall / number:>13.2f}{cpu / number:>12.2f}", flush=True)


if __name__ == "__main__":
    main()
