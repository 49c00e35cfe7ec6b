"""Boards and the page: what a reader sees, and that no student's words become code."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch.perf.board
from tests.perf.sample_class import TITLES, VICTORY, all_boards, entries, leaderboard, submission, winners
from tinytorch.perf.board import BoardError, board_html, board_text, page_html, write_page
from tinytorch.perf.records import Leaderboard, Standing

LOOKS = "_LEFT _CENTER _AXIS _LANE _BAR _WHISKER _HIDDEN _SMALL _PILL _OWN".split()
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    '" style="position:fixed;inset:0" x="',
    "javascript:alert(1)",
    "</table></div><iframe src=//evil.example>",
    "</style><script>alert(1)</script>",
    "<!-- comment --><a href=javascript:alert(1)>x</a>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "\u202egnp.exe\u202c right to left",
    "Zalgo" + "\u0301\u0316" * 40,
    "A" * 5_000,
    "null\x00byte\x1b[2Jescape",
    "lone \ud800 surrogate",
    "{{constructor.constructor('alert(1)')()}}",
    "`${alert(1)}`",
    "line\u2028break\nanother",
    "日本語のチーム 🐢",
]
TAGS = set("a b bdi caption div p span style table tbody td th thead tr".split())
ATTRIBUTES = set("aria-hidden class colspan href rel scope style title width".split())
STYLES = {"", "position:absolute", "position:absolute;display:none", "display:none", "font-weight:400"}
STYLES |= {value for name, value in vars(tinytorch.perf.board).items() if name in LOOKS}
ATTRIBUTES |= set("data-event data-metric data-rank data-team data-testid".split())


class Reader(HTMLParser):
    """What a browser would make of it: elements with their attributes, and the text of each kind of cell."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self._open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, text):
        if self._open and self._open[-1] != "style":
            self.text.append(text.strip())

    def handle_comment(self, text):
        raise AssertionError(f"a comment: {text}")

    def all(self, tag, **wanted):
        wanted = {name.strip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [given for each, given in self.elements if each == tag and wanted.items() <= given.items()]


def lone(team="Byte Club", score=2.0, low=1.9, high=2.1, rank=1, metric="speed", tied=False, **more):
    """A board with one team."""
    standing = Standing(rank, tied, team, score, low, high, submission(team=team, **more))
    return Leaderboard("mlp_sprint", "MLP Sprint", metric, (standing,))


def assert_harmless(html):
    reader = Reader(html)
    for tag, attributes in reader.elements:
        assert tag in TAGS, tag
        assert set(attributes) <= ATTRIBUTES, attributes
        assert attributes.get("href", "https://").startswith(("https://", "http://")), attributes
        if tag != "table":  # whose style holds the grid lines
            style = re.sub(r"(left|width):[\d.]+%;?", "", attributes.get("style", ""))
            assert style.rstrip(";") in STYLES, style
    return reader


# ---------------------------------------------------------------- students' words


@pytest.mark.parametrize("metric", ["speed", "innovation", "composite"])
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:24])
def test_no_name_becomes_code(name, metric):
    evidence = [{"family": name, "score": 0.5, "finding": name, "claimed": True}]
    entry = {"text": name, "github_url": name, "evidence": evidence, "medal": name, "machine": {"processor": name}}
    board = lone(name, metric=metric, **entry)
    board = Leaderboard(name, name, metric, board.standings, ((name, name),), (name,))
    html = board_html(board, own_team=name)
    html.encode()  # no lone surrogate is left
    reader = assert_harmless(html)
    assert len(reader.all("tr")) == len(assert_harmless(board_html(lone(metric=metric, **entry))).all("tr")) + 1


