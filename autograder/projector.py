"""show a full-screen board that follows a store: for a projector, with freeze and reveal.

    python -m autograder projector board.sqlite              official results, on http://127.0.0.1:8765
    python -m autograder projector board.sqlite --reveal     a ceremony: the first ten places are still hidden

The server only reads; what is shown (event, board, page, frozen or not) stands in the address of the page, so
that a reload changes nothing. Keys: F freeze, R reveal all but the first ten places and then one more each time,
Backspace takes one back, arrows for pages, E event, B board, A turns the pages. Does not: measure, rank or store.
"""

from __future__ import annotations

import argparse
import json
import threading
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from autograder.board import in_time
from autograder.late import due_moment
from autograder.stored import stored
from tinytorch.core.benchmarking import make_leaderboard
from tinytorch.perf.board import BOARD_CSS, NOBODY, board_html
from tinytorch.perf.feed import METRICS, Feed, board_of
from tinytorch.perf.workloads.events import EVENTS

ROWS = 10  # as many as can be read from the last row of a lecture hall
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
        "--until", metavar="TIME", help="ISO date (all of that day, UTC) or time: show nothing later"
    )
    parser.add_argument(
        "--reveal", action="store_true", help="begin with the first places hidden; opens a browser"
    )
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows of a page (default: {ROWS})")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"0: any free one (default: {PORT})")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    with server_of(options) as server:
        address = f"http://{HOST}:{server.server_port}/"
        print(f"{address} follows {options.store}; F11 for the whole screen, Ctrl-C ends", flush=True)
        if options.reveal:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def server_of(options: argparse.Namespace) -> ThreadingHTTPServer:
    """A server for this machine alone: what is still secret is for the one who holds the projector."""
    if not 3 <= options.rows <= 40:
        raise ProjectorError(f"--rows is {options.rows}, expected 3 to 40")
    mode = "practice" if options.practice else "official"
    feed = Feed(stored(options.store), mode)
    last = None if options.until is None else due_moment(options.until)
    words = [mode.capitalize()] + [f"{options.division} division"] * bool(options.division)
    words += [f"until {options.until}"] * bool(options.until)
    screen = Screen(feed, options.division, options.rows, last, options.reveal, ", ".join(words))
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
    hidden: int | None  # this many places, from the first one down; a number: a ceremony


def wish_of(query: str) -> Wish:
    """Read an address. Raises ProjectorError."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    event, metric = given.get("event", next(iter(EVENTS))), given.get("metric", METRICS[0])
    if event not in EVENTS or metric not in METRICS:
        raise ProjectorError("no such event or board")
    if unknown := given.keys() - {each.name for each in fields(Wish)}:  # a slip must not show what is hidden
        raise ProjectorError(f"unknown in the address: {', '.join(sorted(unknown))}")
    page, until, hidden = (_count(given.get(name)) for name in ("page", "until", "hidden"))
    return Wish(event, metric, page or 0, until, hidden)


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
    last: datetime | None = None  # nothing that was handed in later is shown
    reveal: bool = False  # a page without an address of its own begins the ceremony
    words: str = ""  # what is shown, for the line above the board

    def __post_init__(self) -> None:
        self._lock = threading.Lock()  # a browser asks in several threads

    def show(self, wish: Wish) -> dict[str, Any]:
        """One page as HTML, and what the keys need to know."""
        with self._lock:
            self.feed.refresh()
            last = self.feed.last_id()
            entries = self._entries(wish.event, wish.until)
            newer = 0 if wish.until is None else len(self._entries(wish.event)) - len(entries)
        board = board_of(make_leaderboard, wish.event, wish.metric, entries)
        teams = len(board.standings)
        shown = replace(board, standings=board.standings[wish.hidden or 0 :])  # hidden names are not even sent
        pages = max(1, -(-len(shown.standings) // self.rows))
        page = min(wish.page, pages - 1)
        part = shown.standings[page * self.rows : (page + 1) * self.rows]
        seen = replace(shown, standings=part, unranked=(), notes=())
        empty = "Nothing revealed yet." if teams else NOBODY
        return {
            "html": board_html(seen, style=False, empty=empty), "last": last, "newer": newer, "teams": teams,
            "page": page, "pages": pages, "rows": self.rows, "checked": f"{datetime.now():%H:%M:%S}",
        }  # fmt: skip

    def _entries(self, event: str, until: int | None = None) -> list[Mapping[str, Any]]:
        return in_time(self.feed.entries(event, self.division, until), self.last)

    def html(self) -> str:
        """The page; where a ceremony begins, what is newer than now stays away from it."""
        begin = ""
        if self.reveal:
            with self._lock:
                self.feed.refresh()
                begin = urlencode({"until": self.feed.last_id(), "hidden": self.rows})
        texts = {"begin": begin, "mode": self.feed.mode, "words": self.words}
        return Template(PAGE).substitute(rows=self.rows, **{name: escape(text) for name, text in texts.items()})


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
                self._answer(HTTPStatus.OK, "text/html", self.screen.html())
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
footer{display:flex;flex-wrap:wrap;gap:.4em .7em;align-items:center;padding:1vh 3vw 1.6vh;
font:min(2vh,1.15vw) system-ui,sans-serif;color:#c3cad2;background:#14171a}
footer button{font:inherit;color:inherit;background:none;border:1px solid #6e7781;border-radius:.4em;
padding:.1em .6em}
footer button:focus-visible{outline:3px solid #e6e8ea}
#words{position:fixed;margin:0;top:2.6vh;right:3vw;font:600 min(2.1vh,1.5vw) system-ui,sans-serif;color:#c3cad2}
#words[data-mode=practice]{color:#f2c230}
@media (max-aspect-ratio:17/10){.tp-about{display:none}}
footer>span:first-child{margin-right:auto;font-variant-numeric:tabular-nums}
body[data-state=frozen] #state{color:#f2c230;font-weight:600}
body[data-state=lost] #state{color:#ff9a5c;font-weight:600}
"""

