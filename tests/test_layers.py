"""The rooms import only downwards: import-linter's contracts in pyproject.toml hold, and they bite.

A contract that never fails proves nothing, so each is also shown a tree with one forbidden import.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports as lint; raise SystemExit(lint(no_cache=True))"
    return subprocess.run([sys.executable, "-c", command], cwd=tree, capture_output=True, text=True)


def plant(module: str, offence: str, tree: Path) -> None:
    """Copy the sources into `tree` and add one line of code to one module of the copy."""
    shutil.copy(ROOT / "pyproject.toml", tree)
    for room in ("tinytorch", "autograder"):
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("files", "__pycache__"))
    with (tree / "tinytorch" / module).open("a") as file:
        file.write(f"\n{offence}\n")


def test_every_room_imports_only_from_rooms_below_it():
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("module", "offence", "contract"),
    [
        ("core/tensor.py", "import tinytorch.core.layers", "Data flows one way"),
        ("core/quantization.py", "import tinytorch.core.compression", "Data flows one way"),
        ("perf/verify.py", "import tinytorch.core.benchmarking", "Data flows one way"),
        ("perf/records.py", "import tinytorch.core.tensor", "Records import nothing"),
        ("compete.py", "import autograder", "Nothing in tinytorch knows"),
        ("core/benchmarking.py", "def late():\n    import sqlalchemy.orm", "Only perf.store"),
        ("perf/board.py", "import matplotlib.pyplot", "Only perf.plots"),
        ("core/acceleration.py", "import numba", "Only core.machine_code"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(module, offence, contract, tmp_path):
    plant(module, offence, tmp_path)
    run = lint(tmp_path)
    assert run.returncode == 1
    assert re.search(rf"^{contract}.* BROKEN", run.stdout, re.MULTILINE), run.stdout


def test_every_module_stands_in_the_layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    placed = set(re.findall(r"[\w.]+", " ".join(contracts[0]["layers"])))
    graph = grimp.build_graph("tinytorch", cache_dir=None)
    packages = {"tinytorch", "tinytorch.core", "tinytorch.perf"}
    children = {child for package in packages for child in graph.find_children(package)} - packages
    assert children <= placed, f"give {sorted(children - placed)} a layer in pyproject.toml"


def test_core_needs_only_numpy():
    graph = grimp.build_graph("tinytorch", include_external_packages=True, cache_dir=None)
    allowed = sys.stdlib_module_names | {"numpy", "tinytorch"}
    for module in graph.find_descendants("tinytorch.core"):
        outside = {name.split(".")[0] for name in graph.find_modules_directly_imported_by(module)} - allowed
        compiles = module.endswith(("_numba", ".machine_code"))
        assert outside <= ({"numba"} if compiles else set()), f"{module} imports {outside}"
