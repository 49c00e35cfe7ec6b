"""Compiles an entry's kernel.c behind the same walls as a student's other code, with the flags of the course.

`ghosts` makes a library with the same names in which every function returns at once: an entry that needs its
kernel then answers otherwise. Does not: load a library; the worker's submission does, from the global KERNEL.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from autograder.referee import jail
from autograder.referee.sandbox import WorkerError, all_but, import_path, printable
from tinytorch.perf.workloads.archive import FILES

FLAGS = ("-O3", "-march=x86-64-v3", "-shared", "-fPIC", "-std=c11")
COMPILE_S = 60.0
ALLOWED = (
    "execve",
    "fork",
    "vfork",
    "clone3",
    "prlimit64",
    "kill",
    "tkill",
    "tgkill",
)  # gcc starts cc1, as and ld
SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null")
COMPILE = (
    "import sys; sys.path[:0] = sys.argv[1].split(chr(10)); "
    "from autograder.referee.kernels import compile_inside; compile_inside(*sys.argv[2:])"
)


def compile_kernel(source: str, folder: Path) -> Path:
    """The library made of `source`, in `folder`. Raises WorkerError with the compiler's first lines."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise WorkerError("kernel compiles", "this machine has no C compiler (gcc); the entry brings a kernel.c")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.c").write_text(source, encoding="utf-8")
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        COMPILE,
        "\n".join(import_path()),
        os.path.realpath(compiler),
        str(folder),
    ]
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            timeout=COMPILE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WorkerError("kernel compiles", f"kernel.c does not compile in {COMPILE_S:.0f} s") from error
    library = folder / "kernel.so"
    if run.returncode or not library.is_file():
        words = printable(run.stderr.decode("utf-8", "replace"))
        raise WorkerError("kernel compiles", f"kernel.c does not compile: {words}")
    return library


def readable(system: Iterable[str] = SYSTEM, hidden: Path = FILES) -> list[str]:
    """What the compiler may read: everything under `system` but `hidden`, where the packages lie among it.

    The assembler puts any file that it can read into a library (.incbin), and so into the entry's hands. Links are
    followed before, since Landlock grants what a link leads to: /lib is /usr/lib.
    """
    hidden = hidden.resolve()
    parts = [Path(part).resolve() for path in system for part in all_but(Path(path).resolve(), hidden)]
    return list(dict.fromkeys(str(part) for part in parts if not hidden.is_relative_to(part)))


def compile_inside(compiler: str, folder: str) -> None:
    """Replace this process by the compiler, locked into `folder` and what is `readable`."""
    try:
        jail.limit(2 << 30, 30, 32 << 20)
        jail.landlock(readable(), (folder, "/dev/null"))
        jail.seccomp(ALLOWED)
    except jail.JailError:
        if sys.platform == "linux":
            raise
    os.execv(compiler, [compiler, *FLAGS, "kernel.c", "-o", "kernel.so", "-lm"])


def ghosts(source: str, folder: Path) -> Path:
    """A library with every function of `source` that is not static, each doing nothing."""
    plain = re.sub(r"//[^\n]*|/\*.*?\*/|^\s*#[^\n]*(?:\\\n[^\n]*)*", " ", source, flags=re.DOTALL | re.MULTILINE)
    plain = _without_bodies(plain)
    names = [
        match[2]
        for match in re.finditer(r"((?:[A-Za-z_][\w\s\*]*?)\b)([A-Za-z_]\w*)\s*\([^;{}]*\)\s*\{\}", plain)
        if "static" not in match[1].split()
    ]
    return compile_kernel("".join(f"int {name}() {{ return 0; }}\n" for name in dict.fromkeys(names)), folder)


def _without_bodies(text: str) -> str:
    """C without what stands between outermost braces."""
    depth, kept = 0, []
    for character in text:
        depth -= character == "}"
        if depth == 0:
            kept.append(character)
        depth += character == "{"
    return "".join(kept)
