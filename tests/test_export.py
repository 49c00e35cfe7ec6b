from __future__ import annotations

import builtins
import json
import random
import subprocess
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nbgrader.nbgraderformat.v3 import MetadataValidatorV3

from tinytorch import export
from tinytorch.export import HEADER, ExportError, add_method, main, module_text, notebook_text

ROOT = Path(__file__).parents[1]


# ------------------------------------------------------------------ tiny notebooks


def code(source: str, grade_id: str = "", **nbgrader: object) -> str:
    """One code cell of a percent script; with a grade_id it is one of nbgrader's."""
    keys = {"grade": False, "grade_id": grade_id, "schema_version": 3, "task": False} | nbgrader
    return "# %%" + (f" nbgrader={json.dumps(keys, sort_keys=True)}" if grade_id else "") + f"\n{source.strip()}\n"


def exported(source: str, grade_id: str = "") -> str:
    """An exported cell: of the student where it has a SOLUTION region, else given and locked."""
    solution = "BEGIN SOLUTION" in source
    return code("#| export\n" + source.strip(), grade_id, solution=solution, locked=not solution)


def script(*cells: str) -> str:
    """A percent script with a title, the name of the module, and these cells."""
    title = "# %% [markdown]\n# # Timing\n#\n# Keep every time.\n"
    return "\n".join([HEADER, title, code("#| default_exp core.benchmarking"), *cells])


def module(*cells: str) -> str:
    return module_text(export.parse_percent(script(*cells)))


def ruff(*command: str, text: str) -> subprocess.CompletedProcess[str]:
    """ruff with the project's settings, on a text that pretends to be the exported module."""
    where = ["--stdin-filename", "tinytorch/core/benchmarking.py", "-"]
    words = [sys.executable, "-m", "ruff", *command, *where]
    return subprocess.run(words, input=text, capture_output=True, text=True, cwd=ROOT)


def clone(folder: Path, text: str) -> Path:
    """A folder that looks like a clone of the project, with `text` as its notebook."""
    (folder / "tinytorch" / "core").mkdir(parents=True)
    source = folder / export.SOURCE
    source.parent.mkdir(parents=True)
    source.write_text(text, encoding="utf-8")
    return folder


def module_of(root: Path) -> Path:
    return root / "tinytorch" / "core" / "benchmarking.py"


def notebook_of(root: Path) -> Path:
    return (root / export.SOURCE).with_suffix(".ipynb")


TWICE = exported("def twice(x):\n    return x + x", "twice")
PROFILER = exported('class Profiler:\n    """Times things."""\n\n    runs = 3\n\n\n# more later', "profiler")


def method(source: str, grade_id: str = "run") -> str:
    return exported("@add_method(Profiler)\n" + source, grade_id)


# ------------------------------------------------------------------ the module


def test_a_small_notebook_becomes_this_module():
    text = module(
        exported("import math\n\nROOT_2 = math.sqrt(2)  # of the diagonal", "constants"),
        code("ROOT_2"),
        exported(
            'def diagonal(side):\n    """Of a square."""\n    ### BEGIN SOLUTION\n'
            "    # Pythagoras\n    return side * ROOT_2\n    ### END SOLUTION",
            "diagonal",
        ),
    )
    assert (
        text
        == '''\
# GENERATED from modules/20_tinymlperf/tinymlperf.py by `python -m tinytorch.export`; edit the notebook.
"""Timing.

Keep every time.
"""

from __future__ import annotations

import math

__all__ = [
    "ROOT_2",
    "diagonal",
]


# cell: constants
ROOT_2 = math.sqrt(2)  # of the diagonal


# cell: diagonal
def diagonal(side):
    """Of a square."""
    # Pythagoras
    return side * ROOT_2
'''
    )


def test_the_same_notebook_gives_the_same_bytes():
    text = script(TWICE, PROFILER)
    assert module_text(export.parse_percent(text)) == module_text(export.parse_percent(text))
    assert notebook_text(text) == notebook_text(text)


def test_an_exported_string_alone_is_the_docstring():
    assert '"""Ours.\n\nDoes not: grade.\n"""' in module(exported('"""Ours.\n\nDoes not: grade.\n"""'), TWICE)


