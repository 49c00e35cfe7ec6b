"""Charts of what was handed in: speedups, steps, quality, balance, sizes, disciplines and rounds.

Speedups stand on a log axis around the baseline's 1x, intervals are thin lines, what is not ranked is hollow.
Does not: measure, judge, score, read files or call `show`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from tinytorch.perf.plots.easel import (
    BETTER,
    FASTER,
    LONGEST_CAPTION,
    Palette,
    PlotError,
    Point,
    Submission,
    annotate,
    cut,
    draw_bar,
    draw_bare_bar,
    draw_interval,
    draw_number,
    draw_numbers,
    drawable,
    dress_ratios,
    ends_of,
    is_ranked,
    name_of,
    name_points,
    name_rows,
    palette_of,
    ratio_of,
    reach_first,
    size,
    times,
    with_interval,
)

LOWEST_FLOORS = 1.5  # floors below the baseline at which a point is held at the edge of its chart
MOST_BARS = 15  # entries with a bar each
MOST_SIZES = 6  # entries with two bars each
MOST_NAMED = 12  # points with a name, unless the front has more
MOST_LISTED = 4  # names in a title


def speedups(
    ax: Axes, submissions: Sequence[Submission], event_title: str, cases: Sequence[str] | None = None
) -> Axes:
    """A bar with its 95 % interval for each submission, the fastest at the top; its cases are small dots.

    Args:
        ax: to draw on.
        submissions: ranked ones are filled, the others hollow. Of more than 15 the first are drawn.
        event_title: begins the title.
        cases: which of the timed cases become dots; by default all. Hand in those that the speedup is made of.
    """
    palette = palette_of(ax)
    entries = sorted((entry for entry in submissions if drawable(entry)), key=ratio_of, reverse=True)
    shown = _first(entries, MOST_BARS)
    for row, entry in enumerate(shown):
        dots = [case["ratio"] for case in _cases(entry, cases).values()]
        draw_bare_bar(ax, row, ratio_of(entry), ends_of(entry), palette, hollow=not is_ranked(entry))
        ax.plot(dots, [row] * len(dots), "o", ms=4, mfc=palette.paper, mec=palette.ink, mew=0.9)
    draw_numbers(ax, dict(enumerate(map(ratio_of, shown))), palette)
    name_rows(ax, [name_of(entry) for entry in shown], palette)
    signs = _signs(shown, len(entries), cases)
    return dress_ratios(ax, palette, f"{event_title}: {_best(entries)}", "\n".join([FASTER, *signs]))


def _first(entries: Sequence[Submission], most: int) -> list[Submission]:
    """The first in their order; where not all fit, those that are ranked go before the others."""
    places = sorted(range(len(entries)), key=lambda place: not is_ranked(entries[place]))[:most]
    return [entries[place] for place in sorted(places)]


def _cases(entry: Submission, wanted: Sequence[str] | None) -> Mapping[str, Mapping[str, float]]:
    timed = entry.get("cases") or {}
    return timed if wanted is None else {name: timed[name] for name in wanted if name in timed}


def _best(entries: Sequence[Submission]) -> str:
    """The finding of a chart of entries in order."""
    ranked = [entry for entry in entries if is_ranked(entry)]
    if not ranked:
        return "no ranked entry"
    alike = reach_first([ends_of(entry) for entry in ranked])
    whose = f"by {name_of(ranked[0])}" if alike == 1 else f"{alike} entries not told apart"
    return f"best {with_interval(ratio_of(ranked[0]), ends_of(ranked[0]))}, {whose}"


def _signs(shown: Sequence[Submission], total: int, cases: Sequence[str] | None = ()) -> list[str]:
    """How many of all are shown, and what dots and hollow bars mean, where there are any; in one paragraph."""
    names = list(dict.fromkeys(name for entry in shown for name in _cases(entry, cases)))
    signs = [f"the first {len(shown)} of {total} entries"] if len(shown) < total else []
    signs += [f"dots: {', '.join(names)}"] if names else []
    signs += ["hollow: not ranked"] if not all(is_ranked(entry) for entry in shown) else []
    return [textwrap.fill("; ".join(signs), LONGEST_CAPTION)] if signs else []


def staircase(ax: Axes, steps: Sequence[Mapping[str, Any]], event_title: str) -> Axes:
    """A waterfall of optimisations: pale what was reached before the step, full what the step adds.

    Args:
        ax: to draw on.
        steps: of `label`, `ratio` (speedup over the baseline with all steps so far), its `low`, `high` and
            `note`; with `reference` true it is another framework's, drawn neutral and outside of the chain.
        event_title: of the event, begins the title.
    """
    palette, reached, gains = palette_of(ax), 1.0, []
    for row, step in enumerate(steps):
        ends = (step["low"], step["high"])
        if step.get("reference"):
            draw_bar(ax, row, step["ratio"], ends, palette, colour=palette.neutral, note=step.get("note", ""))
            continue
        _stair(ax, row, reached, step, palette)
        gains.append((step["ratio"] / reached, step["label"]))
        reached = step["ratio"]
    name_rows(ax, [cut(step["label"]) for step in steps], palette)
    return dress_ratios(ax, palette, f"{event_title}: {_staircase_finding(reached, gains)}", BETTER)


def _stair(ax: Axes, row: int, reached: float, step: Mapping[str, Any], palette: Palette) -> None:
    ratio, back = step["ratio"], step["ratio"] < reached
    ax.barh(row, min(reached, ratio) - 1, left=1, height=0.56, color=palette.accent, alpha=0.35, lw=0)
    if back:
        ax.barh(row, ratio - reached, left=reached, height=0.56, fill=False, ec=palette.down, hatch="////", lw=1)
    else:
        ax.barh(row, ratio - reached, left=reached, height=0.56, color=palette.accent, lw=0)
    if row:  # where the step before had got to
        ax.plot([reached, reached], [row - 0.72, row + 0.28], color=palette.muted, lw=0.8)
    draw_interval(ax, row, (step["low"], step["high"]), palette)
    draw_number(ax, row, max(reached, step["high"]), times(ratio), step.get("note", ""), palette)


def _staircase_finding(reached: float, gains: Sequence[tuple[float, str]]) -> str:
    if not gains:
        return "no steps yet"
    most, label = max(gains)
    return f"{times(reached)} in {len(gains)} steps, most of it from {cut(label)} ({times(most)})"


def quality_against_speed(ax: Axes, submissions: Sequence[Submission], event_title: str) -> Axes:
    """Each submission as a point: speedup to the right, quality lost downwards, the floor as a line.

    Below the floor the point is hollow; far below, it is an arrow at the lower edge with its value beside it, so
    that the others are not pressed together. Vertical lines are one standard error of the difference. In a large
    class the best are named; the others are small points without their lines.
    """
    entries = _graded(submissions)
    held = sum(bool(entry["quality"]["ok"]) for entry in entries)
    return _scatter(ax, entries, f"{event_title}: {held} of {len(entries)} entries hold the floor")


def pareto(ax: Axes, submissions: Sequence[Submission], event_title: str) -> Axes:
    """`quality_against_speed` with the front: the ranked entries that none beats in both, joined by a line."""
    entries, palette = _graded(submissions), palette_of(ax)
    front, scale = _front(entries), _quality_unit(entries)[1]
    lost = [-scale * entry["quality"]["difference"] for entry in front]
    how: dict[str, Any] = {"where": "pre", "color": palette.accent, "lw": 1, "alpha": 0.6, "zorder": 1}
    ax.step([ratio_of(entry) for entry in front], lost, **how)
    names = _listed([name_of(entry) for entry in reversed(front)])
    return _scatter(
        ax, entries, f"{event_title}: {f'beaten by none in both: {names}' if front else 'no ranked entry'}"
    )


def _graded(submissions: Sequence[Submission]) -> list[Submission]:
    return [entry for entry in submissions if drawable(entry) and entry.get("quality")]


def _front(entries: Sequence[Submission]) -> list[Submission]:
    """Ranked and above the floor, slowest first; each is better in quality than all that are faster."""
    held = [entry for entry in entries if is_ranked(entry) and entry["quality"]["ok"]]
    front: list[Submission] = []
    for entry in sorted(held, key=lambda each: (ratio_of(each), -each["quality"]["difference"]), reverse=True):
        if not front or entry["quality"]["difference"] < front[-1]["quality"]["difference"]:
            front.append(entry)
    return front[::-1]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_LISTED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:MOST_LISTED])} and {more} more"


def _scatter(ax: Axes, entries: Sequence[Submission], title: str) -> Axes:
    """The points between the levels of baseline and floor, then names where there is room: the front's first."""
    palette = palette_of(ax)
    unit, scale = _quality_unit(entries)
    floor = max((scale * entry["quality"]["floor"] for entry in entries), default=0.0)
    named, others = _by_interest(entries)
    points = [_quality_point(ax, entry, scale, -LOWEST_FLOORS * floor, palette) for entry in named]
    points += [_quality_speck(ax, entry, scale, -LOWEST_FLOORS * floor, palette) for entry in others]
    _level(ax, 0.0, "baseline", palette.muted, palette.neutral, "-")
    _level(ax, -floor, "floor", palette.down, palette.down, (0, (5, 3)))
    ax.set_ylabel(f"{unit}\n(up is better)", color=palette.muted)
    ax.tick_params(axis="y", length=0, colors=palette.muted)
    ax.margins(y=0.15)
    dress_ratios(ax, palette, title, FASTER, room=0.3)
    name_points(ax, points, palette)
    return ax