@given(st.text(st.characters(codec=None), max_size=60))
def test_no_text_at_all_becomes_code(name):
    assert_harmless(board_html(lone(name, text=name, github_url=name), own_team=name))
    assert len(board_text(lone(name)).splitlines()) == len(board_text(lone("Byte Club")).splitlines())


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:24])
def test_no_name_becomes_code_on_the_page(name):
    page = page_html(
        {name: [lone(name, text=name, github_url=name, machine={"processor": name})]}, {}, name, name, {name: name}
    )
    reader = Reader(page.partition("<!DOCTYPE html>")[2])
    tags = {tag for tag, _ in reader.elements}
    assert tags <= TAGS | set("html head meta title body main header nav section footer h1 h2 dl dt dd".split())
    assert not [given for _, given in reader.elements if any(key.startswith("on") for key in given)]
    assert {given["href"] for given in reader.all("a")} <= {"#event-1", "#reading"}
    page.encode()


def test_the_page_forbids_scripts_should_the_escaping_ever_fail():
    (policy,) = Reader(page_html({}, {})[15:]).all("meta", http_equiv="Content-Security-Policy")
    assert "default-src 'none'" in policy["content"]
    assert "script-src" not in policy["content"]


def test_a_long_name_is_cut_at_forty_characters_and_kept_in_the_tooltip():
    reader = Reader(board_html(lone("x" * 60)))
    assert "x" * 39 + "…" in reader.text
    assert reader.all("bdi", title="x" * 60)


def test_an_invisible_name_gets_a_visible_one():
    assert "(no name)" in Reader(board_html(lone("\u200b\u202e"))).text


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://github.com/a/b", True),
        ("http://example.org/x?y=1", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)//https://", False),
        ("data:text/html,<script>", False),
        ("//evil.example", False),
        ("https://", False),
        ("https://a b", False),
        ("https://[broken", False),
        (None, False),
    ],
)
def test_only_links_to_the_web_are_links(url, linked):
    links = Reader(board_html(lone(github_url=url))).all("a")
    assert [link["href"] for link in links] == ([url] if linked else [])


# ---------------------------------------------------------------- one board


def rows_of(board, **how):
    return {row["data-team"]: row for row in Reader(board_html(board, **how)).all("tr") if "data-team" in row}


def test_changes_are_told_in_words_and_an_unknown_team_is_new():
    changes = {"The Vectorizers": 2, "Byte Club": -1, "Hot Path": 0}
    text = Reader(board_html(leaderboard(), changes=changes)).text
    assert {"Change", "up by", "down by", "unchanged", "new", "▲", "▼"} <= set(text)
    assert "Change" not in Reader(board_html(leaderboard())).text


def test_teams_left_out_above_the_last_row_are_counted():
    board = leaderboard()
    short = replace(board, standings=(*board.standings[:2], board.standings[-1]))
    reader = Reader(board_html(short, skipped=4))
    assert "4 more teams" in reader.text
    assert len(reader.all("tbody", class_="tp-gap")) == 1
    assert "1 more team" in Reader(board_html(short, skipped=1)).text


def test_columns_and_bars_are_kept_where_the_style_sheet_is_dropped():
    reader = Reader(board_html(leaderboard(), style=False, own_team="Hot Path"))
    (bar, *_) = reader.all("span", class_="tp-bar")
    assert re.fullmatch(
        r"left:[\d.]+%;width:[\d.]+%;position:absolute;height:1em;background-color:#\w+", bar["style"]
    )
    assert {given.get("style") for given in reader.all("th", scope="row")} == {"text-align:left"}
    assert [given["style"] for given in reader.all("tr", class_="tp-own")] == [
        "background-color:rgba(230,159,0,.2)"
    ]
    assert {given["style"] for given in reader.all("span", class_="tp-nocss")} == {"display:none"}


def test_a_board_is_a_real_table_with_caption_and_scopes():
    reader = Reader(board_html(leaderboard()))
    assert len(reader.all("caption")) == 2  # the ranking and the entries without a rank
    assert {given["scope"] for given in reader.all("th")} == {"col", "row"}
    heads = ["Rank", "Team", "Chart", "Speedup", "95 % interval", "Event score", "medal"]
    heads += ["Time", "Memory", "Weights", "Accuracy"]
    assert [head for head in heads if head not in reader.text] == []


