"""What both dashboards are made of: an escaped line of text, style, and a static picture beside the live one.

A saved notebook has no kernel: whoever opens it sees the static output; where the widget is alive its style hides
that one. Does not: know boards, stores or measuring.
"""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from tinytorch.perf.board import BOARD_CSS, PLAIN, clean

LONGEST_WORDS = 600  # characters of a line
QUIET = ("idle", "measuring")  # states that nobody needs to be told of


class WidgetError(RuntimeError):
    """A dashboard cannot be shown, or was handed what it cannot use."""


# Narrow wraps, focus is seen, and everything keeps to the theme of whoever shows it.
STYLE = """
.tp-live .widget-hbox{flex-wrap:wrap;gap:2px 10px;height:auto}
.tp-live{overflow:visible}
.tp-live .widget-html-content,.tp-live .widget-html>.widget-html-content{line-height:1.35;align-self:auto}
.tp-live .tp-line-of-text{font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--tp-muted);
min-height:1.5em}
.tp-live .tp-line-of-text[data-state=ok]{color:var(--tp-up)}
.tp-live .tp-line-of-text:is([data-state=refused],[data-state=failed]){color:var(--tp-down)}
.tp-live .tp-line-of-text b{color:var(--tp-ink)}
.tp-live .widget-label{color:inherit}
.tp-live :is(button,select,input,[tabindex]):focus-visible{outline:2px solid var(--jp-brand-color1,#3585b8);
outline-offset:1px}
.tp-live .tp-choice{margin:6px 0 8px}
.tp-live .tp-choice .widget-toggle-button{width:auto;min-width:7em;font-size:14px}
.tp-live .tp-choice .mod-active{font-weight:600;box-shadow:inset 0 -3px 0 var(--tp-accent)}
.tp-live .tp-heading{font:600 1.1em/1.4 var(--jp-ui-font-family,system-ui,sans-serif);margin:0;color:inherit}
@media (forced-colors:active){.tp-bar{forced-color-adjust:none}}
""".replace("\n", "")


def line_of_text(words: str, state: str = "idle", test_id: str = "status", status: bool = True) -> str:
    """A line that a screen reader tells when it changes; `words` are cleaned and escaped."""
    # An alert is told though it comes as a whole, words and all; a stage of measuring would be told every second.
    role = ' role="alert"' if status and words and state not in QUIET else ""
    marks = f'class="tp tp-line-of-text {PLAIN}" data-state="{html.escape(state)}"'
    marks += f' data-testid="{html.escape(test_id)}"'
    return f"<div{role} {marks}>{html.escape(clean(words, LONGEST_WORDS), quote=True)}</div>"


class Dashboard(widgets.VBox):  # type: ignore[misc]
    """A box that is shown twice: alive, and as a static picture that the live one hides.

    A subclass has `static_html()` and `static_text()`, and calls `snapshot()` when they have changed.
    """

    def __init__(self, children: list[Any], label: str) -> None:
        self._sheet = widgets.HTML()
        super().__init__([self._sheet, *children])
        self._static: Any = None
        hide = f"body:has(.tp-live-{self.model_id}) .tp-static-{self.model_id}{{display:none!important}}"
        self._sheet.value = f"<style>{BOARD_CSS}{STYLE}{hide}</style>"
        self.add_class("tp-live")
        self.add_class(f"tp-live-{self.model_id}")
        self.label = label

    def static_html(self) -> str:
        raise NotImplementedError

    def static_text(self) -> str:
        raise NotImplementedError

    def _bundle(self) -> dict[str, str]:
        picture = f'<div class="tp-static-{self.model_id}">{self.static_html()}</div>'
        return {"text/html": picture, "text/plain": self.static_text()}

    def snapshot(self) -> None:
        """Bring the static picture up to date, so that a saved notebook shows what is shown now."""
        if self._static is not None:
            self._static.update(self._bundle(), raw=True)

    def _ipython_display_(self, **_: Any) -> None:
        self._static = display(self._bundle(), raw=True, display_id=True)
        alive = self._repr_mimebundle_()
        data, metadata = alive if isinstance(alive, tuple) else (alive, {})
        display({**data, "text/plain": f"({self.label}: run this cell to use it)"}, raw=True, metadata=metadata)
        self.shown()

    def shown(self) -> None:
        """Called after each display; a dashboard that follows something begins here."""

    def __repr__(self) -> str:
        return self.static_text()
