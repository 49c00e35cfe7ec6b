"""Charts: their titles, labels and drawn numbers; never their pixels."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import matplotlib
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from tests.perf.sample_class import DISCIPLINES, entries, steps, submission
from tinytorch.perf import board, plots
from tinytorch.perf.plots import PlotError, figure, to_png, to_svg

CHARTS = {
    "speedups": lambda ax, name: plots.speedups(ax, [submission(team=name)], name),
    "staircase": lambda ax, name: plots.staircase(ax, [step(2.0, label=name, note=name)], name),
    "quality": lambda ax, name: plots.quality_against_speed(ax, [submission(team=name)], name),
    "balance": lambda ax, name: plots.balance(ax, [submission("cnn_marathon", name)], name),
    "disciplines": lambda ax, name: plots.disciplines(ax, submission("transformer_decathlon", name)),
    "rounds": lambda ax, name: plots.rounds(ax, submission(team=name), name),
}
HOSTILE = [
    r"$\frac{1$",
    "$",
    "_underscore first",
    "--><script>alert(1)</script>",
    "日本語 🐢",
    "a\nb\x00c\ud800",
    "x" * 500,
]


def axes(theme="light"):
    return figure(theme=theme).add_subplot()


def step(ratio, label="a step", **more):
    return {"label": label, "ratio": ratio, "low": ratio / 1.01, "high": ratio * 1.01, "note": "", **more}


def title(ax):
    return ax.get_title("left")


def row_labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def bars(ax):
    """(row, from, to) of each bar."""
    return [
        (round(bar.get_y() + bar.get_height() / 2), bar.get_x(), pytest.approx(bar.get_x() + bar.get_width()))
        for bar in ax.patches
    ]


def texts(ax):
    return [text.get_text() for text in ax.texts]


# ---------------------------------------------------------------- speedups


def test_speedups_are_sorted_bars_from_the_baseline_on_a_log_axis():
    ax = plots.speedups(axes(), [submission(team=team, score=score) for team, score in
                                 [("slow", 0.5), ("fast", 4.0), ("even", 1.0)]], "MLP Sprint")  # fmt: skip
    assert ax.get_xscale() == "log"
    assert row_labels(ax) == ["fast", "even", "slow"]
    assert bars(ax) == [(0, 1, 4.0), (1, 1, 1.0), (2, 1, 0.5)]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first at the top


def test_the_title_is_the_finding_with_its_interval():
    ax = plots.speedups(axes(), [submission(team="Byte Club", score=2.0, half=0.25)], "MLP Sprint")
    assert title(ax) == "MLP Sprint: best 2.00x [1.60, 2.50], by Byte Club"
    assert ax.get_xlabel().startswith("times faster than the baseline, log scale (right is better)")


def test_entries_whose_intervals_reach_the_first_are_not_told_apart_in_the_title():
    teams = [submission(team=team, score=score) for team, score in [("a", 2.02), ("b", 2.0), ("c", 1.5)]]
    assert title(plots.speedups(axes(), teams, "E")) == "E: best 2.02x [2.00, 2.04], 2 entries not told apart"


def test_a_large_class_is_cut_to_its_first_and_says_so():
    ax = plots.speedups(axes(), [submission(team=f"{score}", score=score) for score in range(1, 188)], "E")
    assert row_labels(ax) == [str(score) for score in range(187, 172, -1)]
    assert "the first 15 of 187 entries; dots: batch 1" in ax.get_xlabel()


def test_where_not_all_fit_the_ranked_ones_go_first():
    failed = [submission(team=f"failed {number}", score=9, lost=0.2) for number in range(20)]
    ax = plots.speedups(axes(), [*failed, submission(team="a", score=2), submission(team="b", score=1)], "E")
    assert len(row_labels(ax)) == 15
    assert row_labels(ax)[-2:] == ["a", "b"]


def test_no_number_stands_beside_a_dot():
    ax = plots.speedups(axes(), [submission(score=2.0), submission(score=4.5)], "E")
    ax.figure.draw_without_rendering()
    farthest = max(ax.transData.transform((x, 0))[0] for line in ax.lines for x in line.get_xdata())
    numbers = [text.get_window_extent() for text in ax.texts]
    assert texts(ax) == ["4.50x", "2.00x"]
    assert len({round(number.x1) for number in numbers}) == 1  # a column
    assert min(number.x0 for number in numbers) > farthest + 20


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgba(colour)[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """As in WCAG 2: 3 is needed for what is no text."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", plots.THEMES)
def test_an_interval_is_seen_on_its_bar(theme):
    ax = plots.speedups(axes(theme), [submission()], "E")
    rim, line = [line for line in ax.lines if line.get_marker() == "|"]
    assert rim.get_linewidth() > line.get_linewidth()
    assert contrast(rim.get_color(), ax.patches[0].get_facecolor()) > 3
    assert contrast(rim.get_color(), line.get_color()) > 7


