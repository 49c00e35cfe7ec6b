"""What nbgrader calls in the place of its own: `Replayed` instead of a kernel, `WithoutHiddenTests` in feedback.

Does not: run or decide anything; `rebuild`, `screen` and `judge` have, before nbgrader is asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor
from traitlets import Unicode

from autograder.grading.judge import Outcome


class Replayed(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """Every cell's outcome, as it was judged before, as its output: an error, or what it printed."""

    folder = Unicode(help="where judgements lie, one a student").tag(config=True)

    def preprocess(self, notebook: Any, resources: Any) -> tuple[Any, Any]:
        """nbconvert's interface."""
        path = Path(self.folder) / f"{resources['nbgrader']['student']}.json"
        for number, told in json.loads(path.read_text(encoding="utf-8"))["outcomes"].items():
            cell = notebook.cells[int(number)]
            cell.outputs = outputs_of(
                Outcome(told["error"] and (told["error"][0], told["error"][1]), told["said"])
            )
            cell.execution_count = int(number) + 1
        return notebook, resources


def outputs_of(outcome: Outcome) -> list[Any]:
    """A notebook's outputs for an outcome."""
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=outcome.said)] if outcome.said else []
    if outcome.error is not None:
        name, message = outcome.error
        outputs.append(
            nbformat.v4.new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])
        )
    return outputs


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
