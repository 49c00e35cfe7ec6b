"""Leaderboards to look at: a text table, an HTML table, and one page with the boards and charts of all events.

Pure functions of records. Every word that may come from a student is cleaned and escaped, the page forbids all
scripts, and light or dark is a matter of CSS variables. Does not: rank, score, draw charts or know widgets.
"""

from __future__ import annotations

import base64
import contextlib
import html
import math
import os
import sys
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tinytorch.perf.records import Leaderboard, Standing

Submission = Mapping[str, Any]
Changes = Mapping[str, int]  # team: places won (above 0) or lost since the reader last looked
Chart = tuple[str, str | bytes]  # what it shows in words, and an inline SVG or the bytes of a PNG

LONGEST_NAME = 40  # characters of a team's name on a board; the whole name is in its tooltip
LONGEST_LINE = 110  # characters of a description
LONGEST_NOTE = 240
OPEN_ROWS = 50  # of a board on the page; the others are folded away
OPEN_UNRANKED = 15  # of those that are not ranked, everywhere
PLAIN = "mathjax_ignore tex2jax_ignore"  # JupyterLab and nbconvert typeset what stands between two $ elsewhere
WINNING_RANKS = {1: "first", 2: "second", 3: "third"}
DIVISIONS = ("closed", "open")
MEDALS = ("gold", "silver", "bronze")
NOBODY = "No ranked entry yet."


class BoardError(ValueError):
    """A leaderboard cannot be shown as it is."""


@dataclass(frozen=True)
class Metric:
    """How the scores of one board are shown."""

    title: str
    about: str
    baseline: float  # what the unmodified baseline scores; only more is a win
    column: str = "Score"
    unit: str = ""
    logarithmic: bool = False

    def number(self, score: float) -> str:
        return _number(score) + self.unit


METRICS = {
    "speed": Metric(
        "Speed", "baseline time / time of the entry, log scale", 1.0, "Speedup", "×", logarithmic=True
    ),
    "innovation": Metric("Innovation", "evidence found in the model, 0 to 1", 0.0),
    "composite": Metric("Composite", "0.7 × speedup + 0.3 × innovation", 0.7),
    "event": Metric(
        "Event score", "the event's own victory condition, log scale", 1.0, "Event score", logarithmic=True
    ),
}

# ---------------------------------------------------------------- text


def board_text(board: Leaderboard, own_team: str | None = None) -> str:
    """The board as a table of fixed-width text, for a terminal or wherever no HTML is shown."""
    metric = _metric(board)
    width = max([0, *(_width(clean(row.team)) for row in board.standings)])
    lines = [f"{board.title}: {metric.title}, {metric.about}", ""]
    for row in board.standings:
        name = clean(row.team)
        name += " " * (width - _width(name))
        own = "  <- you" if _same_team(row.team, own_team) else ""
        number = metric.number(row.score)
        lines.append(f"{_rank(row):>4}  {name}  {number:>7}  {_interval(row) or '–':>13}{own}")
    if not board.standings:
        lines.append(f"   {NOBODY}")
    if board.unranked:
        lines += ["", "Not ranked:"]
        lines += [f"   {clean(team)}: {clean(reason, LONGEST_NOTE)}" for team, reason in board.unranked]
    notes = [clean(note, LONGEST_NOTE) for note in (*board.notes, *_legend(board))]
    return "\n".join([*lines, *([""] if notes else []), *notes, ""])


# ---------------------------------------------------------------- one board as HTML


def board_html(
    board: Leaderboard,
    style: bool = True,
    own_team: str | None = None,
    changes: Changes | None = None,
    skipped: int = 0,
    empty: str = NOBODY,
) -> str:
    """The board as an HTML fragment: a real table with a bar and its interval in each row.

    Where the style sheet is dropped (a notebook that is not trusted), inline styles keep columns and bars; where
    those are dropped too (a code host's preview), bars are made of letters.

    Args:
        board:    to show.
        style:    with the style sheet; hand in False where it is on the page already.
        own_team: whose row is marked "you".
        changes:  a column with the places that each team won or lost; a team that is not in it is new.
        skipped:  teams left out of `board` just above its last row; a line says how many.
        empty:    what a board without rows says.

    Raises:
        BoardError: the metric is unknown, or a score cannot stand on the axis.
    """
    table = _board(board, _legend(board), own_team, changes, skipped, empty)
    return (f"<style>{BOARD_CSS}</style>" if style else "") + table


def _board(
    board: Leaderboard,
    legend: Sequence[str],
    own_team: str | None = None,
    changes: Changes | None = None,
    skipped: int = 0,
    empty: str = NOBODY,
    most: int | None = None,
) -> str:
    metric, scale, columns = _metric(board), _scale(board), _columns(board, changes)
    caption = _tag("b", metric.title) + " " + _tag("span", _escape(board.title), cls="tp-event")
    caption += " " + _tag("span", metric.about, cls="tp-about")
    bodies = _bands(board, columns, scale, own_team, skipped) or [_empty(empty)]
    head, cut = _head(columns, scale), _cut(bodies, most)
    looks = {"cls": f"tp-table tp-{_kind(board)}", "width": "100%"}
    looks["style"] = f"--tp-lines:{scale.lines(metric.baseline)}"
    table = _tag("table", _tag("caption", caption, style=_LEFT) + head + "".join(bodies[:cut]), **looks)
    if rest := bodies[cut:]:
        more = _tag("summary", _more(sum(body.count("data-team=") for body in rest)))
        table += _tag("details", more + _tag("table", head + "".join(rest), **looks))
    table += _unranked(board)
    notes = " ".join(_tag("span", _escape(line, LONGEST_NOTE)) for line in (*board.notes, *legend))
    table += _tag("p", notes, cls="tp-notes") if notes else ""
    marks = {"data-testid": "board", "data-event": clean(board.event), "data-metric": board.metric}
    return _tag("div", table, cls=f"tp tp-board {PLAIN}", **marks)


def _head(columns: Sequence[Column], scale: Scale) -> str:
    first = scale.ticks().index(1.0 if scale.logarithmic else 0.0)
    ticks = [_tick(scale, tick, (place - first) % 2 == 1) for place, tick in enumerate(scale.ticks())]
    # The spaces are seen only where all styles are stripped, as is the word.
    axis = _tag("span", " ".join(ticks), cls="tp-axis", style=_AXIS, aria_hidden="true")
    chart = f"{_tag('span', 'Chart', cls='tp-hidden', style=_HIDDEN)} {axis}"
    cells = [_tag("th", "Rank", scope="col", cls="tp-rank", width="6%", style=_CENTER)]
    cells.append(_tag("th", "Team", scope="col", cls="tp-team", width="26%", style=_LEFT))
    cells.append(_tag("th", chart, scope="col", cls="tp-chart", width="20%"))
    cells += [
        _tag("th", column.title, scope="col", cls=column.cls, width="12%" if column is columns[0] else None)
        for column in columns
    ]
    return _tag("thead", _tag("tr", "".join(cells), style=_SMALL))


