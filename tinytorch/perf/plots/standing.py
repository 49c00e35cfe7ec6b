"""Charts of scores: what the weight of the composite decides, and a team's way up.

Does not: score or rank. A composite is a straight line from the innovation score (weight 0) to the speedup
(weight 1), so it is drawn, and crossings are found, without knowing the rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tinytorch.perf.plots.easel import (
    Palette,
    Submission,
    annotate,
    drawable,
    ends_of,
    entitle,
    is_ranked,
    name_of,
    palette_of,
    ratio_of,
    reach_first,
    strip,
    tick_subs,
    times,
)

RULE = 0.7  # weight of speed by the rule of the course
CROWD = 30  # lines from which on they grow thinner
MOST_LINES = 5  # named at their right end; the others are thin and neutral


def lead_changes(submissions: Sequence[Submission]) -> list[tuple[float, Submission]]:
    """Who has the highest composite from which weight of speed on: (0.0, first), then each change of the lead."""
    lines = [entry for entry in submissions if drawable(entry) and is_ranked(entry)]
    if not lines:
        return []
    leader, weight = max(lines, key=lambda each: (_innovation(each), ratio_of(each))), 0.0
    changes = [(weight, leader)]
    while True:
        ahead = [
            (_crossing(leader, each), -ratio_of(each), place)
            for place, each in enumerate(lines)
            if _slope(each) > _slope(leader)
        ]
        crossing, _, place = min(ahead, default=(math.inf, 0.0, 0))
        if crossing >= 1:
            return changes
        leader = lines[place]
        changes.append((crossing, leader))


def _innovation(entry: Submission) -> float:
    return float(entry["innovation_score"])


def _slope(entry: Submission) -> float:
    return ratio_of(entry) - _innovation(entry)


def _crossing(leader: Submission, steeper: Submission) -> float:
    """Weight at which the steeper line reaches the leader's."""
    return (_innovation(leader) - _innovation(steeper)) / (_slope(steeper) - _slope(leader))


def _composite(entry: Submission, weight: float) -> float:
    return _innovation(entry) + weight * _slope(entry)


def composite_weight(ax: Axes, submissions: Sequence[Submission], weight: float = RULE) -> Axes:
    """The composite of each entry over the weight of speed; where the winner changes is marked and named.

    Args:
        ax: to draw on.
        submissions: ranked ones are drawn; hand in one a team.
        weight: marked by a line, the rule's 0.7 if nothing else is asked for.
    """
    palette, changes = palette_of(ax), lead_changes(submissions)
    lines = [entry for entry in submissions if drawable(entry) and is_ranked(entry)]
    lines.sort(key=lambda each: _composite(each, weight), reverse=True)
    leaders = [id(leader) for _, leader in changes]
    named = sorted(lines, key=lambda each: id(each) not in leaders)[: max(MOST_LINES, len(leaders))]
    for entry in lines:
        _draw_line(ax, entry, id(entry) in leaders, min(1.0, CROWD / len(lines)), palette)
    for crossing, leader in changes[1:]:
        height = _composite(leader, crossing)
        ax.plot(crossing, height, "o", ms=8, mfc=palette.paper, mec=palette.ink, mew=1.4, zorder=3)
        annotate(ax, f"{crossing:.2f}", (crossing, height), (0, 9), palette.ink, ha="center", weight="bold")
    ax.axvline(weight, color=palette.ink, lw=1.1, ls=(0, (5, 3)), zorder=1)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.12 * max([1.0, *(ratio_of(entry) for entry in lines), *map(_innovation, lines)]))
    _name_ends(ax, named, palette)
    ax.grid(axis="y", color=palette.grid, lw=0.7)
    words = "rule of the course" if weight == RULE else "marked"
    strip(ax, palette, f"weight of speed, the rest is innovation; dashed: {weight:.2f}, {words}", "composite")
    alike = reach_first([_ends_at(entry, weight) for entry in lines]) if lines else 1
    tied = f"; at {weight:.2f}, {alike} not told apart" if alike > 1 else ""
    return entitle(ax, f"{_weight_finding(changes)}{tied}", palette)


