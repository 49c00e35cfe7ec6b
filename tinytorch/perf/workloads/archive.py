"""Arrays in and out of `.npz` files, without pickle, and byte for byte the same whenever they are the same.

`np.savez_compressed` writes the time of day into the archive, so its files cannot be compared by hash;
`write_arrays` fixes the date. What only reading and writing needs is imported there: the benchmark must not cost
much more than numpy to import. Does not: know what the arrays mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinytorch.perf.workloads.errors import WorkloadError

FILES = Path(__file__).parent / "files"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a zip archive can hold


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays` to a compressed `.npz`; the same arrays in the same order give the same bytes.

    Raises:
        WorkloadError: an array holds Python objects, which only pickle could store.
    """
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=EPOCH)
            member.create_system = 3  # Unix, everywhere: else the archive names the system it was written on
            member.external_attr = 0o644 << 16
            archive.writestr(member, _npy(name, array), zipfile.ZIP_DEFLATED, compresslevel=9)


def _npy(name: str, array: np.ndarray) -> bytes:
    if array.dtype.hasobject:
        raise WorkloadError(f"array {name!r} holds Python objects; convert it to numbers or bytes first")
    import io

    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
    return stream.getvalue()


def read_array(path: Path, name: str, remedy: str) -> np.ndarray:
    """Read one array of a `.npz`, read-only; its neighbours in the file are not decompressed.

    Args:
        remedy: what to do if the file cannot be read; ends the message of the error.

    Raises:
        WorkloadError: the file is missing or damaged, or does not hold `name`.
    """
    import zipfile
    import zlib

    try:
        with np.load(path, allow_pickle=False) as archive:
            array = archive[name]
    except FileNotFoundError:
        raise WorkloadError(f"{path} does not exist; {remedy}") from None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise WorkloadError(f"{path} is damaged ({name!r}: {error}); {remedy}") from error
    array.setflags(write=False)
    return array


def sha256(path: Path) -> str:
    """Fingerprint of a file, in hexadecimal."""
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
