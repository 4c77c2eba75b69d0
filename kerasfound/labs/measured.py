"""A number measured with several seeds: its mean, and an interval that comparisons respect."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kerasfound import _lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""Student's t for 97.5%, with 1, 2, ... degrees of freedom."""
NORMAL_QUANTILE = 1.96


@dataclass(frozen=True)
class Measured:
    r"""A mean with a 95% interval.

    For values $v_1 \dots v_n$ of $n$ seeds with standard deviation $s$ the interval is
    $\bar v \pm t_{n-1} s / \sqrt{n}$, with Student's $t$.

    Args:
        mean: the mean of the values.
        low: the lower end of the interval.
        high: the upper end of the interval.
        values: one value for each seed, in the order of the seeds; empty for a share.

    Example:
        >>> accuracy = Measured.over([0.90, 0.92, 0.91])
        >>> print(accuracy)
        0.91 [0.885, 0.935]
        >>> accuracy.above(0.8), accuracy.above(0.95), accuracy.above(0.9)
        (True, False, None)
    """

    mean: float
    low: float
    high: float
    values: tuple[float, ...] = ()

    @classmethod
    def over(cls, values: Iterable[float]) -> Measured:
        """The mean over seeds. Where a value is not finite, the interval is the range of the values."""
        v = tuple(float(value) for value in values)
        if not v:
            raise ValueError("`values` must hold at least one number, got none.")
        if not all(map(math.isfinite, v)):
            return cls(v[0] if len(set(v)) == 1 else math.nan, *_range(v), v)
        mean = math.fsum(v) / len(v)
        if len(v) == 1:
            return cls(mean, mean, mean, v)
        s = math.sqrt(math.fsum((value - mean) ** 2 for value in v) / (len(v) - 1))
        t = T_QUANTILES[len(v) - 2] if len(v) - 2 < len(T_QUANTILES) else NORMAL_QUANTILE
        half = t * s / math.sqrt(len(v))
        return cls(mean, mean - half, mean + half, v)

    @classmethod
    def share(cls, successes: int, trials: int) -> Measured:
        """The share of trials that succeed, with Wilson's interval.

        Example:
            >>> print(Measured.share(9, 10))
            0.9 [0.596, 0.982]
        """
        z, n, p = NORMAL_QUANTILE, trials, successes / trials
        center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        return cls(p, max(center - half, 0.0), min(center + half, 1.0))

    def above(self, other: Measured | float) -> bool | None:
        """Whether it is larger; None where the intervals do not decide.

        Two numbers of the same seeds are compared seed by seed.
        """
        if isinstance(other, Measured):
            if self.values and len(self.values) == len(other.values) and self._finite() and other._finite():
                return (self - other).above(0.0)
            low, high = other.low, other.high
        else:
            low = high = float(other)
        return True if self.low > high else False if self.high <= low else None

    def below(self, other: Measured | float) -> bool | None:
        """Whether it is smaller; None where the intervals do not decide."""
        return (-self).above(-other)

    def within(self, low: float, high: float) -> bool | None:
        """Whether the interval lies between `low` and `high`; None where it contains one of them."""
        return all_of(self.above(low), self.below(high))

    def __neg__(self) -> Measured:
        return Measured(-self.mean, -self.high, -self.low, tuple(-value for value in self.values))

    def __sub__(self, other: Measured) -> Measured:
        """The difference, seed by seed."""
        return Measured.over(a - b for a, b in zip(self.values, other.values, strict=True))

    def __truediv__(self, other: Measured) -> Measured:
        """The ratio, seed by seed."""
        return Measured.over(a / b if b else math.inf for a, b in zip(self.values, other.values, strict=True))

    def __str__(self) -> str:
        if self.low == self.high:
            return significant(self.mean)
        return f"{significant(self.mean)} [{significant(self.low)}, {significant(self.high)}]"

    def _finite(self) -> bool:
        return all(map(math.isfinite, self.values))


def all_of(*decisions: bool | None) -> bool | None:
    """Whether all are true; None where one is undecided and none is false.

    Example:
        >>> all_of(True, None), all_of(False, None)
        (None, False)
    """
    return False if False in decisions else None if None in decisions else True


def significant(number: float) -> str:
    """Three significant digits, without an exponent where that is short.

    Example:
        >>> significant(0.25), significant(0.98765), significant(51200.0), significant(3.1e-10)
        ('0.25', '0.988', '51,200', '3.1e-10')
    """
    if abs(number) >= 1000 and math.isfinite(number) and abs(number) < 1e9:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def _range(values: Sequence[float]) -> tuple[float, float]:
    if any(map(math.isnan, values)):
        return -math.inf, math.inf
    return min(values), max(values)
