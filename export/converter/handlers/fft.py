"""Fourier transforms as matrix products. ONNX Runtime's own has errors of 1e-3 unless the length is a power of two.

ONNX has no complex numbers: here a complex tensor is two tensors, its real and its imaginary parts. The TensorFlow
operation that computes it stays in the graph. Without a reader it is removed later. If an operation without a handler
reads it, it stays in the finished graph, where `convert` reports it.
"""

from collections.abc import Callable

import numpy as np

from .node_builder import NodeBuilder, UnsupportedOperationError

ComplexTensors = dict[str, tuple[str, str]]
"""Complex tensor to its real and imaginary parts."""


def make_complex(builder: NodeBuilder, complex_tensors: ComplexTensors) -> None:
    """Two tensors, the real and the imaginary parts."""
    complex_tensors[builder.outputs[0]] = builder.inputs[0], builder.inputs[1]


def real_part(builder: NodeBuilder, complex_tensors: ComplexTensors) -> None:
    """The real part of the complex tensor."""
    builder.add_result("Identity", [_parts(builder, complex_tensors)[0]])


def imaginary_part(builder: NodeBuilder, complex_tensors: ComplexTensors) -> None:
    """The imaginary part of the complex tensor."""
    builder.add_result("Identity", [_parts(builder, complex_tensors)[1]])


def magnitude(builder: NodeBuilder, complex_tensors: ComplexTensors) -> None:
    """The root of the sum of the squares of both parts."""
    squares = [builder.add("Mul", [part, part]) for part in _parts(builder, complex_tensors)]
    builder.add_result("Sqrt", [builder.add("Add", squares)])


def transform_real(builder: NodeBuilder, complex_tensors: ComplexTensors) -> None:
    """A matrix product with cosines and sines."""
    length = _transform_length(builder)
    if (builder.input_shape() or [-1])[-1] != length:
        raise UnsupportedOperationError("the length of the Fourier transform is not known")
    waves = np.fft.rfft(np.eye(length))
    complex_tensors[builder.outputs[0]] = _multiply_and_split(
        builder, builder.inputs[0], np.concatenate([waves.real, waves.imag], axis=-1)
    )


def inverse_transform_to_real(builder: NodeBuilder, complex_tensors: ComplexTensors) -> None:
    """A matrix product with cosines and sines, of both parts side by side."""
    length = _transform_length(builder)
    bins = length // 2 + 1
    if (builder.input_shape() or [-1])[-1] != bins:
        raise UnsupportedOperationError("the length of the Fourier transform is not known")
    waves = np.concatenate([np.fft.irfft(unit * np.eye(bins), length) for unit in (1, 1j)])
    both = builder.add("Concat", list(_parts(builder, complex_tensors)), axis=-1)
    builder.add_result("MatMul", [both, builder.constant_like(waves, both)])


def transform_complex(builder: NodeBuilder, complex_tensors: ComplexTensors) -> None:
    """A matrix product with cosines and sines, of both parts side by side."""
    transform = np.fft.ifft if builder.kind.startswith("I") else np.fft.fft
    shape, parts = builder.input_shape() or [], _parts(builder, complex_tensors)
    parts = _transform_last_axis(builder, parts, shape[-1:], transform)
    if builder.kind.endswith("2D"):
        swapped = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        columns = builder.add("Transpose", [parts[0]], perm=swapped), builder.add("Transpose", [parts[1]], perm=swapped)
        columns = _transform_last_axis(builder, columns, shape[-2:-1], transform)
        parts = (
            builder.add("Transpose", [columns[0]], perm=swapped),
            builder.add("Transpose", [columns[1]], perm=swapped),
        )
    complex_tensors[builder.outputs[0]] = parts


def _transform_last_axis(
    builder: NodeBuilder, parts: tuple[str, str], size: list[int], transform: Callable
) -> tuple[str, str]:
    """Transform along the last axis."""
    if not size or size[0] < 1:
        raise UnsupportedOperationError("the length of the Fourier transform is not known")
    waves = transform(np.eye(size[0]))
    matrix = np.block([[waves.real, waves.imag], [-waves.imag, waves.real]])
    return _multiply_and_split(builder, builder.add("Concat", list(parts), axis=-1), matrix)


def _transform_length(builder: NodeBuilder) -> int:
    length = builder.constant_input(1)
    if length is None:
        raise UnsupportedOperationError("the length of the Fourier transform is not known")
    return int(length.ravel()[0])


def _multiply_and_split(builder: NodeBuilder, x: str, matrix: np.ndarray) -> tuple[str, str]:
    """Multiply by a matrix and split the last axis into two halves."""
    both, kind = builder.add("MatMul", [x, builder.constant_like(matrix, x)]), builder.graph.get_dtype(x)
    attributes = {"axis": -1, "num_outputs": 2}
    real, imaginary = builder.graph.make_node(
        "Split", [both], attr=attributes, output_count=2, dtypes=[kind, kind]
    ).output
    return real, imaginary


def _parts(builder: NodeBuilder, complex_tensors: ComplexTensors) -> tuple[str, str]:
    source = builder.input_nodes[0]
    while source.type == "Identity":
        source = source.inputs[0]
    if source.output[0] not in complex_tensors:
        raise UnsupportedOperationError(f"ONNX has no complex numbers, and {source.type} returns some")
    return complex_tensors[source.output[0]]


HANDLERS: dict[str, Callable] = {
    "Complex": make_complex,
    "ComplexAbs": magnitude,
    "FFT": transform_complex,
    "FFT2D": transform_complex,
    "IFFT": transform_complex,
    "IFFT2D": transform_complex,
    "IRFFT": inverse_transform_to_real,
    "Imag": imaginary_part,
    "RFFT": transform_real,
    "Real": real_part,
}
"""TensorFlow operation to its handler."""
