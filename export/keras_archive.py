"""Loads a `.keras` file as untrusted data."""

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from kerasfound.errors import UserError, one_line

if TYPE_CHECKING:
    import keras

MAX_BYTES, MAX_COMPRESSION = 64 << 20, 100
"""A file inside a `.keras` file may have at most `MAX_BYTES`, plus `MAX_COMPRESSION` times its compressed size."""


def load(path: str | Path) -> "keras.Model":
    """Load the model from a `.keras` file without running code from it.

    Raises:
        UserError: if the file is not a `.keras` file, is damaged, or holds code or an unknown class.
    """
    from kerasfound import saving

    path = Path(path)
    if not path.is_file() or path.suffix != ".keras":
        problem = "is not a .keras file" if path.exists() else "no such file"
        raise UserError(f"{path}: {problem}; give a run folder or a file that `model.save` wrote.")
    try:
        _check_archive(path)
        return saving.load_model(path, compile=False)
    except UserError:
        raise
    except Exception as error:  # a damaged or malicious file may raise anything
        raise UserError(f"{path}: cannot be loaded: {_reason(error)}") from error


def _check_archive(path: Path) -> None:
    """Check that no file would be written outside the target folder or is far larger than its compressed size."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            parts = member.filename.replace("\\", "/").split("/")
            if ".." in parts or not parts[0] or ":" in parts[0]:
                raise UserError(
                    f"{path}: holds the path {member.filename!r}, which leads outside the file; Keras did not write it."
                )
            if member.file_size > MAX_BYTES + MAX_COMPRESSION * member.compress_size:
                raise UserError(
                    f"{path}: holds {member.filename!r}, which expands from {member.compress_size:,} to "
                    f"{member.file_size:,} bytes; Keras did not write it."
                )


def _reason(error: Exception) -> str:
    text = one_line(error)
    if "Lambda" in text and "unsafe" in text.lower():
        return (
            "it holds code (a Lambda layer), which is not run; replace it by a registered layer and save the model "
            "again."
        )
    if unknown := re.search(r"Could not locate (\w+) '([^']+)'", text):
        return (
            f"it holds the {unknown[1]} {unknown[2]!r}, which is unknown here; load it in Python where it is defined, "
            "and call kerasfound.export.bundle(model, ...)."
        )
    return one_line(text, max_characters=300)
