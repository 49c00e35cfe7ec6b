"""The nouns that flow from measure to show: frozen, plain, without behaviour beyond their own `repr`.

Units are SI and live in the name: `_s` seconds, `_bytes` bytes. Only board and plots format them.
Does not: measure, judge, rank, store or draw. Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Record:
    """Base of all records: `to_dict()` gives what `json.dumps` takes as it is."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Machine(Record):
    """Where a measurement was made: a ratio carries far, but not from one BLAS kernel to another."""

    system: str  # "Linux 6.1 x86_64"
    processor: str
    cores: int
    python: str
    numpy: str
    blas: str  # library, version and the kernel it chose, e.g. "openblas 0.3.31 Haswell"
    blas_threads: int
    clock: str  # "wall minus waiting" or "wall"


@dataclass(frozen=True)
class Memory(Record):
    """Most memory a model held at once, and how that was found out."""

    peak_bytes: int
    method: str


@dataclass(frozen=True)
class Round(Record):
    """One round of measuring: both models at new places in memory, fresh inputs, pairs in random order.

    The mappings go from the name of a case ("batch 1") to a number.
    """

    seed: int
    log_ratios: dict[str, float]  # median over the pairs of log(baseline / candidate)
    pairs: dict[str, int]
    baseline_s: dict[str, float]  # median time of one call
    candidate_s: dict[str, float]
    wall_s: float  # of the whole round
    waited_s: float  # of it, time in which the thread was ready but had no core
    other_cpu_s: float  # CPU time burnt meanwhile by other threads and children of this process


@dataclass(frozen=True)
class Speedup(Record):
    """Ratio baseline time / candidate time with its 95 % interval and a verdict a student can read."""

    ratio: float
    low: float
    high: float
    verdict: str  # "faster", "slower", "tie" or "not settled"


@dataclass(frozen=True)
class Quality(Record):
    """Does the candidate still do the job? Compared with the baseline on the same inputs: differences are paired.

    `difference` and `standard_error` are in the unit of the metric, and a positive difference is always worse.
    """

    metric: str  # "accuracy" (share, 0..1) or "bits_per_character"
    value: float
    baseline: float
    difference: float
    standard_error: float
    floor: float  # largest difference that still passes
    ok: bool
    borderline: bool  # within one standard error of the floor
    seed: int
    examples: int


@dataclass(frozen=True)
class Evidence(Record):
    """What was found in a model for one technique family; `score` in 0..1, 0 where nothing was found."""

    family: str
    score: float
    finding: str  # the number behind the score, in words: "8.0 bits per weight"
    claimed: bool  # the description names the family; never adds to the score

    @property
    def verified(self) -> bool:
        return self.score > 0


@dataclass(frozen=True)
class Standing(Record):
    """One line of a leaderboard."""

    rank: int  # shared by a tie: 1, 2, 2, 4
    tied: bool
    team: str
    score: float
    low: float
    high: float
    submission: Mapping[str, Any]  # the stored submission the line was derived from


@dataclass(frozen=True)
class Leaderboard(Record):
    """One board of one event, ready to be shown; `unranked` keeps the reason with the team."""

    event: str  # name, "mlp_sprint"
    title: str  # "MLP Sprint"
    metric: str  # "speed", "innovation", "composite" ("composite 0.50" at another weight of speed), or "event"
    standings: tuple[Standing, ...]
    unranked: tuple[tuple[str, str], ...] = ()  # (team, reason) of entries that are stored but not ranked
    notes: tuple[str, ...] = field(default=())  # "mixes 2 machines: ..."


class Report(dict[str, Any]):
    """A result as a mapping (`json.dumps` takes it) whose `repr` is short enough to read in a notebook."""

    def __repr__(self) -> str:
        width = max((len(key) for key in self), default=0)
        return "\n".join(f"{key:<{width}}  {_short(value)}" for key, value in self.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, float) for v in value):
        return f"{value[0]:.4g} to {value[1]:.4g}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(str(key) for key in value)}}}"
    if isinstance(value, (list, tuple)) and len(value) > 8:
        return f"[{len(value)} values]"
    return str(value)


def from_dict(kind: type[Record], values: Mapping[str, Any]) -> Any:
    """Read a flat record back from what `to_dict` gave; unknown keys are refused by the constructor."""
    return kind(**{name.name: values[name.name] for name in fields(kind) if name.name in values})
