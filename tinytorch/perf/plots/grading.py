"""Charts of grading: what a model is asked, and what it loses against the baseline.

A loss is drawn in shares of the event's floor, so that accuracy and bits stand on one axis.
Does not: measure, judge, score, read files or call `show`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tinytorch.perf.plots.easel import (
    Palette,
    PlotError,
    annotate,
    cut,
    entitle,
    name_rows,
    palette_of,
    strip,
)

GAP = 2  # pixels between pictures
FARTHEST = 3.0  # floors: a loss beyond it is held at the edge, with its value

# ---------------------------------------------------------------- what a model is asked


def pictures(ax: Axes, images_by_title: Mapping[str, np.ndarray], title: str = "") -> Axes:
    """Rows of greyscale pictures, each row named at its left.

    Args:
        ax: to draw on.
        images_by_title: (n, height, width) each, all of one height; white is the largest value of the row.
        title: of the chart, by default none.

    Raises:
        PlotError: no rows, or a row is not of that shape.
    """
    palette = palette_of(ax)
    rows = [_strip_of(name, np.asarray(images)) for name, images in images_by_title.items()]
    if not rows:
        raise PlotError("no pictures: expected at least one row of shape (n, height, width)")
    heights = {len(row) for row in rows}
    if len(heights) > 1:
        raise PlotError(f"the rows are {sorted(heights)} pixels high; expected one height")
    width, height = max(row.shape[1] for row in rows), heights.pop()
    for place, row in enumerate(rows):
        top = place * (height + 2 * GAP)
        ax.imshow(row, cmap="gray_r", vmin=0, vmax=1, extent=(0, row.shape[1], top + height, top))
    ax.set(xlim=(0, width), ylim=(len(rows) * (height + 2 * GAP) - 2 * GAP, 0), aspect="equal")
    middles = [place * (height + 2 * GAP) + height / 2 for place in range(len(rows))]
    ax.set_yticks(middles, labels=[cut(name) for name in images_by_title], parse_math=False)
    ax.set_xticks([])
    strip(ax, palette, "")
    ax.tick_params(axis="y", length=0, labelcolor=palette.ink)
    return entitle(ax, title, palette) if title else ax


def _strip_of(name: str, images: np.ndarray) -> np.ndarray:
    """(height, n x (width + GAP)) in 0..1, side by side."""
    if images.ndim != 3 or not images.size:
        raise PlotError(f"the pictures of {name!r} have shape {images.shape}; expected (n, height, width), n >= 1")
    scaled = images / max(float(images.max()), 1e-12)
    return np.concatenate([np.pad(each, ((0, 0), (0, GAP))) for each in scaled], axis=1)


# ---------------------------------------------------------------- what a model loses


def losses(ax: Axes, quality_by_name: Mapping[str, Mapping[str, Any]]) -> Axes:
    """What each model loses against the baseline, with a 95 % interval, and the floor as a line.

    Args:
        ax: to draw on.
        quality_by_name: `tinytorch.perf.records.Quality` as mappings, of one event.

    Below the floor (to the right of the line) dot and number are in the warning colour; a loss of more than three
    floors is an arrow at the edge.

    Raises:
        PlotError: nothing to draw, or the qualities are of more than one metric or floor.
    """
    palette = palette_of(ax)
    kinds = {(each["metric"], each["floor"]) for each in quality_by_name.values()}
    if len(kinds) != 1:
        raise PlotError(f"metrics and floors are {sorted(kinds)}; expected one, of the models of one event")
    metric, floor = kinds.pop()
    factor, unit = (100, "percentage points") if metric == "accuracy" else (1, "bits per character")
    floor, edge = factor * floor, FARTHEST * factor * floor
    for row, quality in enumerate(quality_by_name.values()):
        _loss(
            ax,
            row,
            factor * quality["difference"],
            factor * 1.96 * quality["standard_error"],
            edge,
            quality,
            palette,
        )
    ax.axvline(0, color=palette.muted, lw=1, zorder=1)
    ax.axvline(floor, color=palette.ink, lw=1.2, ls=(0, (5, 3)), zorder=1)
    name_rows(ax, list(quality_by_name), palette)
    ax.set_ylim(max(len(quality_by_name), 2) - 0.4, -0.9)
    annotate(ax, f"floor: {floor:.2g}", (floor, -0.75), (4, 0), palette.muted, va="center", fontsize="small")
    low, high = ax.dataLim.x0, max(ax.dataLim.x1, floor)
    ax.set_xlim(min(low, 0) - 0.05 * (high - low), high + 0.25 * (high - low))
    ax.grid(axis="x", color=palette.grid, lw=0.7)
    strip(ax, palette, f"loss against the baseline in {unit} (left is better)\ndot: estimate; line: 95 % interval")
    return entitle(ax, _losses_finding(quality_by_name), palette)


def _loss(
    ax: Axes, row: int, loss: float, error: float, edge: float, quality: Mapping[str, Any], palette: Palette
) -> None:
    """One model: dot, interval and number; an arrow where the dot would be off the chart."""
    colour = palette.accent if quality["ok"] else palette.down
    number = f"{loss:+.2f}" if quality["metric"] == "accuracy" else f"{loss:+.3f}"
    if loss > edge:
        ax.plot(edge, row, ">", ms=8, color=colour, mew=0)
        annotate(ax, number, (edge, row), (9, 0), colour, va="center", weight="bold")
        return
    ax.plot(
        [loss - error, min(loss + error, edge)], [row, row], color=colour, lw=6, alpha=0.35, solid_capstyle="butt"
    )
    ax.plot(loss, row, "o", ms=7, color=colour, mew=0)
    at = min(loss + error, edge)
    annotate(
        ax, number, (at, row), (8, 0), colour if not quality["ok"] else palette.ink, va="center", weight="bold"
    )


def _losses_finding(quality_by_name: Mapping[str, Mapping[str, Any]]) -> str:
    fallen = [name for name, quality in quality_by_name.items() if not quality["ok"]]
    total = len(quality_by_name)
    if not fallen:
        return f"all {total} hold the floor" if total > 1 else "it holds the floor"
    return f"{total - len(fallen)} of {total} hold the floor; below it: {_listed([cut(name) for name in fallen])}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
