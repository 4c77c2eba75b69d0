"""Why batch normalization helps: noise after it makes the inputs of the next layer unsteady, and it still helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, predicts
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

KINDS = ("plain", "normalized", "normalized, then noise")
LAST = 20
"""The number of steps at the end over which the loss is averaged."""
PROBES = 5
"""How often a distribution is compared with the one a step later."""


@lab(
    "Batch normalization helps because it keeps the distribution of each layer's inputs steady",
    who="Ioffe and Szegedy, 2015",
)
def normalization_why(
    *,
    noise: Annotated[float, Between(0, 2)] = 0.85,
    rate: Annotated[float, Between(0.001, 5)] = 0.1,
    steps: Annotated[int, Between(40, 2000)] = 120,
    seeds: Seeds = 6,
) -> Evidence:
    r"""Train with batch normalization, and with noise after it that makes the distributions change from step to step.

    The noise multiplies each unit by a number from $1 - a$ to $1 + a$ and shifts it by one from $-a$ to $a$; the same
    two numbers for all images of a batch, new ones in each step. If steady inputs were the reason, the noise would
    undo the help. How steady they are is measured: by how much the mean of a unit changes in one step, in standard
    deviations of the unit.

    Args:
        noise: the size $a$ of the noise.
        rate: the learning rate.
        steps: steps of gradient descent, 64 images each.
        seeds: number of initial values.

    Try: `--rate 0.01`: then the plain network has hardly begun to learn, and normalization is far ahead.

    Source: Santurkar et al., "How Does Batch Normalization Help Optimization?", 2018, figure 2.
    """
    runs = {name: _train(name, noise, rate, steps, seeds) for name in KINDS}
    loss = {name: Measured.over(found.mean() for found in _last(runs[name])) for name in KINDS}
    change = {name: Measured.over(found) for name, (_, found) in runs.items()}
    plain, normalized, noisy = (loss[name] for name in KINDS)
    helps_without_steady_inputs = all_of(change[KINDS[2]].above(change[KINDS[0]]), noisy.below(plain))
    return Evidence(
        numbers={f"loss at the end, {name}": loss[name] for name in KINDS}
        | {f"change of a unit's mean in a step, {name}": change[name] for name in KINDS},
        findings=(
            predicts("batch normalization helps: the loss is smaller than without it", normalized.below(plain),
                     "batch normalization does not help here"),
            predicts("it keeps the distributions steadier than they are without it",
                     change[KINDS[1]].below(change[KINDS[0]]), "its distributions are not steadier"),
            predicts("with noise that makes them less steady than without it, it does not help any more",
                     None if helps_without_steady_inputs is None else not helps_without_steady_inputs,
                     "it helps, too, when noise makes the distributions less steady than without normalization"),
        ),
        figure=Figure((_loss_panel(runs, steps), _change_panel(change))),
    )  # fmt: skip


def _learner(kind: str, noise: float, rate: float) -> Learner:
    def build() -> keras.Model:
        model = keras.Sequential([keras.Input((64,))])
        for _ in range(5):
            model.add(kf.layers.Dense(64))
            if kind != KINDS[0]:
                model.add(kf.layers.BatchNormalization(momentum=0.9))
            if kind == KINDS[2]:
                model.add(_batch_noise(noise))
            model.add(keras.layers.Activation(kf.activations.relu))
        model.add(kf.layers.Dense(10))
        return model

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.SGD(rate))


def _batch_noise(size: float) -> Any:
    """A layer that scales and shifts each unit at random, in the same way for all rows of a batch."""

    class BatchNoise(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.numbers = keras.random.SeedGenerator()

        def call(self, x: Any, training: bool = False) -> Any:
            if not training:
                return x
            scale = keras.random.uniform((1, x.shape[-1]), 1 - size, 1 + size, seed=self.numbers)
            return x * scale + keras.random.uniform((1, x.shape[-1]), -size, size, seed=self.numbers)

    return BatchNoise()


def _train(kind: str, noise: float, rate: float, steps: int, seeds: int) -> tuple[list[Any], list[float]]:
    """The losses by step, and the mean change of a distribution in a step, for each seed."""
    learner = _learner(kind, noise, rate)
    learner_inputs = keras.Model(learner.model.inputs[0], learner.model.layers[-2].input)
    losses, changes = [], []
    for seed in range(seeds):
        data = digits(seed)
        learner.start(seed)
        loss, change = [], []
        for i in range(PROBES):
            loss.append(learner.learn(data.x, data.y, steps // PROBES - 1, 64, seed=100 * seed + i))
            before = ops.convert_to_numpy(learner_inputs(data.x, training=True))
            loss.append(learner.learn(data.x, data.y, 1, 64, seed=100 * seed + i + 50))
            after = ops.convert_to_numpy(learner_inputs(data.x, training=True))
            change.append(np.mean(np.abs(after.mean(0) - before.mean(0)) / (before.std(0) + 1e-6)))
        losses.append(np.concatenate(loss))
        changes.append(float(np.mean(change)))
    return losses, changes


def _last(run: tuple[list[Any], list[float]]) -> list[Any]:
    return [losses[-LAST:] for losses in run[0]]


def _loss_panel(runs: dict[str, tuple[list[Any], list[float]]], steps: int) -> Panel:
    series = {name: Series.mean(range(len(losses[0])), losses) for name, (losses, _) in runs.items()}
    return Panel("Training", "step", "loss (cross-entropy) on the batch", series)


def _change_panel(change: dict[str, Measured]) -> Panel:
    names = [name.replace(", ", ",\n") for name in change]
    series = {"change": Series.of(names, list(change.values()))}
    return Panel("Inputs of the last ReLU", "network", "change of a mean (std. deviations)", series, "bars")
