"""An entry as a folder: four kinds of file, nothing that runs before it is asked to, nothing that can hide.

    entry.json      team_name, event_name, optimization_description, github_url
    submission.py   at most 64 kB; `build(weights) -> model`
    weights.npz     at most 16 MB of plain arrays; what `build` is given
    kernel.c        optional, at most 64 kB; compiled by the referee, its path is the global KERNEL

Reading runs no code and trusts no size that a file claims. Does not: build a model, or compile.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.models import CNN, MLP, CharTransformer, Network
from tinytorch.perf.verify import VerifyError, checked_description, checked_link, checked_team
from tinytorch.perf.workloads.archive import write_arrays
from tinytorch.perf.workloads.events import get_event

SOURCE_LIMIT, WEIGHTS_LIMIT = 64 << 10, 16 << 20
LOADED_LIMIT, MOST_ARRAYS, MOST_AXES, RATIO_LIMIT = 64 << 20, 512, 6, 2000
LIMITS = {
    "entry.json": 16 << 10,
    "submission.py": SOURCE_LIMIT,
    "weights.npz": WEIGHTS_LIMIT,
    "kernel.c": SOURCE_LIMIT,
}
OPTIONAL = {"kernel.c"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,120}(:[a-z]{1,20})?\.npy")
DTYPES = {"|b1", "|i1", "|u1", "<i2", "<u2", "<f2", "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"}


SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")  # whose letters look alike; how Unicode's names of them begin


class EntryError(ValueError):
    """A folder is no entry, or a model cannot be saved as one; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One entry, read and checked."""

    folder: Path
    team_name: str
    event_name: str
    optimization_description: str
    github_url: str
    source: str
    weights: Mapping[str, np.ndarray]  # read-only
    kernel_source: str | None
    sha256: str  # over names and bytes of the files


# -- reading -------------------------------------------------------------------------------------------


def check_entry(folder: Path | str) -> list[str]:
    """Every reason why a folder is no entry; empty if it is one."""
    return _read(Path(folder))[1]


def load_entry(folder: Path | str) -> Entry:
    """The entry in a folder. Raises EntryError with every reason why it is none."""
    entry, reasons = _read(Path(folder))
    if entry is None:
        raise EntryError(f"{folder} is no entry: {'; '.join(reasons)}")
    return entry


def _read(folder: Path) -> tuple[Entry | None, list[str]]:
    import hashlib

    files, reasons = _files(folder)
    words = _words(files["entry.json"], reasons) if "entry.json" in files else {}
    texts = {name: _text(name, files[name], reasons) for name in ("submission.py", "kernel.c") if name in files}
    weights: dict[str, np.ndarray] = {}
    if "weights.npz" in files:
        try:
            weights = read_weights(files["weights.npz"])
        except EntryError as error:
            reasons.append(str(error))
    if reasons:
        return None, reasons
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}:{len(files[name])}:".encode() + files[name])
    entry = Entry(
        folder=folder,
        source=texts["submission.py"],
        weights=weights,
        kernel_source=texts.get("kernel.c"),
        sha256=digest.hexdigest(),
        **words,
    )
    return entry, []


def _files(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Bytes of the entry's files, and what is wrong with the folder."""
    reasons: list[str] = []
    files: dict[str, bytes] = {}
    try:
        present = sorted(os.listdir(folder))
    except OSError as error:
        return {}, [f"the folder cannot be read ({error.strerror})"]
    extra = [name for name in present if name not in LIMITS]
    if extra:
        reasons.append(f"unexpected {', '.join(map(repr, extra[:5]))}; an entry holds {', '.join(LIMITS)} alone")
    for name in LIMITS:
        if name in present:
            try:
                files[name] = _bytes(folder / name, LIMITS[name])
            except EntryError as error:
                reasons.append(str(error))
        elif name not in OPTIONAL:
            reasons.append(f"{name} is missing")
    return files, reasons