def _tick(scale: Scale, tick: float, fine: bool) -> str:
    """A label of the axis; a fine one is left out on a narrow screen."""
    place = f"left:{scale.position(tick):.2f}%;position:absolute" + (";display:none" if fine else "")
    return _tag("span", f"{tick:g}{scale.unit}", cls="tp-fine" if fine else None, style=place)


def _bands(
    board: Leaderboard, columns: Sequence[Column], scale: Scale, own_team: str | None, skipped: int
) -> list[str]:
    """One body for each group of teams that share a rank; the baseline goes above all that are worse."""
    metric, bodies = _metric(board), list[str]()
    last = board.standings[-1] if skipped else None
    by_rank = all(before.rank <= after.rank for before, after in pairwise(board.standings))
    baseline = _baseline(board, columns) if by_rank else ""  # has no place in another order, nor has a band
    for _, teams in groupby(board.standings, key=lambda row: (row.rank if by_rank else row.team, row is last)):
        band = list(teams)
        if band[0] is last:
            bodies.append(_gap(skipped))
        if baseline and band[0].score < metric.baseline:
            bodies.append(baseline)
            baseline = ""
        rows = [_row(row, board, columns, scale, _same_team(row.team, own_team)) for row in band]
        bodies.append(_tag("tbody", "".join(rows), cls="tp-band" if len(band) > 1 else None))
    return [*bodies, baseline] if bodies and baseline else bodies


def _empty(words: str) -> str:
    return _tag("tbody", _tag("tr", _tag("td", words, colspan=2)), cls="tp-empty")


def _cut(bodies: Sequence[str], most: int | None) -> int:
    """How many bodies are open to the reader: `most` rows at most, but the first band as a whole."""
    rows = accumulate(body.count("<tr") for body in bodies)
    return next((max(1, at) for at, count in enumerate(rows) if most and count > most), len(bodies))


def _gap(skipped: int) -> str:
    """The line that stands for teams which are not shown."""
    # Two columns, which every width shows: a cell across one that is hidden would make room for it.
    return _tag(
        "tbody", _tag("tr", _tag("td", "", cls="tp-rank") + _tag("td", _more(skipped), colspan=2)), cls="tp-gap"
    )


def _more(teams: int) -> str:
    return f"{teams} more team{'' if teams == 1 else 's'}"


def _row(row: Standing, board: Leaderboard, columns: Sequence[Column], scale: Scale, own: bool) -> str:
    metric = _metric(board)
    cells = [
        _tag("td", _rank_mark(row, metric), cls="tp-rank", style=_CENTER),
        _tag("th", _team(row, _kind(board), own), scope="row", cls="tp-team", style=_LEFT),
        _tag("td", _lane(row, metric, scale), cls="tp-chart", aria_hidden="true"),
        *(_tag("td", column.cell(row), cls=column.cls) for column in columns),
    ]
    marks = {"data-team": clean(row.team, LONGEST_NOTE), "data-rank": row.rank}
    return _tag("tr", "".join(cells), cls="tp-own" if own else None, style=_OWN if own else None, **marks)


def _rank_mark(row: Standing, metric: Metric) -> str:
    """A disc for a real win: among the first three, and the whole interval above the baseline."""
    won = row.rank in WINNING_RANKS and (row.low if _has_interval(row) else row.score) > metric.baseline
    return _tag("span", _rank(row), cls=f"tp-disc tp-{WINNING_RANKS[row.rank]}") if won else _rank(row)


def _team(row: Standing, metric: str, own: bool) -> str:
    parts = [_name(row.team)]
    if own:
        parts.append(_tag("span", "you", cls="tp-tag", style=_PILL))
    if (row.submission.get("quality") or {}).get("borderline"):
        advice = "within one standard error of the quality floor"
        parts.append(_tag("span", "borderline", cls="tp-tag", title=advice, style=_PILL))
    second = {"innovation": _techniques, "composite": _summands}.get(metric, _description)
    return " ".join(filter(None, [*parts, second(row.submission)]))


def _description(entry: Submission) -> str:
    words = entry.get("optimization_description") or ""
    text = _words(words, LONGEST_LINE) if clean(words) else ""
    return _line([text, _link(entry.get("github_url"))], cls="tp-line tp-words")


def _techniques(entry: Submission) -> str:
    """The families found, best first; then what is only claimed."""
    evidence = sorted(entry.get("evidence") or (), key=lambda found: -(_finite(found.get("score")) or 0))
    return _line([_chip(found) for found in evidence], cls="tp-line tp-wrap")


def _chip(found: Mapping[str, Any]) -> str:
    family, finding = _escape(found.get("family"), 24), clean(found.get("finding"), LONGEST_NOTE)
    score = _finite(found.get("score")) or 0.0
    if score > 0:
        return _tag("span", f"{family} {_tag('b', f'{score:.2f}')}", cls="tp-chip", title=finding, style=_PILL)
    if found.get("claimed"):
        return _tag("span", f"{family} claimed, not found", cls="tp-chip tp-claimed", title=finding, style=_PILL)
    return ""


def _summands(entry: Submission) -> str:
    """The two parts of a composite score, before their weights."""
    speedup, innovation = _finite(entry.get("speedup_vs_baseline")), _finite(entry.get("innovation_score"))
    return _line(
        [
            "" if speedup is None else f"speedup {METRICS['speed'].number(speedup)}",
            "" if innovation is None else f"innovation {METRICS['innovation'].number(innovation)}",
        ]
    )


def _line(parts: Sequence[str], cls: str = "tp-line") -> str:
    """A second, smaller line under the name."""
    text = " ".join(_tag("span", part) for part in parts if part)
    return _tag("div", text, cls=cls, style="font-weight:400") if text else ""


