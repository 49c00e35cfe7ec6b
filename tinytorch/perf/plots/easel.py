"""What every chart is drawn with: paper and colours, saving, axes, bars and names; and how submissions are read.

No pyplot, so that a chart may be drawn in any thread. Does not: know a chart, measure, judge, score or show.
"""

from __future__ import annotations

import contextlib
import html
import io
import logging
import math
import re
import textwrap
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox, ScaledTranslation, blended_transform_factory

Submission = Mapping[str, Any]

LONGEST_NAME = 26  # characters of a team's name on an axis
LONGEST_TITLE = 58  # characters of one line of a title of a chart that is
NARROW = 6.4  # inches wide; a wider one takes more
LONGEST_CAPTION = 76  # characters of one line below an axis
RISES = (0, 10, -10, 20, -20, 30, -30, 40, -40, 50, -50)
NAME_PLACES = [(9 * side, rise) for rise in RISES for side in (1, -1)]  # beside a point, in points of type
BESIDE = 10  # points of type: a name that stands higher or lower is joined to its point by a line
APART = 5  # pixels between two names side by side
ROOMY = 13.5  # points of type: in lower rows the type is small
# For letters that matplotlib's own font lacks: what Linux, macOS or Windows bring, tried in this order.
OTHER_FONTS = (
    *(f"Noto Sans CJK {country}" for country in ("SC", "JP", "KR", "TC")),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Segoe UI Symbol", "Segoe UI Emoji"),
    *("Noto Sans Devanagari", "Noto Emoji", "Symbola"),
)
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
    name: str  # empty where none is to be written


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
    colours = {colour: f"var(--tp-{name}, {colour})" for name, colour in asdict(palette_of(drawing)).items()}
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
    _set_fonts(drawing)
    picture = io.BytesIO()
    with any_text():
        drawing.savefig(picture, **how)
    return picture.getvalue()


def _set_fonts(drawing: Figure) -> None:
    """The font of all charts, then those of this machine that have other alphabets."""
    here = {font.name for font in fontManager.ttflist}
    fonts = ["DejaVu Sans", *(name for name in OTHER_FONTS if name in here)]
    for text in drawing.findobj(Text):
        text.set(family=fonts)


_SETTINGS: dict[Any, Any] = {"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "tinymlperf"}

_SETTINGS_LOCK = threading.RLock()  # the settings and the filters of warnings belong to the whole process


@contextlib.contextmanager
def any_text() -> Iterator[None]:
    """A `$` in a team's name is a character, not mathematics, and an alphabet without a font is no news."""
    with _SETTINGS_LOCK, matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        with _quiet(logging.getLogger("matplotlib.font_manager")):  # a font that has no bold face
            yield


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def draw_bar(
    ax: Axes,
    row: int,
    ratio: float,
    ends: Sequence[float],
    palette: Palette,
    colour: str = "",
    hollow: bool = False,
    note: str = "",
) -> None:
    """A bar from the baseline's 1x to `ratio`, its interval, and the number to the right of both."""
    draw_bare_bar(ax, row, ratio, ends, palette, colour, hollow)
    draw_number(ax, row, max(*ends, ratio, 1.0), times(ratio), note, palette)


def draw_bare_bar(
    ax: Axes,
    row: int,
    ratio: float,
    ends: Sequence[float],
    palette: Palette,
    colour: str = "",
    hollow: bool = False,
) -> None:
    """A bar from the baseline's 1x to `ratio`, and its interval."""
    face = "none" if hollow else colour or palette.accent
    edge = palette.neutral if hollow else "none"
    ax.barh(row, ratio - 1, left=1, height=0.56, facecolor=face, edgecolor=edge, linewidth=1.2)
    draw_interval(ax, row, ends, palette)


def draw_interval(ax: Axes, row: int, ends: Sequence[float], palette: Palette) -> None:
    """A thin line with an end at each side, rimmed with paper: ink alone is too close to a bar in the dark."""
    for colour, wider in ((palette.paper, 1.0), (palette.ink, 0.0)):
        how: dict[str, Any] = {"lw": 1.1 + wider, "mew": 1.1 + wider, "ms": 7 + wider}
        ax.plot(ends, [row, row], "|-", color=colour, solid_capstyle="butt", **how)


def draw_number(ax: Axes, row: int, right: float, words: str, note: str, palette: Palette) -> None:
    """A number to the right of `right`, and a note after it."""
    number = annotate(ax, words, (right, row), (7, 0), palette.ink, weight="bold", va="center")
    if note:
        ax.annotate(
            cut(note),
            (1, 0.5),
            xycoords=number,
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=palette.muted,
            parse_math=False,
        )


def draw_numbers(ax: Axes, ratios_by_row: Mapping[int, float], palette: Palette) -> None:
    """The ratios in one column at the right edge, for rows where a number at the end would be a dot's."""
    how: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "weight": "bold", "ha": "right", "va": "center"}
    how["fontsize"] = type_of(ax, len(ratios_by_row))
    for row, ratio in ratios_by_row.items():
        annotate(ax, times(ratio), (1, row), (0, 0), palette.ink, **how)


