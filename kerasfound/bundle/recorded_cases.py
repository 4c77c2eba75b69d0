"""Questions beside the trained model's answers: what files are held against, and what a bundle keeps of it."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasfound.errors import UserError

from .manifest import Tensor

Tensors = dict[str, np.ndarray]

VECTORS = "verification{}.npz"
KEPT_BYTES, KEPT_OF_ENTRY = 16 << 20, 2 << 20
"""What the bundle keeps, at most; cases that do not fit are asked at export only."""


class Case(NamedTuple):
    """One call: what kind of inputs these are, the inputs, and what the trained model answered."""

    kind: str
    inputs: Tensors
    outputs: Tensors


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
