"""Normalization: values with mean 0 and variance 1, over the batch, over the features, or by their size alone."""

import keras
from keras import ops


def _float32_or_more(x):
    """Sums over many half-precision values overflow and lose digits: mean and variance want float32."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


@keras.saving.register_keras_serializable(package="kerasfound")
class BatchNormalization(keras.layers.BatchNormalization):
    r"""Each feature with mean 0 and variance 1 over the batch, then scaled and shifted by learned numbers.

    With $\mu, \sigma^2$ the mean and variance of a feature over the batch (and over height and width of an image),
    $\gamma$ = `gamma`, $\beta$ = `beta`, $\epsilon$ = `epsilon`:

    $$y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$

    While training, running means with $\rho$ = `momentum` are kept, and outside training they stand for $\mu, \sigma^2$:

    $$\hat\mu \leftarrow \rho\, \hat\mu + (1 - \rho)\, \mu, \qquad
      \hat\sigma^2 \leftarrow \rho\, \hat\sigma^2 + (1 - \rho)\, \sigma^2$$

    With a mask, $\mu$ and $\sigma^2$ are taken over the unmasked positions only.

    Derivative: with $\hat x = (x - \mu) / \sqrt{\sigma^2 + \epsilon}$ and $g = \partial L / \partial y$, while training:
        $\partial L / \partial x = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
        (g - \mathrm{mean}(g) - \hat x\, \mathrm{mean}(g \hat x))$: the parts of $g$ that would only shift or scale are removed.

    Shapes: any with a channel `axis`; the four weights $\gamma, \beta, \hat\mu, \hat\sigma^2$ are `(channels,)`.

    Args:
        axis: the axis of the features. Defaults to `-1`.
        momentum: $\rho$, in [0, 1]. Defaults to `0.99`.
        epsilon: $\epsilon$, not negative. Defaults to `1e-3`.
        center: whether to add $\beta$. Defaults to `True`.
        scale: whether to multiply by $\gamma$. Defaults to `True`.
        **kwargs: as for `keras.layers.BatchNormalization`: initializers, regularizers, constraints, `synchronized`
            (mean and variance over all devices; TensorFlow only; defaults to `False`), `renorm` (Keras's own `call`).

    Raises:
        ValueError: if `axis` is not an integer, `momentum` is outside [0, 1], `epsilon` is negative, or a mask does not
            have one axis less than the input.

    Example:
        >>> layer = BatchNormalization(epsilon=0.0)
        >>> y = layer(ops.array([[1.0], [3.0]]), training=True)  # mean 2, standard deviation 1
        >>> [round(float(v), 4) for v in y[:, 0]], round(float(layer.moving_mean[0]), 4)
        ([-1.0, 1.0], 0.02)

    In practice: small batches give noisy statistics (below about 16: `LayerNormalization`), and after a short training
    the running means still lag (momentum 0.99 needs some 500 steps): lower `momentum`. With `trainable = False` it
    uses and keeps the running means, as Keras does. A convolution in front of it needs no bias.

    Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training", 2015.
    """

    def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True, *args, **kwargs):
        if not isinstance(axis, int):
            raise ValueError(f"`axis` must be an integer, got {axis!r}.")
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be in [0, 1], got {momentum}.")
        if epsilon < 0:
            raise ValueError(f"`epsilon` must not be negative, got {epsilon}.")
        super().__init__(axis, momentum, epsilon, center, scale, *args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if self.renorm:
            return super().call(inputs, training=training, mask=mask)
        x = _float32_or_more(inputs)
        mean, variance = ops.cast(self.moving_mean, x.dtype), ops.cast(self.moving_variance, x.dtype)
        if training and self.trainable:
            mean, variance = self._remember(*self._batch_statistics(x, mask))

        def along_axis(statistic):
            return ops.reshape(statistic, [-1 if i == self.axis % len(x.shape) else 1 for i in range(len(x.shape))])

        gamma = ops.cast(self.gamma, x.dtype) if self.scale else 1.0
        beta = ops.cast(self.beta, x.dtype) if self.center else 0.0
        # gamma (x - mean) / sqrt(...) + beta with the two passes over x that it needs: one product, one sum
        slope = gamma / ops.sqrt(variance + self.epsilon)
        y = x * along_axis(slope) + along_axis(beta - mean * slope)
        return ops.cast(y, self.compute_dtype)

    def _batch_statistics(self, x, mask):
        axes = [i for i in range(len(x.shape)) if i != self.axis % len(x.shape)]
        if mask is None:
            return ops.moments(x, axes, synchronized=self.synchronized)
        if len(mask.shape) != len(x.shape) - 1:
            raise ValueError(
                f"`mask` must have one axis less than the input {tuple(x.shape)}, got {tuple(mask.shape)}."
            )
        seen = ops.broadcast_to(ops.expand_dims(ops.cast(mask, "bool"), -1), ops.shape(x))
        count = ops.sum(ops.cast(seen, x.dtype), axes, keepdims=True) + keras.backend.epsilon()
        mean = ops.sum(ops.where(seen, x, 0.0), axes, keepdims=True) / count
        variance = ops.sum(ops.where(seen, ops.square(x - mean), 0.0), axes, keepdims=True) / count
        return ops.reshape(mean, (-1,)), ops.reshape(variance, (-1,))

    def _remember(self, mean, variance):
        rho = self.momentum
        self.moving_mean.assign(rho * self.moving_mean + (1 - rho) * ops.cast(mean, self.moving_mean.dtype))
        self.moving_variance.assign(
            rho * self.moving_variance + (1 - rho) * ops.cast(variance, self.moving_variance.dtype)
        )
        return mean, variance
