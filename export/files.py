"""One proven ONNX file, one proven SavedModel; and how a `.keras` file of somebody's is opened."""

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.errors import UserError
from kerasfound.export import verification
from kerasfound.export.cases import Tensors
from kerasfound.export.manifest import Verification
from kerasfound.export.staging import staging

if TYPE_CHECKING:
    import keras

    from kerasfound.export.endpoint import Endpoint

OPSET = 18
UNPACKED, EXPANSION = 64 << 20, 100
"""A member of a `.keras` file may have this many bytes, and this many times those that it takes up."""


def onnx(
    model: "keras.Model",
    path: str | Path,
    *,
    opset: int = OPSET,
    sizes: dict[str, list[int | str]] | None = None,
    samples: Tensors | np.ndarray | None = None,
    tolerance: float | None = None,
) -> Verification:
    """Write an ONNX file that is proven to answer as the model does; a file that is there is replaced.

    Args:
        model: any built Keras model.
        path: the file.
        opset: the version of ONNX's operators.
        sizes: names of an input's free sizes: `{"tokens": ["batch", "time"]}`.
        samples: real inputs to ask as well: one array, or one for each input by its name.
        tolerance: the largest difference allowed, times one plus the largest expected number of a row. Defaults to
            what suits the model's precision, 1e-5 for float32.

    Returns:
        What was tried, and how near the file came.

    Raises:
        UserError: if the model has no ONNX form, or the file answers otherwise or cannot be written; what was there
            then stays.
    """
    on_tensorflow()
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file, such as {path / verification.ONNX}.")
    with staging(path.parent) as folder:
        asked = verification.expected(model, sizes, samples, tolerance)
        write_onnx(model, folder / path.name, opset, sizes)
        proof = verification.prove("onnx", folder / path.name, model, asked)
        for file in sorted(folder.glob(f"{path.name}*"), reverse=True):  # large weights lie in a file of their own
            file.replace(path.parent / file.name)
    return proof


def saved_model(
    model: "keras.Model",
    path: str | Path,
    *,
    sizes: dict[str, list[int | str]] | None = None,
    samples: Tensors | np.ndarray | None = None,
    tolerance: float | None = None,
) -> Verification:
    """Write a TensorFlow SavedModel that is proven to answer as the model does.

    Args:
        model: any built Keras model.
        path: the folder, which must not be there yet, or be empty.
        sizes: names of an input's free sizes: `{"tokens": ["batch", "time"]}`.
        samples: real inputs to ask as well: one array, or one for each input by its name.
        tolerance: the largest difference allowed, times one plus the largest expected number of a row. Defaults to
            what suits the model's precision, 1e-5 for float32.

    Returns:
        What was tried, and how near the files came.

    Raises:
        UserError: if the model cannot be traced, answers otherwise, or cannot be written; nothing is then there.
    """
    on_tensorflow()
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: exists already and is not an empty folder; name a new one.")
    with staging(path.parent) as folder:
        asked = verification.expected(model, sizes, samples, tolerance)
        write_saved_model(model, folder / path.name, sizes)
        proof = verification.prove("saved_model", folder / path.name, model, asked)
        (folder / path.name).replace(path)
    return proof


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


def write_onnx(model: "keras.Model", path: Path, opset: int, sizes: dict[str, list[int | str]] | None) -> None:
    """The file, not proven and not checked: the process that proves it checks it first."""
    from kerasfound.export import graphs

    graphs.onnx(model, path, opset, sizes, check=False)


def write_saved_model(
    model: "keras.Model",
    folder: Path,
    sizes: dict[str, list[int | str]] | None,
    endpoints: "dict[str, Endpoint] | None" = None,
) -> None:
    """The folder, not proven."""
    import tensorflow as tf

    from kerasfound.export import graphs, questions

    try:
        graphs.saved_model(model, folder, sizes, endpoints)
    except tf.errors.OpError as error:
        reason = (error.message or type(error).__name__).rpartition("; ")[2].partition(" [Op")[0]  # behind a long path
        raise UserError(f"{model.name}: TensorFlow cannot write its SavedModel: {questions.line(reason)}.") from error


def on_tensorflow() -> None:
    """Both formats are traced by TensorFlow."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(
            f"export needs the TensorFlow backend, this process runs {backend}: save the model as a .keras file and "
            "give that to `kerasfound export`, or set KERAS_BACKEND=tensorflow."
        )


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
