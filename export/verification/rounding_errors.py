"""The rounding error of the trained model itself, which a difference of a file is measured against."""

from collections.abc import Callable
from functools import cached_property

import keras
import numpy as np

from kerasfound.bundle.recorded_cases import USUAL_KINDS, RecordedCase, Tensors

from ..tracing import traced_model

OTHER_PRECISION = {"float16": "float32", "bfloat16": "float32", "float64": "float32", "float32": "float64"}
"""The precision of a model to one in which it rounds otherwise. Files compute in float32."""
FACTOR = {"float64": 32, "float32": 2}
"""How often a file's error may be the model's own, by the other precision. A file computes the sums and transforms of
a float32 model in another order; it computes what a model of another precision does in float32."""


class RoundingErrors:
    """How much the outputs of a model change if it computes in another precision.

    The change is large where numbers cancel out, for a matrix that is nearly singular, and for large inputs in half
    precision. Where only the model's own output is infinite or NaN, or only rounding decides between two integers, any
    output is right.

    Args:
        model: the trained model.
        cases: test inputs and its outputs, with their scales.
        to_model_inputs: converts the inputs of a case to inputs of the model.
    """

    def __init__(
        self, model: keras.Model, cases: list[RecordedCase], to_model_inputs: Callable[[Tensors], Tensors] | None
    ):
        self.model = model
        self.cases = cases
        self.to_model_inputs = to_model_inputs or (lambda inputs: inputs)

    def explain(self, case: RecordedCase, name: str, tolerance: float) -> None:
        """Raise the scale of an output to what the rounding errors of the case, or of usual cases, explain."""
        y, scale = case.outputs[name], case.scales[name]
        if y.dtype.kind not in "biuf" or (scale.ndim == y.ndim and y.ndim):
            return  # texts are not rounded, and a scale for each number was raised for another file
        other = self._outputs(case)[name]
        if y.dtype.kind != "f":
            case.scales[name] = np.where(y == other, scale, np.inf)
            return
        error = np.maximum(_relative_error(y, other, scale), self._usual_errors.get(name, 0))
        raised = _size(y, scale) * np.maximum(1, FACTOR[self._precision] / tolerance * error)
        case.scales[name] = np.where(~np.isfinite(y) & np.isfinite(other), np.inf, raised).astype("float32")

    @cached_property
    def _usual_errors(self) -> Tensors:
        """The largest error over all usual cases: in a single case it may be small by chance."""
        errors: Tensors = {}
        for case in self.cases:
            if case.kind in USUAL_KINDS:
                for name, other in self._outputs(case).items():
                    y, scale = case.outputs[name], case.scales[name]
                    if y.dtype.kind == "f" and scale.ndim < max(y.ndim, 1):
                        errors[name] = np.maximum(_relative_error(y, other, scale), errors.get(name, 0))
        return errors

    @cached_property
    def _precision(self) -> str:
        return OTHER_PRECISION[traced_model.own_precision(self.model)]

    @cached_property
    def _function(self) -> Callable:
        return traced_model.exported_function(self.model, self._precision)

    def _outputs(self, case: RecordedCase) -> Tensors:
        inputs = self.to_model_inputs(case.inputs)
        outputs = self._function(*(inputs[x.name] for x in traced_model.input_tensors(self.model)))
        return {name: np.asarray(y) for name, y in outputs.items()}


def _size(y: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.maximum(np.where(np.isfinite(y), np.abs(y.astype("float64")), 0), scale)


def _relative_error(y: np.ndarray, other: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The largest error of each column, or of the output if it has one scale, divided by the size of the number."""
    finite = np.isfinite(y) & np.isfinite(other)
    difference = np.abs(np.where(finite, y, 0).astype("float64") - np.where(finite, other, 0))
    return np.max(difference / _size(y, scale), axis=tuple(range(y.ndim - 1)) if scale.ndim else None, initial=0)