def name_rows(ax: Axes, labels: Sequence[str], palette: Palette) -> None:
    """Name the rows, the first at the top."""
    ax.set_yticks(range(len(labels)), labels=[cut(label) for label in labels], parse_math=False)
    ax.set_ylim(max(len(labels), 4) - 0.4, -0.6)  # the first at the top; few bars stay thin
    ax.tick_params(axis="y", length=0, labelcolor=palette.ink, labelsize=type_of(ax, len(labels)))


def type_of(ax: Axes, rows: int) -> str:
    """The size of type that fits into so many rows."""
    drawing = ax.get_figure(root=True)
    height = 72 * drawing.get_figheight() * ax.get_position().height if drawing is not None else math.inf
    return "medium" if height >= ROOMY * rows else "small"


def dress_ratios(
    ax: Axes, palette: Palette, title: str, xlabel: str, least: float = 1.5, room: float = 0.2
) -> Axes:
    """Log axis of ratios over a factor of at least `least`, the baseline marked, title at the left edge.

    `room` is what stays free at the right, in lengths of what is drawn.
    """
    low, high = _reach(ax, least)
    ax.set_xscale("log")
    ax.set_xlim(low / (high / low) ** 0.03, high * (high / low) ** room)
    close = high / low < 2  # a log axis that short has its ticks where a plain one has them
    ax.xaxis.set_major_locator(MaxNLocator(6) if close else LogLocator(subs=tick_subs(high / low), numticks=20))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    ax.axvline(1, color=palette.muted, lw=1, zorder=1)
    ax.grid(axis="x", color=palette.grid, lw=0.7)
    strip(ax, palette, xlabel)
    return entitle(ax, title, palette)


def strip(ax: Axes, palette: Palette, xlabel: str, ylabel: str = "") -> None:
    """Axes without frame and ticks, their labels in the muted colour, the grid (if any) below everything."""
    ax.set_axisbelow(True)
    ax.set_xlabel(xlabel, color=palette.muted)
    if ylabel:
        ax.set_ylabel(ylabel, color=palette.muted)
        ax.tick_params(axis="y", which="both", length=0, colors=palette.muted)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.patch.set_alpha(0)
    ax.tick_params(axis="x", which="both", length=0, colors=palette.muted)


def entitle(ax: Axes, title: str, palette: Palette) -> Axes:
    """The finding in at most two lines, from the left edge of a chart that stands alone."""
    drawing = ax.get_figure(root=True)
    broad = max(1.0, drawing.get_figwidth() / NARROW) if drawing is not None and len(drawing.axes) == 1 else 1.0
    longest = round(broad * LONGEST_TITLE)
    whole = printable(title).replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(whole, longest, max_lines=2, placeholder=" …", break_on_hyphens=False)
    text = ax.set_title(
        "\n".join(lines).replace("\N{NO-BREAK SPACE}", " "),
        loc="left",
        pad=12,
        color=palette.ink,
        parse_math=False,
    )
    text.set(fontsize="large", weight="bold")
    if drawing is not None and len(drawing.axes) == 1:  # alone: the title begins above the row labels
        text.set_transform(blended_transform_factory(drawing.transFigure, text.get_transform()))
        text.set_x(0.02)
    return ax


