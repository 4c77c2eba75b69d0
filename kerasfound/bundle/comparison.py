"""The difference between two outputs, and how large it may be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-5
"""Largest allowed scaled difference; sums of float32 numbers in another order stay below it."""
MIN_VALUES = 8
"""A column with fewer values that are not zero has no scale of its own."""
TINY = 1e-30
"""The smallest scale. Some processors replace numbers near 1e-38 by zero."""


class Comparison(NamedTuple):
    """The difference between an output and the expected one.

    `max_scaled` is the number to compare with the tolerance: each difference is divided by the size of the expected
    number, or by the scale of the output if that is larger.
    """

    max_absolute: float
    max_relative: float
    max_scaled: float
    equal_decisions: list[bool]

    def __str__(self) -> str:
        if np.isfinite(self.max_absolute):
            return f"by up to {self.max_absolute:.3g}, {self.max_scaled:.3g} of its scale"
        differing = len(self.equal_decisions) - sum(self.equal_decisions)
        return f"in {differing} of {len(self.equal_decisions)} places" if differing else "by NaN or infinity"


def compare(expected: np.ndarray, actual: np.ndarray, scale: np.ndarray | None = None) -> Comparison:
    """Compare floating-point outputs by their scale; outputs of any other type must be equal.

    Where the expected output is NaN or infinite, the actual one must be NaN or infinite too: either of them.

    Args:
        expected: the output of the trained model.
        actual: the output of a file.
        scale: from `output_scale`, and infinity where any output is right. Defaults to the scale of `expected`.

    Example:
        >>> compare(np.array([[0.0, 3.0]]), np.array([[0.0, 3.5]]))
        Comparison(max_absolute=0.5, max_relative=0.16666666666666666, max_scaled=0.16666666666666666, \
equal_decisions=[True])
    """
    if actual.shape != expected.shape:
        return Comparison(np.inf, np.inf, np.inf, [False])
    if not expected.size:
        return Comparison(0.0, 0.0, 0.0, [True])
    scale = np.broadcast_to(output_scale([expected]) if scale is None else scale, expected.shape)
    if expected.dtype.kind != "f":
        equal = (actual == expected) | np.isinf(scale)
        difference = 0.0 if equal.all() else np.inf
        return Comparison(difference, difference, difference, equal.ravel().tolist())
    return _compare_floats(expected.astype("float64"), actual.astype("float64"), scale)


def _compare_floats(expected: np.ndarray, actual: np.ndarray, scale: np.ndarray) -> Comparison:
    finite, any_output = np.isfinite(expected), np.isinf(scale)
    both = finite & np.isfinite(actual)
    difference = np.abs(np.where(both, actual, 0) - np.where(both, expected, 0))
    difference += np.where(np.isfinite(actual) == finite, 0, np.inf)
    difference = np.where(any_output, 0, difference)
    size = np.where(finite, np.abs(expected), 0)
    relative = difference / np.maximum(size, 1e-12)
    scaled = difference / np.where(any_output, 1, np.maximum(np.maximum(size, scale), TINY))
    return Comparison(
        float(difference.max()), float(relative.max()), float(scaled.max()), _equal_decisions(expected, actual, scale)
    )


def _equal_decisions(expected: np.ndarray, actual: np.ndarray, scale: np.ndarray) -> list[bool]:
    """For each row, whether the largest number of the last axis is in the same place.

    A row of a single number has no place to compare: it decides equally if the numbers are within the tolerance.
    """
    if expected.ndim > 1 and expected.shape[-1] > 1:
        return (actual.argmax(-1) == expected.argmax(-1)).ravel().tolist()
    bound = TOLERANCE * np.maximum(np.abs(expected), np.maximum(scale, TINY))
    with np.errstate(invalid="ignore"):
        close = (np.abs(actual - expected) <= bound) | (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    return close.ravel().tolist()


def output_scale(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The usual size of an output: the median size of its numbers that are not zero.

    Each place of the last axis is a column with a scale of its own, because columns may have different units. The
    whole output has one scale if its last axis is dynamic or its only one. The scale of an output that is always zero
    is 1.

    Args:
        outputs: the same output for different inputs.

    Example:
        >>> output_scale([np.array([[1e-6, 20.0], [3e-6, 10.0], [2e-6, 30.0]] * 3)])
        array([2.e-06, 2.e+01])
    """
    if outputs[0].dtype.kind != "f":
        return np.array(1.0)
    sizes = [np.abs(y.astype("float64")) for y in outputs]
    (whole,) = _median([y.reshape(-1, 1) for y in sizes], 1)
    if np.isnan(whole):
        return np.array(1.0)
    if min(y.ndim for y in sizes) < 2 or len({y.shape[-1] for y in sizes}) > 1:
        return np.array(whole)
    columns = _median([y.reshape(-1, y.shape[-1]) for y in sizes], MIN_VALUES)
    return np.where(np.isnan(columns), whole, columns)


def _median(tables: list[np.ndarray], min_values: int) -> np.ndarray:
    """The median of each column without zeros, NaN and infinity; NaN for a column with too few numbers."""
    table = np.concatenate(tables)
    table = np.sort(np.where((table > 0) & np.isfinite(table), table, np.inf), axis=0)
    count = np.isfinite(table).sum(axis=0)
    middle = np.take_along_axis(table, np.maximum(count - 1, 0)[None] // 2, axis=0)[0] if len(table) else np.inf
    return np.where(count >= min_values, middle, np.nan)