def test_what_is_not_ranked_is_hollow_and_leads_nothing():
    ax = plots.speedups(axes(), [submission(team="honest"), submission(team="failed", score=9.0, lost=0.2)], "E")
    assert [bar.get_facecolor()[3] for bar in ax.patches] == [0.0, 1.0]
    assert "by honest" in title(ax)
    assert "hollow: not ranked" in ax.get_xlabel()


def test_the_cases_are_dots_named_below():
    ax = plots.speedups(axes(), [submission()], "E")
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert sorted(dots.get_xdata()) == pytest.approx([1.411, 2.1, 2.7], abs=1e-3)
    assert "dots: batch 1, batch 32, batch 256" in ax.get_xlabel()


def test_only_the_cases_handed_in_are_dots():
    ax = plots.speedups(axes(), [submission()], "E", ("batch 32", "batch 64"))
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert list(dots.get_xdata()) == [pytest.approx(2.1)]
    assert ax.get_xlabel().endswith("dots: batch 32")


def test_many_cases_are_named_in_lines_that_fit():
    cases = {f"operation {number}": {"ratio": 2.0} for number in range(13)}
    lines = plots.speedups(axes(), [submission(cases=cases)], "E").get_xlabel().splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= plots.LONGEST_CAPTION


def test_entries_without_a_measurement_are_left_out():
    broken = [submission(speedup_vs_baseline=value) for value in (None, float("nan"), 0.0)]
    ax = plots.speedups(axes(), [*broken, submission(team="whole")], "E")
    assert row_labels(ax) == ["whole"]


# ---------------------------------------------------------------- staircase


def test_each_step_begins_where_the_one_before_ended():
    ax = plots.staircase(axes(), [step(2.0), step(8.0)], "Marathon")
    assert bars(ax) == [(0, 1, 1.0), (0, 1, 2.0), (1, 1, 2.0), (1, 2, 8.0)]  # reached before, then gained
    assert [text for text in texts(ax) if text] == ["2.00x", "8.00x"]


def test_a_step_back_is_hatched():
    ax = plots.staircase(axes(), [step(4.0), step(3.0)], "Marathon")
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [False, False, False, True]
    assert bars(ax)[2:] == [(1, 1, 3.0), (1, 4, 3.0)]


def test_a_reference_is_neutral_and_outside_of_the_chain():
    ax = plots.staircase(axes(), [step(2.0), step(9.0, reference=True), step(4.0)], "Marathon")
    assert bars(ax)[2:] == [(1, 1, 9.0), (2, 1, 2.0), (2, 2, 4.0)]
    assert ax.patches[2].get_facecolor() == to_rgba(plots.THEMES["light"].neutral)


def test_the_staircase_says_which_step_gave_most():
    assert (
        title(plots.staircase(axes(), steps(), "Marathon"))
        == "Marathon: 12.4x in 4 steps, most of it from im2col (3.33x)"
    )
    assert title(plots.staircase(axes(), [], "Marathon")) == "Marathon: no steps yet"


# ---------------------------------------------------------------- quality