def _by_interest(entries: Sequence[Submission]) -> tuple[list[Submission], list[Submission]]:
    """Those to be named, the front before the others and then the fastest; and those that are only points."""
    front = _front(entries)[::-1]
    on_it = {id(entry) for entry in front}
    rest = [entry for entry in entries if id(entry) not in on_it]
    rest.sort(key=lambda entry: (is_ranked(entry), ratio_of(entry)), reverse=True)
    few = max(0, MOST_NAMED - len(front))
    return [*front, *rest[:few]], rest[few:]


def _quality_point(ax: Axes, entry: Submission, scale: float, lowest: float, palette: Palette) -> Point:
    """Draw one point at its place or at the edge."""
    quality, ratio = entry["quality"], ratio_of(entry)
    gained, error = -scale * quality["difference"], scale * quality["standard_error"]
    face = palette.accent if quality["ok"] else palette.paper
    if gained < lowest:
        ax.plot(ratio, lowest, "v", ms=8, color=palette.accent, mfc=face, mew=1.2)
        return Point(ratio, lowest, 0.0, f"{name_of(entry)}: \N{MINUS SIGN}{-gained:.2g}")
    ax.errorbar(ratio, gained, yerr=error, fmt="o", ms=7, color=palette.accent, mfc=face, mew=1.2, lw=1)
    return Point(ratio, gained, error, name_of(entry))


