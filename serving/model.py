"""One loaded bundle: what its manifest promises, and the ONNX Runtime session that keeps it."""

import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from kerasfound.bundle import recorded_cases
from kerasfound.bundle.comparison import TOLERANCE, difference
from kerasfound.bundle.manifest import Manifest, Tensor
from kerasfound.errors import UserError, one_line

from .batching import Batcher, Tensors
from .client_error import ClientError
from .limits import Limits
from .metrics import Statistics
from .raw_inputs import RawInput, raw_input
from .tensor_codec import DTYPES, Reader, described
from .text_generation import Writer

INTRA_OP_THREADS = 1
"""One: small models lose more by waking a second thread than they gain."""
MEMORY = 1 << 30
"""Bytes that all models together may compute in: attention over a long text takes the square of its length."""
PROOF_SECONDS = 0.2
"""For how long a bundle's recorded questions are asked when it is loaded, the small ones first."""
FATAL = 4

ONNX_ERRORS = tuple(e for e in vars(onnx_errors).values() if isinstance(e, type) and issubclass(e, Exception))
"""ONNX Runtime's errors share no base class of their own."""


@functools.cache
def _bound_memory() -> None:
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg({"max_mem": MEMORY}))


def session(path: Path) -> onnxruntime.InferenceSession:
    """An ONNX file, opened for one thread.

    Raises:
        UserError: if ONNX Runtime does not take it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = INTRA_OP_THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL  # what fails is raised too, and told once
    _bound_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")  # weights are beside it
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except ONNX_ERRORS as error:
        raise UserError(f"ONNX Runtime cannot open it: {one_line(error)}") from error


class Model:
    """A model that answers: arrays in by name, arrays out by name.

    Args:
        manifest: of the bundle.
        folder: of the bundle.
        limits: on what may be asked.
        threads: where batches run.

    Raises:
        UserError: if the ONNX file is not what the manifest says, or does not answer as it is recorded there.
    """

    def __init__(self, manifest: Manifest, folder: Path, limits: Limits, threads: Executor):
        self.manifest = manifest
        self.folder = folder
        self.name = manifest.name
        self.version = manifest.version
        self.inputs = manifest.inputs
        self.outputs = {output.name: output for output in manifest.outputs}
        for tensor in [*manifest.inputs, *manifest.outputs]:
            if tensor.dtype not in DTYPES:
                raise UserError(f"{tensor.name!r} has dtype {tensor.dtype!r}, expected one of {', '.join(DTYPES)}.")
        self.readers = {declared.name: Reader(declared) for declared in manifest.inputs}
        self._session = session(folder / "model.onnx")
        _agree("inputs", manifest.inputs, self._session.get_inputs())
        _agree("outputs", manifest.outputs, self._session.get_outputs())
        self.raw: RawInput | None = raw_input(manifest, folder)
        self.writer = (
            Writer(manifest, session(folder / manifest.text_generation.file)) if manifest.text_generation else None
        )
        self.limits = limits
        self.statistics = Statistics(self.name)
        self._run = _asking(self._session, list(self.outputs))
        together = _by_row([*manifest.inputs, *manifest.outputs])
        self.queue = Batcher(self._run, together, limits, threads, self.statistics)
        self._warm(rows=2 if together else 1)
        self._prove(folder)

    async def predict(
        self, feeds: Tensors, outputs: Sequence[str] = (), seconds: float | None = None, alone: bool = False
    ) -> Tensors:
        """The named outputs, or all of them, for arrays that hold every input.

        Args:
            feeds: the inputs.
            outputs: what is asked for.
            seconds: how long the client waits, at most the server's own limit.
            alone: whether no other request is under way.

        Raises:
            ClientError: when names or shapes are not the manifest's, or the model cannot take these values,
                such as a token id beyond its vocabulary.
        """
        started = time.perf_counter()
        try:
            feeds = self._checked(feeds, outputs)
            answers = await self.queue.ask(feeds, min(seconds or np.inf, self.limits.seconds), alone)
        except ClientError:
            self.statistics.fail.add(1, time.perf_counter() - started)
            raise
        self.statistics.success.add(1, time.perf_counter() - started)
        return {name: answers[name] for name in outputs} if outputs else answers

    def reader(self, name: str) -> Reader:
        try:
            return self.readers[name]
        except KeyError:
            raise ClientError(400, f"no input {name!r}; model {self.name!r} has {_listed(self.readers)}") from None

    def _checked(self, feeds: Tensors, outputs: Sequence[str]) -> Tensors:
        """The feeds in the manifest's order."""
        for name in outputs:
            if name not in self.outputs:
                raise ClientError(400, f"no output {name!r}; model {self.name!r} has {_listed(self.outputs)}")
        for name in self.readers:
            if name not in feeds:
                known = "; null is a value that is not known" if self.readers[name].nullable else ""
                raise ClientError(400, f"input {name!r} is missing; {self.readers[name].expected}{known}")
        sizes: dict[str, int] = {}
        for name, array in feeds.items():
            self.reader(name).check(array.shape, sizes)
            if array.size > self.limits.values:
                reason = f"input {name!r} has {array.size} values, more than {self.limits.values}"
                raise ClientError(413, f"{reason}, the limit of this server")
            self.readers[name].check_ids(array)
        return {name: feeds[name] for name in self.readers}

    def _warm(self, rows: int) -> None:
        """Answers zeros once: the first request finds memory allocated, and outputs are held against the manifest."""
        reason = ""
        for size in (1, 32):  # some models need more than one time step or pixel
            try:
                answers = self._run({name: _zeros(reader, rows, size) for name, reader in self.readers.items()})
                break
            except ClientError as error:
                reason = error.reason
        else:
            if all(isinstance(size, int) for tensor in self.inputs for size in tensor.shape[1:]):
                raise UserError(f"it does not answer zeros: {reason}")
            return  # no free sizes tried suit it; a client may know better
        for name, answer in answers.items():
            declared, found = self.outputs[name].shape, [*answer.shape]
            by_row = [rows, *declared[1:]] if rows > 1 else declared
            if len(found) != len(declared) or _conflict(by_row, found):
                asked = f" to {rows} rows" if rows > 1 else ""
                raise UserError(f"output {name!r}{asked} has shape {described(found)}, not {described(declared)}.")

    def _prove(self, folder: Path) -> None:
        """Asks what was asked at export: this machine may answer otherwise."""
        if recorded_cases.VECTORS.format("") not in self.manifest.files:
            return
        tolerance = max((record.tolerance for record in self.manifest.verification), default=TOLERANCE)
        started = time.perf_counter()
        for case in recorded_cases.load(folder):
            if case.inputs.keys() != self.readers.keys() or not case.outputs.keys() <= self.outputs.keys():
                raise UserError(
                    f"what was asked at export has other tensors: {_listed([*case.inputs, *case.outputs])}."
                )
            try:
                answers = self._run(case.inputs)
            except ClientError as error:
                raise UserError(f"it does not take what was asked at export: {error.reason}") from None
            for name, expected in case.outputs.items():
                apart = difference(expected, answers[name])
                if not apart.worst <= tolerance:
                    raise UserError(f"it answers otherwise than the trained model: {name} {apart}.")
            if time.perf_counter() - started > PROOF_SECONDS:
                break


