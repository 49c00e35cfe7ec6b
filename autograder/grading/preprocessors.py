"""What nbgrader calls in the place of its own when it writes feedback. Does not: run or decide anything."""

from __future__ import annotations

from typing import Any

from nbgrader.preprocessors import ClearHiddenTests


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
