"""Small networks inside a trained one, trained again from their first weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import Digits, digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

HALVINGS = 6
REPORTED = (3, 4, 6)
"""The numbers of halvings whose accuracies decide."""
MARGIN = 0.02
"""A test accuracy that is lower by less counts as equal."""
HIDDEN = (128, 64)
BATCH = 50
TICKET, OTHER, RANDOM = "ticket", "same mask, other initial values", "random mask"


@lab(
    "A network contains a small one that learns as well if it is trained alone from its own initial weights",
    who="Frankle and Carbin, 2019",
)
def lottery_tickets(
    *,
    steps: Annotated[int, Between(20, 5000)] = 300,
    examples: Annotated[int, Between(100, 1500)] = 1000,
    seeds: Seeds = 6,
) -> Evidence:
    r"""Train on digits, remove the smaller half of the weights of each layer, start again; six times.

    A mask $m$ of zeros and ones multiplies the weights: $y = \phi(x\,(m \odot W) + b)$. After each training $m$ keeps
    the half of the remaining weights with the largest $|W|$. The "ticket" then starts from the weights that the whole
    network started from. Two controls have as many weights: the same mask with other initial values, and a random mask.

    Args:
        steps: steps of Adam with 50 images in each training.
        examples: the number of training images.
        seeds: number of initial values and choices of the images.

    Try: `--steps 50`: after short training the ticket is further ahead of its two controls.

    Source: Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks", 2019.
    """
    learner = Learner(
        _masked_network, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.Adam(0.003)
    )
    runs = [_accuracies(learner, digits(seed, examples), steps, seed) for seed in range(seeds)]
    by_name = {name: np.array([run[name] for run in runs]) for name in runs[0]}
    accuracy = {
        (name, halvings): Measured.over(values[:, halvings])
        for name, values in by_name.items()
        for halvings in (0, *REPORTED)
    }
    many, few, fewest = REPORTED
    whole = accuracy[TICKET, 0]
    return Evidence(
        numbers={"test accuracy, all weights": whole}
        | {f"test accuracy, 1/{2**h} of the weights, {name}": accuracy[name, h] for h in REPORTED for name in by_name},
        findings=(
            predicts(f"with 1/{2**many} of the weights the ticket is less than {MARGIN} worse than the whole network",
                     (accuracy[TICKET, many] - whole).above(-MARGIN), "the small network learns less than the whole"),
            predicts(f"with 1/{2**few} of the weights it is better than with other initial values, and than a random "
                     "mask", all_of(*(accuracy[TICKET, few].above(accuracy[name, few]) for name in (OTHER, RANDOM))),
                     "a small network of the same size learns as much from other initial values"),
            limit(f"with 1/{2**fewest} of the weights it is more than {MARGIN} worse than the whole network",
                  (accuracy[TICKET, fewest] - whole).below(-MARGIN), f"enough weights remain: 1/{2**many} are enough "
                  f"here, 1/{2**fewest} are too few"),
        ),
        figure=Figure((_panel(by_name),)),
    )  # fmt: skip


def _masked_network() -> keras.Model:
    class MaskedDense(kf.layers.Dense):
        """A dense layer whose kernel is multiplied by a mask of zeros and ones."""

        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            self.mask = self.add_weight(shape=self.kernel.shape, initializer="ones", trainable=False, name="mask")

        def call(self, inputs: Any, training: Any = None) -> Any:
            z = ops.matmul(inputs, self.kernel * self.mask) + self.bias
            return z if self.activation is None else self.activation(z)

    hidden = [
        MaskedDense(units, activation=kf.activations.relu, kernel_initializer=kf.initializers.HeNormal())
        for units in HIDDEN
    ]
    last = kf.layers.Dense(10, kernel_initializer=kf.initializers.HeNormal())
    return keras.Sequential([keras.Input((64,)), *hidden, last])


def _accuracies(learner: Learner, data: Digits, steps: int, seed: int) -> dict[str, list[float]]:
    """The test accuracies of the ticket and of its controls, after 0, 1, 2, ... halvings."""
    rng = np.random.default_rng(seed)
    hidden = learner.model.layers[:-1]
    masks = [np.ones(layer.kernel.shape, "float32") for layer in hidden]
    accuracies: dict[str, list[float]] = {TICKET: [], OTHER: [], RANDOM: []}
    for _ in range(HALVINGS + 1):
        shuffled = [rng.permuted(mask.ravel()).reshape(mask.shape) for mask in masks]
        for name, start, used in ((OTHER, 1000 + seed, masks), (RANDOM, seed, shuffled), (TICKET, seed, masks)):
            learner.start(start)
            for layer, mask in zip(hidden, used, strict=True):
                layer.mask.assign(mask)
            learner.learn(data.x, data.y, steps, BATCH, seed)
            accuracies[name].append(learner.accuracy(data.x_test, data.y_test))
        masks = [_larger_half(layer) for layer in hidden]
    return accuracies


def _larger_half(layer: Any) -> np.ndarray:
    """The mask of the half of the layer's remaining weights that have the largest absolute values."""
    size = np.abs(ops.convert_to_numpy(layer.kernel * layer.mask))
    remaining = int(ops.convert_to_numpy(layer.mask).sum())
    mask = np.zeros(size.size, "float32")
    mask[np.argsort(-size, axis=None)[: remaining // 2]] = 1
    return mask.reshape(size.shape)


def _panel(by_name: dict[str, np.ndarray]) -> Panel:
    shares = [f"1/{2**halvings}" if halvings else "1" for halvings in range(HALVINGS + 1)]
    series = {name: Series.mean(shares, runs) for name, runs in by_name.items()}
    return Panel("Weights that remain, digits", "share of the weights of the hidden layers", "test accuracy", series)
