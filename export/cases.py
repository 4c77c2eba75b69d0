"""Questions beside the trained model's answers: what files are held against, and what a bundle keeps of it."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kerasfound.errors import UserError
from kerasfound.export.difference import default_tolerance, difference
from kerasfound.export.manifest import Tensor

if TYPE_CHECKING:
    import keras

    from kerasfound.export.graphs import Signature

Tensors = dict[str, np.ndarray]

VECTORS = "verification{}.npz"
KEPT_BYTES, KEPT_OF_ENTRY = 16 << 20, 2 << 20
"""What the bundle keeps, at most; cases that do not fit are asked at export only."""


class Case(NamedTuple):
    """One call: what kind of inputs these are, the inputs, and what the trained model answered."""

    kind: str
    inputs: Tensors
    outputs: Tensors


def answers(
    model: "keras.Model", signature: "Signature", samples: Tensors | None = None, missing: bool = False
) -> list[Case]:
    """What the model itself answers to questions that fit its signature; each is asked twice.

    Raises:
        UserError: if the model cannot be called, answers what is no tensor, or something else the second time.
    """
    from kerasfound.export import graphs, questions

    answer, allowed = graphs.reference(model), default_tolerance(model)
    error: Exception | None = None
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
    usual = [y for case in cases if case.kind in ("samples", "random") for y in case.outputs.values()]
    if usual and all(y.dtype.kind == "f" and not np.isfinite(y).any() for y in usual):
        raise UserError(
            f"{model.name}: answers nothing but NaN or infinity, so no file could be proven; train it again."
        )
    for case in cases:
        again = answer(*(case.inputs[x.name] for x in signature.inputs))
        for name, expected in case.outputs.items():
            apart = difference(expected, _array(model, name, again[name]))
            if not apart.worst <= allowed:
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


def sizes(inputs: list[Tensor], cases: list[Case]) -> tuple[list[int], dict[str, list[int]]]:
    """Which batch sizes were asked, and which of every other free size."""
    first: set[int] = set()
    others: dict[str, set[int]] = {}
    for case in cases:
        for tensor in inputs:
            for axis, (name, size) in enumerate(zip(tensor.shape, case.inputs[tensor.name].shape, strict=True)):
                if isinstance(name, str):
                    (others.setdefault(name, set()) if axis else first).add(size)
    return sorted(first), {name: sorted(found) for name, found in others.items()}


def save(folder: Path, cases: list[Case], entry: str = "") -> None:
    """Keep what was asked and what the trained model answered, as far as it is small, so that proof needs no model."""
    kept: Tensors = {}
    room = KEPT_OF_ENTRY if entry else KEPT_BYTES
    for place, case in enumerate(sorted(cases, key=_bytes)):
        room -= _bytes(case)
        if room >= 0 or not place:
            sides = {"input": case.inputs, "output": case.outputs}
            kept |= {f"{place}.{case.kind}.{side}.{name}": x for side, xs in sides.items() for name, x in xs.items()}
    np.savez_compressed(folder / _vectors(entry), **kept)  # type: ignore[arg-type]


def load(folder: Path, entry: str = "") -> list[Case]:
    """What `save` kept."""
    found: dict[tuple[int, str], dict[str, Tensors]] = {}
    try:
        with np.load(folder / _vectors(entry), allow_pickle=False) as file:
            for key in file.files:
                place, kind, side, name = key.split(".", 3)
                found.setdefault((int(place), kind), {"input": {}, "output": {}})[side][name] = file[key]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: {_vectors(entry)} cannot be read ({error}); export the bundle again.") from error
    return [Case(kind, sides["input"], sides["output"]) for (_, kind), sides in found.items()]


def _vectors(entry: str) -> str:
    return VECTORS.format(f"-{entry}" if entry else "")


def _bytes(case: Case) -> int:
    return sum(x.nbytes for x in [*case.inputs.values(), *case.outputs.values()])


def _array(model: "keras.Model", name: str, y: Any) -> np.ndarray:
    if not hasattr(y, "numpy") or not hasattr(y, "shape"):
        raise UserError(f"{model.name}: its output {name} is no tensor but {type(y).__name__}; let it return tensors.")
    array = np.asarray(y.numpy())
    if array.dtype == object:
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.ravel()]
        return np.array(texts, dtype=str).reshape(array.shape)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