def test_a_notebook_without_a_title_gives_a_module_without_a_docstring():
    cells = export.parse_percent(code("#| default_exp core.benchmarking") + TWICE)
    assert "edit the notebook.\n\nfrom __future__ import annotations\n" in module_text(cells)


def test_private_names_and_imports_are_not_in_all():
    text = module(exported("import math\n\n_secret = [n for n in range(3)]\nshown, also = math.pi, 2"))
    assert '__all__ = [\n    "also",\n    "shown",\n]' in text


def test_add_method_itself_is_not_imported_by_the_module():
    text = module(
        exported("from tinytorch.export import add_method"), PROFILER, method("def run(self):\n    return 1")
    )
    assert "add_method" not in text


def test_solution_markers_leave_no_double_blank_lines():
    text = module(
        exported("def f():\n\n    ### BEGIN SOLUTION\n\n    x = 1\n\n    ### END SOLUTION\n\n    return x", "f")
    )
    assert "def f():\n\n    x = 1\n\n    return x\n" in text


# ------------------------------------------------------------------ methods from later cells


def test_a_method_of_a_later_cell_stands_inside_its_class_with_its_comments():
    text = module(
        PROFILER,
        TWICE,
        method("# why a property\n@property\ndef half(self):\n    return self.runs / 2  # may be 1.5", "half"),
    )
    assert (
        '''\
# cell: profiler
class Profiler:
    """Times things."""

    runs = 3

    # cell: half
    # why a property
    @property
    def half(self):
        return self.runs / 2  # may be 1.5


# more later


# cell: twice
'''
        in text
    )


def test_a_moved_method_does_what_it_did_in_the_notebook():
    long_string = 'def text(self):\n    return """\na\n\n\n  b\n""" + f"""\n{self.runs}\n"""'
    cells = [PROFILER, method(long_string, "text")]
    from_module, from_notebook = {}, {"add_method": add_method}
    exec(module(*cells), from_module)
    exec(script(*cells), from_notebook)
    assert from_module["Profiler"]().text() == from_notebook["Profiler"]().text() == "\na\n\n\n  b\n\n3\n"


def test_add_method_takes_properties_and_static_methods():
    class Box: ...

    @add_method(Box)
    @property
    def sides(self):
        return 6

    @add_method(Box)
    @staticmethod
    def edges():
        return 12

    assert (Box().sides, Box.edges()) == (6, 12)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            [method("def run(self): ..."), PROFILER],
            "method run: no exported cell above defines a class Profiler",
        ),
        ([PROFILER, method("def runs(self): ...")], "class Profiler has one already"),
        ([PROFILER, method("def run(self): ...", "a"), method("def run(self): ...", "b")], "has one already"),
        ([PROFILER, TWICE, method("def twice(self): ...")], "takes the name of something else"),
        (
            [PROFILER, exported("import time"), method("def time(self): ...")],
            "`time` is imported and defined",
        ),
        (
            [PROFILER, exported("N = 1"), method("def run(self, runs=N): ...")],
            "needs N where class Profiler begins",
        ),
        ([exported("class Profiler: ..."), method("def run(self): ...")], "stands on one line"),
        (
            [PROFILER, exported("@add_method('Profiler')\ndef run(self): ...")],
            "write `@add_method(Class)` once",
        ),
        ([PROFILER, method(f"def run(self):\n    return '{'x' * 99}'")], "has 112 characters"),
    ],
)
def test_a_method_that_would_mean_something_else_is_refused(cells, words):
    with pytest.raises(ExportError) as caught:
        module(*cells)
    assert words in str(caught.value)


# ------------------------------------------------------------------ what ruff says to the module


def test_the_exporter_and_ruff_agree_on_the_length_of_a_line():
    settings_of_ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert settings_of_ruff["line-length"] == export.LINE_LENGTH


