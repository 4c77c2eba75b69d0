"""Verifies that the outputs of exported files equal those of the trained model, at export and at any later time."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerasfound.bundle import layout, recorded_cases
from kerasfound.bundle import manifest as contract
from kerasfound.bundle.comparison import TOLERANCE, compare
from kerasfound.bundle.layout import MANIFEST
from kerasfound.bundle.manifest import SERVING_DEFAULT, Manifest, NamedSignature, Verification
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.errors import UserError

from ..options import DEFAULTS, ExportOptions
from . import reference, subprocess_session

if TYPE_CHECKING:
    import keras

    from ..tracing.traced_model import Signature
    from .rounding_errors import RoundingErrors

ONNX, SAVED_MODEL = "model.onnx", "saved_model.pb"


class ExpectedOutputs(NamedTuple):
    """The signature and the outputs that a file must have.

    Args:
        name: of the model or bundle, for messages.
        signature: the inputs and outputs of the file.
        cases: test inputs and the outputs of the trained model.
        tolerance: the largest allowed difference.
        to_model_inputs: converts the raw inputs of the file to inputs of the model, where they are not the same.
    """

    name: str
    signature: "Signature | Manifest | NamedSignature"
    cases: list[RecordedCase]
    tolerance: float
    to_model_inputs: Callable[[Tensors], Tensors] | None = None


class DifferenceError(UserError):
    """An output of a file differs from the trained model's; `case` is the first such case."""

    def __init__(self, reason: str, case: RecordedCase):
        super().__init__(reason)
        self.case = case


def verify(
    path: str | Path, model: "keras.Model | None" = None, options: ExportOptions = DEFAULTS
) -> list[Verification]:
    """Verify exported files again.

    A bundle needs no model: its checksums show that no file has changed, and its files are compared with the recorded
    outputs of the trained model. An ONNX file or a SavedModel alone is compared with `model`.

    Args:
        path: a version folder such as `models/mnist_cnn/1`, the folder of a model for its newest version, an `.onnx`
            file, or the folder of a SavedModel.
        model: runs instead of the recorded outputs.
        options: the tolerance, and with a model also the dynamic shapes and the samples. The tolerance defaults to that
            of the bundle, or to a value for the precision of the model.

    Returns:
        One record for each file. Where TensorFlow is not installed, the SavedModel of a bundle has none.

    Raises:
        UserError: naming the file that has changed, is missing or was added, or whose output differs, and by how much.
    """
    path = Path(path)
    if model is not None:
        from ..tracing import traced_model

        signature = traced_model.signature(model, options.dynamic_shapes)
        expected = expected_outputs(model, signature, options)._replace(name=str(path))
        return [verify_file(name, file, model, expected) for name, file in model_files(path).items()]
    if path.is_file() or ((path / SAVED_MODEL).is_file() and not (path / MANIFEST).is_file()):
        raise UserError(f"{path}: a single model file has no recorded outputs; give `model` as well, or give a bundle.")
    return _verify_bundle(layout.version_folder(path), options.tolerance)


def _verify_bundle(folder: Path, tolerance: float | None) -> list[Verification]:
    manifest = contract.read(folder / MANIFEST)
    layout.verify_checksums(folder, manifest)
    tolerance = tolerance or max((record.tolerance for record in manifest.verification), default=TOLERANCE)
    expected = ExpectedOutputs(str(folder), manifest, recorded_cases.load(folder), tolerance)
    files = files_of_main_signature(folder, manifest.extra_signatures)
    comparisons = [(name, file, expected) for name, file in files.items()]
    for signature in manifest.extra_signatures:
        expected = ExpectedOutputs(str(folder), signature, recorded_cases.load(folder, signature.name), tolerance)
        comparisons.append((*signature_file(folder, signature), expected))
    records, missing = [], None
    for comparison in comparisons:
        try:
            records.append(compare_file(*comparison))
        except subprocess_session.MissingLibraryError as error:
            missing = error
    if missing and not records:
        raise missing
    return records


def expected_outputs(
    model: "keras.Model", signature: "Signature", options: ExportOptions = DEFAULTS
) -> ExpectedOutputs:
    """Run the model on samples and generated inputs.

    Args:
        model: the trained model.
        signature: its inputs and outputs.
        options: samples and tolerance.

    Raises:
        UserError: if the model cannot be called, returns something other than tensors, or returns other values in a
            second call.
    """
    samples = reference.samples_by_name(signature, options.samples)
    cases = reference.reference_outputs(model, signature, samples)
    return ExpectedOutputs(model.name, signature, cases, options.tolerance or reference.default_tolerance(model))


def verify_file(file_format: str, file: Path, model: "keras.Model", expected: ExpectedOutputs) -> Verification:
    """Run `compare_file`; if it fails, name the layer at fault.

    Raises:
        UserError: if the file cannot be run or its outputs differ, with the layer if it can be found.
    """
    try:
        from .rounding_errors import RoundingErrors  # not at the top: a bundle is verified without Keras

        rounding_errors = RoundingErrors(model, expected.cases, expected.to_model_inputs)
        return compare_file(file_format, file, expected, rounding_errors)
    except subprocess_session.NotRunnableError as error:
        from ..tracing.unsupported import layer_in_message

        raise UserError(f"{str(error).rstrip('.')}, in {layer_in_message(str(error), model)}.") from error
    except DifferenceError as error:
        from .localize import first_differing_layer

        case = dataclasses.replace(error.case, inputs=_model_inputs(expected, error.case))
        layer = first_differing_layer(model, file_format, case, expected.tolerance)
        raise UserError(f"{error} {layer}") from error


