"""Charts of measuring and of standing: titles, labels and drawn numbers; never pixels."""

from __future__ import annotations

import pytest

from tests.perf.sample_class import submission
from tinytorch.perf import plots
from tinytorch.perf.plots import PlotError, figure, to_png


def axes():
    return figure().add_subplot()


def title(ax):
    return " ".join(ax.get_title("left").split())


def row_labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def dots(ax, marker="o"):
    return [line for line in ax.lines if line.get_marker() == marker]


# ---------------------------------------------------------------- runs and protocols


def test_every_run_is_a_dot_in_its_lane_and_time_starts_at_zero():
    ax = plots.runs(axes(), {"first": [0.002, 0.003, 0.004], "second": [0.001]})
    assert [list(line.get_xdata()) for line in dots(ax)] == [[2.0, 3.0, 4.0], [1.0]]
    assert row_labels(ax) == ["first", "second"]
    assert ax.get_xlim()[0] == 0
    assert "time of one run in ms" in ax.get_xlabel()
    assert {"3 ms", "1 ms"} <= set(texts(ax))  # the medians
    assert title(ax) == "3 runs of first: the slowest took 2.00x the time of the fastest"


def test_runs_stand_in_the_order_they_ran():
    heights = list(dots(plots.runs(axes(), {"a": [0.1, 0.2, 0.1]}))[0].get_ydata())
    assert heights == sorted(heights)


def test_a_wild_run_is_an_arrow_with_its_value_and_does_not_press_the_others_together():
    ax = plots.runs(axes(), {"a": [2e-6, 2e-6, 3e-6, 90e-6]})
    assert len(dots(ax, ">")) == 1
    assert "90 µs" in texts(ax)
    assert ax.get_xlim()[1] < 7


def test_runs_take_a_title():
    assert title(plots.runs(axes(), {"a": [0.1]}, title="Mine")) == "Mine"


@pytest.mark.parametrize("times_s", [[], [0.0], [float("nan")]])
def test_a_time_that_is_none_is_refused(times_s):
    with pytest.raises(PlotError, match="the times of 'a' are"):
        plots.runs(axes(), {"a": times_s})


def estimate(label, low, high):
    return {"label": label, "ratio": (low + high) / 2, "low": low, "high": high}


def test_protocols_are_compared_by_how_wrong_they_may_be():
    ax = plots.intervals(
        axes(), [estimate("mean of ten", 0.72, 1.28), estimate("in pairs", 0.995, 1.005)], truth=1
    )
    assert row_labels(ax) == ["mean of ten", "in pairs"]
    assert title(ax) == "mean of ten: off by up to 28 %; in pairs: 0.5 %"
    assert "dashed: the truth, 1.00x" in ax.get_xlabel()


def test_an_interval_that_misses_the_truth_warns():
    ax = plots.intervals(axes(), [estimate("wrong", 1.2, 1.4)], truth=1)
    assert dots(ax)[0].get_color() == plots.THEMES["light"].down


def test_ends_that_are_close_are_told_apart_by_three_decimals():
    near, far = estimate("in pairs", 0.9962, 1.0041), estimate("mean of ten", 0.72, 1.28)
    ax = plots.intervals(axes(), [near, far], truth=1)
    assert texts(ax) == ["1.000x", "0.996 to 1.004", "1.00x", "0.72 to 1.28"]


def test_a_title_does_not_part_a_number_from_its_percent():
    for length in range(20, 40):
        ax = plots.intervals(axes(), [estimate("a" * 20, 0.7, 1.2), estimate("b" * length, 0.99, 1.01)], truth=1)
        assert "\n%" not in ax.get_title("left")


# ---------------------------------------------------------------- profile and roofline


def layer(name, share, flops=2_000_000, kind="Linear"):
    known = {"depth": 1, "calls": 1, "time_s": share, "weight_bytes": 10, "output_bytes": 2_000}
    return {"name": name, "kind": kind, "share": share, "own_s": share * 1e-3, "flops": flops, **known}


def test_a_profile_is_a_bar_a_layer_with_its_work_beside_it():
    ax = plots.profile(axes(), [layer("first", 0.75), layer("engine", 0.25, None, "Engine")])
    assert row_labels(ax) == ["first Linear", "engine Engine"]
    assert [bar.get_width() for bar in ax.patches] == [75, 25]
    assert "750 µs, 2 kB out, 2.7 GFLOP/s" in texts(ax)
    assert "250 µs, 2 kB out" in texts(ax)  # nobody knows the arithmetic of an engine
    assert title(ax) == "first Linear takes 75 % of 1 ms"


def test_the_small_layers_of_a_long_profile_are_added_up():
    ax = plots.profile(axes(), [layer(f"layer {number}", 0.04) for number in range(25)])
    assert len(ax.patches) == 14
    assert row_labels(ax)[-1] == "12 others"
    assert ax.patches[-1].get_width() == pytest.approx(48)


