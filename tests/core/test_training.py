"""Optimisers against two steps by hand, the loop around them, its batches, its errors, its progress bar."""

from __future__ import annotations

import io
import math
import sys

import numpy as np
import pytest

from tinytorch.core.data import batches
from tinytorch.core.layers import Dropout, Linear, Module, Parameter, ReLU, Sequential
from tinytorch.core.losses import soft_cross_entropy
from tinytorch.core.optimizers import SGD, Adam, Optimizer, clip_gradients, cosine_schedule
from tinytorch.core.tensor import ShapeError, Tensor
from tinytorch.core.training import TrainingError, progress, train

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR = np.array([0, 1, 1, 0])


class Tiny(Module):
    """2-16-2 with dropout: enough for the exclusive or."""

    def __init__(self, seed=0, rate=0.0):
        rng = np.random.default_rng(seed)
        self.network = Sequential(Linear(2, 16, rng), ReLU(), Dropout(rate, rng), Linear(16, 2, rng))

    def forward(self, inputs):
        return self.network(Tensor(inputs))


class Factor(Module):
    """A number times one weight of 1, so that the number is the gradient."""

    def __init__(self):
        self.weight = Parameter(np.ones((1, 1)))

    def forward(self, number):
        return self.weight * number


def endless(seed=0, inputs=CORNERS, targets=XOR):
    rng = np.random.default_rng(seed)
    while True:
        yield from batches(inputs, targets, 3, rng)


def one(number, gradient=None):
    parameter = Parameter(np.array([number], np.float64))
    parameter.grad = None if gradient is None else np.array([gradient], np.float64)
    return parameter


def steps(optimizer, *gradients):
    """The first parameter after a step with each gradient."""
    seen = []
    for gradient in gradients:
        optimizer.parameters[0].grad = np.array([gradient], np.float64)
        optimizer.step()
        seen.append(optimizer.parameters[0].data.item())
    return seen


# ---------------------------------------------------------------- optimisers by hand


def test_sgd_moves_by_rate_times_gradient():
    assert steps(SGD([one(1.0)], rate=0.5), 1, -1) == [0.5, 1.0]


def test_momentum_adds_half_of_the_step_before():
    assert steps(SGD([one(1.0)], rate=0.25, momentum=0.5), 1, 1) == [0.75, 0.375]  # 1, then 1.5 quarters


def test_adam_moves_by_the_rate_whatever_the_size_of_a_steady_gradient():
    for gradient in (1e-3, 2.0, 1e6):
        expected = pytest.approx([0.9, 0.8], rel=1e-4)
        assert steps(Adam([one(1.0)], rate=0.1), gradient, gradient) == expected


def test_adam_by_hand():
    # Of gradients 2 and 4 the mean is 1, then 2.5, of their squares 2, then 9; both are divided by 1/2, then 3/4.
    moved = steps(Adam([one(0.0)], rate=1, betas=(0.5, 0.5)), 2, 4)
    assert moved == pytest.approx([-1, -1 - 10 / 3 / math.sqrt(12)], rel=1e-7)


def test_decay_shrinks_matrices_and_leaves_biases_alone():
    matrix, bias = Parameter(np.ones((1, 1))), Parameter(np.ones(1))
    matrix.grad, bias.grad = np.zeros((1, 1)), np.zeros(1)
    Adam([matrix, bias], rate=0.5, decay=0.5).step()
    assert (matrix.data.item(), bias.data.item()) == (0.75, 1)


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_parameter_without_gradient_stays(optimizer):
    still, moving = one(1.0), one(1.0, gradient=1.0)
    optimizer([still, moving], rate=0.1).step()
    assert still.data.item() == 1
    assert moving.data.item() < 1


def test_zero_grad_clears_every_gradient():
    parameters = [one(1.0, gradient=1.0), one(2.0, gradient=2.0)]
    SGD(parameters, rate=0.1).zero_grad()
    assert [parameter.grad for parameter in parameters] == [None, None]


def test_an_optimizer_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one parameter, got an empty list"):
        SGD([], rate=0.1)


def test_an_optimizer_that_does_not_say_how_to_move_says_so():
    with pytest.raises(NotImplementedError, match=r"Optimizer has no change\(\)"):
        Optimizer([one(1.0, gradient=1.0)], rate=0.1).step()


# ---------------------------------------------------------------- schedule and clipping


def test_the_cosine_falls_from_peak_to_last():
    rates = [cosine_schedule(step, steps=10, peak=1.0, last=0.5) for step in (0, 5, 10, 11)]
    assert rates == pytest.approx([1, 0.75, 0.5, 0.5])


def test_warm_up_climbs_in_equal_steps_to_the_peak():
    rates = [cosine_schedule(step, steps=10, peak=2.0, warmup=4) for step in range(5)]
    assert rates == [0.5, 1, 1.5, 2, 2]


def test_a_schedule_that_is_all_warm_up_stays_at_the_peak():
    assert [cosine_schedule(step, steps=2, peak=1.0, warmup=2) for step in (0, 1)] == [0.5, 1]


def test_clipping_scales_all_gradients_alike():
    parameters = [one(0, gradient=3.0), one(0), one(0, gradient=-4.0)]
    assert clip_gradients(parameters, largest=1.0) == 5
    assert [p.grad.item() for p in parameters if p.grad is not None] == pytest.approx([0.6, -0.8])


def test_gradients_within_the_limit_are_left_alone():
    parameter = one(0, gradient=2.0)
    assert clip_gradients([parameter], largest=2.0) == 2
    assert parameter.grad.item() == 2


# ---------------------------------------------------------------- batches


