"""The match with players whose times are known: what caches cost the first calls of a turn is in no ratio."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from autograder.referee.inputs import Source
from autograder.referee.officiate import check_usage
from autograder.referee.rounds import LONGEST_S, REST_S, WARM_UPS, Match, Usage, warm_ups
from autograder.referee.sandbox import WorkerError, fixed_addresses
from tinytorch.perf.workloads.events import get_event

COLD_S = (40e-6, 6e-6, 3e-6, 2e-6)  # by which the first calls after the other side's turn are longer, as measured


class Known:
    """A player whose call takes `task_s` for each input, and more right after the other one's turn."""

    def __init__(self, task_s, turn):
        self.task_s, self.turn, self.calls = task_s, turn, 0
        self.worker = SimpleNamespace(
            name="known", answered_cpu_s=0.0, answered_wall_s=0.0, cpu_s=float, waited_s=float, build=lambda: None
        )
        self.workers = [self.worker]
        self.court = SimpleNamespace(give=lambda worker: None)

    def predict(self, inputs):
        self.calls += 1
        if self.turn.get("who") is not self:
            self.turn.update(who=self, calls=0)
        cold_s = COLD_S[self.turn["calls"]] if self.turn["calls"] < len(COLD_S) else 0.0
        self.turn["calls"] += 1
        return np.zeros((len(inputs), 10), np.float32), len(inputs) * self.task_s + cold_s

    def echo(self, given, shapes):
        return 0.0


@pytest.mark.parametrize("speedup", [1.0, 1.1, 1.6, 4.0])
def test_the_ratio_is_that_of_warm_calls(speedup):
    turn = {}
    players = Known(40e-6, turn), Known(40e-6 / speedup, turn)
    source = Source("mlp_sprint", np.random.default_rng(0))
    match = Match(get_event("mlp_sprint"), *players, source, np.random.default_rng(1), revive=lambda: None)
    rounds = match.play(budget_s=0.0, least=2)
    found = np.exp([list(each.log_ratios.values()) for each in rounds])
    assert found == pytest.approx(speedup, rel=0.015)


def test_an_answer_is_graded_whether_it_was_timed_or_not():
    turn = {}
    players = Known(40e-6, turn), Known(40e-6, turn)
    source = Source("mlp_sprint", np.random.default_rng(0))
    match = Match(get_event("mlp_sprint"), *players, source, np.random.default_rng(1), revive=lambda: None)
    match.play(budget_s=0.0, least=2)
    assert len(match.graded.logits) == players[1].calls


def test_a_long_task_needs_no_warming():
    assert warm_ups(LONGEST_S) == 0 < warm_ups(LONGEST_S / 2) < warm_ups(1e-5) == WARM_UPS


def test_who_computes_while_nothing_is_asked_is_refused_where_the_scheduler_lets_it_not_run_between_calls():
    honest = Usage(answering_cpu_s=1e-3, answering_wall_s=1e-3, calls=10)
    check_usage([(honest, honest)] * 3)
    with pytest.raises(WorkerError, match="it must rest until it is asked"):
        check_usage([(honest, replace(honest, resting_cpu_s=REST_S))] * 3)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux can")
def test_workers_lie_at_the_same_addresses_and_nothing_else_does():
    places = "import re; print(re.findall('(.*?)-.*stack', open('/proc/self/maps').read()))"

    def stack():
        return subprocess.run([sys.executable, "-c", places], capture_output=True, text=True, check=True).stdout

    with fixed_addresses():
        inside = stack(), stack()
    assert inside[0] == inside[1] != stack()
