"""One loaded bundle: its manifest and its ONNX Runtime session, checked against each other."""

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from kerasfound.bundle import recorded_cases
from kerasfound.bundle.comparison import TOLERANCE, compare
from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Manifest, Tensor
from kerasfound.errors import UserError, one_line

from .batching import Batcher, Tensors
from .client_error import ClientError
from .limits import Limits
from .metrics import Statistics
from .raw_inputs import RawInput, find_raw_inputs
from .row_inputs import CellReader, find_row_inputs
from .tensor_codec import TensorReader, format_shape
from .text_generation import TextGenerator

INTRA_OP_THREADS = 1
"""One: for small models, waking a second thread costs more than it saves."""
MEMORY_BYTES = 1 << 30
"""For the computations of all models together: attention needs memory that grows with the square of the text length."""
VERIFY_SECONDS = 0.2
"""Time for running the recorded cases of a bundle when it is loaded; small cases run first."""
LOG_FATAL = 4

ONNX_ERRORS = tuple(e for e in vars(onnx_errors).values() if isinstance(e, type) and issubclass(e, Exception))
"""ONNX Runtime's errors have no common base class."""


@functools.cache
def _limit_memory() -> None:
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({"max_mem": MEMORY_BYTES}))


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file for execution in one thread.

    Raises:
        UserError: if ONNX Runtime cannot open the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = INTRA_OP_THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_FATAL  # errors are raised too; do not log them twice
    _limit_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")  # weights do not count
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except ONNX_ERRORS as error:
        raise UserError(f"ONNX Runtime cannot open it: {one_line(error)}") from error


