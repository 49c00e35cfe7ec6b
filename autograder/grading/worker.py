"""Runs the cells of one notebook in a jailed process, and signs what came of each.

Order matters: the checks are compiled and the reference is loaded before a student's first line runs; then the
walls close. Comparisons in checks are rewritten so that an object of the student's own cannot answer for itself.
An audit hook refuses what would show frames, the collector or raw memory while a student's code is on the stack.
Does not: decide points, start itself, or know where anything is stored.
"""

from __future__ import annotations

import ast
import builtins
import collections  # noqa: F401  in NAMED
import contextlib
import enum  # noqa: F401  in NAMED
import hashlib
import hmac
import io
import json
import os
import secrets
import sys
import traceback
import typing  # noqa: F401  in NAMED
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any

OUTPUT_LIMIT = 20_000  # characters of a cell
REFUSED = tuple(  # beginnings of audit events
    "sys._getframe sys._current_frames sys._current_exceptions sys.settrace sys.setprofile sys.addaudithook gc. "
    "code.__new__ function.__new__ object.__getattr__ ctypes os.fork subprocess.Popen cpython".split()
)
CLOSE = ("isclose", "allclose", "array_equal", "array_equiv")  # functions that compare, in a check
STUDENTS = "<your "  # how the file names of a student's cells begin
PLAIN = "_plain_" + secrets.token_hex(16)  # a name in the notebook's globals that no student can know
NAMED = tuple(
    sys.modules[name].__file__ for name in ("collections", "enum", "typing")
)  # look at a caller's module


class Reporter:
    """Sends signed lines to the judge; what else is written to the same pipe is not signed, and not believed."""

    def __init__(self, file: int, key: bytes) -> None:
        def send(message: Mapping[str, Any]) -> None:
            text = json.dumps(message).encode()
            line = hmac.new(key, text, hashlib.sha256).hexdigest().encode() + b" " + text + b"\n"
            while line:
                line = line[os.write(file, line) :]

        self.send = send


def main() -> None:
    """Read the orders from standard input, run the cells, report."""
    orders = json.loads(sys.stdin.buffer.read())
    report = Reporter(int(sys.argv[1]), bytes.fromhex(orders.pop("key")))
    sys.path[:0] = orders["path"]
    os.environ.pop("TINYMLPERF_REFERENCE", None)
    cells = [(cell, compiled(cell)) for cell in orders["cells"]]
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    install_reference(orders["reference"], {code for _, code in cells if isinstance(code, CodeType)})
    close_walls(orders)
    trusted = set(sys.modules)
    namespace[PLAIN] = lambda value, seen=trusted: plain(value, seen)
    sys.addaudithook(watch())
    report.send({"ready": True, "walls": orders["walls"]})
    run_all(cells, namespace, report)


def run_all(cells: Sequence[tuple[Mapping[str, Any], Any]], namespace: dict[str, Any], report: Reporter) -> None:
    """Cell after cell, as a kernel would; each begins with an honest clock."""
    ours = Ours(namespace)
    for cell, code in cells:
        report.send({"begins": cell["number"]})
        if not cell["own"]:
            ours.put_back()
        said, error = run(code, namespace)
        if not cell["own"]:
            ours.keep()
        report.send({"ends": cell["number"], "error": error, "said": said})