# Bodies of exported cells, each with something that a formatter has an opinion on.
BODIES = '''\
import math, json
import os.path
# Of what.
FLOOR = (math.pi, json, os)
====
def f(x):
    """Doc."""
    ### BEGIN SOLUTION
    y = np.sqrt(x)

    def g(): return y

    ### END SOLUTION
    return g
# below
====
class Box:
    x = 1
    ### BEGIN SOLUTION
    def y(self): return 1
    ### END SOLUTION
    # end
====
A = [1,
 2]
# floating

# near
B = {'a': 1}
if A:
    C = 1
====
### BEGIN SOLUTION
D = 1
def h(): return D
### END SOLUTION
====
@add_method(Profiler)
def p(self):
    """Doc.

        more
    """
    s = """
a


b
"""
    return s
# below
====
@add_method(Profiler)
def q(self, first, *, second=None): return lambda: [first, second]
@add_method(Profiler)
async def r(self): pass
'''.split("====\n")
FORMATTED = [exported(body, f"c{n}") for n, body in enumerate(BODIES)]
FORMATTED += ["# %% [markdown]\n# prose\n", code("assert True")]
USES = exported("import math, numpy as np", "uses")


def formatted(seed: int) -> str:
    cells = random.Random(seed).sample(FORMATTED, k=6)
    return ruff("format", text=script(USES, PROFILER, *cells)).stdout


@pytest.mark.parametrize("seed", range(8))
def test_a_formatted_notebook_exports_to_a_formatted_module(seed):
    text = module_text(export.parse_percent(formatted(seed)))
    assert ruff("format", "--diff", text=text).stdout == ""
    assert ruff("check", "--select", "E,I,W", text=text).stdout == "All checks passed!\n"


IMPORTS = """\
import os
import os.path
import sys as system
import numpy as np
import X2
import x1
import tinytorch.perf.records as records
import tinytorch.core
from os import path
from typing import TypeVar, Any
from collections.abc import Mapping as M, Callable
from x10 import a
from x9 import a as b, v10, v2, ABC, Abc, A, _p, _P
from numpy.linalg import norm as n1, eig
from tinytorch.core.tensor import Tensor
from tinytorch.perf.workloads import a_name_of_some_length, another_name_of_some_length, one_more_name_yet
from tinytorch.perf.workloads import a_fourth_name
""".splitlines()


@settings(max_examples=15)
@example(IMPORTS)
@given(st.lists(st.sampled_from(IMPORTS), min_size=3, unique=True))
def test_imports_of_all_cells_stand_in_the_order_of_ruff(lines):
    found = export.imports_of(p for line in lines for p in export.split(export.Cell("code", line, {}, 1, 1)))
    text = export.import_block(found) + "\n\n__all__ = []\n"
    assert ruff("check", "--select", "I", "--diff", text=text).stdout == ""