def _lane(row: Standing, metric: Metric, scale: Scale) -> str:
    """The bar from the baseline's 1x (or from zero) to the score, with the interval as a whisker."""
    start = scale.position(metric.baseline if metric.logarithmic else 0.0)
    score = scale.position(row.score)
    marks = _span_of(min(start, score), max(start, score), "tp-bar", _BAR)
    if _has_interval(row):
        marks += _span_of(scale.position(row.low), scale.position(row.high), "tp-whisker", _WHISKER)
    # Seen only where inline styles are stripped too: a code host's preview.
    marks += _tag("span", "█" * max(1, round(score / 10)), cls="tp-nocss", style="display:none")
    return _tag("div", marks, cls="tp-lane", style=_LANE)


def _span_of(left: float, right: float, cls: str, looks: str) -> str:
    return _tag("span", "", cls=cls, style=f"left:{left:.2f}%;width:{right - left:.2f}%;{looks}")


def _baseline(board: Leaderboard, columns: Sequence[Column]) -> str:
    """The baseline as it was measured beside the leader; only the speed board has it."""
    measured = [row.submission for row in board.standings if row.submission.get("baseline_time_s")]
    if board.metric != "speed" or not measured:
        return ""
    cells = [
        _tag("td", "", cls="tp-rank"),
        _tag("th", "Baseline", scope="row", cls="tp-team", style=_LEFT),
        _tag("td", _tag("div", "", cls="tp-lane"), cls="tp-chart", aria_hidden="true"),
        *(_tag("td", column.baseline(measured[0]), cls=column.cls) for column in columns),
    ]
    return _tag("tbody", _tag("tr", "".join(cells)), cls="tp-baseline")


def _unranked(board: Leaderboard) -> str:
    """A second table: its reasons are too long for the columns of the first."""
    if not board.unranked:
        return ""
    rows = [
        _tag("tr", _tag("th", _name(team), scope="row", cls="tp-team", style=_LEFT) + _reason(reason))
        for team, reason in board.unranked
    ]
    caption = _tag("caption", "Not ranked", style=_LEFT)
    table = _unranked_table(rows[:OPEN_UNRANKED], caption, **{"data-testid": "unranked"})
    if rest := rows[OPEN_UNRANKED:]:
        table += _tag("details", _tag("summary", f"{len(rest)} more that are not ranked") + _unranked_table(rest))
    return table


def _unranked_table(rows: Sequence[str], caption: str = "", **marks: str) -> str:
    return _tag("table", caption + _tag("tbody", "".join(rows)), cls="tp-table tp-unranked", **marks)


def _reason(reason: str) -> str:
    return _tag("td", _words(reason, LONGEST_NOTE), style=_LEFT)


def _legend(board: Leaderboard) -> list[str]:
    lines = []
    tied = any(row.tied for row in board.standings)
    if tied and board.metric == "innovation":
        lines.append("“=” and a bracket: the same score.")
    elif tied:
        lines.append("“=” and a bracket: the intervals reach the first of the band, their order is not settled.")
    if any(row.submission.get("mode") == "practice" for row in board.standings):
        lines.append("Practice: measured in the teams' own sessions, not by a referee.")
    if _division_column(board) and board.metric in _MEASURED:
        lines.append("Closed: the baseline's network, computed otherwise; open: any model above the floor.")
    return lines


# ---------------------------------------------------------------- columns and scale


@dataclass(frozen=True)
class Column:
    """One column to the right of the chart: its cells for teams and for the baseline."""

    title: str  # HTML, as the cells are
    cls: str
    cell: Callable[[Standing], str]
    baseline: Callable[[Submission], str]


def _columns(board: Leaderboard, changes: Changes | None) -> list[Column]:
    columns = [_score_column(board)]
    if changes is not None:
        columns.append(Column("Change", "tp-change", lambda row: _change(row.team, changes), lambda _: ""))
    if board.metric in _MEASURED:
        columns += _event_column(board) if board.metric == "speed" else _medal_column(board)
        columns += [
            _measured(*extra)
            for extra in _MEASURED[board.metric]
            if any(row.submission.get(extra[1]) for row in board.standings)
        ]
        columns += _quality_column(board) + _division_column(board)
    return columns


def _score_column(board: Leaderboard) -> Column:
    """What the board ranks by, its interval in a smaller line below."""
    metric = _metric(board)
    unsure = any(_has_interval(row) for row in board.standings)
    return Column(
        metric.column + (_below("95 % interval") if unsure else ""),
        "tp-score",
        lambda row: metric.number(row.score) + (_below(_interval(row)) if _has_interval(row) else ""),
        lambda _: metric.number(metric.baseline),
    )


def _change(team: str, changes: Changes) -> str:
    """Places won or lost, never by colour or arrow alone."""
    if team not in changes:
        return "new"
    places = changes[team]
    if places == 0:
        return _tag("span", "–", aria_hidden="true") + _tag("span", "unchanged", cls="tp-hidden", style=_HIDDEN)
    way, arrow = ("up", "▲") if places > 0 else ("down", "▼")
    words = _tag("span", f"{way} by", cls="tp-hidden", style=_HIDDEN)
    return _tag("span", f"{_tag('span', arrow, aria_hidden='true')} {words} {abs(places)}", cls=f"tp-{way}")


def _event_column(board: Leaderboard) -> list[Column]:
    """The event's own score with its medal; it decides who wins, and need not follow the speed."""
    if not any(_event_score(row.submission) for row in board.standings):
        return []
    baseline = METRICS["event"].number(METRICS["event"].baseline)
    return [
        Column(
            METRICS["event"].column + _below("medal"),
            "tp-outcome",
            lambda row: _event_score(row.submission) + _medal(row.submission),
            lambda _: baseline,
        )
    ]


def _medal_column(board: Leaderboard) -> list[Column]:
    if not any(_medal(row.submission) for row in board.standings):
        return []
    return [Column("Medal", "tp-outcome", lambda row: _medal(row.submission), lambda _: "")]


def _division_column(board: Leaderboard) -> list[Column]:
    """Is it the baseline's network, computed otherwise, or another one? Only where that was measured."""
    if not any(row.submission.get("division") in DIVISIONS for row in board.standings):
        return []
    return [Column("Division", "tp-division", lambda row: _division(row.submission), lambda _: "closed")]


def _division(entry: Submission) -> str:
    name = entry.get("division")
    return str(name) if name in DIVISIONS else ""


def _event_score(entry: Submission) -> str:
    score = _finite(entry.get("event_score"))
    return "" if score is None else METRICS["event"].number(score)


def _medal(entry: Submission) -> str:
    """The medal by its name, or nothing."""
    name = entry.get("medal")
    return " " + _tag("span", name, cls=f"tp-medal tp-{name}") if name in MEDALS else ""


