"""One neuron, and Rosenblatt's rule, by which it learns."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class Neuron(keras.layers.Layer):
    r"""A weighted sum of the inputs, a threshold and an activation.

    With input $x$, weights $w$ = `kernel`, $b$ = `bias` and $\phi$ = `activation`:

    $$y = \phi(w \cdot x + b)$$

    $w \cdot x + b = 0$ is a plane: the output tells on which side of it, and how far from it, $x$ lies.

    Derivative: with $z = w \cdot x + b$:
        $\partial y / \partial w = \phi'(z)\, x$, $\partial y / \partial b = \phi'(z)$,
        $\partial y / \partial x = \phi'(z)\, w$.

    Shapes: $x$ `(batch, ..., features)`; $y$ `(batch, ..., 1)`; $w$ `(features, 1)`; $b$ `(1,)`.

    Args:
        activation: a name, a function or `None` for the identity. Defaults to `"sigmoid"`.
        kernel_initializer: first weights. Defaults to `"glorot_uniform"`.
        bias_initializer: first bias. Defaults to `"zeros"`.
        **kwargs: `name`, `dtype`, `activity_regularizer`.

    Raises:
        ValueError: if the activation or an initializer is unknown, or the input has no feature axis of known size.

    Example:
        >>> neuron = Neuron(kernel_initializer="ones")
        >>> round(float(neuron(ops.array([[1.0, -1.0]]))[0, 0]), 4)  # sigmoid(1 - 1)
        0.5

    In practice: with a sigmoid it is logistic regression. It cannot separate classes that no plane separates (exclusive
    or); two layers of neurons can: `Dense`.

    Source: McCulloch and Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.
    """

    def __init__(self, activation="sigmoid", kernel_initializer="glorot_uniform", bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(f"The input must be (batch, ..., features), features known, got {tuple(input_shape)}.")
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 1), initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(1,), initializer=self.bias_initializer)

    def call(self, inputs):
        x, w, b = inputs, self.kernel, self.bias
        return self.activation(ops.matmul(x, w) + b)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)

    def get_config(self):
        return super().get_config() | {
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class Mistakes(keras.metrics.Sum):
    r"""The number of wrong predictions, each counted before the rule learns from the example.

    $$\sum_i [\, o_i \ne t_i \,]$$

    Args:
        **kwargs: `name`, `dtype`.

    Example:
        >>> mistakes = Mistakes()
        >>> mistakes.update_state([[0.0], [1.0], [1.0]], [[1.0], [1.0], [0.0]])
        >>> float(mistakes.result())
        2.0

    In practice: Novikoff's theorem bounds this number. `Perceptron` updates it while it learns.

    Source: Novikoff, "On Convergence Proofs on Perceptrons", 1962.
    """

    def update_state(self, y_true, y_pred, sample_weight=None):
        t, o = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        return super().update_state(ops.cast(ops.reshape(t, ops.shape(o)) != o, self.dtype), sample_weight)


@keras.saving.register_keras_serializable(package="kerasfound")
class Perceptron(keras.Model):
    r"""One neuron with a hard threshold that learns from its mistakes, one example at a time.

    With input $x$, target $t \in \{0, 1\}$, weights $w$ = `kernel`, $b$ = `bias` and $\eta$ = `learning_rate`:

    $$o = [\, w \cdot x + b \ge 0 \,]$$
    $$w \leftarrow w + \eta\, (t - o)\, x, \qquad b \leftarrow b + \eta\, (t - o)$$

    A right prediction changes nothing. After a wrong one, $w$ turns towards $x$ or away from it.

    If a plane separates the classes, the rule reaches such a plane after at most $(R / \gamma)^2$ mistakes (Novikoff),
    in any order of the examples: $R$ is the length of the longest $(x, 1)$, $\gamma$ the smallest distance of an
    $(x, 1)$ from the best separating plane through the origin.

    Derivative: none; $o$ is flat everywhere but at the threshold. The rule follows the gradient of the perceptron loss
        $(o - t)(w \cdot x + b)$ with constant $o$; this is how the code computes it.

    Shapes: $x$ `(batch, features)`; $t$ `(batch,)` or `(batch, 1)`; $o$ `(batch, 1)`, 0 or 1.

    Args:
        learning_rate: $\eta$, above 0; with initial weights of 0 it changes no prediction. Defaults to `1.0`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `learning_rate` is not above 0, or a target in `fit` is neither 0 nor 1.

    Example:
        >>> x, t = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 0.0, 0.0, 1.0])  # "and"
        >>> perceptron = Perceptron()
        >>> history = perceptron.fit(x, t, epochs=20, verbose=0)
        >>> [int(o) for o in perceptron.predict(x, verbose=0)[:, 0]], int(history.history["mistakes"][-1])
        ([0, 0, 0, 1], 0)

    In practice: if no plane separates the classes, the rule never converges; then use `Neuron` with cross-entropy. The
    rule stops at the first plane that separates; a support vector machine looks for the largest margin. `fit` takes one
    example in each step and stops after an epoch without a mistake.

    Source: Rosenblatt, "The Perceptron: A Probabilistic Model for Information Storage and Organization", 1958.
    """

    def __init__(self, learning_rate=1.0, **kwargs):
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` must be above 0, got {learning_rate}.")
        super().__init__(**kwargs)
        self.learning_rate = learning_rate
        self.compile(keras.optimizers.SGD(learning_rate), metrics=[Mistakes(name="mistakes")])

    def build(self, input_shape):
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(f"The input must be (batch, features), features known, got {tuple(input_shape)}.")
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 1), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def call(self, inputs):
        x, w, b = inputs, self.kernel, self.bias
        return ops.cast(ops.matmul(x, w) + b >= 0, self.compute_dtype)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        z = ops.matmul(x, self.kernel) + self.bias
        o, t = y_pred, ops.reshape(ops.cast(y, z.dtype), ops.shape(z))
        loss = ops.stop_gradient(o - t) * z
        return ops.mean(loss if sample_weight is None else loss * ops.reshape(sample_weight, ops.shape(z)))

    def fit(self, x=None, y=None, batch_size=1, epochs=1, verbose="auto", callbacks=None, **kwargs):
        if y is not None and not np.isin(y, (0, 1)).all():
            raise ValueError(f"`y` must hold 0 and 1 only, got {np.unique(y)[:5].tolist()}.")
        stop_without_mistakes = keras.callbacks.LambdaCallback(on_epoch_end=self._stop_without_mistakes)
        callbacks = [*keras.tree.flatten(callbacks or []), stop_without_mistakes]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)

    def _stop_without_mistakes(self, epoch, logs):
        self.stop_training = self.stop_training or logs.get("mistakes") == 0

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1)

    def get_config(self):
        return super().get_config() | {"learning_rate": self.learning_rate}
