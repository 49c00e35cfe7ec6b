"""Every check has an honest submission that passes and a cheating or broken one that is told why it does not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.caching import add_kv_cache
from tinytorch.core.models import CharTransformer
from tinytorch.core.profiler import Clock
from tinytorch.perf.checks import FakeClock, TimedModel
from tinytorch.perf.verify import (
    VerifyError,
    check_computes,
    check_fresh_answers,
    check_language_model,
    checked_answer,
    checked_description,
    checked_link,
    checked_team,
)
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.events import MLP_SPRINT, TRANSFORMER_DECATHLON

PICTURES = np.arange(3 * 784, dtype=np.uint8).reshape(3, 784)


class Model:
    """Answers by the function it was given; whatever else it was given are its attributes."""

    def __init__(self, predict, **own):
        vars(self).update(own, predict=predict)


class Sly(np.ndarray):
    """An array whose class could do anything when it is compared."""


def logits(images, dtype=np.float32):
    """Honest, if ignorant."""
    return np.zeros((len(images), 10), dtype)


def with_one(value):
    def predict(images):
        answer = logits(images)
        answer[1, 2] = value
        return answer

    return predict


def answer(predict):
    return checked_answer(Model(predict), PICTURES, MLP_SPRINT)


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_finite_floats_of_the_right_shape_are_an_answer(dtype):
    assert answer(lambda images: logits(images, dtype)).dtype == dtype


def test_an_answer_stays_what_it_was_when_the_model_uses_its_buffer_again():
    buffer = np.zeros((3, 10), np.float32)

    def predict(images):
        np.add(buffer, 1, out=buffer)
        return buffer

    first, second = answer(predict), answer(predict)
    assert (first[0, 0], second[0, 0]) == (1, 2)


def overwrite(images):
    images[0, 0] += 1
    return logits(images)


def complain(images):
    raise KeyError("kernel")


BROKEN = {
    "wrong shape": (lambda images: logits(images)[:, :9], r"returned shape \(3, 9\), expected logits \(3, 10\)"),
    "one answer for all": (lambda images: logits(images)[0], r"returned shape \(10,\), expected logits \(3, 10\)"),
    "a list": (lambda images: logits(images).tolist(), r"returned list, expected a numpy array of logits"),
    "nothing": (lambda images: None, "returned NoneType, expected a numpy array"),
    "a class of its own": (lambda images: logits(images).view(Sly), "returned Sly, expected a numpy array"),
    "whole numbers": (lambda images: logits(images, np.int64), r"returned int64, .* add .astype\(np.float32\)"),
    "complex numbers": (lambda images: logits(images, complex), "returned complex128, expected float logits"),
    "objects": (lambda images: logits(images, object), "returned object, expected float logits"),
    "NaN": (with_one(np.nan), "returned 1 values of 30 that are NaN or infinite"),
    "infinity": (with_one(-np.inf), "returned 1 values of 30 that are NaN or infinite"),
    "changes its input": (overwrite, r"changed its input; work on a copy \(inputs.astype"),
    "raises": (
        complain,
        r"raised KeyError: 'kernel'; it was given uint8 \(3, 784\) and must return logits \(3, 10\)",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_answer_is_refused_in_clear_words(kind):
    predict, words = BROKEN[kind]
    before = PICTURES.copy()
    with pytest.raises(VerifyError, match=r"^Model\.predict " + words):
        answer(predict)
    assert np.array_equal(PICTURES, before), "the model got at the original"


@pytest.mark.parametrize("model", [object(), None, Model(predict="fast")])
def test_what_has_no_predict_is_no_model(model):
    with pytest.raises(VerifyError, match=r"has no predict\(inputs\) method; a model is anything with"):
        checked_answer(model, PICTURES, MLP_SPRINT)


def test_an_interrupt_is_no_broken_model():
    def interrupted(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(interrupted)


# ---------------------------------------------------------------- fresh answers

OTHERS = PICTURES[::-1]


def sums(images):
    """Honest: other pictures, other logits."""
    return images.sum(axis=1, dtype=np.float32)[:, None] * np.arange(10, dtype=np.float32)


def remembered():
    """A cheat: works the first batch of a shape out and keeps the answer."""
    kept = {}
    return lambda images: kept.setdefault(images.shape, sums(images))


def test_who_answers_a_new_batch_anew_is_fresh():
    check_fresh_answers(Model(sums), PICTURES, OTHERS, MLP_SPRINT)


def test_who_answers_a_new_batch_with_the_old_logits_is_told():
    words = "Model.predict answered a new batch with exactly the logits of the batch before: caching?"
    with pytest.raises(VerifyError, match=re.escape(words)):
        check_fresh_answers(Model(remembered()), PICTURES, OTHERS, MLP_SPRINT)


@pytest.mark.parametrize("value", [0, 7])
def test_one_constant_answer_is_left_to_the_floor(value):
    check_fresh_answers(Model(lambda images: logits(images) + np.arange(10) * value), PICTURES, OTHERS, MLP_SPRINT)


def test_remembered_answers_to_tokens_are_told_and_honest_ones_are_not():
    kept = NETWORK.predict(TOKENS)
    check_fresh_answers(NETWORK, TOKENS, TOKENS[::-1], TRANSFORMER_DECATHLON)
    with pytest.raises(VerifyError, match="caching"):
        check_fresh_answers(Model(lambda tokens: kept), TOKENS, TOKENS[::-1], TRANSFORMER_DECATHLON)


# ---------------------------------------------------------------- language models

NETWORK = CharTransformer(width=8, blocks=2, heads=2, hidden=8, rng=np.random.default_rng(0))
TOKENS = np.random.default_rng(1).integers(66, size=(4, 64))


def check(model):
    check_language_model(model, NETWORK, TOKENS, TRANSFORMER_DECATHLON)


def student(**own):
    """A class of a student's own around the network: only predict, unless it is given more."""
    return Model(**({"predict": NETWORK.predict} | own))


