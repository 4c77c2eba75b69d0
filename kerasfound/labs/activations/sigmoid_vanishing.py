"""The gradient behind many sigmoids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import signal_gradients, signal_learner
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


USUAL, TIGHT, LARGE = 1.0, 0.25, 16.0


@lab("Behind L layers of sigmoids the gradient is at most (1/4)^L", who="introductions")
def sigmoid_vanishing(
    *,
    layers: Annotated[int, Between(3, 30)] = 12,
    width: Annotated[int, Between(8, 512)] = 64,
    factor: Annotated[float, Between(1.0, 100.0)] = LARGE,
    seeds: Seeds = 6,
) -> Evidence:
    r"""The gradient in each layer of a network of sigmoids before training, with usual and with large weights.

    The slope $\sigma' = \sigma (1 - \sigma)$ is at most 1/4, so $L$ of them give at most $(1/4)^L$. But the gradient is
    multiplied by the weights, too: by $W^\top$ in each layer. With the usual variance $1/n$ the weights keep its
    length, and the product of the slopes decides. With weights $s$ times as large many sigmoids saturate, yet the
    factor of a layer grows as $\sqrt s$, and for large $s$ it is above 1: the gradient explodes instead.

    Args:
        layers: the number of hidden layers.
        width: units of each layer.
        factor: the factor of the large weights.
        seeds: number of initial values.

    Try: `--factor 4`: the weights make up for a part of the slopes, not for all.

    Source: Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen", 1991.
    """
    slope = _largest_slope()
    steps = list(range(layers - 1, -1, -1))
    learner = signal_learner(width, layers, kf.activations.sigmoid, kf.initializers.GlorotNormal)
    curves = {
        name: np.array([_gradients(learner, width, scale, seed) for seed in range(seeds)])
        for name, scale in (("weights of variance 1/n", USUAL), (f"weights {factor:g} times as large", factor))
    }
    usual, large = (Measured.over(runs[:, 0]) for runs in curves.values())
    bound = (layers - 1) * np.log10(TIGHT)
    return Evidence(
        numbers={
            "largest slope of the sigmoid": slope,
            f"log10 of (1/4)^{layers - 1}": Measured.over([bound]),
            **{
                f"log10 of (gradient in layer 1 / layer {layers}), {name}": number
                for name, number in zip(curves, (usual, large), strict=True)
            },
        },
        findings=(
            predicts("no slope is above 1/4", slope.below(TIGHT + 1e-3), "the slope of the sigmoid is above 1/4"),
            predicts(
                "with usual weights the gradient in layer 1 is below the bound",
                usual.below(bound),
                "even with usual weights the gradient is above the bound",
            ),
            limit(
                f"with weights {factor:g} times as large it is more than a tenth of that in the last layer",
                large.above(-1),
                condition="the weights have about the usual variance 1/n",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Gradient behind sigmoids, before training",
                    "number of sigmoids passed",
                    "log10 of the gradient / gradient in the last layer",
                    {
                        **{name: Series.mean(steps, runs) for name, runs in curves.items()},
                        "(1/4)^L": Series(steps, [each * float(np.log10(TIGHT)) for each in steps]),
                    },
                ),
            )
        ),
    )


def _largest_slope() -> Measured:
    z = np.linspace(-10, 10, 20001, dtype="float32")
    y = np.asarray(keras.ops.convert_to_numpy(kf.activations.sigmoid(z)), "float64")
    return Measured.over([float(np.max((y[10:] - y[:-10]) / 0.01))])


def _gradients(learner: Learner, width: int, scale: float, seed: int) -> np.ndarray:
    """The logarithm of the gradient in each hidden layer, relative to the last, at one random input."""
    for layer in learner.start(seed).model.layers[:-1]:
        layer.kernel.assign(layer.kernel * scale)
    norms = signal_gradients(learner, np.random.default_rng(seed).normal(size=width).astype("float32"))
    return np.log10(norms / norms[-1])
