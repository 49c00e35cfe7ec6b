"""A test in the browser that fails leaves a picture of its page."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.e2e.lab import photograph


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and page is not None:
        photograph(page)
    return report
