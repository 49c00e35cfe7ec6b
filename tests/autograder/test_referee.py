"""Official runs from end to end: an honest entry of each event is ranked, and the result says all that it must."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pytest

from autograder.__main__ import main
from autograder.referee import official
from autograder.referee.levels import level_here
from autograder.referee.officiate import Terms, judge, model_bytes
from autograder.referee.report import as_text
from autograder.referee.sandbox import WorkerError
from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.caching import add_kv_cache
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.entry import Entry, save_entry
from tinytorch.perf.evidence import FREE_SOURCE_BYTES
from tinytorch.perf.store import Store
from tinytorch.perf.workloads.baselines import load_baseline

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls and the clock are Linux's")
QUICK = {"budget_s": 0.1, "seed": 5}


def honest(event):
    model = add_custom_kernels(apply_quantization(load_baseline(event)), version=3)
    return add_kv_cache(model) if event == "transformer_decathlon" else model


def entry(source, weights=None, event="mlp_sprint"):
    arrays = {"a": np.ones((784, 10), np.float32)} if weights is None else weights
    return Entry("folder", "Team", event, "", "", source, arrays, None, "0" * 64)


@pytest.mark.parametrize("event", ["mlp_sprint", "cnn_marathon", "transformer_decathlon"])
def test_an_honest_entry_is_ranked_for_what_it_did(event):
    result = official(honest(event), event_name=event, optimization_description="int8", **QUICK)
    assert result["ranked"] and result["reasons"] == result["checks"] == []
    assert result["speedup_vs_baseline"] > 1.2 and result["speedup_ci"][0] > 1.1
    assert result["division"] == "closed" and result["mode"] == "official"
    assert {"quantization", "custom kernels"} <= set(result["detected_techniques"])
    assert len(result["rounds"]) >= 12 and len(result["entry_sha256"]) == 64
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_seed_was_committed_to():
    result = official(honest("mlp_sprint"), event_name="mlp_sprint", interventions=False, **QUICK)
    assert result["seed_commitment"] == hashlib.sha256(b"5").hexdigest()


def test_accuracy_is_shown_too_coarsely_to_be_climbed():
    result = official(honest("mlp_sprint"), event_name="mlp_sprint", interventions=False, **QUICK)
    assert result["accuracy"] == round(result["accuracy"], 2)
    assert result["quality"]["difference"] * 200 == pytest.approx(round(result["quality"]["difference"] * 200))


def test_a_worker_that_dies_once_is_started_again(tmp_path):
    died = tmp_path / "died"
    source = f"""
import os
from tinytorch.core.models import MLP
calls = []

class Mortal(MLP):
    def predict(self, inputs):
        calls.append(0)
        if len(calls) == 40 and not os.path.exists({str(died)!r}):
            open({str(died)!r}, "w").close()
            os._exit(1)
        return super().predict(inputs)

def build(weights):
    model = Mortal()
    model.load_state_dict(weights)
    return model
"""
    terms = Terms(5, level_here(1), 0.2, interventions=False, least_rounds=6)
    result = judge(entry(source, load_baseline("mlp_sprint").state_dict()), terms)
    assert died.exists() and result["restarts"] == 1 and result["ranked"], result["reasons"]
    assert result["level"] == 1 and result["provisional"]


def test_weights_in_the_source_are_counted_as_weights():
    packed = "".join(np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz012345"), 40_000))
    assert model_bytes(entry(f"PACKED = {packed!r}")) > 31_360 + 20_000
    assert model_bytes(entry("def build(weights):\n    return None\n" * 20)) == 31_360


def test_weights_in_the_names_of_arrays_are_counted_as_weights():
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz012345"), (500, 116))
    named = {"".join(row): np.zeros(1, np.uint8) for row in letters}  # 5 bits a letter: 36,250 bytes
    assert model_bytes(entry("def build(weights):\n    return None\n", named)) > 36_250 - FREE_SOURCE_BYTES
    assert model_bytes(entry("", load_baseline("transformer_decathlon").state_dict())) == 450_824


def test_the_report_tells_a_student_why(tmp_path):
    source = "def build(weights):\n    raise KeyError('layer.weight')\n"
    result = judge(entry(source), Terms(5, level_here(), 0.1, interventions=False))
    assert not result["ranked"]
    assert "refused by 'model builds': KeyError: 'layer.weight'" in as_text(result)


def test_the_command_ranks_stores_and_refuses(tmp_path, capsys):
    folder, url = tmp_path / "entry", str(tmp_path / "board.sqlite")
    save_entry(honest("mlp_sprint"), folder, "Owls", "mlp_sprint")
    assert main(["referee", str(folder), "--budget", "0.1", "--store", url]) == 0
    assert "MLP Sprint, team Owls: RANKED" in capsys.readouterr().out
    assert [each["mode"] for each in Store(url).submissions()] == ["official"]
    (folder / "notes.txt").write_text("hello")
    assert main(["referee", str(folder)]) == 1
    assert "refused by 'entry folder': unexpected 'notes.txt'" in capsys.readouterr().out
    assert main(["referee", str(tmp_path / "nowhere")]) == 2


def test_a_check_keeps_its_name():
    assert WorkerError("exact shape", "no").check == "exact shape"