def test_quality_stands_below_the_baseline_and_the_floor_is_a_line():
    ax = plots.quality_against_speed(axes(), [submission(lost=0.004), submission(lost=0.013, team="failed")], "E")
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_marker() == "o"]
    assert points == [(2.0, pytest.approx(-0.4)), (2.0, pytest.approx(-1.3))]
    levels = {line.get_ydata()[0] for line in ax.lines if line.get_xdata()[0] == 0}
    assert levels == {0.0, -1.0}
    assert {"baseline", "floor", "Byte Club", "failed"} <= set(texts(ax))
    assert title(ax) == "E: 1 of 2 entries hold the floor"


def test_what_fails_is_hollow_and_what_fails_by_far_is_held_at_the_edge():
    ax = plots.quality_against_speed(axes(), [submission(lost=0.41, team="wild")], "E")
    (mark,) = [line for line in ax.lines if line.get_marker() == "v"]
    assert mark.get_ydata()[0] == -1.5
    assert to_rgba(mark.get_markerfacecolor()) == to_rgba("white")
    assert "wild: \N{MINUS SIGN}41" in texts(ax)
    assert ax.get_ylim()[0] > -2


def test_bits_per_character_keep_their_unit_and_do_not_mix_with_accuracy():
    ax = plots.quality_against_speed(axes(), entries("transformer_decathlon"), "E")
    assert ax.get_ylabel().startswith("bits per character")
    with pytest.raises(PlotError, match="accuracy and bits_per_character in one chart"):
        plots.quality_against_speed(axes(), [submission(), submission("transformer_decathlon")], "E")


def test_names_beside_points_do_not_cover_each_other():
    crowd = [submission(team=f"Team {number}", score=2 + number / 50) for number in range(6)]
    ax = plots.quality_against_speed(axes(), crowd, "E")
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text().startswith("Team")]
    overlapping = [(a, b) for place, a in enumerate(boxes) for b in boxes[:place] if a.overlaps(b)]
    assert len(boxes) == 6
    assert not overlapping


def test_names_do_not_cover_the_words_at_the_lines():
    ax = plots.quality_against_speed(axes(), [submission(team="a long name at the right", lost=0.0095)], "E")
    name, *words = sorted(ax.texts, key=lambda text: -len(text.get_text()))
    assert [text.get_text() for text in words] == ["baseline", "floor"]
    assert not any(name.get_window_extent().overlaps(text.get_window_extent()) for text in words)


def crowd(count, event="mlp_sprint"):
    """A class whose points lie close: speedups from 1 to 3, losses up to the floor."""
    return [
        submission(event, f"Team {place:03}", 1 + 2 * place / count, lost=0.0001 * (37 * place % 97))
        for place in range(count)
    ]


def drawn_points(ax):
    return [line for line in ax.lines if line.get_marker() == "o"]


def names(ax):
    return [text for text in ax.texts if text.get_text().startswith("Team")]


@pytest.mark.parametrize("chart", [plots.quality_against_speed, plots.pareto])
def test_in_a_large_class_all_are_points_and_the_best_are_named(chart):
    ax = chart(axes(), crowd(200), "E")
    assert len(drawn_points(ax)) == 200
    assert 3 <= len(names(ax)) <= 12
    assert "Team 199" in texts(ax)  # the fastest
    boxes = [text.get_window_extent() for text in names(ax)]
    assert not [(a, b) for place, a in enumerate(boxes) for b in boxes[:place] if a.overlaps(b)]
    centres = [ax.transData.transform((line.get_xdata()[0], line.get_ydata()[0])) for line in drawn_points(ax)]
    assert not any(box.contains(*centre) for box in boxes for centre in centres)


def test_a_name_without_a_free_place_is_left_out():
    ax = plots.quality_against_speed(axes(), [submission(team=f"Team {'x' * 18} {n}") for n in range(12)], "E")
    assert len(drawn_points(ax)) == 12
    assert 1 <= len(names(ax)) < 12


def test_a_name_far_from_its_point_is_joined_to_it():
    ax = plots.quality_against_speed(axes(), [submission(team=f"Team {n}", score=2) for n in range(6)], "E")
    far = [text for text in names(ax) if abs(text.get_position()[1]) > 10]
    thin = [line for line in ax.lines if line.get_linewidth() == 0.6]
    assert len(far) == len(thin) > 0