def test_a_roofline_says_how_much_of_the_machine_a_layer_uses():
    points = [
        {"label": "dense", "flops": 1e9, "bytes": 1e7, "time_s": 0.02},  # 100 FLOP/byte, 50 of 100 GFLOP/s
        {"label": "relu", "flops": 1e6, "bytes": 1e7, "time_s": 0.01},  # 0.1 FLOP/byte, 0.1 of 1 GFLOP/s
        {"label": "reshape", "flops": 0, "bytes": 1e7, "time_s": 0.01},
    ]
    ax = plots.roofline(axes(), 100e9, 10e9, points)
    assert [list(line.get_ydata()) for line in dots(ax)] == [[50.0, pytest.approx(0.1)]]
    assert title(ax) == "dense reaches 50 % of what the machine allows, relu 10 %"
    assert {"dense", "relu", "peak 100 GFLOP/s", "memory 10 GB/s"} <= set(texts(ax))


def test_who_outruns_the_peak_shows_that_it_is_not_the_machines():
    points = [{"label": "numba", "flops": 1e9, "bytes": 1e7, "time_s": 1e9 / 131e9}]
    ax = plots.roofline(axes(), 100e9, 10e9, points)
    assert title(ax) == "numba does 131 % of the roof's matrix product"
    assert max(ax.get_ylim()) > 131
    cached = [{"label": "relu", "flops": 1e6, "bytes": 1e7, "time_s": 1e6 / 2e9}]  # the copy allows 1 GFLOP/s
    assert title(plots.roofline(axes(), 100e9, 10e9, cached)) == "relu does 200 % of the roof's copy"
    points[0]["time_s"] = 1e9 / 102e9
    assert title(plots.roofline(axes(), 100e9, 10e9, points)) == "numba reaches 102 % of what the machine allows"


def test_labels_under_the_roof_keep_their_end_and_touch_no_line():
    spots = {"contract": 90e9, "expand": 80e9, "attention": 45e9, "norm": 0.9e9}  # the first close to the roof
    points = [
        {"label": f"decoder.blocks.1.feed_forward.{name}", "flops": 1e9, "bytes": 1e7, "time_s": 1e9 / speed}
        for name, speed in spots.items()
    ]
    ax = plots.roofline(axes(), 100e9, 10e9, points)
    labels = [text for text in ax.texts if text.get_text().startswith("…")]
    assert {text.get_text().rpartition(".")[2] for text in labels} == set(spots)
    ax.figure.draw_without_rendering()
    roof = ax.lines[0].get_transform().transform_path(ax.lines[0].get_path())
    assert not any(roof.intersects_bbox(text.get_window_extent(), filled=False) for text in labels)
    frame = ax.get_window_extent()
    assert all(frame.x0 <= text.get_window_extent().x0 for text in labels)
    assert all(text.get_window_extent().x1 <= frame.x1 for text in labels)


@pytest.mark.parametrize("share", [0.9, 1.0, 1.3])
def test_the_peak_is_named_above_a_point_that_reaches_it(share):
    point = {"label": "a", "flops": 1e9, "bytes": 5e6, "time_s": 1e9 / (share * 100e9)}
    ax = plots.roofline(axes(), 100e9, 10e9, [point])
    ax.figure.draw_without_rendering()
    (peak,) = [text for text in ax.texts if text.get_text().startswith("peak")]
    spot = ax.transData.transform((200, share * 100))
    assert not peak.get_window_extent().padded(3).contains(*spot)


def test_a_machine_without_a_peak_is_refused():
    with pytest.raises(PlotError, match="measure them first"):
        plots.roofline(axes(), 0, 1e9, [])


# ---------------------------------------------------------------- weight and progress


def entry(team, speed, innovation, **more):
    return submission(team=team, score=speed, innovation_score=innovation, **more)


def test_the_weight_at_which_the_winner_changes_is_marked_and_named():
    ax = plots.composite_weight(axes(), [entry("Fast", 2.0, 0.0), entry("New", 1.5, 0.5), entry("Last", 1.0, 0.1)])
    assert title(ax) == "New scores highest up to 0.50, then Fast"
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots(ax)] == [(0.5, 1.0)]
    assert {"0.50", "Fast", "New", "Last"} <= set(texts(ax))
    assert "0.70, rule of the course" in ax.get_xlabel()


def test_the_lead_changes_at_every_corner_of_the_upper_edge():
    changes = plots.lead_changes(
        [entry("a", 1.0, 1.0), entry("b", 2.0, 0.8), entry("c", 4.0, 0.0), entry("d", 1.5, 0.2)]
    )
    assert [(round(weight, 3), each["team_name"]) for weight, each in changes] == [
        (0.0, "a"), (round(0.2 / 1.2, 3), "b"), (round(0.8 / 2.8, 3), "c"),
    ]  # fmt: skip


def test_the_weight_says_how_many_are_not_told_apart_there():
    ax = plots.composite_weight(axes(), [entry("a", 2.0, 0.1), entry("b", 1.99, 0.1), entry("c", 1.0, 0.1)])
    assert title(ax) == "a scores highest at every weight; at 0.70, 2 not told apart"


def test_the_line_of_a_leader_lies_over_the_others():
    ax = plots.composite_weight(axes(), [entry("first", 3.0, 0.5), entry("last", 2.0, 0.1)])
    first, last = ax.lines[:2]
    assert first.get_color() == plots.THEMES["light"].accent
    assert first.get_zorder() > last.get_zorder()


