"""Fourier transforms as matrix products. ONNX Runtime's own is off by a thousandth where a length is no power of two.

ONNX has no complex numbers: here one is two tensors, of real and of imaginary parts. The operations of TensorFlow that
make one stay in the graph with nobody who reads them, so that what could not be written is seen to be there.
"""

from collections.abc import Callable

import numpy as np

from .node_builder import NotWritableError, Replacement

Parts = dict[str, tuple[str, str]]
"""Complex tensor to its real and imaginary parts."""


def put_together(new: Replacement, complex_numbers: Parts) -> None:
    """Two tensors, the real parts and the imaginary ones."""
    complex_numbers[new.outputs[0]] = new.inputs[0], new.inputs[1]


def real_part(new: Replacement, complex_numbers: Parts) -> None:
    """The first of the two tensors of a complex one."""
    new.result("Identity", [_parts(new, complex_numbers)[0]])


def imaginary_part(new: Replacement, complex_numbers: Parts) -> None:
    """The second of the two tensors of a complex one."""
    new.result("Identity", [_parts(new, complex_numbers)[1]])


def magnitude(new: Replacement, complex_numbers: Parts) -> None:
    """The root of the squares of the real and the imaginary parts."""
    squares = [new.node("Mul", [part, part]) for part in _parts(new, complex_numbers)]
    new.result("Sqrt", [new.node("Add", squares)])


def of_real(new: Replacement, complex_numbers: Parts) -> None:
    """A matrix product with cosines and sines."""
    length = _length(new)
    if (new.shape() or [-1])[-1] != length:
        raise NotWritableError("the length of the Fourier transform is not known")
    waves = np.fft.rfft(np.eye(length))
    complex_numbers[new.outputs[0]] = _product(new, new.inputs[0], np.concatenate([waves.real, waves.imag], axis=-1))


def to_real(new: Replacement, complex_numbers: Parts) -> None:
    """A matrix product with cosines and sines, of the real and the imaginary parts side by side."""
    length = _length(new)
    bins = length // 2 + 1
    if (new.shape() or [-1])[-1] != bins:
        raise NotWritableError("the length of the Fourier transform is not known")
    waves = np.concatenate([np.fft.irfft(unit * np.eye(bins), length) for unit in (1, 1j)])
    both = new.node("Concat", list(_parts(new, complex_numbers)), axis=-1)
    new.result("MatMul", [both, new.like(waves, both)])


def of_complex(new: Replacement, complex_numbers: Parts) -> None:
    """A matrix product with cosines and sines, of the real and the imaginary parts side by side."""
    transform = np.fft.ifft if new.kind.startswith("I") else np.fft.fft
    shape, parts = new.shape() or [], _parts(new, complex_numbers)
    parts = _transformed(new, parts, shape[-1:], transform)
    if new.kind.endswith("2D"):
        turned = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        columns = new.node("Transpose", [parts[0]], perm=turned), new.node("Transpose", [parts[1]], perm=turned)
        columns = _transformed(new, columns, shape[-2:-1], transform)
        parts = new.node("Transpose", [columns[0]], perm=turned), new.node("Transpose", [columns[1]], perm=turned)
    complex_numbers[new.outputs[0]] = parts


def _transformed(new: Replacement, parts: tuple[str, str], size: list[int], transform: Callable) -> tuple[str, str]:
    """Along the last axis, which is of that size."""
    if not size or size[0] < 1:
        raise NotWritableError("the length of the Fourier transform is not known")
    waves = transform(np.eye(size[0]))
    matrix = np.block([[waves.real, waves.imag], [-waves.imag, waves.real]])
    return _product(new, new.node("Concat", list(parts), axis=-1), matrix)


def _length(new: Replacement) -> int:
    length = new.value(1)
    if length is None:
        raise NotWritableError("the length of the Fourier transform is not known")
    return int(length.ravel()[0])


def _product(new: Replacement, x: str, matrix: np.ndarray) -> tuple[str, str]:
    """The two halves of the last axis of a matrix product."""
    both, kind = new.node("MatMul", [x, new.like(matrix, x)]), new.graph.get_dtype(x)
    how = {"axis": -1, "num_outputs": 2}
    real, imaginary = new.graph.make_node("Split", [both], attr=how, output_count=2, dtypes=[kind, kind]).output
    return real, imaginary


def _parts(new: Replacement, complex_numbers: Parts) -> tuple[str, str]:
    source = new.sources[0]
    while source.type == "Identity":
        source = source.inputs[0]
    if source.output[0] not in complex_numbers:
        raise NotWritableError(f"ONNX has no complex numbers, and {source.type} makes some")
    return complex_numbers[source.output[0]]


HANDLERS: dict[str, Callable] = {
    "Complex": put_together,
    "ComplexAbs": magnitude,
    "FFT": of_complex,
    "FFT2D": of_complex,
    "IFFT": of_complex,
    "IFFT2D": of_complex,
    "IRFFT": to_real,
    "Imag": imaginary_part,
    "RFFT": of_real,
    "Real": real_part,
}
"""TensorFlow operation to what writes it."""
