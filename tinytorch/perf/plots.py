"""Charts of submissions: each takes records and an axes, draws the finding and gives the axes back.

Speedups stand on a log axis around the baseline's 1x, intervals are thin lines, what is not ranked is hollow.
Does not: measure, judge, score, read files or call `show`; no pyplot, so a chart may be drawn in any thread.
The only room besides the widgets that imports matplotlib.
"""

from __future__ import annotations

import contextlib
import html
import io
import math
import re
import textwrap
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox, blended_transform_factory

Submission = Mapping[str, Any]

LONGEST_NAME = 26  # characters of a team's name on an axis
LONGEST_TITLE = 58  # characters of one line of a title
LONGEST_CAPTION = 76  # characters of one line below an axis
LOWEST_FLOORS = 1.5  # floors below the baseline at which a point is held at the edge of its chart
RISES = (0, 10, -10, 20, -20, 30, -30, 40, -40)
NAME_PLACES = [(9 * side, rise) for rise in RISES for side in (1, -1)]  # beside a point, in points of type
BETTER = "times better than the baseline, log scale (right is better)"
FASTER = BETTER.replace("better", "faster", 1)


class PlotError(ValueError):
    """What was handed in cannot be drawn."""


@dataclass(frozen=True)
class Palette:
    """One accent, one neutral, one warning; told apart with any colour vision (Machado 2009, severity 1)."""

    paper: str
    ink: str
    muted: str
    grid: str
    accent: str
    neutral: str
    down: str


THEMES = {
    "light": Palette("#ffffff", "#1b1f24", "#57606a", "#dfe3e8", "#3585b8", "#a3abb4", "#b34700"),
    "dark": Palette("#14171a", "#e6e8ea", "#9aa4ae", "#2c3238", "#3d92cb", "#6e7781", "#ff9a5c"),
}


@dataclass(frozen=True)
class Point:
    """Where a submission stands in a chart, and what is to be written beside it."""

    x: float
    y: float
    error: float  # half the length of the line through it
    name: str


def figure(width: float = 6.4, height: float = 3.6, theme: str = "light") -> Figure:
    """An empty figure of `width` x `height` inches for `to_png` or `to_svg`; theme "light" or "dark"."""
    if theme not in THEMES:
        raise PlotError(f"theme is {theme!r}; expected one of {', '.join(THEMES)}")
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)  # inches
    return Figure(figsize=(width, height), layout=layout, facecolor=THEMES[theme].paper)


def to_png(drawing: Figure, dpi: int = 144) -> bytes:
    """The figure as a PNG picture on the paper of its theme."""
    return _save(drawing, format="png", dpi=dpi)


def to_svg(drawing: Figure) -> str:
    """The figure as an inline `<svg>` without paper of its own: text stays text, set in the font of the page.

    Each colour of the theme is a CSS variable (`--tp-accent` ...) with the theme's value as fallback, so that
    a page which defines them has its charts follow from light to dark.
    """
    svg = _save(drawing, format="svg", transparent=True, metadata={"Date": None}).decode()
    svg = re.sub(_CLUTTER, "", svg[svg.index("<svg") :])
    colours = {colour: f"var(--tp-{name}, {colour})" for name, colour in asdict(_palette(drawing)).items()}
    svg = re.sub(r'style="[^"]*"', lambda style: _for_the_page(style.group(), colours), svg)
    title = html.escape(" ".join(" ".join(axes.get_title("left") for axes in drawing.axes).split()))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" style="stroke-linejoin: round" ', 1)


# What an inline SVG must not bring: comments (with students' text), a style sheet that would hold for the
# whole page, and the names of groups, which every other chart of the page has too.
_CLUTTER = re.compile(
    r"<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|(?<=<g) id=\"[^\"]*\"",
    re.DOTALL,
)


def _for_the_page(style: str, colours: Mapping[str, str]) -> str:
    style = re.sub(r"font-family: [^;\"]*", "font-family: inherit", style)
    return re.sub(r"#[0-9a-f]{6}", lambda colour: colours.get(colour.group(), colour.group()), style)


def _save(drawing: Figure, **how: Any) -> bytes:
    FigureCanvasAgg(drawing)
    picture = io.BytesIO()
    with _any_text():
        drawing.savefig(picture, **how)
    return picture.getvalue()


