"""One source for every fact, a check for every copy; and the figures that the code is held to.

What a room does is tested in that room's own file; who may import whom in test_layers.py.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROOMS = [ROOT / name for name in ("tinytorch", "autograder") if (ROOT / name).is_dir()]


# ---------------------------------------------------------------- environment.yml


def test_conda_gets_what_pip_gets():
    assert conda_packages() == pip_packages()


def test_conda_gets_the_python_that_pip_needs():
    conda = next(line for line in conda_lines() if line.startswith("python>"))
    assert conda == f"python{PROJECT['requires-python']}"


def test_conda_installs_the_project_itself_where_it_stands():
    assert "-e ." in environment()["dependencies"][-1]["pip"]


def environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def conda_lines() -> list[str]:
    *lines, from_pip = environment()["dependencies"]
    return [line for line in lines + from_pip["pip"] if line != "-e ."]


def conda_packages() -> dict[str, str]:
    """Name -> version range, of everything but the interpreter and its installer."""
    wanted = [Requirement(line) for line in conda_lines() if line != "pip"]
    return {each.name: str(each.specifier) for each in wanted if each.name != "python"}


def pip_packages() -> dict[str, str]:
    """Name -> version range, of the project with all extras, an extra of a package under conda's name."""
    extras = PROJECT["optional-dependencies"].values()
    wanted = [Requirement(line) for line in PROJECT["dependencies"] + sum(extras, [])]
    packages = {each.name: str(each.specifier) for each in wanted if each.name != "tinytorch"}
    return packages | {"distributed": packages["dask"]}  # conda has no dask[distributed]; psycopg is binary there


# ---------------------------------------------------------------- README


def tree_paths(text: str) -> list[str]:
    """Paths of the fenced tree that opens with README.md: two spaces a level, one path a line.

    What stands two spaces or more to the right of the path is its comment.
    """
    block = re.search(r"^```\w*\n(README\.md\b.*?)^```", text, re.MULTILINE | re.DOTALL)
    folders: list[str] = []
    paths = []
    for line in block[1].splitlines() if block else []:
        name = re.split(r"\s{2,}", line.strip())[0]
        level = (len(line) - len(line.lstrip())) // 2
        folders[level:] = [name.rstrip("/")]
        paths.append("/".join(folders))
    return [path for path in paths if path]


def test_a_tree_is_read_by_its_indentation():
    text = "```\nREADME.md     this\ntinytorch/\n  core/  small\n    ops.py\n  perf/\nMakefile\n```\n"
    assert tree_paths(text) == [
        "README.md",
        "tinytorch",
        "tinytorch/core",
        "tinytorch/core/ops.py",
        "tinytorch/perf",
        "Makefile",
    ]


def test_every_path_in_the_readme_exists():
    missing = [path for path in tree_paths((ROOT / "README.md").read_text()) if not (ROOT / path).exists()]
    assert not missing, f"README.md's tree names what is not there: {missing}"


# ---------------------------------------------------------------- code


def modules() -> Iterator[Path]:
    return (path for room in ROOMS for path in sorted(room.rglob("*.py")))


def functions() -> Iterator[tuple[str, int]]:
    """Every function of tinytorch as `file:line name`, with its lines from `def` on, docstring left out."""
    for path in sorted((ROOT / "tinytorch").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                yield where, node.end_lineno - node.lineno + 1 - docstring_lines(node)


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return 0 if ast.get_docstring(node) is None else node.body[0].end_lineno - node.body[0].lineno + 1


def test_every_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT)) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"no docstring in {silent}"


def test_functions_are_one_thought():
    lengths = dict(functions())
    longest = sorted(lengths, key=lengths.__getitem__, reverse=True)[:10]
    seen = "\n".join(f"{lengths[where]:4} lines  {where}" for where in longest)
    assert statistics.median(lengths.values()) < 12, seen
    assert statistics.quantiles(lengths.values(), n=10)[-1] < 30, seen


def test_importing_the_benchmark_stays_light():
    heavy = {"matplotlib", "sqlalchemy", "numba", "IPython"}
    code = f"import sys, tinytorch.core.benchmarking; print(*sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [], "imported at import time: hand it in, or import it where it is used"


# ---------------------------------------------------------------- tree


def text_files() -> Iterator[tuple[str, str]]:
    """Every text file that belongs to the project, with its text."""
    kinds = {
        "",
        ".c",
        ".css",
        ".html",
        ".ipynb",
        ".json",
        ".md",
        ".py",
        ".svg",
        ".toml",
        ".txt",
        ".yaml",
        ".yml",
    }
    folders = [ROOT / name for name in (".ci", "autograder", "modules", "tests", "tinytorch")]
    for path in [*ROOT.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]:
        if path.is_file() and path.suffix in kinds:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")


def test_no_file_knows_a_machine():
    home = re.compile(r"(?<![\w.*])(?:/(?:home|Users|root|work)/[\w.]|[A-Z]:\\\\?Users)")
    found = [f"{name}: {hit[0]}" for name, text in text_files() for hit in home.finditer(text)]
    assert not found, f"paths of one machine: {found}"


def test_make_fixes_the_threads_that_the_tests_fix():
    pinned = re.findall(r'"(\w+_NUM_THREADS)"', (ROOT / "tests/conftest.py").read_text())
    exported = re.findall(r"^export (\w+_NUM_THREADS) := 1$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(exported) == sorted(pinned)


@pytest.mark.parametrize("target", ["compete", "test", "lab"])
def test_make_has_and_explains_the_command(target):
    assert re.search(rf"^{target}: .*## \w", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_continuous_integration_runs_the_test_command_of_the_readme():
    last = (ROOT / ".ci/run").read_text().splitlines()[-1]
    assert last == "make test"
    assert last in (ROOT / "README.md").read_text()


def test_commit_hooks_need_no_network():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