def test_ties_share_rank_and_band():
    html = board_html(leaderboard())
    assert {team: row["data-rank"] for team, row in rows_of(leaderboard()).items()} == {
        "The Vectorizers": "1", "Byte Club": "1", "Cache Me If You Can": "3", "Hot Path": "3",
        "Team Åström": "5", "Just Reading Along": "6", "Integer Arithmetics": "7",
    }  # fmt: skip
    assert len(Reader(html).all("tbody", class_="tp-band")) == 2
    assert Reader(html).text.count("=1") == 2
    assert any("their order is not settled" in text for text in Reader(html).text)


@pytest.mark.parametrize(
    ("metric", "rank", "score", "low", "high", "disc"),
    [
        ("speed", 1, 1.2, 1.1, 1.3, "tp-first"),
        ("speed", 2, 1.2, 1.1, 1.3, "tp-second"),
        ("speed", 3, 1.2, 1.1, 1.3, "tp-third"),
        ("speed", 4, 1.2, 1.1, 1.3, None),
        ("speed", 1, 1.0, 0.99, 1.01, None),  # a tie with the baseline is no win
        ("speed", 1, 1.2, 0.9, 1.5, None),  # not settled
        ("innovation", 1, 0.1, 0.1, 0.1, "tp-first"),
        ("innovation", 1, 0.0, 0.0, 0.0, None),
        ("composite", 1, 0.7, 0.7, 0.7, None),  # what the baseline itself scores
        ("composite", 1, 0.9, 0.8, 1.0, "tp-first"),
    ],
)
def test_a_disc_is_for_a_real_win(metric, rank, score, low, high, disc):
    reader = Reader(board_html(lone(metric=metric, rank=rank, score=score, low=low, high=high)))
    discs = [given["class"] for given in reader.all("span") if "tp-disc" in given.get("class", "")]
    assert discs == ([f"tp-disc {disc}"] if disc else [])


@pytest.mark.parametrize("medal", ["gold", "silver", "bronze"])
def test_the_speed_board_names_the_event_score_and_its_medal(medal):
    reader = Reader(board_html(lone(score=9.0, event_score=4.5, medal=medal)))
    assert {"9.00×", "4.50", medal} <= set(reader.text)
    assert [given["class"] for given in reader.all("span", class_=f"tp-medal tp-{medal}")]


@pytest.mark.parametrize("medal", [None, "", "platinum", "<b>gold</b>", 1])
def test_what_is_no_medal_is_not_shown(medal):
    assert "tp-medal" not in board_html(lone(medal=medal), style=False)


def test_entries_without_an_event_score_have_no_column_for_it():
    teams = (Standing(1, False, "it", 2.0, 2.0, 2.0, {}),)
    assert "Event score" not in Reader(board_html(Leaderboard("e", "E", "speed", teams))).text


def test_the_board_of_the_event_shows_the_medal_and_what_the_score_is_made_of():
    reader = Reader(board_html(lone(metric="event", medal="gold", speedup_vs_baseline=9.0)))
    assert {"Event score", "Medal", "gold", "Speedup", "9.00×", "Memory", "Weights"} <= set(reader.text)


def test_the_time_says_what_mean_it_is():
    reader = Reader(board_html(leaderboard()))
    assert "mean" in reader.text
    assert [given for given in reader.all("span") if "geometric mean" in given.get("title", "")]


def test_a_composite_at_another_weight_says_so():
    reader = Reader(board_html(lone(metric="composite 0.50", score=0.6, low=0.55, high=0.65)))
    assert "0.50 × speedup + 0.50 × innovation" in reader.text
    assert reader.all("table", class_="tp-table tp-composite")
    assert reader.all("span", class_="tp-disc tp-first")  # above the 0.50 that the baseline has there


def test_a_composite_score_is_taken_apart_into_speedup_and_innovation():
    text = Reader(board_html(lone(metric="composite", event_score=4.5, speedup_vs_baseline=9.0))).text
    assert "speedup 9.00×" in text
    assert not any("4.5" in each for each in text)


