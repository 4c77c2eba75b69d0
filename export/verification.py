"""The proof that exported files answer as the trained model does, at export and at any later time."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kerasfound.errors import UserError
from kerasfound.export import manifest as contract
from kerasfound.export.manifest import Manifest, Tensor, Verification

if TYPE_CHECKING:
    import keras

    from kerasfound.export.graphs import Signature

Tensors = dict[str, np.ndarray]

MANIFEST, VECTORS, ONNX, SAVED_MODEL = "manifest.json", "verification.npz", "model.onnx", "saved_model.pb"
RUNNER = Path(__file__).with_name("runner.py")
TIME_LIMIT = 600
"""Seconds that opening a file and answering all questions may take."""
KEPT_BYTES = 16 << 20
"""What the bundle keeps of questions and answers, at most; those that do not fit are asked at export only."""
TOLERANCE = 1e-5
"""Allowed difference, times one plus the largest expected number of a row; float32 sums in another order stay below."""
TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2}
"""The same for models that compute in half precision, where the files compute in float32."""


class Case(NamedTuple):
    """One call: what kind of inputs these are, the inputs, and what the trained model answered."""

    kind: str
    inputs: Tensors
    outputs: Tensors


class DifferenceError(UserError):
    """A file answers otherwise than the trained model, first in `case`."""

    def __init__(self, reason: str, case: Case):
        super().__init__(reason)
        self.case = case


class Difference(NamedTuple):
    """How far an answer is from the expected one; `worst` is what the tolerance is held against."""

    absolute: float
    relative: float
    worst: float
    equal: list[bool]


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
    if model is None:
        folder = version_folder(path)
        manifest = contract.read(folder / MANIFEST)
        check_sums(folder, manifest)
        recorded = max((record.tolerance for record in manifest.verification), default=TOLERANCE)
        return [
            compare(form, file, manifest, load_vectors(folder), tolerance or recorded)
            for form, file in _files(folder).items()
        ]
    from kerasfound.export import graphs

    signature = graphs.signature(model)
    cases = answers(model, signature, as_named(signature, samples))
    return [
        prove(form, file, model, signature, cases, tolerance or default_tolerance(model))
        for form, file in _files(path).items()
    ]


def prove(
    form: str, file: Path, model: "keras.Model", signature: "Signature", cases: list[Case], tolerance: float
) -> Verification:
    """As `compare`; what a file answers otherwise is traced to the first layer that does.

    Raises:
        UserError: saying which layer, where that can be told.
    """
    try:
        return compare(form, file, signature, cases, tolerance)
    except DifferenceError as error:
        from kerasfound.export import blame

        raise UserError(f"{error} {blame.first_difference(model, form, error.case, tolerance)}") from error


def compare(
    form: str, file: Path, signature: "Signature | Manifest", cases: list[Case], tolerance: float
) -> Verification:
    """Ask a file what the trained model was asked, in a process of its own.

    Raises:
        DifferenceError: at the first answer that is not the expected one.
        UserError: if the file does not open, or its inputs and outputs are not those of `signature`.
    """
    structure, found = ask(form, file, [case.inputs for case in cases])
    check_structure(f"{file}: {form}", signature.inputs, structure["inputs"], exact=True)
    check_structure(f"{file}: {form}", signature.outputs, structure["outputs"], exact=False)
    absolute = relative = 0.0
    equal: list[bool] = []
    for case, answer in zip(cases, found, strict=True):
        for name, expected in case.outputs.items():
            here = difference(expected, answer[name])
            if not here.worst <= tolerance:
                raise DifferenceError(
                    f"{file}: {form} answers otherwise than the trained model: {name} of shape {expected.shape} on "
                    f"{case.kind} inputs by up to {here.absolute:.3g}, where {tolerance:.0e} of the largest number of "
                    "a row is allowed.",
                    case,
                )
            absolute, relative = max(absolute, here.absolute), max(relative, here.relative)
            equal += here.equal
    first, others = sizes_of(signature, cases)
    return Verification(
        format=form,
        batch_sizes=first,
        inputs=sum(len(next(iter(case.inputs.values()))) for case in cases),
        max_absolute_difference=absolute,
        max_relative_difference=relative,
        equal_decisions=float(np.mean(equal)),
        tolerance=tolerance,
        sizes=others,
        kinds=list(dict.fromkeys(case.kind for case in cases)),
    )


def answers(
    model: "keras.Model", signature: "Signature", samples: Tensors | None = None, missing: bool = False
) -> list[Case]:
    """What the model itself answers to questions that fit its signature; each is asked twice.

    Raises:
        UserError: if the model cannot be called, answers what is no tensor, or something else the second time.
    """
    from kerasfound.export import graphs, questions

    answer, error = graphs.answer(model), None
    cases = []
    for kind, inputs in questions.questions(model, signature, samples, missing):
        try:
            outputs = answer(*(inputs[x.name] for x in signature.inputs))
        except Exception as raised:  # whatever a model raises when it does not take what is at the edge
            if kind == "samples":
                raise UserError(f"{model.name}: does not take the samples: {questions.line(raised)}") from raised
            error = raised
            continue
        cases.append(Case(kind, inputs, {name: _array(model, name, y) for name, y in outputs.items()}))
    if not cases:
        raise UserError(f"{model.name}: cannot be called on its own inputs: {questions.line(error)}")
    for case in cases:
        again = answer(*(case.inputs[x.name] for x in signature.inputs))
        for name, expected in case.outputs.items():
            apart = difference(expected, _array(model, name, again[name]))
            if apart.worst > default_tolerance(model):
                raise UserError(
                    f"{model.name}: its answer {name} changes between calls, here by {apart.absolute:.3g}: it draws "
                    "random numbers or keeps a state; no file could be proven, take that out of inference."
                )
    return cases


def ask(form: str, file: Path, calls: list[Tensors]) -> tuple[dict[str, list[Any]], list[Tensors]]:
    """The inputs and outputs of a file, and its answer to each call, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "asked.npz", Path(folder) / "answered.npz"
        named = {f"{place}.{name}": x for place, inputs in enumerate(calls) for name, x in inputs.items()}
        np.savez(asked, **named)  # type: ignore[arg-type]
        command = [sys.executable, "-P", RUNNER, form, file, asked, answered]
        quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, env=os.environ | quiet)
        except subprocess.TimeoutExpired:
            raise UserError(f"{file}: {form} did not answer within {TIME_LIMIT} s; nothing was proven.") from None
        if done.returncode:
            raise UserError(f"{file}: {form} cannot be run: {_reason(done)}")
        with np.load(answered, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    results: list[Tensors] = [{} for _ in calls]
    for key, y in found.items():
        place, _, name = key.partition(".")
        results[int(place)][name] = y
    return json.loads(done.stdout.splitlines()[-1]), results


def check_structure(what: str, declared: list[Tensor], found: list[Any], exact: bool) -> None:
    """Names, dtypes and sizes of a file are the declared ones; with `exact`, no size is more or less free."""
    by_name = {name: (dtype, sizes) for name, dtype, sizes in found}
    names = [tensor.name for tensor in declared]
    if sorted(by_name) != sorted(names):
        raise UserError(f"{what} has {', '.join(by_name)} where {', '.join(names)} was declared.")
    for tensor in declared:
        dtype, sizes = by_name[tensor.name]
        if dtype != tensor.dtype:
            raise UserError(f"{what} has {tensor.name} of {dtype}, declared is {tensor.dtype}.")
        if sizes is None and not exact:
            continue
        fits = (
            sizes is not None
            and len(sizes) == len(tensor.shape)
            and all(
                (declared == size) if isinstance(size, int) else (isinstance(declared, str) or not exact)
                for declared, size in zip(tensor.shape, sizes, strict=True)
            )
        )
        if not fits:
            raise UserError(f"{what} has {tensor.name} of sizes {sizes}, declared is {tensor.shape}.")


def difference(expected: np.ndarray, answer: np.ndarray) -> Difference:
    """How far `answer` is off. Numbers are held against the largest of their row; anything else must be the same.

    Where the model itself answers NaN or infinity, so must the file, one or the other.

    Example:
        >>> difference(np.array([[0.0, 3.0]]), np.array([[0.0, 3.5]]))
        Difference(absolute=0.5, relative=0.16666666666666666, worst=0.125, equal=[True])
    """
    if answer.shape != expected.shape:
        return Difference(np.inf, np.inf, np.inf, [False])
    if not expected.size:
        return Difference(0.0, 0.0, 0.0, [True])
    if expected.dtype.kind != "f":
        same = answer == expected
        apart = 0.0 if same.all() else np.inf
        return Difference(apart, apart, apart, same.ravel().tolist())
    y, found = expected.astype("float64"), answer.astype("float64")
    finite = np.isfinite(y)
    apart = np.where(finite, np.abs(np.where(finite, found, 0) - np.where(finite, y, 0)), 0)
    apart[np.isfinite(found) != finite] = np.inf
    size = np.where(finite, np.abs(y), 0)
    rows = size.reshape(len(size), -1).max(axis=1) if size.ndim else size
    worst = apart / (1 + rows.reshape(-1, *[1] * (apart.ndim - 1)) if apart.ndim else 1 + rows)
    if y.ndim > 1 and y.shape[-1] > 1:
        equal = found.argmax(-1) == y.argmax(-1)
    else:
        equal = np.isclose(found, y, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    relative = float((apart / np.maximum(size, 1e-12)).max())
    return Difference(float(apart.max()), relative, float(worst.max()), equal.ravel().tolist())


def default_tolerance(model: "keras.Model") -> float:
    """What suits the coarsest precision that a layer of the model computes in."""
    computed = {getattr(layer, "compute_dtype", None) for layer in model._flatten_layers()}  # none of them is public
    return max([TOLERANCE, *(TOLERANCES[dtype] for dtype in computed if dtype in TOLERANCES)])


def as_named(signature: "Signature", samples: Tensors | np.ndarray | None) -> Tensors | None:
    """Samples by the names of their inputs; one array is the only input's."""
    if samples is None or isinstance(samples, dict):
        return samples
    if len(signature.inputs) > 1:
        names = ", ".join(x.name for x in signature.inputs)
        raise UserError(f"the samples are one array, the model has the inputs {names}; give a dict of one for each.")
    return {signature.inputs[0].name: np.asarray(samples)}


def sizes_of(signature: "Signature | Manifest", cases: list[Case]) -> tuple[list[int], dict[str, list[int]]]:
    """Which batch sizes were asked, and which of every other free size."""
    first: set[int] = set()
    others: dict[str, set[int]] = {}
    for case in cases:
        for tensor in signature.inputs:
            for axis, (name, size) in enumerate(zip(tensor.shape, case.inputs[tensor.name].shape, strict=True)):
                if isinstance(name, str):
                    (others.setdefault(name, set()) if axis else first).add(size)
    return sorted(first), {name: sorted(found) for name, found in others.items()}


def save_vectors(path: Path, cases: list[Case]) -> None:
    """Keep what was asked and what the trained model answered, as far as it is small, so that proof needs no model."""
    kept: Tensors = {}
    room = KEPT_BYTES
    for place, case in enumerate(sorted(cases, key=_bytes)):
        room -= _bytes(case)
        if room >= 0 or not place:
            sides = {"input": case.inputs, "output": case.outputs}
            kept |= {f"{place}.{case.kind}.{side}.{name}": x for side, xs in sides.items() for name, x in xs.items()}
    np.savez_compressed(path, **kept)  # type: ignore[arg-type]


def load_vectors(folder: Path) -> list[Case]:
    """What `save_vectors` kept."""
    found: dict[tuple[int, str], dict[str, Tensors]] = {}
    try:
        with np.load(folder / VECTORS, allow_pickle=False) as file:
            for key in file.files:
                place, kind, side, name = key.split(".", 3)
                found.setdefault((int(place), kind), {"input": {}, "output": {}})[side][name] = file[key]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: {VECTORS} cannot be read ({error}); export the bundle again.") from error
    return [Case(kind, sides["input"], sides["output"]) for (_, kind), sides in found.items()]


def version_folder(path: str | Path) -> Path:
    """`path` if it is a version folder, or the newest version in it if it is a model's folder."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give a bundle, such as models/mnist_cnn/1.")
    if (path / MANIFEST).is_file():
        return path
    found = numbered(path)
    if not found:
        raise UserError(f"{path}: not a bundle (it has no {MANIFEST}); `kerasfound export` makes one.")
    return path / str(max(found))


def numbered(model_folder: Path) -> list[int]:
    """The versions in a model's folder."""
    if not model_folder.is_dir():
        return []
    return [int(path.name) for path in model_folder.iterdir() if re.fullmatch("[1-9][0-9]*", path.name)]


def check_sums(folder: Path, manifest: Manifest) -> None:
    """The files of `folder` are those of the manifest, byte for byte."""
    found = sums(folder)
    for name in sorted(manifest.files.keys() | found.keys()):
        if name not in found:
            raise UserError(f"{folder}: {name} is missing; the bundle is not whole, export it again.")
        if name not in manifest.files:
            raise UserError(f"{folder}: {name} is not in the manifest; the bundle was changed after its export.")
        if found[name] != manifest.files[name]:
            raise UserError(f"{folder}: {name} was changed after its export (its sha256 differs); export it again.")


def sums(folder: Path) -> dict[str, str]:
    """sha256 of every file below `folder` but the manifest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UserError(f"{folder}: {name} is a link; a bundle holds files only.")
        if path.is_file() and name != MANIFEST:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _files(path: Path) -> dict[str, Path]:
    """The model files that `path` is, or holds."""
    if path.is_file():
        return {"onnx": path}
    if (path / SAVED_MODEL).is_file():
        found = {"saved_model": path}
        return found | ({"onnx": path / ONNX} if (path / ONNX).is_file() else {})
    folder = version_folder(path)
    if not (folder / SAVED_MODEL).is_file():
        raise UserError(f"{folder}: {SAVED_MODEL} is missing; the bundle is not whole, export it again.")
    return _files(folder)


def _array(model: "keras.Model", name: str, y: Any) -> np.ndarray:
    if not hasattr(y, "numpy") or not hasattr(y, "shape"):
        raise UserError(f"{model.name}: its output {name} is no tensor but {type(y).__name__}; let it return tensors.")
    array = np.asarray(y.numpy())
    if array.dtype == object:
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.ravel()]
        return np.array(texts, dtype=str).reshape(array.shape)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _bytes(case: Case) -> int:
    return sum(x.nbytes for x in [*case.inputs.values(), *case.outputs.values()])


def _reason(done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        return f"it ended by {signal.Signals(-done.returncode).name}; nothing was proven."
    told = done.stderr.strip().splitlines()
    return told[-1] if told else f"it ended with status {done.returncode}; nothing was proven."
