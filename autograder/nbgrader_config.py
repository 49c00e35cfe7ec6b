"""nbgrader's configuration of the course: `nbgrader autograde ...` in a folder with this file (or a link to it).

The settings live in `autograder.course`, which the commands and the tests use, too.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from autograder.course import DATABASE, REFERENCE, reference_path, settings

_sockets = Path(tempfile.mkdtemp(prefix="nbg"))
atexit.register(shutil.rmtree, _sockets, ignore_errors=True)
os.environ[REFERENCE] = str(reference_path())

c: Any = get_config()  # type: ignore[name-defined]  # noqa: F821  nbgrader defines it
c.merge(settings(Path.cwd(), _sockets))
if DATABASE in os.environ:
    c.CourseDirectory.db_url = os.environ[DATABASE]
