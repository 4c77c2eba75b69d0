"""Arrays that are read once from a slow source, kept as `.npz`, and checked against their sha256 at every later read.

An array of texts is kept as two arrays of numbers, the UTF-8 bytes of all texts and the end of each text: no pickle.
"""

import hashlib
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

from kerasfound.atomic import replacing

Arrays = dict[str, np.ndarray]
TEXT = np.dtypes.StringDType()
BYTES, ENDS = "_utf8", "_ends"
ROWS_AT_ONCE = 4096
"""Rows that are read at once for a checksum."""


def folder() -> Path:
    """Return `KERASFOUND_CACHE_DIR`, or the cache folder of the user."""
    return Path(os.environ.get("KERASFOUND_CACHE_DIR") or platformdirs.user_cache_dir("kerasfound"))


def sha256(arrays: Arrays) -> str:
    """Return the sha256 of all names, dtypes, shapes and values. It does not depend on the file format."""
    digest = hashlib.sha256()
    arrays = pack_texts(arrays)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        for start in range(0, len(array), ROWS_AT_ONCE):  # an array on disk does not come into memory as a whole
            digest.update(np.ascontiguousarray(array[start : start + ROWS_AT_ONCE]).data)
    return digest.hexdigest()


def pack_texts(arrays: Arrays) -> Arrays:
    """Replace each array of texts by two arrays of numbers.

    Example:
        >>> {name: array.tolist() for name, array in pack_texts({"x": np.array(["ab", "c"], TEXT)}).items()}
        {'x_utf8': [97, 98, 99], 'x_ends': [2, 3]}
    """
    packed: Arrays = {}
    for name, array in arrays.items():
        if array.dtype == TEXT:
            rows = [text.encode() for text in array]
            packed[name + BYTES] = np.frombuffer(b"".join(rows), "uint8")
            packed[name + ENDS] = np.cumsum([len(row) for row in rows], dtype="int64")
        else:
            packed[name] = array
    return packed


def unpack_texts(arrays: Arrays) -> Arrays:
    """Undo `pack_texts`."""
    unpacked: Arrays = {}
    for name, array in arrays.items():
        if name.endswith(BYTES):
            text, ends = array.tobytes(), arrays[name.removesuffix(BYTES) + ENDS].tolist()
            rows = [text[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
            unpacked[name.removesuffix(BYTES)] = np.array(rows, TEXT)
        elif not name.endswith(ENDS):
            unpacked[name] = array
    return unpacked


def fetch(key: str, read: Callable[[], Arrays]) -> tuple[Arrays, str]:
    """Return the arrays of `key` and their sha256. `read` gets the arrays if the cache lacks them or is damaged."""
    path = folder() / f"{key}.npz"
    cached = _load(path)
    if cached is not None:
        return cached
    arrays = read()
    digest = sha256(arrays)
    try:
        _save(path, arrays, digest)
    except OSError as error:
        warnings.warn(f"{path.parent} cannot be written to ({error.strerror}); set KERASFOUND_CACHE_DIR.", stacklevel=2)
    return arrays, digest


def _load(path: Path) -> tuple[Arrays, str] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = unpack_texts(dict(file))
        expected = _digest_path(path).read_text().strip()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return (arrays, expected) if sha256(arrays) == expected else None


def _save(path: Path, arrays: Arrays, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        np.savez(part, **pack_texts(arrays))  # type: ignore[arg-type]
        _digest_path(path).write_text(digest + "\n")


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".sha256")
