"""The difference between two outputs, and how large it may be."""

from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-5
"""Largest allowed scaled difference; sums of float32 numbers in another order stay below it."""


class Comparison(NamedTuple):
    """The difference between an output and the expected one.

    `max_scaled` is the number to compare with the tolerance: each difference is divided by one plus the largest
    expected number of its row.
    """

    max_absolute: float
    max_relative: float
    max_scaled: float
    equal_decisions: list[bool]

    def __str__(self) -> str:
        if np.isfinite(self.max_absolute):
            return f"by up to {self.max_absolute:.3g}"
        differing = len(self.equal_decisions) - sum(self.equal_decisions)
        return f"in {differing} of {len(self.equal_decisions)} places" if differing else "by NaN or infinity"


def compare(expected: np.ndarray, actual: np.ndarray) -> Comparison:
    """Compare floating-point outputs by their size; outputs of any other type must be equal.

    Where the expected output is NaN or infinite, the actual one must be NaN or infinite too: either of them.

    Example:
        >>> compare(np.array([[0.0, 3.0]]), np.array([[0.0, 3.5]]))
        Comparison(max_absolute=0.5, max_relative=0.16666666666666666, max_scaled=0.125, equal_decisions=[True])
    """
    if actual.shape != expected.shape:
        return Comparison(np.inf, np.inf, np.inf, [False])
    if not expected.size:
        return Comparison(0.0, 0.0, 0.0, [True])
    if expected.dtype.kind != "f":
        equal = actual == expected
        difference = 0.0 if equal.all() else np.inf
        return Comparison(difference, difference, difference, equal.ravel().tolist())
    return _compare_floats(expected.astype("float64"), actual.astype("float64"))


def _compare_floats(expected: np.ndarray, actual: np.ndarray) -> Comparison:
    finite = np.isfinite(expected)
    both = finite & np.isfinite(actual)
    difference = np.abs(np.where(both, actual, 0) - np.where(both, expected, 0))
    difference += np.where(np.isfinite(actual) == finite, 0, np.inf)
    magnitude = np.where(finite, np.abs(expected), 0)
    relative = difference / np.maximum(magnitude, 1e-12)
    scaled = difference / (1 + magnitude.max(axis=tuple(range(1, expected.ndim)), keepdims=True))
    return Comparison(
        float(difference.max()), float(relative.max()), float(scaled.max()), _equal_decisions(expected, actual)
    )


def _equal_decisions(expected: np.ndarray, actual: np.ndarray) -> list[bool]:
    """For each row, whether the largest number of the last axis is in the same place.

    A row of a single number has no place to compare: it decides equally if the numbers are within the tolerance.
    """
    if expected.ndim > 1 and expected.shape[-1] > 1:
        return (actual.argmax(-1) == expected.argmax(-1)).ravel().tolist()
    return np.isclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).ravel().tolist()
