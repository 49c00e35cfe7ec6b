"""Charts of how a number came about: runs, repeated ratios, protocols compared, a profile, the roofline.

Every run is a dot and the median a bar: the noise is seen before the claim. Times start at zero.
Does not: measure, judge or score; takes what was measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tinytorch.perf.plots.easel import (
    LONGEST_NAME,
    Palette,
    PlotError,
    Point,
    annotate,
    cut,
    draw_number,
    dress_ratios,
    entitle,
    name_points,
    name_rows,
    palette_of,
    printable,
    seconds,
    seconds_unit,
    strip,
    times,
)

WILD = 3.0  # times the largest median: a run beyond it is held at the edge
CLOSE = 1.02  # an interval whose ends are nearer than this factor is written with three decimals
NOISY_PEAK = 1.05  # times the peak: who does more than that shows that the peak is not the machine's
MOST_NAMED = 6  # points of a roofline: those that take the most time
MOST_LAYERS = 14  # rows of a profile; the smallest of more are added up

RUNS_SIGNS = "dots: runs, the first at the top; bar: median"

# ---------------------------------------------------------------- runs and protocols


def runs(ax: Axes, times_by_name: Mapping[str, Sequence[float]], title: str | None = None) -> Axes:
    """Every run as a dot in the lane of its name, from top to bottom in the order they ran; the median as a bar.

    Args:
        ax: to draw on.
        times_by_name: seconds of each run, in their order.
        title: by default how far apart the runs of one model are.

    Runs beyond three times the largest median are arrows at the edge, with their value.

    Raises:
        PlotError: a name has no runs, or a time is not a positive number.
    """
    palette = palette_of(ax)
    _check_positive("times", times_by_name)
    edge = _edge(list(times_by_name.values()))
    factor, unit = seconds_unit(max(map(statistics.median, times_by_name.values()), default=1.0))
    for row, times_s in enumerate(times_by_name.values()):
        _lane(ax, row, times_s, edge, factor, palette)
    name_rows(ax, list(times_by_name), palette)
    ax.set_ylim(max(len(times_by_name), 1) - 0.5, -0.65)
    wild = any(each > edge for times_s in times_by_name.values() for each in times_s)
    ax.set_xlim(0, (1.3 if wild else 1.12) * factor * edge)
    ax.xaxis.set_major_locator(MaxNLocator(7))
    ax.grid(axis="x", color=palette.grid, lw=0.7)
    strip(
        ax, palette, f"time of one run in {unit} (left is better)\ndots: runs, the first at the top; bar: median"
    )
    return entitle(ax, _spread(times_by_name) if title is None else title, palette)


def _check_positive(what: str, lanes: Mapping[str, Sequence[float]]) -> None:
    for name, lane in lanes.items():
        if not len(lane) or not all(math.isfinite(each) and each > 0 for each in lane):
            raise PlotError(f"the {what} of {name!r} are {list(lane)[:4]}; expected one or more, all above 0")


def _edge(lanes: Sequence[Sequence[float]]) -> float:
    """The largest time that is drawn at its place."""
    limit = WILD * max(map(statistics.median, lanes), default=1.0)
    return max((each for lane in lanes for each in lane if each <= limit), default=limit)


def _lane(ax: Axes, row: int, times_s: Sequence[float], edge: float, factor: float, palette: Palette) -> None:
    heights = [row - 0.24 + 0.62 * (place + 0.5) / len(times_s) for place in range(len(times_s))]
    seen = [(factor * each, y) for each, y in zip(times_s, heights, strict=True) if each <= edge]
    ax.plot(*zip(*seen, strict=True), "o", ms=4.5, color=palette.accent, alpha=0.6, mew=0)
    wild = [(each, y) for each, y in zip(times_s, heights, strict=True) if each > edge]
    for _, y in wild:
        ax.plot(1.06 * factor * edge, y, ">", ms=6, color=palette.down, mew=0)
    if wild:
        slowest, y = max(wild)
        words = seconds(slowest) if len(wild) == 1 else f"{len(wild)} runs up to {seconds(slowest)}"
        annotate(ax, words, (1.06 * factor * edge, y), (7, 0), palette.down, va="center", fontsize="small")
    middle = factor * statistics.median(times_s)
    ax.plot([middle] * 2, [row - 0.3, row + 0.42], color=palette.ink, lw=2)
    annotate(ax, seconds(middle / factor), (middle, row - 0.3), (0, 1), palette.ink, ha="center", weight="bold")


def _spread(times_by_name: Mapping[str, Sequence[float]]) -> str:
    """How far apart the runs of one name are, for the worst of them."""
    apart = {name: max(each) / min(each) for name, each in times_by_name.items()}
    if not apart:
        return "no runs yet"
    name = max(apart, key=lambda each: apart[each])
    of = f" of {cut(name)}" if len(apart) > 1 else ""
    return f"{len(times_by_name[name])} runs{of}: the slowest took {times(apart[name])} the time of the fastest"


def ratios(ax: Axes, ratios_by_name: Mapping[str, Sequence[float]], title: str | None = None) -> Axes:
    """Repeated measurements of one ratio: each a dot in the lane of its name, their median as a bar, 1x as a line.

    Args:
        ax: to draw on.
        ratios_by_name: baseline time over candidate time, 1 for a model against itself.
        title: by default how far from 1 the worst of each lane is.

    Raises:
        PlotError: a name has no ratios, or one of them is not a positive number.
    """
    palette = palette_of(ax)
    _check_positive("ratios", ratios_by_name)
    for row, lane in enumerate(ratios_by_name.values()):
        heights = [row - 0.2 + 0.5 * (place + 0.5) / len(lane) for place in range(len(lane))]
        ax.plot(lane, heights, "o", ms=5, color=palette.accent, alpha=0.7, mew=0)
        middle = statistics.median(lane)
        ax.plot([middle] * 2, [row - 0.26, row + 0.36], color=palette.ink, lw=2)
        ends = f"{times(min(lane))} to {times(max(lane))}"
        annotate(ax, ends, (max(*lane, 1.0), row), (9, 0), palette.muted, va="center", fontsize="small")
    name_rows(ax, list(ratios_by_name), palette)
    ax.set_ylim(max(len(ratios_by_name), 2) - 0.4, -0.6)
    caption = "measured ratio, log scale (1x: as fast as each other)\ndots: one measurement each; bar: median"
    return dress_ratios(ax, palette, _worst_of(ratios_by_name) if title is None else title, caption, least=1.1)


def _worst_of(ratios_by_name: Mapping[str, Sequence[float]]) -> str:
    """How far from 1 the worst of each lane is: as a factor from 1.5 on, below that in percent."""
    worst = {name: max(max(each, 1 / each) for each in lane) for name, lane in ratios_by_name.items()}
    if not worst:
        return "no ratios yet"
    words = [
        f"{cut(name)}: {times(off) if off >= 1.5 else _percent(off - 1)} from 1"
        for name, off in sorted(worst.items(), key=lambda item: -item[1])
    ]
    return f"at worst, {words[0]}" if len(words) == 1 else f"at worst, {words[0]}; {words[-1]}"


def intervals(ax: Axes, estimates: Sequence[Mapping[str, Any]], truth: float | None = None) -> Axes:
    """One ratio by several protocols: the estimate as a dot on its interval, and the truth as a line.

    Args:
        ax: to draw on.
        estimates: of `label`, `ratio`, `low` and `high`.
        truth: the ratio that is known; 1 for a model against itself. What misses it is in the warning colour.
    """
    palette = palette_of(ax)
    for row, each in enumerate(estimates):
        low, high = each["low"], each["high"]
        missed = truth is not None and not low <= truth <= high
        colour = palette.down if missed else palette.accent
        ax.plot([low, high], [row, row], color=colour, lw=6, alpha=0.35, solid_capstyle="butt")
        ax.plot(each["ratio"], row, "o", ms=7, color=colour, mew=0)
        number, ends = _estimate(each["ratio"], low, high)
        draw_number(ax, row, max(high, each["ratio"], 1.0), number, ends, palette)
    if truth is not None:
        ax.axvline(truth, color=palette.ink, lw=1.2, ls=(0, (5, 3)), zorder=1)
    name_rows(ax, [each["label"] for each in estimates], palette)
    caption = "ratio, log scale\ndot: estimate, band: where it may fall"
    caption += "" if truth is None else f"; dashed: the truth, {times(truth)}"
    return dress_ratios(ax, palette, _protocols_finding(estimates, truth), caption, least=1.1)


def _estimate(ratio: float, low: float, high: float) -> tuple[str, str]:
    """Number and interval in words, fine enough to tell the ends apart."""
    if high / low < CLOSE:
        return f"{ratio:.3f}x", f"{low:.3f} to {high:.3f}"
    return times(ratio), f"{low:.3g} to {high:.3g}"


def _protocols_finding(estimates: Sequence[Mapping[str, Any]], truth: float | None) -> str:
    """Worst and best of the protocols: how far an end of the interval is from the truth, or else from the dot."""
    wrong = {
        each["label"]: max(abs(end / (truth or each["ratio"]) - 1) for end in (each["low"], each["high"]))
        for each in estimates
    }
    if not wrong:
        return "no estimates yet"
    worst, best = (f(wrong, key=lambda label: wrong[label]) for f in (max, min))
    first = f"{cut(worst)}: off by up to {_percent(wrong[worst])}"
    return first if worst == best else f"{first}; {cut(best)}: {_percent(wrong[best])}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


# ---------------------------------------------------------------- where the time goes


def profile(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> Axes:
    """Each layer's share of the time as a bar, in the order of the model; time, bytes and speed beside it.

    Args:
        ax: to draw on.
        rows: as `tinytorch.core.profiler.Profiler.rows()` gives them: `name`, `kind`, `share`, `own_s`,
            `flops` and `output_bytes`. Of more than 14 the smallest are added up.
    """
    palette = palette_of(ax)
    shown = _largest(rows)
    most = max(shown, key=lambda row: row["share"], default=None)
    for place, row in enumerate(shown):
        colour = palette.accent if row is most else palette.neutral
        ax.barh(place, 100 * row["share"], height=0.62, color=colour, lw=0)
        share, how = 100 * row["share"], {"weight": "bold", "va": "center"}
        number = annotate(ax, f"{share:.0f} %", (share, place), (6, 0), palette.ink, **how)
        beside: dict[str, Any] = {"xycoords": number, "va": "center", "fontsize": "small"}
        annotate(ax, _work(row), (1, 0.5), (6, 0), palette.muted, **beside)
    name_rows(ax, [_layer(row) for row in shown], palette)
    ax.set_xlim(0, 260 * max((row["share"] for row in shown), default=1.0))
    ax.xaxis.set_major_locator(MaxNLocator(8))
    ax.grid(axis="x", color=palette.grid, lw=0.7)
    strip(ax, palette, "share of the time in the layer's own code, %")
    return entitle(ax, _profile_finding(rows, most), palette)


def _largest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(rows) <= MOST_LAYERS:
        return list(rows)
    kept = sorted(range(len(rows)), key=lambda place: -rows[place]["share"])[: MOST_LAYERS - 1]
    others = [row for place, row in enumerate(rows) if place not in kept]
    total = {key: sum(row[key] or 0 for row in others) for key in ("share", "own_s", "output_bytes")}
    rest = {"name": f"{len(others)} others", "kind": "", "flops": None, **total}
    return [rows[place] for place in sorted(kept)] + [rest]


def _layer(row: Mapping[str, Any]) -> str:
    """Name and kind where both fit, else the end of the name, which tells layers apart."""
    name, kind = str(row["name"]), str(row["kind"])
    both = name if not kind or name == kind else f"{name} {kind}"
    return both if len(both) <= LONGEST_NAME else _end_of(name)


def _end_of(name: object) -> str:
    """A layer's name as it fits: the end of a long one, which tells layers apart."""
    line = printable(str(name))
    return line if len(line) <= LONGEST_NAME else f"…{line[1 - LONGEST_NAME :]}"


