"""Partial dependence: the mean output for each value of one column."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasfound.errors import UserError

from .explained_output import fitting, predicted

POINTS = 20


class PartialDependence(NamedTuple):
    """The outputs of the model with one column set to each value, over all rows."""

    values: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    """The 10% quantile over the rows."""
    high: np.ndarray
    """The 90% quantile."""


def partial_dependence(
    model: keras.Model, x: Any, place: int, target: int = 0, values: Sequence[float] | None = None
) -> PartialDependence:
    r"""The mean output when one column of all rows is set to a value.

    With rows $x^{(i)}$, output $f_c$ of class $c$ = `target` and the column $j$ = `place`:

    $$\bar f_j(v) = \frac{1}{n} \sum_i f_c(x^{(i)}_{-j},\, v)$$

    Shapes: `x` `(rows, features)`; all results `(values,)`.

    Args:
        model: a Keras model of encoded rows.
        x: rows, some hundred.
        place: $j$, of the column in an encoded row.
        target: $c$, the output. Defaults to `0`.
        values: the $v$. Defaults to the column's own values, or to 20 quantiles of them if they are more.

    Raises:
        UserError: if the rows do not fit the model, or there is no such place or output.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[3.0], [1.0]])])
        >>> partial_dependence(model, [[0.0, 10.0], [0.0, 20.0]], place=0, values=[1.0, 2.0]).mean.tolist()
        [18.0, 21.0]

    In practice: it averages over rows that may not exist where columns depend on each other. If the band between `low`
    and `high` is not parallel to the mean, the column acts together with others.

    Source: Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", 2001, section 8.2.
    """
    x = fitting(model, x)
    if x.ndim != 2 or not 0 <= place < x.shape[1]:
        raise UserError(f"`place` {place}: the rows have the shape {x.shape}; give the place of a column, from 0.")
    grid = _grid(x[:, place]) if values is None else np.asarray(values, "float32")
    curves = []
    for value in grid:
        changed = x.copy()
        changed[:, place] = value
        outputs = predicted(model, changed)
        if not 0 <= target < outputs.shape[-1]:
            raise UserError(f"`target` {target}: no such output; the model has {outputs.shape[-1]}, numbered from 0.")
        curves.append(outputs[:, target])
    outputs = np.array(curves, "float64")
    low, high = np.quantile(outputs, [0.1, 0.9], axis=1)
    return PartialDependence(grid, outputs.mean(axis=1), low, high)


def _grid(cells: np.ndarray) -> np.ndarray:
    """The values of a column without missing ones, or quantiles of them."""
    distinct = np.unique(cells[np.isfinite(cells)])
    if len(distinct) <= POINTS:
        return distinct
    return np.unique(np.nanquantile(cells, np.linspace(0.02, 0.98, POINTS)).astype("float32"))