def _reach(ax: Axes, least: float) -> tuple[float, float]:
    """Smallest and largest ratio drawn, with the baseline's 1x, and never less than a factor of `least` apart."""
    box = ax.dataLim
    drawn = [x for x in (box.x0, box.x1) if math.isfinite(x) and x > 0]
    low, high = min([1.0, *drawn]), max([1.0, *drawn])
    return (low, high) if high / low > least else (min(low, 0.9 if least > 1.4 else 0.95), max(high, least))


def tick_subs(span: float) -> Sequence[float]:
    """Ticks of each decade, such that three to eight stand on the axis."""
    return (1, 1.5, 2, 3, 5, 7) if span < 12 else (1, 2, 5) if span < 200 else (1,)


def name_points(ax: Axes, points: Sequence[Point], palette: Palette) -> None:
    """Write each name beside its point where it covers no point, line or text; the first one chooses first.

    To be called when all else is drawn, the title too. A name that finds no free place is left out.
    """
    drawing = ax.get_figure(root=True)
    assert drawing is not None
    FigureCanvasAgg(drawing)
    with any_text():
        _set_fonts(drawing)  # before anything is measured
        drawing.draw_without_rendering()
        room = _room(ax, points)
        for point in points:
            if point.name:
                _place_name(ax, point, room, palette)


@dataclass(frozen=True)
class _Room:
    """What stands in a chart, in pixels; names are added as they find their place."""

    frame: Bbox
    points: list[Bbox]
    texts: list[Bbox]
    lines: list[Path]

    def holds(self, box: Bbox) -> bool:
        """The box is inside the frame and covers nothing."""
        inside = self.frame.containsx(box.x0) and self.frame.containsx(box.x1)
        inside = inside and self.frame.containsy(box.y0) and self.frame.containsy(box.y1)
        covered = inside and box.count_overlaps([*self.points, *self.texts])
        around = box.padded(2)  # a line is wider than its path
        return (
            inside and not covered and not any(line.intersects_bbox(around, filled=False) for line in self.lines)
        )

    def lets_pass(self, line: Path) -> bool:
        """The line meets no text."""
        return not any(line.intersects_bbox(box, filled=False) for box in self.texts)


def _room(ax: Axes, points: Sequence[Point]) -> _Room:
    """All that is drawn so far; `points` are those with a line of their error through them."""
    ends = [
        ax.transData.transform([(each.x, each.y - each.error), (each.x, each.y + each.error)]) for each in points
    ]
    lines = [line for line in ax.lines if line.get_linestyle() != "None"]
    return _Room(
        frame=ax.get_window_extent().frozen(),
        points=[Bbox([low, high]).padded(6) for low, high in ends],
        texts=[text.get_window_extent() for text in ax.texts],
        lines=[line.get_transform().transform_path(line.get_path()) for line in lines],
    )


def _place_name(ax: Axes, point: Point, room: _Room, palette: Palette) -> None:
    """Try the places from near to far; from afar, a thin line leads to the point."""
    text = annotate(ax, point.name, (point.x, point.y), (0, 0), palette.ink, va="center", fontsize="small")
    at, beside = ax.transData.transform((point.x, point.y)), text.get_window_extent()
    pixels = text.get_figure(root=True).dpi / 72  # of a point of type
    for dx, dy in NAME_PLACES:
        box = beside.translated(pixels * dx - (beside.width if dx < 0 else 0), pixels * dy)
        leader = Path([at, at + (pixels * dx, pixels * dy)])
        far = abs(dy) > BESIDE
        if room.holds(box) and not (far and not room.lets_pass(leader)):
            text.set(position=(dx, dy), ha="left" if dx > 0 else "right")
            room.texts.append(box.padded(APART, 0))
            if far:
                room.lines.append(leader)
                _lead(ax, point, (dx, dy), palette)
            return
    text.remove()


