"""Learning without backpropagation: it works, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import Digits, digits
from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

UNITS, CLASSES, BATCH = 16, 10, 128
DIRECTIONS = 64
"""Pairs of forward passes in a step of the network that learns by perturbation."""
TRAIN = 1297
CHECKS = 10
TARGET = 0.85
PASSES_OF_BACKPROP = 3
"""What a step of backpropagation costs in forward passes: one forward, and about two for the way back."""


@lab("Without backpropagation a network cannot learn", who="introductions")
def without_backprop(*, steps: Annotated[int, Between(20, 2000)] = 200, seeds: Seeds = 3) -> Evidence:
    r"""Digits, learned in three ways: by a solved readout, by random perturbations, and by backpropagation.

    The readout: 500 hidden units keep their random weights, and least squares gives the weights of the outputs. No
    gradient passes through a layer. The perturbation: a random direction $u$ of all weights tells the slope along it by
    two forward passes,

    $$g \approx \frac{1}{K} \sum_{k=1}^{K} \frac{L(w + h u_k) - L(w - h u_k)}{2h} \, u_k$$

    and Adam follows this estimate. Its noise grows with the number of weights: this is what backpropagation
    saves, which gives all derivatives at the price of about three forward passes.

    Args:
        steps: steps of Adam, with perturbation and with backpropagation.
        seeds: number of initial values, splits and directions.

    Try: `--steps 50`: perturbation is far behind then, and learns all the same.

    Source: Spall, "Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient Approximation",
    1992; Huang, Zhu and Siew, "Extreme learning machine: Theory and applications", 2006.
    """
    at = [steps * (i + 1) // CHECKS for i in range(CHECKS)]
    solved, perturbed, backprop = [], [], []
    learner = _learner()
    losses_at = _losses_of_population()
    for seed in range(seeds):
        data = digits(seed, TRAIN)
        solved.append(_solve_readout(data, seed))
        perturbed.append(_perturb(learner.start(seed), losses_at, data, at, seed))
        backprop.append(_backpropagate(learner.start(seed), data, at, seed))
    readout = Measured.over(solved)
    perturbation, gradient = (Measured.over([run[-1] for run in runs]) for runs in (perturbed, backprop))
    passes = [
        Measured.over([price * _first(at, run) for run in runs])
        for runs, price in ((perturbed, 2 * DIRECTIONS), (backprop, PASSES_OF_BACKPROP))
    ]
    times = passes[0] / passes[1]
    return Evidence(
        numbers={
            "test accuracy, random hidden units and a solved readout": readout,
            f"test accuracy, perturbation, {2 * DIRECTIONS * steps:,} forward passes": perturbation,
            f"test accuracy, backpropagation, {PASSES_OF_BACKPROP * steps:,} forward passes": gradient,
            f"forward passes to the accuracy {TARGET}, perturbation": passes[0],
            f"forward passes to the accuracy {TARGET}, backpropagation": passes[1],
            "ratio of these two": times,
        },
        findings=(
            predicts(
                "a solved readout on random hidden units stays below the accuracy 0.2 (guessing has 0.1)",
                readout.below(0.2),
                "a readout that is solved learns without it",
            ),
            predicts(
                "perturbation alone stays below 0.2",
                perturbation.below(0.2),
                f"perturbation of the weights learns all layers, with {times.mean:.0f} times the forward passes",
            ),
        ),
        figure=_figure(at, backprop, perturbed, (readout, perturbation, gradient)),
    )


def _figure(
    at: list[int], backprop: list[list[float]], perturbed: list[list[float]], final: tuple[Measured, ...]
) -> Figure:
    return Figure(
        (
            Panel(
                "Digits",
                "cost of the training (forward passes)",
                "test accuracy",
                {
                    "backpropagation": Series.mean([PASSES_OF_BACKPROP * t for t in at], backprop),
                    "perturbation": Series.mean([2 * DIRECTIONS * t for t in at], perturbed),
                },
                log="x",
            ),
            Panel(
                "At the end",
                "learned by",
                "test accuracy",
                {"accuracy": Series.of(["solved readout", "perturbation", "backpropagation"], final)},
                kind="bars",
            ),
        )
    )


def _learner() -> Learner:
    def build() -> keras.Model:
        hidden = kf.layers.Dense(UNITS, activation=kf.activations.tanh)
        return keras.Sequential([keras.Input((64,)), hidden, kf.layers.Dense(CLASSES)])

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.Adam(0.01))


def _solve_readout(data: Digits, seed: int) -> float:
    """The test accuracy of least squares on 500 random hidden units."""
    x, y, x_test, y_test = data
    keras.utils.set_random_seed(seed)
    hidden = kf.layers.Dense(500, activation=kf.activations.tanh)
    features, features_test = (np.asarray(ops.convert_to_numpy(hidden(rows))) for rows in (x, x_test))
    ridge = features.T @ features + 0.1 * np.eye(features.shape[1])
    readout = np.linalg.solve(ridge, features.T @ np.eye(CLASSES)[y])
    return float(np.mean((features_test @ readout).argmax(-1) == y_test))


def _backpropagate(learner: Learner, data: Digits, at: list[int], seed: int) -> list[float]:
    x, y, x_test, y_test = data
    accuracy = []
    for i, (before, after) in enumerate(zip([0, *at], at, strict=False)):
        learner.learn(x, y, after - before, BATCH, seed=CHECKS * seed + i)
        accuracy.append(learner.accuracy(x_test, y_test))
    return accuracy


def _perturb(learner: Learner, losses_at: Any, data: Digits, at: list[int], seed: int) -> list[float]:
    """Take steps along gradients that are estimated by forward passes, and return the accuracy at some steps."""
    x, y, x_test, y_test = data
    rng = np.random.default_rng(seed)
    weights = learner.model.trainable_variables
    h = 0.01
    accuracy = []
    for t in range(1, at[-1] + 1):
        rows = rng.integers(len(x), size=BATCH)
        u = [rng.normal(size=(DIRECTIONS, *w.shape)).astype("float32") for w in weights]
        here = [np.asarray(ops.convert_to_numpy(w)) for w in weights]
        moved = [np.concatenate([w + h * d, w - h * d]) for w, d in zip(here, u, strict=True)]
        up, down = np.split(np.asarray(ops.convert_to_numpy(losses_at(moved, x[rows], y[rows]))), 2)
        slopes = (up - down) / (2 * h)
        gradients = [np.tensordot(slopes, d, 1) / DIRECTIONS for d in u]
        learner.optimizer.apply([ops.convert_to_tensor(g, "float32") for g in gradients], weights)
        if t in at:
            accuracy.append(learner.accuracy(x_test, y_test))
    return accuracy


def _losses_of_population() -> Any:
    """A function that gives the loss of many networks at once: `weights` have a first axis for the networks."""

    def losses_at(weights: Any, x: Any, y: Any) -> Any:
        W, b, V, c = weights
        hidden = kf.activations.tanh(ops.matmul(x, W) + b[:, None])
        outputs = ops.matmul(hidden, V) + c[:, None]
        y = ops.tile(y[None], (outputs.shape[0], 1))
        losses = kf.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(y, outputs)
        return ops.mean(losses, axis=-1)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(losses_at, autograph=False, jit_compile=True)
    import jax

    return jax.jit(losses_at)


def _first(at: list[int], accuracy: list[float]) -> float:
    """The first step at which the accuracy reaches the target; infinite if it never does."""
    return next((float(t) for t, value in zip(at, accuracy, strict=True) if value >= TARGET), float("inf"))
