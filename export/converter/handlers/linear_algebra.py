"""Inverse matrices and systems of linear equations, by elimination with a step for each row."""

from collections.abc import Callable

import numpy as np

from .node_builder import NotWritableError, Replacement

LARGEST = 32
"""Rows of a matrix, at most: each is a dozen operations in the file."""


def inverse(new: Replacement) -> None:
    """Gauss-Jordan elimination with pivots, a step for each row; no numbers where TensorFlow finds no inverse."""
    from onnx import TensorProto

    matrix, size = _square(new)
    shape = new.node("Shape", [matrix], TensorProto.INT64)
    _eliminate(new, matrix, new.node("Expand", [new.like(np.eye(size), matrix), shape]), size)


def solution(new: Replacement) -> None:
    """Gauss-Jordan elimination with pivots, a step for each row; no numbers where TensorFlow finds no solution."""
    matrix, size = _square(new)
    _eliminate(new, matrix, new.inputs[1], size)


def _square(new: Replacement) -> tuple[str, int]:
    """The matrices, and their number of rows."""
    size = (new.shape() or [-1])[-1]
    if size < 1:
        raise NotWritableError("the size of the matrix is not known; give it to keras.Input")
    if size > LARGEST:
        raise NotWritableError(f"a matrix of {size} rows is inverted in {size} steps, and {LARGEST} are the most")
    matrix = new.inputs[0]
    return _turned(new, matrix) if new.attributes["adjoint"].i else matrix, size


def _turned(new: Replacement, matrix: str) -> str:
    axes = list(range(len(new.shape() or [])))
    return new.node("Transpose", [matrix], perm=[*axes[:-2], axes[-1], axes[-2]])


def _eliminate(new: Replacement, matrix: str, right: str, size: int) -> None:
    """Make the unit matrix of `matrix`, doing the same to `right`.

    Rows keep their places: a step takes the row with the largest number in its column among those that were not taken,
    and the rows come into order at the end.
    """
    from onnx import TensorProto

    kind = new.graph.get_dtype(matrix)
    both = new.node("Concat", [matrix, right], axis=-1)
    taken, order = None, []
    for i in range(size):
        column = new.node("Gather", [both, new.const([i], "int64")], axis=-1)
        among = new.node("Abs", [column])
        if taken:
            among = new.node("Where", [taken, new.like(-1, column), among], kind)
        places = new.node("ArgMax", [among], TensorProto.INT64, axis=-2, keepdims=1)
        chosen = new.node("Equal", [places, new.const(np.arange(size)[:, None], "int64")], TensorProto.BOOL)
        taken = new.node("Or", [taken, chosen]) if taken else chosen
        order.append(new.cast(chosen, kind))
        row = new.node("Where", [chosen, both, new.like(0, both)], kind)
        row = new.node("ReduceSum", [row, new.const([-2], "int64")], keepdims=1)
        row = new.node("Div", [row, new.node("Gather", [row, new.const([i], "int64")], axis=-1)])
        others = new.node("Sub", [both, new.node("Mul", [column, row])])
        both = new.node("Where", [chosen, row, others], kind)
    answers = new.node("Slice", [both, *(new.const([end], "int64") for end in (size, np.iinfo("int64").max, -1))])
    new.result("MatMul", [_turned(new, new.node("Concat", order, axis=-1)), answers])


HANDLERS: dict[str, Callable] = {"MatrixInverse": inverse, "MatrixSolve": solution}
"""TensorFlow operation to what writes it."""
