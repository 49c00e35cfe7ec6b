"""What a student gets: it works by itself, and nothing in it says what is to be found out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile

import nbformat
import pytest
import yaml

from autograder.__main__ import main
from autograder.leaks import find_leaks, secrets_of
from autograder.release import student_environment, student_project
from tinytorch.export import HEADER, ROOT

SMALL = f'''{HEADER}
# %% nbgrader={{"grade": false, "grade_id": "mean", "locked": false, "schema_version": 3, "solution": true, "task": false}}
#| export
def mean(values):
    """The mean of `values`."""
    ### BEGIN SOLUTION
    total_of_all_values = sum(values) / len(values)
    if total_of_all_values > 1e9:
        raise ValueError("these values are too large for us")
    return total_of_all_values
    ### END SOLUTION


# %% nbgrader={{"grade": true, "grade_id": "check-mean", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}}
assert mean([1, 3]) == 2, "add the values and divide by how many there are"
### BEGIN HIDDEN TESTS
assert mean([7, 9, 11]) == 9, "the mean of three values"
### END HIDDEN TESTS
'''
OPEN = "import math\n"  # the library


def leaks(folder, library=OPEN):
    return find_leaks(folder, secrets_of(SMALL, [library]))


def student(folder, *command):
    """Run Python in a student's folder, where nothing but that folder is on the path."""
    clean = {name: value for name, value in os.environ.items() if name != "TINYMLPERF_REFERENCE"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


# ---------------------------------------------------------------- the scan


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("Hint:\n    total_of_all_values = sum(values) / len(values)\n", "solution", 2),
        ('x = 1  # assert mean([7, 9, 11]) == 9, "the mean of three values"\n', "hidden test", 1),
        ("def other(values):\n    total_of_all_values=sum( values )/len(values)\n", "solution", 2),
        ("if True:\n    assert mean( [7,9,11] ) == 9, 'the mean of three values'\n", "hidden test", 2),
        ("    ### BEGIN SOLUTION\n", "marker", 1),
    ],
)
def test_a_planted_line_or_statement_is_found_with_its_place(tmp_path, text, kind, line):
    (tmp_path / "a.py").write_text(text)
    (found,) = leaks(tmp_path)
    assert (str(found.path), found.line, found.kind) == ("a.py", line, kind)


def test_a_solution_in_a_notebook_or_an_archive_is_found(tmp_path):
    cell = nbformat.v4.new_code_cell('x = 1\nraise ValueError("these values are too large for us")')
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    with zipfile.ZipFile(tmp_path / "z.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", "total_of_all_values = sum(values) / len(values)")
    assert {str(each.path) for each in leaks(tmp_path)} == {"n.ipynb", "z.npz"}


def test_compiled_code_is_refused(tmp_path):
    (tmp_path / "benchmarking.cpython-311.pyc").write_bytes(b"\0")
    assert "nobody can look into" in str(leaks(tmp_path)[0])


def test_what_the_library_says_anyway_is_no_secret(tmp_path):
    line = "total_of_all_values = sum(values) / len(values)\n"
    (tmp_path / "a.py").write_text(line)
    assert leaks(tmp_path) and not leaks(tmp_path, library=line)


def test_the_stub_and_the_visible_check_are_no_secret(tmp_path):
    text = SMALL.replace("assert mean([7", "#")
    visible = [line for line in text.split("\n") if "assert mean([1, 3])" in line or "def mean" in line]
    (tmp_path / "a.py").write_text("\n".join([*visible, "    raise NotImplementedError()"]))
    assert not leaks(tmp_path)


# ---------------------------------------------------------------- the real folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("student") / "tinymlperf"
    assert main(["release", "--out", str(out)]) == 0
    return out


def test_the_folder_holds_what_a_student_needs_and_nothing_else(folder):
    there = {path.name for path in folder.iterdir()}
    assert there == {
        ".gitignore", "LICENSE", "Makefile", "README.md", "autograder", "environment.yml", "pyproject.toml",
        "tinymlperf.ipynb", "tinytorch",
    }  # fmt: skip