class Model:
    """A loaded model: takes arrays by input name, returns arrays by output name.

    Args:
        manifest: the bundle's manifest.
        folder: the bundle's folder.
        limits: bounds on requests.
        threads: where batches run.
        file: the ONNX file. One with 8-bit weights differs from the recorded outputs; its loss was measured at export.

    Raises:
        UserError: if the ONNX file contradicts the manifest, or its outputs differ from the recorded ones.
    """

    def __init__(self, manifest: Manifest, folder: Path, limits: Limits, threads: Executor, file: str = "model.onnx"):
        self.manifest = manifest
        self.folder = folder
        self.name = manifest.name
        self.version = manifest.version
        self.inputs = manifest.inputs
        self.outputs = {output.name: output for output in manifest.outputs}
        for tensor in [*manifest.inputs, *manifest.outputs]:
            if tensor.dtype not in DTYPES:
                raise UserError(f"{tensor.name!r} has dtype {tensor.dtype!r}, expected one of {', '.join(DTYPES)}.")
        self.row_inputs = find_row_inputs(manifest, folder)
        make_reader = self.row_inputs.reader if self.row_inputs else TensorReader
        self.readers = {declared.name: make_reader(declared) for declared in manifest.inputs}
        session = open_session(folder / file)
        _check_tensors("inputs", manifest.inputs, session.get_inputs())
        _check_tensors("outputs", manifest.outputs, session.get_outputs())
        self.raw_inputs: dict[str, RawInput] = find_raw_inputs(manifest, folder)
        self.text_generator = (
            TextGenerator(manifest, open_session(folder / manifest.text_generation.file))
            if manifest.text_generation
            else None
        )
        self.limits = limits
        self.statistics = Statistics(self.name)
        self._run = _session_caller(session, list(self.outputs))
        batchable = _has_batch_axis([*manifest.inputs, *manifest.outputs])
        self.batcher = Batcher(self._run, batchable, limits, threads, self.statistics)
        self._warm_up(rows=2 if batchable else 1)
        if file == "model.onnx":
            self._verify_recorded_cases(folder)

    async def predict(
        self, feeds: Tensors, outputs: Sequence[str] = (), timeout_seconds: float | None = None, alone: bool = False
    ) -> Tensors:
        """Run the model.

        Args:
            feeds: one array for each input.
            outputs: the names of the outputs to return; all outputs if empty.
            timeout_seconds: the client's timeout; the server's own limit is the upper bound.
            alone: whether no other request is in flight.

        Raises:
            ClientError: if names or shapes differ from the manifest's, or the model cannot take these values,
                such as a token id outside the vocabulary.
        """
        started = time.perf_counter()
        try:
            feeds = self._check_feeds(feeds, outputs)
            timeout_seconds = min(timeout_seconds or np.inf, self.limits.timeout_seconds)
            results = await self._submit(feeds, timeout_seconds, alone)
        except ClientError:
            self.statistics.fail.add(1, time.perf_counter() - started)
            raise
        self.statistics.success.add(1, time.perf_counter() - started)
        return {name: results[name] for name in outputs} if outputs else results

    async def _submit(self, feeds: Tensors, timeout_seconds: float, alone: bool) -> Tensors:
        try:
            return await self.batcher.submit(feeds, timeout_seconds, alone)
        except ClientError as error:
            if error.status == 400:
                for name, reader in self.readers.items():
                    if isinstance(reader, CellReader):
                        reader.check_cells(feeds[name])
            raise

    def input_names(self, names: Iterable[str]) -> dict[str, str]:
        """Return the input that each name of a request stands for. Columns of a table may have their own names.

        Raises:
            ClientError: if there is no such input.
        """
        if self.row_inputs:
            return self.row_inputs.input_names(names)
        return {name: self.reader(name).name for name in names}

    def reader(self, name: str) -> TensorReader:
        """Return the reader of an input, or raise a 400."""
        try:
            return self.readers[name]
        except KeyError:
            raise ClientError(400, f"no input {name!r}; model {self.name!r} has {_quote_names(self.readers)}") from None

    def _check_feeds(self, feeds: Tensors, outputs: Sequence[str]) -> Tensors:
        """Check names, shapes and ids; return the feeds in the manifest's order."""
        for name in outputs:
            if name not in self.outputs:
                raise ClientError(400, f"no output {name!r}; model {self.name!r} has {_quote_names(self.outputs)}")
        for name in self.readers:
            if name not in feeds:
                known = "; use null for a missing value" if self.readers[name].nullable else ""
                raise ClientError(400, f"input {name!r} is missing; {self.readers[name].expected}{known}")
        sizes: dict[str, int] = {}
        for name, array in feeds.items():
            self.reader(name).check(array.shape, sizes)
            if array.size > self.limits.max_values:
                reason = f"input {name!r} has {array.size} values, more than {self.limits.max_values}"
                raise ClientError(413, f"{reason}, the limit of this server")
            self.readers[name].check_ids(array)
        return {name: feeds[name] for name in self.readers}

    def _warm_up(self, rows: int) -> None:
        """Run zeros once: this allocates memory before the first request and checks the shapes of the outputs."""
        reason = ""
        for size in (1, 32):  # some models need more than one time step or pixel
            try:
                outputs = self._run({name: _zeros(reader, rows, size) for name, reader in self.readers.items()})
                break
            except ClientError as error:
                reason = error.reason
        else:
            if all(isinstance(size, int) for tensor in self.inputs for size in tensor.shape[1:]):
                raise UserError(f"the model fails on inputs of zeros: {reason}")
            return  # a size that no guess above hits; clients may know it
        for name, output in outputs.items():
            declared, actual = self.outputs[name].shape, [*output.shape]
            by_row = [rows, *declared[1:]] if rows > 1 else declared
            if len(actual) != len(declared) or _has_conflict(by_row, actual):
                for_rows = f" for {rows} rows" if rows > 1 else ""
                raise UserError(
                    f"output {name!r}{for_rows} has shape {format_shape(actual)}, expected {format_shape(declared)}."
                )

    def _verify_recorded_cases(self, folder: Path) -> None:
        """Run the test inputs that were recorded at export: another processor or runtime may give other outputs."""
        if recorded_cases.file_name() not in self.manifest.files:
            return
        tolerance = max((record.tolerance for record in self.manifest.verification), default=TOLERANCE)
        started = time.perf_counter()
        for case in recorded_cases.load(folder):
            if case.inputs.keys() != self.readers.keys() or not case.outputs.keys() <= self.outputs.keys():
                names = _quote_names([*case.inputs, *case.outputs])
                raise UserError(f"the recorded cases have other tensors than the manifest: {names}.")
            try:
                outputs = self._run(case.inputs)
            except ClientError as error:
                raise UserError(f"the model fails on a recorded test input: {error.reason}") from None
            for name, expected in case.outputs.items():
                comparison = compare(expected, outputs[name], case.scales[name])
                if not comparison.max_scaled <= tolerance:
                    raise UserError(f"the output differs from the trained model's: {name} {comparison}.")
            if time.perf_counter() - started > VERIFY_SECONDS:
                break


