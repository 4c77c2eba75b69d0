"""Losses for regression: squared error, absolute error, and Huber's mixture of both."""

import numbers

import keras
from keras import ops

from .alignment import align


@keras.saving.register_keras_serializable(package="kerasfound")
class MeanSquaredError(keras.losses.Loss):
    r"""The mean of the squared errors; the mean of the targets minimizes it.

    With target $y$ = `y_true` and prediction $\hat y$ = `y_pred`, over the $n$ entries of a row:

    $$L = \frac{1}{n} \sum_i (y_i - \hat y_i)^2$$

    Derivative: $\partial L / \partial \hat y_i = 2 (\hat y_i - y_i) / n$.

    Shapes: both `(batch, ..., n)`; one loss for each `(batch, ...)`.

    Units: those of the target, squared.

    Args:
        reduction: `"sum_over_batch_size"`, `"sum"`, `"mean"`, `"mean_with_sample_weight"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"mean_squared_error"`.
        dtype: computed in; a dtype or policy. Defaults to Keras's float type.

    Raises:
        ValueError: when called with shapes that differ in more than a last axis of size 1.

    Example:
        >>> float(MeanSquaredError()(ops.array([[1.0, 2.0]]), ops.array([[1.0, 5.0]])))
        4.5

    In practice: the maximum likelihood of normal errors. An outlier counts with its square: see `Huber`.

    Source: Legendre, "Nouvelles méthodes pour la détermination des orbites des comètes", 1805.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        y, y_hat = align(y_true, y_pred)
        return ops.mean(ops.square(y - y_hat), axis=-1)


@keras.saving.register_keras_serializable(package="kerasfound")
class MeanAbsoluteError(keras.losses.Loss):
    r"""The mean of the absolute errors; the median of the targets minimizes it.

    With target $y$ = `y_true` and prediction $\hat y$ = `y_pred`, over the $n$ entries of a row:

    $$L = \frac{1}{n} \sum_i |y_i - \hat y_i|$$

    Derivative: $\partial L / \partial \hat y_i = \operatorname{sign}(\hat y_i - y_i) / n$, with a kink at 0.

    Shapes: both `(batch, ..., n)`; one loss for each `(batch, ...)`.

    Units: those of the target.

    Args:
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"mean_absolute_error"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: when called with shapes that differ in more than a last axis of size 1.

    Example:
        >>> float(MeanAbsoluteError()(ops.array([[1.0, 2.0]]), ops.array([[1.0, 5.0]])))
        1.5

    In practice: an outlier counts in proportion to its error, not its square. The gradient does not shrink near the
    target, so the learning rate has to fall.

    Source: Boscovich, "De litteraria expeditione per pontificiam ditionem", 1757.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        y, y_hat = align(y_true, y_pred)
        return ops.mean(ops.abs(y - y_hat), axis=-1)


@keras.saving.register_keras_serializable(package="kerasfound")
class Huber(keras.losses.Loss):
    r"""Squared error near the target, absolute error away from it.

    With error $e = y - \hat y$ and $\delta$ = `delta`, over the $n$ entries of a row:

    $$L = \frac{1}{n} \sum_i \begin{cases} e_i^2 / 2 & |e_i| \le \delta \\
    \delta\,|e_i| - \delta^2 / 2 & \text{else} \end{cases}$$

    Derivative: $\partial L / \partial \hat y_i = -e_i / n$ near the target; away from it,
        $-\delta \operatorname{sign}(e_i) / n$.

    Shapes: both `(batch, ..., n)`; one loss for each `(batch, ...)`.

    Args:
        delta: the error at which the square turns into a straight line, above 0. Defaults to `1.0`.
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"huber_loss"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: if `delta` is not above 0; when called, if shapes differ in more than a last axis of size 1.

    Example:
        >>> float(Huber()(ops.array([[0.0, 0.0]]), ops.array([[1.0, 3.0]])))  # (1/2 + 2.5) / 2
        1.5

    In practice: for targets with outliers. Choose `delta` near the size of a typical error.

    Source: Huber, "Robust estimation of a location parameter", 1964.
    """

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        if not isinstance(delta, numbers.Real) or not delta > 0:
            raise ValueError(f"`delta` must be a number above 0, got {delta!r}.")
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.delta = delta

    def call(self, y_true, y_pred):
        y, y_hat = align(y_true, y_pred)
        delta, e = self.delta, ops.abs(y - y_hat)
        return ops.mean(ops.where(e <= delta, 0.5 * ops.square(e), delta * e - 0.5 * delta**2), axis=-1)

    def get_config(self):
        return super().get_config() | {"delta": self.delta}
