"""What does grading cost? `python tests/benchmarks/grading.py [--counts 10 50 200]` prints a table.

Copies of the solution are graded with one and with two workers, and some of them by nbgrader alone (in its kernel,
cells that only look left out, too); beside it, what the notebook's own cells take in a fresh Python. CPU time
is of all processes. Making the release, once a course, is not counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from autograder.course import ASSIGNMENT, add_source, make_release, nbgrader_course, read_source
from autograder.grade import grade, kit_of
from tinytorch.perf.machine import describe_machine

PLAIN = 5  # submissions graded by nbgrader alone


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


def own_cells():
    """The notebook's own cells, in a process of their own, as a script would run them."""
    run = "from tests.notebook.classroom import cells, play; play(cells())"
    subprocess.run([sys.executable, "-c", run], cwd=ROOT, check=True)


def ours(count, workers):
    with tempfile.TemporaryDirectory() as scratch:
        course = course_with(Path(scratch), count)
        with nbgrader_course(course, graded=True) as api:
            kit_of(api, course)
        return measured(lambda: list(grade(course, workers=workers)))


def plain(count):
    with tempfile.TemporaryDirectory() as scratch:
        course = course_with(Path(scratch), count)
        with nbgrader_course(course) as api:
            make_release(api, course)
            return measured(lambda: [api.autograde(ASSIGNMENT, f"s{number:03d}") for number in range(count)])


def row(name, count, wall, cpu):
    print(f"{name:<34}{count:>12}{wall:>9.1f}{wall / count:>13.2f}{cpu / count:>12.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="What grading costs.")
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 50], help="submissions (10 50)")
    counts = parser.parse_args().counts
    machine = describe_machine("")
    print(f"{machine.processor}, {machine.cores} cores, Python {machine.python}\n")
    own_cells()  # caches fill
    print(f"{'':<34}{'submissions':>12}{'wall s':>9}{'wall s each':>13}{'CPU s each':>12}")
    row("the notebook's cells alone", 1, *measured(own_cells))
    row("nbgrader autograde, as it comes", PLAIN, *plain(PLAIN))
    for count in counts:
        for workers in (1, 2):
            row(f"autograder grade, {workers} worker{'s' * (workers > 1)}", count, *ours(count, workers))


if __name__ == "__main__":
    main()
