"""Opens one model file and answers with it, in a process of its own: a crash or a hang in it is no end of ours.

    python -P runner.py onnx model.onnx asked.npz answered.npz
    python -P runner.py saved_model/text FOLDER asked.npz answered.npz      # another signature than `serving_default`

It stands alone, so that it starts fast and finds nothing but the libraries. Arrays are named `0.input`, `1.input`, ...:
the call and the tensor. The file's inputs and outputs go to stdout as JSON, what is wrong to the last line of stderr.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Tensors = dict[str, np.ndarray]
Structure = dict[str, list[tuple[str, str, list[int | str | None] | None]]]
"""Name, dtype and sizes of all `inputs` and `outputs`; a size may be free, all of them unknown."""


def onnx(path: str, _name: str = "model") -> tuple[Structure, Callable[[Tensors], Tensors]]:
    """Checked by its own rules, and opened by ONNX Runtime."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(path, full_check=True)
    graph = onnx.load(path, load_external_data=False).graph
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {x.name for x in session.get_inputs()}
    names = [y.name for y in session.get_outputs()]

    def described(value: Any) -> tuple[str, str, list[int | str | None] | None]:
        kind = value.type.tensor_type
        sizes = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        return value.name, "string" if dtype.hasobject else dtype.name, sizes if kind.HasField("shape") else None

    structure = {
        "inputs": [described(x) for x in graph.input if x.name in given],
        "outputs": [described(y) for y in graph.output],
    }
    return structure, lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def saved_model(path: str, signature: str = "serving_default") -> tuple[Structure, Callable[[Tensors], Tensors]]:
    """One of its signatures, as TensorFlow Serving asks it."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    serve = loaded.signatures[signature]
    serve.owner = loaded  # its variables live as long as `loaded` does

    def described(tensors: dict[str, Any]) -> list[tuple[str, str, list[int | str | None] | None]]:
        return [
            (name, x.dtype.name, x.shape.as_list() if x.shape.rank is not None else None) for name, x in tensors.items()
        ]

    def answer(inputs: Tensors) -> Tensors:
        return {name: y.numpy() for name, y in serve(**{name: tf.constant(x) for name, x in inputs.items()}).items()}

    inputs, outputs = serve.structured_input_signature[1], serve.structured_outputs
    return {"inputs": described(inputs), "outputs": described(outputs)}, answer


def plain(array: np.ndarray) -> np.ndarray:
    """Texts as an array of characters: one of objects could only be pickled."""
    if array.dtype != object:
        return array
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.ravel()]
    return np.array(texts, dtype=str).reshape(array.shape)


def main(form: str, path: str, asked: str, answered: str) -> None:
    with np.load(asked, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    calls: dict[str, Tensors] = {}
    for name, x in arrays.items():
        call, _, tensor = name.partition(".")
        calls.setdefault(call, {})[tensor] = x.astype(object) if x.dtype.kind == "U" else x
    form, *name = form.split("/")
    structure, answer = {"onnx": onnx, "saved_model": saved_model}[form](path, *name)
    print(json.dumps(structure), flush=True)
    answers = {f"{call}.{name}": plain(y) for call, x in calls.items() for name, y in answer(x).items()}
    np.savez(answered, **answers)  # type: ignore[arg-type]


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