def _below(text: str) -> str:
    return " " + _tag("div", text, cls="tp-below")


def _measured(title: str, key: str, baseline_key: str, form: Callable[[float], str]) -> Column:
    def shown(entry: Submission, name: str) -> str:
        value = _finite(entry.get(name))
        return "–" if value is None else form(value)

    return Column(
        title, "tp-extra", lambda row: shown(row.submission, key), lambda entry: shown(entry, baseline_key)
    )


def _quality_column(board: Leaderboard) -> list[Column]:
    """Accuracy to 1 %: with more digits a team climbs the test set instead of the model."""
    metrics = {(row.submission.get("quality") or {}).get("metric") for row in board.standings} - {None}
    if len(metrics) != 1:
        return []
    accuracy = metrics == {"accuracy"}

    def shown(entry: Submission, name: str) -> str:
        value = _finite((entry.get("quality") or {}).get(name))
        return "–" if value is None else f"{100 * value:.0f} %" if accuracy else f"{value:.2f}"

    title = "Accuracy" if accuracy else "Bits/char"
    return [
        Column(
            title, "tp-extra", lambda row: shown(row.submission, "value"), lambda entry: shown(entry, "baseline")
        )
    ]


def _seconds(value: float) -> str:
    factor, unit = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
    return f"{_digits(value * factor)} {unit}"


def _bytes(value: float) -> str:
    factor, unit = (1e9, "GB") if value >= 1e9 else (1e6, "MB") if value >= 1e6 else (1e3, "kB")
    return f"{_digits(value / factor)} {unit}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


_RESOURCES = (
    ("Memory", "peak_memory_bytes", "baseline_peak_memory_bytes", _bytes),
    ("Weights", "model_bytes", "baseline_model_bytes", _bytes),
)
_MEAN = "of one call: median over the rounds, geometric mean over the cases that the speedup is made of"
_TIME = f'<span title="{_MEAN}">Time</span> <div class="tp-below">mean</div>'
_MEASURED = {  # on which boards, in columns of their own
    "speed": ((_TIME, "optimized_time_s", "baseline_time_s", _seconds), *_RESOURCES),
    "event": (("Speedup", "speedup_vs_baseline", "", METRICS["speed"].number), *_RESOURCES),
}


# From fine to coarse; on a log axis the 1 of the baseline is always one of them.
_LOG_STEPS = [
    [step * 10.0**power for power in range(-6, 7) for step in steps]
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
]
_LINEAR_STEPS = [
    [round(step * 10.0**power * count, 10) for count in range(11)]
    for power in range(-2, 7)
    for step in (1, 2, 2.5, 5)
]


