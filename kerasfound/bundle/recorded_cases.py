"""Test inputs with the trained model's outputs: the reference for verification, and what a bundle keeps of it."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasfound.errors import UserError

from .manifest import Tensor

Tensors = dict[str, np.ndarray]

MAX_BYTES, MAX_SIGNATURE_BYTES = 16 << 20, 2 << 20
"""Most bytes that a bundle keeps for its main signature, and for each extra one. Larger cases run at export only."""


class RecordedCase(NamedTuple):
    """One call of the trained model: the kind of its inputs, the inputs and the outputs."""

    kind: str
    inputs: Tensors
    outputs: Tensors


def tested_sizes(inputs: list[Tensor], cases: list[RecordedCase]) -> tuple[list[int], dict[str, list[int]]]:
    """The batch sizes of all cases, and their sizes of every other dynamic dimension by its name."""
    batch_sizes: set[int] = set()
    dynamic_sizes: dict[str, set[int]] = {}
    for case in cases:
        for tensor in inputs:
            for axis, (name, size) in enumerate(zip(tensor.shape, case.inputs[tensor.name].shape, strict=True)):
                if isinstance(name, str):
                    (dynamic_sizes.setdefault(name, set()) if axis else batch_sizes).add(size)
    return sorted(batch_sizes), {name: sorted(sizes) for name, sizes in dynamic_sizes.items()}


def save(folder: Path, cases: list[RecordedCase], signature: str = "") -> None:
    """Keep the smallest cases within the allowed bytes, so that verification does not need the trained model.

    Args:
        folder: the version folder of a bundle.
        cases: the smallest one is always kept.
        signature: the name of an extra signature. Defaults to the main one.
    """
    kept: Tensors = {}
    bytes_left = MAX_SIGNATURE_BYTES if signature else MAX_BYTES
    for place, case in enumerate(sorted(cases, key=_num_bytes)):
        bytes_left -= _num_bytes(case)
        if bytes_left >= 0 or not place:
            sides = {"input": case.inputs, "output": case.outputs}
            kept |= {f"{place}.{case.kind}.{side}.{name}": x for side, xs in sides.items() for name, x in xs.items()}
    np.savez_compressed(folder / file_name(signature), **kept)  # type: ignore[arg-type]


def load(folder: Path, signature: str = "") -> list[RecordedCase]:
    """The cases that `save` kept.

    Raises:
        UserError: if the file is missing or damaged.
    """
    sides: dict[tuple[int, str], dict[str, Tensors]] = {}
    name = file_name(signature)
    try:
        with np.load(folder / name, allow_pickle=False) as file:
            for key in file.files:
                place, kind, side, tensor = key.split(".", 3)
                sides.setdefault((int(place), kind), {"input": {}, "output": {}})[side][tensor] = file[key]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: {name} cannot be read ({error}); export the bundle again.") from error
    return [RecordedCase(kind, tensors["input"], tensors["output"]) for (_, kind), tensors in sides.items()]


def file_name(signature: str = "") -> str:
    """The file for a signature's cases in a version folder."""
    return f"verification-{signature}.npz" if signature else "verification.npz"


def _num_bytes(case: RecordedCase) -> int:
    return sum(x.nbytes for x in [*case.inputs.values(), *case.outputs.values()])