def test_large_numbers_have_no_decimals():
    text = Reader(board_html(lone(score=362.73, low=356.2, high=369.4))).text
    assert {"363×", "356 – 369"} <= set(text)


def test_the_bar_of_a_speed_begins_at_the_baseline_on_a_log_axis():
    def bar(score):
        teams = (Standing(1, False, "fast", 4.0, 4.0, 4.0, {}), Standing(2, False, "it", score, score, score, {}))
        reader = Reader(board_html(Leaderboard("e", "E", "speed", teams)))
        style = reader.all("span", class_="tp-bar")[1]["style"]
        return [float(number) for number in re.findall(r"([\d.]+)%", style)]

    (one, nothing), (start, length) = bar(1.0), bar(2.0)
    assert one == start == nothing == 0.0
    assert length == pytest.approx(50, abs=1)  # 2 is half of the way from 1 to 4
    slow_start, slow_length = bar(0.25)
    assert slow_start + slow_length == pytest.approx(50, abs=1)  # leftwards, from a 1x that is now in the middle


def test_a_whisker_spans_the_interval_and_is_missing_without_one():
    assert len(Reader(board_html(lone(low=1.9, high=2.1))).all("span", class_="tp-whisker")) == 1
    without = Reader(board_html(lone(low=float("nan"), high=float("nan"))))
    assert not without.all("span", class_="tp-whisker")
    assert "95 % interval" not in without.text


def test_the_baseline_stands_above_those_that_are_worse():
    html = board_html(leaderboard())
    assert html.index("Just Reading Along") < html.index(">Baseline<") < html.index("Integer Arithmetics")
    assert ">Baseline<" not in board_html(leaderboard(metric="composite"))


def test_units_are_for_people():
    text = Reader(
        board_html(lone(optimized_time_s=3.62e-4, peak_memory_bytes=1_330_000, model_bytes=437_544))
    ).text
    assert {"362 µs", "1.3 MB", "438 kB", "1.3 ms", "2.00×"} <= set(text)


def test_accuracy_is_shown_to_one_percent_and_bits_per_character_to_two_digits():
    assert "97 %" in Reader(board_html(lone(lost=0.006))).text
    assert "2.42" in Reader(board_html(leaderboard("transformer_decathlon"))).text


def test_a_borderline_quality_is_marked():
    assert "borderline" in Reader(board_html(lone(lost=0.0095))).text
    assert "borderline" not in Reader(board_html(lone(lost=0.001))).text


def test_innovation_tells_found_from_only_claimed():
    evidence = [
        {"family": "pruning", "score": 0.7, "finding": "48 % of the weights gone", "claimed": False},
        {"family": "distillation", "score": 0.0, "finding": "as large as the teacher", "claimed": True},
        {"family": "compression", "score": 0.0, "finding": "nothing", "claimed": False},
    ]
    reader = Reader(board_html(lone(metric="innovation", score=0.35, low=0.35, high=0.35, evidence=evidence)))
    assert reader.all("span", class_="tp-chip", title="48 % of the weights gone")
    assert reader.all("span", class_="tp-chip tp-claimed", title="as large as the teacher")
    assert "distillation claimed, not found" in reader.text
    assert not any("compression" in text for text in reader.text)


def test_entries_without_a_rank_stand_below_with_their_reason():
    html = board_html(leaderboard())
    assert "4 points less accurate than the baseline, the floor is 1" in Reader(html).text
    assert html.index("Integer Arithmetics") < html.index("Segfault Society")
    assert "Segfault Society" not in rows_of(leaderboard())


def test_the_own_row_is_marked_in_any_spelling():
    rows = rows_of(leaderboard(), own_team="TEAM A\u030aSTRÖM")
    assert [team for team, row in rows.items() if row.get("class") == "tp-own"] == ["Team Åström"]
    assert "tp-own" not in board_html(leaderboard(), style=False)


def test_notes_are_shown():
    assert "mixes 2 machines" in Reader(board_html(leaderboard(notes=("mixes 2 machines",)))).text