@dataclass(frozen=True)
class Scale:
    """The axis that all rows of a board share, from 0 to 100 % of the chart's width."""

    low: float
    high: float
    logarithmic: bool
    unit: str

    def position(self, value: float) -> float:
        """Place of a value in percent; what lies outside is held at the edge."""
        bounded = min(max(value, self.low), self.high)
        if self.logarithmic:
            return 100 * math.log(bounded / self.low) / math.log(self.high / self.low)
        return 100 * (bounded - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers, as many as leave room for their labels."""
        closest = 15 if self.logarithmic else 21  # percent of the axis
        for ticks in _LOG_STEPS if self.logarithmic else _LINEAR_STEPS:
            within = [tick for tick in ticks if self.low <= tick <= self.high]
            places = [self.position(tick) for tick in within]
            if all(right - left >= closest for left, right in pairwise(places)):
                break
        return within

    def lines(self, baseline: float) -> str:
        """CSS images of hairlines at the ticks, and a stronger one where the baseline stands."""
        strong = _hairline(self.position(baseline), "var(--tp-neutral)")
        return ",".join([strong, *(_hairline(self.position(tick), "var(--tp-grid)") for tick in self.ticks())])


def _scale(board: Leaderboard) -> Scale:
    metric = _metric(board)
    values = [number for row in board.standings for number in (row.score, *_ends(row))]
    if metric.logarithmic:
        high = max([1.5, *values]) * 1.02
        return Scale(min([1.0, *(value / 1.02 for value in values if 0 < value < 1)]), high, True, metric.unit)
    return Scale(0.0, max([1.0, *(1.02 * value for value in values)]), False, metric.unit)


def _hairline(position: float, colour: str) -> str:
    edges = f"transparent calc({position:.2f}% - .5px),{colour} 0 calc({position:.2f}% + .5px),transparent 0"
    return f"linear-gradient(90deg,{edges})"


# ---------------------------------------------------------------- the page


def page_html(
    boards_by_event: Mapping[str, Sequence[Leaderboard]],
    figures: Mapping[str, Sequence[Chart]],
    title: str = "TinyMLPerf",
    subtitle: str = "",
    events: Mapping[str, str] | None = None,
    winners: Mapping[str, Leaderboard] | None = None,
) -> str:
    """One stand-alone page: a summary, each event with its boards and charts, the machine, how to read it.

    Args:
        boards_by_event: boards of each event in the order of the page; the first of an event gets the full width.
        figures:         charts of each event: (what it shows in words, inline SVG or PNG bytes). The SVG is taken
                         as it is, so it must come from `perf.plots`.
        title:           heading.
        subtitle:        line under the heading.
        events:          victory condition of each event, one or two sentences.
        winners:         board of each event by its victory condition (metric "event"): who leads it has won. It is
                         not drawn as a table; its scores are a column of the speed board.

    Raises:
        BoardError: as `board_html`.
    """
    decided = winners or {}
    sections = [
        _event(number, boards, figures.get(event, ()), (events or {}).get(event, ""), decided.get(event))
        for number, (event, boards) in enumerate(boards_by_event.items(), 1)
    ]
    boards = [board for group in boards_by_event.values() for board in group]
    help_link = _tag("a", "How to read this page", href="#reading")
    words = f"{_escape(subtitle, LONGEST_NOTE)} {help_link}"
    head = _tag("h1", _escape(title)) + _tag("p", words, cls="tp-lead")
    content = _tag("header", head) + _summary(boards_by_event, decided) + "".join(sections) + _help(boards)
    return _document(_escape(title), _tag("main", content, cls="tp tp-page"))


def _document(title: str, content: str) -> str:
    # Escaping keeps students' words from becoming code; the policy is the belt to these braces.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{BOARD_CSS}{PAGE_CSS}</style>\n</head>\n<body>\n{content}\n</body>\n</html>\n"
    )


def _summary(boards_by_event: Mapping[str, Sequence[Leaderboard]], decided: Mapping[str, Leaderboard]) -> str:
    cards = [
        _card(number, boards, decided.get(event))
        for number, (event, boards) in enumerate(boards_by_event.items(), 1)
        if boards
    ]
    return _tag("nav", "".join(cards), cls="tp-cards", aria_label="Events")


def _card(number: int, boards: Sequence[Leaderboard], decided: Leaderboard | None) -> str:
    """The winner's score in large figures with its medal, then who won and who leads each board."""
    first = decided or boards[0]
    best = _metric(first).number(first.standings[0].score) if first.standings else "–"
    best += _medal(first.standings[0].submission) if decided and first.standings else ""
    what = _tag("span", _metric(first).column.lower(), cls="tp-about")
    title = _tag("span", f"{_tag('b', _escape(first.title))} {what}", cls="tp-card-title")
    title += " " + _tag("span", best, cls="tp-large")
    lines = [_card_line("Winner", decided)] if decided else []
    lines += [_card_line(_metric(board).title, board) for board in boards]
    content = _tag("span", title) + " " + _tag("span", " ".join(lines))
    return _tag("a", content, href=f"#event-{number}", cls="tp-card")


def _card_line(title: str, board: Leaderboard) -> str:
    """Who leads a board, alone or together."""
    names = [_name(row.team) for row in _leaders(board)]
    if len(names) > 2:
        names = [f"{len(names)} teams share the first rank"]
    who = _tag("b", " and ".join(names) if names else "no ranked entry yet")
    return _tag("span", f"{title} {who}", cls="tp-card-line")


def _leaders(board: Leaderboard) -> list[Standing]:
    return [row for row in board.standings if row.rank == 1]


def _verdict(decided: Leaderboard) -> str:
    """Who has won the event, in a sentence; ties by overlapping intervals win together."""
    metric, names = _metric(decided), []
    for row in _leaders(decided):
        interval = f" ({_interval(row)})" if _has_interval(row) else ""
        names.append(
            f"{_tag('b', _name(row.team))} scores {metric.number(row.score)}{interval}{_medal(row.submission)}"
        )
    if not names:
        return _tag("p", "No winner yet.", cls="tp-verdict")
    how = "Winner: " if len(names) == 1 else "Winners, not to be told apart by their intervals: "
    return _tag("p", how + " and ".join(names), cls="tp-verdict")


def _event(
    number: int,
    boards: Sequence[Leaderboard],
    charts: Sequence[Chart],
    victory: str,
    decided: Leaderboard | None,
) -> str:
    title = _escape(boards[0].title) if boards else ""
    head = _tag("h2", title, id=f"event-{number}")
    head += _verdict(decided) if decided else ""
    head += _tag("p", _escape(victory, LONGEST_NOTE), cls="tp-lead") if victory else ""
    shown = [_board(board, (), most=OPEN_ROWS) for board in _once(boards)]
    drawn = "".join(_chart(*chart) for chart in charts)
    rest = _tag("div", "".join(shown[1:]) + drawn, cls="tp-flow")
    return _tag("section", head + "".join(shown[:1]) + rest, aria_labelledby=f"event-{number}")


def _once(boards: Sequence[Leaderboard]) -> list[Leaderboard]:
    """The same boards, each note and each unranked team only where it comes first."""
    seen: set[object] = set()
    result = []
    for board in boards:
        unranked = tuple(entry for entry in board.unranked if entry not in seen)
        notes = tuple(note for note in board.notes if note not in seen)
        seen.update(unranked, notes)
        result.append(replace(board, unranked=unranked, notes=notes))
    return result


def _chart(words: str, picture: str | bytes) -> str:
    if isinstance(picture, bytes):
        source = "data:image/png;base64," + base64.b64encode(picture).decode()
        picture = _tag("img", None, src=source, alt=clean(words, LONGEST_NOTE))
    return _tag("figure", picture + _tag("figcaption", _escape(words, LONGEST_NOTE)), cls="tp-figure")


_READING = {
    "Score and interval": "The bar ends at the score, the thin line is its 95\N{NO-BREAK SPACE}% interval. On "
    "speed boards the axis is logarithmic: equal lengths are equal ratios, and bars begin at the baseline, 1×.",
    "=2 and a bracket": "The intervals reach the first of the band: the order inside is not settled, so they "
    "share the rank, and the next ones are left out.",
    "Event score and medal": "Each event has its own victory condition, written under its name; the highest score "
    "by it wins. Bronze, silver and gold are marks set beforehand, reached by the whole interval; more than one "
    "team may have gold.",
    "Disc": "Rank 1 to 3, and the whole interval above the baseline. A tie with the baseline is no win.",
    "Closed and open": "Closed: the baseline's network, only computed otherwise. Open: any other model above the "
    "floor. Which one it is was found by measuring, not by what the team says.",
    "Borderline": "The quality lies within one standard error of the floor: on other inputs the entry might have "
    "fallen on its other side.",
    "Time": "Of one call: the median over the rounds, then the geometric mean over the cases (batch sizes) that "
    "the speedup is made of.",
    "Not ranked": "The entry is kept with its reason, most often a quality below the floor of the event.",
    "Innovation": "Only what is found in the model counts, the three best families of it. What is claimed but not "
    "found is shown dashed and scores nothing.",
    "Practice": "Measured in the teams' own sessions: good to learn from, not checked by a referee.",
}


def _help(boards: Sequence[Leaderboard]) -> str:
    modes = {row.submission.get("mode") for board in boards for row in board.standings}
    reading = "".join(
        _tag("div", _tag("dt", term) + _tag("dd", text))
        for term, text in _READING.items()
        if term != "Practice" or "practice" in modes
    )
    machines = "".join(_tag("p", line, cls="tp-machine") for line in _machines(boards))
    return _tag("footer", _tag("h2", "How to read this page", id="reading") + _tag("dl", reading) + machines)


def _machines(boards: Sequence[Leaderboard]) -> list[str]:
    """One line for each kind of machine that the ranked entries were measured on."""
    machines = [row.submission.get("machine") for board in boards for row in board.standings]
    lines = list(dict.fromkeys(_machine(machine) for machine in machines if machine))
    return [f"Measured on {line}" for line in lines]


def _machine(machine: Mapping[str, Any]) -> str:
    threads = machine.get("blas_threads")
    parts = [
        machine.get("processor"),
        f"{machine.get('cores')} cores",
        f"{machine.get('blas')} with {threads} thread{'' if threads == 1 else 's'}",
        machine.get("system"),
        f"Python {machine.get('python')}, numpy {machine.get('numpy')}",
        f"clock: {machine.get('clock')}",
    ]
    return " · ".join(_escape(part, LONGEST_LINE) for part in parts if part)


def write_page(path: str | os.PathLike[str], page: str) -> Path:
    """Write the page so that a reader sees the old one or the new one, never half of it; gives the path.

    Raises:
        BoardError: the folder does not exist or cannot be written to; the old page is still there.
    """
    target = Path(path).absolute()
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    content = page.encode()
    try:
        draft.write_bytes(content)
        os.replace(draft, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise BoardError(
            f"cannot write {target}: {error.strerror}; make its folder, or give another path"
        ) from error
    return target


# ---------------------------------------------------------------- words and numbers


def _kind(board: Leaderboard) -> str:
    """The metric by its bare name: "composite" of "composite 0.50"."""
    return board.metric.partition(" ")[0]


def _metric(board: Leaderboard) -> Metric:
    metric = METRICS.get(_kind(board))
    if metric is None:
        raise BoardError(f"the board's metric is {board.metric!r}; expected one of {', '.join(METRICS)}")
    if weight := board.metric.partition(" ")[2]:
        about = f"{weight} × speedup + {1 - float(weight):.2f} × innovation"
        metric = replace(metric, about=about, baseline=float(weight))  # the baseline's speedup is 1
    for row in board.standings:
        if not math.isfinite(row.score) or (metric.logarithmic and row.score <= 0):
            raise BoardError(
                f"team {clean(row.team)!r} has the {board.metric} score {row.score}; expected a finite number"
                f"{' above 0' if metric.logarithmic else ''}: rank only entries that have one"
            )
    return metric


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _rank(row: Standing) -> str:
    return f"={row.rank}" if row.tied else str(row.rank)


def _ends(row: Standing) -> tuple[float, ...]:
    return (row.low, row.high) if _has_interval(row) else ()


def _has_interval(row: Standing) -> bool:
    return math.isfinite(row.low) and math.isfinite(row.high) and row.low < row.high


def _interval(row: Standing) -> str:
    return f"{_number(row.low)} – {_number(row.high)}" if _has_interval(row) else ""


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _same_team(team: str, other: str | None) -> bool:
    def spelled(name: str) -> str:
        return unicodedata.normalize("NFC", name).casefold()

    return other is not None and spelled(team) == spelled(other)


def clean(value: Any, longest: int = LONGEST_NAME) -> str:
    """One line of visible text: no control or direction-changing characters, no towers of accents."""
    text, marks = "", 0
    for letter in unicodedata.normalize("NFC", str(value))[: 4 * LONGEST_NOTE]:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if letter.isspace():
            text += " "
        elif category not in ("Cc", "Cf", "Cs", "Co", "Cn") and marks <= 2:
            text += letter
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _escape(value: Any, longest: int = LONGEST_NOTE) -> str:
    return html.escape(clean(value, longest), quote=True)


def _words(value: Any, longest: int) -> str:
    """Somebody's own words, kept apart from the direction of the text around them; more in the tooltip."""
    short, full = clean(value, longest), clean(value, LONGEST_NOTE)
    return _tag("bdi", html.escape(short, quote=True), title=full if full != short else None)


def _name(team: Any) -> str:
    return _words(team if clean(team) else "(no name)", LONGEST_NAME)


def _link(url: Any) -> str:
    """A link to the code, if it is plainly one of the web."""
    if not isinstance(url, str) or len(url) > 500 or not url.isascii() or not url.isprintable() or " " in url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    web = parts.scheme in ("http", "https") and bool(parts.hostname)
    return _tag("a", "code", href=url, rel="noopener noreferrer nofollow") if web else ""


def _tag(name: str, content: str | None = "", cls: str | None = None, **attributes: Any) -> str:
    """An element; attributes are escaped here, `content` is HTML already (None: an element without an end)."""
    given = {"class": cls} | {key.replace("_", "-"): value for key, value in attributes.items()}
    marks = "".join(
        f' {key}="{html.escape(str(value), quote=True)}"' for key, value in given.items() if value is not None
    )
    return f"<{name}{marks}>" if content is None else f"<{name}{marks}>{content}</{name}>"


# ---------------------------------------------------------------- looks

# What JupyterLab leaves of a board in a notebook that it does not trust: classes without their style sheet, and
# inline styles. They say as little as keeps columns, bars and marks apart; the style sheet overrides them.
_LEFT, _CENTER = "text-align:left", "text-align:center"
_AXIS = "display:block;position:relative;height:1.3em"
_LANE = "position:relative;height:1em"
_BAR = "position:absolute;height:1em;background-color:#3585b8"
_WHISKER = "position:absolute;height:1em;border-left:2px solid;border-right:2px solid"
_HIDDEN = "position:absolute;width:1px;height:1px;overflow:hidden"
_SMALL = "font-size:.86em"
_PILL = "border:1px solid;border-radius:1em;padding:0 .55em;display:inline-block"
_OWN = "background-color:rgba(230,159,0,.2)"

_LIGHT = (
    "--tp-paper:#ffffff;--tp-ink:#1b1f24;--tp-muted:#57606a;--tp-grid:#dfe3e8;--tp-accent:#3585b8;"
    "--tp-neutral:#a3abb4;--tp-down:#b34700;--tp-up:#006b4f;--tp-band:#f3f6f9;--tp-own:#fff3d1;--tp-edge:#b7791f;--tp-card:#f6f8fa;"
)
_DARK = (
    "--tp-paper:#14171a;--tp-ink:#e6e8ea;--tp-muted:#9aa4ae;--tp-grid:#2c3238;--tp-accent:#3d92cb;"
    "--tp-neutral:#6e7781;--tp-down:#ff9a5c;--tp-up:#4fd0a5;--tp-band:#1b2127;--tp-own:#3a2e12;--tp-edge:#e69f00;--tp-card:#1a1e22;"
)

# JupyterLab, VS Code and Colab say themselves whether they are dark; elsewhere the system does.
_THEME_CSS = (
    f".tp{{{_LIGHT}color:var(--tp-ink)}}"
    "@media (prefers-color-scheme:dark){html:not([theme=light]) body:not([data-jp-theme-light],.vscode-light) "
    f".tp{{{_DARK}background:var(--tp-paper)}}}}"
    f"body[data-jp-theme-light=false] .tp,body.vscode-dark .tp,html[theme=dark] .tp{{{_DARK}}}"
    "body.vscode-dark .tp-board{background:var(--tp-paper)}"
)
_TABLE_CSS = """
.tp{font-family:var(--jp-ui-font-family,system-ui,sans-serif);line-height:1.35}
.tp-board{container-type:inline-size;font-size:14px;max-width:84em;margin-bottom:1.2em}
.tp-board table.tp-table{border-collapse:collapse;table-layout:fixed;width:100%;margin:0;border:0;
font-size:inherit;color:inherit}
.tp-table caption{text-align:left;padding:0 0 .6em;color:var(--tp-muted);caption-side:top}
.tp-table caption b{font-size:1.3em;color:var(--tp-ink);margin-right:.3em}
.tp-about::before{content:"· "}
.tp.tp-board table.tp-table :is(th,td){padding:.5em .5em;text-align:left;vertical-align:middle;font-weight:400;
border:0;background:none;overflow:hidden;text-overflow:ellipsis;white-space:normal;max-width:none}
.tp.tp-board table.tp-table thead th{color:var(--tp-muted);font-size:.86em;padding-block:.3em;white-space:nowrap;
border-bottom:1px solid var(--tp-grid);vertical-align:bottom}
.tp-table thead tr{font-size:inherit!important}
.tp.tp-board table.tp-table tbody tr{background:none}
.tp.tp-board table.tp-table tbody{border-bottom:1px solid var(--tp-grid)}
.tp.tp-board table.tp-table tbody.tp-band tr{background:var(--tp-band)}
.tp.tp-board table.tp-table :is(th,td).tp-rank{width:3.9em;text-align:center;position:relative;overflow:visible;
font-variant-numeric:tabular-nums}
.tp-band td.tp-rank::before{content:"";position:absolute;left:0;top:0;bottom:0;width:3px;
background:var(--tp-neutral)}
.tp-band tr:first-child td.tp-rank::before{top:.5em}
.tp-band tr:last-child td.tp-rank::before{bottom:.5em}
.tp-band .tp-own td.tp-rank::before{display:none}
.tp-disc{display:inline-block;min-width:2em;line-height:2em;border-radius:1em;font-weight:700;
box-shadow:inset 0 0 0 1.5px var(--tp-neutral)}
.tp-disc.tp-first{background:var(--tp-ink);color:var(--tp-paper);box-shadow:none}
.tp-medal{display:inline-block;line-height:1.5;border-radius:1em;padding:0 .7em;font-size:.8em;
font-weight:600;letter-spacing:0;color:#1b1f24;vertical-align:.06em}
.tp-gold{background:#f2c230}.tp-silver{background:#c3cad2}.tp-bronze{background:#dc9a62}
.tp.tp-board table.tp-table :is(th,td).tp-team{width:24%}
.tp.tp-board table.tp-innovation :is(th,td).tp-team{width:44%}
.tp-team>bdi{overflow-wrap:anywhere}
tr:has(.tp-disc) .tp-team>bdi{font-weight:700}
.tp-line{display:flex;flex-wrap:wrap;gap:0 .7em;font-size:.84em;color:var(--tp-muted);white-space:nowrap}
.tp-words{flex-wrap:nowrap}.tp-words>span:first-child{white-space:normal;overflow:hidden;display:-webkit-box;-webkit-box-orient:vertical;
-webkit-line-clamp:2}
.tp-line.tp-wrap{gap:.3em;margin-top:.3em}
.tp-line a{color:inherit}
.tp.tp-board table.tp-table .tp-line a{text-decoration:underline}
.tp-tag,.tp-chip{border-color:var(--tp-neutral)!important;font-size:.82em;white-space:nowrap}
.tp-chip{font-size:1em}
.tp-chip b{color:var(--tp-ink);font-variant-numeric:tabular-nums}
.tp-claimed{border-style:dashed!important;white-space:normal}
.tp.tp-board table.tp-table :is(th,td).tp-chart{width:auto;padding-inline:1em;overflow:visible;position:relative}
.tp-axis,.tp-lane{container-type:inline-size}
.tp-axis .tp-fine{display:inline!important}
.tp-axis span{transform:translateX(-50%);font-variant-numeric:tabular-nums}
.tp-lane{position:absolute!important;inset:0 1em;height:auto!important}
.tp-lane::before{content:"";position:absolute;inset:0;background-image:var(--tp-lines)}
.tp-bar{top:50%;height:.9em!important;margin-top:-.45em;background:var(--tp-accent)!important;border-radius:2px}
.tp-whisker{top:50%;height:.7em!important;margin-top:-.35em;box-sizing:border-box;
border:solid var(--tp-ink)!important;border-width:0 1.5px!important;min-width:3px}
.tp-whisker::before{content:"";position:absolute;left:0;right:0;top:50%;border-top:1.5px solid var(--tp-ink);
margin-top:-.75px}
.tp-hidden{clip-path:inset(50%)}
.tp.tp-board table.tp-table :is(th,td):is(.tp-score,.tp-outcome,.tp-extra,.tp-change){text-align:right;
white-space:nowrap;font-variant-numeric:tabular-nums}
.tp.tp-board table.tp-table .tp-score{width:8em}
.tp.tp-board table.tp-composite .tp-score{width:7.4em}
.tp.tp-board table.tp-innovation .tp-score{width:5em}
.tp.tp-board table.tp-table td.tp-score{font-weight:700;font-size:1.08em}
.tp.tp-board table.tp-table .tp-outcome{width:6.2em}
.tp-below,.tp-outcome .tp-medal{display:block;width:max-content;margin-left:auto}
.tp-below{font-size:.8em;font-weight:400;color:var(--tp-muted)}
thead .tp-below{font-size:.9em}
.tp.tp-board table.tp-table .tp-extra{width:5.2em;padding-left:0;color:var(--tp-muted)}
.tp.tp-board table.tp-table tbody tr.tp-own{background:var(--tp-own)!important;
box-shadow:inset 4px 0 0 var(--tp-edge)}
.tp.tp-board table.tp-table .tp-baseline :is(th,td){color:var(--tp-muted);font-style:italic;font-weight:400}
.tp.tp-board table.tp-table .tp-division{width:5.4em;color:var(--tp-muted)}
.tp.tp-board table.tp-table .tp-change{width:5.4em;color:var(--tp-muted)}
.tp.tp-board table.tp-table .tp-change .tp-up{color:var(--tp-up)}
.tp.tp-board table.tp-table .tp-change .tp-down{color:var(--tp-down)}
.tp.tp-board table.tp-table .tp-gap td{color:var(--tp-muted);font-size:.86em;padding-block:.3em;
overflow:visible;white-space:nowrap}
.tp.tp-board table.tp-unranked{color:var(--tp-muted);margin-top:1.2em}
.tp.tp-board table.tp-unranked caption{font-size:.86em;padding:0 0 .3em 4.5em}
.tp.tp-board table.tp-unranked tbody{border-top:1px solid var(--tp-grid)}
.tp.tp-board table.tp-unranked th.tp-team{width:24%;padding-left:3.9em}
.tp.tp-board summary{padding:.4em 0 .4em .4em;font-size:.86em;color:var(--tp-muted);cursor:pointer}
.tp.tp-board details table.tp-unranked{margin-top:0}
.tp.tp-board table.tp-table .tp-empty td{color:var(--tp-muted);padding-block:1.2em;
overflow:visible;white-space:nowrap}
.tp-notes{margin:.7em 0 0;font-size:.86em;color:var(--tp-muted)}
.tp-notes span{margin-right:1.2em}
@container (max-width:75em){.tp.tp-board table.tp-table:has(.tp-change) .tp-extra{display:none}}
@container (max-width:68em){.tp.tp-board table.tp-table:has(.tp-division) .tp-extra{display:none}}
@container (max-width:62em){.tp.tp-board table.tp-table .tp-extra{display:none}}
@container (max-width:12em){.tp-axis .tp-fine{display:none!important}}
@container (max-width:5em){.tp-axis span,.tp-lane span,.tp-lane::before{display:none!important}}
@container (max-width:50em){.tp.tp-board table.tp-table:has(.tp-change) .tp-chart{display:none}
.tp.tp-board table.tp-table:has(.tp-change):not(.tp-unranked) :is(th,td).tp-team{width:auto}}
@container (max-width:44em){.tp.tp-board table.tp-table .tp-division{display:none}
.tp.tp-board table.tp-table :is(th,td).tp-team{width:40%}
.tp.tp-board table.tp-speed :is(th,td).tp-team{width:34%}
.tp.tp-board table.tp-composite :is(th,td).tp-team{width:46%}
.tp.tp-board table.tp-innovation :is(th,td).tp-team{width:52%}}
@container (max-width:40em){.tp.tp-board table.tp-table .tp-chart{display:none}
.tp.tp-board table.tp-table:not(.tp-unranked) :is(th,td).tp-team{width:auto}}
@container (max-width:32em){.tp.tp-board table.tp-table .tp-outcome{display:none}}
@container (max-width:24em){.tp.tp-board table.tp-table .tp-change,.tp-words{display:none}
.tp.tp-board table.tp-table .tp-score{width:6.4em}.tp.tp-board table.tp-table .tp-rank{width:3em}
.tp.tp-board table.tp-unranked th.tp-team{padding-left:.5em;width:40%}}
@media print{.tp *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
BOARD_CSS = (_THEME_CSS + _TABLE_CSS).replace("\n", "")

PAGE_CSS = """
html{background:#ffffff;scroll-behavior:smooth}
@media (prefers-color-scheme:dark){html{background:#14171a}}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0}
.tp-page{font-size:clamp(15px,12px + .35vw,20px);max-width:80em;margin:0 auto;padding:2.4em 2em 4em;
background:var(--tp-paper)}
.tp-page .tp-board{font-size:inherit;max-width:none;min-width:0;margin:0}
.tp-page h1{font-size:2.1em;line-height:1.15;margin:0;letter-spacing:-.02em}
.tp-page h2{font-size:1.5em;margin:0;letter-spacing:-.01em}
.tp-lead{color:var(--tp-muted);margin:.35em 0 0;max-width:60em}
.tp-lead a{color:inherit;margin-left:.7em}
.tp-cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15em,1fr));gap:1em;margin:1.8em 0 0}
.tp-card{display:block;padding:1em 1.2em;border-radius:8px;background:var(--tp-card);color:inherit;
text-decoration:none;border-top:3px solid var(--tp-accent)}
.tp-card:is(:hover,:focus-visible) .tp-card-title{text-decoration:underline}
.tp-card-title{display:block}
.tp-card-title .tp-about{color:var(--tp-muted);font-size:.9em;margin-left:.2em}
.tp-large{display:block;font-size:2.6em;line-height:1.2;font-weight:700;letter-spacing:-.02em;
font-variant-numeric:tabular-nums}
.tp-large .tp-medal{font-size:.36em;vertical-align:.5em;margin-left:.3em}
.tp-verdict{margin:.5em 0 0;font-size:1.08em}
.tp-verdict b{font-size:1.05em}
.tp-card-line{display:grid;grid-template-columns:6.2em 1fr;font-size:.9em;color:var(--tp-muted);margin-top:.15em}
.tp-card-line b{color:var(--tp-ink);font-weight:400}
.tp-page section{margin-top:3.2em;padding-top:1.6em;border-top:1px solid var(--tp-grid)}
.tp-page section>.tp-board{margin-top:1.6em}
.tp-flow{columns:2;column-gap:2.4em;margin-top:2.2em}
.tp-flow>*{break-inside:avoid;padding-bottom:2.2em}
.tp-page caption .tp-event{display:none}
.tp-page .tp-about::before{content:none}
.tp-figure{margin:0;min-width:0}
.tp-figure :is(svg,img){display:block;width:100%;height:auto}
.tp-figure figcaption{font-size:.86em;color:var(--tp-muted);margin-top:.3em}
.tp-page footer{margin-top:3.2em;padding-top:1.6em;border-top:1px solid var(--tp-grid);font-size:.92em}
.tp-page dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(19em,1fr));gap:1em 2.4em;
margin:1.2em 0 1.6em}
.tp-page dt{font-weight:700}.tp-page dd{margin:.15em 0 0;color:var(--tp-muted)}
.tp-machine{color:var(--tp-muted);margin:.2em 0}
@media (max-width:820px){.tp-page{padding-inline:1.1em}.tp-flow{columns:1}
.tp-cards{grid-template-columns:minmax(0,1fr)}
.tp-card{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr);align-items:center;gap:1em}}
@media print{.tp-page section{break-before:page}}
""".replace("\n", "")


def show(board: Leaderboard, own_team: str | None = None) -> None:
    """Draw a board where one looks: as HTML in a notebook, as text on the terminal otherwise."""
    if "IPython" in sys.modules:
        from IPython.core.getipython import get_ipython
        from IPython.display import HTML, display

        if get_ipython() is not None:
            display(HTML(board_html(board, own_team=own_team)))
            return
    sys.stdout.write(board_text(board, own_team) + "\n")
