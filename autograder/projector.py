"""show a full-screen board that follows a store: for a projector, with freeze and reveal.

    python -m autograder projector board.sqlite              official results, on http://127.0.0.1:8765

The server only reads; what is shown (event, board, page, frozen or not) stands in the address of the page, so
that a reload changes nothing. Keys: F freeze, R reveal from the last place up, Backspace back, arrows for pages,
E event, B board, A turns the pages. Does not: measure, rank or store.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from autograder.stored import stored
from tinytorch.core.benchmarking import make_leaderboard
from tinytorch.perf.board import BOARD_CSS, board_html
from tinytorch.perf.feed import METRICS, Feed, board_of
from tinytorch.perf.records import Leaderboard
from tinytorch.perf.workloads.events import EVENTS

ROWS = 10  # as many as can be read from the last row of a lecture hall
BOARDS = ("event", *METRICS)  # who wins the event, and the three of the notebook
START = "start"  # of a reveal: all but the first ROWS places
HOST, PORT = "127.0.0.1", 8765
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class ProjectorError(ValueError):
    """The board cannot be shown as asked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and where."""
    parser.add_argument("store", help="path of the store, or a database URL")
    parser.add_argument("--practice", action="store_true", help="the teams' own results instead of official ones")
    parser.add_argument("--division", choices=("closed", "open"), help="one division only (default: both)")
    parser.add_argument(
        "--reveal", action="store_true", help="begin with the ceremony: the first places are hidden, R shows them"
    )
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows of a page (default: {ROWS})")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"0: any free one (default: {PORT})")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    with server_of(options) as server:
        page = f"http://{HOST}:{server.server_port}/{beginning(options)}"
        print(f"{page} follows {options.store}; F11 for the whole screen, Ctrl-C ends")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def beginning(options: argparse.Namespace) -> str:
    """What the address ends with: nothing, or a ceremony over what is stored by now."""
    if not options.reveal:
        return ""
    feed = Feed(stored(options.store), "official")
    feed.refresh()
    return f"#until={feed.last_id()}&reveal={START}"


def server_of(options: argparse.Namespace) -> ThreadingHTTPServer:
    """A server for this machine alone: what is still secret is for the one who holds the projector."""
    if not 3 <= options.rows <= 40:
        raise ProjectorError(f"--rows is {options.rows}, expected 3 to 40")
    feed = Feed(stored(options.store), "practice" if options.practice else "official")
    screen = Screen(feed, options.division, options.rows)
    try:
        return ThreadingHTTPServer((HOST, options.port), type("Handler", (_Handler,), {"screen": screen}))
    except OSError as error:
        raise ProjectorError(
            f"cannot listen on port {options.port}: {error.strerror}; choose another --port"
        ) from error


# ---------------------------------------------------------------- what is shown


@dataclass(frozen=True)
class Wish:
    """What the address of the page asks for."""

    event: str
    metric: str
    page: int  # from 0
    until: int | None  # frozen: nothing with a higher id is shown
    reveal: int | str | None  # this many places, from the last one up, or START


def wish_of(query: str) -> Wish:
    """Read an address. Raises ProjectorError."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    event, metric = given.get("event", next(iter(EVENTS))), given.get("metric", BOARDS[0])
    if event not in EVENTS or metric not in BOARDS:
        raise ProjectorError("no such event or board")
    page, until = (_count(given.get(name)) for name in ("page", "until"))
    reveal = START if given.get("reveal") == START else _count(given.get("reveal"))
    return Wish(event, metric, page or 0, until, reveal)


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ProjectorError("a number is no number")
    return int(text)


