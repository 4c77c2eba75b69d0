"""Open one model file and run it on test inputs. This script runs in a process of its own, so a crash stays there.

    python -P session_main.py onnx model.onnx inputs.npz outputs.npz
    python -P session_main.py saved_model/text FOLDER inputs.npz outputs.npz  # another signature than `serving_default`

The script imports nothing of the package: it starts fast and runs where the package is not installed. Arrays have the
names `0.x`, `1.x`, ...: the call and the tensor. The script writes the inputs and outputs that the file declares to
stdout as JSON, and an error to the last line of stderr.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Structure = dict[str, list[tuple[str, str, list[int | str | None] | None]]]
"""Name, dtype and shape of all `inputs` and `outputs`. A dimension or a whole shape may be unknown."""

NUMPY_DTYPES = {"float": "float32", "double": "float64"}
"""Names of ONNX Runtime that NumPy does not know."""


def open_onnx(
    path: str, _signature: str = ""
) -> tuple[Structure, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]]:
    """Open an ONNX file with ONNX Runtime: its structure, and the function that runs it.

    The library onnx checks the file more strictly. A server does not have it.
    """
    import onnxruntime

    try:
        import onnx
    except ImportError:
        pass
    else:
        onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [y.name for y in session.get_outputs()]

    def describe(value: Any) -> tuple[str, str, list[int | str | None] | None]:
        dtype = value.type.removeprefix("tensor(").removesuffix(")")
        return value.name, NUMPY_DTYPES.get(dtype, dtype), value.shape

    structure = {
        "inputs": [describe(x) for x in session.get_inputs()],
        "outputs": [describe(y) for y in session.get_outputs()],
    }
    return structure, lambda arrays: dict(zip(outputs, session.run(outputs, arrays), strict=True))


def open_saved_model(
    path: str, signature: str = "serving_default"
) -> tuple[Structure, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]]:
    """Open one signature of a SavedModel, as TensorFlow Serving does: its structure, and the function that runs it."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    function = loaded.signatures[signature]
    function.owner = loaded  # the variables exist only as long as `loaded`

    def describe(tensors: dict[str, Any]) -> list[tuple[str, str, list[int | str | None] | None]]:
        return [
            (name, x.dtype.name, x.shape.as_list() if x.shape.rank is not None else None) for name, x in tensors.items()
        ]

    def run(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = function(**{name: tf.constant(x) for name, x in arrays.items()})
        return {name: y.numpy() for name, y in outputs.items()}

    structure = {
        "inputs": describe(function.structured_input_signature[1]),
        "outputs": describe(function.structured_outputs),
    }
    return structure, run


def without_objects(array: np.ndarray) -> np.ndarray:
    """Convert Python strings to NumPy strings: an array of objects would need pickle."""
    if array.dtype != object:
        return array
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.ravel()]
    return np.array(texts, dtype=str).reshape(array.shape)


def main(file_format: str, path: str, inputs_file: str, outputs_file: str) -> None:
    calls: dict[str, dict[str, np.ndarray]] = {}
    with np.load(inputs_file, allow_pickle=False) as file:
        for key in file.files:
            call, _, name = key.partition(".")
            x = file[key]
            calls.setdefault(call, {})[name] = x.astype(object) if x.dtype.kind == "U" else x
    file_format, *signature = file_format.split("/")
    structure, run = {"onnx": open_onnx, "saved_model": open_saved_model}[file_format](path, *signature)
    print(json.dumps(structure), flush=True)
    outputs = {f"{call}.{name}": without_objects(y) for call, x in calls.items() for name, y in run(x).items()}
    np.savez(outputs_file, **outputs)  # type: ignore[arg-type]


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