def test_batches_hand_out_every_row_once_with_its_target():
    inputs = np.arange(10)
    pairs = list(batches(inputs, inputs * 10, 4, np.random.default_rng(0)))
    assert [len(rows) for rows, _ in pairs] == [4, 4, 2]
    assert sorted(np.concatenate([rows for rows, _ in pairs])) == list(range(10))
    assert all((targets == rows * 10).all() for rows, targets in pairs)


def test_a_seed_repeats_the_order_and_the_next_pass_has_another():
    def order(rng):
        return np.concatenate([rows for rows, _ in batches(np.arange(20), np.arange(20), 7, rng)]).tolist()

    rng = np.random.default_rng(1)
    first, second = order(rng), order(rng)
    assert first == order(np.random.default_rng(1)) != second


def test_batches_say_what_does_not_fit():
    rng = np.random.default_rng(0)
    with pytest.raises(ShapeError, match=r"\(4, 2\) and targets \(3,\)"):
        next(batches(CORNERS, XOR[:3], 2, rng))
    with pytest.raises(ValueError, match="at least one row, got size 0"):
        next(batches(CORNERS, XOR, 0, rng))


# ---------------------------------------------------------------- the loop


def test_a_run_is_adam_with_clipped_gradients_under_the_cosine():
    trained, by_hand = Factor(), Factor()
    numbers = iter([(10.0, None), (0.5, None)])
    train(trained, numbers, steps=2, rate=0.1, decay=0.5, loss=lambda output, _: output.sum())
    optimizer = Adam(by_hand.parameters(), decay=0.5)
    for rate, gradient in [(0.1, 1.0), (0.051, 0.5)]:  # 10 is clipped to 1; half way from 0.1 to 0.002
        optimizer.rate, by_hand.weight.grad = rate, np.full((1, 1), gradient)
        optimizer.step()
    assert trained.weight.data.item() == pytest.approx(by_hand.weight.data.item(), rel=1e-6)


def test_loss_falls_on_the_exclusive_or():
    model = Tiny()
    losses = train(model, endless(), steps=100, rate=0.05)
    assert len(losses) == 100
    assert losses[-1] < 0.1 * losses[0]
    assert model(CORNERS).data.argmax(axis=1).tolist() == XOR.tolist()


def test_a_seed_repeats_a_run_exactly_dropout_included():
    def run(seed):
        model = Tiny(seed, rate=0.5)
        losses = train(model, endless(seed), steps=5, rate=0.01, warmup=2, decay=0.1)
        return losses, [parameter.data.tolist() for parameter in model.parameters()]

    assert run(seed=3) == run(seed=3)
    assert run(seed=3) != run(seed=4)


def test_another_loss_takes_other_targets():
    certain = np.eye(2)[XOR]
    losses = train(Tiny(), endless(targets=certain), steps=60, rate=0.05, loss=soft_cross_entropy)
    assert losses[-1] < 0.5 * losses[0]


def test_training_keeps_single_precision():
    model = Tiny()
    train(model, endless(inputs=CORNERS.astype(np.float64)), steps=2, rate=0.01)
    assert {parameter.data.dtype for parameter in model.parameters()} == {np.dtype(np.float32)}


def test_the_model_trains_while_training_and_predicts_afterwards():
    seen = []
    model = Tiny()
    train(model, endless(), steps=2, rate=0.01, after_step=lambda each: seen.append(each.training))
    assert seen == [True, True]
    assert not model.training


def test_an_interrupted_training_leaves_no_dropout_behind():
    def interrupt(_):
        raise KeyboardInterrupt

    model = Tiny(rate=0.5)
    with pytest.raises(KeyboardInterrupt):
        train(model, endless(), steps=2, rate=0.01, after_step=interrupt)
    assert not any(module.training for _, module in model.modules())


def test_batches_that_run_out_are_named():
    with pytest.raises(TrainingError, match="ran out after 2 of 5 steps; pass endless ones"):
        train(Tiny(), batches(CORNERS, XOR, 2, np.random.default_rng(0)), steps=5, rate=0.01)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_before_it_reaches_the_weights(number):
    model = Tiny()
    before = [parameter.data.tolist() for parameter in model.parameters()]
    with pytest.raises(TrainingError, match=rf"loss is {number} at step 0; lower the rate \(now 0.5\)"):
        train(model, endless(), steps=3, rate=0.5, loss=lambda output, _: output.sum() + number)
    assert [parameter.data.tolist() for parameter in model.parameters()] == before


# ---------------------------------------------------------------- the progress bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_one_line_that_ends_full():
    stream = Terminal()
    assert list(progress("abc", 3, "epoch 1", stream)) == ["a", "b", "c"]
    assert stream.getvalue().startswith("\repoch 1 [")
    assert stream.getvalue().endswith(f"\repoch 1 [{'#' * 24}] 3/3, 0 s left \n")
    assert stream.getvalue().count("\n") == 1


def test_the_bar_estimates_what_is_left_and_redraws_five_times_a_second(monkeypatch):
    seconds = iter([100.0, 101.0, 101.1, 104.0])  # at the start, then after each item
    monkeypatch.setattr("tinytorch.core.training.time.monotonic", lambda: next(seconds))
    stream = Terminal()
    assert len(list(progress(range(3), 6, "run", stream))) == 3
    assert stream.getvalue() == f"\rrun [{'####':.<24}] 1/6, 5 s left \rrun [{'#' * 12:.<24}] 3/6, 4 s left "


def test_a_file_gets_no_bar():
    stream = io.StringIO()
    assert list(progress(range(3), 3, "run", stream)) == [0, 1, 2]
    assert stream.getvalue() == ""


def test_training_draws_its_label_on_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    train(Tiny(), endless(), steps=2, rate=0.01, label="fine-tune")
    assert "\rfine-tune [" in sys.stderr.getvalue()