def _work(row: Mapping[str, Any]) -> str:
    """Time, bytes that came out and arithmetic a second, where they are known."""
    parts = [seconds(row["own_s"])]
    parts += [f"{row['output_bytes'] / 1e3:,.0f} kB out"] if row["output_bytes"] else []
    parts += [f"{row['flops'] / row['own_s'] / 1e9:.1f} GFLOP/s"] if row["flops"] and row["own_s"] else []
    return ", ".join(parts)


def _profile_finding(rows: Sequence[Mapping[str, Any]], most: Mapping[str, Any] | None) -> str:
    if most is None:
        return "nothing was profiled"
    total = sum(row["own_s"] for row in rows)
    return f"{cut(_layer(most))} takes {100 * most['share']:.0f} % of {seconds(total)}"


# ---------------------------------------------------------------- what the machine can do


def roofline(
    ax: Axes,
    machine_peak_flops: float,
    machine_bandwidth_bytes_s: float,
    points: Sequence[Mapping[str, Any]],
) -> Axes:
    """What the machine allows at each arithmetic intensity, and how close each point comes.

    Args:
        ax: to draw on.
        machine_peak_flops: floating-point operations a second, as measured with a large matrix product.
        machine_bandwidth_bytes_s: bytes a second from memory, as measured with a large copy.
        points: of `label`, `flops`, `bytes` (moved) and `time_s`. Points without arithmetic are left out.

    Raises:
        PlotError: a figure of the machine is not above 0.
    """
    if not (machine_peak_flops > 0 and machine_bandwidth_bytes_s > 0):
        raise PlotError(
            f"the machine does {machine_peak_flops} FLOP/s and {machine_bandwidth_bytes_s} bytes/s; both must be "
            f"above 0: measure them first"
        )
    palette, peak, bandwidth = palette_of(ax), machine_peak_flops / 1e9, machine_bandwidth_bytes_s / 1e9
    drawn = [each for each in points if each["flops"] and each["bytes"] > 0 and each["time_s"] > 0]
    xs = [each["flops"] / each["bytes"] for each in drawn]
    speeds = [each["flops"] / each["time_s"] / 1e9 for each in drawn]
    _draw_roof(ax, (peak, bandwidth), xs, speeds, palette)
    ax.plot(xs, speeds, "o", ms=7, color=palette.accent, mew=0)
    roofs = [min((peak, "matrix product"), (x * bandwidth, "copy")) for x in xs]
    shares = [(speed / roof, bound) for speed, (roof, bound) in zip(speeds, roofs, strict=True)]
    entitle(ax, _roofline_finding([each["label"] for each in drawn], shares), palette)
    longest = sorted(range(len(drawn)), key=lambda place: -drawn[place]["time_s"])[:MOST_NAMED]
    others = [place for place in range(len(drawn)) if place not in longest]
    marks = [Point(xs[place], speeds[place], 0.0, _end_of(drawn[place]["label"])) for place in longest]
    name_points(ax, marks + [Point(xs[place], speeds[place], 0.0, "") for place in others], palette)
    return ax