def _bytes(path: Path, limit: int) -> bytes:
    """A regular file's bytes, following no link and reading no more than `limit`. Raises EntryError."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise EntryError(f"{path.name} cannot be read ({error.strerror}); it must be a plain file") from error
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise EntryError(f"{path.name} is no plain file")
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise EntryError(f"{path.name} is larger than {limit:,} bytes")
    return content


def _text(name: str, content: bytes, reasons: list[str]) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        reasons.append(f"{name} is not UTF-8 (byte {error.start})")
        return ""
    if "\0" in text:
        reasons.append(f"{name} contains a zero byte")
    if name == "submission.py" and "def build" not in text and "build" not in text:
        reasons.append("submission.py defines no build(weights)")
    return text


def _words(content: bytes, reasons: list[str]) -> dict[str, str]:
    """The four texts of entry.json, checked."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        reasons.append(f"entry.json is no JSON ({error})")
        return {}
    checks: dict[str, Any] = {
        "team_name": team_of_one_script,
        "event_name": lambda name: get_event(name).name,
        "optimization_description": checked_description,
        "github_url": checked_link,
    }
    if not isinstance(values, dict) or values.keys() - checks.keys():
        reasons.append(f"entry.json must hold {', '.join(checks)} alone")
        return {}
    words = {}
    for name, check in checks.items():
        try:
            words[name] = check(
                values.get(name, "" if name in ("optimization_description", "github_url") else None)
            )
        except (VerifyError, ValueError) as error:
            reasons.append(f"entry.json: {error}")
    return words


def team_of_one_script(name: object) -> str:
    """A team name in NFC whose letters do not come from two scripts that look alike.

    A Cyrillic O among Latin letters makes another team of a name that reads the same, with runs of its own.

    Raises:
        VerifyError: it mixes Latin, Cyrillic and Greek letters, or is no team name.
    """
    clean = checked_team(name)
    first = {unicodedata.name(letter, "").partition(" ")[0]: letter for letter in reversed(clean)}
    mixed = [f"{script.title()} {first[script]!r}" for script in SCRIPTS if script in first]
    if len(mixed) > 1:
        raise VerifyError(
            f"team_name mixes letters that look alike, {' and '.join(mixed)}; write it in one script"
        )
    return clean


def read_weights(file: Path | str | bytes) -> dict[str, np.ndarray]:
    """Arrays of an `.npz`, read-only: no pickle, no path in a name, no size believed before it is seen.

    Raises:
        EntryError: it is anything else than a small zip of plain, finite arrays.
    """
    import zipfile

    content = file if isinstance(file, bytes) else _bytes(Path(file), WEIGHTS_LIMIT)
    if content[:4] != b"PK\x03\x04":
        raise EntryError("weights.npz is no .npz file; write it with save_entry or np.savez")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _filled(dict(_members(archive)))
    except EntryError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds where its numbers make no sense
        raise EntryError(f"weights.npz is damaged ({type(error).__name__}: {error})") from error


def _members(archive: Any) -> Iterator[tuple[str, np.ndarray]]:
    members = archive.infolist()
    if len(members) > MOST_ARRAYS or len({member.filename for member in members}) != len(members):
        raise EntryError(f"weights.npz holds the same name twice, or more than {MOST_ARRAYS} arrays")
    if sum(member.file_size for member in members) > LOADED_LIMIT:
        raise EntryError(f"weights.npz unpacks to more than {LOADED_LIMIT:,} bytes")
    for member in members:
        if not NAME.fullmatch(member.filename):
            raise EntryError(f"weights.npz holds {member.filename[:60]!r}, expected names like 'layer.weight.npy'")
        if member.compress_type not in (0, 8) or member.flag_bits & 1:
            raise EntryError(f"{member.filename} is encrypted, or packed in another way than np.savez does")
        if member.file_size > RATIO_LIMIT * max(1, member.compress_size) + 4096:
            raise EntryError(f"{member.filename} claims to unpack to {member.file_size:,} bytes")
        with archive.open(member) as stream:
            raw = stream.read(member.file_size + 1)  # no more, whatever the header says
        if len(raw) != member.file_size:
            raise EntryError(f"{member.filename} is not as long as the archive says")
        yield member.filename.removesuffix(".npy"), _array(member.filename, raw)