_SETTINGS: dict[Any, Any] = {"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "tinymlperf"}
_SETTINGS_LOCK = threading.RLock()  # the settings and the filters of warnings belong to the whole process


@contextlib.contextmanager
def _any_text() -> Iterator[None]:
    """A `$` in a team's name is a character, not mathematics, and an alphabet without a font is no news."""
    with _SETTINGS_LOCK, matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


# ---------------------------------------------------------------- the charts


def speedups(
    ax: Axes, submissions: Sequence[Submission], event_title: str, cases: Sequence[str] | None = None
) -> Axes:
    """A bar with its 95 % interval for each submission, the fastest at the top; its cases are small dots.

    Args:
        ax: to draw on.
        submissions: ranked ones are filled, the others hollow.
        event_title: begins the title.
        cases: which of the timed cases become dots; by default all. Hand in those that the speedup is made of.
    """
    palette = _palette(ax)
    entries = sorted((entry for entry in submissions if _drawable(entry)), key=_ratio, reverse=True)
    for row, entry in enumerate(entries):
        dots = [case["ratio"] for case in _cases(entry, cases).values()]
        _bar(ax, row, _ratio(entry), (*_ends(entry), *dots), palette, hollow=not entry.get("ranked", True))
        ax.plot(dots, [row] * len(dots), "o", ms=4, mfc=palette.paper, mec=palette.ink, mew=0.9)
    _rows(ax, [_name(entry) for entry in entries], palette)
    return _dress(ax, palette, f"{event_title}: {_best(entries)}", "\n".join([FASTER, *_signs(entries, cases)]))


def _cases(entry: Submission, wanted: Sequence[str] | None) -> Mapping[str, Mapping[str, float]]:
    timed = entry.get("cases") or {}
    return timed if wanted is None else {name: timed[name] for name in wanted if name in timed}


def _best(entries: Sequence[Submission]) -> str:
    """The finding of a chart of entries in order."""
    best = next((entry for entry in entries if entry.get("ranked", True)), None)
    return f"best {_with_interval(_ratio(best), _ends(best))}, by {_name(best)}" if best else "no ranked entry"


def _signs(entries: Sequence[Submission], cases: Sequence[str] | None) -> list[str]:
    """What dots and hollow bars mean, where there are any; in one paragraph."""
    names = list(dict.fromkeys(name for entry in entries for name in _cases(entry, cases)))
    signs = [f"dots: {', '.join(names)}"] if names else []
    signs += ["hollow: not ranked"] if not all(entry.get("ranked", True) for entry in entries) else []
    return [textwrap.fill("; ".join(signs), LONGEST_CAPTION)] if signs else []


def staircase(ax: Axes, steps: Sequence[Mapping[str, Any]], event_title: str) -> Axes:
    """A waterfall of optimisations: pale what was reached before the step, full what the step adds.

    Args:
        ax: to draw on.
        steps: of `label`, `ratio` (speedup over the baseline with all steps so far), its `low`, `high` and
            `note`; with `reference` true it is another framework's, drawn neutral and outside of the chain.
        event_title: of the event, begins the title.
    """
    palette, reached, gains = _palette(ax), 1.0, []
    for row, step in enumerate(steps):
        ends = (step["low"], step["high"])
        if step.get("reference"):
            _bar(ax, row, step["ratio"], ends, palette, colour=palette.neutral, note=step.get("note", ""))
            continue
        _stair(ax, row, reached, step, palette)
        gains.append((step["ratio"] / reached, step["label"]))
        reached = step["ratio"]
    _rows(ax, [_cut(step["label"]) for step in steps], palette)
    return _dress(ax, palette, f"{event_title}: {_staircase_finding(reached, gains)}", BETTER)


def _stair(ax: Axes, row: int, reached: float, step: Mapping[str, Any], palette: Palette) -> None:
    ratio, back = step["ratio"], step["ratio"] < reached
    ax.barh(row, min(reached, ratio) - 1, left=1, height=0.56, color=palette.accent, alpha=0.35, lw=0)
    if back:
        ax.barh(row, ratio - reached, left=reached, height=0.56, fill=False, ec=palette.down, hatch="////", lw=1)
    else:
        ax.barh(row, ratio - reached, left=reached, height=0.56, color=palette.accent, lw=0)
    if row:  # where the step before had got to
        ax.plot([reached, reached], [row - 0.72, row + 0.28], color=palette.muted, lw=0.8)
    _interval(ax, row, (step["low"], step["high"]), palette)
    _label(ax, row, max(reached, step["high"]), ratio, step.get("note", ""), palette)


def _staircase_finding(reached: float, gains: Sequence[tuple[float, str]]) -> str:
    if not gains:
        return "no steps yet"
    most, label = max(gains)
    return f"{_times(reached)} in {len(gains)} steps, most of it from {_cut(label)} ({_times(most)})"


def quality_against_speed(ax: Axes, submissions: Sequence[Submission], event_title: str) -> Axes:
    """Each submission as a point: speedup to the right, quality lost downwards, the floor as a line.

    Below the floor the point is hollow; far below, it is an arrow at the lower edge with its value beside it, so
    that the others are not pressed together. Vertical lines are one standard error of the difference.
    """
    palette = _palette(ax)
    entries = [entry for entry in submissions if _drawable(entry) and entry.get("quality")]
    unit, scale = _quality_unit(entries)
    floor = max((scale * entry["quality"]["floor"] for entry in entries), default=0.0)
    points = [_quality_point(ax, entry, scale, -LOWEST_FLOORS * floor, palette) for entry in entries]
    levels = [
        _level(ax, 0.0, "baseline", palette.muted, palette.neutral, "-"),
        _level(ax, -floor, "floor", palette.down, palette.down, (0, (5, 3))),
    ]
    held = sum(bool(entry["quality"]["ok"]) for entry in entries)
    ax.set_ylabel(f"{unit}\n(up is better)", color=palette.muted)
    ax.tick_params(axis="y", length=0, colors=palette.muted)
    ax.margins(y=0.15)
    _dress(ax, palette, f"{event_title}: {held} of {len(entries)} entries hold the floor", FASTER)
    _name_points(ax, points, [0.0, -floor], levels, palette)
    return ax


def _quality_point(ax: Axes, entry: Submission, scale: float, lowest: float, palette: Palette) -> Point:
    """Draw one point at its place or at the edge."""
    quality, ratio = entry["quality"], _ratio(entry)
    gained, error = -scale * quality["difference"], scale * quality["standard_error"]
    face = palette.accent if quality["ok"] else palette.paper
    if gained < lowest:
        ax.plot(ratio, lowest, "v", ms=8, color=palette.accent, mfc=face, mew=1.2)
        return Point(ratio, lowest, 0.0, f"{_name(entry)}: \N{MINUS SIGN}{-gained:.2g}")
    ax.errorbar(ratio, gained, yerr=error, fmt="o", ms=7, color=palette.accent, mfc=face, mew=1.2, lw=1)
    return Point(ratio, gained, error, _name(entry))


def _level(ax: Axes, y: float, name: str, ink: str, colour: str, style: Any) -> Text:
    """A line over the whole width, with its name above the right end."""
    ax.axhline(y, color=colour, lw=1.1, ls=style, zorder=1)
    right = ax.get_yaxis_transform()
    where: dict[str, Any] = {"ha": "right", "va": "bottom", "transform": right}
    return ax.text(1, y, name, color=ink, fontsize="small", parse_math=False, **where)


def disciplines(ax: Axes, submission: Submission) -> Axes:
    """The ten ratios of a Decathlon entry as bars around the baseline's 1x, in the order of the event."""
    palette, ratios = _palette(ax), submission.get("disciplines") or {}
    for row, result in enumerate(ratios.values()):
        colour = palette.down if result["high"] < 1 else palette.neutral if result["low"] <= 1 else palette.accent
        _bar(ax, row, result["ratio"], (result["low"], result["high"]), palette, colour=colour)
    _rows(ax, list(ratios), palette)
    best = max(ratios, key=lambda name: ratios[name]["ratio"], default=None)
    finding = f"best in {best} ({_times(ratios[best]['ratio'])})" if best else "no disciplines measured"
    overall = f"{_times(submission['event_score'])} over all, " if best and submission.get("event_score") else ""
    return _dress(ax, palette, f"{_name(submission)}: {overall}{finding}", BETTER)


def balance(ax: Axes, submissions: Sequence[Submission], event_title: str, most: int = 3) -> Axes:
    """Speed, peak memory and weight bytes of the best ranked entries, as ratios to the baseline.

    The line through an entry's three bars is its score: on a log axis the cube root of a product lies in the
    middle of its factors.
    """
    palette = _palette(ax)
    entries = [entry for entry in submissions if _drawable(entry) and entry.get("ranked", True)]
    best = sorted(entries, key=lambda entry: float(entry["event_score"]), reverse=True)[:most]
    labels: list[str] = []
    for entry in best:
        _balanced(ax, len(labels), entry, palette)
        labels += [_name(entry), *_factors(entry)]
    _rows(ax, labels, palette)
    for label in ax.get_yticklabels()[::4]:
        label.set_fontweight("bold")
    finding = f"{_name(best[0])} scores {best[0]['event_score']:.2f}" if best else "no ranked entry"
    caption = f"{BETTER}\nline: the score, cube root of the product of the three"
    return _dress(ax, palette, f"{event_title}: {finding}", caption)


def _balanced(ax: Axes, top: int, entry: Submission, palette: Palette) -> None:
    """One entry below the row of its name: three bars and the line of its score through them."""
    score = float(entry["event_score"])
    for row, ratio in enumerate(_factors(entry).values(), top + 1):
        ax.barh(row, ratio - 1, left=1, height=0.56, color=palette.accent if ratio >= 1 else palette.down, lw=0)
        _label(ax, row, max(ratio, score), ratio, "", palette)
    ax.plot([score] * 2, [top + 0.45, top + 3.45], color=palette.ink, lw=1.4)
    _annotate(ax, f"{score:.2f}", (score, top + 0.4), (0, 2), palette.ink, ha="center", va="bottom")


def _factors(entry: Submission) -> dict[str, float]:
    """What the balance is made of, each as baseline / entry."""
    return {
        "speed": _ratio(entry),
        "peak memory": entry["baseline_peak_memory_bytes"] / entry["peak_memory_bytes"],
        "weights": entry["baseline_model_bytes"] / entry["model_bytes"],
    }


def rounds(ax: Axes, report: Submission, event_title: str) -> Axes:
    """Every round's ratio as a dot, a lane for each case, with the estimate and its 95 % interval."""
    palette, all_rounds = _palette(ax), report.get("rounds") or []
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
    _rows(ax, lanes, palette)
    finding = _with_interval(_ratio(report), _ends(report)) if _drawable(report) else "not measured"
    title = f"{event_title}: {finding}, {len(all_rounds)} rounds"
    return _dress(ax, palette, title, f"{FASTER}\ndots: rounds; line and band: estimate with its 95 % interval")


# ---------------------------------------------------------------- parts


def _bar(
    ax: Axes,
    row: int,
    ratio: float,
    ends: Sequence[float],
    palette: Palette,
    colour: str = "",
    hollow: bool = False,
    note: str = "",
) -> None:
    """A bar from the baseline's 1x to `ratio`, its interval, and the number to the right of all of it.

    `ends` begins with the interval's; further ones are of what else stands in the row.
    """
    face = "none" if hollow else colour or palette.accent
    edge = palette.neutral if hollow else "none"
    ax.barh(row, ratio - 1, left=1, height=0.56, facecolor=face, edgecolor=edge, linewidth=1.2)
    _interval(ax, row, ends[:2], palette)
    _label(ax, row, max(*ends, ratio, 1.0), ratio, note, palette)


def _interval(ax: Axes, row: int, ends: Sequence[float], palette: Palette) -> None:
    ax.plot(ends, [row, row], "|-", color=palette.ink, lw=1.1, ms=7, mew=1.1, solid_capstyle="butt")


def _label(ax: Axes, row: int, right: float, ratio: float, note: str, palette: Palette) -> None:
    number = _annotate(ax, _times(ratio), (right, row), (7, 0), palette.ink, weight="bold", va="center")
    if note:
        ax.annotate(
            _cut(note),
            (1, 0.5),
            xycoords=number,
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=palette.muted,
            parse_math=False,
        )


def _rows(ax: Axes, labels: Sequence[str], palette: Palette) -> None:
    """Name the rows, the first at the top."""
    ax.set_yticks(range(len(labels)), labels=[_cut(label) for label in labels], parse_math=False)
    ax.set_ylim(max(len(labels), 4) - 0.4, -0.6)  # the first at the top; few bars stay thin
    ax.tick_params(axis="y", length=0, labelcolor=palette.ink)


def _dress(ax: Axes, palette: Palette, title: str, xlabel: str) -> Axes:
    """Log axis of ratios with the baseline marked, title at the left edge, no more ink than that."""
    low, high = _reach(ax)
    ax.set_xscale("log")
    ax.set_xlim(low / (high / low) ** 0.03, high * (high / low) ** 0.2)
    ax.xaxis.set_major_locator(LogLocator(subs=_tick_subs(high / low), numticks=20))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    ax.axvline(1, color=palette.muted, lw=1, zorder=1)
    ax.grid(axis="x", color=palette.grid, lw=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel(xlabel, color=palette.muted)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.patch.set_alpha(0)
    ax.tick_params(axis="x", length=0, colors=palette.muted)
    return _entitle(ax, title, palette)


def _entitle(ax: Axes, title: str, palette: Palette) -> Axes:
    lines = textwrap.wrap(_printable(title), LONGEST_TITLE, max_lines=2, placeholder=" …", break_on_hyphens=False)
    text = ax.set_title("\n".join(lines), loc="left", pad=12, color=palette.ink, parse_math=False)
    text.set(fontsize="large", weight="bold")
    drawing = ax.get_figure(root=True)
    if drawing is not None and len(drawing.axes) == 1:  # alone: the title begins above the row labels
        text.set_transform(blended_transform_factory(drawing.transFigure, text.get_transform()))
        text.set_x(0.02)
    return ax


def _reach(ax: Axes) -> tuple[float, float]:
    """Smallest and largest ratio drawn, with the baseline's 1x, and never less than a factor of 1.5 apart."""
    box = ax.dataLim
    drawn = [x for x in (box.x0, box.x1) if math.isfinite(x) and x > 0]
    low, high = min([1.0, *drawn]), max([1.0, *drawn])
    return (low, high) if high / low > 1.5 else (min(low, 0.9), max(high, 1.5))


def _tick_subs(span: float) -> Sequence[float]:
    """Ticks of each decade, such that three to eight stand on the axis."""
    return (1, 1.5, 2, 3, 5, 7) if span < 12 else (1, 2, 5) if span < 200 else (1,)


def _name_points(
    ax: Axes,
    points: Sequence[Point],
    lines: Sequence[float],
    written: Sequence[Text],
    palette: Palette,
) -> None:
    """Write each name beside its point, at the first place where it covers no name, point, line or text."""
    drawing = ax.get_figure(root=True)
    assert drawing is not None
    FigureCanvasAgg(drawing)
    with _any_text():
        drawing.draw_without_rendering()
        frame, to_pixels = ax.get_window_extent(), ax.transData.transform
        ends = [to_pixels([(each.x, each.y - each.error), (each.x, each.y + each.error)]) for each in points]
        taken = [Bbox.from_extents(low[0], low[1], high[0], high[1]).padded(6) for low, high in ends]
        taken += [Bbox.from_bounds(frame.x0, to_pixels((1, line))[1] - 1, frame.width, 2) for line in lines]
        taken += [text.get_window_extent() for text in written]
        for point in points:
            taken.append(_place_name(ax, point, taken, frame, palette))


def _place_name(ax: Axes, point: Point, taken: Sequence[Bbox], frame: Bbox, palette: Palette) -> Bbox:
    """Try the places from near to far; where none is free, the last is as good as any."""
    text = _annotate(ax, point.name, (point.x, point.y), (0, 0), palette.ink, va="center", fontsize="small")
    for dx, dy in NAME_PLACES:
        text.set_position((dx, dy))
        text.set_horizontalalignment("left" if dx > 0 else "right")
        box: Bbox = text.get_window_extent()
        if frame.x0 <= box.x0 and box.x1 <= frame.x1 and not any(box.overlaps(other) for other in taken):
            break
    return box


def _annotate(
    ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], colour: str, **how: Any
) -> Any:
    return ax.annotate(text, at, xytext=offset, textcoords="offset points", color=colour, parse_math=False, **how)


# ---------------------------------------------------------------- reading submissions


def _palette(drawn: Axes | Figure) -> Palette:
    """The theme is seen from the paper, so that any figure will do, also one of pyplot's."""
    drawing = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    paper = to_rgb(drawing.get_facecolor()) if drawing is not None else (1.0, 1.0, 1.0)
    return THEMES["light" if sum(paper) > 1.5 else "dark"]


def _drawable(entry: Submission) -> bool:
    ratio = entry.get("speedup_vs_baseline")
    return isinstance(ratio, (int, float)) and math.isfinite(ratio) and ratio > 0


def _ratio(entry: Submission) -> float:
    return float(entry["speedup_vs_baseline"])


def _ends(entry: Submission) -> tuple[float, float]:
    low, high = entry.get("speedup_ci") or (_ratio(entry), _ratio(entry))
    return float(low), float(high)


def _quality_unit(entries: Sequence[Submission]) -> tuple[str, float]:
    metrics = {entry["quality"]["metric"] for entry in entries} or {"accuracy"}
    if len(metrics) > 1:
        raise PlotError(f"entries of {' and '.join(sorted(metrics))} in one chart; hand in those of one event")
    return ("points of accuracy gained", 100.0) if metrics == {"accuracy"} else ("bits per character saved", 1.0)


def _name(entry: Submission) -> str:
    return _cut(str(entry.get("team_name", "")))


def _cut(text: str) -> str:
    """One line of what can be printed, at most LONGEST_NAME characters."""
    line = _printable(text)
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


def _printable(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x"


def _with_interval(ratio: float, ends: tuple[float, float]) -> str:
    return f"{_times(ratio)} [{_times(ends[0])[:-1]}, {_times(ends[1])[:-1]}]"
