"""Three pairs of an output and a loss that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import Activation
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


CLASSES = 10
PARTS = 10
"""The accuracy is measured after each of these parts of the training."""


@lab("A wrong pair of output activation and loss slows learning", who="introductions")
def wrong_pairs(
    *,
    rate: Annotated[float, Between(0.001, 2.0)] = 0.2,
    units: Annotated[int, Between(8, 256)] = 32,
    samples: Annotated[int, Between(100, 5000)] = 1000,
    steps: Annotated[int, Between(10, 5000)] = 300,
    seeds: Seeds = 4,
) -> Evidence:
    r"""Four networks learn the classes of MNIST-1D: one right pair of output and loss, and three wrong ones.

    With softmax and cross-entropy the gradient by the logits is $p - y$: large where the output is wrong. Softmax with
    the squared error multiplies it by the slope of softmax, which is small. A loss that expects logits but gets
    probabilities applies softmax twice: its "logits" lie between 0 and 1, so it never becomes small. (On TensorFlow
    Keras notices a softmax before such a loss, so the second one is explicit here.) A loss that
    expects probabilities but gets logits clips them: where a logit is negative, the gradient is 0.

    Args:
        rate: the rate of gradient descent.
        units: units of the hidden layer.
        samples: rows of MNIST-1D, a multiple of 10.
        steps: steps of gradient descent, a multiple of 10.
        seeds: number of initial values.

    Try: `--rate 1`: a larger rate makes up for small gradients, in part.

    Source: Goodfellow, Bengio and Courville, "Deep Learning", section 6.2.2, 2016.
    """
    train, _ = kf.data.mnist1d.load(samples - samples % 10)
    y = np.eye(CLASSES, dtype="float32")[train.y]
    softmax, crossentropy = kf.activations.softmax, kf.losses.CategoricalCrossentropy
    right = "softmax, cross-entropy"
    pairs = {
        right: (softmax, crossentropy()),
        "softmax, squared error": (softmax, kf.losses.MeanSquaredError()),
        "softmax twice, cross-entropy": (lambda z: softmax(softmax(z)), crossentropy()),
        "logits, loss of probabilities": (None, crossentropy()),
    }
    curves = {}
    for name, (activation, loss) in pairs.items():
        learner = _learner(train.x.shape[1], units, activation, loss, rate)
        curves[name] = np.array([_accuracies(learner, train.x, y, train.y, steps, seed) for seed in range(seeds)])
    final = {name: Measured.over(runs[:, -1]) for name, runs in curves.items()}
    wrong = [name for name in pairs if name != right]
    points = [part * (steps // PARTS) for part in range(PARTS + 1)]
    return Evidence(
        numbers={f"training accuracy after {steps} steps, {name}": number for name, number in final.items()},
        findings=tuple(
            predicts(
                f"{name}: a lower accuracy after the same steps",
                final[name].below(final[right]),
                f"the pair ({name}) learns as fast",
            )
            for name in wrong
        ),
        figure=Figure(
            (
                Panel(
                    "Right and wrong pairs",
                    "step",
                    "training accuracy",
                    {name: Series.mean(points, runs) for name, runs in curves.items()},
                ),
            )
        ),
    )


def _learner(inputs: int, units: int, activation: Activation, loss: Any, rate: float) -> Learner:
    return Learner(
        lambda: keras.Sequential(
            [
                keras.Input((inputs,)),
                kf.layers.Dense(units, kf.activations.relu, kernel_initializer=kf.initializers.HeNormal()),
                kf.layers.Dense(CLASSES, activation),
            ]
        ),
        loss,
        kf.optimizers.SGD(rate),
    )


def _accuracies(
    learner: Learner, x: np.ndarray, y: np.ndarray, classes: np.ndarray, steps: int, seed: int
) -> list[float]:
    learner.start(seed)
    accuracies = [learner.accuracy(x, classes)]
    for _ in range(PARTS):
        learner.learn(x, y, steps // PARTS)
        accuracies.append(learner.accuracy(x, classes))
    return accuracies