def _filled(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, if only what a bitmap keeps nothing of is empty: a name can say much and weighs nothing."""
    for name, array in arrays.items():
        stem, _, part = name.rpartition(":")
        if not array.size and not (part in ("codes", "values") and f"{stem}:bitmap" in arrays):
            raise EntryError(f"{name} is empty; leave it out, or give it the numbers that it is to hold")
    return arrays


def _array(name: str, raw: bytes) -> np.ndarray:
    stream = io.BytesIO(raw)
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(stream, max_header_size=2000)
    except (ValueError, KeyError, SyntaxError, RecursionError, TypeError, MemoryError) as error:
        raise EntryError(f"{name} has no readable header ({type(error).__name__})") from error
    if dtype.hasobject or dtype.names is not None or dtype.str not in DTYPES:
        raise EntryError(f"{name} is {dtype}, expected plain numbers: bool, or 1 to 8 bytes of integer or float")
    count = math.prod(shape)
    if len(shape) > MOST_AXES or not all(0 <= size <= LOADED_LIMIT for size in shape):
        raise EntryError(
            f"{name} has shape {str(shape)[:80]}, expected at most {MOST_AXES} axes of at most {LOADED_LIMIT:,}"
        )
    if count * dtype.itemsize != len(raw) - stream.tell():
        raise EntryError(f"{name} says shape {shape}, but {len(raw) - stream.tell():,} bytes follow")
    array = np.frombuffer(raw, dtype, count, stream.tell()).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise EntryError(f"{name} holds values that are NaN or infinite")
    return array


# -- reading back what save_entry wrote ----------------------------------------------------------------

NUMBER, SIZE = r"\d{1,4}", r"\d{1,3}"
NUMBERS = rf"\((?:{NUMBER}(?:, {NUMBER})*,?)?\)"  # no way to match twice: it is tried on students' text
WIDTHS = rf"\({SIZE}(?:, {SIZE}){{0,7}},?\)"
# Arguments of networks that fit into memory, whatever the numbers are.
ARGUMENT = rf"(?:hidden={WIDTHS}|algorithm='\w+'|blocks=\d|(?:stride|symbols|context|width|heads)={SIZE})"
VERB = r"    model = (?:add_custom_kernels\(model, version=[0-4]\)|add_kv_cache\(model\))\n"


def rebuilt(entry: Entry) -> Network | None:
    """The model of an entry whose submission.py is exactly what save_entry writes; None for any other.

    Such a file is ours, whoever hands it in: nothing of it but numbers can differ, so it may run in this process.
    """
    line = r"from tinytorch\.core\.\w+ import \w+"
    common = dict(
        title=r"(MLP|CNN|CharTransformer)",
        imports=rf"{line}(?:\n{line})*",
        make=rf"(?:MLP|CNN|CharTransformer)\({ARGUMENT}(?:, {ARGUMENT})*\)",
        verbs=f"(?:{VERB})*",
    )
    shapes = rf"\{{\n(?:    '[\w.]+': {NUMBERS},\n)+\}}"
    plain, shaped = _pattern(SUBMISSION, **common), _pattern(SHAPED_SUBMISSION, **common, shapes=shapes)
    if not re.fullmatch(f"{plain}|{shaped}", entry.source):
        return None
    scope: dict[str, Any] = {}
    try:
        exec(compile(entry.source, "submission.py", "exec"), scope)
        return scope["build"](dict(entry.weights))
    except Exception:  # weights that do not fit: the worker will say so
        return None


def _pattern(template: str, **parts: str) -> str:
    """A template as a regular expression, its gaps filled by expressions."""
    marks = {name: f"@{name}@" for name in parts}
    text = re.escape(template.format(**marks))
    for name, mark in marks.items():
        text = text.replace(re.escape(mark), parts[name])
    return text


# -- writing -------------------------------------------------------------------------------------------

SUBMISSION = '''"""{title}, as save_entry wrote it: the network, its weights, then its kernels."""

{imports}


def build(weights):
    model = {make}
    model.load_state_dict(weights)
{verbs}    return model
'''

SHAPED_SUBMISSION = '''"""{title}, as save_entry wrote it: the network, its weights in their forms, kernels."""

import numpy as np

{imports}

SHAPES = {shapes}


def build(weights):
    model = {make}
    for prefix, layer in list(model.modules()):
        for name, value in list(vars(layer).items()):
            if isinstance(value, Parameter):
                full = f"{{prefix}}.{{name}}" if prefix else name
                empty = np.zeros(SHAPES[full], np.float32)
                setattr(layer, name, Parameter(empty) if full in weights else CompactParameter(empty))
    model.load_state_dict(weights)
{verbs}    return model
'''


def save_entry(
    model: Any,
    folder: Path | str,
    team_name: str,
    event_name: str,
    optimization_description: str = "",
    github_url: str = "",
) -> Path:
    """Write a model of the library as an entry folder, whatever verbs it went through.

    For a class of your own write the files yourself: `build(weights)` in submission.py, arrays by np.savez.

    Raises:
        EntryError: no model of the library, or the folder holds something else.
    """
    folder = Path(folder)
    words = {
        "team_name": team_of_one_script(team_name),
        "event_name": get_event(event_name).name,
        "optimization_description": checked_description(optimization_description),
        "github_url": checked_link(github_url),
    }
    source = _source(model)
    folder.mkdir(parents=True, exist_ok=True)
    if set(os.listdir(folder)) - LIMITS.keys():
        raise EntryError(f"{folder} holds other files; give an empty or a new folder")
    (folder / "entry.json").write_text(json.dumps(words, indent=2) + "\n", encoding="utf-8")
    (folder / "submission.py").write_text(source, encoding="utf-8")
    write_arrays(folder / "weights.npz", model.state_dict())
    return folder


def _source(model: Any) -> str:
    """submission.py of a network: how it is made, and which verbs come after the weights."""
    if type(model) not in (MLP, CNN, CharTransformer):
        raise EntryError(
            f"{type(model).__name__} is no model of the library; write submission.py with build(weights) for it, "
            f"and its arrays with np.savez"
        )
    verbs, imports = "", [f"from tinytorch.core.models import {type(model).__name__}"]
    if model.engine is not None:
        imports.append("from tinytorch.core.acceleration import add_custom_kernels")
        verbs += f"    model = add_custom_kernels(model, version={model.engine.version})\n"
    if getattr(model, "generator", None) is not None:
        imports.append("from tinytorch.core.caching import add_kv_cache")
        verbs += "    model = add_kv_cache(model)\n"
    arguments = _arguments(model)
    make = f"{type(model).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
    parts = dict(title=type(model).__name__, make=make, verbs=verbs)
    shapes = _shapes(model)
    if shapes == _shapes(type(model)(**arguments)):
        return SUBMISSION.format(imports="\n".join(sorted(imports)), **parts)
    imports += [
        "from tinytorch.core.compact import CompactParameter",
        "from tinytorch.core.layers import Parameter",
    ]
    lines = "\n".join(f"    {name!r}: {shape}," for name, (shape, _) in shapes.items())
    return SHAPED_SUBMISSION.format(imports="\n".join(sorted(imports)), shapes=f"{{\n{lines}\n}}", **parts)


def _shapes(model: Network) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and kind of every parameter."""
    return {name: (tuple(parameter.shape), type(parameter)) for name, parameter in model.named_parameters()}


def _arguments(model: Network) -> dict[str, Any]:
    """With which a network of the same layers is made; pruned ones get their shapes afterwards."""
    if isinstance(model, MLP):
        hidden = tuple(layer.weight.shape[1] for layer in model.network.layers if hasattr(layer, "weight"))[:-1]
        return {"hidden": hidden, "stride": model.stride}
    if isinstance(model, CNN):
        convolution = next(layer for layer in model.network.layers if hasattr(layer, "algorithm"))
        return {"algorithm": convolution.algorithm}
    assert isinstance(model, CharTransformer)
    symbols, width = model.symbol.weight.shape
    return {
        "symbols": symbols,
        "context": model.context,
        "width": width,
        "blocks": len(model.blocks),
        "heads": model.heads,
    }