class Ours:
    """What the course's own cells have bound, and what the modules hold: put back before each of them.

    A student's `def all(values): return True`, `math.isclose = ...` or left-over clock then decides nothing.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace, self.names = namespace, dict(namespace)
        homes = ("builtins", "math", "time", "contextlib", "operator", "numpy", "tinytorch", "autograder")
        found = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in homes]
        self.modules = [(vars(module), dict(vars(module))) for module in found]

    def keep(self) -> None:
        """After a cell of ours: what it bound is ours. Functions and classes that students define stay theirs."""
        for name, value in self.namespace.items():
            if self.names.get(name) is not value and getattr(value, "__module__", None) != "__main__":
                self.names[name] = value

    def put_back(self) -> None:
        """Before a cell of ours."""
        for now, then in self.modules:
            for name, value in then.items():
                if now.get(name) is not value:
                    now[name] = value
        for name in [name for name in self.namespace if hasattr(builtins, name) and name not in self.names]:
            del self.namespace[name]
        self.namespace.update(self.names)


# -- before anything of the student's runs -------------------------------------------------------------


def compiled(cell: Mapping[str, Any]) -> CodeType | str:
    """Code of a cell, or the error that it is; a check's comparisons are rewritten."""
    label = f"<your cell {cell['name']}>" if cell["own"] else f"<{cell['name']}>"
    try:
        tree = ast.parse(cell["source"], label)
        if cell["check"]:
            tree = ast.fix_missing_locations(PlainComparisons().visit(tree))
        return compile(tree, label, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "".join(traceback.format_exception_only(error)).strip()


class PlainComparisons(ast.NodeTransformer):
    """`a == b` becomes `PLAIN(a) == PLAIN(b)`, and so with the functions in CLOSE."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            return node
        node.left = _call_plain(node.left)
        node.comparators = [_call_plain(each) for each in node.comparators]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in CLOSE:
            node.args = [_call_plain(each) for each in node.args]
        return node


def _call_plain(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Constant):
        return node
    return ast.copy_location(ast.Call(ast.Name(PLAIN, ast.Load()), [node], []), node)


def plain(value: Any, trusted: set[str]) -> Any:
    """The value, if its type cannot lie in a comparison: a type of a module that was there before the student.

    Raises:
        AssertionError: its type, or that of something in it, is another.
    """
    kind = type(value)
    home = (
        sys.modules.get(kind.__module__) if kind.__module__ in trusted and kind.__module__ != "__main__" else None
    )
    found: Any = home
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not kind and kind.__module__ != "builtins":
        raise AssertionError(f"a plain value is expected here, not an object of the class {kind.__name__}")
    if isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            plain(each, trusted)
    elif isinstance(value, dict):
        for key, each in value.items():
            plain(key, trusted)
            plain(each, trusted)
    elif kind.__module__ == "numpy" and getattr(value, "dtype", None) is not None and value.dtype.hasobject:
        for each in value.ravel().tolist():
            plain(each, trusted)
    return value


def install_reference(path: str, checks: set[CodeType]) -> None:
    """Load the reference, and let `given` serve nobody but a check."""
    from tinytorch.perf import checks as tools

    reference = tools._load(__import__("pathlib").Path(path))
    sys.modules.pop(tools._MODULE, None)
    real, getframe = tools.given, sys._getframe
    codes = {inner for code in checks for inner in _codes_of(code) if not inner.co_filename.startswith(STUDENTS)}

    def load(_: Any) -> Any:
        return reference

    @contextlib.contextmanager
    def given(namespace: Any, *names: str) -> Iterator[None]:
        caller = getframe(2)  # of the context manager that a `with` enters
        if not any(frame.f_code in codes for frame in (caller, caller.f_back) if frame is not None):
            raise PermissionError("only a check may ask for the reference")
        os.environ["TINYMLPERF_REFERENCE"] = path
        tools._load = load  # type: ignore[assignment]
        try:
            with real(namespace, *names):
                yield
        finally:
            del os.environ["TINYMLPERF_REFERENCE"]

    tools._load = None  # type: ignore[assignment]
    tools.given = given


def _codes_of(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_of(constant)


def close_walls(orders: Mapping[str, Any]) -> None:
    """Limits, Landlock and seccomp, as far as the orders ask for them."""
    import IPython.display  # noqa: F401  what a wall would make slow or impossible later
    import matplotlib.figure  # noqa: F401
    import numpy.random  # noqa: F401

    from autograder.referee import jail

    if "limits" in orders["walls"]:
        jail.limit(orders["memory_bytes"], orders["cpu_s"], orders["file_bytes"])
    if "landlock" in orders["walls"]:
        jail.landlock(orders["readable"], [os.getcwd(), "/dev/null"])
    if "seccomp" in orders["walls"]:
        jail.seccomp()


def watch() -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook: what shows the insides of the process is refused while a student's code is on the stack."""
    getframe, busy = sys._getframe, [False]

    def hook(event: str, _: tuple[Any, ...]) -> None:
        if busy[0] or not event.startswith(REFUSED):
            return
        busy[0] = True
        try:
            frame: FrameType | None = getframe(1)
            if event == "sys._getframe" and frame is not None and frame.f_code.co_filename in NAMED:
                return
            while frame is not None:
                if frame.f_code.co_filename.startswith(STUDENTS):
                    raise PermissionError(f"{event} is not for an answer")
                frame = frame.f_back
        finally:
            busy[0] = False

    return hook


# -- running -------------------------------------------------------------------------------------------


class Bounded(io.StringIO):
    """Text output that stops to grow."""

    def write(self, text: str) -> int:
        room = OUTPUT_LIMIT - self.tell()
        super().write(text[: max(0, room)])
        return len(text)


def run(code: CodeType | str, namespace: dict[str, Any]) -> tuple[str, list[str] | None]:
    """What a cell said, and name and message of the error that ended it."""
    if isinstance(code, str):
        return "", ["SyntaxError", code]
    said = Bounded()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            exec(code, namespace)
    except BaseException as error:  # a student may raise anything, SystemExit too
        return said.getvalue(), [type(error).__name__[:80], _words(error)]
    return said.getvalue(), None


def _words(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except BaseException:  # an error whose own __str__ fails
        return "(an error that cannot be told)"


if __name__ == "__main__":
    main()
