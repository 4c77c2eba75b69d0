r"""Backpropagation by hand: a dense network, its forward pass, and the chain rule from the last layer to the first.

**Forward.** A layer $l$ takes the activations $a^{l-1}$ of the layer before it, one row for each example, and computes

$$z^l = a^{l-1} W^l + b^l \qquad a^l = f^l(z^l)$$

with $a^0 = x$. The last activations are the prediction $\hat y$, and a loss $L(y, \hat y)$ measures its error.

**Backward.** How does $L$ change with each weight? For the last layer the derivative by $a^l$ is the gradient of
the loss. So suppose that $\partial L / \partial a^l$ is known. The chain rule leads through the activation, which acts
on each number alone,

$$\delta^l = \frac{\partial L}{\partial z^l} = \frac{\partial L}{\partial a^l} \odot f'^l(z^l)$$

and from $z^l$ to everything from which $z^l$ is computed:

$$\frac{\partial L}{\partial W^l} = (a^{l-1})^\top \delta^l \qquad
  \frac{\partial L}{\partial b^l} = \sum_{\text{examples}} \delta^l \qquad
  \frac{\partial L}{\partial a^{l-1}} = \delta^l (W^l)^\top$$

The third derivative is the supposed one for the layer below, so the same step repeats there. Each layer needs only
the values of its forward pass and the gradient from the layer above. All gradients together cost about two forward
passes, for any number of weights.

**Two things to see.** Each layer multiplies the gradient by $f'(z)$ and by $W^\top$: with sigmoids, whose slope is at
most 1/4, the gradient of the first layer of a deep network nearly vanishes. And the gradient is a product of all
weights above: if all weights start at zero, the network never learns. Therefore `Dense` starts with random weights.

Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.
"""

from itertools import pairwise

import numpy as np
from keras import ops

from kerasfound import activations


