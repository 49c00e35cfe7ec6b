"""Yes or no: is an answer a valid answer, a name a valid name, a link a valid link?

Every check raises VerifyError with what came, what was expected and what to do. Does not: compare quality with
the floor, time for a score (the benchmark does both), or keep anything.
"""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.core.profiler import Clock
from tinytorch.perf.workloads.events import Event
from tinytorch.perf.workloads.scenarios import GENERATED, PROMPT, blocks_of, generator_of, ops_of, run_chain

NAME_LIMIT, TEXT_LIMIT, LINK_LIMIT = 40, 2000, 300
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # control, format, half, private, no character; line ends
SPREAD_TOLERANCE = 1e-2  # of the logits' standard deviation: float32 in another order stays far below it
REMEMBERED = (
    2.0  # new input's time over a seen one's; honest models of all events stay below 1.2, memories are above 7
)
GREEDY_SHARE = 0.98  # of generated tokens that must be the model's own first choice; the rest are near ties


class VerifyError(ValueError):
    """A submission, a model or an answer is not valid; the message says what to do."""


# -- answers -------------------------------------------------------------------------------------------


def checked_answer(model: Any, inputs: np.ndarray, event: Event) -> np.ndarray:
    """The model's logits for `inputs`: a float array of exactly the right shape, and nobody else's.

    Raises:
        VerifyError: no `predict`, it raised, changed its input, or its answer has the wrong type, shape or dtype,
            or is not finite.
    """
    check_model(model)
    given, source, shape = inputs.copy(), f"{_name(model)}.predict", event.output_shape(inputs)
    need = f"it was given {inputs.dtype} {inputs.shape} and must return logits {shape}"
    answer = _called(source, need, lambda: model.predict(given))
    if not np.array_equal(given, inputs):
        raise VerifyError(f"{source} changed its input; work on a copy (inputs.astype(...))")
    return _checked_array(answer, shape, source).copy()  # the model may write its next answer to the same place


def check_model(model: Any) -> None:
    """Raises VerifyError where there is no `predict` to call."""
    if not callable(getattr(model, "predict", None)):
        raise VerifyError(
            f"{_name(model)} has no predict(inputs) method; a model is anything with predict(inputs) -> logits"
        )


def _called(source: str, need: str, call: Callable[[], Any]) -> Any:
    """What `call` returns; what it raises becomes a VerifyError."""
    try:
        return call()
    except Exception as error:
        raise VerifyError(f"{source} raised {type(error).__name__}: {error}; {need}") from error


def _checked_array(answer: Any, shape: tuple[int, ...], source: str) -> np.ndarray:
    if type(answer) is not np.ndarray:
        raise VerifyError(f"{source} returned {type(answer).__name__}, expected a numpy array of logits {shape}")
    if answer.shape != shape:
        raise VerifyError(f"{source} returned shape {answer.shape}, expected logits {shape}")
    if answer.dtype not in (np.float32, np.float64, np.float16):
        raise VerifyError(f"{source} returned {answer.dtype}, expected float logits; add .astype(np.float32)")
    bad = int(np.size(answer) - np.isfinite(answer).sum())
    if bad:
        raise VerifyError(f"{source} returned {bad} values of {answer.size} that are NaN or infinite")
    return answer


def check_fresh_answers(model: Any, first: np.ndarray, second: np.ndarray, event: Event) -> None:
    """Is a new batch answered anew? `first` and `second` are different inputs of one shape, at least two rows.

    An answer that is the same for every row passes: it knows nothing, and the floor stops it.

    Raises:
        VerifyError: both batches get exactly the same logits, or one of the answers is not valid.
    """
    before, after = (checked_answer(model, inputs, event) for inputs in (first, second))
    rows = before.reshape(-1, event.classes)
    if np.array_equal(before, after) and (rows != rows[0]).any():
        raise VerifyError(
            f"{_name(model)}.predict answered a new batch with exactly the logits of the batch before: caching? "
            f"Work every answer out from the inputs it was given"
        )


def check_computes(model: Any, new_inputs: Callable[[], np.ndarray], clock: Clock, pairs: int = 15) -> None:
    """Does an answer cost as much when its input has been seen before?

    Args:
        new_inputs: gives another batch of one shape at each call.

    Raises:
        VerifyError: the median over `pairs` batches of the time of a new batch over the time of an equal one right
            after it is above `REMEMBERED`.
    """
    ratios = []
    for _ in range(pairs):
        warm, new = new_inputs(), new_inputs()
        model.predict(warm)
        first, again = (_seconds(model, inputs, clock) for inputs in (new, new.copy()))
        ratios.append(first / again)
    ratio = statistics.median(ratios)
    if ratio > REMEMBERED:
        raise VerifyError(
            f"{_name(model)}.predict answers inputs that it has seen {ratio:.0f} times faster than new ones: does "
            f"it remember its answers? Compute each one; in a competition every input is new"
        )


def _seconds(model: Any, inputs: np.ndarray, clock: Clock) -> float:
    start = clock.now_s()
    model.predict(inputs)
    return max(clock.now_s() - start, 1e-9)


