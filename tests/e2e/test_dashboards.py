"""The dashboards as a person meets them: JupyterLab and Notebook 7, by hand, by keyboard, and without a kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from autograder.course import ASSIGNMENT, make_release, nbgrader_course
from tests.autograder.test_projector import serving
from tests.e2e.lab import PATIENCE_S, browser_page, lab_server, needs_chromium, open_notebook
from tests.perf.sample_class import ENTRIES, entries, leaderboard, submission
from tests.perf.test_widgets import crowd
from tinytorch.perf.board import board_html
from tinytorch.perf.store import Store

pytestmark = needs_chromium

ROOT = Path(__file__).parents[2]
THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")
BOARDS = """
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.benchmarking import CompetitionProfiler, TinyMLPerfCompetitionPlus, make_leaderboard
from tinytorch.perf.widgets import Leaderboards, SubmitPanel
from tinytorch.perf.workloads.baselines import load_baseline

class Endless:
    def predict(self, inputs):
        while True:
            pass

competition = TinyMLPerfCompetitionPlus(store="class.sqlite", profiler=CompetitionProfiler(budget_s=0.2))
kernels = add_custom_kernels(load_baseline("mlp_sprint"), compiled=False)
boards = Leaderboards(competition.store, make_leaderboard, own_team="Hot Path")
panel = SubmitPanel(competition, {"kernels": kernels, "endless": Endless()}, boards)
"""
SHOW = "display(boards, panel)"
HOSTILES = """
from IPython.display import HTML, Image
from tests.perf.sample_class import leaderboard, submission
from tests.perf.test_board import HOSTILE
from tests.perf.test_widgets import Careless
from tinytorch.core.benchmarking import make_leaderboard
from tinytorch.perf import board, plots
from tinytorch.perf.widgets import Leaderboards

entries = [
    submission(team=name, score=9 - at / 3, text=name, github_url=name) | {"id": at + 1}
    for at, name in enumerate([*HOSTILE, r"$\\frac{1$", "=1+2", "$x^2$"])
]
boards = Leaderboards(Careless(entries), make_leaderboard, own_team=HOSTILE[0])
boards.rows.value = 0
drawing = plots.figure(height=8)
plots.speedups(drawing.subplots(), entries, HOSTILE[0])
"""
SHOW_HOSTILES = """
display(boards, Image(plots.to_png(drawing)), HTML("<p id=formula>$y^2$</p>"))
board.show(leaderboard(submissions=entries))
"""
SOONER = {
    "budget_s=1.0": "budget_s=0.1",
    "cnn_marathon": "mlp_sprint",
    'competition.submit_entry("Your Team"': '("Your Team"',
}
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"], "resultTypes": ["violations"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of the sample class, and notebooks that look at it."""
    out = tmp_path_factory.mktemp("dashboards")
    store = Store(out / "class.sqlite")
    for event in ENTRIES:
        for entry in ENTRIES[event]:
            store.append(submission(event, *entry))
    for name in ("lab", "classic"):
        write(out / f"{name}.ipynb", BOARDS, SHOW)
    write(out / "hostile.ipynb", HOSTILES, SHOW_HOSTILES)
    return out


def write(path, *sources, outputs=()):
    """A notebook of code cells; the last one has outputs that nobody has signed."""
    cells = [nbformat.v4.new_code_cell(source.strip(), id=f"cell-{at}") for at, source in enumerate(sources)]
    cells[-1].outputs = list(outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def server(folder):
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with lab_server(folder, {"PYTHONPATH": paths}) as running:
        yield running


@pytest.fixture(scope="module")
def unsigned(folder):
    """What a notebook keeps of the dashboards, in one that nobody trusts."""
    write(folder / "saved.ipynb", BOARDS, SHOW)
    execute = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--inplace",
        "--log-level=ERROR",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*execute, "saved.ipynb"], cwd=folder, env=environment, check=True)
    outputs = nbformat.read(folder / "saved.ipynb", 4).cells[-1].outputs
    write(folder / "unsigned.ipynb", BOARDS, SHOW, outputs=outputs)
    return folder / "unsigned.ipynb"


@pytest.fixture
def page():
    with browser_page() as opened:
        yield opened


def board(page):
    """The live board that is in front."""
    return page.locator(".tp-live [data-testid=board]:visible")


def front(page, metric):
    """Bring a board to the front and wait until it is drawn."""
    page.get_by_role("button", name=metric).click()
    page.locator(f".tp-live [data-testid=board][data-metric={metric.lower().split()[0]}]:visible").wait_for()


