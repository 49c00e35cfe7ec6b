"""What goes in and out of a course: submissions by their names, boards by their mode, names that are hidden."""

from __future__ import annotations

import csv
import html
import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from autograder.__main__ import main
from autograder.collect import people_of
from autograder.course import ASSIGNMENT
from autograder.export import noticed
from autograder.export import table as grade_table
from tests.perf.sample_class import submission
from tests.perf.test_board import HOSTILE
from tests.perf.test_widgets import Careless
from tinytorch.export import ROOT
from tinytorch.perf.board import clean
from tinytorch.perf.checks import toy_submission
from tinytorch.perf.store import Store

# ---------------------------------------------------------------- collect


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("submitted/ada/tinymlperf/tinymlperf.ipynb", "ada"),
        ("inbound/ada+tinymlperf+2026-12-01 10:00:00 UTC+x/tinymlperf.ipynb", "ada"),
        ("lovelaceada_4711_99887_tinymlperf.ipynb", "lovelaceada"),
        ("lovelaceada_LATE_4711_99887_tinymlperf-2.ipynb", "lovelaceada"),
        ("Ada Lovelace_12345_assignsubmission_file/tinymlperf.ipynb", "Ada-Lovelace"),
        ("ada/tinymlperf.ipynb", "ada"),
        ("ada@example.org.ipynb", "ada@example.org"),
    ],
)
def test_a_name_tells_whose_a_notebook_is(name, student, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        archive.writestr(name, "{}")
    assert main(["collect", str(tmp_path / "download.zip"), "--course", str(tmp_path / "course")]) == 0
    placed = list((tmp_path / "course/submitted").glob(f"*/{ASSIGNMENT}/{ASSIGNMENT}.ipynb"))
    assert [path.parent.parent.name for path in placed] == [student]


def download(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.ipynb").write_text(text)
    return str(folder)


def test_what_is_there_is_not_overwritten_unless_asked(tmp_path, capsys):
    course, source = str(tmp_path / "course"), download(tmp_path / "in", ada="1")
    assert main(["collect", source, "--course", course]) == 0
    assert main(["collect", source, "--course", course]) == 0
    assert "was collected before" in capsys.readouterr().out
    download(tmp_path / "in", ada="2")
    kept = tmp_path / "course/submitted/ada" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    main(["collect", source, "--course", course])
    assert kept.read_text() == "1" and "left as it was" in capsys.readouterr().out
    main(["collect", source, "--course", course, "--replace", "--dry-run"])
    assert kept.read_text() == "1"
    main(["collect", source, "--course", course, "--replace"])
    assert kept.read_text() == "2"


def test_what_cannot_be_placed_is_reported(tmp_path, capsys):
    source = download(tmp_path / "in", ada="1")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    assert main(["collect", source, "--course", str(tmp_path / "course")]) == 1
    assert "notes.txt: not placed" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main(["collect", str(tmp_path / "empty"), "--course", str(tmp_path)]) == 2
    assert main(["collect", str(tmp_path / "in/notes.txt"), "--course", str(tmp_path)]) == 2


def test_when_it_was_handed_in_is_kept_if_that_can_be_known(tmp_path, capsys):
    exchange = tmp_path / "inbound" / "ada+tinymlperf+2026-12-01 10:00:00.5 UTC+x"
    moodle = tmp_path / "inbound" / "Ben_12345_assignsubmission_file"
    for folder in (exchange, moodle):
        folder.mkdir(parents=True)
        (folder / "tinymlperf.ipynb").write_text("{}")
        os.utime(folder / "tinymlperf.ipynb", (86_400, 86_400))
    (moodle / "timestamp.txt").write_text("1999-01-01 00:00:00 UTC")
    collect = ["collect", str(tmp_path / "inbound"), "--course", str(tmp_path / "course")]
    assert main(collect) == 0
    stamps = {who: tmp_path / "course/submitted" / who / ASSIGNMENT / "timestamp.txt" for who in ("ada", "Ben")}
    assert stamps["ada"].read_text() == "2026-12-01 10:00:00 UTC"
    assert not stamps["Ben"].exists(), "a student's own file is not believed"
    for who in ("ada", "Ben"):
        stamps[who].with_name("tinymlperf.ipynb").write_text("older")
    assert main([*collect, "--replace", "--file-dates"]) == 0
    assert stamps["Ben"].read_text() == "1970-01-02 00:00:00 UTC"


def test_of_two_files_in_a_zip_the_newer_one_is_collected(tmp_path):
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        for name, year in (("ada_1_11_b.ipynb", 2026), ("ada_1_12_a.ipynb", 2025)):
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), str(year))
    assert main(["collect", str(tmp_path / "download.zip"), "--course", str(tmp_path / "course")]) == 0
    assert (tmp_path / "course/submitted/ada" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb").read_text() == "2026"


def test_a_name_cannot_lead_out_of_the_course(tmp_path):
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        archive.writestr("../../evil_1_assignsubmission_file/tinymlperf.ipynb", "{}")
        archive.writestr("..ipynb", "{}")
    main(["collect", str(tmp_path / "download.zip"), "--course", str(tmp_path / "course")])
    assert [path.name for path in (tmp_path / "course/submitted").iterdir()] == ["evil"]


# ---------------------------------------------------------------- board


@pytest.fixture
def store(tmp_path):
    """Two teams with official results, one of them better in practice."""
    path = str(tmp_path / "board.sqlite")
    seconds = iter(range(60))
    found = Store(path, clock=lambda: datetime(2026, 12, 1, 12, 0, next(seconds), tzinfo=UTC))
    for team, speed, mode, division in (
        ("Owls", 2.0, "official", "closed"),
        ("=Cats", 4.0, "official", "open"),
        ("Owls", 90.0, "practice", "closed"),
    ):
        own = {"event_name": "mlp_sprint", "mode": mode, "division": division}
        found.append(dict(toy_submission(team, speed)) | own)
    return path


def table(folder):
    with (folder / "board.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["board"] == "speed"]


def test_official_results_are_shown_without_practice(store, tmp_path):
    assert main(["board", store, "--out", str(tmp_path / "site")]) == 0
    assert [(row["team"], row["score"]) for row in table(tmp_path / "site")] == [
        ("'=Cats", "4.0"),
        ("Owls", "2.0"),
    ]
    rows = json.loads((tmp_path / "site/board.json").read_text())
    assert {row["board"] for row in rows} == {"event", "speed", "innovation", "composite"}
    assert [row["team"] for row in rows if row["board"] == "event"] == ["=Cats", "Owls"]
    assert rows[0]["team"] == "=Cats"
    page = (tmp_path / "site/index.html").read_text()
    assert "Official results" in page and "90" not in [row["score"] for row in table(tmp_path / "site")]


class Tags(HTMLParser):
    """What elements and attributes a browser would see."""

    def __init__(self):
        super().__init__()
        self.kinds, self.attributes = set(), set()

    def handle_starttag(self, tag, attributes):
        self.kinds.add(tag)
        self.attributes |= dict(attributes).keys()


@pytest.mark.parametrize(
    "name", [*HOSTILE, r"$\frac{1$", "=1+2", "@SUM(A1)", "x" * 10_000], ids=lambda name: ascii(name)[:24]
)
def test_no_name_becomes_code_in_what_is_published(name, tmp_path, monkeypatch):
    entry = dict(submission(team=name, text=name, github_url=name)) | {"id": 1, "mode": "official"}
    monkeypatch.setattr("autograder.board.stored", lambda _: Careless([entry]))
    assert main(["board", "any", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert not tags.kinds & {"script", "img", "iframe", "object", "input"}
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert clean(name) in html.unescape(page)
    (row,) = table(tmp_path)
    assert row["team"] in (clean(name), f"'{clean(name)}") and not row["team"].startswith(("=", "+", "-", "@"))
    assert json.loads((tmp_path / "board.json").read_text())[0]["team"] == name


def test_practice_stands_on_a_page_of_its_own(store, tmp_path):
    assert main(["board", store, "--out", str(tmp_path / "site"), "--practice"]) == 0
    assert [row["team"] for row in table(tmp_path / "site")] == ["Owls"]


def test_one_division_alone(store, tmp_path):
    assert main(["board", store, "--out", str(tmp_path / "site"), "--division", "closed"]) == 0
    assert [row["team"] for row in table(tmp_path / "site")] == ["Owls"]


def test_a_frozen_board_shows_nothing_later(store, tmp_path, capsys):
    assert main(["board", store, "--out", str(tmp_path / "site"), "--until", "2020-01-01"]) == 2
    assert "no official results" in capsys.readouterr().err
    assert main(["board", store, "--out", str(tmp_path / "site"), "--until", "tomorrow"]) == 2
    assert "is no ISO time" in capsys.readouterr().err
    assert main(["board", store, "--out", str(tmp_path / "site"), "--until", "2999-01-01"]) == 0
    assert "frozen at 2999-01-01" in (tmp_path / "site/index.html").read_text()


def test_pseudonyms_hide_the_names_and_stay_the_same(store, tmp_path):
    for folder in ("a", "b"):
        assert main(["board", store, "--out", str(tmp_path / folder), "--pseudonyms", "s3cret"]) == 0
    first, second = (table(tmp_path / folder) for folder in ("a", "b"))
    assert first == second and all(row["team"].startswith("Team ") for row in first)
    assert "Owls" not in (tmp_path / "a/index.html").read_text()


def test_what_is_under_review_is_on_no_board(store, tmp_path):
    assert main(["review", store, "2", "hold", "a look at it"]) == 0
    assert main(["board", store, "--out", str(tmp_path / "site")]) == 0
    assert [row["team"] for row in table(tmp_path / "site")] == ["Owls"]


def test_two_people_of_one_name_and_two_files_of_one_person_are_told_apart(tmp_path, capsys):
    download, course = tmp_path / "download", tmp_path / "course"
    download.mkdir()
    names = ("leejin_12_3_tinymlperf", "leejin_99_4_tinymlperf", "ada_5_6_tinymlperf", "ada_5_7_scratch", "final")
    for name in names:
        (download / f"{name}.ipynb").write_text(name)
    assert main(["collect", str(download), "--course", str(course)]) == 1
    placed = {path.parent.parent.name: path.read_text() for path in course.glob("submitted/*/*/*.ipynb")}
    assert placed == {"leejin-12": names[0], "leejin-99": names[1], "ada": names[2]}
    said = capsys.readouterr().out
    assert "ada_5_7_scratch.ipynb: left out" in said and "final.ipynb: not placed" in said
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "leejin_99_8_tinymlperf.ipynb").write_text("a second try")
    (alone / "ada_6_9_tinymlperf.ipynb").write_text("another Ada")
    assert main(["collect", str(alone), "--course", str(course), "--replace"]) == 0
    placed = {path.parent.parent.name: path.read_text() for path in course.glob("submitted/*/*/*.ipynb")}
    assert placed["leejin-99"] == "a second try" and placed["ada"] == names[2] and placed["ada-6"] == "another Ada"
    assert people_of(course) == {
        f"{name}": f"Canvas {number}"
        for name, number in (("ada", 5), ("ada-6", 6), ("leejin-12", 12), ("leejin-99", 99))
    }


def test_the_platform_finds_a_student_by_its_own_number():
    rows = [{"student": name, "score": 8.0, "competition": 2} for name in ("ada", "=ben")]
    people = {"ada": "Canvas 5", "=ben": "Moodle 7"}
    canvas = grade_table(rows, "canvas", people)
    assert [row[:2] for row in canvas] == [["Student", "ID"], ["ada", "5"], ["'=ben", ""]]
    assert [row[0] for row in grade_table(rows, "moodle", people)] == ["Identifier", "", "Participant 7"]


def test_what_to_look_at_before_grades_go_out():
    rows = [{"student": name, "needs_manual_grade": name == "ada"} for name in ("ada", "ben")]
    found = dict(noticed(rows, {"ada": "Owls", "zoe": "Owls"}, {"owls": 3, "cats": 1}))
    assert list(found.values()) == [["ada"], ["zoe"], ["ben"], ["cats"]]
    assert not any("result" in words for words, _ in noticed(rows, {}, None)), "without a board"


def test_a_gradebook_that_cannot_be_read_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TINYMLPERF_GRADEBOOK", raising=False)
    (tmp_path / "gradebook.db").write_text("no database, but long enough to be taken for one by its size" * 20)
    assert main(["doctor", "--course", str(tmp_path)]) == 1
    assert "cannot be read: " in capsys.readouterr().out


def test_a_python_without_the_packages_says_what_to_do():
    run = [sys.executable, "-S", "-m", "autograder", "doctor"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "is missing in" in done.stderr and "activate" in done.stderr