def asked(model, clock):
    rng = np.random.default_rng(0)
    check_computes(model, lambda: rng.random((4, 8)), clock)


def test_a_model_that_takes_its_time_for_every_input_computes():
    clock = FakeClock()
    asked(TimedModel(clock, 0.25), clock)
    jitter = np.random.default_rng(1)
    asked(TimedModel(clock, lambda inputs: 1 + jitter.random()), clock)


def test_a_remembered_answer_is_told_by_its_time():
    clock, seen = FakeClock(), set()

    def seconds(inputs):
        new = inputs.tobytes() not in seen
        seen.add(inputs.tobytes())
        return 1.0 if new else 0.1

    with pytest.raises(VerifyError, match="seen 10 times faster than new ones: does it remember"):
        asked(TimedModel(clock, seconds), clock)


def test_a_baseline_and_its_kernels_compute():
    clock, rng = Clock(), np.random.default_rng()
    model, dataset = load_baseline("mlp_sprint"), load_dataset("mlp_sprint")
    for each in (model, add_custom_kernels(model.copy(), compiled=False)):
        check_computes(each, lambda: dataset.batch(8, rng), clock)


HONEST = {
    "the network itself": lambda: NETWORK,
    "with kernels": lambda: add_custom_kernels(NETWORK, version=3),
    "with a key-value cache": lambda: add_kv_cache(NETWORK),
    "only predict": student,
    "its own generate": lambda: student(generate=add_kv_cache(NETWORK).generate),
    "its own operations": lambda: student(ops={"attend": NETWORK.ops["attend"]}),
}


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_language_model_passes(kind):
    check(HONEST[kind]())


def peek(tokens, place=0):
    """The next token is the answer; so simple for whoever looks ahead from `place` on."""
    answer = NETWORK.predict(tokens).copy()
    later = np.arange(place, tokens.shape[1] - 1)
    answer[:, later] = 50 * (tokens[:, later + 1, None] == np.arange(66))
    return answer


@pytest.mark.parametrize("place", [0, 33, 60])
def test_a_model_that_looks_ahead_anywhere_is_not_causal(place):
    with pytest.raises(VerifyError, match="logits depend on later tokens: attention must be causal"):
        check(student(predict=lambda tokens: peek(tokens, place)))


def test_looking_ahead_is_seen_through_a_buffer_that_is_used_again():
    buffer = np.zeros((64, 64, 66), np.float32)

    def predict(tokens):
        buffer[: len(tokens)] = peek(tokens)
        return buffer[: len(tokens)]

    with pytest.raises(VerifyError, match="must be causal"):
        check(student(predict=predict))


BAD_OPS = {
    "skips the work": (
        {"feed_forward": lambda x, block: np.zeros_like(x)},
        "the chain of the model's ops gives other logits than its predict .*the logits spread by",
    ),
    "raises": (
        {"attend": lambda q, k, v: q @ k},
        r"the chain of Model.ops raised ValueError: .*each operation takes",
    ),
    "answers another shape": (
        {"head": lambda x: x},
        r"the chain of Model.ops returned shape \(4, 64, 8\), expected logits \(4, 64, 66\)",
    ),
    "is unknown": ({"sharpen": len}, r"unknown operations \['sharpen'\] in ops; known: embed, normalize"),
}


@pytest.mark.parametrize("kind", BAD_OPS)
def test_operations_that_are_not_those_of_the_answers_are_refused(kind):
    ops, words = BAD_OPS[kind]
    with pytest.raises(VerifyError, match=words):
        check(student(ops=ops))