def row(page, team):
    return board(page).locator(f'tr[data-team="{team}"]')


def outcome(page, state, patience_s=PATIENCE_S):
    """The panel's line, once it is in that state."""
    line = page.locator(f".tp-live [data-testid=outcome][data-state={state}]")
    line.wait_for(timeout=patience_s * 1000)
    return line.inner_text()


def violations(page, part=".tp-live"):
    """What axe finds in the live dashboards. The slider's handle has no name, by a defect of ipywidgets; the field
    beside it has one and does the same.
    """
    from axe_playwright_python.sync_playwright import Axe

    context = {"include": [part], "exclude": [".noUi-handle"]}
    found = Axe().run(page, context=context, options=AXE).response["violations"]
    return [(each["id"], node["target"], node["failureSummary"]) for each in found for node in each["nodes"]]


# ---------------------------------------------------------------- by hand, in JupyterLab


def test_a_submission_changes_the_board_and_every_theme_can_be_read(server, page):
    notebook = open_notebook(page, server, "lab.ipynb")
    notebook.run_all()
    row(page, "The Vectorizers").wait_for()
    assert page.locator("[data-testid=board]:visible").count() == 1, "the live board hides the static one"

    page.get_by_label("Team").fill("Late & Lively")
    page.get_by_role("button", name="Submit").click()
    assert outcome(page, "ok").startswith("Stored. MLP Sprint: ")
    row(page, "Late & Lively").locator(".tp-tag", has_text="you").wait_for()

    page.get_by_label("Model").select_option("endless")
    page.get_by_role("button", name="Submit").click()
    outcome(page, "measuring")
    page.get_by_role("button", name="Cancel").click()
    assert outcome(page, "cancelled") == "Cancelled. Nothing was stored."

    page.get_by_label("Find").fill("byte")
    row(page, "Hot Path").wait_for(state="detached")
    assert board(page).locator("tbody tr[data-team]").count() == 2, "what was looked for, and the own row"
    page.get_by_label("Find").fill("")
    row(page, "Hot Path").wait_for()
    colours = set()
    for theme in THEMES:
        notebook.theme(theme)
        for metric in ("Innovation", "Composite", "Speed", "Event score"):
            front(page, metric)
            assert violations(page) == [], (theme, metric)
        colours.add(row(page, "Hot Path").evaluate("element => getComputedStyle(element).color"))
    assert len(colours) >= 2, "the board follows the theme"


def test_what_was_typed_before_a_click_counts_even_while_a_cell_runs(server, folder, page):
    """A kernel with subshells hears the button in one thread and the team's name in the one that is busy."""
    gate = folder / "gate"
    write(folder / "busy.ipynb", BOARDS, SHOW, f"import os\nos.mkfifo({str(gate)!r})\nopen({str(gate)!r}).read()")
    notebook = open_notebook(page, server, "busy.ipynb")
    notebook.run(0, 1)
    page.get_by_label("Team").fill("x" * 41)
    page.get_by_role("button", name="Submit").click()
    assert "has 41 characters" in outcome(page, "refused")
    page.get_by_label("Team").fill("Typed Before")
    page.get_by_role("button", name="Submit").click()
    assert outcome(page, "ok").startswith("Stored. MLP Sprint: ")

    notebook.begin(2)
    page.locator(".jp-InputPrompt", has_text="[*]").wait_for()
    page.get_by_label("Description").fill("while a cell runs")
    page.get_by_role("button", name="Submit").click()
    assert outcome(page, "measuring") == "starting when no cell runs"
    page.get_by_role("button", name="Cancel").click()
    assert outcome(page, "cancelled") == "Cancelled. Nothing was stored."
    page.get_by_label("Description").fill("also while a cell runs")
    page.get_by_role("button", name="Submit").click()
    assert outcome(page, "measuring") == "starting when no cell runs"
    gate.write_text("through")
    outcome(page, "ok")
    own = [each for each in Store(folder / "class.sqlite").submissions() if each["team_name"] == "Typed Before"]
    assert [each["optimization_description"] for each in own] == ["", "also while a cell runs"]


