"""Normalization: values with mean 0 and variance 1, over the batch, over the features, or by their size alone."""

import keras
from keras import ops


def _float32_or_more(x):
    """Cast to float32 at least: sums over many half-precision values overflow and lose digits."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def _along(axes, weight, x):
    """Return the weight in the dtype of `x`, reshaped along `axes` so that it broadcasts with `x`."""
    axes = [axis % len(x.shape) for axis in axes]
    return ops.cast(ops.reshape(weight, [n if i in axes else 1 for i, n in enumerate(x.shape)]), x.dtype)


def _check(axis, epsilon):
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    if not axes or not all(isinstance(a, int) for a in axes):
        raise ValueError(f"`axis` must be an integer or several, got {axis!r}.")
    if epsilon < 0:
        raise ValueError(f"`epsilon` must not be negative, got {epsilon}.")


@keras.saving.register_keras_serializable(package="kerasfound")
class BatchNormalization(keras.layers.BatchNormalization):
    r"""Each feature with mean 0 and variance 1 over the batch, then scaled and shifted by learned numbers.

    With $\mu, \sigma^2$ the mean and variance of a feature over the batch (and over height and width of an image),
    $\gamma$ = `gamma`, $\beta$ = `beta`, $\epsilon$ = `epsilon`:

    $$y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$

    Training updates running means with $\rho$ = `momentum`; afterwards they replace $\mu$ and $\sigma^2$:

    $$\hat\mu \leftarrow \rho\, \hat\mu + (1 - \rho)\, \mu, \qquad
      \hat\sigma^2 \leftarrow \rho\, \hat\sigma^2 + (1 - \rho)\, \sigma^2$$

    With a mask, $\mu$ and $\sigma^2$ are taken over the unmasked positions only.

    Derivative: while training, with $\hat x = (x - \mu) / \sqrt{\sigma^2 + \epsilon}$, $g = \partial L / \partial y$:
        $\partial L / \partial x = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
        (g - \mathrm{mean}(g) - \hat x\, \mathrm{mean}(g \hat x))$: the parts of $g$ that only shift or scale
        are removed.

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
    the running means still lag (momentum 0.99 needs some 500 steps): lower `momentum`. With `trainable = False` it uses
    the running means and does not update them, as Keras does. A convolution before it needs no bias.

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
            mean, variance = self._batch_statistics(x, mask)
            self._update_running_means(mean, variance)
        gamma = ops.cast(self.gamma, x.dtype) if self.scale else 1.0
        beta = ops.cast(self.beta, x.dtype) if self.center else 0.0
        # gamma (x - mean) / sqrt(...) + beta as one product and one sum: two passes over x
        slope = gamma * ops.rsqrt(variance + self.epsilon)
        y = x * _along([self.axis], slope, x) + _along([self.axis], beta - mean * slope, x)
        return ops.cast(y, self.compute_dtype)

    def _batch_statistics(self, x, mask):
        axes = [i for i in range(len(x.shape)) if i != self.axis % len(x.shape)]
        if mask is None:
            return ops.moments(x, axes, synchronized=self.synchronized)
        if len(mask.shape) != len(x.shape) - 1:
            raise ValueError(
                f"`mask` must have one axis less than the input {tuple(x.shape)}, got {tuple(mask.shape)}."
            )
        is_unmasked = ops.broadcast_to(ops.expand_dims(ops.cast(mask, "bool"), -1), ops.shape(x))
        count = ops.sum(ops.cast(is_unmasked, x.dtype), axes, keepdims=True) + keras.backend.epsilon()
        mean = ops.sum(ops.where(is_unmasked, x, 0.0), axes, keepdims=True) / count
        variance = ops.sum(ops.where(is_unmasked, ops.square(x - mean), 0.0), axes, keepdims=True) / count
        return ops.reshape(mean, (-1,)), ops.reshape(variance, (-1,))

    def _update_running_means(self, mean, variance):
        rho = self.momentum
        self.moving_mean.assign(rho * self.moving_mean + (1 - rho) * ops.cast(mean, self.moving_mean.dtype))
        self.moving_variance.assign(
            rho * self.moving_variance + (1 - rho) * ops.cast(variance, self.moving_variance.dtype)
        )


