"""Plausible mistakes of students, read from mistakes.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mistake:
    """One solution with one thing wrong."""

    stage: str  # grade_id of the cell
    name: str
    right: str
    wrong: str
    words: str  # of the message that the first failing check must hold

    def make(self, source: str) -> str:
        """The cell with the mistake in it.

        Raises:
            ValueError: what is to be changed does not stand in the cell exactly once.
        """
        if source.count(self.right) != 1:
            raise ValueError(f"{self.stage}: {self.right!r} stands {source.count(self.right)} times in the cell")
        return source.replace(self.right, self.wrong)


_TOLD = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
MISTAKES = [Mistake(**each) for each in _TOLD["mistake"]]