def test_the_lesson_has_a_board_and_a_panel(server, folder, page):
    """The module's own notebook without its checks; of what only looks, entries and the two dashboards."""
    lesson = nbformat.read(ROOT / "modules/20_tinymlperf/tinymlperf.ipynb", 4)
    lesson.cells = [cell for cell in lesson.cells if builds_or_enters(cell)]
    end = max(at for at, cell in enumerate(lesson.cells) if "SubmitPanel" in cell.source)
    lesson.cells = lesson.cells[: end + 1]
    for cell in lesson.cells:  # sooner: less time, the quickest event, and the entry left to the panel
        if "First Try" in cell.source or "Your Team" in cell.source:
            for text, other in SOONER.items():
                cell.source = cell.source.replace(text, other)
    nbformat.write(lesson, folder / "lesson.ipynb")
    notebook = open_notebook(page, server, "lesson.ipynb")
    notebook.run_all(patience_s=120)
    page.get_by_role("button", name="Submit").click()
    outcome(page, "measuring")
    assert outcome(page, "ok", patience_s=120).startswith("Stored. MLP Sprint: ")
    row(page, "Your Team").locator(".tp-tag", has_text="you").wait_for()
    notebook.save()
    saved = nbformat.read(folder / "lesson.ipynb", 4).cells[end - 1].outputs
    assert "Your Team" in saved[0].data["text/html"], "the picture beside the live board has followed, too"


def builds_or_enters(cell):
    if "look" in cell.metadata.get("tags", ()):
        return any(name in cell.source for name in ("First Try", "Your Team"))
    return cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("grade")


# ---------------------------------------------------------------- by keyboard, in Notebook 7


def test_everything_can_be_done_by_keyboard_in_notebook_7(server, page):
    notebook = open_notebook(page, server, "classic.ipynb", where="notebooks")
    notebook.run_all()
    row(page, "The Vectorizers").wait_for()
    cells = page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")
    page.get_by_label("Event").first.focus()
    tab_to(page, "Order by")
    for key in ("Space", "ArrowDown", "Enter"):  # by name
        page.keyboard.press(key)
    board(page).locator("tbody:nth-of-type(1) tr[data-team='Byte Club']").wait_for()
    tab_to(page, "Find")
    page.keyboard.type("add hot")  # in command mode these letters would change the notebook
    row(page, "Byte Club").wait_for(state="detached")
    tab_to(page, "Innovation")
    page.keyboard.press("Enter")
    page.locator(".tp-live [data-metric=innovation]:visible").wait_for()
    tab_to(page, "Team")
    page.keyboard.type("Only Keys")
    tab_to(page, "Submit")
    page.keyboard.press("Enter")
    outcome(page, "ok")
    row(page, "Only Keys").wait_for()
    after = page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")
    assert after == cells, "no cell came or went"
    assert violations(page) == []


def tab_to(page, name):
    """Press Tab until the control of that name has the focus."""
    focused = "document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate(focused).strip() == name:
            return
    raise AssertionError(f"Tab does not lead to {name}")


def drawn(page, width, metric, changes=None, skipped=0, height=1200):
    """A live board of both divisions, alone on a page of that width; gives its table."""
    both = [each | {"division": "open" if at % 2 else "closed"} for at, each in enumerate(entries())]
    ranked = leaderboard(metric=metric, submissions=both)
    live = board_html(ranked, own_team="Hot Path", changes=changes, skipped=skipped)
    page.set_viewport_size({"width": width, "height": height})
    page.set_content(f"<body style='margin:0'>{live}")
    return page.locator("table.tp-table").first


@pytest.mark.parametrize("metric", ["event", "speed", "innovation", "composite"])
@pytest.mark.parametrize("width", [260, 330, 400, 640, 900, 1200])
def test_a_narrow_board_shows_every_name_and_score(page, width, metric):
    """A notebook beside JupyterLab's file list on a small screen has less than 300 pixels."""
    for skipped in (0, 171):
        every_name_and_score(page, drawn(page, width, metric, {"Byte Club": -1, "Hot Path": 12}, skipped))
    assert page.locator(".tp-gap").inner_text().strip() == "171 more teams"
    assert page.locator(".tp-gap").bounding_box()["height"] < 40, "on one line"


def every_name_and_score(page, table):
    """They have room, and the columns fill the rows."""
    assert table.evaluate("e => e.scrollWidth <= e.clientWidth && e.clientWidth <= innerWidth")
    for team in page.locator("tr[data-team]").all():
        name, line = team.locator(".tp-team").bounding_box(), team.bounding_box()
        assert name["width"] >= 80 and line["height"] <= 150, team.get_attribute("data-team")
        assert team.locator("td.tp-score").is_visible()
        ends = team.evaluate("e => Math.max(...[...e.cells].map(cell => cell.getBoundingClientRect().right))")
        assert ends == pytest.approx(line["x"] + line["width"], abs=2), "columns fill the row"


