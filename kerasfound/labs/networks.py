"""Networks of dense layers for the labs, made of the package's blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import kerasfound as kf
from kerasfound import _lazy

from .digit_images import Digits
from .learner import Learner
from .measured import Measured

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

Activation = Callable[[Any], Any] | None
Initializer = Callable[[], Any] | None


def dense_network(
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    activation: Activation = None,
    initializer: Initializer = None,
) -> keras.Model:
    """Hidden layers of the given widths with an activation, and an output layer without one.

    Args:
        inputs: the number of inputs.
        hidden: the number of units of each hidden layer.
        outputs: the number of outputs.
        activation: of the hidden layers.
        initializer: makes the initializer of a hidden layer, such as `kf.initializers.HeNormal`. Defaults to
            `kf.initializers.GlorotUniform`.
    """
    make = initializer or kf.initializers.GlorotUniform  # a new one for each layer: one object draws the same numbers
    layers = [kf.layers.Dense(units, activation=activation, kernel_initializer=make()) for units in hidden]
    last = kf.layers.Dense(outputs, kernel_initializer=kf.initializers.GlorotUniform())
    return keras.Sequential([keras.Input((inputs,)), *layers, last])


def classifier(
    optimizer: Any,
    hidden: Sequence[int] = (64,),
    inputs: int = 64,
    classes: int = 10,
    dropout: float = 0.0,
) -> Learner:
    """A learner of ReLU layers from He's weights, with the softmax cross-entropy; its outputs are logits.

    Args:
        optimizer: a Keras optimizer that is not built yet.
        hidden: the number of units of each hidden layer; without one it is logistic regression.
        inputs: the number of inputs.
        classes: the number of classes.
        dropout: the share of hidden units that are dropped in training.
    """

    def build() -> keras.Model:
        model = keras.Sequential([keras.Input((inputs,))])
        for units in hidden:
            start = kf.initializers.HeNormal()
            model.add(kf.layers.Dense(units, activation=kf.activations.relu, kernel_initializer=start))
            if dropout:
                model.add(kf.layers.Dropout(dropout))
        model.add(kf.layers.Dense(classes))
        return model

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer)


def accuracy_over_seeds(learner: Learner, data: Sequence[Digits], steps: int, batch_size: int = 100) -> Measured:
    """Train once for each seed, on the data of that seed, and measure the accuracy on its test rows."""
    found = []
    for seed, rows in enumerate(data):
        learner.start(seed).learn(rows.x, rows.y, steps, batch_size, seed)
        found.append(learner.accuracy(rows.x_test, rows.y_test))
    return Measured.over(found)


def hidden_outputs(model: keras.Model, x: Any) -> list[np.ndarray]:
    """The outputs of each hidden layer of a `dense_network`."""
    outputs = []
    for layer in model.layers[:-1]:
        x = layer(x)
        outputs.append(np.asarray(keras.ops.convert_to_numpy(x)))
    return outputs


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of rows of logits."""
    return np.asarray(keras.ops.convert_to_numpy(kf.activations.softmax(keras.ops.convert_to_tensor(logits))))


def signal_learner(width: int, layers: int, activation: Activation, initializer: Initializer) -> Learner:
    """Many equal hidden layers and one output; the "loss" is the output itself."""
    return Learner(
        lambda: dense_network(width, (width,) * layers, 1, activation, initializer),
        lambda _, outputs: keras.ops.sum(outputs),
        kf.optimizers.SGD(0.1),
    )


def signal_gradients(learner: Learner, x: np.ndarray) -> np.ndarray:
    """The length of the derivative of the output by the weighted sums of each hidden layer, at one row `x`.

    The bias is added to the weighted sum, so this is the gradient by the bias.
    """
    biases = learner.gradients(x[None], np.zeros((1, 1), "float32"))[1::2]
    return np.array([np.linalg.norm(bias) for bias in biases[:-1]])