def _quality_speck(ax: Axes, entry: Submission, scale: float, lowest: float, palette: Palette) -> Point:
    """Draw one point of a crowd: small, pale, and without name and error."""
    quality, ratio = entry["quality"], ratio_of(entry)
    gained = -scale * quality["difference"]
    face = palette.accent if quality["ok"] else palette.paper
    at, mark = max(gained, lowest), "o" if gained >= lowest else "v"
    ax.plot(ratio, at, mark, ms=4, color=palette.accent, mfc=face, mew=0.8, alpha=0.55, zorder=1.5)
    return Point(ratio, at, 0.0, "")


def _level(ax: Axes, y: float, name: str, ink: str, colour: str, style: Any) -> None:
    """A line over the whole width, with its name above the right end."""
    ax.axhline(y, color=colour, lw=1.1, ls=style, zorder=1)
    right = ax.get_yaxis_transform()
    where: dict[str, Any] = {"ha": "right", "va": "bottom", "transform": right}
    ax.text(1, y, name, color=ink, fontsize="small", parse_math=False, **where)


def disciplines(ax: Axes, submission: Submission) -> Axes:
    """The ten ratios of a Decathlon entry as bars around the baseline's 1x, in the order of the event."""
    palette, ratios = palette_of(ax), submission.get("disciplines") or {}
    for row, result in enumerate(ratios.values()):
        colour = palette.down if result["high"] < 1 else palette.neutral if result["low"] <= 1 else palette.accent
        draw_bar(ax, row, result["ratio"], (result["low"], result["high"]), palette, colour=colour)
    name_rows(ax, list(ratios), palette)
    best = max(ratios, key=lambda name: ratios[name]["ratio"], default=None)
    finding = f"best in {best} ({times(ratios[best]['ratio'])})" if best else "no disciplines measured"
    overall = f"{times(submission['event_score'])} over all, " if best and submission.get("event_score") else ""
    return dress_ratios(ax, palette, f"{name_of(submission)}: {overall}{finding}", BETTER)


def balance(ax: Axes, submissions: Sequence[Submission], event_title: str, most: int = 3) -> Axes:
    """Speed, peak memory and weight bytes of the best ranked entries, as ratios to the baseline.

    The line through an entry's three bars is its score: on a log axis the cube root of a product lies in the
    middle of its factors.
    """
    palette = palette_of(ax)
    entries = [entry for entry in submissions if drawable(entry) and is_ranked(entry)]
    best = sorted(entries, key=lambda entry: float(entry["event_score"]), reverse=True)
    labels: list[str] = []
    for entry in best[:most]:
        _balanced(ax, len(labels), entry, palette)
        labels += [name_of(entry), *_factors(entry)]
    name_rows(ax, labels, palette)
    for label in ax.get_yticklabels()[::4]:
        label.set_fontweight("bold")
    caption = f"{BETTER}\nline: the score, cube root of the product of the three"
    return dress_ratios(ax, palette, f"{event_title}: {_best_score(best)}", caption)


def _best_score(best: Sequence[Submission]) -> str:
    if not best:
        return "no ranked entry"
    score = f"{best[0]['event_score']:.2f}"
    alike = reach_first([entry.get("event_score_ci") or (entry["event_score"],) * 2 for entry in best])
    return f"{name_of(best[0])} scores {score}" if alike == 1 else f"best {score}, {alike} entries not told apart"


