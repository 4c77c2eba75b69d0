"""Loads a `.keras` file, or an older `.h5` file, as untrusted data."""

import itertools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfound.errors import UserError, one_line

if TYPE_CHECKING:
    import keras

MAX_BYTES, MAX_COMPRESSION = 64 << 20, 100
"""A file inside a `.keras` file may have at most `MAX_BYTES`, plus `MAX_COMPRESSION` times its compressed size."""
SAVE_AS_KERAS = "save the model with model.save('model.keras') where it was trained, and give that file"
OTHER_KINDS = {
    (".weights.h5", ".weights.hdf5"): "holds weights without a model; build the model in Python, call "
    "model.load_weights and model.save('model.keras'), and give that file",
    (".pb",): f"is a TensorFlow graph, which no longer has the layers of the model; {SAVE_AS_KERAS}",
    (".pt", ".pth", ".ckpt", ".safetensors"): "is a PyTorch file; kerasfound exports Keras models only",
    (".onnx", ".tflite"): f"is exported already; {SAVE_AS_KERAS}",
    (".pkl", ".pickle", ".joblib"): f"is a pickle, which may run any code and is not opened; {SAVE_AS_KERAS}",
}
"""Ends of file names of other kinds of files, and what to do."""
READABLE = (".keras", ".h5", ".hdf5")


def load(path: str | Path) -> "keras.Model":
    """Load the model from a `.keras` or `.h5` file without running code from it.

    Raises:
        UserError: if the file is of another kind, is damaged, or holds code or an unknown class.
    """
    from kerasfound import saving

    path = Path(path)
    _check_kind(path)
    try:
        _check_archive(path) if path.suffix == ".keras" else _check_hdf5(path)
        return saving.load_model(path, compile=False)
    except UserError:
        raise
    except Exception as error:  # a damaged or malicious file may raise anything
        raise UserError(f"{path}: cannot be loaded: {_reason(error)}") from error


def is_model_file(path: Path) -> bool:
    """Whether a path looks like a model of any kind, rather than a run folder."""
    return path.is_file() or is_saved_model(path) or path.name.endswith((*READABLE, *itertools.chain(*OTHER_KINDS)))


def is_saved_model(path: Path) -> bool:
    return (path / "saved_model.pb").is_file()


def _check_kind(path: Path) -> None:
    if is_saved_model(path):
        problem: str | None = f"is a SavedModel, which no longer has the layers of the model; {SAVE_AS_KERAS}"
    else:
        kinds = OTHER_KINDS.items()
        problem = next((problem for ends, problem in kinds if path.name.lower().endswith(ends)), None)
    if problem is None and not path.is_file():
        problem = "is not a .keras file" if path.exists() else "no such file"
        problem += "; give a run folder or a file that model.save wrote"
    elif problem is None and path.suffix not in READABLE:
        problem = "is not a .keras file; give a run folder or a file that model.save wrote"
    if problem:
        raise UserError(f"{path}: {problem}.")


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


def _check_hdf5(path: Path) -> None:
    """Check that the file holds a model, all of it in this file, and that no array is far larger than the file."""
    import h5py

    largest = MAX_BYTES + MAX_COMPRESSION * path.stat().st_size
    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise UserError(f"{path}: {OTHER_KINDS['.weights.h5', '.weights.hdf5']}.")
        for name, item in _walk(file):
            if item is None or getattr(item, "external", None) or getattr(item, "is_virtual", False):
                raise UserError(f"{path}: {name!r} leads to another file; Keras did not write it.")
            if getattr(item, "nbytes", 0) > largest:
                raise UserError(f"{path}: {name!r} expands to {item.nbytes:,} bytes; Keras did not write it.")


def _walk(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of every member; `None` in place of a link, which is not followed."""
    import h5py

    for name in group:
        is_inside = isinstance(group.get(name, getlink=True), h5py.HardLink)
        item = group[name] if is_inside else None
        yield name, item
        if isinstance(item, h5py.Group):
            yield from _walk(item)


def _reason(error: Exception) -> str:
    text = one_line(error)
    if "Lambda" in text and "unsafe" in text.lower():
        return (
            "it holds code (a Lambda layer), which is not run; replace it by a registered layer and save the model "
            "again."
        )
    if unknown := re.search(r"(?:Could not locate|Unknown) (\w+):? '([^']+)'", text):
        return (
            f"it holds the {unknown[1]} {unknown[2]!r}, which is unknown here; load it in Python where it is defined, "
            "and call kerasfound.export.bundle(model, ...)."
        )
    return one_line(text, max_characters=300)
