"""What must hold whoever computes: causality, honest generation, operations that do their own work alone.

An operation is tested by laws that every honest one obeys, whatever its weights: a projection is affine,
attention is an average of v, a feed-forward layer looks at one position alone. So no work can hide in the one
that is not timed, or in the one whose ratio is clipped. All raise WorkerError with the name of the check.
Does not: time anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from autograder.referee.players import BLOCKS, Player
from autograder.referee.sandbox import WorkerError
from tinytorch.core.benchmarking import example_errors
from tinytorch.core.models import CharTransformer
from tinytorch.perf.verify import GREEDY_SHARE, SPREAD_TOLERANCE
from tinytorch.perf.workloads.scenarios import PROMPT

LAW_TOLERANCE = 0.05  # of the results' spread: room for weights and activations in few bits
HEAD_LIMIT = 2.0  # times the baseline's head: it is timed by no discipline, so it may not grow
LIKELIHOOD_MARGIN = 0.5  # bits per character, of generated text by the baseline's judgement
STRETCH = 8  # tokens of generated text that are looked at together
AGREEMENT_MARGIN = 0.15  # by which fewer of them may be the baseline's first choice than in the match
NEW_TEXT_MARGIN = 0.15  # bits per character: the baseline was trained on it, another model perhaps not
JUMP_MARGIN = 0.05  # bits

Arrays: TypeAlias = list[np.ndarray]


def check_causal(player: Player, tokens: np.ndarray, rng: np.random.Generator) -> None:
    """Change what comes later, and what came before must keep its logits. `tokens` (N, T)."""
    count, length = tokens.shape
    cuts = np.sort(rng.choice(np.arange(1, length), count, replace=False))
    kept = np.arange(length) < cuts[:, None]
    one, _ = player.predict(np.repeat(tokens[:1], count, axis=0))
    other, _ = player.predict(np.where(kept, tokens[0], tokens[::-1]))
    differ("causality", "logits depend on later tokens", other[kept], one[kept], SPREAD_TOLERANCE)


def check_chain(player: Player, tokens: np.ndarray) -> None:
    """The chain of operations gives the logits of predict."""
    logits, _ = player.predict(tokens)
    chained, _ = player.chain(tokens)
    differ(
        "operations chain", "the chain of ops gives other logits than predict", chained, logits, SPREAD_TOLERANCE
    )


def check_operation(player: Player, name: str, tokens: np.ndarray) -> None:
    """An operation that the entry offers obeys the laws of its kind, on what the model itself feeds it."""
    x = player.operate("embed", (tokens,))[0][0]
    LAWS[name](player, tokens, x)


def _embeds(player: Player, tokens: np.ndarray, x: np.ndarray) -> None:
    changed = tokens.copy()
    changed[:, ::3] = np.roll(tokens, 1, axis=1)[::-1, ::3]
    other = player.operate("embed", (changed,))[0][0]
    same = changed == tokens
    differ("operation: embed", "embed of a token depends on other tokens", other[same], x[same])


def _normalizes(player: Player, tokens: np.ndarray, x: np.ndarray) -> None:
    for index in range(2 * BLOCKS + 1):
        _alone("normalize", partial(_apply, player, "normalize", index), x)
        plain = player.operate("normalize", (x,), index)[0][0]
        scaled = player.operate("normalize", (4 * x + 1,), index)[0][0]
        differ("operation: normalize", "normalize depends on the scale of its input", scaled, plain)


def _affine(name: str) -> Callable[[Player, np.ndarray, np.ndarray], None]:
    """The law of a projection: alone at each position, and the mean of two inputs gives the mean of results."""

    def law(player: Player, tokens: np.ndarray, x: np.ndarray) -> None:
        for block in range(1 if name == "head" else BLOCKS):
            apply = partial(_apply, player, name, -1 if name == "head" else block)
            _alone(name, apply, x)
            y = np.roll(x, 5, axis=1)[::-1]
            means = apply((x + y) / 2)
            for mean, first, second in zip(means, apply(x), apply(y), strict=True):
                differ(f"operation: {name}", f"{name} is not affine", mean, (first + second) / 2)

    return law


def _attends(player: Player, tokens: np.ndarray, x: np.ndarray) -> None:
    (x,), _ = player.operate("normalize", (x,), 0)
    q, k, v = player.operate("project", (x,), 0)[0]

    def attend(values: np.ndarray) -> np.ndarray:
        return player.operate("attend", (q, k, values))[0][0]

    ones = np.ones_like(v)
    if not np.allclose(attend(ones), 1, atol=LAW_TOLERANCE):
        raise WorkerError("operation: attend", "attend is no average: for values that are all 1 it gives others")
    other = np.roll(v, 7, axis=1)
    differ(
        "operation: attend", "attend is not linear in v", attend((v + other) / 2), (attend(v) + attend(other)) / 2
    )


def _feeds(player: Player, tokens: np.ndarray, x: np.ndarray) -> None:
    for block in range(BLOCKS):
        _alone("feed_forward", partial(_apply, player, "feed_forward", block), x)


LAWS: dict[str, Callable[[Player, np.ndarray, np.ndarray], None]] = {
    "embed": _embeds,
    "normalize": _normalizes,
    "project": _affine("project"),
    "attend": _attends,
    "output": _affine("output"),
    "feed_forward": _feeds,
    "head": _affine("head"),
}


def _apply(player: Player, name: str, number: int, x: np.ndarray) -> Arrays:
    return player.operate(name, (x,), number)[0]


def _alone(name: str, apply: Callable[[np.ndarray], Arrays], x: np.ndarray) -> None:
    """Move the positions, and the results move with them: nothing was mixed."""
    moved = np.roll(x, 11, axis=1)[::-1].copy()
    for here, there in zip(apply(x), apply(moved), strict=True):
        differ(f"operation: {name}", f"{name} mixes positions", there, np.roll(here, 11, axis=1)[::-1])


def check_head(times: Sequence[tuple[float, float]]) -> None:
    """The head is timed by no discipline, so it may take no more than twice the baseline's time."""
    if not times:
        return
    ratio = float(np.median([entry / baseline for baseline, entry in times]))
    if ratio > HEAD_LIMIT:
        raise WorkerError(
            "operation: head",
            f"head takes {ratio:.1f}x the baseline's time, at most {HEAD_LIMIT:.0f}x are allowed",
        )