def _session_caller(session: onnxruntime.InferenceSession, outputs: list[str]) -> Callable[[Tensors], Tensors]:
    """Return a function that runs the session.

    The function holds no reference to the `Model`: an unloaded model is freed with its last request.
    """

    def run(feeds: Tensors) -> Tensors:
        try:
            return dict(zip(outputs, session.run(outputs, feeds), strict=True))
        except ONNX_ERRORS as error:
            # The model ran when it was loaded, so this input is the cause.
            if "Available memory" in str(error):
                reason = f"this input needs more than the {MEMORY_BYTES >> 20} MiB of memory that models have here"
                raise ClientError(413, f"{reason}; send fewer rows or steps") from error
            raise ClientError(400, f"the model cannot take this input: {one_line(error)}") from error

    return run


def _has_batch_axis(tensors: list[Tensor]) -> bool:
    """Whether the first axis of every tensor is the batch, so that requests can share a call."""
    first = {tensor.shape[0] if tensor.shape else 1 for tensor in tensors}
    return len(first) == 1 and isinstance(first.pop(), str)


def _check_tensors(kind: str, declared: list[Tensor], actual: list) -> None:
    """Compare the manifest's tensors with the session's."""
    names, actual_names = [tensor.name for tensor in declared], [tensor.name for tensor in actual]
    if sorted(names) != sorted(actual_names):
        raise UserError(
            f"the manifest's {kind} are {_quote_names(names)}, the ONNX file's are {_quote_names(actual_names)}."
        )
    by_name = {tensor.name: tensor for tensor in actual}
    for tensor in declared:
        other = by_name[tensor.name]
        if DTYPES[tensor.dtype].onnxruntime != other.type:
            raise UserError(f"{tensor.name!r} is {tensor.dtype} in the manifest, {other.type} in the ONNX file.")
        # If the file does not know the rank of an output, it reports no axes at all.
        same_rank = len(tensor.shape) == len(other.shape) or (kind == "outputs" and not other.shape)
        fixed = [a for a, b in zip(tensor.shape, other.shape, strict=False) if isinstance(b, int)]
        too_general = kind == "inputs" and any(isinstance(size, str) for size in fixed)
        if not same_rank or too_general or _has_conflict(tensor.shape, other.shape):
            raise UserError(
                f"{tensor.name!r} has shape {format_shape(tensor.shape)} in the manifest, "
                f"{format_shape(other.shape)} in the ONNX file."
            )


def _has_conflict(declared: list[int | str], actual: list) -> bool:
    """Whether an axis has two different fixed sizes."""
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(declared, actual, strict=False))


def _zeros(reader: TensorReader, rows: int, dynamic: int) -> np.ndarray:
    shape = [size if isinstance(size, int) else dynamic if axis else rows for axis, size in enumerate(reader.shape)]
    return np.full(shape, "", object) if reader.dtype.json is str else np.zeros(shape, reader.dtype.numpy)


def _quote_names(names) -> str:
    return ", ".join(repr(name) for name in names)
