"""The edge of stability: full-batch gradient descent with a loss that rises in many steps and falls over many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
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

ROWS, UNITS = 200, 32
CHUNKS = 12
SMALL_SHARE = 0.1
"""The small learning rate, as a share of the large one."""


@lab("Each step of gradient descent reduces the loss", who="introductions")
def step_reduces(
    *,
    learning_rate: Annotated[float, Between(0.2, 2)] = 1.6,
    steps: Annotated[int, Between(160, 20000)] = 4800,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Gradient descent on all rows of a small network for digits, with the sharpness of the loss on the way.

    The sharpness is the largest curvature of the loss at the present weights, $\lambda_{\max}$. A step is sure to lower
    the loss if $\eta < 2 / \lambda_{\max}$. But the sharpness does not stay: while $\eta$ is below this limit,
    training makes the loss sharper, until $\lambda_{\max} = 2 / \eta$. There it stays. From then on many steps raise
    the loss, and over many steps it still falls.

    The sharpness is found by power iteration: the change of the gradient along a direction, again and again.

    Args:
        learning_rate: of gradient descent; it is compared with a rate ten times smaller.
        steps: number of steps.
        seeds: number of initial values.

    Try: `--learning-rate 0.5`: in these steps the sharpness does not reach 4, and no step raises the loss.

    Source: Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient Descent on Neural Networks Typically Occurs at the Edge of
    Stability", 2021.
    """
    rates = {"large": learning_rate, "small": SMALL_SHARE * learning_rate}
    learner = _learner()
    runs = {name: [_train(learner, rate, steps, seed) for seed in range(seeds)] for name, rate in rates.items()}
    losses = {name: np.array([loss for loss, _ in run]) for name, run in runs.items()}
    sharpness = {name: np.array([sharp for _, sharp in run]) for name, run in runs.items()}
    rises = {
        name: Measured.over(100 * np.mean(np.diff(loss[:, steps // 2 :]) > 0, axis=1)) for name, loss in losses.items()
    }
    end = {name: Measured.over(rates[name] * sharp[:, -CHUNKS // 4 :].mean(1) / 2) for name, sharp in sharpness.items()}
    first = Measured.over(rates["large"] * sharpness["large"][:, 0] / 2)
    quarters = losses["large"].reshape(seeds, 4, -1).mean(2)
    fall = Measured.over(quarters[:, 3] / quarters[:, 2])
    return Evidence(
        numbers={
            "sharpness at the start, large rate, in units of 2 / rate": first,
            "sharpness at the end, large rate, in units of 2 / rate": end["large"],
            "sharpness at the end, small rate, in units of 2 / rate": end["small"],
            "steps that raise the loss, second half, large rate, %": rises["large"],
            "steps that raise the loss, second half, small rate, %": rises["small"],
            "mean loss of the last quarter over that of the quarter before, large rate": fall,
        },
        findings=(
            predicts(
                "with the small rate the sharpness stays below 2 / rate, and less than 1% of the steps raise the loss",
                all_of(end["small"].below(1.0), rises["small"].below(1.0)),
                "even with a small rate many steps raise the loss",
            ),
            predicts(
                "with the large rate the loss falls over many steps",
                fall.below(1.0),
                "with the large rate the loss does not even fall over many steps",
            ),
            limit(
                "with the large rate the sharpness rises to 2 / rate and stays within 15% of it, "
                "and more than 1% of the steps raise the loss",
                all_of(end["large"].within(0.85, 1.15), rises["large"].above(1.0)),
                "2 / learning rate stays above the sharpness of the loss (training raises it up to this limit, and "
                "from then on many steps raise the loss)",
            ),
        ),
        figure=_figure(losses, sharpness, rates, steps),
    )


def _learner() -> Learner:
    def build() -> keras.Model:
        hidden = [kf.layers.Dense(UNITS, activation=kf.activations.tanh) for _ in range(2)]
        return keras.Sequential([keras.Input((64,)), *hidden, kf.layers.Dense(10)])

    return Learner(build, kf.losses.MeanSquaredError(), kf.optimizers.GradientDescent())


def _train(learner: Learner, rate: float, steps: int, seed: int) -> tuple[np.ndarray, list[float]]:
    """The loss before each step, and the sharpness before each chunk of steps."""
    x, y, *_ = digits(0, ROWS)
    x = x - x.mean(0)  # else the mean picture alone makes the loss sharp from the start
    y = np.eye(10, dtype="float32")[y]
    learner.start(seed)
    learner.optimizer.learning_rate = rate
    direction = [np.random.default_rng(seed).normal(size=w.shape) for w in learner.model.trainable_variables]
    losses, sharpness = [], []
    for _ in range(CHUNKS):
        direction, sharp = _sharpness(learner, x, y, direction)
        sharpness.append(sharp)
        losses.append(learner.learn(x, y, steps // CHUNKS))
    return np.concatenate(losses), sharpness


def _sharpness(
    learner: Learner, x: np.ndarray, y: np.ndarray, direction: list[np.ndarray]
) -> tuple[list[np.ndarray], float]:
    """Power iteration from a direction: the direction of the largest curvature, and this curvature."""
    weights = learner.model.trainable_variables
    here = [ops.convert_to_numpy(w).copy() for w in weights]
    h = 1e-2

    def gradient(sign: float) -> list[np.ndarray]:
        for w, value, d in zip(weights, here, direction, strict=True):
            w.assign(value + sign * h * d)
        return learner.gradients(x, y)

    curvature = 0.0
    for _ in range(8):
        length = np.sqrt(sum(np.sum(d**2) for d in direction))
        direction = [d / length for d in direction]
        change = [(up - down) / (2 * h) for up, down in zip(gradient(1), gradient(-1), strict=True)]
        curvature = float(sum(np.sum(c * d) for c, d in zip(change, direction, strict=True)))
        direction = change
    for w, value in zip(weights, here, strict=True):
        w.assign(value)
    return direction, curvature


def _figure(
    losses: dict[str, np.ndarray], sharpness: dict[str, np.ndarray], rates: dict[str, float], steps: int
) -> Figure:
    at = [steps // CHUNKS * i for i in range(CHUNKS)]
    return Figure(
        (
            Panel(
                "Sharpness on the way",
                "step",
                "sharpness (largest curvature)",
                {f"rate {rates[name]:g}": Series.mean(at, sharp) for name, sharp in sharpness.items()}
                | {f"2 / {rates['large']:g}": Series(at, [2 / rates["large"]] * len(at))},
            ),
            Panel(
                "Loss, first seed",
                "step",
                "mean squared error",
                {f"rate {rates[name]:g}": Series(range(steps), loss[0]) for name, loss in losses.items()},
                log="y",
            ),
        )
    )
