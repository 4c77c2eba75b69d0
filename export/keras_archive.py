"""A `.keras` file, opened as untrusted data."""

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from kerasfound.errors import UserError

if TYPE_CHECKING:
    import keras


UNPACKED, EXPANSION = 64 << 20, 100
"""A member of a `.keras` file may have this many bytes, and this many times those that it takes up."""


def load(path: str | Path) -> "keras.Model":
    """The model in a `.keras` file, which is data: nothing in it is run.

    Raises:
        UserError: if it is no such file, was damaged, or holds code or a class that is not known here.
    """
    from kerasfound import saving

    path = Path(path)
    if not path.is_file() or path.suffix != ".keras":
        what = "is not a .keras file" if path.exists() else "no such file"
        raise UserError(f"{path}: {what}; give a run folder or a file that `model.save` wrote.")
    try:
        _check_archive(path)
        return saving.load_model(path, compile=False)
    except UserError:
        raise
    except Exception as error:  # a damaged or a hostile file may raise anything
        raise UserError(f"{path}: cannot be loaded: {_reason(error)}") from error


def _check_archive(path: Path) -> None:
    """Nothing in it would be written outside its place, or is far larger than it looks."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            parts = entry.filename.replace("\\", "/").split("/")
            if ".." in parts or not parts[0] or ":" in parts[0]:
                raise UserError(f"{path}: holds {entry.filename!r}, which is no place inside it; not a file of Keras.")
            if entry.file_size > UNPACKED + EXPANSION * entry.compress_size:
                sizes = f"{entry.compress_size:,} bytes that would become {entry.file_size:,}"
                raise UserError(f"{path}: holds {sizes} in {entry.filename!r}; not a file that Keras writes.")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "Lambda" in text and "unsafe" in text.lower():
        return "it holds code (a Lambda), which is not run; write that as a registered layer and save the model again."
    if unknown := re.search(r"Could not locate (\w+) '([^']+)'", text):
        what = f"it holds the {unknown[1]} {unknown[2]!r}, which is not known here"
        return f"{what}; load it in Python, where it is, and call kerasfound.export.bundle(model, ...)."
    return text if len(text) <= 300 else f"{text[:300]} ..."
