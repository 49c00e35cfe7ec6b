"""What holds for every test: one thread for every numerical library, and the same examples each time.

Not a shelf of fixtures: a test builds what it needs in its own file.
"""

from __future__ import annotations

import gc
import os
import sys

import pytest
from hypothesis import settings

# Read once, when numpy loads its BLAS. The Makefile exports the same four.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

if "numpy" in sys.modules and any(os.environ.get(name) != "1" for name in THREADS):
    raise pytest.UsageError(
        f"numpy was imported before tests/conftest.py could fix its threads (a pytest plugin does that?); "
        f"run the tests as {' '.join(name + '=1' for name in THREADS)} python -m pytest"
    )
os.environ.update(dict.fromkeys(THREADS, "1"))

# A shared machine may be slow at any moment, and a test that fails must fail again.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


@pytest.fixture(autouse=True, scope="module")
def old_objects_set_aside() -> None:
    """Pytest's own, hundreds of thousands: what measures collects garbage often, and would look at them all."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tables that tests have filled by `record_property(heading, row)`, at the end of the run."""
    tables: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for heading, row in report.user_properties if report.when == "call" else ():
            tables.setdefault(heading, []).append(str(row))
    for heading, rows in tables.items():
        terminalreporter.section(heading)
        terminalreporter.write_line("\n".join(rows))