def test_an_empty_board_says_so():
    empty = Leaderboard("mlp_sprint", "MLP Sprint", "speed", ())
    assert "No ranked entry yet." in Reader(board_html(empty)).text
    assert "No ranked entry yet." in board_text(empty)


def test_the_style_sheet_is_left_out_on_demand():
    assert "<style>" in board_html(lone())
    assert "<style>" not in board_html(lone(), style=False)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_score_that_cannot_stand_on_the_axis_is_refused_by_name(score):
    with pytest.raises(BoardError, match=rf"team 'Byte Club' has the speed score {score}.*above 0"):
        board_html(lone(score=score))


def test_an_unknown_metric_is_refused():
    with pytest.raises(BoardError, match="'beauty'; expected one of speed, innovation, composite"):
        board_html(lone(metric="beauty"))


# ---------------------------------------------------------------- text


def test_the_text_table_lines_up_whatever_the_alphabet():
    standings = tuple(
        Standing(1, False, team, 2.0, 1.9, 2.1, {}) for team in ("日本語", "Åström", "A\u0301b", "plain")
    )
    lines = [
        line for line in board_text(Leaderboard("e", "E", "speed", standings)).splitlines() if "2.00×" in line
    ]
    wide = {"日本語": 3}  # characters that take two columns
    assert len({line.index("2.00×") + wide.get(line.split()[1], 0) for line in lines}) == 1


def test_the_text_table_has_rank_interval_reason_and_own_mark():
    text = board_text(leaderboard(), own_team="byte club")
    assert re.search(r"=1  Byte Club +3\.59× +3\.56 – 3\.62  <- you", text)
    assert "Segfault Society: 4 points less accurate" in text


# ---------------------------------------------------------------- the page


def page(**more):
    figures = {"mlp_sprint": [("speeds", "<svg></svg>"), ("a picture", b"\x89PNG")]}
    return page_html(all_boards(), figures, "TinyMLPerf", "of the class", VICTORY, **more)


def test_the_page_shows_three_events_with_three_boards_and_their_victory_condition():
    html = page()
    boards = [
        (given["data-event"], given["data-metric"]) for given in Reader(html[15:]).all("div", data_testid="board")
    ]
    assert boards == [(event, metric) for event in TITLES for metric in ("speed", "innovation", "composite")]
    assert [victory for victory in VICTORY.values() if victory not in html] == []


def test_the_page_shows_charts_with_words_for_those_who_cannot_see_them():
    reader = Reader(page()[15:])
    assert len(reader.all("svg")) == 1
    assert [image["alt"] for image in reader.all("img", src="data:image/png;base64,iVBORw==")] == ["a picture"]
    assert {"speeds", "a picture"} <= set(reader.text)


def test_the_summary_leads_to_the_events_and_names_all_who_share_the_first_rank():
    reader = Reader(page()[15:])
    assert [given["href"] for given in reader.all("a", class_="tp-card")] == ["#event-1", "#event-2", "#event-3"]
    assert {f"event-{number}" for number in (1, 2, 3)} <= {given.get("id") for _, given in reader.elements}
    assert re.search("The Vectorizers</bdi> and <bdi>Byte Club", page())


def test_the_page_says_who_wins_each_event_by_its_own_score():
    slow = submission("cnn_marathon", "Small", 5.0, speedup_vs_baseline=2.0, medal="silver")
    fast = submission("cnn_marathon", "Fast", 3.0, speedup_vs_baseline=9.0, medal="bronze")
    boards = {"cnn_marathon": [leaderboard("cnn_marathon", submissions=[slow, fast])]}
    won = {"cnn_marathon": leaderboard("cnn_marathon", "event", [slow, fast])}
    reader = Reader(page_html(boards, {}, winners=won)[15:])
    text = " ".join(filter(None, reader.text))
    assert "Winner: Small scores 5.00 (4.95 – 5.05) silver" in text
    assert "CNN Marathon event score 5.00 silver Winner Small Speed Fast" in text  # the card


def test_those_whose_intervals_overlap_win_together():
    text = " ".join(Reader(page(winners=winners())[15:]).text)
    assert "Winners, not to be told apart by their intervals: The Vectorizers scores 3.62" in " ".join(
        text.split()
    )


