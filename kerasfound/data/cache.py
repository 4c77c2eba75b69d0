"""Arrays read once from a slow source and kept as `.npz`, checked against their sha256 on every later read.

Arrays of texts are kept as the bytes of their UTF-8, one after the other, beside where each ends: nothing is pickled.
"""

import hashlib
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

Arrays = dict[str, np.ndarray]
TEXT = np.dtypes.StringDType()
BYTES, ENDS = "_utf8", "_ends"


def folder() -> Path:
    """`KERASFOUND_CACHE_DIR`, or the user's cache folder."""
    return Path(os.environ.get("KERASFOUND_CACHE_DIR") or platformdirs.user_cache_dir("kerasfound"))


def sha256(arrays: Arrays) -> str:
    """Of names, dtypes, shapes and bytes: the content, whatever file holds it."""
    digest = hashlib.sha256()
    arrays = packed(arrays)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def packed(arrays: Arrays) -> Arrays:
    """With two arrays of numbers in the place of each array of texts.

    Example:
        >>> {name: array.tolist() for name, array in packed({"x": np.array(["ab", "c"], TEXT)}).items()}
        {'x_utf8': [97, 98, 99], 'x_ends': [2, 3]}
    """
    found: Arrays = {}
    for name, array in arrays.items():
        if array.dtype == TEXT:
            rows = [text.encode() for text in array]
            found[name + BYTES] = np.frombuffer(b"".join(rows), "uint8")
            found[name + ENDS] = np.cumsum([len(row) for row in rows], dtype="int64")
        else:
            found[name] = array
    return found


def unpacked(arrays: Arrays) -> Arrays:
    """What `packed` was given."""
    found: Arrays = {}
    for name, array in arrays.items():
        if name.endswith(BYTES):
            text, ends = array.tobytes(), arrays[name.removesuffix(BYTES) + ENDS].tolist()
            rows = [text[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
            found[name.removesuffix(BYTES)] = np.array(rows, TEXT)
        elif not name.endswith(ENDS):
            found[name] = array
    return found


def fetch(key: str, make: Callable[[], Arrays]) -> tuple[Arrays, str]:
    """The arrays kept under `key`, made and kept first where they are missing or damaged, and their sha256."""
    path = folder() / f"{key}.npz"
    kept = _read(path)
    if kept is None:
        arrays = make()
        kept = arrays, sha256(arrays)
        try:
            _write(path, *kept)
        except OSError as error:
            warnings.warn(
                f"{path.parent} cannot be written to ({error.strerror}); set KERASFOUND_CACHE_DIR.", stacklevel=2
            )
    return kept


def _read(path: Path) -> tuple[Arrays, str] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = unpacked(dict(file))
        expected = _digest_path(path).read_text().strip()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return (arrays, expected) if sha256(arrays) == expected else None


def _write(path: Path, arrays: Arrays, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, **packed(arrays))  # type: ignore[arg-type]
    _digest_path(path).write_text(digest + "\n")
    part.replace(path)


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".sha256")
