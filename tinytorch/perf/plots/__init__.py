"""Charts: each takes records and an axes, draws the finding and gives the axes back.

    drawing = plots.figure(theme="dark")
    plots.speedups(drawing.subplots(), submissions, "MLP Sprint")
    plots.to_png(drawing)

Does not: measure, judge, score, read files or call `show`. The only room besides the widgets that imports
matplotlib.
"""

from tinytorch.perf.plots.easel import (
    BETTER,
    FASTER,
    LONGEST_CAPTION,
    LONGEST_NAME,
    LONGEST_TITLE,
    THEMES,
    Palette,
    PlotError,
    figure,
    to_png,
    to_svg,
)
from tinytorch.perf.plots.entries import (
    balance,
    disciplines,
    pareto,
    quality_against_speed,
    rounds,
    sizes,
    speedups,
    staircase,
)
from tinytorch.perf.plots.grading import losses, pictures
from tinytorch.perf.plots.measuring import intervals, profile, ratios, roofline, runs
from tinytorch.perf.plots.standing import composite_weight, lead_changes, progress

__all__ = [
    "BETTER",
    "FASTER",
    "LONGEST_CAPTION",
    "LONGEST_NAME",
    "LONGEST_TITLE",
    "THEMES",
    "Palette",
    "PlotError",
    "balance",
    "composite_weight",
    "disciplines",
    "figure",
    "intervals",
    "lead_changes",
    "losses",
    "pareto",
    "pictures",
    "profile",
    "progress",
    "quality_against_speed",
    "ratios",
    "roofline",
    "rounds",
    "runs",
    "sizes",
    "speedups",
    "staircase",
    "to_png",
    "to_svg",
]
