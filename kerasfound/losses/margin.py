"""Losses for a score whose sign is the predicted class."""

import keras
from keras import ops

from .alignment import align


@keras.saving.register_keras_serializable(package="kerasfound")
class PerceptronLoss(keras.losses.Loss):
    r"""The loss that Rosenblatt's rule minimizes: a score on the wrong side costs its distance from zero.

    With label $y$ in {-1, 1} and score $s$ = `y_pred`, over the $n$ entries of a row:

    $$L = \frac{1}{n} \sum_i \max(0, -y_i s_i)$$

    Derivative: $\partial L / \partial s_i = -y_i / n$ on the wrong side, 0 on the right one; a kink at 0.

    Shapes: both `(batch, ..., n)`; one loss for each `(batch, ...)`.

    Args:
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"perceptron_loss"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: when called with shapes that differ in more than a last axis of size 1.

    Example:
        >>> float(PerceptronLoss()(ops.array([[1.0], [-1.0]]), ops.array([[2.0], [3.0]])))  # (0 + 3) / 2
        1.5

    In practice: labels 0 and 1 are converted to -1 and 1. All weights 0 is a minimum too; `Hinge` has a margin against
    it.

    Source: Rosenblatt, "The perceptron: a probabilistic model", 1958.
    """

    def __init__(self, reduction="sum_over_batch_size", name="perceptron_loss", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        y, s = align(y_true, y_pred)
        return ops.mean(ops.relu(-_as_signs(y) * s), axis=-1)


@keras.saving.register_keras_serializable(package="kerasfound")
class Hinge(keras.losses.Loss):
    r"""A score costs its distance from the margin of 1 if it is on the wrong side or within the margin.

    With label $y$ in {-1, 1} and score $s$ = `y_pred`, over the $n$ entries of a row:

    $$L = \frac{1}{n} \sum_i \max(0, 1 - y_i s_i)$$

    Derivative: $\partial L / \partial s_i = -y_i / n$ within the margin, 0 beyond it; a kink where $y s = 1$.

    Shapes: both `(batch, ..., n)`; one loss for each `(batch, ...)`.

    Args:
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"hinge"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: when called with shapes that differ in more than a last axis of size 1.

    Example:
        >>> float(Hinge()(ops.array([[1.0], [-1.0]]), ops.array([[2.0], [0.5]])))  # (0 + 1.5) / 2
        0.75

    In practice: with weight decay, a support vector machine. Labels 0 and 1 are converted to -1 and 1.

    Source: Cortes and Vapnik, "Support-vector networks", 1995.
    """

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        y, s = align(y_true, y_pred)
        return ops.mean(ops.relu(1 - _as_signs(y) * s), axis=-1)


def _as_signs(y_true):
    """Return the labels as -1 and 1; labels 0 and 1 are converted, as Keras does."""
    zero_or_one = ops.all(ops.logical_or(y_true == 0, y_true == 1))
    return ops.where(zero_or_one, 2 * y_true - 1, y_true)