class Dense:
    r"""One layer: weights, a bias and an activation, with the forward and the backward pass.

    $$a = f(x W + b)$$

    Derivative: $\delta = \frac{\partial L}{\partial a} \odot f'(z)$, then $\partial L / \partial W = x^\top \delta$,
    $\partial L / \partial b = \sum \delta$, $\partial L / \partial x = \delta W^\top$.

    Shapes: $x$ `(batch, inputs)`, $W$ `(inputs, units)`, $b$ `(units,)`, $z$, $a$ and $\delta$ `(batch, units)`.

    Args:
        inputs: number of inputs of each example, at least 1.
        units: number of outputs, at least 1.
        activation: a function of `kerasfound.activations` that acts on each number alone. Defaults to `linear`.
        seed: of the random initial weights, which are Glorot uniform. Defaults to `0`.
        dtype: of weights and outputs. Defaults to `"float32"`.

    Raises:
        ValueError: if `inputs` or `units` is below 1, or `activation` has no `derivative`.

    Example:
        >>> layer = Dense(2, 1, activations.relu)
        >>> layer.W, layer.b = ops.convert_to_tensor([[3.0], [1.0]]), ops.convert_to_tensor([0.5])
        >>> a = layer.forward(ops.convert_to_tensor([[1.0, 2.0]]))
        >>> dx = layer.backward(ops.ones((1, 1)))
        >>> float(a[0, 0]), [float(d) for d in dx[0]], [float(d) for d in layer.dW[:, 0]]
        (5.5, [3.0, 1.0], [1.0, 2.0])

    In practice: `backward` uses the values that the last `forward` stored; call the two alternately.
    """

    def __init__(self, inputs, units, activation=activations.linear, seed=0, dtype="float32"):
        for argument, value in (("inputs", inputs), ("units", units)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{argument}` must be a whole number of at least 1, got {value!r}.")
        if not hasattr(activation, "derivative"):
            raise ValueError(f"`activation` must be a function of kerasfound.activations, got {activation!r}.")
        limit = np.sqrt(6 / (inputs + units))
        W = np.random.default_rng(seed).uniform(-limit, limit, (inputs, units))
        self.W = ops.convert_to_tensor(W, dtype)
        self.b = ops.zeros((units,), dtype)
        self.activation = activation

    def forward(self, x):
        self.x = x
        self.z = x @ self.W + self.b
        return self.activation(self.z)

    def backward(self, da):
        delta = da * self.activation.derivative(self.z)
        self.dW = ops.transpose(self.x) @ delta
        self.db = ops.sum(delta, axis=0)
        return delta @ ops.transpose(self.W)


class MeanSquaredError:
    r"""The mean of the squared errors.

    $$L = \frac{1}{n} \sum_i (\hat y_i - y_i)^2$$

    Derivative: $\partial L / \partial \hat y = \frac{2}{n} (\hat y - y)$, with $n$ the number of entries of $y$.

    Shapes: $y$ and $\hat y$ `(batch, units)`.

    Example:
        >>> y, y_hat = ops.zeros((1, 2)), ops.convert_to_tensor([[1.0, 3.0]])
        >>> loss = MeanSquaredError()
        >>> float(loss(y, y_hat)), [float(d) for d in loss.gradient(y, y_hat)[0]]
        (5.0, [1.0, 3.0])

    In practice: after a sigmoid whose output is near 0 or 1 but wrong, $f'$ is nearly zero, and so is the gradient: use
    `CrossEntropy` for classes.
    """

    def __call__(self, y, y_hat):
        return ops.mean(ops.square(y_hat - y))

    def gradient(self, y, y_hat):
        return 2 * (y_hat - y) / ops.cast(ops.size(y), y_hat.dtype)


class CrossEntropy:
    r"""The negative log-likelihood of the true class, computed from logits: softmax is part of the loss.

    $$p = \mathrm{softmax}(\hat y) \qquad L = -\frac{1}{n} \sum_i y_i \log p_i$$

    Derivative: $\partial L / \partial \hat y = (p - y) / n$, with $n$ the number of examples: the exponentials
    cancel, and a confident wrong prediction gets the largest gradient.

    Shapes: $y$ `(batch, classes)` in rows that sum to 1, $\hat y$ `(batch, classes)`.

    Example:
        >>> y, y_hat = ops.convert_to_tensor([[1.0, 0.0]]), ops.zeros((1, 2))
        >>> loss = CrossEntropy()
        >>> round(float(loss(y, y_hat)), 4), [float(d) for d in loss.gradient(y, y_hat)[0]]
        (0.6931, [-0.5, 0.5])

    In practice: use no activation in the last `Dense`.
    """

    def __call__(self, y, y_hat):
        return -ops.sum(y * ops.log_softmax(y_hat)) / y.shape[0]

    def gradient(self, y, y_hat):
        return (ops.softmax(y_hat) - y) / y.shape[0]


class Network:
    r"""A sequence of layers and a loss, trained by gradient descent.

    The forward pass goes from the first layer to the last, $a^l = f^l(a^{l-1} W^l + b^l)$, the backward pass from the
    last to the first; then every weight takes a step downhill:

    $$W \leftarrow W - \alpha\, \partial L / \partial W \qquad b \leftarrow b - \alpha\, \partial L / \partial b$$

    Shapes: `x` `(batch, inputs of the first layer)`, `y` `(batch, units of the last)`.

    Args:
        layers: a list of `Dense`, each with as many inputs as the one before has units.
        loss: `MeanSquaredError()` or `CrossEntropy()`. Defaults to `MeanSquaredError()`.

    Raises:
        ValueError: if two layers do not fit together, or `x` or `y` has the wrong shape.

    Example: exclusive or, which no single layer can learn.
        >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
        >>> y = np.array([[0], [1], [1], [0]], "float32")
        >>> network = Network([Dense(2, 8, activations.tanh, seed=1), Dense(8, 1, seed=2)])
        >>> history = network.fit(x, y, steps=400, learning_rate=0.3)
        >>> history[-1] < 0.01 < 0.2 < history[0]
        True
        >>> [round(float(output)) for output in network.forward(x)[:, 0]]
        [0, 1, 1, 0]

    In practice: to verify a hand-written gradient, compare it with differences: `gradients.check`.
    """

    def __init__(self, layers, loss=None):
        for below, above in pairwise(layers):
            if below.W.shape[1] != above.W.shape[0]:
                raise ValueError(
                    f"`layers` must fit together, got {below.W.shape[1]} units before {above.W.shape[0]} inputs."
                )
        self.layers = layers
        self.loss = MeanSquaredError() if loss is None else loss

    def forward(self, x):
        inputs, dtype = self.layers[0].W.shape[0], self.layers[0].W.dtype
        if np.ndim(x) != 2 or np.shape(x)[1] != inputs:
            raise ValueError(f"`x` must have shape (batch, {inputs}), got {np.shape(x)}.")
        a = ops.convert_to_tensor(x, dtype)
        for layer in self.layers:
            a = layer.forward(a)
        return a

    def backward(self, y, y_hat):
        """Store the gradients in `dW` and `db` of each layer, and return the loss."""
        if np.shape(y) != tuple(y_hat.shape):
            raise ValueError(f"`y` must have shape {tuple(y_hat.shape)}, got {np.shape(y)}.")
        y = ops.convert_to_tensor(y, y_hat.dtype)
        da = self.loss.gradient(y, y_hat)
        for layer in reversed(self.layers):
            da = layer.backward(da)
        return self.loss(y, y_hat)

    def fit(self, x, y, steps=1000, learning_rate=0.1):
        """Run gradient descent on all examples at once, and return the loss before each step."""
        losses = []
        for _ in range(steps):
            losses.append(float(self.backward(y, self.forward(x))))
            for layer in self.layers:
                layer.W = layer.W - learning_rate * layer.dW
                layer.b = layer.b - learning_rate * layer.db
        return losses
