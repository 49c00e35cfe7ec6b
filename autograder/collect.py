"""bring submissions into the course: a folder of notebooks, nbgrader's exchange, a download of Canvas or Moodle.

    python -m autograder collect DOWNLOAD.zip --course DIR    says what it placed where, and what it could not

A later file of a student takes the place of an earlier one only with --replace. When it was handed in is kept
beside it (timestamp.txt), where that can be known. Two people whose names are alike are told apart by their
platform's numbers, which are kept (people.json). Does not: read or run a notebook.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from autograder.course import ASSIGNMENT, STAMP
from autograder.late import as_stamp

LARGEST_MEMBER, MOST_MEMBERS = 64 << 20, 5000
NAMINGS = (  # folder and file name -> student; Moodle's first: below such a folder all names are a student's own
    ("Moodle", re.compile(r"(?:[^/]*/)*?(?P<who>[^/]+?)_(?P<number>\d+)_assignsubmission_file_?/.*\.ipynb")),
    ("nbgrader's layout", re.compile(rf"(?:.*/)?submitted/(?P<who>[^/]+)/{ASSIGNMENT}/[^/]+\.ipynb")),
    ("nbgrader's exchange", re.compile(rf"(?:.*/)?(?P<who>[^/+]+)\+{ASSIGNMENT}\+[^/]*/[^/]+\.ipynb")),
    ("Canvas", re.compile(r"(?:.*/)?(?P<who>[^/_]+)(?:_LATE)?_(?P<number>\d+)_\d+_[^/]+\.ipynb")),
    ("a folder for each student", re.compile(rf"[^/]+/(?:.*/)?(?P<who>[^/]+)/{ASSIGNMENT}\.ipynb")),
    ("a file for each student", re.compile(rf"[^/]+/(?P<who>(?!{ASSIGNMENT}\b)[^/]+)\.ipynb")),
)
KEPT = "is there already and differs; left as it was (--replace takes the new one)"
ALONE = NAMINGS[-1][0]  # believed where no file is named in another way: any file's name would be a student

# As nbgrader writes it, in a file or a folder's name; it reads names of other zones as UTC.
TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? (?:UTC|([+-]\d{4}))")


class CollectError(ValueError):
    """There is nothing to collect in what was given."""


@dataclass(frozen=True)
class Found:
    """One notebook, and whose it is."""

    path: Path
    student: str
    naming: str
    number: str = ""  # the platform's, of the student

    @property
    def person(self) -> str:
        """Who it is, as people.json keeps it: "Canvas 12345"."""
        return f"{self.naming} {self.number}".strip()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to collect, and where to."""
    parser.add_argument("source", type=Path, help="a zip file or a folder")
    parser.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="of the course (default: here)")
    parser.add_argument("--replace", action="store_true", help="of those collected before")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    dates = "take a file's own date for the time it was handed in, where nothing else tells"
    parser.add_argument("--file-dates", action="store_true", help=dates)


def run(options: argparse.Namespace) -> int:
    """Print a line for each file. 0 all placed, 1 some could not be, 2 nothing to collect."""
    with opened(options.source) as folder:
        people = people_of(options.course)
        found, others, strangers = notebooks_in(folder, people)
        if not found:
            raise CollectError(f"{options.source} holds no notebook whose name says whose it is")
        kept = 0
        for each in found:
            handed_in = when(each, options.file_dates)
            done = placed(each, options.course, options.replace, options.dry_run, handed_in)
            kept += done == KEPT
            print(f"{each.student:<24} {done} ({each.naming}{f', handed in {handed_in}' if handed_in else ''})")
        numbered = {each.student: each.person for each in found if each.number}
        if numbered and not options.dry_run:
            keep_people(options.course, people | numbered)
        for student, path in others:
            print(f"{student:<24} {path}: left out, another file of the same student was taken")
        for path in strangers:
            why = "its name says nothing of a student" if path.suffix == ".ipynb" else "no notebook"
            print(f"{'?':<24} {path}: not placed, {why}")
    return 1 if strangers or kept else 0


class opened:  # noqa: N801  used as a function
    """The files of a folder, or of a zip file unpacked beside nothing else."""

    def __init__(self, source: Path) -> None:
        self.source, self.scratch = source, ""

    def __enter__(self) -> Path:
        if self.source.is_dir():
            return self.source
        if not zipfile.is_zipfile(self.source):
            raise CollectError(f"{self.source} is neither a folder nor a zip file")
        self.scratch = tempfile.mkdtemp(prefix="collect-")
        with zipfile.ZipFile(self.source) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or any(each.file_size > LARGEST_MEMBER for each in members):
                raise CollectError(f"{self.source} holds more than {MOST_MEMBERS} files, or one above 64 MB")
            for each in members:
                path = archive.extract(each, self.scratch)  # which leaves out leading slashes and `..`
                os.utime(path, (seconds_of(each), seconds_of(each)))
        return Path(self.scratch)

    def __exit__(self, *_: object) -> None:
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)