def _draw_line(ax: Axes, entry: Submission, leads: bool, thin: float, palette: Palette) -> None:
    """From innovation to speed; who leads anywhere lies over the others."""
    colour, width, above = (palette.accent, 2.2, 2.5) if leads else (palette.neutral, thin, 2.0)
    ax.plot([0, 1], [_innovation(entry), ratio_of(entry)], color=colour, lw=width, zorder=above)


def _ends_at(entry: Submission, weight: float) -> tuple[float, float]:
    """The composite's interval: that of the speedup, shrunk by the weight; innovation has none."""
    low, high = (_innovation(entry) + weight * (end - _innovation(entry)) for end in ends_of(entry))
    return low, high


def _name_ends(ax: Axes, entries: Sequence[Submission], palette: Palette) -> None:
    """Names at the right end of the lines, the lower one moved down where two would touch."""
    bottom, top = ax.get_ylim()
    least = (top - bottom) / 16  # a line of small type
    place = math.inf
    for entry in sorted(entries, key=ratio_of, reverse=True):
        place = min(place - least, ratio_of(entry))
        ends = {
            "xycoords": ax.get_yaxis_transform(),
            "va": "center",
            "fontsize": "small",
            "annotation_clip": False,
        }
        annotate(ax, name_of(entry), (1, place), (6, 0), palette.ink, **ends)


def _weight_finding(changes: Sequence[tuple[float, Submission]]) -> str:
    if not changes:
        return "no ranked entry"
    if len(changes) == 1:
        return f"{name_of(changes[0][1])} scores highest at every weight"
    (first, *others) = [(name_of(leader), end) for (_, leader), (end, _) in pairwise(changes)]
    parts = [f"{first[0]} scores highest up to {first[1]:.2f}"]
    parts += [f"{name} up to {end:.2f}" for name, end in others]
    return ", ".join([*parts, f"then {name_of(changes[-1][1])}"])


# ---------------------------------------------------------------- progress


def progress(ax: Axes, submissions: Sequence[Submission]) -> Axes:
    """One team's speedups in the order they were handed in, with intervals; the best so far as a step line.

    What is not ranked is hollow and does not count.
    """
    palette = palette_of(ax)
    entries = [entry for entry in submissions if drawable(entry)]
    numbers = list(range(1, len(entries) + 1))
    counted = [ratio_of(entry) if is_ranked(entry) else 0.0 for entry in entries]
    best = [each or math.nan for each in accumulate(counted, max)]
    ax.step(
        [*numbers, *(each + 0.5 for each in numbers[-1:])],
        [*best, *best[-1:]],
        where="post",
        color=palette.accent,
        lw=2,
    )
    for number, entry in zip(numbers, entries, strict=True):
        face = palette.accent if is_ranked(entry) else palette.paper
        ax.plot([number] * 2, ends_of(entry), color=palette.ink, lw=1.1)
        ax.plot(number, ratio_of(entry), "o", ms=7, color=palette.accent, mfc=face, mew=1.3)
    _dress_progress(ax, palette)
    hollow = "" if all(is_ranked(entry) for entry in entries) else "; hollow: not ranked"
    strip(
        ax,
        palette,
        f"submission{hollow}; line: best so far",
        "times faster than the baseline,\nlog scale (up is better)",
    )
    return entitle(ax, _progress_finding(entries, best), palette)


def _dress_progress(ax: Axes, palette: Palette) -> None:
    low, high = min(1.0, ax.dataLim.y0), max(1.5, ax.dataLim.y1)
    low, high = (low, high) if math.isfinite(low) and math.isfinite(high) else (1.0, 1.5)
    ax.set(yscale="log", ylim=(low / 1.12, high * 1.12))
    ax.yaxis.set_major_locator(LogLocator(subs=tick_subs(high / low), numticks=20))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    ax.axhline(1, color=palette.muted, lw=1, zorder=1)
    ax.grid(axis="y", color=palette.grid, lw=0.7)


def _progress_finding(entries: Sequence[Submission], best: Sequence[float]) -> str:
    ranked = [each for each in best if not math.isnan(each)]
    if not ranked:
        return "no ranked submission yet"
    count = f"{len(entries)} submission{'' if len(entries) == 1 else 's'}"
    return f"{name_of(entries[-1])}: {times(ranked[0])} at first, {times(ranked[-1])} at best, {count}"
