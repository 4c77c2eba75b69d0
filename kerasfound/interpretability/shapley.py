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
MIXED = 1 << 15
"""Mixed rows in memory at once."""


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
    known = np.array(list(itertools.product((False, True), repeat=m)))  # a row for each subset
    worth = _worth(explained, rows, others, list(columns.values()), known)
    size, powers = known.sum(axis=1), 2 ** np.arange(m)[::-1]  # column j is the bit m - 1 - j of a subset's place
    phi = np.zeros((len(rows), m))
    for j in range(m):
        without = np.flatnonzero(~known[:, j])
        weight = [math.factorial(s) * math.factorial(m - s - 1) / math.factorial(m) for s in size[without]]
        phi[:, j] = weight @ (worth[without + powers[j]] - worth[without])
    return ShapleyValues(tuple(columns), phi, worth[0], worth[-1])


def _worth(
    explained: ExplainedOutput, rows: np.ndarray, others: np.ndarray, places: list[Sequence[int]], known: np.ndarray
) -> np.ndarray:
    """The worth of each subset of columns for each row, `(subsets, rows)`."""
    n, count = len(rows), len(others)
    is_known = np.zeros((len(known), rows.shape[1]), bool)  # of each place
    for j, group in enumerate(places):
        is_known[:, list(group)] = known[:, j, None]
    parts, size = [], max(1, MIXED // (n * count))
    for start in range(0, len(known), size):
        subsets = is_known[start : start + size, None, None]
        mixed = np.where(subsets, rows[None, :, None], others[None, None]).reshape(-1, rows.shape[1])
        target = np.tile(explained.target.repeat(count), len(subsets))
        parts.append(explained.values(mixed, target).reshape(len(subsets), n, count).mean(axis=2))
    return np.concatenate(parts)
