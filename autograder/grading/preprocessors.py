"""What nbgrader calls beside its own when it writes feedback. Does not: run or decide anything."""

from __future__ import annotations

import re
from typing import Any

from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor


class WithoutHiddenTests(ClearHiddenTests):  # type: ignore[misc]  # nbgrader has no types
    """Feedback with hidden tests neither in a source nor in a traceback; what they say of a mistake stays."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """nbconvert's interface."""
        hidden = cell.cell_type == "code" and self.begin_test_delimeter in cell.source
        cell, resources = super().preprocess_cell(cell, resources, index)
        if hidden:
            cell.source = "# hidden tests"
            for output in cell.outputs:
                if output.output_type == "error":
                    output.traceback = [f"{output.ename}: {output.evalue}"]
        return cell, resources


class WithoutMarkup(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """Tags in a student's own text are text: others open the page, too, and nothing in it may run."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """nbconvert's interface."""
        theirs = cell.metadata.get("own") or (cell.metadata.get("nbgrader") or {}).get("solution")
        if cell.cell_type != "code" and theirs:
            cell.cell_type, cell.source = "markdown", re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", cell.source)
        return cell, resources