def _asking(session: onnxruntime.InferenceSession, outputs: list[str]) -> Callable[[Tensors], Tensors]:
    """Calls of the session by name; they know no `Model`, so that one that left is freed with its last request."""

    def run(feeds: Tensors) -> Tensors:
        try:
            return dict(zip(outputs, session.run(outputs, feeds), strict=True))
        except ONNX_ERRORS as error:
            # The model ran when it was loaded and the CPU is no less able now, so it is this input that it cannot take.
            if "Available memory" in str(error):
                reason = f"models compute in {MEMORY >> 20} MiB of memory here, which is too little for this input"
                raise ClientError(413, f"{reason}; send fewer rows or steps") from error
            raise ClientError(400, f"the model cannot take this input: {one_line(error)}") from error

    return run


def _by_row(tensors: list[Tensor]) -> bool:
    """Whether every tensor has one row for each that is asked, so that requests may share a call."""
    first = {tensor.shape[0] if tensor.shape else 1 for tensor in tensors}
    return len(first) == 1 and isinstance(first.pop(), str)


def _agree(kind: str, declared: list[Tensor], found: list) -> None:
    """Holds the manifest's tensors against the session's."""
    names, actual = [tensor.name for tensor in declared], [tensor.name for tensor in found]
    if sorted(names) != sorted(actual):
        raise UserError(f"the manifest's {kind} are {_listed(names)}, the ONNX file's are {_listed(actual)}.")
    by_name = {tensor.name: tensor for tensor in found}
    for tensor in declared:
        other = by_name[tensor.name]
        if DTYPES[tensor.dtype].onnx != other.type:
            raise UserError(f"{tensor.name!r} is {tensor.dtype} in the manifest, {other.type} in the ONNX file.")
        # An output's rank may be unknown to the file, which it tells as no axes at all.
        same_rank = len(tensor.shape) == len(other.shape) or (kind == "outputs" and not other.shape)
        fixed = [a for a, b in zip(tensor.shape, other.shape, strict=False) if isinstance(b, int)]
        promises_too_much = kind == "inputs" and any(isinstance(size, str) for size in fixed)
        if not same_rank or promises_too_much or _conflict(tensor.shape, other.shape):
            raise UserError(
                f"{tensor.name!r} has shape {described(tensor.shape)} in the manifest, "
                f"{described(other.shape)} in the ONNX file."
            )


def _conflict(declared: list[int | str], found: list) -> bool:
    """Whether an axis has two different fixed sizes."""
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(declared, found, strict=False))


def _zeros(reader: Reader, rows: int, free: int) -> np.ndarray:
    shape = [size if isinstance(size, int) else free if axis else rows for axis, size in enumerate(reader.shape)]
    return np.full(shape, "", object) if reader.dtype.json is str else np.zeros(shape, reader.dtype.numpy)


def _listed(names) -> str:
    return ", ".join(repr(name) for name in names)