def _model_inputs(expected: ExpectedOutputs, case: RecordedCase) -> Tensors:
    return expected.to_model_inputs(case.inputs) if expected.to_model_inputs else case.inputs


def compare_file(
    file_format: str, file: Path, expected: ExpectedOutputs, rounding_errors: "RoundingErrors | None" = None
) -> Verification:
    """Run a file on the test inputs and compare its outputs with the expected ones.

    Args:
        file_format: as for `subprocess_session.run_file`.
        file: the file or the folder.
        expected: the scales of its cases are set.
        rounding_errors: of the trained model. They raise the scale of an output that differs by too much.

    Raises:
        DifferenceError: at the first output that differs by more than the tolerance.
        UserError: if the file cannot be opened, or its inputs and outputs are not the declared ones.
    """
    name = f"{expected.name}: {file_format}"
    recorded_cases.measure_scales(expected.cases)
    calls = [case.inputs for case in expected.cases]
    outputs = subprocess_session.run_file(name, file_format, file, calls, expected.signature)
    absolute = relative = scaled = 0.0
    equal: list[bool] = []
    for case, actual in _without_swallowed_nan(expected, outputs):
        for output, y in case.outputs.items():
            measured = compare(y, actual[output], case.scales[output])
            if rounding_errors and not measured.max_scaled <= expected.tolerance:
                rounding_errors.explain(case, output, expected.tolerance)
                measured = compare(y, actual[output], case.scales[output])
            if not measured.max_scaled <= expected.tolerance:
                raise DifferenceError(_describe_difference(name, output, case, actual[output], str(measured)), case)
            absolute, relative = max(absolute, measured.max_absolute), max(relative, measured.max_relative)
            scaled = max(scaled, measured.max_scaled)
            equal += measured.equal_decisions
    batch_sizes, dynamic_sizes = recorded_cases.tested_sizes(expected.signature.inputs, expected.cases)
    return Verification(
        format=file_format,
        batch_sizes=batch_sizes,
        num_inputs=sum(len(next(iter(case.inputs.values()))) for case in expected.cases),
        max_absolute_difference=absolute,
        max_relative_difference=relative,
        equal_decisions=float(np.mean(equal)),
        tolerance=expected.tolerance,
        max_scaled_difference=scaled,
        dynamic_sizes=dynamic_sizes,
        input_kinds=list(dict.fromkeys(case.kind for case in expected.cases)),
    )


def _without_swallowed_nan(expected: ExpectedOutputs, outputs: list[Tensors]) -> list[tuple[RecordedCase, Tensors]]:
    """Pair the cases with the outputs of a file, without the cases of NaN that only TensorFlow's kernels swallow.

    A maximum or a ReLU may ignore NaN in one library and return it in another. A model whose outputs depend on that
    takes no missing values. The columns of a table say themselves what may be missing.
    """
    pairs = list(zip(expected.cases, outputs, strict=True))
    if not expected.to_model_inputs:
        pairs = [
            (case, actual)
            for case, actual in pairs
            if case.kind != "missing" or all(np.isfinite(actual[x]).all() for x in case.outputs if _is_float(actual[x]))
        ]
    expected.cases[:] = [case for case, _ in pairs]
    return pairs


def _is_float(y: np.ndarray) -> bool:
    return y.dtype.kind == "f"


def _describe_difference(name: str, output: str, case: RecordedCase, actual: np.ndarray, measured: str) -> str:
    expected = case.outputs[output]
    how = measured if actual.shape == expected.shape else f"in shape: {actual.shape} instead of {expected.shape}"
    inputs = ", ".join(f"{key} {x.shape}" for key, x in case.inputs.items())
    return f"{name}: output {output} differs from the trained model's {how}, on {case.kind} inputs {inputs}."


def signature_file(folder: Path, signature: NamedSignature) -> tuple[str, Path]:
    """Return the format of an extra signature, as in its record, and the file or folder that holds it."""
    file = folder / f"{signature.name}.onnx" if signature.format == "onnx" else folder
    return f"{signature.format}/{signature.name}", file


def files_of_main_signature(folder: Path, extras: list[NamedSignature]) -> dict[str, Path]:
    """Return the model files of a bundle that have the inputs of its manifest, by format.

    A SavedModel whose `serving_default` is an extra signature has other inputs: texts instead of token ids.
    """
    other = {signature.format for signature in extras if signature.name == SERVING_DEFAULT}
    return {name: file for name, file in model_files(folder).items() if name not in other}


def model_files(path: Path) -> dict[str, Path]:
    """Return the model files at `path` or in it, by format."""
    if path.is_file():
        return {"onnx": path}
    if not (path / SAVED_MODEL).is_file():
        path = layout.version_folder(path)
    return {"saved_model": path} | ({"onnx": path / ONNX} if (path / ONNX).is_file() else {})
