"""What the checks give: all points to the solution, none to the release, and each stage judged alone."""

from __future__ import annotations

import pytest

from tests.notebook.classroom import cells, emptied, is_check, is_solution, nbgrader_of, play, stage_of, up_to
from tests.notebook.mistakes import MISTAKES

BOOK = cells()
STAGES = [cell.grade_id for cell in BOOK if is_solution(cell)]
AUTOGRADED = 85
POINTS = {
    stage: sum(nbgrader_of(cell)["points"] for cell in BOOK if is_check(cell) and stage_of(cell.grade_id) == stage)
    for stage in STAGES
}


SLOW = {  # they take nine tenths of the time, and what they bind is used by no other stage's checks
    "check-innovation-detector", "hidden-innovation-detector", "check-measure-rounds", "hidden-measure-rounds",
    "hidden-measure-round", "hidden-submit-entry",
}  # fmt: skip


def failures(grades):
    return {grade.grade_id: grade.message for grade in grades if grade.message is not None}


def test_the_whole_solution_earns_every_point():
    grades = play(BOOK)
    assert not failures(grades)
    assert sum(grade.earned for grade in grades) == AUTOGRADED == sum(POINTS.values())


def test_the_untouched_release_earns_nothing_and_every_check_says_why():
    grades = play(BOOK, dict.fromkeys(STAGES, emptied))
    assert sum(grade.earned for grade in grades) == 0
    assert all(grade.message for grade in grades)


@pytest.mark.parametrize("stage", STAGES)
def test_an_empty_cell_loses_the_points_of_its_own_stage_and_no_others(stage, record_property):
    lost: dict[str, float] = {}
    for grade in play(BOOK, {stage: emptied}):
        if grade.message is not None:
            lost[stage_of(grade.grade_id)] = lost.get(stage_of(grade.grade_id), 0) + grade.points
    others = [f"{other} {points:g}" for other, points in lost.items() if other != stage]
    row = f"{stage:<24}{lost.get(stage, 0):>4g} of {POINTS[stage]:<4g}{', '.join(others) or 'nothing'}"
    record_property("an empty cell     loses its own points, and elsewhere", row)
    assert lost == {stage: POINTS[stage]}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.stage}: {mistake.name}")
def test_a_mistake_loses_points_where_it_was_made_and_is_told_in_words(mistake):
    others = {check for check in SLOW if stage_of(check) != mistake.stage}
    grades = play(up_to(BOOK, mistake.stage), {mistake.stage: mistake.make}, without=others)
    lost = failures(grades)
    assert {stage_of(check) for check in lost} == {mistake.stage}, "it costs points there and nowhere else"
    first = next(iter(lost.values()))
    assert mistake.words in first, f"the message does not tell it: {first}"
    assert first.startswith("AssertionError"), f"a check fails in its own words, not by accident: {first}"


def test_there_are_more_than_40_mistakes_over_all_stages():
    assert len(MISTAKES) >= 45
    assert {mistake.stage for mistake in MISTAKES} == set(STAGES)