def _lead(ax: Axes, point: Point, offset: tuple[float, float], palette: Palette) -> None:
    """A thin line from the rim of a point to a name at `offset`, in points of type."""
    drawing, length = ax.get_figure(root=True), math.hypot(*offset)
    assert drawing is not None
    ends = [[part / 72 * share for share in (5 / length, 1 - 2 / length)] for part in offset]  # inches
    from_point = drawing.dpi_scale_trans + ScaledTranslation(point.x, point.y, cast(Any, ax.transData))
    ax.add_artist(Line2D(*ends, color=palette.muted, lw=0.6, transform=from_point))


def annotate(
    ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], colour: str, **how: Any
) -> Any:
    """Text beside a point, `offset` in points of type; never read as mathematics."""
    return ax.annotate(text, at, xytext=offset, textcoords="offset points", color=colour, parse_math=False, **how)


def palette_of(drawn: Axes | Figure) -> Palette:
    """The theme is seen from the paper, so that any figure will do, also one of pyplot's."""
    drawing = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    paper = to_rgb(drawing.get_facecolor()) if drawing is not None else (1.0, 1.0, 1.0)
    return THEMES["light" if sum(paper) > 1.5 else "dark"]


def drawable(entry: Submission) -> bool:
    """It has a speedup that can stand on a log axis."""
    ratio = entry.get("speedup_vs_baseline")
    return isinstance(ratio, (int, float)) and math.isfinite(ratio) and ratio > 0


def is_ranked(entry: Submission) -> bool:
    """It counts; so does what does not say."""
    return bool(entry.get("ranked", True))


def ratio_of(entry: Submission) -> float:
    """Speedup over the baseline."""
    return float(entry["speedup_vs_baseline"])


def ends_of(entry: Submission) -> tuple[float, float]:
    """Both ends of the speedup's interval; the speedup itself where there is none."""
    low, high = entry.get("speedup_ci") or (ratio_of(entry), ratio_of(entry))
    return float(low), float(high)


def reach_first(ends: Sequence[tuple[float, float]]) -> int:
    """How many intervals, the best first, cannot be told from the first: that one and all that reach it."""
    return sum(high >= ends[0][0] for _, high in ends)


def name_of(entry: Submission) -> str:
    """The team's name as it fits on an axis."""
    return cut(str(entry.get("team_name", "")))


def cut(text: str) -> str:
    """One line of what can be printed, at most LONGEST_NAME characters."""
    line = printable(text)
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


def printable(text: str) -> str:
    """One line, without what cannot be seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def seconds_unit(largest_s: float) -> tuple[float, str]:
    """Factor and name of the unit in which a time reads best: 0.002 s gives (1000.0, "ms")."""
    return (1.0, "s") if largest_s >= 1 else (1e3, "ms") if largest_s >= 1e-3 else (1e6, "µs")


def seconds(time_s: float) -> str:
    """Three figures with their unit."""
    factor, unit = seconds_unit(time_s)
    return f"{time_s * factor:.3g} {unit}"


def size(size_bytes: float) -> str:
    """Three figures with their unit."""
    factor, unit = (1e9, "GB") if size_bytes >= 1e9 else (1e6, "MB") if size_bytes >= 1e6 else (1e3, "kB")
    return f"{size_bytes / factor:.3g} {unit}"


def times(ratio: float) -> str:
    """Three figures and an x."""
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x"


def with_interval(ratio: float, ends: tuple[float, float]) -> str:
    """2.00x [1.95, 2.05]."""
    return f"{times(ratio)} [{times(ends[0])[:-1]}, {times(ends[1])[:-1]}]"
