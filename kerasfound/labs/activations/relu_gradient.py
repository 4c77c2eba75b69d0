"""Gradients through many layers: sigmoid, and ReLU with two sizes of the first weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import signal_gradients, signal_learner
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")


@lab("ReLU cures vanishing gradients", who="Glorot, Bordes and Bengio, 2011 | introductions")
def relu_gradient(
    *,
    layers: Annotated[int, Between(5, 60)] = 20,
    width: Annotated[int, Between(8, 512)] = 128,
    seeds: Seeds = 6,
) -> Evidence:
    r"""The gradient in each layer of a network before training: sigmoid, ReLU with Glorot's and with He's weights.

    In a layer of $n$ units the backward pass multiplies the mean square of the gradient by
    $n\, \mathrm{Var}(w)\, \mathrm{E}(\phi'^2)$. ReLU's slope is 1 for one half of the units and 0 for the other, so
    $\mathrm{E}(\phi'^2) = 1/2$: with Glorot's $\mathrm{Var}(w) = 1/n$ the gradient shrinks by $\sqrt{1/2}$ in each
    layer, with He's $2/n$ it keeps its size. The slope 0 has a price, too: see the lab `dead_units`.

    Args:
        layers: the number of hidden layers.
        width: units of each layer.
        seeds: number of initial values.

    Try: `--layers 40`: with Glorot's weights the gradient falls to a millionth.

    Source: He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015.
    """
    networks = {
        "ReLU, He": (kf.activations.relu, kf.initializers.HeNormal),
        "ReLU, Glorot": (kf.activations.relu, kf.initializers.GlorotNormal),
        "sigmoid, Glorot": (kf.activations.sigmoid, kf.initializers.GlorotNormal),
    }
    curves, ratios = {}, {}
    for name, (activation, initializer) in networks.items():
        learner = signal_learner(width, layers, activation, initializer)
        norms = np.array([signal_gradients(learner.start(seed), _input(width, seed)) for seed in range(seeds)])
        curves[name] = np.log10(norms / norms[:, -1:])
        ratios[name] = Measured.over(curves[name][:, 0])
    glorot = 0.5 * (layers - 1) * np.log10(0.5)
    return Evidence(
        numbers={f"log10 of (gradient in layer 1 / layer {layers}), {name}": ratio for name, ratio in ratios.items()},
        findings=(
            predicts(
                "with He's weights ReLU keeps the gradient within a factor of 10 over all layers",
                ratios["ReLU, He"].within(-1, 1),
                "ReLU does not keep the gradient, even with He's weights",
            ),
            predicts(
                "the gradient of ReLU is larger than that of the sigmoid with the same weights",
                ratios["ReLU, Glorot"].above(ratios["sigmoid, Glorot"]),
                "with the same weights ReLU is no better than the sigmoid",
            ),
            limit(
                "with Glorot's weights the gradient of ReLU vanishes, at least half as fast as sqrt(1/2) a layer",
                ratios["ReLU, Glorot"].below(glorot / 2),
                condition="the first weights have He's variance 2/n",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Gradient before training",
                    "layer",
                    "log10 of the gradient / gradient in the last layer",
                    {name: Series.mean(list(range(1, layers + 1)), runs) for name, runs in curves.items()},
                ),
            )
        ),
    )


def _input(width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=width).astype("float32")
