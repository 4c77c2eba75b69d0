"""Temperature scaling: make probabilities as high as the accuracy, without changing a decision."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kerasfound.errors import UserError

from .explained_output import TINY

HOTTEST = 100.0


class Calibration(NamedTuple):
    """Predicted probability and accuracy in groups of rows."""

    confidence: np.ndarray
    """Mean probability of the predicted class."""
    accuracy: np.ndarray
    rows: np.ndarray
    """Number of rows in each group."""

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of accuracy and probability, weighted by rows."""
        return float(np.sum(self.rows * np.abs(self.accuracy - self.confidence)) / self.rows.sum())


def calibration(probabilities: Any, y: Any, groups: int = 15) -> Calibration:
    r"""The calibration curve, and the expected calibration error (ECE).

    With groups $B_g$ of equal width of the predicted probability, their accuracy and their mean probability:

    $$\mathrm{ECE} = \sum_g \frac{|B_g|}{n}\, \big|\mathrm{acc}(B_g) - \mathrm{conf}(B_g)\big|$$

    Shapes: `probabilities` `(rows, classes)`, `y` `(rows,)`.

    Args:
        probabilities: of a model.
        y: the true classes.
        groups: number of groups. Defaults to `15`.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.9, 0.1]])  # 90% sure, right in half of the rows
        >>> round(calibration(p, [0, 1]).error, 2)
        0.4

    In practice: an ECE of few rows is too high: chance alone keeps accuracy and probability apart.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.
    """
    p, y = _checked(probabilities, y)
    sure, right = p.max(-1), p.argmax(-1) == y
    group = np.minimum((sure * groups).astype(int), groups - 1)
    rows = np.bincount(group, minlength=groups)
    used = rows > 0
    confidence, accuracy = (
        np.bincount(group, weights=values, minlength=groups)[used] / rows[used] for values in (sure, right)
    )
    return Calibration(confidence, accuracy, rows[used])


@dataclass(frozen=True)
class Temperature:
    """A temperature, and what it does to the rows it was fitted on."""

    value: float
    before: Calibration
    after: Calibration

    def scale(self, probabilities: Any) -> np.ndarray:
        """Other probabilities of the same model at this temperature."""
        return scaled(probabilities, self.value)


def temperature_scaling(probabilities: Any, y: Any) -> Temperature:
    r"""One number that divides all logits, chosen by the cross-entropy.

    With the probabilities $p$ of a model and $\beta = 1 / T$:

    $$q_k = \frac{p_k^{\beta}}{\sum_l p_l^{\beta}} = \mathrm{softmax}(\log p / T)_k, \qquad
      T = \arg\min_T -\frac{1}{n} \sum_i \log q^{(i)}_{y^{(i)}}$$

    The cross-entropy is convex in $\beta$: its derivative
    $\operatorname{mean}_i(\sum_k q_k \log p_k - \log p_{y^{(i)}})$ rises with $\beta$, and bisection finds its zero.

    Shapes: `probabilities` `(rows, classes)`, `y` `(rows,)`.

    Range: $T$ in 0.01 to 100; above 1 the model was too sure.

    Args:
        probabilities: of a model, for rows that it was not trained on and is not tested on.
        y: the true classes.

    Returns:
        A `Temperature`: its `value`, the calibration `before` and `after`, and `scale` for other rows.

    Raises:
        UserError: if the probabilities or classes do not fit, or no temperature is the best: if all rows are predicted
            right, each lower temperature has a smaller cross-entropy.

    Example:
        >>> p = np.array([[0.99, 0.01]] * 4)  # 99% sure, right in three of four rows
        >>> found = temperature_scaling(p, [0, 0, 0, 1])
        >>> round(float(found.scale(p)[0, 0]), 3)
        0.75

    In practice: the largest probability stays the largest, so accuracy cannot change. It mends a model that is too sure
    everywhere; it cannot mend one that is too sure about some classes only, or on other data than these.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    p, y = _checked(probabilities, y)
    z = np.log(np.maximum(p, TINY))

    def slope(beta: float) -> float:
        q = scaled(p, 1 / beta)
        return float((q * z).sum(-1).mean() - z[np.arange(len(y)), y].mean())

    low, high = np.log(1 / HOTTEST), np.log(HOTTEST)
    if slope(np.exp(low)) > 0 or slope(np.exp(high)) <= 0:
        share = (p.argmax(-1) == y).mean()
        raise UserError(
            f"{share:.0%} of the {len(y)} rows are predicted right: no temperature fits them best; give more rows."
        )
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(np.exp(middle)) > 0 else (middle, high)
    value = float(np.exp(-(low + high) / 2))
    return Temperature(value, calibration(p, y), calibration(scaled(p, value), y))


def scaled(probabilities: Any, temperature: float) -> np.ndarray:
    """The probabilities with the logits divided by the temperature."""
    z = np.log(np.maximum(np.asarray(probabilities, "float64"), TINY)) / temperature
    q = np.exp(z - z.max(axis=-1, keepdims=True))
    return q / q.sum(axis=-1, keepdims=True)


def _checked(probabilities: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    p, y = np.asarray(probabilities, "float64"), np.asarray(y)
    if p.ndim != 2 or p.shape[1] < 2 or len(p) != len(y) or not len(p):
        raise UserError(f"expected probabilities (rows, classes) and a class for each row, got {p.shape}, {y.shape}.")
    if p.min() < 0 or not np.allclose(p.sum(-1), 1, atol=1e-2):
        raise UserError("the probabilities of each row must be at least 0 and sum to 1; apply a softmax to logits.")
    return p, y.astype(int)