# ------------------------------------------------------------------ what is refused, and in which words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = (1", "cell 'bad', line 27: `x = (1` does not parse: '(' was never closed"),
        ("x = 1\n%timeit x", "cell 'bad', line 28: `%timeit x` is a magic"),
        ("x = 1\nreturn x", "line 28: `return x` does not parse: 'return' outside function"),
        ("from math import *", "line 27: `from math import *` cannot be exported"),
        ("from . import tensor", "`from . import tensor` cannot be exported"),
        (
            "print('hello')",
            "line 27: `print('hello')` would run at each import; move it to a cell without `#| export`",
        ),
        ("x = 1\nassert x", "`assert x` would run at each import"),
        ("raise NotImplementedError()", "would run at each import; solve this cell first"),
        ("x = 1; y = 2", "line 27: two statements on one line"),
        ("__all__ = ['x']", "`__all__` is made by the exporter"),
        ("def f():\n    ### BEGIN SOLUTION\n    return 1", "line 28: this SOLUTION region is not closed"),
        ("def f():\n    return 1\n    ### END SOLUTION", "line 29: END SOLUTION without a BEGIN"),
        ("### BEGIN SOLUTION\nx = 1\n### BEGIN SOLUTION", "line 29: a SOLUTION region begins inside another"),
        ("def f():\n    return plt.figure()", "line 28: `plt` comes from no exported cell"),
        ("import time\ntime = 1", "line 28: `time` is imported and defined"),
        (
            "from time import time\nfrom timeit import time",
            "`time` is imported from two places, time and timeit",
        ),
        ("x = 1\n#| export", "line 28: `#| export` must stand above the code"),
        ("#| exprot\nx = 1", "line 27: unknown `#| exprot`"),
    ],
)
def test_an_exported_cell_only_imports_and_defines(source, words):
    with pytest.raises(ExportError) as caught:
        module(exported(source, "bad"))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TWICE, "0 cells name the module"),
        (script(code("#| default_exp core.other"), TWICE), "2 cells name the module"),
        (code("#| default_exp ..evil") + TWICE, "`#| default_exp ..evil`: expected core.NAME"),
        (script(code("x = 1")), "no cell is exported"),
        (script(TWICE, TWICE), "grade_id 'twice' stands on two cells, numbers 3 and 4"),
        (script(code("#| export\nx = 1", "x", solution=True)), "cell 'x', line 26: a solution cell without"),
        (script(exported('"""One."""'), exported('"""Two."""')), "a second docstring"),
        ("x = 1\n", "no cell found"),
        ("x = 1\n# %%\n", "text between the header and the first cell"),
        ("# ---\n# jupyter:\n# %%\n", "the header is not closed"),
        ("#%%\nx = 1\n", "line 1: `#%%` is no cell marker"),
        ("# %% nbgrader={'grade': 1}\n", "line 1: metadata `nbgrader` is not JSON"),
        ("# %% [markdown]\nprose\n", "line 2: prose must begin with `# `, found `prose`"),
    ],
)
def test_a_notebook_that_is_none_is_refused(text, words):
    with pytest.raises(ExportError) as caught:
        module_text(export.parse_percent(text))
    assert words in str(caught.value)


def test_names_that_only_annotations_use_need_no_import():
    assert "def f(x: Tensor)" in module(exported("def f(x: Tensor): ..."))


# ------------------------------------------------------------------ the paired notebook


@pytest.mark.parametrize("seed", range(8))
def test_from_script_to_notebook_and_back_is_the_same_text(seed):
    text = formatted(seed)
    assert jupytext.writes(jupytext.reads(notebook_text(text), fmt="ipynb"), fmt="py:percent") == text


def test_the_notebook_is_valid_for_jupyter_and_for_nbgrader():
    check = {"grade": True, "locked": True, "solution": False, "points": 3}
    text = script(TWICE, code("assert twice(2) == 4", "twice-test", **check))
    notebook = nbformat.reads(notebook_text(text), as_version=4)
    nbformat.validate(notebook)
    MetadataValidatorV3().validate_nb(notebook)
    assert notebook.cells[-1].metadata.nbgrader.points == 3
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code")


def test_a_cell_is_named_by_its_grade_id_else_by_its_text():
    def ids(*cells: str) -> list[str]:
        return [cell["id"] for cell in json.loads(notebook_text(script(*cells)))["cells"]]

    plain, more = code("x = 1"), code("y = 2")
    few, many = ids(TWICE, plain, plain), ids(more, TWICE, plain, plain)
    assert few[2] == "twice"
    assert few[4] == few[3] + "-2"
    assert set(few) < set(many)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (script(TWICE).replace("python3", "python2"), "must open with this header"),
        (script(exported("x = 1", "a.b")), "cell 'a.b', line 26: a grade_id has letters, digits"),
        (
            script('# %% slideshow={"slide_type": "slide"}\nx = 1\n'),
            "does not survive the way into the .ipynb",
        ),
        (script('# %% nbgrader={"solution": false, "grade": false}\n'), "does not survive the way"),
        (script(code("# %matplotlib inline")), "jupytext reads this cell differently"),
    ],
)
def test_a_script_that_the_notebook_cannot_hold_is_refused(text, words):
    with pytest.raises(ExportError) as caught:
        notebook_text(text)
    assert words in str(caught.value)


def test_without_jupytext_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without_jupytext(name, *rest):
        if name == "jupytext":
            raise ModuleNotFoundError("No module named 'jupytext'", name="jupytext")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_jupytext)
    with pytest.raises(ExportError, match=r"jupytext is not installed.*pip install 'tinytorch\[lab\]'"):
        notebook_text(script(TWICE))