def strokes(ax):
    """Lines of a chart in pixels."""
    lines = [line for line in ax.lines if line.get_linestyle() != "None" and line.get_linewidth() > 0.6]
    return [line.get_transform().transform_path(line.get_path()) for line in lines]


@pytest.mark.parametrize("teams", [entries(), entries("transformer_decathlon"), crowd(40)], ids=len)
def test_no_line_strikes_through_a_name(teams):
    ax = plots.pareto(axes(), teams, "E")
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text() not in ("baseline", "floor")]
    assert len(boxes) >= 3
    assert not any(line.intersects_bbox(box, filled=False) for line in strokes(ax) for box in boxes)


# ---------------------------------------------------------------- balance


def balanced(team, speed, memory, size, **more):
    """A Marathon entry whose three ratios are these."""
    score = (speed * memory * size) ** (1 / 3)
    sizes = {"baseline_peak_memory_bytes": 1000 * memory, "peak_memory_bytes": 1000}
    sizes |= {"baseline_model_bytes": 1000 * size, "model_bytes": 1000}
    return submission("cnn_marathon", team, score, speedup_vs_baseline=speed, **(sizes | more))


def test_the_three_factors_stand_side_by_side_with_their_score_as_a_line():
    ax = plots.balance(axes(), [balanced("Even", 8, 1, 1), balanced("Odd", 2, 32, 0.125)], "Marathon")
    assert row_labels(ax) == ["Even", "speed", "peak memory", "weights", "Odd", "speed", "peak memory", "weights"]
    assert bars(ax) == [(1, 1, 8), (2, 1, 1), (3, 1, 1), (5, 1, 2), (6, 1, 32), (7, 1, 0.125)]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_xdata()[0] != 1] == [pytest.approx(2)] * 2
    assert title(ax) == "Marathon: best 2.00, 2 entries not told apart"


def test_a_factor_below_the_baseline_warns():
    ax = plots.balance(axes(), [balanced("Odd", 2, 32, 0.125)], "Marathon")
    theme = plots.THEMES["light"]
    assert [bar.get_facecolor() for bar in ax.patches] == [
        to_rgba(c) for c in (theme.accent, theme.accent, theme.down)
    ]


def test_only_the_best_ranked_entries_are_taken_apart():
    teams = [balanced(name, speed, 1, 1, ranked=name != "d") for speed, name in enumerate("abcd", 1)]
    assert row_labels(plots.balance(axes(), teams, "E", most=2))[::4] == ["c", "b"]
    assert title(plots.balance(axes(), teams[3:], "E")) == "E: no ranked entry"


# ---------------------------------------------------------------- disciplines and rounds


def test_the_ten_disciplines_stand_in_their_order():
    ax = plots.disciplines(axes(), submission("transformer_decathlon", "Hot Path", 2.0))
    assert row_labels(ax) == list(DISCIPLINES)
    assert len(ax.patches) == 10
    assert title(ax) == "Hot Path: 2.00x over all, best in generation (7.80x)"


def test_a_worse_discipline_a_tie_and_a_better_one_have_their_colours():
    ratios = {"slower": (0.5, 0.4, 0.6), "tie": (1.0, 0.9, 1.1), "faster": (2.0, 1.9, 2.1)}
    results = {name: dict(zip(("ratio", "low", "high"), values, strict=True)) for name, values in ratios.items()}
    ax = plots.disciplines(axes(), submission(disciplines=results))
    theme = plots.THEMES["light"]
    assert [bar.get_facecolor() for bar in ax.patches] == [
        to_rgba(c) for c in (theme.down, theme.neutral, theme.accent)
    ]


def test_a_submission_of_another_event_has_no_disciplines():
    assert title(plots.disciplines(axes(), submission())) == "Byte Club: no disciplines measured"