PAGE = f"""<!DOCTYPE html>
<html lang="en" theme="dark"><head><meta charset="utf-8"><title>TinyMLPerf</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{BOARD_CSS}{STYLE}</style></head>
<body style="--rows:$rows" data-begin="$begin"><main id="board" aria-label="Leaderboard"></main>
<header id="words" data-mode="$mode">$words</header>
<footer><span><span id="state" role="status">connecting</span><span id="clock" aria-hidden="true"></span></span>
<button data-key="e">E event</button><button data-key="b">B board</button>
<button data-key="ArrowLeft">← page</button><button data-key="ArrowRight">page →</button>
<button data-key="a">A turn pages</button><button data-key="f">F freeze</button>
<button data-key="r">R reveal</button><button data-key="Backspace">⌫ hide</button></footer>
<script src="/projector.js"></script></body></html>
"""

SCRIPT = (
    f"""'use strict'
const events = {_TITLES}, metrics = {json.dumps(METRICS)}
"""
    + """
const LOOK_MS = 1000, TURN_MS = 10000
const names = Object.keys(events), ROWS = Number(getComputedStyle(document.body).getPropertyValue('--rows'))
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
  const {until, hidden} = wish(), frozen = until !== undefined
  document.body.dataset.state = frozen ? 'frozen' : 'live'
  let words = 'live'
  if (frozen) words = `frozen; ${answer.newer} newer result${answer.newer === 1 ? '' : 's'}`
  const shown = answer.teams - Math.min(hidden, answer.teams)
  if (hidden === '0') words = `all ${answer.teams} places revealed; F goes live`
  else if (hidden !== undefined) words = `${shown} of ${answer.teams} places revealed`
  else if (answer.pages > 1) words += `; page ${answer.page + 1} of ${answer.pages}, ${answer.teams} teams`
  if (turning) words += `; turning every ${TURN_MS / 1000} s`
  say(words, frozen ? '' : `, checked at ${answer.checked}`)
}

function say(words, time) {  // who listens to the page hears what is new, not the time each second
  const state = document.getElementById('state')
  if (state.textContent !== words) state.textContent = words
  document.getElementById('clock').textContent = time
}

async function look() {
  const address = location.hash
  try {
    const answer = await (await fetch(`/board?${new URLSearchParams(wish())}`)).json()
    if (address !== location.hash) return  // of what was asked for before
    if (!seen || seen.html !== answer.html) document.getElementById('board').innerHTML = answer.html
    seen = {...answer, of: place()}
    tell(answer)
  } catch (error) {
    document.body.dataset.state = 'lost'
    say('no connection', `; as of ${seen ? seen.checked : 'never'}`)
  }
}

const place = () => `${wish().event} ${wish().metric}`  // which board
const turn = step => seen && ask({page: (seen.page + step + seen.pages) % seen.pages})
const other = change => ask({...change, page: 0, hidden: wish().hidden === undefined ? null : ROWS})
const hide = step => {  // a place more or less; a board that was just chosen has not told yet how many it has
  const most = seen.of === place() ? seen.teams : ROWS
  ask({hidden: Math.max(0, Math.min(most, Math.min(most, wish().hidden) + step)), page: 0})
}
const keys = {
  e: () => other({event: after(names, wish().event)}),
  b: () => other({metric: after(metrics, wish().metric)}),
  f: () => ask(wish().until === undefined ? {until: seen.last} : {until: null, hidden: null, page: 0}),
  r: () => {
    if (wish().hidden === undefined) ask({until: wish().until ?? seen.last, hidden: ROWS, page: 0})
    else hide(-1)
  },
  Backspace: () => { if (wish().hidden !== undefined) hide(1) },
  a: () => {
    turning = turning ? clearInterval(turning) : setInterval(() => turn(1), TURN_MS)
    tell(seen)
  },
  ArrowLeft: () => turn(-1),
  ArrowRight: () => turn(1),
}
const press = key => { const act = keys[key.length === 1 ? key.toLowerCase() : key]; if (act && seen) act() }
addEventListener('keydown', event => {  // a key that is held down is pressed once
  if (!event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat) press(event.key)
})
for (const button of document.querySelectorAll('[data-key]'))
  button.addEventListener('click', () => press(button.dataset.key))
addEventListener('hashchange', look)
setInterval(look, LOOK_MS)
if (!location.hash && document.body.dataset.begin) location.hash = document.body.dataset.begin
look()
"""
)
