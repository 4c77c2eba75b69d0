"""Runs a model file in a process of its own: a crash becomes an error message, and a hang ends after a time limit."""

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

from ..memory import RETURN_MEMORY, release_memory

if TYPE_CHECKING:
    from ..tracing.traced_model import Signature

SCRIPT = Path(__file__).with_name("session_main.py")
TIME_LIMIT = 600
"""Seconds to open a file and run it on all test inputs."""
MISSING_LIBRARY = "ModuleNotFoundError"
INPUTS, OUTPUTS = "inputs.npz", "outputs.npz"


class NotRunnableError(UserError):
    """A file that cannot be opened or run."""


class MissingLibraryError(NotRunnableError):
    """The library that runs a file is not installed."""


def run_file(
    name: str,
    file_format: str,
    file: Path,
    calls: list[Tensors],
    signature: "Signature | Manifest | NamedSignature",
) -> list[Tensors]:
    """Run a model file and return the outputs of each call.

    Args:
        name: of the file, for messages.
        file_format: `"onnx"`, `"saved_model"`, or `"saved_model/NAME"` for a signature other than `serving_default`.
        file: the file or the folder.
        calls: the inputs of each call, by name.
        signature: the inputs and outputs that the file must have.

    Raises:
        MissingLibraryError: if the library that runs the file is not installed.
        NotRunnableError: if the file cannot be opened or run.
        UserError: if it takes too long, or its inputs and outputs are not the declared ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = _run_script(name, file_format, file, calls, Path(folder))
        if process.stdout:
            structure = json.loads(process.stdout.splitlines()[-1])
            _check_tensors(name, signature.inputs, structure["inputs"], exact=True)
            _check_tensors(name, signature.outputs, structure["outputs"], exact=False)
        if process.returncode:
            failure = _failure(process)
            error = MissingLibraryError if failure.startswith(MISSING_LIBRARY) else NotRunnableError
            raise error(f"{name} cannot be run: {failure}")
        outputs: list[Tensors] = [{} for _ in calls]
        with np.load(Path(folder) / OUTPUTS, allow_pickle=False) as arrays:
            for key in arrays.files:
                call, _, tensor = key.partition(".")
                outputs[int(call)][tensor] = arrays[key]
    return outputs


def _run_script(
    name: str, file_format: str, file: Path, calls: list[Tensors], folder: Path
) -> subprocess.CompletedProcess:
    arrays = {f"{call}.{tensor}": x for call, inputs in enumerate(calls) for tensor, x in inputs.items()}
    np.savez(folder / INPUTS, **arrays)  # type: ignore[arg-type]
    release_memory()  # for the other process
    command = [sys.executable, "-P", *map(str, [SCRIPT, file_format, file, folder / INPUTS, folder / OUTPUTS])]
    environment = os.environ | RETURN_MEMORY | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        raise UserError(f"{name} did not finish within {TIME_LIMIT} s; it was not verified.") from None


def _check_tensors(name: str, declared: list[Tensor], actual: list[Any], exact: bool) -> None:
    """Compare names, dtypes and shapes. Without `exact`, the file may know less of a shape than is declared."""
    by_name = {tensor: (dtype, shape) for tensor, dtype, shape in actual}
    names = [tensor.name for tensor in declared]
    if sorted(by_name) != sorted(names):
        raise UserError(
            f"{name} has the tensors {', '.join(by_name)}, expected {', '.join(names)}; export the model again."
        )
    for tensor in declared:
        dtype, shape = by_name[tensor.name]
        if dtype != tensor.dtype:
            raise UserError(
                f"{name}: {tensor.name} has dtype {dtype}, expected {tensor.dtype}; export the model again."
            )
        if not _shapes_agree(tensor.shape, shape, exact):
            raise UserError(
                f"{name}: {tensor.name} has shape {shape}, expected {tensor.shape}; export the model again."
            )


def _shapes_agree(declared: list[int | str], actual: list[int | str | None] | None, exact: bool) -> bool:
    if actual is None:
        return not exact
    return len(actual) == len(declared) and all(
        size == expected if isinstance(size, int) else isinstance(expected, str) or not exact
        for expected, size in zip(declared, actual, strict=True)
    )


def _failure(process: subprocess.CompletedProcess) -> str:
    if process.returncode < 0:
        return f"it ended by {signal.Signals(-process.returncode).name}; it was not verified."
    lines = process.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with status {process.returncode}; it was not verified."
