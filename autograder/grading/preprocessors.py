"""What nbgrader calls in the place of its own: `Rebuilt` before anything else, `Judged` instead of a kernel,
`WithoutHiddenTests` in feedback.

Does not: decide anything itself; `rebuild`, `screen` and `judge` do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor
from traitlets import Unicode

from autograder.grading.judge import Course, Outcome, judge, tasks_of
from autograder.grading.rebuild import rebuild


class Rebuilt(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """The student's answers in the release's cells."""

    release = Unicode(help="path of the notebook that students got").tag(config=True)

    def preprocess(self, notebook: Any, resources: Any) -> tuple[Any, Any]:
        """nbconvert's interface."""
        rebuilt, notes = rebuild(notebook, nbformat.read(self.release, as_version=4))
        notebook.cells, notebook.nbformat, notebook.nbformat_minor = rebuilt.cells, 4, 5
        for note in notes:
            self.log.info("%s: %s", resources.get("nbgrader", {}).get("student", "?"), note)
        return notebook, resources


class Judged(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """Every cell's outcome as its output: an error, or what it printed."""

    package = Unicode(help="folder with the tinytorch that students got").tag(config=True)
    reference = Unicode(help="the exported solution").tag(config=True)

    def preprocess(self, notebook: Any, resources: Any) -> tuple[Any, Any]:
        """nbconvert's interface."""
        course = Course(Path(self.package), Path(self.reference))
        outcomes = judge(tasks_of(notebook), course)
        for number, outcome in outcomes.items():
            notebook.cells[number].outputs = outputs_of(outcome)
            notebook.cells[number].execution_count = number + 1
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
