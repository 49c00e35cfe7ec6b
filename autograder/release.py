"""Make the folder that a student gets, and prove that no solution and no hidden test is in it.

    python -m autograder release --out DIR            make it; nothing is left where something leaks
    python -m autograder release --out DIR --check    look again at a folder that was made before

The folder holds the notebook, the package without the exported solution, the referee and what it takes to work. It
is made from this clone alone: pyproject.toml and environment.yml are its own, without what only developers need.
Does not: collect or grade.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

from autograder.course import ASSIGNMENT, add_source, make_release, nbgrader_course, read_source, reference_path
from autograder.leaks import Leak, Secrets, find_leaks, secrets_of
from tinytorch.export import ROOT, placeholder_text

TEMPLATES = Path(__file__).parent / "student"
SHARED = ("LICENSE", ".gitignore")
REFEREE = ("__init__.py", "__main__.py", "referee")  # no secret: a student may be judged at home


class ReleaseError(ValueError):
    """The folder cannot be made or looked at; the message says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and whether only to look."""
    parser.add_argument("--out", type=Path, default=Path("release"), metavar="DIR", help="default: ./release")
    parser.add_argument("--check", action="store_true", help="make nothing; exit 1 if DIR holds a secret")


def run(options: argparse.Namespace) -> int:
    """0: the folder holds no secret; 1: it holds one, and the places are printed."""
    leaks = check_release(options.out) if options.check else release(options.out)
    for leak in leaks:
        print(leak, file=sys.stderr)
    if leaks:
        print(f"{len(leaks)} places in {options.out} say what students are to find out", file=sys.stderr)
        return 1
    print(f"{options.out}: {len(files_in(options.out))} files, no solution and no hidden test in them")
    return 0


def release(out: Path, text: str | None = None) -> list[Leak]:
    """Make the student's folder at `out`; where something leaks, say where and leave nothing.

    Args:
        text: the percent notebook; by default this clone's.

    Raises:
        ReleaseError: `out` is there already and not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise ReleaseError(f"{out} is not empty; remove it, or give --out another folder")
    text = read_source() if text is None else text
    with tempfile.TemporaryDirectory(prefix="release") as scratch:
        made = Path(scratch) / "made"
        assemble(made, text)
        leaks = find_leaks(made, our_secrets(text))
        if not leaks:
            shutil.copytree(made, out, dirs_exist_ok=True)
    return leaks


def check_release(out: Path) -> list[Leak]:
    """The leaks in a folder that was made before, by this clone's notebook of today."""
    if not (out / f"{ASSIGNMENT}.ipynb").is_file():
        raise ReleaseError(f"{out} holds no {ASSIGNMENT}.ipynb; make it first, without --check")
    return find_leaks(out, our_secrets(read_source()))


def our_secrets(text: str) -> Secrets:
    """The notebook's secrets; what the library and the referee say is none."""
    shipped = [*files_in(ROOT / "tinytorch"), *files_in(ROOT / "autograder/referee")]
    public = (path for path in shipped if path.suffix == ".py" and path != reference_path())
    return secrets_of(text, [path.read_text(encoding="utf-8") for path in public])


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, without what Python leaves behind."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


# -- the folder ----------------------------------------------------------------------------------------


def assemble(out: Path, text: str) -> None:
    """Everything a student gets, in the new folder `out`."""
    shutil.copytree(TEMPLATES, out)
    for name in SHARED:
        shutil.copy(ROOT / name, out)
    shutil.copytree(ROOT / "tinytorch", out / "tinytorch", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for part in REFEREE:
        source, target = ROOT / "autograder" / part, out / "autograder" / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    (out / reference_path().relative_to(ROOT)).write_text(placeholder_text(), encoding="utf-8")
    for name, adapt in (("pyproject.toml", student_project), ("environment.yml", student_environment)):
        (out / name).write_text(adapt((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(released_notebook(text, out.parent / "course"), out)


def released_notebook(text: str, root: Path) -> Path:
    """nbgrader's release of a percent notebook, made in a course of its own in the new folder `root`."""
    add_source(root, text)
    with nbgrader_course(root) as api:
        return make_release(api, root)


def student_project(text: str) -> str:
    """pyproject.toml up to its style section, without the extras `class` and `dev`."""
    opening, style, _ = text.partition("# ---------------------------------------------------------------- style")
    opening, dropped = re.subn(r"^(class|dev) = \[.*?^\]\n", "", opening, flags=re.MULTILINE | re.DOTALL)
    if not style or dropped != 2:
        raise ReleaseError("pyproject.toml: expected the extras class and dev, then a line `# ---...--- style`")
    opening = opening.replace('"autograder" = ["student/*"]\n', "")
    return opening.replace("; tests/test_house.py compares the two", "").rstrip() + "\n"


def student_environment(text: str) -> str:
    """environment.yml without the sections `# class` and `# dev`."""
    try:
        head = text[text.index("name:") : text.index("  # class\n")]
        fast = text[text.index("  # fast\n") : text.index("  # dev\n")]
    except ValueError:
        raise ReleaseError("environment.yml: expected the sections # lab, # class, # fast, # dev") from None
    return (
        f"# conda env create -f environment.yml && conda activate tinymlperf\n{head}{fast}  - pip:\n      - -e .\n"
    )