def _balanced(ax: Axes, top: int, entry: Submission, palette: Palette) -> None:
    """One entry below the row of its name: three bars and the line of its score through them."""
    score = float(entry["event_score"])
    rows = dict(enumerate(_factors(entry).values(), top + 1))
    for row, ratio in rows.items():
        ax.barh(row, ratio - 1, left=1, height=0.56, color=palette.accent if ratio >= 1 else palette.down, lw=0)
    draw_numbers(ax, rows, palette)
    ax.plot([score] * 2, [top + 0.45, top + 3.45], color=palette.ink, lw=1.4)
    annotate(ax, f"{score:.2f}", (score, top + 0.4), (0, 2), palette.ink, ha="center", va="bottom")


def _factors(entry: Submission) -> dict[str, float]:
    """What the balance is made of, each as baseline / entry."""
    return {
        "speed": ratio_of(entry),
        "peak memory": entry["baseline_peak_memory_bytes"] / entry["peak_memory_bytes"],
        "weights": entry["baseline_model_bytes"] / entry["model_bytes"],
    }


def sizes(ax: Axes, submissions: Sequence[Submission], event_title: str) -> Axes:
    """Peak memory and weight bytes of each entry, as ratios to the baseline's, with the bytes beside them.

    What needs least memory is at the top, what is not ranked is hollow. Of more than six the first are drawn.
    """
    palette, labels = palette_of(ax), list[str]()
    entries = [entry for entry in submissions if drawable(entry)]
    entries.sort(key=lambda entry: float(entry["peak_memory_bytes"]))
    shown = _first(entries, MOST_SIZES)
    for entry in shown:
        labels.append(name_of(entry))
        for name, key in (("peak memory", "peak_memory_bytes"), ("weights", "model_bytes")):
            before, after = entry[f"baseline_{key}"], entry[key]
            note = f"{size(before)} to {size(after)}"
            colour = palette.accent if after <= before else palette.down
            how: dict[str, Any] = {"colour": colour, "note": note, "hollow": not is_ranked(entry)}
            draw_bar(ax, len(labels), before / after, (before / after,) * 2, palette, **how)
            labels.append(name)
    name_rows(ax, labels, palette)
    for label in ax.get_yticklabels()[::3]:
        label.set_fontweight("bold")
    caption = "\n".join([BETTER.replace("better", "smaller", 1), *_signs(shown, len(entries))])
    return dress_ratios(ax, palette, f"{event_title}: {_smallest(entries)}", caption)


def _smallest(entries: Sequence[Submission]) -> str:
    """The finding of a chart of entries in order."""
    least = next((entry for entry in entries if is_ranked(entry)), None)
    if least is None:
        return "no ranked entry"
    return f"{name_of(least)} needs least memory, {size(least['peak_memory_bytes'])} at its peak"


def rounds(ax: Axes, report: Submission, event_title: str) -> Axes:
    """Every round's ratio as a dot, a lane for each case, with the estimate and its 95 % interval."""
    palette, all_rounds = palette_of(ax), report.get("rounds") or []
    lanes = list(dict.fromkeys(name for each in all_rounds for name in each["log_ratios"]))
    for row, name in enumerate(lanes):
        ratios = [math.exp(each["log_ratios"][name]) for each in all_rounds if name in each["log_ratios"]]
        heights = [row + 0.3 * (2 * (0.618 * position % 1) - 1) for position in range(len(ratios))]
        ax.plot(ratios, heights, "o", ms=4.5, color=palette.accent, alpha=0.55, mew=0)
        case = (report.get("cases") or {}).get(name)
        if case:
            ax.barh(
                row,
                case["high"] - case["low"],
                left=case["low"],
                height=0.84,
                color=palette.neutral,
                alpha=0.4,
            )
            ax.plot([case["ratio"]] * 2, [row - 0.42, row + 0.42], color=palette.ink, lw=1.6)
    name_rows(ax, lanes, palette)
    finding = with_interval(ratio_of(report), ends_of(report)) if drawable(report) else "not measured"
    title = f"{event_title}: {finding}, {len(all_rounds)} rounds"
    return dress_ratios(
        ax, palette, title, f"{FASTER}\ndots: rounds; line and band: estimate with its 95 % interval"
    )


def _quality_unit(entries: Sequence[Submission]) -> tuple[str, float]:
    metrics = {entry["quality"]["metric"] for entry in entries} or {"accuracy"}
    if len(metrics) > 1:
        raise PlotError(f"entries of {' and '.join(sorted(metrics))} in one chart; hand in those of one event")
    return ("points of accuracy gained", 100.0) if metrics == {"accuracy"} else ("bits per character saved", 1.0)
