"""One loaded bundle: what its manifest promises, and the ONNX Runtime session that keeps it."""

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from kerasfound.errors import UserError
from kerasfound.export.manifest import Manifest, Tensor
from kerasfound.serving.errors import ClientError
from kerasfound.serving.tensors import DTYPES, Reader, described

INTRA_OP_THREADS = 1
"""One: small models lose more by waking a second thread than they gain."""

FATAL = 4

ONNX_ERRORS = tuple(e for e in vars(onnx_errors).values() if isinstance(e, type) and issubclass(e, Exception))
"""ONNX Runtime's errors share no base class of their own."""


class Model:
    """A model that answers: arrays in by name, arrays out by name."""

    def __init__(self, manifest: Manifest, path: str):
        self.name = manifest.name
        self.version = manifest.version
        self.inputs = manifest.inputs
        self.outputs = {output.name: output for output in manifest.outputs}
        for tensor in [*manifest.inputs, *manifest.outputs]:
            if tensor.dtype not in DTYPES:
                raise UserError(f"{tensor.name!r} has dtype {tensor.dtype!r}, expected one of {', '.join(DTYPES)}.")
        self.readers = {declared.name: Reader(declared) for declared in manifest.inputs}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = INTRA_OP_THREADS
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL  # what fails is raised too, and told once
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except ONNX_ERRORS as error:
            raise UserError(f"ONNX Runtime cannot open it: {_line(error)}") from error
        _agree("inputs", manifest.inputs, self._session.get_inputs())
        _agree("outputs", manifest.outputs, self._session.get_outputs())

    def predict(self, feeds: dict[str, np.ndarray], outputs: list[str] | None = None) -> dict[str, np.ndarray]:
        """The named outputs, or all of them, for arrays that hold every input.

        Raises:
            ClientError: when names or shapes are not the manifest's, or the model cannot take these values,
                such as a token id beyond its vocabulary.
        """
        names = outputs or list(self.outputs)
        for name in names:
            if name not in self.outputs:
                raise ClientError(400, f"no output {name!r}; model {self.name!r} has {_listed(self.outputs)}")
        for name in self.readers:
            if name not in feeds:
                raise ClientError(400, f"input {name!r} is missing; {self.readers[name].expected}")
        sizes: dict[str, int] = {}
        for name, array in feeds.items():
            self.reader(name).check(array.shape, sizes)
        try:
            return dict(zip(names, self._session.run(names, feeds), strict=True))
        except ONNX_ERRORS as error:
            # The model ran when it was loaded and the CPU is no less able now, so it is this input that it cannot take.
            raise ClientError(400, f"the model cannot take this input: {_line(error)}") from error

    def reader(self, name: str) -> Reader:
        try:
            return self.readers[name]
        except KeyError:
            raise ClientError(400, f"no input {name!r}; model {self.name!r} has {_listed(self.readers)}") from None

    def warm(self) -> None:
        """Answers zeros once: the first request finds memory allocated, and outputs are held against the manifest."""
        error: ClientError | None = None
        for size in (1, 32):  # some models need more than one time step or pixel
            feeds = {name: _zeros(reader, size) for name, reader in self.readers.items()}
            try:
                answers = self.predict(feeds)
                break
            except ClientError as raised:
                error = raised
        else:
            if all(isinstance(size, int) for tensor in self.inputs for size in tensor.shape[1:]):
                raise UserError(f"it does not answer zeros: {error}")
            return  # no free sizes tried suit it; a client may know better
        for name, answer in answers.items():
            declared, found = self.outputs[name].shape, [*answer.shape]
            if len(found) != len(declared) or _conflict(declared, found):
                raise UserError(f"output {name!r} has shape {described(found)}, not {described(declared)}.")


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


def _zeros(reader: Reader, free: int) -> np.ndarray:
    shape = [size if isinstance(size, int) else 1 if axis == 0 else free for axis, size in enumerate(reader.shape)]
    return np.full(shape, "", object) if reader.dtype.json is str else np.zeros(shape, reader.dtype.numpy)


def _listed(names) -> str:
    return ", ".join(repr(name) for name in names)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
