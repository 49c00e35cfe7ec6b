"""The first evening of a student: the release folder in JupyterLab, Section 1 by hand, export, import."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from autograder.__main__ import main
from tests.e2e.lab import browser_page, lab_server, needs_chromium, open_notebook

BY_HAND = {
    "measure": """
    for _ in range(warmup):
        function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times
    """,
    "naive-speedup": """
    slow = measure(lambda: baseline.predict(inputs), runs)
    fast = measure(lambda: candidate.predict(inputs), runs)
    return sum(slow) / sum(fast)
    """,
    "time-block": """
    calls = []
    for task in tasks:
        calls.extend(task.calls)
    start = clock.now_s()
    for function, arguments in calls:
        function(*arguments)
    spent = clock.now_s() - start - clock.overhead_s
    return max(spent, 1e-9) / len(tasks)
    """,
    "block-sizes": """
    longest = max(longest_s, shortest_s)
    block_s = min(max(baseline_s, candidate_s, shortest_s), longest)
    return max(1, round(block_s / baseline_s)), max(1, round(block_s / candidate_s))
    """,
    "time-pair": """
    if baseline_first:
        first = time_block(clock, baseline)
        return first, time_block(clock, candidate)
    first = time_block(clock, candidate)
    return time_block(clock, baseline), first
    """,
    "time-pairs": """
    pairs = []
    end = clock.now_s() + slice_s
    while not pairs or clock.now_s() < end:
        at = int(rng.integers(len(baseline)))
        blocks = []
        for tasks, size in zip((baseline, candidate), sizes):
            blocks.append([tasks[(at + step) % len(tasks)] for step in range(size)])
        pairs.append(time_pair(clock, *blocks, baseline_first=rng.random() < 0.5))
    return pairs
    """,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("student") / "tinymlperf"
    assert main(["release", "--out", str(out)]) == 0
    return out


def environment(folder):
    """A student's: the folder's tinytorch, one thread, no reference."""
    own = {name: value for name, value in os.environ.items() if name != "TINYMLPERF_REFERENCE"}
    return own | {"PYTHONPATH": str(folder)}


def python(folder, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


@needs_chromium
def test_section_1_is_solved_by_hand_exported_and_imported(folder):
    cells = json.loads((folder / "tinymlperf.ipynb").read_text())["cells"]
    place = {cell["metadata"].get("nbgrader", {}).get("grade_id"): at for at, cell in enumerate(cells)}
    with lab_server(folder, environment(folder)) as server, browser_page() as page:
        notebook = open_notebook(page, server, "tinymlperf.ipynb")
        notebook.run(0, place["check-measure"])
        assert notebook.errors(place["measure"]) == []
        assert notebook.errors(place["check-measure"]) == ["NotImplementedError: "]
        done = place["measure"] - 1
        for stage, text in BY_HAND.items():
            notebook.write_solution(place[stage], text.strip("\n").rstrip().split("\n"))
            notebook.run(done + 1, place[f"check-{stage}"])
            for at in range(done + 1, place[f"check-{stage}"] + 1):
                assert cells[at]["cell_type"] != "code" or notebook.errors(at) == [], f"cell {at}, before {stage}"
            done = place[f"check-{stage}"]
        last_look = next(at for at in range(done, len(cells)) if cells[at]["metadata"].get("tags") == ["look"])
        notebook.run(done + 1, last_look)
        outputs = notebook.model(last_look)["outputs"]
        assert [list(each["data"]) for each in outputs if "image/png" in each["data"]], "the ratios are drawn"
        notebook.save()
    exported = python(folder, "-m", "tinytorch.export", "--notebook", "tinymlperf.ipynb")
    assert exported.returncode == 0, exported.stderr
    asks = "from tinytorch.core import benchmarking as b; print(b.__file__, len(b.measure(lambda: 0, 3)))"
    assert python(folder, "-c", asks).stdout.split() == [str(folder / "tinytorch/core/benchmarking.py"), "3"]
