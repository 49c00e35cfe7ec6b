"""write a page of feedback for each student: points, what the checks said, comments; no hidden tests.

    python -m autograder feedback --course DIR        pages in DIR/feedback/STUDENT/tinymlperf/tinymlperf.html

Does not: grade, or send anything.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograder.course import ASSIGNMENT, nbgrader_course
from autograder.terminal import say, with_bar


class FeedbackError(ValueError):
    """Nothing is graded yet."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the course is, and for whom."""
    parser.add_argument("students", nargs="*", help="by default all that are graded")
    parser.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="of the course (default: here)")


def run(options: argparse.Namespace) -> int:
    """Print each page's path. 0 all written, 1 not all."""
    failed = 0
    course = options.course.resolve()
    known = graded(course)
    chosen = options.students or known
    if set(chosen) - set(known):
        raise FeedbackError(f"{course} has no grade of {', '.join(sorted(set(chosen) - set(known)))}: grade first")
    for student, problem in with_bar(feedback(course, chosen), len(chosen), " students"):
        failed += bool(problem)
        page = options.course / "feedback" / student / ASSIGNMENT / f"{ASSIGNMENT}.html"
        say(f"{student:<24} {problem or page}")
    return 1 if failed else 0


def graded(course: Path) -> list[str]:
    """Students with a graded notebook. Raises FeedbackError where there is none."""
    found = [path.parent.name for path in sorted(course.glob(f"autograded/*/{ASSIGNMENT}"))]
    if not found:
        raise FeedbackError(f"{course}/autograded is empty: python -m autograder grade --course {course}")
    return found


def feedback(course: Path, students: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Student, and why there is no page ("" where there is one)."""
    with nbgrader_course(course, graded=True) as api:
        for student in students:
            result = api.generate_feedback(ASSIGNMENT, student, force=True)
            yield student, "" if result["success"] else f"nbgrader says {str(result.get('error'))[-300:]}"
