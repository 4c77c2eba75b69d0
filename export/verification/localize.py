"""Where a file goes wrong: every layer's output is exported, and the first that differs is named."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from kerasfound.bundle.comparison import compare
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.errors import UserError

from .. import saved_model_writer
from ..converter import convert
from ..tracing import traced_model
from . import subprocess_session

UNKNOWN = "Which layer it is cannot be told"


def first_difference(model: keras.Model, form: str, case: RecordedCase, tolerance: float) -> str:
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
    inputs = model.inputs if isinstance(model, keras.Sequential) else model.input
    probe = keras.Model(inputs, [y for _, y in steps], name="probe")
    try:
        signature = traced_model.signature(probe)
        with tempfile.TemporaryDirectory() as folder:
            found = _answers(probe, form, Path(folder), case, signature)
        inside = traced_model.reference_function(probe)(*(case.inputs[x.name] for x in signature.inputs))
    except (UserError, ValueError, TypeError) as error:
        return f"{UNKNOWN}: {error}"
    for (name, _), output in zip(steps, signature.outputs, strict=True):
        apart = compare(np.asarray(inside[output.name]), found[output.name])
        if not apart.max_scaled <= tolerance:
            return f"The first layer that differs is {name}, {apart}."
    return "Exported anew, with every layer as an output, none differs: the file may be of another model."


def _answers(
    probe: keras.Model, form: str, folder: Path, case: RecordedCase, signature: traced_model.Signature
) -> Tensors:
    file = folder / "probe"
    if form == "onnx":
        convert.save_onnx(convert.trace_for_onnx(probe), file)
    else:
        saved_model_writer.saved_model(probe, file)
    (found,) = subprocess_session.ask(f"the {form} of its layers", form, file, [case.inputs], signature)
    return found