@dataclass
class Screen:
    """Boards of a store as pages of a few rows."""

    feed: Feed
    division: str | None
    rows: int

    def __post_init__(self) -> None:
        self._lock = threading.Lock()  # a browser asks in several threads

    def _what(self) -> str:
        """Whose results these are, where they are not all official ones."""
        words = ["practice"] if self.feed.mode == "practice" else []
        return ", ".join([*words, *([f"{self.division} division"] if self.division else [])])

    def show(self, wish: Wish) -> dict[str, Any]:
        """One page as HTML, and what the keys need to know."""
        with self._lock:
            self.feed.refresh()
            last = self.feed.last_id()
            entries = self.feed.entries(wish.event, self.division, wish.until)
            newer = 0 if wish.until is None else len(self.feed.entries(wish.event, self.division)) - len(entries)
        board = board_of(make_leaderboard, wish.event, wish.metric, entries)
        teams = len(board.standings)
        places = max(0, teams - self.rows) if isinstance(wish.reveal, str) else wish.reveal
        shown = _revealed(board, places)
        pages = max(1, -(-len(shown.standings) // self.rows))
        page = min(wish.page, pages - 1)
        part = shown.standings[page * self.rows : (page + 1) * self.rows]
        html = board_html(replace(shown, standings=part, unranked=(), notes=()), style=False)
        if places is not None and teams:
            html = html.replace("No ranked entry yet.", "Nothing revealed yet.")
        return {
            "html": html, "what": self._what(), "reveal": places, "last": last, "newer": newer, "teams": teams,
            "page": page, "pages": pages, "rows": self.rows, "checked": f"{datetime.now():%H:%M:%S}",
        }  # fmt: skip


def _revealed(board: Leaderboard, places: int | None) -> Leaderboard:
    """The last places only; the names of the others are not even sent."""
    if places is None:
        return board
    return replace(board, standings=board.standings[max(0, len(board.standings) - places) :])


# ---------------------------------------------------------------- the server


class _Handler(BaseHTTPRequestHandler):
    screen: Screen

    def do_GET(self) -> None:
        if (self.headers.get("Host") or "").partition(":")[0] not in (HOST, "localhost"):
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", "ask for 127.0.0.1")  # another name for this machine
            return
        address = urlsplit(self.path)
        try:
            if address.path == "/":
                self._answer(HTTPStatus.OK, "text/html", PAGE.replace("ROWS", str(self.screen.rows)))
            elif address.path == "/projector.js":
                self._answer(HTTPStatus.OK, "text/javascript", SCRIPT)
            elif address.path == "/board":
                self._answer(
                    HTTPStatus.OK, "application/json", json.dumps(self.screen.show(wish_of(address.query)))
                )
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "not here")
        except ProjectorError as error:
            self._answer(HTTPStatus.BAD_REQUEST, "text/plain", str(error))

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode()
        headers: Mapping[str, str] = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Silent: a line a second helps nobody."""


# ---------------------------------------------------------------- the page

_TITLES = json.dumps({name: each.title for name, each in EVENTS.items()})

STYLE = """
html,body{margin:0;height:100%;background:#14171a}
body{color-scheme:dark;overflow:hidden;display:flex;flex-direction:column}
main{flex:1;min-height:0;padding:2.2vh 3vw 0}
.tp-board.tp{font-size:min(90vh/(var(--rows)*3.1 + 5.2),1.9vw);max-width:none;margin:0;background:none}
.tp.tp-board table.tp-table :is(th,td){padding-block:.26em}
.tp.tp-board table.tp-table tbody tr{height:3.1em}
.tp-table caption b{font-size:1.5em}
.tp-board :is(.tp-line,.tp-extra,.tp-notes,.tp-baseline){display:none!important}
.tp.tp-board table.tp-table :is(th,td).tp-team{width:34%;white-space:nowrap}
.tp.tp-board table.tp-table tbody :is(th.tp-team,td.tp-score){font-size:1.25em;line-height:1.15}
.tp-below{font-size:.62em!important}
footer{display:flex;flex-wrap:wrap;gap:.4em 1em;align-items:center;padding:1vh 3vw 1.6vh;
font:min(2vh,1.3vw) system-ui,sans-serif;color:#c3cad2;background:#14171a}
footer button{font:inherit;color:inherit;background:none;border:1px solid #6e7781;border-radius:.4em;
padding:.1em .6em}
footer button:focus-visible{outline:3px solid #e6e8ea}
#state{margin-right:auto;font-variant-numeric:tabular-nums}
body[data-state=frozen] #state{color:#f2c230;font-weight:600}
body[data-state=lost] #state{color:#ff9a5c;font-weight:600}
"""

PAGE = f"""<!DOCTYPE html>
<html lang="en" theme="dark"><head><meta charset="utf-8"><title>TinyMLPerf</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{BOARD_CSS}{STYLE}</style></head>
<body style="--rows:ROWS"><main id="board" aria-label="Leaderboard"></main>
<footer><span id="state" role="status">connecting</span>
<button data-key="e">E event</button><button data-key="b">B board</button>
<button data-key="ArrowLeft">← page</button><button data-key="ArrowRight">page →</button>
<button data-key="a">A turn pages</button><button data-key="f">F freeze</button>
<button data-key="r">R reveal</button></footer>
<script src="/projector.js"></script></body></html>
"""

SCRIPT = (
    f"""'use strict'
const events = {_TITLES}, metrics = {json.dumps(BOARDS)}
"""
    + """
const LOOK_MS = 1000, TURN_MS = 10000
const names = Object.keys(events)
let seen = null, turning = null

const wish = () => {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)))
  return {event: names[0], metric: metrics[0], page: '0', ...given}
}
const ask = change => {
  const next = Object.entries({...wish(), ...change}).filter(([, value]) => value !== null)
  location.hash = new URLSearchParams(next)
}
const after = (list, item) => list[(list.indexOf(item) + 1) % list.length]

function tell(answer) {
  const {until} = wish(), {reveal, teams} = answer, frozen = until !== undefined
  document.body.dataset.state = frozen ? 'frozen' : 'live'
  let words = `live, checked at ${answer.checked}`
  if (frozen) words = `frozen; ${answer.newer} newer result${answer.newer === 1 ? '' : 's'}`
  if (reveal !== null && reveal >= teams) words = `all ${teams} places revealed, F goes live`
  else if (reveal !== null) words = `${reveal} of ${teams} places revealed, R for the next`
  else if (answer.pages > 1) words += `; page ${answer.page + 1} of ${answer.pages}, ${teams} teams`
  if (turning) words += `; turning every ${TURN_MS / 1000} s`
  if (answer.what) words = `${answer.what}; ${words}`
  document.getElementById('state').textContent = words
}

async function look() {
  try {
    const answer = await (await fetch(`/board?${new URLSearchParams(wish())}`)).json()
    if (!seen || seen.html !== answer.html) document.getElementById('board').innerHTML = answer.html
    seen = answer
    tell(answer)
  } catch (error) {
    document.body.dataset.state = 'lost'
    document.getElementById('state').textContent = `no connection; as of ${seen ? seen.checked : 'never'}`
  }
}

const revealing = () => wish().reveal !== undefined
const other = change => ask({...change, page: 0, reveal: revealing() ? 'start' : null})
const turn = step => seen && ask({page: (seen.page + step + seen.pages) % seen.pages})
const keys = {
  e: () => other({event: after(names, wish().event)}),
  b: () => other({metric: after(metrics, wish().metric)}),
  f: () => ask(wish().until === undefined ? {until: seen.last} : {until: null, reveal: null, page: 0}),
  r: () => {
    if (!revealing()) ask({until: seen.last, reveal: 'start', page: 0})
    else if (seen.reveal < seen.teams) ask({reveal: seen.reveal + 1})
  },
  Backspace: () => revealing() && seen.reveal > 0 && ask({reveal: Math.min(seen.reveal, seen.teams) - 1}),
  a: () => { turning = turning ? clearInterval(turning) : setInterval(() => turn(1), TURN_MS) },
  ArrowLeft: () => turn(-1),
  ArrowRight: () => turn(1),
}
const press = key => { const act = keys[key.length === 1 ? key.toLowerCase() : key]; if (act && seen) act() }
addEventListener('keydown', event => {
  if (!event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat) press(event.key)
})
for (const button of document.querySelectorAll('[data-key]'))
  button.addEventListener('click', () => press(button.dataset.key))
addEventListener('hashchange', look)
setInterval(look, LOOK_MS)
look()
"""
)
