"""Where a file goes wrong: every layer's output is exported, and the first that differs is named."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from kerasfound.errors import UserError
from kerasfound.export import graphs, verification

UNKNOWN = "Which layer it is cannot be told"


def first_difference(model: keras.Model, form: str, case: verification.Case, tolerance: float) -> str:
    """A sentence that names the first layer whose exported output is not the model's own, and by how much.

    Args:
        model: functional or Sequential; of another nothing can be told.
        form: `"onnx"` or `"saved_model"`.
        case: a call that the file answers otherwise.
        tolerance: what is allowed.
    """
    if not hasattr(model, "operations"):
        return f"{UNKNOWN}: the model is not functional."
    steps = [
        (operation.name, y)
        for operation in model.operations
        if not isinstance(operation, keras.layers.InputLayer)
        for y in keras.tree.flatten(operation.output)
    ]
    probe = keras.Model(model.inputs, [y for _, y in steps], name="probe")
    try:
        signature = graphs.signature(probe)
        with tempfile.TemporaryDirectory() as folder:
            found = _answers(probe, form, Path(folder), case)
        inside = graphs.answer(probe)(*(case.inputs[x.name] for x in model.inputs))
    except (UserError, ValueError, TypeError) as error:
        return f"{UNKNOWN}: {error}"
    for (name, _), output in zip(steps, signature.outputs, strict=True):
        apart = verification.difference(np.asarray(inside[output.name]), found[output.name])
        if not apart.worst <= tolerance:
            return f"The first layer that differs is {name}, by up to {apart.absolute:.3g}."
    return f"{UNKNOWN}: each of them alone answers as it should."


def _answers(probe: keras.Model, form: str, folder: Path, case: verification.Case) -> verification.Tensors:
    if form == "onnx":
        graphs.onnx(probe, folder / verification.ONNX)
        file = folder / verification.ONNX
    else:
        graphs.saved_model(probe, folder / "probe")
        file = folder / "probe"
    _, (found,) = verification.ask(form, file, [case.inputs])
    return found
