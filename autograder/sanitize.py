"""What is changed in a submission before it runs: nothing that is graded may be left out of the run.

Cells that only look (tag `look`) draw and measure for minutes and are worth nothing: the grader passes over them.
A tag is the student's to set, so it counts only where nothing is graded. Does not: restore sources.
"""

from __future__ import annotations

from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor

PASSED_OVER = "look"


class OnlyLookingIsPassedOver(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """Take the tags off what nbgrader knows: a check that does not run counts as one that holds."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """nbconvert's interface: a cell and what came with it, given back."""
        if "nbgrader" in cell.metadata:
            cell.metadata.pop("tags", None)
        return cell, resources