def test_what_is_not_ranked_never_leads():
    assert plots.lead_changes([entry("failed", 9.0, 1.0, ranked=False)]) == []
    ax = plots.composite_weight(axes(), [entry("failed", 9.0, 1.0, ranked=False), entry("honest", 1.0, 0.0)])
    assert title(ax) == "honest scores highest at every weight"


def test_progress_keeps_the_best_so_far_and_leaves_out_what_is_not_ranked():
    ax = plots.progress(
        axes(), [entry("a", 1.5, 0), entry("a", 9.0, 0, ranked=False), entry("a", 1.2, 0), entry("a", 3, 0)]
    )
    assert list(ax.lines[0].get_ydata()) == [1.5, 1.5, 1.5, 3.0, 3.0]
    assert title(ax) == "Byte Club: 1.50x at first, 3.00x at best, 4 submissions".replace("Byte Club", "a")
    assert "hollow: not ranked" in ax.get_xlabel()


# ---------------------------------------------------------------- sizes and front


def test_sizes_say_the_bytes_before_and_after():
    sizes = {"baseline_peak_memory_bytes": 43e6, "peak_memory_bytes": 1e6, "model_bytes": 2e5}
    ax = plots.sizes(axes(), [submission(team="a", baseline_model_bytes=1e5, **sizes)], "Marathon")
    assert row_labels(ax) == ["a", "peak memory", "weights"]
    assert {"43 MB to 1 MB", "100 kB to 200 kB", "43.0x", "0.50x"} <= set(texts(ax))
    assert title(ax) == "Marathon: a needs least memory, 1 MB at its peak"


def test_what_is_not_ranked_is_hollow_and_needs_no_least_memory():
    barred = submission(team="barred", peak_memory_bytes=1e3, lost=0.2)
    ax = plots.sizes(axes(), [submission(team="a", peak_memory_bytes=1e6), barred], "E")
    assert title(ax) == "E: a needs least memory, 1 MB at its peak"
    assert [bar.get_facecolor()[3] for bar in ax.patches] == [0, 0, 1, 1]
    assert "hollow: not ranked" in ax.get_xlabel()


def test_of_a_large_class_those_with_the_least_memory_are_shown():
    ax = plots.sizes(axes(), [submission(team=f"{n}", peak_memory_bytes=1e6 * n) for n in range(40, 0, -1)], "E")
    assert row_labels(ax)[::3] == list("123456")
    assert ax.get_xlabel().endswith("the first 6 of 40 entries")


def test_who_is_not_ranked_is_not_on_the_front_and_a_long_one_is_cut():
    teams = [submission(team=f"{n}", score=n, lost=0.001 * n) for n in range(1, 8)]
    ax = plots.pareto(axes(), [*teams, submission(team="barred", score=9, ranked=False)], "E")
    assert title(ax) == "E: beaten by none in both: 7, 6, 5, 4 and 3 more"


def test_the_front_holds_those_that_none_beats_in_both():
    teams = [submission(team="fast", score=4, lost=0.006), submission(team="good", score=2, lost=0.0)]
    teams += [submission(team="beaten", score=1.5, lost=0.004), submission(team="failed", score=9, lost=0.3)]
    assert title(plots.pareto(axes(), teams, "E")) == "E: beaten by none in both: fast, good"


# ---------------------------------------------------------------- all of them

CHARTS = {
    "runs": lambda ax, name: plots.runs(ax, {name: [0.1, 0.2]}),
    "intervals": lambda ax, name: plots.intervals(ax, [estimate(name, 0.9, 1.2)]),
    "profile": lambda ax, name: plots.profile(ax, [layer(name, 1.0)]),
    "roofline": lambda ax, name: plots.roofline(
        ax, 1e11, 1e10, [{"label": name, "flops": 1, "bytes": 1, "time_s": 1}]
    ),
    "weight": lambda ax, name: plots.composite_weight(ax, [entry(name, 2.0, 0.1)]),
    "progress": lambda ax, name: plots.progress(ax, [entry(name, 2.0, 0.1)]),
    "sizes": lambda ax, name: plots.sizes(ax, [submission(team=name)], name),
    "pareto": lambda ax, name: plots.pareto(ax, [submission(team=name)], name),
}


@pytest.mark.parametrize("name", [r"$\frac{1$", "_a", "<script>alert(1)</script>", "a\nb\x00", "x" * 500])
@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_no_name_breaks_a_chart(chart, name):
    ax = axes()
    assert chart(ax, name) is ax
    assert to_png(ax.figure, dpi=40).startswith(b"\x89PNG")


def test_nothing_to_draw_is_no_error():
    for ax in (
        plots.runs(axes(), {}),
        plots.intervals(axes(), []),
        plots.profile(axes(), []),
        plots.roofline(axes(), 1e11, 1e10, []),
        plots.composite_weight(axes(), []),
        plots.progress(axes(), []),
        plots.sizes(axes(), [], "E"),
        plots.pareto(axes(), [], "E"),
    ):
        assert to_png(ax.figure, dpi=40)
