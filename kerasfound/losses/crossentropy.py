"""Losses of predicted probabilities: the cross-entropies and the Kullback-Leibler divergence."""

import math
import numbers

import keras
from keras import ops
from keras.src import backend  # only for `set_keras_mask`, which has no public name: JAX's tracers take no attribute

from .alignment import align, check_same_shape


def _check_options(from_logits=False, axis=-1):
    if not isinstance(from_logits, bool):
        raise ValueError(f"`from_logits` must be True or False, got {from_logits!r}.")
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise ValueError(f"`axis` must be an integer, got {axis!r}.")


def _check_range(**arguments):
    for name, (value, low, high) in arguments.items():
        if not isinstance(value, numbers.Real) or not low <= value <= high:
            raise ValueError(f"`{name}` must be a number in [{low}, {high}], got {value!r}.")


def _clipped(probabilities):
    """Clip away from 0 and 1, where a logarithm is infinite."""
    epsilon = keras.config.epsilon()
    return ops.clip(probabilities, epsilon, 1 - epsilon)


@keras.saving.register_keras_serializable(package="kerasfound")
class BinaryCrossentropy(keras.losses.Loss):
    r"""The negative log-likelihood of a binary label, given its predicted probability.

    With label $y$ in {0, 1} and probability $p$ = `y_pred`, over the $n$ entries of a row:

    $$L = -\frac{1}{n} \sum_i y_i \ln p_i + (1 - y_i) \ln (1 - p_i)$$

    With `from_logits`, `y_pred` is the log-odds $z$ and $p = \sigma(z)$; the same is computed without a logarithm of 0
    as $y_i \ln(1 + e^{-z_i}) + (1 - y_i) \ln(1 + e^{z_i})$.
    With `label_smoothing` $s$, $y$ becomes $y (1 - s) + s / 2$.

    Derivative: $\partial L / \partial z_i = (p_i - y_i) / n$.

    Shapes: both `(batch, ..., n)`; one loss for each `(batch, ...)`.   Units: nats.

    Args:
        from_logits: whether `y_pred` is log-odds. Defaults to `False`.
        label_smoothing: $s$, in [0, 1]. Defaults to `0.0`.
        axis: the entries of a row. Defaults to `-1`.
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"binary_crossentropy"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: if `label_smoothing` is outside [0, 1]; when called, if shapes differ in more than a last axis of 1.

    Example:
        >>> round(float(BinaryCrossentropy()(ops.array([[1.0]]), ops.array([[0.5]]))), 4)  # ln 2
        0.6931

    In practice: probabilities are clipped at 1e-7 and have no gradient beyond; logits have neither limit. On TensorFlow
    the loss uses the logits of a `sigmoid` instead of its output, as Keras does.

    Source: Good, "Rational decisions", 1952.
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        _check_options(from_logits, axis)
        _check_range(label_smoothing=(label_smoothing, 0, 1))
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true, y_pred):
        y, p = align(y_true, y_pred)
        y = y * (1 - self.label_smoothing) + self.label_smoothing / 2
        return ops.mean(_binary_crossentropy(y, p, self.from_logits), axis=self.axis)

    def get_config(self):
        return super().get_config() | {
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


def _logits_of(y_pred, from_logits):
    """Return the logits if they are known, as Keras's losses do.

    On TensorFlow the results of `ops.softmax` and `ops.sigmoid` keep their logits in an attribute.
    """
    if keras.backend.backend() == "tensorflow" and hasattr(y_pred, "_keras_logits"):
        return y_pred._keras_logits, True
    return y_pred, from_logits


def _binary_crossentropy(y, p, from_logits=False):
    z, from_logits = _logits_of(p, from_logits)
    if from_logits:
        return y * ops.softplus(-z) + (1 - y) * ops.softplus(z)
    p = _clipped(p)
    return -(y * ops.log(p) + (1 - y) * ops.log(1 - p))


@keras.saving.register_keras_serializable(package="kerasfound")
class CategoricalCrossentropy(keras.losses.Loss):
    r"""The negative log-likelihood of a class, given the predicted probabilities of all classes.

    With label $y$ (one-hot, or a distribution) and probabilities $p$ = `y_pred` over $k$ classes:

    $$L = -\sum_i y_i \ln p_i$$

    With `from_logits`, `y_pred` is the scores $z$ and $\ln p$ is `log_softmax(z)`. Without, $p$ is divided by its sum.
    With `label_smoothing` $s$, $y$ becomes $y (1 - s) + s / k$.

    Derivative: $\partial L / \partial z_i = p_i - y_i$.

    Shapes: both `(batch, ..., k)`; one loss for each `(batch, ...)`.   Units: nats.

    Args:
        from_logits: whether `y_pred` is scores. Defaults to `False`.
        label_smoothing: $s$, in [0, 1]. Defaults to `0.0`.
        axis: of the classes. Defaults to `-1`.
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"categorical_crossentropy"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: if `label_smoothing` is outside [0, 1]; when called, if the shapes differ.

    Example:
        >>> y, p = ops.array([[0.0, 1.0]]), ops.array([[0.75, 0.25]])
        >>> round(float(CategoricalCrossentropy()(y, p)), 4)  # ln 4
        1.3863

    In practice: probabilities are clipped at 1e-7 and have no gradient beyond; logits have neither limit. On TensorFlow
    the loss uses the logits of a `softmax` instead of its output, as Keras does.

    Source: Good, "Rational decisions", 1952; smoothing: Szegedy et al., "Rethinking the Inception architecture", 2016.
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        _check_options(from_logits, axis)
        _check_range(label_smoothing=(label_smoothing, 0, 1))
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true, y_pred):
        y, y_pred = align(y_true, y_pred)
        y = y * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[self.axis]
        return -ops.sum(y * _log_probabilities(y_pred, self.from_logits, self.axis), axis=self.axis)

    def get_config(self):
        return super().get_config() | {
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


def _log_probabilities(y_pred, from_logits, axis):
    y_pred, from_logits = _logits_of(y_pred, from_logits)
    if from_logits:
        return ops.log_softmax(y_pred, axis=axis)
    return ops.log(_clipped(y_pred / ops.sum(y_pred, axis=axis, keepdims=True)))


@keras.saving.register_keras_serializable(package="kerasfound")
class SparseCategoricalCrossentropy(keras.losses.Loss):
    r"""Categorical cross-entropy for labels that are class numbers instead of one-hot rows.

    With class $c$ = `y_true` and probabilities $p$ = `y_pred`:

    $$L = -\ln p_c$$

    With `from_logits`, `y_pred` is the scores $z$ and $\ln p$ is `log_softmax(z)`.

    Derivative: $\partial L / \partial z_i = p_i - [i = c]$.

    Shapes: `y_true` `(batch, ...)`, integers; `y_pred` `(batch, ..., k)`; one loss for each label.   Units: nats.

    Args:
        from_logits: whether `y_pred` is scores. Defaults to `False`.
        ignore_class: a label to leave out, such as that of padding, or `None`. Defaults to `None`.
        axis: of the classes. Defaults to `-1`.
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"sparse_categorical_crossentropy"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: when called, if the shape of `y_true` is not that of `y_pred` without the class axis.

    Example:
        >>> round(float(SparseCategoricalCrossentropy()(ops.array([1]), ops.array([[0.75, 0.25]]))), 4)  # ln 4
        1.3863

    In practice: the same numbers as one-hot labels, with less memory. A label outside 0..k-1 has no probability: its
    loss is NaN, and training on it makes all weights NaN.

    Source: Good, "Rational decisions", 1952.
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        _check_options(from_logits, axis)
        if ignore_class is not None and not isinstance(ignore_class, int):
            raise ValueError(f"`ignore_class` must be an integer or None, got {ignore_class!r}.")
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def call(self, y_true, y_pred):
        y_pred, y = ops.convert_to_tensor(y_pred), ops.convert_to_tensor(y_true)
        if len(y.shape) == len(y_pred.shape) and y.shape[self.axis] == 1:
            y = ops.squeeze(y, self.axis)
        check_same_shape(y.shape, [n for i, n in enumerate(y_pred.shape) if i != self.axis % len(y_pred.shape)])
        if self.ignore_class is not None:
            counted = y != self.ignore_class
            y_pred = ops.where(ops.expand_dims(counted, self.axis), y_pred, ops.ones_like(y_pred))
        c = ops.clip(ops.cast(y, "int32"), 0, y_pred.shape[self.axis] - 1)
        log_p = _log_probabilities(y_pred, self.from_logits, self.axis)
        loss = -ops.squeeze(ops.take_along_axis(log_p, ops.expand_dims(c, self.axis), self.axis), self.axis)
        is_class = y == ops.cast(c, y.dtype)
        loss = ops.where(is_class, loss, ops.full_like(loss, math.nan))
        if self.ignore_class is None:
            return loss
        loss = ops.where(counted, loss, ops.zeros_like(loss))
        backend.set_keras_mask(loss, counted)  # Keras's reduction averages over this mask
        return loss

    def get_config(self):
        return super().get_config() | {
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "axis": self.axis,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class BinaryFocalCrossentropy(keras.losses.Loss):
    r"""Binary cross-entropy with smaller weights for easy examples.

    With label $y$, probability $p$, $p_t = y p + (1 - y)(1 - p)$, $\gamma$ = `gamma`, over the $n$ entries of a row:

    $$L = -\frac{1}{n} \sum_i (1 - p_{t,i})^\gamma \ln p_{t,i}$$

    With `apply_class_balancing`, an entry weighs $\alpha$ = `alpha` where $y = 1$ and $1 - \alpha$ where $y = 0$.

    Shapes: both `(batch, ..., n)`; one loss for each `(batch, ...)`.   Units: nats.

    Args:
        apply_class_balancing: whether to weight the classes. Defaults to `False`.
        alpha: weight of class 1, in [0, 1]. Defaults to `0.25`.
        gamma: how much less easy examples count, at least 0; 0 is `BinaryCrossentropy`. Defaults to `2.0`.
        from_logits: whether `y_pred` is log-odds. Defaults to `False`.
        label_smoothing: $s$ in [0, 1]; $y$ becomes $y (1 - s) + s / 2$. Defaults to `0.0`.
        axis: the entries of a row. Defaults to `-1`.
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"binary_focal_crossentropy"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: if `alpha`, `gamma` or `label_smoothing` is out of range; when called, if the shapes differ.

    Example:
        >>> round(float(BinaryFocalCrossentropy()(ops.array([[1.0]]), ops.array([[0.5]]))), 4)  # ln 2 / 4
        0.1733

    In practice: for rare classes among many easy negatives. The predicted probabilities are badly calibrated.

    Source: Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", 2017.
    """

    def __init__(
        self,
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_focal_crossentropy",
        dtype=None,
    ):
        _check_options(from_logits, axis)
        _check_range(alpha=(alpha, 0, 1), gamma=(gamma, 0, math.inf), label_smoothing=(label_smoothing, 0, 1))
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true, y_pred):
        y, p = align(y_true, y_pred)
        y = y * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.from_logits:
            p = ops.sigmoid(p)
        p_t = y * p + (1 - y) * (1 - p)
        hard = ops.maximum(
            1 - p_t, keras.config.epsilon()
        )  # at 0 a power below 1 has an infinite slope, and 0 * inf is NaN
        loss = ops.power(hard, self.gamma) * _binary_crossentropy(y, p)
        if self.apply_class_balancing:
            loss = (y * self.alpha + (1 - y) * (1 - self.alpha)) * loss
        return ops.mean(loss, axis=self.axis)

    def get_config(self):
        return super().get_config() | {
            "apply_class_balancing": self.apply_class_balancing,
            "alpha": self.alpha,
            "gamma": self.gamma,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class CategoricalFocalCrossentropy(keras.losses.Loss):
    r"""Categorical cross-entropy with smaller weights for easy examples.

    With label $y$, probabilities $p$ over $k$ classes, $\alpha$ = `alpha` and $\gamma$ = `gamma`:

    $$L = -\sum_i \alpha_i (1 - p_i)^\gamma\, y_i \ln p_i$$

    Shapes: both `(batch, ..., k)`; one loss for each `(batch, ...)`.   Units: nats.

    Args:
        alpha: a number, or one for each class. Defaults to `0.25`.
        gamma: how much less easy examples count, at least 0. Defaults to `2.0`.
        from_logits: whether `y_pred` is scores. Defaults to `False`.
        label_smoothing: $s$ in [0, 1]; $y$ becomes $y (1 - s) + s / k$. Defaults to `0.0`.
        axis: of the classes. Defaults to `-1`.
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"categorical_focal_crossentropy"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: if `gamma` or `label_smoothing` is out of range; when called, if the shapes differ.

    Example:
        >>> y, p = ops.array([[0.0, 1.0]]), ops.array([[0.5, 0.5]])
        >>> round(float(CategoricalFocalCrossentropy()(y, p)), 4)  # ln 2 / 16
        0.0433

    In practice: as for `BinaryFocalCrossentropy`.

    Source: Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", 2017.
    """

    def __init__(
        self,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_focal_crossentropy",
        dtype=None,
    ):
        _check_options(from_logits, axis)
        _check_range(gamma=(gamma, 0, math.inf), label_smoothing=(label_smoothing, 0, 1))
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true, y_pred):
        y, y_pred = align(y_true, y_pred)
        y = y * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[self.axis]
        p = ops.softmax(y_pred, axis=self.axis) if self.from_logits else y_pred
        p = _clipped(p / ops.sum(p, axis=self.axis, keepdims=True))
        focus = ops.cast(self.alpha, p.dtype) * ops.power(1 - p, self.gamma)
        return -ops.sum(focus * y * ops.log(p), axis=self.axis)

    def get_config(self):
        return super().get_config() | {
            "alpha": self.alpha,
            "gamma": self.gamma,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class KLDivergence(keras.losses.Loss):
    r"""The extra nats that a code for $p$ needs when the true distribution is $y$.

    With distribution $y$ = `y_true` and prediction $p$ = `y_pred`:

    $$L = \sum_i y_i \ln \frac{y_i}{p_i}$$

    Derivative: $\partial L / \partial p_i = -y_i / p_i$.

    Shapes: both `(batch, ..., k)`; one loss for each `(batch, ...)`.   Units: nats.

    Args:
        reduction: as for `MeanSquaredError`. Defaults to `"sum_over_batch_size"`.
        name: of the loss. Defaults to `"kl_divergence"`.
        dtype: computed in. Defaults to Keras's float type.

    Raises:
        ValueError: when called with shapes that differ in more than a last axis of size 1.

    Example:
        >>> y, p = ops.array([[0.5, 0.5]]), ops.array([[0.25, 0.75]])
        >>> round(float(KLDivergence()(y, p)), 4)
        0.1438

    In practice: it is not symmetric: a class with $p = 0$ costs much, a class with $y = 0$ costs nothing. It differs
    from the cross-entropy by the entropy of $y$, which does not depend on the weights.

    Source: Kullback and Leibler, "On information and sufficiency", 1951.
    """

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        y, p = (ops.clip(x, keras.config.epsilon(), 1) for x in align(y_true, y_pred))
        return ops.sum(y * ops.log(y / p), axis=-1)
