"""Asks a model file in a process of its own: a crash in it is an error message here, a hang ends."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfound.bundle.manifest import Manifest, NamedSignature, Tensor
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError

if TYPE_CHECKING:
    from ..tracing.traced_model import Signature

RUNNER = Path(__file__).with_name("session_main.py")
TIME_LIMIT = 600
"""Seconds that opening a file and answering all questions may take."""


class NotRunnableError(UserError):
    """A file that does not open or answer."""


def ask(
    what: str, form: str, file: Path, calls: list[Tensors], signature: "Signature | Manifest | NamedSignature"
) -> list[Tensors]:
    """A file's answer to each call.

    Args:
        what: how messages call the file.
        form: `"onnx"`, `"saved_model"`, or `"saved_model/NAME"` for another of its signatures.
        file: the file or the folder.
        calls: inputs by name.
        signature: what the file must have.

    Raises:
        NotRunnableError: if the file does not open or answer.
        UserError: if it does not end, or its inputs and outputs are not the declared ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "asked.npz", Path(folder) / "answered.npz"
        named = {f"{place}.{name}": x for place, inputs in enumerate(calls) for name, x in inputs.items()}
        np.savez(asked, **named)  # type: ignore[arg-type]
        command = [sys.executable, "-P", *map(str, [RUNNER, form, file, asked, answered])]
        quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, env=os.environ | quiet)
        except subprocess.TimeoutExpired:
            raise UserError(f"{what} did not answer within {TIME_LIMIT} s; nothing was proven.") from None
        if done.stdout:
            structure = json.loads(done.stdout.splitlines()[-1])
            _check(what, signature.inputs, structure["inputs"], exact=True)
            _check(what, signature.outputs, structure["outputs"], exact=False)
        if done.returncode:
            raise NotRunnableError(f"{what} cannot be run: {_reason(done)}")
        with np.load(answered, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    results: list[Tensors] = [{} for _ in calls]
    for key, y in found.items():
        place, _, name = key.partition(".")
        results[int(place)][name] = y
    return results


def _check(what: str, declared: list[Tensor], found: list[Any], exact: bool) -> None:
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


def _reason(done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        return f"it ended by {signal.Signals(-done.returncode).name}; nothing was proven."
    told = done.stderr.strip().splitlines()
    return told[-1] if told else f"it ended with status {done.returncode}; nothing was proven."