def test_an_event_may_have_no_winner_yet():
    empty = {event: Leaderboard(event, title, "event", ()) for event, title in TITLES.items()}
    assert page(winners=empty).count("No winner yet.") == 3
    assert page().count("No winner yet.") == 0


def test_a_reason_is_told_once_an_event():
    assert page().count("12 points less accurate") == 1


def test_rows_beyond_fifty_are_folded_away_and_no_band_is_cut():
    def rows(tied):
        return [Standing(min(at, tied), at >= tied, f"Team {at}", 2.0, 1.9, 2.1, {}) for at in range(1, 54)]

    def shown(tied):
        board = Leaderboard("e", "E", "speed", tuple(rows(tied)))
        return page_html({"e": [board]}, {}).partition("<details>")

    opened, _, folded = shown(tied=99)
    assert (opened.count("data-team="), folded.count("data-team=")) == (50, 3)
    assert "<summary>3 more teams</summary>" in folded
    opened, _, folded = shown(tied=49)
    assert (opened.count("data-team="), folded.count("data-team=")) == (48, 5)
    opened, _, folded = shown(tied=1)
    assert (opened.count("data-team="), folded.count("data-team=")) == (53, 0)


def test_in_another_order_nothing_is_said_of_ties_and_the_baseline():
    board = leaderboard()
    assert "tp-baseline" in board_html(board) and "tp-band" in board_html(board)
    by_name = replace(board, standings=tuple(sorted(board.standings, key=lambda row: row.team)))
    other = board_html(by_name, style=False)
    assert "tp-baseline" not in other and "tp-band" not in other
    assert other.count("data-team=") == len(board.standings)


def test_nobody_typesets_a_board():
    (board,) = Reader(board_html(leaderboard())).all("div", data_testid="board")
    assert {"mathjax_ignore", "tex2jax_ignore"} <= set(board["class"].split())


def test_those_that_are_not_ranked_beyond_fifteen_are_folded_away():
    reasons = tuple((f"Team {at}", f"{at} points less accurate") for at in range(17))
    shown = board_html(Leaderboard("e", "E", "speed", (), reasons))
    opened, _, folded = shown.partition("<details>")
    assert (opened.count("less accurate"), folded.count("less accurate")) == (15, 2)
    assert "<summary>2 more that are not ranked</summary>" in folded
    assert "<details>" not in board_html(Leaderboard("e", "E", "speed", (), reasons[:15]))


def test_the_page_leads_to_how_it_is_read():
    reader = Reader(page()[15:])
    assert reader.all("a", href="#reading") and reader.all("h2", id="reading")
    assert {"Closed and open", "Borderline", "Time"} <= set(reader.text)


def test_the_page_names_each_machine_once():
    assert page().count("Intel Xeon 2.2 GHz") == 1
    other = [*entries()[:1], submission(team="Elsewhere", machine={"processor": "ARM", "cores": 8})]
    both = page_html({"mlp_sprint": [leaderboard(submissions=other)]}, {})
    assert both.count("Measured on") == 2


def test_the_page_of_an_empty_class_is_still_a_page():
    html = page_html({"mlp_sprint": [Leaderboard("mlp_sprint", "MLP Sprint", "speed", ())]}, {})
    assert "no ranked entry yet" in Reader(html[15:]).text


def test_the_page_needs_nothing_from_elsewhere():
    assert not re.findall(r'(?:src|href)="(?!#|data:image/png|https://github\.com/example)[^"]*"', page())
    assert "@import" not in page()
    assert "url(" not in page()


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "board.html"
    assert write_page(target, "old") == target
    with pytest.raises(UnicodeEncodeError):
        write_page(target, "half \ud800")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["board.html"]


def test_a_page_without_a_folder_says_what_to_do(tmp_path):
    with pytest.raises(BoardError, match=r"cannot write .*nowhere.*make its folder"):
        write_page(tmp_path / "nowhere" / "board.html", "page")
