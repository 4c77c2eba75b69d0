"""How far one answer is from another, and how far it may be."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    pass

TOLERANCE = 1e-5
"""Allowed difference, times one plus the largest expected number of a row; float32 sums in another order stay below."""


class Difference(NamedTuple):
    """How far an answer is from the expected one; `worst` is what the tolerance is held against."""

    absolute: float
    relative: float
    worst: float
    equal: list[bool]

    def __str__(self) -> str:
        if np.isfinite(self.absolute):
            return f"by up to {self.absolute:.3g}"
        differing = len(self.equal) - sum(self.equal)
        return f"in {differing} of {len(self.equal)} places" if differing else "by NaN or infinity"


def difference(expected: np.ndarray, answer: np.ndarray) -> Difference:
    """How far `answer` is off. Numbers are held against the largest of their row; anything else must be the same.

    Where the model itself answers NaN or infinity, so must the file, one or the other.

    Example:
        >>> difference(np.array([[0.0, 3.0]]), np.array([[0.0, 3.5]]))
        Difference(absolute=0.5, relative=0.16666666666666666, worst=0.125, equal=[True])
    """
    if answer.shape != expected.shape:
        return Difference(np.inf, np.inf, np.inf, [False])
    if not expected.size:
        return Difference(0.0, 0.0, 0.0, [True])
    if expected.dtype.kind != "f":
        same = answer == expected
        apart = 0.0 if same.all() else np.inf
        return Difference(apart, apart, apart, same.ravel().tolist())
    y, found = expected.astype("float64"), answer.astype("float64")
    finite = np.isfinite(y)
    size = np.where(finite, np.abs(y), 0)
    both = finite & np.isfinite(found)
    apart = np.abs(np.where(both, found, 0) - np.where(both, y, 0)) + np.where(np.isfinite(found) == finite, 0, np.inf)
    scale = 1 + size.max(axis=tuple(range(1, y.ndim)), keepdims=True)
    relative = apart / np.maximum(size, 1e-12)
    return Difference(float(apart.max()), float(relative.max()), float((apart / scale).max()), _decided(y, found))


def _decided(y: np.ndarray, found: np.ndarray) -> list[bool]:
    """Whether the largest number of the last axis is in the same place; of a single number, whether it is as near."""
    if y.ndim > 1 and y.shape[-1] > 1:
        return (found.argmax(-1) == y.argmax(-1)).ravel().tolist()
    return np.isclose(found, y, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).ravel().tolist()
