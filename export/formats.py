"""Exports a model to one verified ONNX file or one verified SavedModel."""

from pathlib import Path
from typing import TYPE_CHECKING

from kerasfound.bundle.manifest import Verification
from kerasfound.errors import UserError

from .options import DEFAULTS, ExportOptions
from .staging import staging_folder

if TYPE_CHECKING:
    import keras


def onnx(model: "keras.Model", path: str | Path, options: ExportOptions = DEFAULTS) -> Verification:
    """Write an ONNX file whose outputs are verified against the model. An existing file is replaced.

    Args:
        model: any built Keras model.
        path: the file.
        options: dynamic shapes, opset, samples and tolerance.

    Returns:
        The test inputs and the largest difference.

    Raises:
        UserError: if the model cannot be exported to ONNX, the outputs differ, or the file cannot be written. An
            existing file then stays as it was.
    """
    require_tensorflow()
    from .converter import convert
    from .raw_inputs import vectorized_texts
    from .verification import verify

    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file, such as {path / verify.ONNX}.")
    vectorized_texts.refuse_vectorizers(model)
    with staging_folder(path.parent) as folder:
        traced = convert.trace_for_onnx(model, options.dynamic_shapes)
        expected = verify.expected_outputs(model, traced.signature, options)
        opset = convert.OPSET if options.opset is None else options.opset
        convert.save_onnx(traced, folder / path.name, opset)
        record = verify.verify_file("onnx", folder / path.name, model, expected)
        (folder / path.name).replace(path)
    return record


def saved_model(model: "keras.Model", path: str | Path, options: ExportOptions = DEFAULTS) -> Verification:
    """Write a TensorFlow SavedModel whose outputs are verified against the model.

    Args:
        model: any built Keras model.
        path: the folder. It must not exist or be empty.
        options: dynamic shapes, samples and tolerance.

    Returns:
        The test inputs and the largest difference.

    Raises:
        UserError: if the model cannot be traced, the outputs differ, or the folder cannot be written. No folder is
            left then.
    """
    require_tensorflow()
    from .saved_model_writer import write_saved_model
    from .tracing.traced_model import trace_model
    from .verification import verify

    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: exists already and is not an empty folder; choose a new folder.")
    with staging_folder(path.parent) as folder:
        traced = trace_model(model, options.dynamic_shapes)
        expected = verify.expected_outputs(model, traced.signature, options)
        write_saved_model(traced, folder / path.name)
        record = verify.verify_file("saved_model", folder / path.name, model, expected)
        (folder / path.name).replace(path)
    return record


def require_tensorflow() -> None:
    """Raise a `UserError` if Keras runs on another backend: TensorFlow traces the model for both formats."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(
            f"export needs the TensorFlow backend, this process runs {backend}: save the model as a .keras file and "
            "run `kerasfound export` on it, or set KERAS_BACKEND=tensorflow."
        )
