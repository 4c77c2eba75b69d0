"""Finds the layer at which a file differs from the model: exports the outputs of all layers and compares them."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from kerasfound.bundle.comparison import compare
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.errors import UserError

from ..converter import convert
from ..saved_model_writer import write_saved_model
from ..tracing import traced_model
from ..tracing.traced_model import Signature
from .subprocess_session import run_file

UNKNOWN = "The layer is unknown"


def first_differing_layer(model: keras.Model, file_format: str, case: RecordedCase, tolerance: float) -> str:
    """Return a sentence that names the first layer whose exported output differs from the model's, and by how much.

    Args:
        model: functional or Sequential; the layers of other models cannot be exported one by one.
        file_format: `"onnx"` or `"saved_model"`.
        case: inputs on which the file differs from the model.
        tolerance: the largest allowed difference.
    """
    model = traced_model.functional_form(model)
    if not hasattr(model, "operations"):
        return f"{UNKNOWN}: the model is not functional."
    layer_outputs = [
        (operation.name, y)
        for operation in model.operations
        if not isinstance(operation, keras.layers.InputLayer)
        for y in keras.tree.flatten(operation.output)
    ]
    try:
        probe = keras.Model(model.input, [y for _, y in layer_outputs], name="probe")
        signature, exported = _export_and_run(probe, file_format, case)
        expected = traced_model.reference_function(probe)(*(case.inputs[x.name] for x in signature.inputs))
    except (UserError, ValueError, TypeError) as error:
        return f"{UNKNOWN}: {error}"
    for (layer, _), output in zip(layer_outputs, signature.outputs, strict=True):
        layer_difference = compare(np.asarray(expected[output.name]), exported[output.name])
        if not layer_difference.max_scaled <= tolerance:
            return f"The first layer that differs is {layer}, {layer_difference}."
    return "A new export with every layer as an output shows no difference: the file may belong to another model."


def _export_and_run(probe: keras.Model, file_format: str, case: RecordedCase) -> tuple[Signature, Tensors]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probe"
        if file_format == "onnx":
            traced = convert.trace_for_onnx(probe)
            convert.save_onnx(traced, file)
        else:
            traced = traced_model.trace_model(probe)
            write_saved_model(traced, file)
        (outputs,) = run_file(f"the {file_format} of its layers", file_format, file, [case.inputs], traced.signature)
    return traced.signature, outputs
