"""The outputs of the trained model on test inputs, which exported files are compared with."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfound.bundle.comparison import TOLERANCE, compare
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.errors import UserError, one_line

if TYPE_CHECKING:
    import keras

    from ..tracing.traced_model import Signature

HALF_PRECISION_TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2}
"""For models that compute in half precision, because exported files compute in float32."""
MAX_CHARACTERS = 300
"""Of an error that a message quotes."""


def default_tolerance(model: "keras.Model") -> float:
    """Return the tolerance for the lowest precision in which a layer of the model computes."""
    dtypes = {layer.compute_dtype for layer in model._flatten_layers()}  # no public method lists nested layers
    return max(
        [TOLERANCE, *(HALF_PRECISION_TOLERANCES[dtype] for dtype in dtypes if dtype in HALF_PRECISION_TOLERANCES)]
    )


def reference_outputs(
    model: "keras.Model", signature: "Signature", samples: Tensors | None = None
) -> list[RecordedCase]:
    """Run the model on samples and generated inputs that fit its signature. Each call runs twice.

    Args:
        model: the trained model.
        signature: its inputs.
        samples: real inputs by name.

    Raises:
        UserError: if the model cannot be called, returns something other than tensors, or returns other values in the
            second call.
    """
    from ..tracing.traced_model import reference_function  # not at the top: a bundle is verified without Keras

    function = reference_function(model)
    cases = _run_model(model, function, signature, samples)
    usual = [y for case in cases if case.kind in ("samples", "random") for y in case.outputs.values()]
    if usual and all(y.dtype.kind == "f" and not np.isfinite(y).any() for y in usual):
        raise UserError(
            f"{model.name}: all outputs are NaN or infinity, so no file can be verified; train the model again."
        )
    for case in cases:
        _check_repeatable(model, function, signature, case)
    return cases


def nullable_inputs(cases: list[RecordedCase]) -> set[str]:
    """The names of the inputs for which the model takes a missing value: NaN in them leaves the outputs finite."""
    finite = [case.inputs for case in cases if _has_finite_outputs(case)]
    return {name for inputs in finite for name, x in inputs.items() if x.dtype.kind == "f" and np.isnan(x).any()}


def _has_finite_outputs(case: RecordedCase) -> bool:
    return all(np.isfinite(y).all() for y in case.outputs.values() if y.dtype.kind == "f")


def _run_model(
    model: "keras.Model", function: Callable, signature: "Signature", samples: Tensors | None
) -> list[RecordedCase]:
    """Skip generated inputs that the model refuses, but not samples; and NaN that it passes on to its outputs."""
    from .input_generator import generate_inputs

    cases: list[RecordedCase] = []
    last_error: Exception | None = None
    for kind, inputs in generate_inputs(model, signature, samples):
        try:
            outputs = function(*(inputs[x.name] for x in signature.inputs))
        except Exception as error:  # a model may raise anything if it does not accept an edge case
            if kind == "samples":
                reason = one_line(error, MAX_CHARACTERS)
                raise UserError(f"{model.name}: cannot be called on the samples: {reason}") from error
            last_error = error
        else:
            case = RecordedCase(kind, inputs, {name: _to_numpy(model, name, y) for name, y in outputs.items()})
            if kind != "missing" or _has_finite_outputs(case):
                cases.append(case)
    if not cases:
        assert last_error
        raise UserError(f"{model.name}: cannot be called on its own inputs: {one_line(last_error, MAX_CHARACTERS)}")
    return cases


def _check_repeatable(model: "keras.Model", function: Callable, signature: "Signature", case: RecordedCase) -> None:
    outputs = function(*(case.inputs[x.name] for x in signature.inputs))
    for name, first in case.outputs.items():
        change = compare(first, _to_numpy(model, name, outputs[name]))
        if not change.max_scaled <= default_tolerance(model):
            raise UserError(
                f"{model.name}: its output {name} changes between two equal calls {change}, so no file can be "
                "verified; remove random numbers and changing state from inference."
            )


def samples_by_name(signature: "Signature", samples: Tensors | np.ndarray | None) -> Tensors | None:
    """Return samples as a dict; one array belongs to the only input."""
    if samples is None or isinstance(samples, dict):
        return samples
    if len(signature.inputs) > 1:
        names = ", ".join(x.name for x in signature.inputs)
        raise UserError(f"`samples`: one array for the inputs {names}; give a dict with an array for each input.")
    return {signature.inputs[0].name: np.asarray(samples)}


def _to_numpy(model: "keras.Model", name: str, y: Any) -> np.ndarray:
    if not hasattr(y, "numpy") or not hasattr(y, "shape"):
        raise UserError(f"{model.name}: its output {name} is a {type(y).__name__}, expected a tensor; return tensors.")
    array = np.asarray(y.numpy())
    if array.dtype == object:
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.ravel()]
        return np.array(texts, dtype=str).reshape(array.shape)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
