"""The proof that a bundle's files answer as the trained model does, at export and at any later time."""

import hashlib
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kerasfound.errors import UserError
from kerasfound.export import manifest as contract
from kerasfound.export.manifest import Manifest, Verification

Tensors = dict[str, np.ndarray]

MANIFEST, VECTORS, ONNX = "manifest.json", "verification.npz", "model.onnx"
BATCH_SIZES = (1, 5, 32)
TOLERANCE = 1e-5
"""Allowed difference, times one plus the size of the expected number. Float32 sums in another order differ by less."""


def save_vectors(folder: Path, inputs: Tensors, outputs: Tensors) -> None:
    """Keep what was asked and what the trained model answered inside the bundle, so that proof needs no model."""
    named = {f"input.{name}": x for name, x in inputs.items()} | {f"output.{name}": y for name, y in outputs.items()}
    np.savez(folder / VECTORS, **named)  # type: ignore[arg-type]


def verify(folder: Path) -> list[Verification]:
    """Prove a bundle again: its files are the ones that were written, and answer as the trained model did.

    Args:
        folder: a version folder, such as `models/mnist_cnn/1`.

    Returns:
        One record a format, as at export.

    Raises:
        UserError: naming the file that changed, is missing or was added, or the format that answers otherwise.
    """
    check_sums(folder, contract.read(folder / MANIFEST))
    return compare(folder)


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


def compare(folder: Path) -> list[Verification]:
    """Ask both model files what the trained model was asked, in batches of each size."""
    try:
        with np.load(folder / VECTORS, allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: {VECTORS} cannot be read ({error}); export the bundle again.") from error
    inputs = {name.removeprefix("input."): x for name, x in kept.items() if name.startswith("input.")}
    outputs = {name.removeprefix("output."): y for name, y in kept.items() if name.startswith("output.")}
    formats = {"saved_model": _saved_model(folder), "onnx": _onnx(folder / ONNX)}
    return [_compare(folder, name, ask, inputs, outputs) for name, ask in formats.items()]


def _compare(
    folder: Path, name: str, ask: Callable[[Tensors], Tensors], inputs: Tensors, outputs: Tensors
) -> Verification:
    rows = len(next(iter(inputs.values())))
    absolute = relative = worst = 0.0
    decisions: list[bool] = []
    for size in BATCH_SIZES:
        for start in range(0, rows - size + 1, size):
            batch = slice(start, start + size)
            answers = ask({key: x[batch] for key, x in inputs.items()})
            for key, y in outputs.items():
                expected, answer = y[batch], answers[key]
                if answer.shape != expected.shape:
                    raise UserError(f"{folder}: {name} answers {key} of shape {answer.shape}, not {expected.shape}.")
                difference = np.abs(answer - expected)
                absolute = max(absolute, float(difference.max()))
                relative = max(relative, float((difference / np.maximum(np.abs(expected), 1e-12)).max()))
                worst = max(worst, float((difference / (1 + np.abs(expected))).max()))
                decisions += (answer.argmax(-1) == expected.argmax(-1)).ravel().tolist()
    if not (math.isfinite(worst) and worst <= TOLERANCE):
        raise UserError(
            f"{folder}: {name} answers otherwise than the trained model, by up to {absolute:.3g} "
            f"where {TOLERANCE:.0e} is allowed; nothing was proven."
        )
    return Verification(name, list(BATCH_SIZES), rows, absolute, relative, float(np.mean(decisions)), TOLERANCE)


def _saved_model(folder: Path) -> Callable[[Tensors], Tensors]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]

    def ask(inputs: Tensors, _owner=loaded) -> Tensors:  # the signature's variables live as long as `loaded` does
        return {name: y.numpy() for name, y in serve(**{k: tf.constant(x) for k, x in inputs.items()}).items()}

    return ask


def _onnx(path: Path) -> Callable[[Tensors], Tensors]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))