def check_language_model(model: Any, baseline: Any, tokens: np.ndarray, event: Event) -> None:
    """Is the model causal, are its operations those of its answers, and does it generate what it predicts?

    Args:
        tokens: (N, 64) fresh windows, N at least 2.

    Raises:
        VerifyError: one of the three does not hold.
    """
    _check_causal(model, tokens, event)
    if hasattr(model, "ops"):
        _check_ops(model, baseline, tokens, event)
    _check_generation(model, tokens[:, :PROMPT], event)


def _check_causal(model: Any, tokens: np.ndarray, event: Event) -> None:
    """Row c of a batch keeps the first c + 1 tokens of a window; the rest is other real text."""
    places = np.arange(tokens.shape[1])
    kept = places <= places[:, None]
    logits = checked_answer(model, np.where(kept, tokens[0], tokens[1]), event)  # (T, T, V)
    whole = np.broadcast_to(logits[-1], logits.shape)
    _check_close(logits[kept], whole[kept], "logits depend on later tokens: attention must be causal")


def _check_ops(model: Any, baseline: Any, tokens: np.ndarray, event: Event) -> None:
    source, need = f"the chain of {_name(model)}.ops", "each operation takes and returns what the baseline's does"
    chained, _ = _called(source, need, lambda: run_chain(ops_of(model, baseline), tokens, blocks_of(baseline)))
    chained = _checked_array(chained, event.output_shape(tokens), source)
    logits = checked_answer(model, tokens, event)
    _check_close(chained, logits, "the chain of the model's ops gives other logits than its predict")


def _check_close(found: np.ndarray, expected: np.ndarray, complaint: str) -> None:
    error, spread = float(np.abs(found - expected).max()), float(expected.std())
    if error > SPREAD_TOLERANCE * spread:
        raise VerifyError(f"{complaint} (they differ by {error:.2g}, the logits spread by {spread:.2g})")


def _check_generation(model: Any, prompt: np.ndarray, event: Event) -> None:
    shape = (len(prompt), PROMPT + GENERATED)
    need = f"it must continue {prompt.dtype} {prompt.shape} by {GENERATED} tokens"
    tokens = _called(f"{_name(model)}.generate", need, lambda: generator_of(model)(prompt.copy(), GENERATED))
    if not isinstance(tokens, np.ndarray) or tokens.shape != shape or tokens.dtype.kind not in "iu":
        got = f"{tokens.dtype} {tokens.shape}" if isinstance(tokens, np.ndarray) else type(tokens).__name__
        raise VerifyError(f"generate returned {got}, expected integers {shape}: the prompt and what follows")
    if not np.array_equal(tokens[:, :PROMPT], prompt):
        raise VerifyError("generate did not begin with the prompt; return prompt and continuation together")
    chosen = checked_answer(model, tokens, event)[:, PROMPT - 1 : -1].argmax(axis=-1)
    share = float((chosen == tokens[:, PROMPT:]).mean())
    if share < GREEDY_SHARE:
        raise VerifyError(
            f"only {share:.1%} of the generated tokens are the model's own first choice, at least "
            f"{GREEDY_SHARE:.0%} are expected; generate must be greedy: the argmax of predict at each step"
        )


def _name(model: Any) -> str:
    return type(model).__name__


# -- words ---------------------------------------------------------------------------------------------


def checked_team(name: object) -> str:
    """A team name in NFC: 1 to 40 visible characters, no control or direction marks, at most 2 accents in a row.

    Raises:
        VerifyError: it is not.
    """
    if not isinstance(name, str):
        raise VerifyError(f"team_name is {type(name).__name__}, expected text")
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise VerifyError("team_name is empty; choose 1 to 40 characters")
    if len(clean) > NAME_LIMIT:
        raise VerifyError(f"team_name has {len(clean)} characters, at most {NAME_LIMIT} fit on a board")
    hidden = [character for character in clean if unicodedata.category(character) in HIDDEN]
    if hidden:
        raise VerifyError(f"team_name contains the invisible character U+{ord(hidden[0]):04X}; leave it out")
    if re.search(r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]{3}", clean):
        raise VerifyError("team_name piles up more than two accents on one letter; leave some out")
    return clean


def checked_description(text: object) -> str:
    """At most 2,000 characters of text. Raises VerifyError."""
    if not isinstance(text, str):
        raise VerifyError(f"optimization_description is {type(text).__name__}, expected text")
    if len(text) > TEXT_LIMIT:
        raise VerifyError(f"optimization_description has {len(text)} characters, at most {TEXT_LIMIT} are kept")
    return text


def checked_link(link: object) -> str:
    """Empty, or an http(s) address. Raises VerifyError."""
    from urllib.parse import urlsplit  # here: the benchmark must not cost much more than numpy to import

    if not isinstance(link, str):
        raise VerifyError(f"github_url is {type(link).__name__}, expected text")
    if not link:
        return ""
    try:
        parts = urlsplit(link)
    except ValueError as error:
        raise VerifyError(f"github_url {link[:60]!r} is no address ({error})") from error
    web = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not web or len(link) > LINK_LIMIT or not link.isprintable() or " " in link:
        raise VerifyError(
            f"github_url is {link[:60]!r}, expected https://... of at most {LINK_LIMIT} characters, or nothing"
        )
    return link
