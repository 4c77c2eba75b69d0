"""Test inputs with the trained model's outputs: the reference for verification, and what a bundle keeps of it."""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kerasfound.errors import UserError

from .comparison import output_scale
from .manifest import Tensor

Tensors = dict[str, np.ndarray]

MAX_BYTES, MAX_SIGNATURE_BYTES = 16 << 20, 2 << 20
"""Most bytes that a bundle keeps for its main signature, and for each extra one. Larger cases run at export only."""
USUAL_KINDS = ("samples", "random")
"""The kinds of inputs that show the scale of an output; all others are edge cases."""


@dataclass(frozen=True, eq=False)
class RecordedCase:
    """One call of the trained model.

    Args:
        kind: of the inputs.
        inputs: by name.
        outputs: by name.
        scales: what a difference of an output is divided by. `measure_scales` fills them.
    """

    kind: str
    inputs: Tensors
    outputs: Tensors
    scales: Tensors = field(default_factory=dict)


def measure_scales(cases: list[RecordedCase]) -> None:
    """Set the scale of each output that has none to its scale over all usual cases, or a larger one of its case."""
    for name in dict.fromkeys(name for case in cases for name in case.outputs):
        outputs = [case.outputs[name] for case in cases]
        usual = [case.outputs[name] for case in cases if case.kind in USUAL_KINDS] or outputs
        whole = output_scale([y.ravel() for y in usual])
        has_columns = len({y.shape[-1:] for y in outputs}) == 1
        scale = output_scale(usual) if has_columns else whole
        for case, y in zip(cases, outputs, strict=True):
            growth = np.maximum(1, output_scale([y.ravel()]) / whole)
            case.scales.setdefault(name, scale * growth)


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
            sides = {"input": case.inputs, "output": case.outputs, "scale": case.scales}
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
                sides.setdefault((int(place), kind), {"input": {}, "output": {}, "scale": {}})[side][tensor] = file[key]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: {name} cannot be read ({error}); export the bundle again.") from error
    cases = [RecordedCase(kind, x["input"], x["output"], x["scale"]) for (_, kind), x in sides.items()]
    measure_scales(cases)  # older bundles have none
    return cases


def file_name(signature: str = "") -> str:
    """The file for a signature's cases in a version folder."""
    return f"verification-{signature}.npz" if signature else "verification.npz"


def _num_bytes(case: RecordedCase) -> int:
    return sum(x.nbytes for x in [*case.inputs.values(), *case.outputs.values(), *case.scales.values()])
