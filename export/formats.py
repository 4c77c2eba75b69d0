"""One proven ONNX file, one proven SavedModel; and how a `.keras` file of somebody's is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.bundle.manifest import Verification
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError

from . import saved_model_writer
from .staging import staging
from .verification import verify

if TYPE_CHECKING:
    import keras

    from .saved_model_writer import Endpoint

OPSET = 18


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
        raise UserError(f"{path}: is a folder; name a file, such as {path / verify.ONNX}.")
    with staging(path.parent) as folder:
        asked = verify.expected(model, sizes, samples, tolerance)
        write_onnx(model, folder / path.name, opset, sizes)
        proof = verify.prove("onnx", folder / path.name, model, asked)
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
        asked = verify.expected(model, sizes, samples, tolerance)
        write_saved_model(model, folder / path.name, sizes)
        proof = verify.prove("saved_model", folder / path.name, model, asked)
        (folder / path.name).replace(path)
    return proof


def write_onnx(model: "keras.Model", path: Path, opset: int, sizes: dict[str, list[int | str]] | None) -> None:
    """The file, not proven and not checked: the process that proves it checks it first."""
    from .converter import convert

    convert.save_onnx(convert.trace_for_onnx(model, sizes), path, opset)


def write_saved_model(
    model: "keras.Model",
    folder: Path,
    sizes: dict[str, list[int | str]] | None,
    endpoints: "dict[str, Endpoint] | None" = None,
) -> None:
    """The folder, not proven."""
    import tensorflow as tf

    from .verification import input_generator

    try:
        saved_model_writer.saved_model(model, folder, sizes, endpoints)
    except tf.errors.OpError as error:
        reason = (error.message or type(error).__name__).rpartition("; ")[2].partition(" [Op")[0]  # behind a long path
        raise UserError(
            f"{model.name}: TensorFlow cannot write its SavedModel: {input_generator.line(reason)}."
        ) from error


def on_tensorflow() -> None:
    """Both formats are traced by TensorFlow."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(
            f"export needs the TensorFlow backend, this process runs {backend}: save the model as a .keras file and "
            "give that to `kerasfound export`, or set KERAS_BACKEND=tensorflow."
        )
