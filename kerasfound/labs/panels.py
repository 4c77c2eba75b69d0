"""A lab's figure as data: panels of lines, points, bars and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kerasfound import _lazy

from .measured import Measured

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")


@dataclass(frozen=True)
class Series:
    """One curve, cloud of points or group of bars. `low` and `high` are the ends of its intervals."""

    x: Sequence[Any] | np.ndarray
    y: Sequence[float] | np.ndarray
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    @classmethod
    def of(cls, x: Sequence[Any], measured: Sequence[Measured]) -> Series:
        """A series of means with their intervals."""
        return cls(
            list(x),
            [number.mean for number in measured],
            [number.low for number in measured],
            [number.high for number in measured],
        )

    @classmethod
    def mean(cls, x: Sequence[Any], runs: Any) -> Series:
        """A curve for each seed, as its mean and interval: `runs` has the shape `(seeds, len(x))`."""
        return cls.of(x, [Measured.over(column) for column in np.asarray(runs).T])


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Args:
        title: what it shows, in a few words.
        x: the label of the horizontal axis, with its unit.
        y: the label of the vertical axis, with its unit.
        series: the data by name; the legend has the names.
        kind: how to draw all series: "line", "points", or "bars" (whose x are names).
        log: the axes with a logarithmic scale: "", "x", "y" or "xy".
        image: a matrix to draw instead of, or under, the series.
        extent: left, right, bottom and top of the image, in units of the axes.
        marks: vertical lines by name.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Series]
    kind: Literal["line", "points", "bars"] = "line"
    log: Literal["", "x", "y", "xy"] = ""
    image: Any = None
    extent: tuple[float, float, float, float] | None = None
    marks: Mapping[str, float] | None = None
