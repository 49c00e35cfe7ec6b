"""What handing in late costs: a share of the points for each day begun after the due date.

The due date and extensions are nbgrader's own, in its gradebook; the rule lies in the course's folder (late.json);
the moment of handing in is in timestamp.txt beside a submission. A penalty is worked out anew each time. Does not:
grade, or know who had a good reason.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from autograder.course import ASSIGNMENT, STAMP, moment

DAY_S = 86_400


@dataclass(frozen=True)
class LateRule:
    """Percent of the points that a late submission loses for each day begun, and the most it can lose."""

    percent_a_day: float = 10.0
    most_percent: float = 50.0

    def lost(self, score: float, seconds_late: float) -> float:
        """Points that are lost."""
        return score * min(self.most_percent, days_late(seconds_late) * self.percent_a_day) / 100


def days_late(seconds: float) -> int:
    """Days begun."""
    return math.ceil(seconds / DAY_S)


def rule_of(course: Path, percent_a_day: float | None = None, most_percent: float | None = None) -> LateRule:
    """The course's rule; what is given here takes the place of what was kept, and is kept."""
    kept = course / "late.json"
    rule = LateRule(**json.loads(kept.read_text(encoding="utf-8"))) if kept.is_file() else LateRule()
    given = {"percent_a_day": percent_a_day, "most_percent": most_percent}
    changed = replace(rule, **{name: value for name, value in given.items() if value is not None})
    if changed != rule:
        kept.write_text(json.dumps(asdict(changed)) + "\n", encoding="utf-8")
    return changed


def due_moment(text: str) -> datetime:
    """When handing in ends: a date alone means all of that day (UTC). Raises CourseError."""
    found = moment(text)
    return found + timedelta(days=1, seconds=-1) if len(text.strip()) == len("2026-12-01") else found


def settle(gradebook: Any, course: Path, student: str, rule: LateRule) -> tuple[float, list[str]]:
    """Points after what being late costs, written into the gradebook; and that in words."""
    stamp = course / "submitted" / student / ASSIGNMENT / STAMP
    submission = gradebook.find_submission(ASSIGNMENT, student)
    notebook = gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, student)
    submission.timestamp = handed_in(stamp) if stamp.is_file() else None
    seconds = submission.total_seconds_late
    lost = min(notebook.score, rule.lost(notebook.score, seconds))
    notebook.late_submission_penalty = lost or None
    gradebook.db.commit()
    words = [f"{lost:g} points lost, day {days_late(seconds)} after the due date"] if seconds else []
    if not stamp.is_file() and submission.duedate is not None:
        words.append("when it was handed in is not known: counts as in time")
    if stamp.is_file() and submission.timestamp is None:
        words.append(f"{STAMP} holds no time")
    return float(notebook.score - lost), words


def handed_in(stamp: Path) -> datetime | None:
    """What a timestamp.txt says, in UTC and without a zone, as nbgrader keeps it; None where it says no time."""
    from nbgrader.utils import parse_utc

    try:
        found: datetime = parse_utc(stamp.read_text(encoding="utf-8", errors="replace").strip())
    except (ValueError, OverflowError):
        return None
    return found


def as_stamp(when: datetime) -> str:
    """For a timestamp.txt."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
