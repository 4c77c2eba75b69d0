"""Cross products; inverse matrices and systems of linear equations, by Gauss-Jordan elimination."""

from collections.abc import Callable

import numpy as np

from .node_builder import NodeBuilder, UnsupportedOperationError

MAX_ROWS = 32
"""Rows of a matrix, at most: each row adds a dozen nodes to the file."""


def inverse(builder: NodeBuilder) -> None:
    """Gauss-Jordan elimination with pivots; NaN or infinity where TensorFlow finds no inverse."""
    from onnx import TensorProto

    matrix, size = _square(builder)
    shape = builder.add("Shape", [matrix], TensorProto.INT64)
    _eliminate(builder, matrix, builder.add("Expand", [builder.constant_like(np.eye(size), matrix), shape]), size)


def solution(builder: NodeBuilder) -> None:
    """Gauss-Jordan elimination with pivots; NaN or infinity where TensorFlow finds no solution."""
    matrix, size = _square(builder)
    _eliminate(builder, matrix, builder.inputs[1], size)


def triangular_solution(builder: NodeBuilder) -> None:
    """Gauss-Jordan elimination of the triangle that the operation reads."""
    matrix, size = builder.inputs[0], (builder.input_shape() or [-1])[-1]
    triangle = builder.add("Trilu", [matrix], upper=int(not builder.attributes["lower"].i))
    if builder.attributes["adjoint"].i:
        triangle = _transpose(builder, triangle)
    _eliminate(builder, triangle, builder.inputs[1], _checked(size))


def cross_product(builder: NodeBuilder) -> None:
    """The difference of two products of `Gather`ed coordinates."""
    x, y = builder.inputs

    def turned(a: str, *places: int) -> str:
        return builder.add("Gather", [a, builder.constant(places, "int64")], axis=-1)

    first, second = (builder.add("Mul", [turned(x, *p), turned(y, *q)]) for p, q in (TURNS, TURNS[::-1]))
    builder.add_result("Sub", [first, second])


def _square(builder: NodeBuilder) -> tuple[str, int]:
    """The matrices, transposed if `adjoint` says so, and their number of rows."""
    matrix, size = builder.inputs[0], _checked((builder.input_shape() or [-1])[-1])
    return _transpose(builder, matrix) if builder.attributes["adjoint"].i else matrix, size


def _checked(size: int) -> int:
    if size < 1:
        raise UnsupportedOperationError("the size of the matrix is not known; give it to keras.Input")
    if size > MAX_ROWS:
        raise UnsupportedOperationError(f"a matrix of {size} rows is too large to invert, the limit is {MAX_ROWS}")
    return size


def _transpose(builder: NodeBuilder, matrix: str) -> str:
    axes = list(range(len(builder.input_shape() or [])))
    return builder.add("Transpose", [matrix], perm=[*axes[:-2], axes[-1], axes[-2]])


def _eliminate(builder: NodeBuilder, matrix: str, right: str, size: int) -> None:
    """Transform `matrix` to the identity and apply the same steps to `right`.

    A step uses the row with the largest number in the column of the step, among the rows that are not used yet.
    The rows stay in place, and are sorted at the end.
    """
    from onnx import TensorProto

    dtype = builder.graph.get_dtype(matrix)
    rows = builder.add("Concat", [matrix, right], axis=-1)
    used, order = None, []
    for i in range(size):
        column = builder.add("Gather", [rows, builder.constant([i], "int64")], axis=-1)
        candidates = builder.add("Abs", [column])
        if used:
            candidates = builder.add("Where", [used, builder.constant_like(-1, column), candidates], dtype)
        pivot = builder.add("ArgMax", [candidates], TensorProto.INT64, axis=-2, keepdims=1)
        is_pivot = builder.add("Equal", [pivot, builder.constant(np.arange(size)[:, None], "int64")], TensorProto.BOOL)
        used = builder.add("Or", [used, is_pivot]) if used else is_pivot
        order.append(builder.cast(is_pivot, dtype))
        row = builder.add("Where", [is_pivot, rows, builder.constant_like(0, rows)], dtype)
        row = builder.add("ReduceSum", [row, builder.constant([-2], "int64")], keepdims=1)
        row = builder.add("Div", [row, builder.add("Gather", [row, builder.constant([i], "int64")], axis=-1)])
        others = builder.add("Sub", [rows, builder.add("Mul", [column, row])])
        rows = builder.add("Where", [is_pivot, row, others], dtype)
    solution = builder.add(
        "Slice", [rows, *(builder.constant([end], "int64") for end in (size, np.iinfo("int64").max, -1))]
    )
    builder.add_result("MatMul", [_transpose(builder, builder.add("Concat", order, axis=-1)), solution])


TURNS = (1, 2, 0), (2, 0, 1)
"""The coordinates of the factors of a cross product."""
HANDLERS: dict[str, Callable] = {
    "Cross": cross_product,
    "MatrixInverse": inverse,
    "MatrixSolve": solution,
    "MatrixTriangularSolve": triangular_solution,
}
"""TensorFlow operation to its handler."""
