"""The trained model's own outputs, which exported files are compared with."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfound.bundle.comparison import compare
from kerasfound.errors import UserError

from ..tracing import traced_model

if TYPE_CHECKING:
    import keras

    from ..tracing.traced_model import Signature
from typing import TYPE_CHECKING

from kerasfound.bundle.recorded_cases import RecordedCase, Tensors

if TYPE_CHECKING:
    import keras
from kerasfound.bundle.comparison import TOLERANCE

TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2}
"""The same for models that compute in half precision, where the files compute in float32."""


def default_tolerance(model: "keras.Model") -> float:
    """What suits the coarsest precision that a layer of the model computes in."""
    computed = {layer.compute_dtype for layer in model._flatten_layers()}  # nothing public tells those inside a layer
    return max([TOLERANCE, *(TOLERANCES[dtype] for dtype in computed if dtype in TOLERANCES)])


def answers(
    model: "keras.Model", signature: "Signature", samples: Tensors | None = None, missing: bool = False
) -> list[RecordedCase]:
    """What the model itself answers to questions that fit its signature; each is asked twice.

    Raises:
        UserError: if the model cannot be called, answers what is no tensor, or something else the second time.
    """
    from . import input_generator

    answer, allowed = traced_model.reference_function(model), default_tolerance(model)
    error: Exception | None = None
    cases = []
    for kind, inputs in input_generator.questions(model, signature, samples, missing):
        try:
            outputs = answer(*(inputs[x.name] for x in signature.inputs))
        except Exception as raised:  # whatever a model raises when it does not take what is at the edge
            if kind == "samples":
                raise UserError(f"{model.name}: does not take the samples: {input_generator.line(raised)}") from raised
            error = raised
            continue
        cases.append(RecordedCase(kind, inputs, {name: _array(model, name, y) for name, y in outputs.items()}))
    if not cases:
        raise UserError(f"{model.name}: cannot be called on its own inputs: {input_generator.line(error)}")
    usual = [y for case in cases if case.kind in ("samples", "random") for y in case.outputs.values()]
    if usual and all(y.dtype.kind == "f" and not np.isfinite(y).any() for y in usual):
        raise UserError(
            f"{model.name}: answers nothing but NaN or infinity, so no file could be proven; train it again."
        )
    for case in cases:
        again = answer(*(case.inputs[x.name] for x in signature.inputs))
        for name, expected in case.outputs.items():
            apart = compare(expected, _array(model, name, again[name]))
            if not apart.max_scaled <= allowed:
                raise UserError(
                    f"{model.name}: its answer {name} changes between calls, {apart}: it draws "
                    "random numbers or keeps a state; no file could be proven, take that out of inference."
                )
    return cases


def as_named(signature: "Signature", samples: Tensors | np.ndarray | None) -> Tensors | None:
    """Samples by the names of their inputs; one array is the only input's."""
    if samples is None or isinstance(samples, dict):
        return samples
    if len(signature.inputs) > 1:
        names = ", ".join(x.name for x in signature.inputs)
        raise UserError(f"the samples are one array, the model has the inputs {names}; give a dict of one for each.")
    return {signature.inputs[0].name: np.asarray(samples)}


def _array(model: "keras.Model", name: str, y: Any) -> np.ndarray:
    if not hasattr(y, "numpy") or not hasattr(y, "shape"):
        raise UserError(f"{model.name}: its output {name} is no tensor but {type(y).__name__}; let it return tensors.")
    array = np.asarray(y.numpy())
    if array.dtype == object:
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.ravel()]
        return np.array(texts, dtype=str).reshape(array.shape)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