# ------------------------------------------------------------------ the command


def test_a_module_is_exported_with_nothing_but_the_standard_library(tmp_path):
    root = clone(tmp_path, script(TWICE))
    command = f"import pathlib, tinytorch.export as e; e.main(['--reference'], pathlib.Path({str(root)!r}))"
    subprocess.run([sys.executable, "-S", "-c", command], cwd=ROOT, check=True, capture_output=True)
    assert "def twice" in module_of(root).read_text()


def test_check_finds_missing_copies_then_fresh_ones_then_a_changed_source(tmp_path, capsys):
    root = clone(tmp_path, script(TWICE))
    assert main(["--check"], root) == 1
    assert main([], root) == 0
    assert main(["--check"], root) == 0
    (root / export.SOURCE).write_text(script(TWICE, PROFILER), encoding="utf-8")
    capsys.readouterr()
    assert main(["--check"], root) == 1
    said = capsys.readouterr().out
    assert f"stale: {module_of(root)}" in said
    assert f"stale: {notebook_of(root)}" in said
    assert "+class Profiler:" in said
    assert said.endswith("mend it with: python -m tinytorch.export\n")


def test_check_finds_a_copy_that_was_changed_by_hand_and_writes_nothing(tmp_path, capsys):
    root = clone(tmp_path, script(TWICE))
    main([], root)
    changed = module_of(root).read_text() + "x = 1\n"
    module_of(root).write_text(changed)
    capsys.readouterr()
    assert main(["--check"], root) == 1
    assert "-x = 1" in capsys.readouterr().out
    assert module_of(root).read_text() == changed


def test_no_cell_runs_and_the_old_module_is_not_imported(tmp_path):
    root = clone(tmp_path, script(TWICE, exported("x = 1 / 0"), code("1 / 0")))
    module_of(root).write_text(export.GENERATED + "...\n1 / 0\n")
    assert main([], root) == 0
    assert "x = 1 / 0" in module_of(root).read_text()


def test_a_notebook_that_somebody_edited_is_not_overwritten(tmp_path, capsys):
    root = clone(tmp_path, script(TWICE))
    main([], root)
    edited = notebook_of(root).read_text().replace("x + x", "2 * x")
    notebook_of(root).write_text(edited)
    assert main([], root) == 2
    assert "was edited since it was generated" in capsys.readouterr().err
    assert notebook_of(root).read_text() == edited
    assert main(["--notebook", str(notebook_of(root))], root) == 0
    assert "2 * x" in module_of(root).read_text()


def test_a_notebook_that_was_only_run_is_generated_anew(tmp_path):
    root = clone(tmp_path, script(TWICE))
    main([], root)
    fresh = notebook_of(root).read_text()
    notebook_of(root).write_text(fresh.replace('"execution_count": null', '"execution_count": 7'))
    assert main([], root) == 0
    assert notebook_of(root).read_text() == fresh


def student_notebook(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in ["#| default_exp core.benchmarking", *sources]]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_students_stub_is_exported_as_it_is_and_the_reference_comes_back(tmp_path):
    root = clone(tmp_path, script(TWICE))
    main([], root)
    reference = module_of(root).read_text()
    stub = "#| export\ndef twice(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    mine = student_notebook(tmp_path / "mine.ipynb", stub)
    assert main(["--notebook", str(mine)], root) == 0
    assert main(["--notebook", str(mine), "--check"], root) == 0
    text = module_of(root).read_text()
    assert text.startswith("# GENERATED from a student's own notebook, mine.ipynb; edit the notebook.\n")
    assert stub.removeprefix("#| export\n") in text
    assert main(["--reference"], root) == 0
    assert module_of(root).read_text() == reference


