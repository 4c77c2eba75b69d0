"""Softmax and its logarithm as layers; each calls the function of `kerasfound.activations`."""

import keras
from keras import ops

from kerasfound import activations

from .activation import ActivationLayer


@keras.saving.register_keras_serializable(package="kerasfound")
class Softmax(keras.layers.Softmax):
    r"""Turn scores into probabilities: `kerasfound.activations.softmax` as a layer, with a mask.

    $$p_i = \frac{m_i\, e^{x_i}}{\sum_j m_j\, e^{x_j}}$$

    with $m_i$ = 1 where `mask` is true, or where there is none, else 0. Where everything is masked, all $p_i$ are 0.

    Derivative: $\partial p_i / \partial x_j = p_i (\delta_{ij} - p_j)$.

    Shapes: any; kept. `mask` is broadcast to it.

    Args:
        axis: the axis, or a list of axes, that sums to 1. Defaults to `-1`.
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: if there is no such axis, or `mask` does not broadcast to the shape of the inputs.

    Example:
        >>> x, mask = ops.array([1.0, 2.0, 3.0]), ops.array([True, True, False])
        >>> [round(float(p), 4) for p in Softmax()(x, mask=mask)]
        [0.2689, 0.7311, 0.0]

    In practice: for the last layer of a classifier with classes that exclude each other, and for attention.

    Source: Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.
    """

    def call(self, inputs, mask=None):
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        if mask is None:
            return activations.softmax(inputs, axis)
        self._check_mask(mask, inputs)
        m = ops.cast(mask, inputs.dtype) > 0.5
        far_below = -3e4 if inputs.dtype == "float16" else -1e9  # with -inf a row that is all masked would be NaN
        p = activations.softmax(ops.where(m, inputs, far_below), axis)
        return ops.where(m, p, 0.0)

    def _check_mask(self, mask, inputs):
        pairs = zip(reversed(mask.shape), reversed(inputs.shape), strict=False)
        fits = all(m in (1, None, x) or x is None for m, x in pairs)
        if len(mask.shape) > len(inputs.shape) or not fits:
            raise ValueError(
                f"`mask` must broadcast to the shape of the inputs, {tuple(inputs.shape)}, got {tuple(mask.shape)}."
            )


@keras.saving.register_keras_serializable(package="kerasfound")
class LogSoftmax(ActivationLayer):
    r"""The logarithm of softmax: `kerasfound.activations.log_softmax` as a layer.

    $$y_i = x_i - \log \sum_j e^{x_j}$$

    Derivative: $\partial y_i / \partial x_j = \delta_{ij} - e^{y_j}$.

    Shapes: any; kept.

    Args:
        axis: the axis, or a list of axes, over which $e^y$ sums to 1. Defaults to `-1`.
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: if the inputs have no such axis.

    Example:
        >>> [round(float(y), 4) for y in LogSoftmax()(ops.array([0.0, 200.0]))]
        [-200.0, 0.0]

    In practice: for a model whose output is log-probabilities. For a loss with `from_logits=True` output the scores.

    Source: Goodfellow, Bengio and Courville, "Deep Learning", section 6.2.2.3, 2016.
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        return activations.log_softmax(inputs, axis)

    def get_config(self):
        return super().get_config() | {"axis": self.axis}