@keras.saving.register_keras_serializable(package="kerasfound")
class LayerNormalization(keras.layers.LayerNormalization):
    r"""Each example with mean 0 and variance 1 over its own features, then scaled and shifted by learned numbers.

    With $\mu, \sigma^2$ the mean and variance of one example over `axis`, $\gamma$ = `gamma`, $\beta$ = `beta`,
    $\epsilon$ = `epsilon`:

    $$y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$

    The result does not depend on the batch: it is the same for one example and for many, in training and afterwards.

    Derivative: with $s = \sqrt{\sigma^2 + \epsilon}$, $\hat x = (x - \mu) / s$, $g = \gamma\, \partial L / \partial y$:
        $\partial L / \partial x = (g - \mathrm{mean}(g) - \hat x\, \mathrm{mean}(g \hat x)) / s$.

    Shapes: any; the result has the shape of the input; $\gamma$ and $\beta$ have the sizes of `axis`.

    Args:
        axis: the axis or axes to normalize over. Defaults to `-1`.
        epsilon: $\epsilon$, not negative. Defaults to `1e-3`.
        center: whether to add $\beta$. Defaults to `True`.
        scale: whether to multiply by $\gamma$. Defaults to `True`.
        **kwargs: as for `keras.layers.LayerNormalization`: initializers, regularizers, constraints.

    Raises:
        ValueError: if `axis` is not an integer or several, or `epsilon` is negative.

    Example:
        >>> y = LayerNormalization(epsilon=0.0)(ops.array([[1.0, 3.0], [10.0, 30.0]]))
        >>> [[round(float(v), 4) for v in row] for row in y]
        [[-1.0, 1.0], [-1.0, 1.0]]

    In practice: the choice for sequences and small batches. In a transformer put it before each block: such a
    "pre-norm" network trains without warm-up. The output for a constant example is $\beta$.

    Source: Ba, Kiros and Hinton, "Layer Normalization", 2016.
    """

    def __init__(self, axis=-1, epsilon=1e-3, center=True, scale=True, *args, **kwargs):
        _check(axis, epsilon)
        super().__init__(axis, epsilon, center, scale, *args, **kwargs)

    def call(self, inputs):
        # torch runs op by op: Keras's single kernel is faster, but correct over the last axes only
        fused = keras.backend.backend() == "torch" and self._is_over_the_last_axes(inputs)
        if self.rms_scaling or fused:
            return super().call(inputs)
        x = _float32_or_more(inputs)
        mean, variance = ops.moments(x, self.axis, keepdims=True)

        gamma = _along(self.axis, self.gamma, x) if self.scale else 1.0
        beta = _along(self.axis, self.beta, x) if self.center else 0.0
        slope = gamma * ops.rsqrt(variance + self.epsilon)
        y = x * slope + (
            -mean * slope + beta
        )  # written as `beta - mean * slope`, XLA needs three times as long on a CPU
        return ops.cast(y, self.compute_dtype)

    def _is_over_the_last_axes(self, x):
        rank = len(x.shape)
        return [axis % rank for axis in self.axis] == list(range(rank - len(self.axis), rank))


@keras.saving.register_keras_serializable(package="kerasfound")
class RMSNormalization(keras.layers.RMSNormalization):
    r"""Each example divided by the root mean square of its features: its length is fixed, its direction stays.

    With $\gamma$ = `scale`, learned, $\epsilon$ = `epsilon` and $n$ features along `axis`:

    $$y = \gamma\, \frac{x}{\sqrt{\frac{1}{n} \sum_i x_i^2 + \epsilon}}$$

    Layer normalization without the mean: experiments show that the scaling is the part that helps.

    Derivative: with $r$ = the root and $g = \gamma\, \partial L / \partial y$:
        $\partial L / \partial x = (g - x\, \mathrm{mean}(g x) / r^2) / r$.

    Shapes: any; the result has the shape of the input; $\gamma$ has the sizes of `axis`.

    Args:
        axis: the axis or axes to normalize over. Defaults to `-1`.
        epsilon: $\epsilon$, not negative. Defaults to `1e-6`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `axis` is not an integer or several, or `epsilon` is negative.

    Example:
        >>> y = RMSNormalization()(ops.array([[3.0, 4.0]]))  # root mean square 3.5355
        >>> [round(float(v), 4) for v in y[0]]
        [0.8485, 1.1314]

    In practice: as good as layer normalization in large language models and cheaper. It does not remove a shift that
    all features share.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
    """

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        _check(axis, epsilon)
        super().__init__(axis, epsilon, **kwargs)

    def call(self, inputs):
        # torch runs op by op: Keras's single kernel is faster (over other axes it puts the weight along the last one)
        if keras.backend.backend() == "torch" and self.axis == [-1]:
            return super().call(inputs)
        x = _float32_or_more(inputs)
        mean_square = ops.mean(ops.square(x), self.axis, keepdims=True)
        y = x * ops.rsqrt(mean_square + self.epsilon) * _along(self.axis, self.scale, x)
        return ops.cast(y, inputs.dtype)
