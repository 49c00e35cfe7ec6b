"""What a student reads of an official run: the verdict first, then the figures, then why. Does not: judge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from tinytorch.perf.workloads.events import get_event

WALLS = {
    1: "a process of its own with limits (provisional: run it again on Linux)",
    2: "Landlock, seccomp and limits",
    3: "bubblewrap around Landlock, seccomp and limits",
}


def as_json(result: Mapping[str, Any]) -> str:
    """The whole result, as it is stored."""
    return json.dumps(result, indent=2, allow_nan=False)


def as_text(result: Mapping[str, Any]) -> str:
    """The report, a line a thought."""
    return "\n".join(_lines(result))


def as_line(result: Mapping[str, Any]) -> str:
    """Team, event and what came of it."""
    if not result["ranked"]:
        return f"not ranked: {'; '.join(result['reasons'])}"
    return f"{result['team_name']}, {result['event_name']}, {times(result['speedup_vs_baseline'])}"


def times(ratio: float) -> str:
    """Two decimals and an x."""
    return f"{ratio:.2f}x"


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    title = get_event(result["event_name"]).title if result["event_name"] else "unknown event"
    yield f"{title}, team {result['team_name']}: {'RANKED' if result['ranked'] else 'NOT RANKED'}"
    last = (result["checks"] or [""])[-1]  # one check may have several reasons
    for check, reason in zip_longest(result["checks"], result["reasons"], fillvalue=last):
        yield f"  refused by '{check}': {reason}"
    if "speedup_vs_baseline" in result:
        yield from _figures(result)
    if "level" in result:
        yield f"  level      {result['level']}: {WALLS[result['level']]}"
        yield from (f"             {note}" for note in result["level_notes"])
        yield f"  seed       {result['seed']}, committed to as sha256 {result['seed_commitment'][:16]}..."
        yield f"  entry      sha256 {result['entry_sha256'][:16]}..."
    if "id" in result:
        yield f"  stored     as entry {result['id']}"


def _figures(result: Mapping[str, Any]) -> Iterator[str]:
    low, high = result["speedup_ci"]
    speed, verdict = result["speedup_vs_baseline"], result["verdict"]
    yield f"  speed      {speed:.2f}x the baseline [{low:.2f}, {high:.2f}], {verdict}"
    low, high = result["event_score_ci"]
    medal = f", {result['medal']}" if result["medal"] else ""
    yield f"  event      score {result['event_score']:.2f} [{low:.2f}, {high:.2f}]{medal}"
    yield f"  quality    {_quality(result['quality'])}"
    memory, own = result["baseline_peak_memory_bytes"], result["peak_memory_bytes"]
    size, weights = result["baseline_model_bytes"], result["model_bytes"]
    yield f"  memory     {own / 1e6:.2f} MB at the peak (baseline {memory / 1e6:.2f})"
    yield f"  weights    {weights / 1e3:.1f} kB (baseline {size / 1e3:.1f})"
    yield f"  division   {result['division']} ({result['division_kl']:.4f} nat from the baseline's answers)"
    for name, each in result.get("disciplines", {}).items():
        yield f"    {name:<16} {each['ratio']:.2f}"
    yield f"  innovation {result['innovation_score']:.2f}"
    for each in result["evidence"]:
        verified = "verified" if each["score"] > 0 else "claimed, not verified" if each["claimed"] else ""
        if verified:
            yield f"    {each['family']:<20} {each['score']:.2f}  {verified}: {each['finding']}"
    yield f"  composite  {result['composite_score']:.2f}"


def _quality(quality: Mapping[str, Any]) -> str:
    word = "passes" if quality["ok"] else "is below the floor"
    if quality["metric"] == "accuracy":
        value, baseline = f"{quality['value']:.0%}", f"{quality['baseline']:.0%}"
    else:
        value, baseline = (f"{quality[name]:.2f} bits per character" for name in ("value", "baseline"))
    return f"{value} (baseline {baseline}), {word}; {quality['examples']} answers, all of them timed"
