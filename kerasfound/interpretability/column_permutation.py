"""Permutation importance: how much worse a model gets when one column of its table is shuffled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasfound.errors import UserError

from .explained_output import TINY, fitting, predicted


class Importance(NamedTuple):
    """The increase of the loss by shuffling one column."""

    column: str
    mean: float
    low: float
    """The smallest increase over the repeats."""
    high: float
    """The largest."""


def permutation_importance(
    model: keras.Model,
    x: Any,
    y: Any,
    columns: Mapping[str, Sequence[int]] | None = None,
    loss: Callable[[np.ndarray, np.ndarray], float] | None = None,
    repeats: int = 5,
    seed: int = 0,
) -> list[Importance]:
    r"""The increase of the loss when a column is shuffled, the largest first.

    With rows $x^{(i)}$, targets $y^{(i)}$, outputs $f$, the loss $\ell$ and a random permutation $\pi$ of the rows in
    the places of column $j$ only:

    $$I_j = \frac{1}{n} \sum_i \Big( \ell\big(y^{(i)}, f(x^{(i)}_{-j},\, x^{(\pi(i))}_j)\big)
      - \ell\big(y^{(i)}, f(x^{(i)})\big) \Big)$$

    Shapes: `x` `(rows, features)`, `y` `(rows,)`.

    Args:
        model: a Keras model of encoded rows.
        x: rows that the model was not trained on.
        y: their targets: classes or numbers.
        columns: the places of each column in an encoded row. Defaults to one column for each place.
        loss: of outputs and targets. Defaults to cross-entropy for classes, to the mean squared error for one output.
        repeats: number of permutations, at least 1. Defaults to `5`.
        seed: of the permutations. Defaults to `0`.

    Raises:
        UserError: if the rows and targets do not fit, or `repeats` is below 1.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[3.0], [0.0]])])
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> [(one.column, round(one.mean)) for one in permutation_importance(model, x, 3 * x[:, 0])]
        [('column 1', 18), ('column 2', 0)]

    In practice: of two columns that say the same, each looks unimportant, because the model still has the other. A
    shuffled row may be impossible (a child with a pension). It measures what this model uses, not what matters.

    Source: Breiman, "Random Forests", 2001; for any model: Fisher, Rudin and Dominici, "All Models are Wrong, but Many
    are Useful", 2019.
    """
    x, y = fitting(model, x), np.asarray(y)
    if x.ndim != 2 or len(x) != len(y):
        raise UserError(f"`x` must be (rows, features) with a target `y` for each row, got {x.shape} and {y.shape}.")
    if repeats < 1:
        raise UserError(f"`repeats` must be at least 1, got {repeats}.")
    columns = columns or {f"column {place + 1}": [place] for place in range(x.shape[1])}
    outputs = predicted(model, x)
    loss = loss or (cross_entropy if outputs.shape[-1] > 1 else squared_error)
    before, rng = loss(outputs, y), np.random.default_rng(seed)
    found = []
    for name, places in columns.items():
        increases = []
        for _ in range(repeats):
            shuffled = x.copy()
            shuffled[:, list(places)] = x[rng.permutation(len(x))][:, list(places)]
            increases.append(loss(predicted(model, shuffled), y) - before)
        found.append(Importance(name, float(np.mean(increases)), min(increases), max(increases)))
    return sorted(found, key=lambda one: -one.mean)


def cross_entropy(outputs: np.ndarray, y: np.ndarray) -> float:
    """The mean negative logarithm of the probability of the true class."""
    return float(-np.log(np.maximum(outputs[np.arange(len(y)), y.astype(int)], TINY)).mean())


def squared_error(outputs: np.ndarray, y: np.ndarray) -> float:
    """The mean squared difference."""
    return float(np.square(outputs[:, 0].astype("float64") - y).mean())
