"""write grades as a table for a learning platform: nbgrader's own columns, Canvas or Moodle.

    python -m autograder export grades.csv --course DIR --form canvas --board board.sqlite --teams teams.csv

Competition points come from official results alone, one event at a time: 1 for a ranked entry, 2 for bronze, 3
for silver, 4 for gold; the best entry of a team counts. teams.csv has the columns student and team; without it
a team's name is the student's. Does not: grade, or talk to a platform.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.collect import people_of
from autograder.course import ASSIGNMENT, nbgrader_course

MEDALS = {None: 1, "bronze": 2, "silver": 3, "gold": 4}
TITLE = "TinyMLPerf"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so


class ExportError(ValueError):
    """There are no grades, or the table of teams is none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which table, from where."""
    parser.add_argument("table", type=Path, help="CSV file to write")
    parser.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="of the course (default: here)")
    parser.add_argument("--form", choices=("nbgrader", "canvas", "moodle"), default="nbgrader", help="its columns")
    parser.add_argument("--board", metavar="URL", help="store of official results, for competition points")
    parser.add_argument("--teams", type=Path, metavar="CSV", help="columns student and team")
    parser.add_argument("--replace", action="store_true", help="overwrite the table")


def run(options: argparse.Namespace) -> int:
    """Write the table. 0 written, 2 nothing to write or something in the way."""
    if options.table.exists() and not options.replace:
        raise ExportError(f"{options.table} is there already; --replace overwrites it")
    teams = teams_of(options.teams) if options.teams else {}
    points = competition_points(official_results(options.board)) if options.board else {}
    rows = [
        row | {"competition": points.get(teams.get(row["student"], row["student"]).casefold(), 0)}
        for row in grades(options.course.resolve())
    ]
    with options.table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(table(rows, options.form, people_of(options.course)))
    print(f"{options.table}: {len(rows)} students")
    for words, names in noticed(rows, teams, points if options.board else None):
        if names:
            print(f"  {words}: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}")
    return 0


def noticed(
    rows: Sequence[Mapping[str, Any]], teams: Mapping[str, str], points: Mapping[str, int] | None
) -> Iterator[tuple[str, list[str]]]:
    """What an instructor should look at before the table goes out, and of whom.

    Args:
        points: of the teams on the board; None without one.
    """
    students = [row["student"] for row in rows]
    yield "written answers still wait for points", [row["student"] for row in rows if row["needs_manual_grade"]]
    yield "in the table of teams, without a grade", sorted(set(teams) - set(students))
    if points is not None:
        theirs = {teams.get(student, student) for student in students}
        yield (
            "teams (without --teams, students) that no official result names",
            sorted(team for team in theirs if team.casefold() not in points),
        )
        yield (
            "teams with results, but without a student",
            sorted(set(points) - {team.casefold() for team in theirs}),
        )


def grades(course: Path) -> list[dict[str, Any]]:
    """Student, points less what being late costs, and the most there are.

    Raises:
        ExportError: there are no grades.
    """
    with nbgrader_course(course, graded=True) as api, api.gradebook as gradebook:
        rows = [
            {"student": each.student.id, "score": float(each.score - (each.late_submission_penalty or 0)),
             "most": float(each.max_score), "needs_manual_grade": bool(each.needs_manual_grade)}
            for each in gradebook.assignment_submissions(ASSIGNMENT)
        ]  # fmt: skip
    if not rows:
        raise ExportError(
            f"the gradebook of {course} holds no grades: python -m autograder grade --course {course}"
        )
    return sorted(rows, key=lambda row: row["student"])


def official_results(url: str) -> list[Mapping[str, Any]]:
    """Of the store; what is under review is not among them."""
    from autograder.stored import stored

    return [each for each in stored(url).submissions() if each.get("mode") == "official"]


def competition_points(results: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Team (in small letters) -> points over all events, by the rule above."""
    best: dict[tuple[str, str], int] = {}
    for each in results:
        if each.get("ranked"):
            key = each["team_name"].casefold(), each["event_name"]
            best[key] = max(best.get(key, 0), MEDALS.get(each.get("medal"), 1))
    teams = {team for team, _ in best}
    return {team: sum(points for (other, _), points in best.items() if other == team) for team in teams}


def teams_of(path: Path) -> dict[str, str]:
    """Student -> team. Raises ExportError where the columns are missing."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"student", "team"} <= set(rows[0]):
        raise ExportError(f"{path} needs the columns student and team, and a row for each student")
    if any(not row["student"] or not row["team"] for row in rows):
        raise ExportError(f"{path} has a row without a student or without a team")
    teams: dict[str, str] = {}
    for row in rows:
        if teams.setdefault(row["student"], row["team"]) != row["team"]:
            raise ExportError(
                f"{path} has {row['student']} in two teams, {teams[row['student']]} and {row['team']}"
            )
    return teams


def table(rows: Sequence[Mapping[str, Any]], form: str, people: Mapping[str, str]) -> list[list[Any]]:
    """The table's lines, the heading first.

    Args:
        people: student -> platform and number, where `collect` saw one: that platform finds the student by it.
    """
    numbers = {who: number for who, (platform, _, number) in _told(people) if platform.casefold() == form}
    if form == "canvas":
        heading = ["Student", "ID", "SIS Login ID", "Section", TITLE, f"{TITLE} competition"]
        body = [
            [_text(row["student"]), numbers.get(row["student"], ""), "", "", row["score"], row["competition"]]
            for row in rows
        ]
        return [heading, *body]
    if form == "moodle":
        heading = ["Identifier", "Username", TITLE, f"{TITLE} competition"]
        return [
            heading,
            *(
                [_participant(numbers, row["student"]), _text(row["student"]), row["score"], row["competition"]]
                for row in rows
            ),
        ]
    heading = ["assignment", "student_id", "score", "max_score", "needs_manual_grade", "competition_points"]
    return [
        heading,
        *(
            [
                ASSIGNMENT,
                _text(row["student"]),
                row["score"],
                row["most"],
                row["needs_manual_grade"],
                row["competition"],
            ]
            for row in rows
        ),
    ]


def _told(people: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    return ((student, person.partition(" ")) for student, person in people.items())


def _participant(numbers: Mapping[str, str], student: str) -> str:
    """As Moodle's grading worksheet names who handed in; "" where the download did not tell."""
    return f"Participant {numbers[student]}" if student in numbers else ""


def _text(value: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{value}" if value.startswith(FORMULA) else value