@pytest.mark.parametrize("changes", [None, {"Hot Path": 12}])
@pytest.mark.parametrize("width", [420, 640, 720, 900, 960, 1200])
def test_labels_of_the_axis_do_not_lie_on_each_other(page, width, changes):
    for metric in ("event", "speed", "innovation", "composite"):
        table = drawn(page, width, metric, changes, skipped=171)
        labels = table.locator(".tp-axis span:visible").all()
        boxes = sorted((each.bounding_box() for each in labels), key=lambda box: box["x"])
        assert [b for a, b in pairwise(boxes) if a["x"] + a["width"] > b["x"]] == [], metric
        chart = table.locator("thead .tp-chart")
        assert not chart.is_visible() or chart.bounding_box()["width"] > 85, "no chart rather than a sliver"


# ---------------------------------------------------------------- without a kernel


def test_a_notebook_that_is_not_trusted_shows_boards_in_columns(server, page, unsigned):
    assert unsigned.stat().st_size < 1_500_000
    open_notebook(page, server, unsigned.name)
    assert not page.evaluate("jupyterapp.shell.currentWidget.content.widgets[1].model.trusted")
    bars = page.locator(".jp-OutputArea-output .tp-speed tr:has-text('Byte Club') .tp-bar")
    bars.first.wait_for()
    box = bars.first.bounding_box()
    assert box["width"] > 40, box
    assert 8 < box["height"] < 30, box
    names = page.locator(".jp-OutputArea-output .tp-speed th.tp-team[scope=row]")
    assert len({round(names.nth(at).bounding_box()["x"]) for at in range(5)}) == 1, "names stand below each other"
    assert names.first.evaluate("element => getComputedStyle(element).textAlign") == "left"
    assert page.locator(".tp-nocss:visible").count() == 0, "no letters in the place of bars"


def test_a_converted_notebook_shows_boards_without_a_network(page, unsigned):
    convert = [sys.executable, "-m", "nbconvert", "--to", "html", "--log-level=ERROR", unsigned.name]
    subprocess.run(convert, cwd=unsigned.parent, check=True)
    sees_boards(page, unsigned.with_suffix(".html"))


def test_feedback_of_nbgrader_shows_boards_without_a_network(page, folder, tmp_path):
    sources = [BOARDS.replace("class.sqlite", str(folder / "class.sqlite")), SHOW, "assert True"]
    source = tmp_path / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    source.parent.mkdir(parents=True)
    write(source, *sources)
    notebook = nbformat.read(source, 4)
    notebook.cells[-1].metadata["nbgrader"] = {
        "grade": True, "grade_id": "check", "locked": True, "points": 1,
        "schema_version": 3, "solution": False, "task": False,
    }  # fmt: skip
    nbformat.write(notebook, source)
    with nbgrader_course(tmp_path) as api:
        handed_in = tmp_path / "submitted" / "ada" / ASSIGNMENT
        shutil.copytree(make_release(api, tmp_path).parent, handed_in)
        assert api.autograde(ASSIGNMENT, "ada")["success"]
        assert api.generate_feedback(ASSIGNMENT, "ada")["success"]
    sees_boards(page, tmp_path / "feedback" / "ada" / ASSIGNMENT / f"{ASSIGNMENT}.html")


def sees_boards(page, path):
    """All four, with bars, when nothing can be loaded from elsewhere."""
    page.route("http*://**/*", lambda route: route.abort())
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    boards = page.locator("[data-testid=board]:visible")
    boards.first.wait_for()
    assert boards.count() == 4
    assert "The Vectorizers" in boards.first.inner_text()
    assert page.locator(".tp-bar:visible").count() > 5


# ---------------------------------------------------------------- on the projector


