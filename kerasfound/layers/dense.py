"""The fully connected layer: every output depends on every input."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class Dense(keras.layers.Dense):
    r"""A row of neurons: a matrix product, a shift and an activation.

    With input $x$, weights $W$ = `kernel`, $b$ = `bias` and $\phi$ = `activation`:

    $$y = \phi(x W + b)$$

    Column $j$ of $W$ is the weight vector of neuron $j$; without $\phi$ any stack of such layers is one linear map.

    Derivative: with $z = xW + b$ and $\delta = \partial L / \partial y \odot \phi'(z)$, for elementwise $\phi$:
        $\partial L / \partial W = x^\top \delta$, $\partial L / \partial b = \sum_{batch} \delta$,
        $\partial L / \partial x = \delta W^\top$.

    Shapes: $x$ `(batch, ..., features)`; $y$ `(batch, ..., units)`; $W$ `(features, units)`; $b$ `(units,)`.

    Args:
        units: number of neurons, an integer of at least 1.
        activation: a name, a function or `None` for the identity. Defaults to `None`.
        use_bias: whether to add $b$. Defaults to `True`.
        **kwargs: as for `keras.layers.Dense`: `kernel_initializer` (defaults to `"glorot_uniform"`),
            `bias_initializer` (`"zeros"`), regularizers, constraints, `lora_rank`, ...

    Raises:
        ValueError: if `units` is not a positive integer.

    Example:
        >>> layer = Dense(1, activation="sigmoid", kernel_initializer="ones")
        >>> round(float(layer(ops.array([[1.0, 2.0]]))[0, 0]), 4)  # sigmoid(1 + 2)
        0.9526

    In practice: Glorot's initial weights suit tanh and softmax; with ReLU take `kernel_initializer="he_normal"`.
    Drop the bias before a normalization that shifts anyway. No activation on the last layer when the loss takes logits.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.
    """

    def call(self, inputs, training=None):
        x, W = inputs, self.kernel
        z = ops.matmul(x, W)
        if self.use_bias:
            z = ops.add(z, self.bias)
        return z if self.activation is None else self.activation(z)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras refuses subclasses, because their `call` may differ; ours computes the same
        return super().quantize(mode, type_check=False, config=config)