def check_generation(
    player: Player, reference: CharTransformer, generated: Sequence[np.ndarray], agreement: float
) -> None:
    """Generated text is the model's own first choice, and by the baseline's judgement as likely as its own.

    The second closes a hole of the first: a model could recognise what it has generated. And all along the text
    it is the baseline's first choice about as often as the model's answers in the match were: else one text that
    the baseline once wrote would do for all prompts.

    Args:
        generated: continuations (1, T) that were timed, by lot.
        agreement: share of the graded answers in which model and baseline have the same first choice.
    """
    tokens = np.concatenate(generated)
    chosen, expected = (
        each.predict(tokens)[:, PROMPT - 1 : -1].argmax(axis=-1) == tokens[:, PROMPT:]
        for each in (_Asked(player), reference)
    )
    if chosen.mean() < GREEDY_SHARE:
        raise WorkerError(
            "generation is greedy",
            f"only {chosen.mean():.1%} of the generated tokens are the first choice of predict, "
            f"not {GREEDY_SHARE:.0%}",
        )
    least = min(part.mean() for part in np.split(expected, expected.shape[1] // STRETCH, axis=1))
    if least < agreement - AGREEMENT_MARGIN:
        raise WorkerError(
            "generation is likely",
            f"the baseline would choose {least:.0%} of the generated tokens in some part of the text, "
            f"and {agreement:.0%} of the model's answers in the match",
        )
    worse = _bits(reference, tokens) - _bits(
        reference, reference.generate(tokens[:, :PROMPT], tokens.shape[1] - PROMPT)
    )
    if worse > LIKELIHOOD_MARGIN:
        raise WorkerError(
            "generation is likely",
            f"generated text is {worse:.2f} bits per character less likely than the baseline's, "
            f"at most {LIKELIHOOD_MARGIN} allowed",
        )


@dataclass(frozen=True)
class _Asked:
    """A player's logits, without the time."""

    player: Player

    def predict(self, tokens: np.ndarray) -> np.ndarray:
        return self.player.predict(tokens)[0]


def check_text(logits: np.ndarray, expected: np.ndarray, labels: np.ndarray, seams: np.ndarray) -> None:
    """On text that is new in every run the entry keeps up with the baseline, and what comes later is no help.

    A table of the official play, from home or from the questions, does not know the new text. In a window with a
    seam the label before the seam is what really followed, and not what the window goes on with: a model that
    looks ahead is wrong there, and nowhere else.

    Args:
        logits, expected: of the entry and the baseline, timed and graded, on the same windows: (N, T, V).
        labels: (N, T)
        seams:  (N,) where another passage begins, from 1 on.
    """
    worse = token_bits(logits, labels) - token_bits(expected, labels)
    before = np.arange(labels.shape[1]) < seams[:, None] - 1
    natural = (worse * before).sum(axis=1) / before.sum(axis=1)
    mean, error = _mean_and_error(natural)
    if mean - 2 * error > NEW_TEXT_MARGIN:
        raise WorkerError(
            "keeps up on new text",
            f"{mean:.2f} bits per character more than the baseline on text that is new in every run, at most "
            f"{NEW_TEXT_MARGIN} allowed",
        )
    jump, error = _mean_and_error(worse[np.arange(len(seams)), seams - 1] - natural)
    if jump - 4 * error > JUMP_MARGIN:
        raise WorkerError(
            "causality",
            f"{jump:.2f} bits more than elsewhere where the text jumps to another place: logits depend on later "
            f"tokens",
        )


def token_bits(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log2 of each label's probability: (N, T)."""
    flat = logits.reshape(-1, logits.shape[-1])
    return example_errors("bits_per_character", flat, labels.reshape(-1)).reshape(labels.shape)


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def _bits(reference: CharTransformer, tokens: np.ndarray) -> float:
    """Bits per generated character of continuations (N, T) by the reference."""
    logits = reference.predict(tokens)[:, PROMPT - 1 : -1]
    return float(example_errors("bits_per_character", logits, tokens[:, PROMPT:]).mean())


def differ(
    check: str, complaint: str, found: np.ndarray, expected: np.ndarray, share: float = LAW_TOLERANCE
) -> None:
    """Raise WorkerError where two results differ by more than `share` of their spread."""
    error, spread = float(np.abs(found - expected).max()), float(expected.std())
    if error > share * spread:
        raise WorkerError(check, f"{complaint} (results differ by {error:.2g}, they spread by {spread:.2g})")