def test_the_projector_follows_freezes_and_reveals(tmp_path, page):
    teams = crowd(25)
    with serving(tmp_path) as (store, port):
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator('tr[data-team="Byte Club"]').wait_for()
        for entry in teams:
            store.append(entry | {"mode": "official"})
        page.locator("#state", has_text="page 1 of 3, 26 teams").wait_for()
        assert page.locator("tbody tr[data-team]").count() == 10
        page.keyboard.press("f")
        page.locator("body[data-state=frozen]").wait_for()
        store.append(submission(team="Too Late", score=50.0, mode="official"))
        page.locator("#state", has_text="1 newer result").wait_for()
        assert page.locator('tr[data-team="Too Late"]').count() == 0
        page.keyboard.press("f")
        page.locator('tr[data-team="Too Late"]').wait_for()
        page.keyboard.press("r")
        page.locator("#state", has_text="17 of 27 places revealed").wait_for()
        page.reload()
        page.locator("#state", has_text="17 of 27 places revealed").wait_for()
        page.get_by_role("button", name="R reveal").click()
        page.locator("#state", has_text="18 of 27 places revealed").wait_for()
        assert "Too Late" not in page.content()
    page.locator("body[data-state=lost]").wait_for()


def says(page, words):
    """Wait until the line below the board says so."""
    page.locator("#state", has_text=words).wait_for()


def test_a_ceremony_ends_with_the_last_place_and_goes_back_and_on_to_other_boards(tmp_path, page):
    with serving(tmp_path, "--reveal", "--rows", "3") as (store, port):
        for at, entry in enumerate(crowd(5)):
            store.append(entry | {"mode": "official"})
            if at < 2:
                store.append(submission("cnn_marathon", f"Twin {at}", 2.0 + at, mode="official"))
        page.goto(f"http://127.0.0.1:{port}/")
        says(page, "3 of 6 places revealed")
        page.keyboard.press("r")
        says(page, "4 of 6 places revealed")
        page.keyboard.press("Backspace")
        says(page, "3 of 6 places revealed")
        for _ in range(3):
            page.keyboard.press("r")
        says(page, "all 6 places revealed; F goes live")
        for key in "rrr":
            page.keyboard.press(key)
        store.append(submission(team="Too Late", score=50.0, mode="official"))
        says(page, "all 6 places revealed; F goes live")
        assert "Too Late" not in page.content()
        page.keyboard.press("b")
        says(page, "3 of 6 places revealed")
        page.keyboard.press("e")
        says(page, "0 of 2 places revealed")
        assert "Nothing revealed yet." in page.locator("#board").inner_text()
        page.keyboard.press("r")
        page.locator('tr[data-team="Twin 0"]').wait_for()
        assert page.locator("tr[data-team]").count() == 1
        page.keyboard.press("f")
        says(page, "live")


def test_a_key_that_is_held_down_reveals_one_place(tmp_path, page):
    with serving(tmp_path, "--reveal") as (store, port):
        for entry in crowd(20):
            store.append(entry | {"mode": "official"})
        page.goto(f"http://127.0.0.1:{port}/")
        says(page, "11 of 21 places revealed")
        for _ in range(5):  # without letting it go
            page.keyboard.down("r")
        says(page, "12 of 21 places revealed")
        page.keyboard.up("r")
        page.keyboard.press("a")
        says(page, "turning every 10 s")


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720), (1024, 768)])
def test_ten_rows_fill_the_projectors_screen_in_large_letters(tmp_path, page, width, height):
    page.set_viewport_size({"width": width, "height": height})
    with serving(tmp_path) as (store, port):
        for entry in crowd(25):
            store.append(entry | {"mode": "official"})
        page.goto(f"http://127.0.0.1:{port}/")
        last = page.locator("tbody tr[data-team]").nth(9)
        last.wait_for()
        bottom = last.evaluate("element => element.getBoundingClientRect().bottom")
        assert bottom < page.locator("footer").bounding_box()["y"], "the last row stands above the keys"
        letters = last.locator("bdi").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        assert letters > height / 45, "a letter is at least a fortieth of the screen with its descender"
        assert violations(page, "body") == []


# ---------------------------------------------------------------- hostile names


def test_hostile_names_run_nowhere(server, page):
    """Each would open a dialog, and a dialog fails the test; what is between two $ is no formula of ours."""
    open_notebook(page, server, "hostile.ipynb").run_all()
    board(page).locator("tr.tp-own").wait_for()
    assert board(page).locator("tbody tr[data-team]").count() == 23
    page.locator("#formula mjx-container").wait_for()  # in other output it is one
    assert page.locator("mjx-container").count() == 1
    front(page, "Innovation")
    front(page, "Composite")
    page.get_by_label("Find").fill("<img src=x onerror=alert(1)>")
    board(page).locator("tbody tr[data-team]").nth(2).wait_for(state="detached")
    inside = page.locator(".tp :is(script, img, iframe, svg, object, [onerror], [onload], [onmouseover])")
    assert inside.count() == 0
