"""Exact Shapley values: the one fair division of a prediction among the columns."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasfound.errors import UserError

from .explained_output import ExplainedOutput, Scale, fitting

MOST_COLUMNS = 10
"""Most columns: the number of predictions doubles with each."""


@dataclass(frozen=True)
class ShapleyValues:
    """The contribution of each column to the output of each row."""

    columns: tuple[str, ...]
    values: np.ndarray
    """`(rows, columns)`."""
    base: np.ndarray
    """`(rows,)`, the mean output over the background, without knowing the row."""
    output: np.ndarray
    """`(rows,)`, which is `base` plus the sum of the values."""


def shapley_values(
    model: keras.Model,
    x: Any,
    background: Any,
    columns: Mapping[str, Sequence[int]] | None = None,
    target: Any = None,
    scale: Scale = "auto",
) -> ShapleyValues:
    r"""The exact contribution of each column, over all subsets of the columns.

    With the columns $N$, the explained output $F$ and background rows $b$, a subset $S$ is worth

    $$v(S) = \operatorname{mean}_b F(x_S,\, b_{N \setminus S})$$

    and a column $j$ contributes the mean of what it adds, over all orders in which columns can be made known:

    $$\phi_j = \sum_{S \subseteq N \setminus \{j\}} \frac{|S|!\,(|N| - |S| - 1)!}{|N|!}
      \big(v(S \cup \{j\}) - v(S)\big)$$
    $$\sum_j \phi_j = F(x) - v(\emptyset)$$

    Shapes: `x` `(rows, features)`, `background` `(others, features)`; $\phi$ `(rows, columns)`.

    Args:
        model: a Keras model of encoded rows.
        x: the rows to explain.
        background: rows that say what is usual, 20 to 100 of the training rows.
        columns: the places of each column in an encoded row, at most 10 columns. Defaults to one for each place.
        target: a class for all rows or for each row. Defaults to the predicted class.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Raises:
        UserError: if there are more than 10 columns, or the rows do not fit the model.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0], [-3.0]])])
        >>> found = shapley_values(model, [[5.0, 7.0]], background=[[1.0, 1.0], [3.0, 1.0]])
        >>> found.values.round(4).tolist(), found.base.round(4).tolist()  # weight times (value - mean)
        ([[6.0, -18.0]], [1.0])

    In practice: it costs $2^{|N|}$ predictions for each row and background row. With more columns, put those of little
    importance into one group of places. Background rows are mixed with the row as if columns were independent: mixed
    rows may be impossible.

    Source: Shapley, "A Value for n-Person Games", 1953; Lundberg and Lee, "A Unified Approach to Interpreting Model
    Predictions", 2017.
    """
    explained = ExplainedOutput(model, x, target, scale)
    rows, others = explained.x, fitting(model, background)
    if rows.ndim != 2:
        raise UserError(f"Shapley values are for tables (rows, features), got an input of {rows.shape}.")
    columns = columns or {f"column {place + 1}": [place] for place in range(rows.shape[1])}
    m = len(columns)
    if m > MOST_COLUMNS:
        raise UserError(
            f"{m} columns need {2**m:,} times as many predictions; give at most {MOST_COLUMNS} in `columns`, some of "
            "them as one group of places."
        )
    worth = _worth(explained, rows, others, [list(places) for places in columns.values()])
    phi = np.zeros((len(rows), m))
    for subset in itertools.product((0, 1), repeat=m):
        size = sum(subset)
        for j in (j for j in range(m) if not subset[j]):
            weight = math.factorial(size) * math.factorial(m - size - 1) / math.factorial(m)
            phi[:, j] += weight * (worth[(*subset[:j], 1, *subset[j + 1 :])] - worth[subset])
    return ShapleyValues(tuple(columns), phi, worth[(0,) * m], worth[(1,) * m])


def _worth(
    explained: ExplainedOutput, rows: np.ndarray, others: np.ndarray, places: list[list[int]]
) -> dict[tuple[int, ...], np.ndarray]:
    """The worth of each subset of columns for each row."""
    n, count = len(rows), len(others)
    target = explained.target.repeat(count)
    worth = {}
    for subset in itertools.product((0, 1), repeat=len(places)):
        mixed = np.tile(others, (n, 1))
        known = [place for group, is_known in zip(places, subset, strict=True) if is_known for place in group]
        mixed[:, known] = rows.repeat(count, axis=0)[:, known]
        worth[subset] = explained.values(mixed, target).reshape(n, count).mean(axis=1)
    return worth