def test_a_student_without_the_reference_takes_the_own_module_out_again(tmp_path, capsys):
    root = clone(tmp_path, script(TWICE))
    (root / export.SOURCE).unlink()
    mine = student_notebook(tmp_path / "mine.ipynb", "#| export\ndef twice(x): return 2 * x")
    assert main(["--remove"], root) == main(["--notebook", str(mine)], root) == main(["--remove"], root) == 0
    assert main(["--remove", "--check"], root) == 0
    words = "your benchmark is not exported yet: run python -m tinytorch.export --notebook tinymlperf.ipynb"
    with pytest.raises(ImportError, match=words):
        exec(module_of(root).read_text(), {})


def test_the_module_without_a_notebook_passes_ruff():
    text = export.placeholder_text()
    assert ruff("format", "--diff", text=text).stdout == ""
    assert ruff("check", text=text).stdout == "All checks passed!\n"


def test_the_module_is_called_what_the_source_calls_it():
    assert export.default_exp(export.read_cells(ROOT / export.SOURCE)) == export.MODULE


def test_a_student_is_told_the_cell_and_the_line_in_it(tmp_path, capsys):
    root = clone(tmp_path, script(TWICE))
    mine = student_notebook(tmp_path / "mine.ipynb", "#| export\nx = 1\n!ls")
    assert main(["--notebook", str(mine)], root) == 2
    assert "mine.ipynb: cell number 2, line 3: `!ls` is a magic" in capsys.readouterr().err


def test_script_and_notebook_export_to_the_same_module():
    text = script(TWICE, PROFILER, method("def run(self): ..."))
    from_notebook = export.parse_ipynb(notebook_text(text))
    assert module_text(from_notebook) == module_text(export.parse_percent(text))


def test_the_module_can_be_written_into_another_clone(tmp_path):
    root, other = clone(tmp_path / "a", script(TWICE)), clone(tmp_path / "b", script(PROFILER))
    assert main(["--to", str(other)], root) == 0
    assert "def twice" in module_of(other).read_text()
    assert not module_of(root).exists()


def test_nothing_is_written_outside_of_a_clone_or_over_a_hand_written_module(tmp_path, capsys):
    root = clone(tmp_path, script(TWICE))
    assert main(["--to", str(tmp_path / "tinytorch")], root) == 2
    assert "has no folder tinytorch/core" in capsys.readouterr().err
    module_of(root).write_text("# mine\n")
    assert main([], root) == 2
    assert "is not a generated file" in capsys.readouterr().err
    assert module_of(root).read_text() == "# mine\n"
    assert not notebook_of(root).exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}", "not a notebook of nbformat 4"),
        (b"<<<<<<< HEAD", "not a notebook of nbformat 4"),
        (b"\xff\xfe\x00", "cannot read"),
        (None, "cannot read"),
    ],
)
def test_a_file_that_is_no_notebook_is_refused(tmp_path, capsys, content, words):
    root = clone(tmp_path, script(TWICE))
    mine = tmp_path / "mine.ipynb"
    if content is not None:
        mine.write_bytes(content)
    assert main(["--notebook", str(mine)], root) == 2
    assert words in capsys.readouterr().err


def test_a_release_without_the_source_says_so(tmp_path, capsys):
    (tmp_path / "tinytorch" / "core").mkdir(parents=True)
    assert main(["--reference"], tmp_path) == 2
    assert "a student's release has none" in capsys.readouterr().err


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, capsys):
    root = clone(tmp_path, script(TWICE))
    main([], root)
    before = module_of(root).read_text()
    (root / export.SOURCE).write_text(script(PROFILER), encoding="utf-8")

    def full(self, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert main([], root) == 2
    assert "no space left on device" in capsys.readouterr().err
    assert module_of(root).read_text() == before
    assert [path.name for path in module_of(root).parent.iterdir()] == ["benchmarking.py"]


# ------------------------------------------------------------------ the real ones


def test_the_committed_copies_are_fresh(capsys):
    stale = main(["--check"])
    assert not stale, "".join(capsys.readouterr())


def test_the_exported_module_passes_ruff_and_has_a_docstring():
    text = module_of(ROOT).read_text(encoding="utf-8")
    assert text.split("\n")[1].startswith(('"""', 'r"""'))
    assert ruff("format", "--diff", text=text).stdout == ""
    assert ruff("check", text=text).stdout == "All checks passed!\n"