def test_every_round_is_a_dot_in_the_lane_of_its_case():
    ax = plots.rounds(axes(), submission(score=2.0, half=0.01), "MLP Sprint")
    assert row_labels(ax) == ["batch 1", "batch 32", "batch 256"]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [20, 20, 20]
    assert bars(ax)[0] == (0, pytest.approx(2.7 / 1.01), 2.7 * 1.01)  # the band is the interval of the case
    assert title(ax) == "MLP Sprint: 2.00x [1.98, 2.02], 20 rounds"


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:24])
@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_no_name_breaks_a_chart_or_becomes_code(chart, name):
    ax = axes()
    chart(ax, name)
    assert to_png(ax.figure, dpi=40).startswith(b"\x89PNG")
    tags = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attributes: tags.append((tag, attributes))
    reader.feed(to_svg(ax.figure))
    assert {tag for tag, _ in tags} <= {
        "svg",
        "g",
        "path",
        "text",
        "tspan",
        "use",
        "defs",
        "clippath",
        "pattern",
        "rect",
    }
    assert not [key for _, attributes in tags for key, _ in attributes if key.startswith("on")]


def test_other_alphabets_are_written_where_a_font_has_them(monkeypatch):
    """U+210A is in a font that comes with matplotlib, and not in the one of the charts."""

    def picture(name, *fonts):
        monkeypatch.setattr(plots.easel, "OTHER_FONTS", fonts)
        return to_png(plots.speedups(axes(), [submission(team=name)], "E").figure, dpi=60)

    assert picture("\u210a", "no such font") != picture("\u210a", "no such font", "STIXGeneral")
    assert picture("Byte Club") == picture("Byte Club", "STIXGeneral")


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_a_chart_gives_its_axes_back_and_takes_nothing_too(chart):
    ax = axes()
    assert chart(ax, "E") is ax
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert low <= 1 <= high  # the baseline is always in sight


@pytest.mark.parametrize("draw", [plots.speedups, plots.staircase, plots.quality_against_speed, plots.balance])
def test_an_empty_class_is_no_error(draw):
    assert to_png(draw(axes(), [], "E").figure)


def test_a_chart_is_drawn_without_pyplot():
    code = "import sys, tinytorch.perf.plots; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_the_theme_is_seen_from_the_paper_of_any_figure():
    dark = plots.speedups(axes("dark"), [submission()], "E")
    assert dark.patches[0].get_facecolor() == to_rgba(plots.THEMES["dark"].accent)
    plain = plots.speedups(Figure().add_subplot(), [submission()], "E")
    assert plain.patches[0].get_facecolor() == to_rgba(plots.THEMES["light"].accent)


def test_charts_drawn_in_many_threads_leave_the_settings_as_they_were():
    before = dict(matplotlib.rcParams)
    with ThreadPoolExecutor(4) as threads:
        pictures = list(threads.map(lambda _: to_svg(plots.disciplines(axes(), submission()).figure), range(8)))
    assert len(set(pictures)) == 1
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_theme_is_refused():
    with pytest.raises(PlotError, match="'sepia'; expected one of light, dark"):
        figure(theme="sepia")


@pytest.mark.parametrize("theme", plots.THEMES)
def test_inline_svg_follows_the_colours_of_the_page(theme):
    svg = to_svg(plots.speedups(axes(theme), [submission()], "E").figure)
    fallbacks = dict(re.findall(r"var\(--tp-(\w+), (#\w+)\)", svg))
    assert {"ink", "muted", "accent", "grid"} <= set(fallbacks)
    assert fallbacks == {name: getattr(plots.THEMES[theme], name) for name in fallbacks}
    defined = re.findall(r"--tp-(\w+):(#\w+);", board.BOARD_CSS)
    assert set(fallbacks.items()) <= set(defined)


def test_inline_svg_brings_nothing_that_holds_for_the_whole_page():
    svg = to_svg(plots.staircase(axes(), [step(4.0), step(3.0)], "E").figure)
    assert svg.startswith('<svg role="img" aria-label="E: 3.00x in 2 steps')
    assert not re.findall(r"<style|<!|<\?|<metadata|<g id", svg)
    assert ">4.00x</text>" in svg  # text stays text


def test_the_same_chart_gives_the_same_svg():
    first, second = (to_svg(plots.speedups(axes(), entries(), "E").figure) for _ in range(2))
    assert first == second