def test_a_second_look_finds_a_secret_that_came_later(folder, tmp_path, capsys):
    assert main(["release", "--check", "--out", str(folder)]) == 0
    late = folder / "solution.py"
    late.write_text((ROOT / "tinytorch/core/benchmarking.py").read_text())
    try:
        assert main(["release", "--check", "--out", str(folder)]) == 1
    finally:
        late.unlink()
    assert "solution.py:" in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_not_overwritten(folder, capsys):
    assert main(["release", "--out", str(folder)]) == 2
    assert "is not empty; remove it" in capsys.readouterr().err


def test_the_notebook_has_no_outputs_and_points_at_no_script(folder):
    notebook = json.loads((folder / "tinymlperf.ipynb").read_text())
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    assert not any(cell.get("outputs") for cell in notebook["cells"])


def test_before_the_export_an_import_says_what_to_do_then_it_is_the_students_code(folder):
    before = student(folder, "-c", "import tinytorch.core.benchmarking")
    assert "run python -m tinytorch.export --notebook tinymlperf.ipynb" in before.stderr.splitlines()[-1]
    exported = student(folder, "-m", "tinytorch.export", "--notebook", "tinymlperf.ipynb")
    assert exported.returncode == 0, exported.stderr
    asks = "from tinytorch.core import benchmarking as b; print(b.__file__); b.verdict(1, 2)"
    own = student(folder, "-c", asks)
    assert own.stdout.strip() == str(folder / "tinytorch/core/benchmarking.py")
    assert own.stderr.splitlines()[-1] == "NotImplementedError", "nothing is written yet"
    assert student(folder, "-m", "tinytorch.export", "--remove").returncode == 0
    assert student(folder, "-c", "import tinytorch.core.benchmarking").stderr == before.stderr


def test_the_students_project_and_environment_agree(folder):
    extras = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    conda = yaml.safe_load((folder / "environment.yml").read_text())["dependencies"]
    assert set(extras) == {"lab", "fast"}
    assert set(extras["lab"] + extras["fast"]) < set(conda[:-1]) and conda[-1] == {"pip": ["-e ."]}


@pytest.mark.parametrize(
    ("adapt", "words"), [(student_project, "extras class and dev"), (student_environment, "# lab")]
)
def test_a_project_file_of_another_form_is_refused(adapt, words):
    with pytest.raises(ValueError, match=words):
        adapt("name: x\n")


def test_each_make_command_of_the_readme_is_there(folder):
    makefile, readme = ((folder / name).read_text() for name in ("Makefile", "README.md"))
    for target in ("lab", "export", "remove"):
        assert f"make {target}" in readme and f"\n{target}:" in makefile


@pytest.mark.skipif(sys.platform != "linux", reason="the walls and the clock are Linux's")
def test_a_student_is_judged_at_home_by_the_courses_referee_and_their_own_benchmark(folder, tmp_path):
    own = folder / "tinytorch/core/benchmarking.py"
    placeholder = own.read_text()
    lines = (
        "from tinytorch.perf.entry import save_entry",
        "from tinytorch.perf.workloads.baselines import load_baseline",
        f"save_entry(load_baseline('mlp_sprint'), {str(tmp_path / 'entry')!r}, 'Owls', 'mlp_sprint')",
    )
    assert student(folder, "-c", "\n".join(lines)).returncode == 0
    command = ("-m", "autograder", "referee", str(tmp_path / "entry"), "--budget", "0.1")
    assert "tinytorch.export --notebook" in student(folder, *command).stderr
    try:
        own.write_text((ROOT / "tinytorch/core/benchmarking.py").read_text())
        assert "MLP Sprint, team Owls: RANKED" in student(folder, *command).stdout
    finally:
        own.write_text(placeholder)
    assert "release" not in student(folder, "-m", "autograder", "--help").stdout