def _draw_roof(
    ax: Axes, machine: tuple[float, float], xs: Sequence[float], speeds: Sequence[float], palette: Palette
) -> None:
    """Memory's slope up to the ridge, then the peak."""
    peak, bandwidth = machine
    ridge = peak / bandwidth
    low, high = min([ridge / 8, *xs]) / 2, max([ridge * 8, *xs]) * 2
    ax.plot([low, ridge, high], [low * bandwidth, peak, peak], color=palette.ink, lw=1.6)
    ax.set(
        xscale="log",
        yscale="log",
        xlim=(low, high),
        ylim=(min([low * bandwidth, *speeds]) / 2, max([peak, *speeds]) * 3),
    )
    _dress_roofline(ax, bandwidth, (low, high), palette)
    right = high / (high / low) ** 0.35  # from here on the peak's name would lie on a point
    above = [y for x, y in zip(xs, speeds, strict=True) if x > right and y > 0.8 * peak]
    at, rise = (high, max([peak, *above])), 7 if above else 4
    annotate(ax, f"peak {peak:.3g} GFLOP/s", at, (-2, rise), palette.muted, ha="right", fontsize="small")


def _dress_roofline(ax: Axes, bandwidth: float, ends: tuple[float, float], palette: Palette) -> None:
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(numticks=12))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.grid(color=palette.grid, lw=0.7)
    how: dict[str, Any] = {"fontsize": "small"}
    x, y = 1.2 * ends[0], 1.5 * ends[0] * bandwidth  # a little above the line, and as steep
    how |= {"rotation": math.degrees(math.atan2(y, x)), "rotation_mode": "anchor", "transform_rotates_text": True}
    ax.text(x, y, f"memory {bandwidth:.3g} GB/s", color=palette.muted, parse_math=False, **how)
    strip(ax, palette, "floating-point operations per byte moved, log scale", "GFLOP/s, log scale\n(up is better)")


def _roofline_finding(labels: Sequence[str], shares: Sequence[tuple[float, str]]) -> str:
    """Who comes closest to its roof and who least; `shares` of the roof, and by what it was drawn there."""
    if not labels:
        return "no arithmetic to place under the roof"
    (share, bound), label = max(zip(shares, labels, strict=True))
    (worst, _), last = min(zip(shares, labels, strict=True))
    verb, roof = "reaches", "what the machine allows"
    if share > NOISY_PEAK:  # wider instructions than BLAS uses, a cache, or less arithmetic than was counted
        verb, roof = "does", f"the roof's {bound}"
    first = f"{_end_of(label)} {verb} {_percent(share)} of {roof}"
    return first if len(labels) == 1 else f"{first}, {_end_of(last)} {_percent(worst)}"
