"""The proof that exported files answer as the trained model does, at export and at any later time."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerasfound.bundle import comparison, layout, recorded_cases
from kerasfound.bundle import manifest as contract
from kerasfound.bundle.comparison import TOLERANCE
from kerasfound.bundle.layout import MANIFEST
from kerasfound.bundle.manifest import Manifest, NamedSignature, Verification
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.errors import UserError

from ..tracing import traced_model
from . import reference, subprocess_session
from .reference import default_tolerance

if TYPE_CHECKING:
    import keras

    from ..tracing.traced_model import Signature

ONNX, SAVED_MODEL = "model.onnx", "saved_model.pb"


class Expected(NamedTuple):
    """What a file must have and answer, how far off it may be, and how messages call it."""

    name: str
    signature: "Signature | Manifest | NamedSignature"
    cases: list[RecordedCase]
    tolerance: float
    inside: Callable[[Tensors], Tensors] | None = None
    """Makes the model's own inputs of those of a file that takes something rawer."""


class DifferenceError(UserError):
    """A file answers otherwise than the trained model, first in `case`."""

    def __init__(self, reason: str, case: RecordedCase):
        super().__init__(reason)
        self.case = case


def verify(
    path: str | Path,
    model: "keras.Model | None" = None,
    *,
    samples: Tensors | np.ndarray | None = None,
    tolerance: float | None = None,
) -> list[Verification]:
    """Prove exported files again.

    A bundle needs no model: its files are the ones that were written, and answer as the trained model did. A lone ONNX
    file or SavedModel is held against `model`.

    Args:
        path: a version folder such as `models/mnist_cnn/1`, a model's folder for its newest version, an `.onnx` file,
            or the folder of a SavedModel.
        model: asked instead of the bundle's recorded answers.
        samples: real inputs to ask as well, with a model: one array, or one for each input by its name.
        tolerance: the largest difference allowed, times one plus the largest expected number of a row. Defaults to
            that of the bundle, or to what suits the model's precision.

    Returns:
        One record a file.

    Raises:
        UserError: naming the file that changed, is missing or was added, or that answers otherwise, and by how much.
    """
    path = Path(path)
    if model is not None:
        asked = expected(model, samples=samples, tolerance=tolerance)._replace(name=str(path))
        return [prove(form, file, model, asked) for form, file in files(path).items()]
    if path.is_file() or ((path / SAVED_MODEL).is_file() and not (path / MANIFEST).is_file()):
        raise UserError(f"{path}: a model file alone; give the model that it is held against too, or a bundle.")
    folder = layout.version_folder(path)
    manifest = contract.read(folder / MANIFEST)
    layout.verify_checksums(folder, manifest)
    recorded = max((record.tolerance for record in manifest.verification), default=TOLERANCE)
    allowed = _allowed(tolerance, recorded)
    asked = Expected(str(folder), manifest, recorded_cases.load(folder), allowed)
    proof = [compare(form, file, asked) for form, file in files(folder).items()]
    for entry in manifest.extra_signatures:
        asked = Expected(str(folder), entry, recorded_cases.load(folder, entry.name), allowed)
        proof.append(compare(*entry_file(folder, entry), asked))
    return proof


def expected(
    model: "keras.Model",
    sizes: dict[str, list[int | str]] | None = None,
    samples: Tensors | np.ndarray | None = None,
    tolerance: float | None = None,
    missing: bool = False,
) -> Expected:
    """Ask the model itself.

    Raises:
        UserError: if the model cannot be called, answers what is no tensor, or something else the second time.
    """

    signature = traced_model.signature(model, sizes)
    allowed = _allowed(tolerance, default_tolerance(model))
    asked = reference.answers(model, signature, reference.as_named(signature, samples), missing)
    return Expected(model.name, signature, asked, allowed)


def _allowed(given: float | None, default: float) -> float:
    if given is not None and not given > 0:
        raise UserError(f"the tolerance {given:g} must be above 0; no two programs round alike.")
    return default if given is None else given


def prove(form: str, file: Path, model: "keras.Model", asked: Expected) -> Verification:
    """As `compare`; what a file answers otherwise, or cannot run, is traced to the layer.

    Raises:
        UserError: saying which layer, where that can be told.
    """
    try:
        return compare(form, file, asked)
    except subprocess_session.NotRunnableError as error:
        from ..tracing.unsupported import layer_in_message

        raise UserError(f"{str(error).rstrip('.')}, in {layer_in_message(str(error), model)}.") from error
    except DifferenceError as error:
        from . import localize

        case = error.case._replace(inputs=asked.inside(error.case.inputs)) if asked.inside else error.case
        raise UserError(f"{error} {localize.first_difference(model, form, case, asked.tolerance)}") from error


def compare(form: str, file: Path, asked: Expected) -> Verification:
    """Ask a file what the trained model was asked.

    Raises:
        DifferenceError: at the first answer that is not the expected one.
        UserError: if the file does not open, or its inputs and outputs are not the declared ones.
    """
    what = f"{asked.name}: {form}"
    found = subprocess_session.ask(what, form, file, [case.inputs for case in asked.cases], asked.signature)
    absolute = relative = scaled = 0.0
    equal: list[bool] = []
    for case, answer in zip(asked.cases, found, strict=True):
        for name, y in case.outputs.items():
            apart = comparison.compare(y, answer[name])
            if not apart.max_scaled <= asked.tolerance:
                raise DifferenceError(_told(what, name, case, answer[name], str(apart)), case)
            absolute, relative = max(absolute, apart.max_absolute), max(relative, apart.max_relative)
            scaled = max(scaled, apart.max_scaled)
            equal += apart.equal_decisions
    batches, others = recorded_cases.tested_sizes(asked.signature.inputs, asked.cases)
    return Verification(
        format=form,
        batch_sizes=batches,
        num_inputs=sum(len(next(iter(case.inputs.values()))) for case in asked.cases),
        max_absolute_difference=absolute,
        max_relative_difference=relative,
        equal_decisions=float(np.mean(equal)),
        tolerance=asked.tolerance,
        max_scaled_difference=scaled,
        dynamic_sizes=others,
        input_kinds=list(dict.fromkeys(case.kind for case in asked.cases)),
    )


def entry_file(folder: Path, entry: NamedSignature) -> tuple[str, Path]:
    """The form of a further entry, as in its record, and where it lies."""
    file = folder / f"{entry.name}.onnx" if entry.format == "onnx" else folder
    return f"{entry.format}/{entry.name}", file


def files(path: Path) -> dict[str, Path]:
    """The model files that `path` is, or holds."""
    if path.is_file():
        return {"onnx": path}
    if not (path / SAVED_MODEL).is_file():
        path = layout.version_folder(path)
    found = {"saved_model": path, "onnx": path / ONNX}
    return {form: file for form, file in found.items() if form == "saved_model" or file.is_file()}


def _told(what: str, name: str, case: RecordedCase, answer: np.ndarray, apart: str) -> str:
    y = case.outputs[name]
    how = apart if answer.shape == y.shape else f"with shape {answer.shape} instead of {y.shape}"
    sizes = ", ".join(f"{key} {x.shape}" for key, x in case.inputs.items())
    return f"{what} answers otherwise than the trained model: {name} {how}, on {case.kind} inputs {sizes}."
