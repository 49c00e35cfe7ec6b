"""Makes the pictures of the README from a run of the competition: `python docs/pictures.py competition`.

Draws the page anew from the store in the folder and photographs parts of it, in the light theme, with the Chromium
that is installed or the one of `playwright install chromium`. Does not: measure anything.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from tinytorch.compete import STORE, write
from tinytorch.core.benchmarking import TinyMLPerfCompetitionPlus
from tinytorch.perf.workloads.events import EVENTS

WIDTH, SHARPNESS = 1200, 1.4  # CSS pixels of the window, and picture pixels to each of them
COLOURS = 64  # of a picture; keeps it small without a visible loss

# One event's boards and nothing else of the page: no charts, no rule above, an even margin.
BOARDS_ONLY = """
.tp-page{padding:0}
.tp-page>:not(#only),.tp-figure{display:none}
.tp-page #only{border:0;margin:0;padding:16px}
.tp-flow>*{padding:0}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if the pictures were written, 1 if there is no run to draw."""
    parser = argparse.ArgumentParser(description="Make the README's pictures from a run of the competition.")
    parser.add_argument("folder", type=Path, help="of the run: what `python -m tinytorch.compete --out` was given")
    parser.add_argument("--event", choices=list(EVENTS), default="mlp_sprint", help="whose boards are shown")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="folder of the pictures")
    given = parser.parse_args(arguments)
    if not (given.folder / STORE).is_file():
        sys.stderr.write(f"{given.folder} has no {STORE}; make one with `python -m tinytorch.compete`\n")
        return 1
    for path in take(given.folder / STORE, given.event, given.to):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1000:.0f} kB\n")
    return 0


def take(store: Path, event: str, folder: Path) -> list[Path]:
    """Write leaderboard.png, speedups.png, balance.png and disciplines.png; returns their paths."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as browsers:
        source = write(TinyMLPerfCompetitionPlus(store=store), Path(temporary) / "page.html", list(EVENTS))
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"))
        window = {"width": WIDTH, "height": 900}
        page = browser.new_page(viewport=window, device_scale_factor=SHARPNESS, color_scheme="light")
        page.goto(source.as_uri())
        charts = [
            photograph(chart(page, "mlp_sprint", "speedups"), folder / "speedups.png"),
            photograph(chart(page, "cnn_marathon", "of the best entries"), folder / "balance.png"),
            photograph(chart(page, "transformer_decathlon", "ten disciplines"), folder / "disciplines.png"),
        ]
        boards = section(page, event)
        boards.evaluate("element => element.id = 'only'")
        page.add_style_tag(content=BOARDS_ONLY)
        photograph(boards, folder / "leaderboard.png")
        browser.close()
    return [folder / "leaderboard.png", *charts]


def section(page: Page, event: str) -> Locator:
    """All of one event."""
    return page.locator(f"section[aria-labelledby=event-{list(EVENTS).index(event) + 1}]")


def chart(page: Page, event: str, words: str) -> Locator:
    """The picture whose caption holds `words`, without the caption."""
    return section(page, event).locator("figure", has_text=words).locator("svg")


def photograph(part: Locator, path: Path) -> Path:
    """Take a part of the page, in few colours."""
    taken = Image.open(io.BytesIO(part.screenshot())).convert("RGB")
    taken.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


if __name__ == "__main__":
    sys.exit(main())
