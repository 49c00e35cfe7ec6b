"""JupyterLab and Notebook 7 in a headless browser: a server on a folder, a notebook in front, hands of a person.

    with lab_server(folder) as server, browser_page() as page:
        notebook = open_notebook(page, server, "tinymlperf.ipynb")

Waits for effects, never for time. An idle indicator says nothing (it is idle before there is a kernel), so a
notebook is open when its session is connected. A failure leaves a picture of the page in `build/e2e/`. Does not:
know what is in a notebook.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update".split()
)
PATIENCE_S = 30
PICTURES = Path(__file__).parents[2] / "build" / "e2e"
# Notebook 7 says so of itself, with any notebook, JupyterLab does not; and a page of nbgrader without its jQuery.
KNOWN_ERRORS = {
    "$ is not defined",
    "Cannot read properties of undefined (reading 'schema')",
    "Command 'filebrowser:open-path' not registered.",
}
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "docmanager-extension/plugin": {"autosave": False},
}
READY = """() => {
    const widget = window.jupyterapp?.shell.currentWidget, context = widget?.sessionContext
    const connected = context?.session?.kernel?.connectionStatus === 'connected'
    return !!(context?.isReady && connected && widget.content?.widgets?.length)
}"""

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt install chromium")


@dataclass(frozen=True)
class Server:
    """A running JupyterLab."""

    url: str
    token: str

    def asks(self, path: str, method: str = "GET") -> Any:
        """The answer of the server's REST interface."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextlib.contextmanager
def lab_server(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """JupyterLab on a folder, with settings of its own; kernels are shut down with it."""
    with tempfile.TemporaryDirectory(prefix="lab", ignore_cleanup_errors=True) as home, _free_port() as port:
        token, log = secrets.token_hex(8), Path(home) / "log"
        with log.open("w") as file:
            process = subprocess.Popen(
                _command(folder, port, token),
                cwd=folder,
                env={**os.environ, **_homes(Path(home)), **(environment or {})},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            server = Server(f"http://127.0.0.1:{port}", token)
            _wait_for(server, process, log)
            yield server
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _command(folder: Path, port: int, token: str) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "JupyterNotebookApp.expose_app_in_browser": True,
    }
    root = ["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "jupyter", "lab", "--no-browser", *flags, *root]


def _homes(home: Path) -> dict[str, str]:
    """Folders of its own for everything that Jupyter remembers, with SETTINGS in place."""
    for name, values in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    folders = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    return {name: str(home / folder) for name, folder in folders.items()}


@contextlib.contextmanager
def _free_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield port


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers; what it wrote, if it ends before."""
    pause = threading.Event()
    for _ in range(PATIENCE_S * 5):
        with contextlib.suppress(OSError):
            server.asks("api/status")
            return
        if process.poll() is not None:
            break
        pause.wait(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def browser_page() -> Iterator[Any]:
    """A page of headless chromium; an error in the page or a dialog of a script fails the test."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_S * 1000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(error.message))
        page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}") or dialog.dismiss())
        try:
            yield page
        except BaseException:
            photograph(page)
            raise
        finally:
            browser.close()
        assert not set(errors) - KNOWN_ERRORS, errors


def photograph(page: Any) -> None:
    """What is seen, in a file of the name of the test that runs."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "a test").rpartition("::")[2].partition(" ")[0]
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{re.sub(r'[^a-zA-Z0-9_-]+', '-', test)}.png")


def open_notebook(page: Any, server: Server, name: str, where: str = "lab/tree") -> Notebook:
    """The notebook in front, its kernel connected; `where` is "notebooks" for Notebook 7."""
    page.goto(f"{server.url}/{where}/{name}?reset&token={server.token}")
    page.wait_for_function(READY)
    return Notebook(page)


@dataclass(frozen=True)
class Notebook:
    """The notebook in front of a page; cells are counted from 0."""

    page: Any

    def cell(self, index: int) -> Any:
        """What can be clicked and read."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def model(self, index: int) -> dict[str, Any]:
        """The cell as it would be saved."""
        widgets = "jupyterapp.shell.currentWidget.content.widgets"
        return self.page.evaluate(f"index => {widgets}[index].model.toJSON()", index)

    def run(self, first: int, last: int, patience_s: float = PATIENCE_S) -> None:
        """Shift-Enter from cell `first` to cell `last`, then wait until the last one has run."""
        self.begin(first, last)
        model = "jupyterapp.shell.currentWidget.content.widgets[index].model"
        done = f"index => {model}.executionState !== 'running' && {model}.executionCount"
        self.page.wait_for_function(done, arg=last, timeout=patience_s * 1000)

    def begin(self, first: int, last: int | None = None) -> None:
        """Shift-Enter from cell `first` to cell `last`, without waiting."""
        self.cell(first).locator(".jp-InputPrompt, .jp-InputArea").first.click()
        self.page.keyboard.press("Escape")
        for _ in range(first, (first if last is None else last) + 1):
            self.page.keyboard.press("Shift+Enter")

    def run_all(self, patience_s: float = PATIENCE_S) -> None:
        """Every cell, top to bottom; fails if one of them complains."""
        count = self.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")
        self.run(0, count - 1, patience_s)
        complaints = [self.errors(at) for at in range(count)]
        assert not any(complaints), complaints

    def theme(self, name: str) -> None:
        """Switch to "JupyterLab Dark" or another theme, and wait until it is there."""
        # Not awaited: a command's promise may wait for a dialog, and evaluate has no time-out.
        self.page.evaluate(
            "name => { jupyterapp.commands.execute('apputils:change-theme', {theme: name}); }", name
        )
        self.page.wait_for_selector(f'body[data-jp-theme-name="{name}"]', state="attached")

    def errors(self, index: int) -> list[str]:
        """What a cell complained: errors, and everything on stderr."""
        outputs = self.model(index)["outputs"]
        said = [f"{each['ename']}: {each['evalue']}" for each in outputs if each["output_type"] == "error"]
        return said + ["".join(each["text"]) for each in outputs if each.get("name") == "stderr"]

    def type_lines(self, lines: list[str]) -> None:
        """Type lines where the cursor stands, each at its indentation: the editor indents, a person corrects."""
        automatic = _indent(lines[0])
        for at, line in enumerate(lines):
            for _ in range(max(0, automatic - _indent(line)) // 4):
                self.page.keyboard.press("Backspace")
            self.page.keyboard.insert_text(line.strip())
            automatic = _indent(line) + (4 if line.rstrip().endswith(":") else 0)
            if at < len(lines) - 1:
                self.page.keyboard.press("Enter")

    def write_solution(self, index: int, lines: list[str]) -> None:
        """Type `lines` in the place of the two lines at the end of a released cell."""
        self.cell(index).locator(".cm-content").click()
        for key in ("Control+End", "Shift+ArrowUp", "Shift+Home", "Backspace"):
            self.page.keyboard.press(key)
        self.type_lines(lines)
        source = self.model(index)["source"]
        assert "YOUR CODE" not in source and all(line in source for line in lines), source

    def save(self) -> None:
        """Control-S, then wait until there is nothing left to save."""
        self.page.keyboard.press("Control+s")
        self.page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