def continued(prompt, count, token=0):
    """The prompt and then always the same token, whatever the model would say."""
    return np.concatenate([prompt, np.full((len(prompt), count), token)], axis=1)


def late_start(prompt, count):
    return continued(prompt, count + 1)[:, 1:]


def give_up(prompt, count):
    raise RuntimeError("no more paper")


BAD_GENERATORS = {
    "too short": (lambda prompt, count: prompt, r"generate returned int64 \(4, 8\), expected integers \(4, 64\)"),
    "floats": (lambda prompt, count: continued(prompt, count) * 1.0, r"generate returned float64 \(4, 64\)"),
    "a list": (
        lambda prompt, count: continued(prompt, count).tolist(),
        "generate returned list, expected integers",
    ),
    "another prompt": (late_start, "generate did not begin with the prompt; return prompt and continuation"),
    "not its own choice": (
        continued,
        r"only [\d.]+% of the generated tokens are the model's own first choice, .*greedy",
    ),
    "no tokens": (lambda prompt, count: continued(prompt, count, 66), "predict raised ShapeError: indices"),
    "raises": (
        give_up,
        r"Model.generate raised RuntimeError: no more paper; it must continue int64 \(4, 8\) by 56",
    ),
}


@pytest.mark.parametrize("kind", BAD_GENERATORS)
def test_generation_must_be_what_predict_chooses(kind):
    generate, words = BAD_GENERATORS[kind]
    with pytest.raises(VerifyError, match=words):
        check(student(generate=generate))


def test_a_language_model_must_answer_at_all():
    with pytest.raises(VerifyError, match=r"returned shape \(64, 66\), expected logits \(64, 64, 66\)"):
        check(student(predict=lambda tokens: NETWORK.predict(tokens)[:, -1]))


# ---------------------------------------------------------------- words


@pytest.mark.parametrize("name", ["Byte Club", "Åström & Söhne", "十進法", "<b>bold</b>", "🚀", "x" * 40])
def test_a_team_may_be_called_so(name):
    assert checked_team(name) == name


def test_a_name_is_kept_without_the_space_around_it_and_in_one_spelling():
    assert checked_team("  Cafe\u0301 ") == "Caf\u00e9"


BAD_NAMES = {
    "empty": ("", "team_name is empty; choose 1 to 40 characters"),
    "only space": (" \t\n", "team_name is empty"),
    "over-long": ("x" * 41, "team_name has 41 characters, at most 40 fit on a board"),
    "no text": (None, "team_name is NoneType, expected text"),
    "bytes": (b"Byte Club", "team_name is bytes, expected text"),
    "zero byte": ("a\0b", r"invisible character U\+0000; leave it out"),
    "new line": ("a\nb", r"invisible character U\+000A"),
    "escape": ("\x1b[31mred", r"invisible character U\+001B"),
    "line separator": ("a\u2028b", r"invisible character U\+2028"),
    "other direction": ("a\u202eb", r"invisible character U\+202E"),
    "no width": ("\u200b", r"invisible character U\+200B"),
    "half a character": ("a\ud83d", r"invisible character U\+D83D"),
    "tower": ("Z\u0351\u036b\u0343", "piles up more than two accents on one letter"),
}


@pytest.mark.parametrize("kind", BAD_NAMES)
def test_a_team_may_not_be_called_so(kind):
    name, words = BAD_NAMES[kind]
    with pytest.raises(VerifyError, match=words):
        checked_team(name)


def test_a_description_is_text_of_some_length():
    assert checked_description("x" * 2000) == "x" * 2000
    with pytest.raises(VerifyError, match="has 2001 characters, at most 2000 are kept"):
        checked_description("x" * 2001)
    with pytest.raises(VerifyError, match="optimization_description is list, expected text"):
        checked_description(["int8"])


@pytest.mark.parametrize("link", ["", "https://github.com/byte/club", "http://example.org/?a=1#b"])
def test_a_link_leads_to_the_web_or_nowhere(link):
    assert checked_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "github.com/byte/club",
        "https://",
        "https://a.b/\n<script>",
        "https://a.b/c d",
        "https://a.b/" + "c" * 300,
    ],
)
def test_any_other_link_is_refused(link):
    with pytest.raises(VerifyError, match="expected https://... of at most 300 characters, or nothing"):
        checked_link(link)


def test_a_link_that_is_no_address_says_what_is_wrong():
    with pytest.raises(VerifyError, match=r"'http://\[' is no address \(Invalid IPv6 URL\)"):
        checked_link("http://[")
    with pytest.raises(VerifyError, match="github_url is NoneType, expected text"):
        checked_link(None)