def seconds_of(member: zipfile.ZipInfo) -> float:
    """When a file was changed, by this machine's time zone as zip files have none; 0 where it does not say."""
    try:
        return datetime(*member.date_time).timestamp() if member.date_time[0] > 1980 else 0.0
    except ValueError:
        return 0.0


def people_of(course: Path) -> dict[str, str]:
    """Student -> the platform's name and its number for them, of all that were collected before."""
    kept = course / "people.json"
    return dict(json.loads(kept.read_text(encoding="utf-8"))) if kept.is_file() else {}


def keep_people(course: Path, people: Mapping[str, str]) -> None:
    """For the next download, and for the platform's table of grades; all of it or nothing."""
    part = course / "people.part"
    part.write_text(json.dumps(people, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, course / "people.json")


def notebooks_in(
    folder: Path, people: Mapping[str, str]
) -> tuple[list[Found], list[tuple[str, Path]], list[Path]]:
    """One notebook of each student; what else they handed in, with their names; files that are nobody's.

    Args:
        people: who has a name already, as in `people_of`; another one of that name gets a number behind it.
    """
    paths = [path for path in sorted(_files(folder)) if path.name != STAMP]
    known = {path: each for path in paths if (each := whose(folder, path))}
    if {each.naming for each in known.values()} - {ALONE}:
        known = {path: each for path, each in known.items() if each.naming != ALONE}
    numbers: dict[str, set[str]] = {}
    for each in known.values():
        numbers.setdefault(each.student, set()).add(each.person)
    best: dict[str, Found] = {}
    others = []
    for each in sorted(known.values(), key=_worth):
        each = replace(each, student=name_of(each, len(numbers[each.student]) == 1, people))
        if each.student in best:
            others.append((each.student, best[each.student].path.relative_to(folder)))
        best[each.student] = each
    strangers = [path.relative_to(folder) for path in paths if path not in known]
    return sorted(best.values(), key=lambda each: each.student), others, strangers


def name_of(found: Found, alone: bool, people: Mapping[str, str]) -> str:
    """The student's, with the platform's number behind it where another one has, or may claim, the name itself.

    Args:
        alone: nobody else of that name is in this download.
    """
    name, numbered = found.student, f"{found.student}-{found.number}".strip("-")
    taken = people.get(name, found.person) != found.person
    return numbered if taken or numbered in people or not (alone or name in people) else name


def _worth(found: Found) -> tuple[bool, float, Path]:
    """Which of a student's files is taken: one with the assignment's name, of these the newest."""
    return ASSIGNMENT in found.path.name, found.path.stat().st_mtime, found.path


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(part.startswith((".", "__MACOSX")) for part in parts)
        ):
            yield path


def whose(folder: Path, path: Path) -> Found | None:
    """The student that a file's name tells."""
    name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
    for naming, pattern in NAMINGS:
        match = pattern.fullmatch(name)
        if match:
            student = re.sub(r"[^\w.@-]+", "-", match["who"].strip()).strip("-.")
            return Found(path, student, naming, match.groupdict().get("number") or "") if student else None
    return None


def when(found: Found, file_dates: bool = False) -> str:
    """When a notebook was handed in, as nbgrader writes it; "" where nothing tells.

    A file beside the notebook is believed in nbgrader's layouts alone: elsewhere a student may have put it there.
    """
    if found.naming.startswith("nbgrader"):
        beside = found.path.with_name(STAMP)
        told = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else found.path.parent.name
        if time := TIME.search(told):
            return as_stamp(datetime.strptime(f"{time[1]} {time[2] or '+0000'}", "%Y-%m-%d %H:%M:%S %z"))
    changed = found.path.stat().st_mtime
    return as_stamp(datetime.fromtimestamp(changed, UTC)) if file_dates and changed > 0 else ""


def placed(found: Found, course: Path, anew: bool, dry: bool, handed_in: str = "") -> str:
    """What was done with a notebook, in words."""
    target = course / "submitted" / found.student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    stamp = target.with_name(STAMP)
    if target.is_file() and target.read_bytes() == found.path.read_bytes():
        if handed_in and not stamp.is_file() and not dry:
            stamp.write_text(handed_in, encoding="utf-8")
        return "was collected before"
    if target.is_file() and not anew:
        return KEPT
    if not dry:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found.path, target)
        stamp.unlink(missing_ok=True)
        if handed_in:
            stamp.write_text(handed_in, encoding="utf-8")
    return "would be placed" if dry else "placed"
