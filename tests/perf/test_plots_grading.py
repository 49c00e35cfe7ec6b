"""Charts of grading and of repeated ratios: titles, labels and drawn numbers; never pixels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.perf.test_plots_measuring import axes, dots, row_labels, texts, title
from tinytorch.perf import plots
from tinytorch.perf.plots import PlotError, to_png


def quality(difference, metric="accuracy", floor=0.01, error=0.001):
    return {
        "metric": metric,
        "difference": difference,
        "standard_error": error,
        "floor": floor,
        "ok": difference <= floor,
    }


# ---------------------------------------------------------------- repeated ratios


def test_every_ratio_is_a_dot_and_the_title_tells_the_worst_of_each_lane():
    ax = plots.ratios(axes(), {"naive": [0.5, 1.0, 1.2], "in pairs": [0.99, 1.004]})
    assert [list(line.get_xdata()) for line in dots(ax)] == [[0.5, 1.0, 1.2], [0.99, 1.004]]
    assert row_labels(ax) == ["naive", "in pairs"]
    assert title(ax) == "at worst, naive: 2.00x from 1; in pairs: 1.0 % from 1"
    assert ax.get_xscale() == "log" and "0.50x to 1.20x" in texts(ax)


def test_ratios_take_a_title_and_one_lane():
    assert title(plots.ratios(axes(), {"a": [1.1]}, title="Mine")) == "Mine"
    assert title(plots.ratios(axes(), {"a": [1.1]})) == "at worst, a: 10 % from 1"
    assert title(plots.ratios(axes(), {})) == "no ratios yet"


@pytest.mark.parametrize("lane", [[], [0.0], [-1.0], [float("nan")]])
def test_what_is_no_ratio_is_refused(lane):
    with pytest.raises(PlotError, match="ratios of 'a' are .*all above 0"):
        plots.ratios(axes(), {"a": lane})


# ---------------------------------------------------------------- pictures


def test_each_row_of_pictures_is_named_and_drawn_with_its_own_white():
    ax = plots.pictures(axes(), {"digits": np.full((3, 8, 8), 200), "scenes": np.ones((2, 8, 8))}, "Inputs")
    assert row_labels(ax) == ["digits", "scenes"]
    assert [image.get_array().shape for image in ax.images] == [(8, 30), (8, 20)]
    assert all(image.get_array().max() == 1 for image in ax.images)
    assert title(ax) == "Inputs"


def test_black_pictures_stay_black():
    assert plots.pictures(axes(), {"night": np.zeros((1, 4, 4))}).images[0].get_array().max() == 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({}, "at least one row"),
        ({"flat": np.zeros((3, 64))}, r"'flat' have shape \(3, 64\)"),
        ({"none": np.zeros((0, 8, 8))}, "n >= 1"),
        ({"a": np.zeros((1, 8, 8)), "b": np.zeros((1, 9, 9))}, "one height"),
    ],
)
def test_what_is_no_picture_is_refused(rows, words):
    with pytest.raises(PlotError, match=words):
        plots.pictures(axes(), rows)


# ---------------------------------------------------------------- losses


def test_losses_stand_in_percentage_points_beside_the_floor():
    ax = plots.losses(axes(), {"int8": quality(0.002), "pruned": quality(0.015)})
    assert [line.get_xdata()[0] for line in dots(ax)] == pytest.approx([0.2, 1.5])
    assert {"+0.20", "+1.50", "floor: 1"} <= set(texts(ax))
    assert title(ax) == "1 of 2 hold the floor; below it: pruned"
    assert "percentage points" in ax.get_xlabel()


def test_losses_in_bits_stay_bits():
    ax = plots.losses(axes(), {"int8": quality(-0.001, "bits_per_character", 0.03)})
    assert title(ax) == "it holds the floor" and "-0.001" in texts(ax)
    assert "bits per character" in ax.get_xlabel()


def test_a_loss_far_below_the_floor_is_an_arrow_and_the_others_stay_apart():
    ax = plots.losses(axes(), {"a": quality(0.001), "zeros": quality(0.9)})
    assert len(dots(ax, ">")) == 1 and "+90.00" in texts(ax)
    assert ax.get_xlim()[1] < 10


def test_losses_of_two_events_do_not_share_a_chart():
    with pytest.raises(PlotError, match="expected one"):
        plots.losses(axes(), {"a": quality(0.0), "b": quality(0.0, "bits_per_character", 0.03)})
    with pytest.raises(PlotError, match="expected one"):
        plots.losses(axes(), {})


def test_a_hostile_name_is_text_in_every_chart_of_grading():
    name = "$\\frac{1$<script>" + "x" * 1000
    drawings = [
        plots.ratios(axes(), {name: [1.0]}),
        plots.pictures(axes(), {name: np.ones((1, 8, 8))}),
        plots.losses(axes(), {name: quality(0.0)}),
    ]
    for ax in drawings:
        assert to_png(ax.get_figure()).startswith(b"\x89PNG")
        assert len(row_labels(ax)[0]) <= plots.LONGEST_NAME
