"""The trained baselines: they are those that were registered, as good as was written down, and trained by us."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinytorch.core.conv import Conv2d
from tinytorch.perf.workloads import baselines, train
from tinytorch.perf.workloads.archive import FILES
from tinytorch.perf.workloads.baselines import PLANS, load_baseline, read_register
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.events import EVENTS, get_event

every_event = pytest.mark.parametrize("event", EVENTS)
REMEDY = r"reinstall, or train them again with `python -m tinytorch.perf.workloads.train mlp_sprint`"


def copied(folder, weights="mlp_sprint.npz"):
    """The register and one weights file in a folder of their own."""
    shutil.copy(FILES / "baselines.json", folder)
    shutil.copy(FILES / weights, folder / "mlp_sprint.npz")
    return folder / "mlp_sprint.npz"


def register(folder):
    """Enter whatever lies in the folder as the Sprint's weights."""
    train.register("mlp_sprint", {"seed": 0}, folder)


# ---------------------------------------------------------------- what is shipped


@every_event
def test_a_baseline_answers_the_inputs_of_its_event(event):
    inputs = load_dataset(event).inputs[:2]
    logits = load_baseline(event).predict(inputs)
    assert logits.shape == get_event(event).output_shape(inputs) and logits.dtype == np.float32


@every_event
@pytest.mark.parametrize("split", ["public", "official"])
def test_a_baseline_is_as_good_as_the_register_says(event, split):
    network = load_baseline(event)
    for _, layer in network.modules():
        if isinstance(layer, Conv2d):
            layer.algorithm = "im2col"  # the same numbers in a third of the time
    registered = read_register()[event][f"{get_event(event).metric}_{split}"]
    assert train.quality(network, event, split) == pytest.approx(registered, abs=6e-4)


def test_the_baselines_reach_the_bar_of_the_course():
    register = read_register()
    for split in ("public", "official"):
        assert register["mlp_sprint"][f"accuracy_{split}"] >= 0.970
        assert register["cnn_marathon"][f"accuracy_{split}"] >= 0.953
        assert register["transformer_decathlon"][f"bits_per_character_{split}"] <= 2.41


@every_event
def test_the_register_tells_how_to_train_the_same_weights_again(event):
    entry = read_register()[event]
    assert entry["steps"] == PLANS[event].steps and isinstance(entry["seed"], int) and len(entry["sha256"]) == 64


@every_event
def test_a_recipe_gives_batches_to_go_on_training(event):
    recipe = load_baseline(event).recipe
    inputs, labels = next(recipe.batches(5, np.random.default_rng(0)))
    assert inputs.shape == (5, *get_event(event).input_shape)
    assert labels.shape == get_event(event).output_shape(inputs)[:-1]
    assert recipe.batch_size == PLANS[event].batch_size
    assert 0 < recipe.fine_tune_steps < recipe.distill_steps < PLANS[event].steps


def test_each_load_is_a_model_of_its_own():
    first, second = load_baseline("mlp_sprint"), load_baseline("mlp_sprint")
    first.parameters()[0].data[:] = 0
    assert second.parameters()[0].data.any()


# ---------------------------------------------------------------- damage


def test_an_unknown_event_has_no_baseline():
    with pytest.raises(WorkloadError, match="unknown event 'chess'; known: mlp_sprint, cnn_marathon, transformer"):
        load_baseline("chess")


def test_other_weights_than_the_registered_are_refused(tmp_path):
    path = copied(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WorkloadError, match=rf"mlp_sprint.npz has hash \w+, \w+ is registered; {REMEDY}"):
        load_baseline("mlp_sprint", tmp_path)


@pytest.mark.parametrize("keep", [0, 1000, 100_000])
def test_a_file_that_was_cut_off_is_refused(tmp_path, keep):
    path = copied(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    register(tmp_path)
    with pytest.raises(WorkloadError, match=rf"weights of mlp_sprint cannot be read \(.*; {REMEDY}"):
        load_baseline("mlp_sprint", tmp_path)


def test_weights_of_another_network_are_refused(tmp_path):
    copied(tmp_path, "cnn_marathon.npz")
    register(tmp_path)
    with pytest.raises(WorkloadError, match=rf"weights of mlp_sprint cannot be read \(.*; {REMEDY}"):
        load_baseline("mlp_sprint", tmp_path)


def test_missing_weights_are_named(tmp_path):
    copied(tmp_path).unlink()
    with pytest.raises(WorkloadError, match=rf"weights of mlp_sprint cannot be read \(.*No such file.*; {REMEDY}"):
        load_baseline("mlp_sprint", tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_a_damaged_register_is_named(tmp_path, text):
    copied(tmp_path)
    (tmp_path / "baselines.json").write_text(text, encoding="latin-1")
    with pytest.raises(WorkloadError, match=r"baselines.json cannot be read \(.*\); reinstall to get it"):
        load_baseline("mlp_sprint", tmp_path)


def test_weights_that_nobody_registered_are_refused(tmp_path):
    copied(tmp_path)
    (tmp_path / "baselines.json").write_text("{}", encoding="utf-8")
    with pytest.raises(WorkloadError, match=r"has hash \w+, none is registered"):
        load_baseline("mlp_sprint", tmp_path)


# ---------------------------------------------------------------- training


@pytest.fixture
def short(monkeypatch):
    """Three steps of training instead of thousands."""
    monkeypatch.setitem(baselines.PLANS, "mlp_sprint", replace(PLANS["mlp_sprint"], steps=3))


def trained(folder, *options):
    assert train.main(["mlp_sprint", "--out", str(folder), *options]) == 0
    return json.loads((folder / "baselines.json").read_text(encoding="utf-8"))


def test_the_command_trains_and_registers_what_it_wrote(short, tmp_path, capsys):
    entry = trained(tmp_path / "new")["mlp_sprint"]
    assert entry["steps"] == 3 and 0 < entry["accuracy_public"] < 1
    assert load_baseline("mlp_sprint", tmp_path / "new").predict(np.zeros((1, 784), np.uint8)).shape == (1, 10)
    assert '"accuracy_official"' in capsys.readouterr().out


def test_the_same_seed_trains_the_same_weights_and_another_does_not(short, tmp_path):
    hashes = [
        trained(tmp_path / name, "--seed", seed)["mlp_sprint"]["sha256"] for name, seed in ("a0", "b0", "c1")
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_training_one_event_leaves_the_others_registered(short, tmp_path):
    shutil.copy(FILES / "baselines.json", tmp_path)
    before, after = read_register(), trained(tmp_path)
    assert after.pop("mlp_sprint") != before.pop("mlp_sprint") and after == before


def test_an_event_that_there_is_not_is_not_trained(tmp_path):
    with pytest.raises(WorkloadError, match="unknown event 'chess'"):
        train.main(["chess", "--out", str(tmp_path)])
