"""An entry folder is read without running it; every hostile file is told why it is none."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import zipfile

import numpy as np
import pytest

from tinytorch.core.acceleration import add_custom_kernels
from tinytorch.core.caching import add_kv_cache
from tinytorch.core.compression import apply_pruning
from tinytorch.core.models import MLP
from tinytorch.core.quantization import apply_quantization
from tinytorch.perf.entry import EntryError, check_entry, load_entry, read_weights, rebuilt, save_entry
from tinytorch.perf.verify import VerifyError
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset


@pytest.fixture
def folder(tmp_path):
    return save_entry(MLP(hidden=(4,), rng=np.random.default_rng(0)), tmp_path / "entry", "Owls", "mlp_sprint")


def npz(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy(array, **more):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **more)
    return stream.getvalue()


def with_header(text):
    header = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


HOSTILE = {
    "object array": (npz(**{"a.npy": npy(np.array([{}], object), allow_pickle=True)}), "plain numbers"),
    "bare pickle": (pickle.dumps({"a": 1}), "no .npz file"),
    "bomb": (npz(**{"a.npy": npy(np.zeros(9 << 20))}), "unpacks to more than"),
    "dense bomb": (npz(**{"a.npy": npy(np.zeros(6 << 20, np.uint8)) + b"x"}), "bytes follow|claims to unpack"),
    "absurd shape": (
        npz(**{"a.npy": with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**12,)}")}),
        "header|bytes follow",
    ),
    "too few bytes": (
        npz(**{"a.npy": with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}")}),
        "bytes follow",
    ),
    "a path": (npz(**{"../../evil.npy": npy(np.zeros(2))}), "expected names like"),
    "another kind of member": (npz(**{"a.pkl": b"x"}), "expected names like"),
    "huge header": (
        npz(**{"a.npy": b"\x93NUMPY\x01\x00" + (60000).to_bytes(2, "little") + b"(" * 60000}),
        "no readable header",
    ),
    "NaN": (npz(**{"a.npy": npy(np.array([np.nan]))}), "NaN or infinite"),
    "structured": (npz(**{"a.npy": npy(np.zeros(2, [("x", "f4")]))}), "plain numbers"),
    "empty": (npz(**{"a.npy": npy(np.zeros(0))}), "a is empty; leave it out"),
    "empty for ever": (
        npz(**{"a.npy": with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**30}, 0)}}")}),
        "at most 6 axes of at most 67,108,864",
    ),
    "cut off": (npz(**{"a.npy": npy(np.zeros(2))})[:60], "damaged"),
    "nothing": (b"", "no .npz file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_weights_are_refused(folder, name):
    content, reason = HOSTILE[name]
    (folder / "weights.npz").write_bytes(content)
    with pytest.raises(EntryError, match=reason):
        read_weights(folder / "weights.npz")
    assert len(check_entry(folder)) == 1


def test_a_damaged_archive_is_a_reason_and_no_exception(folder):
    whole, rng = (folder / "weights.npz").read_bytes(), random.Random(1)
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 2, 5))):
            damaged[rng.choice((rng.randrange(4, len(whole)), rng.randrange(len(whole) - 300, len(whole))))] = (
                rng.randrange(256)
            )
        (folder / "weights.npz").write_bytes(damaged)
        assert all(isinstance(reason, str) and reason for reason in check_entry(folder))


def test_a_layer_of_which_nothing_is_kept_may_be_saved(tmp_path):
    gone = apply_pruning(load_baseline("cnn_marathon"), 0.999, fine_tune=False)
    saved = load_entry(save_entry(gone, tmp_path / "entry", "Owls", "cnn_marathon"))
    assert saved.weights["network.layers.0.weight:values"].size == 0


@pytest.mark.parametrize("name", ["\u041ewls", "Owl\u03c2", "\u0421\u043ev\u044b"])
def test_a_team_cannot_have_a_second_name_that_looks_the_same(folder, name):
    words = json.loads((folder / "entry.json").read_text()) | {"team_name": name}
    (folder / "entry.json").write_text(json.dumps(words))
    assert "mixes letters that look alike, " in check_entry(folder)[0]
    with pytest.raises(VerifyError, match="write it in one script"):
        save_entry(MLP(hidden=(4,)), folder, name, "mlp_sprint")


@pytest.mark.parametrize(
    "name",
    [
        "Owls 2",
        "Caf\xe9",
        "\u0421\u043e\u0432\u044b",
        "\u0393\u03bb\u03b1\u03cd\u03be",
        "\u732b",
        "\U0001f989 Owls",
    ],
)
def test_a_team_may_be_called_in_any_script(folder, name):
    words = json.loads((folder / "entry.json").read_text()) | {"team_name": name}
    (folder / "entry.json").write_text(json.dumps(words))
    assert load_entry(folder).team_name == name


def test_a_team_is_the_same_however_its_accents_are_typed(folder):
    words = json.loads((folder / "entry.json").read_text()) | {"team_name": "O\u0301wls"}
    (folder / "entry.json").write_text(json.dumps(words))
    assert load_entry(folder).team_name == "\xd3wls"


def test_every_reason_is_listed_at_once(folder):
    (folder / "entry.json").write_text(json.dumps({"team_name": "", "event_name": "chess"}))
    (folder / "submission.py").write_bytes(b"\xff")
    (folder / "weights.npz").unlink()
    (folder / "notes.txt").write_text("")
    found = " | ".join(check_entry(folder))
    for reason in (
        "unexpected 'notes.txt'",
        "weights.npz is missing",
        "team_name is empty",
        "unknown event",
        "UTF-8",
    ):
        assert reason in found


@pytest.mark.parametrize("name", ["weights.npz", "submission.py", "entry.json"])
def test_a_link_is_no_file(folder, name):
    (folder / name).rename(folder.parent / name)
    os.symlink(folder.parent / name, folder / name)
    assert any(f"{name} cannot be read" in reason for reason in check_entry(folder))


def test_a_file_over_its_limit_is_not_read(folder):
    (folder / "submission.py").write_text("#" * (1 << 17))
    assert any("submission.py is larger than" in reason for reason in check_entry(folder))


def test_the_hash_knows_every_byte(folder):
    before = load_entry(folder).sha256
    (folder / "submission.py").write_text((folder / "submission.py").read_text() + "\n")
    assert load_entry(folder).sha256 != before


@pytest.mark.parametrize("event", ["mlp_sprint", "cnn_marathon", "transformer_decathlon"])
def test_a_model_comes_back_after_any_combination_of_verbs(event, tmp_path):
    model = add_custom_kernels(
        apply_quantization(apply_pruning(load_baseline(event), 0.3, fine_tune=False)), version=3
    )
    model = apply_pruning(model, 0.4, structured=True, fine_tune=False)
    model = add_kv_cache(model) if event == "transformer_decathlon" else model
    again = rebuilt(load_entry(save_entry(model, tmp_path / "entry", "Owls", event)))
    probe = load_dataset(event).batch(3, np.random.default_rng(0))
    assert np.array_equal(again.predict(probe), model.predict(probe))


PLAIN = [("MLP(", "print(MLP("), ("(4,)", "(9 ** 9 ** 9,)"), ("(4,)", "(9999,)"), ("return model", "return 1")]
SHAPED = [("(784, 3)", "(9 ** 9 ** 9,)"), ("import numpy as np", "import os"), ("(3,)", "(999999, 999999)")]


@pytest.mark.parametrize(("change", "pruned"), [(change, False) for change in PLAIN] + [(c, True) for c in SHAPED])
def test_only_what_save_entry_wrote_is_rebuilt_in_this_process(folder, change, pruned):
    if pruned:
        fewer = apply_pruning(MLP(hidden=(4,)), 0.25, structured=True, fine_tune=False)
        save_entry(apply_quantization(fewer), folder, "Owls", "mlp_sprint")
    text = (folder / "submission.py").read_text()
    assert rebuilt(load_entry(folder)) is not None and change[0] in text
    (folder / "submission.py").write_text(text.replace(*change))
    assert rebuilt(load_entry(folder)) is None


def test_a_class_of_ones_own_is_told_what_to_write(tmp_path):
    with pytest.raises(EntryError, match=r"write submission.py with build\(weights\)"):
        save_entry(object(), tmp_path / "entry", "Owls", "mlp_sprint")
