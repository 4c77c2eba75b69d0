"""The size of a signal after many layers, by the variance of the initial weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

SMALLEST = 1e-60
"""Below this mean square the outputs, about 1e-30, come near to the smallest numbers of float32."""


@lab(
    "The variance of the initial weights decides whether a signal survives many layers",
    who="Glorot and Bengio, 2010; He et al., 2015",
)
def signal_variance(
    *,
    layers: Annotated[int, Between(2, 100)] = 30,
    units: Annotated[int, Between(16, 512)] = 256,
    seeds: Seeds = 5,
) -> Evidence:
    r"""The mean square of the outputs of each layer, for five ways to start a network.

    A layer $h' = \phi(h W)$ with $n$ inputs multiplies the mean square by about $n \mathrm{Var}(w)$ if $\phi$ is tanh
    of small values, and by $n \mathrm{Var}(w) / 2$ if $\phi$ is ReLU. Over $L$ layers this factor has the exponent
    $L$: with $1/2$ a signal shrinks to $10^{-9}$ in 30 layers. He's $\mathrm{Var}(w) = 2/n$ makes the factor 1 for
    ReLU. For tanh Glorot's $1/n$ is nearly right: tanh itself shrinks the larger values, so the signal falls slowly.

    Args:
        layers: layers of the network.
        units: units of each layer.
        seeds: number of initial values.

    Try: `--layers 100`: with Glorot and ReLU the signal is below 1e-28, with He it stays between 0.1 and 1.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010; He et
    al., "Delving Deep into Rectifiers", 2015.
    """
    curves = {
        name: [_mean_squares(*kind, layers, units, seed) for seed in range(seeds)] for name, kind in _kinds().items()
    }
    last = {name: Measured.over(curve[-1] for curve in runs) for name, runs in curves.items()}
    factor = {name: Measured.over(map(_factor, runs)) for name, runs in curves.items()}
    theory = {"He, ReLU": 1.0, "Glorot, ReLU": 0.5, "N(0, 0.01^2), tanh": units * 0.01**2}
    as_computed = all_of(*(factor[name].within(0.85 * value, 1.15 * value) for name, value in theory.items()))
    slow = factor["LeCun, tanh"].within(0.8, 1.0)
    return Evidence(
        numbers={f"mean square after {layers} layers, {name}": number for name, number in last.items()}
        | {f"factor of a layer, {name}": factor[name] for name in [*theory, "LeCun, tanh"]},
        findings=(
            predicts(
                "the factor of a layer is as computed: 1 for He, 1/2 for Glorot with ReLU, n 0.01^2 for N(0, 0.01^2)",
                as_computed,
                "a layer does not multiply the mean square by n Var(w), or by half of it with ReLU",
            ),
            predicts("LeCun's variance with tanh loses less than a fifth a layer", slow, "tanh loses the signal fast"),
            limit(
                "normalized outputs keep their mean square even with N(0, 0.01^2)",
                last["N(0, 0.01^2), tanh, normalized"].above(0.1),
                "no layer normalizes its outputs",
            ),
        ),
        figure=Figure((_panel(curves, layers),)),
    )


def _kinds() -> dict[str, tuple[Callable[[Any], Any], Callable[[], Any], bool]]:
    """The activation, the initializer, and whether the outputs are normalized, by name."""
    tanh, relu = kf.activations.tanh, kf.activations.relu

    def small() -> Any:
        return keras.initializers.RandomNormal(stddev=0.01)

    return {
        "He, ReLU": (relu, kf.initializers.HeNormal, False),
        "Glorot, ReLU": (relu, kf.initializers.GlorotNormal, False),
        "LeCun, tanh": (tanh, kf.initializers.LecunNormal, False),
        "N(0, 0.01^2), tanh": (tanh, small, False),
        "N(0, 0.01^2), tanh, normalized": (tanh, small, True),
    }


def _mean_squares(
    activation: Callable[[Any], Any],
    initializer: Callable[[], Any],
    normalized: bool,
    layers: int,
    units: int,
    seed: int,
) -> list[float]:
    """The mean square of the outputs of each layer, for 100 random inputs with mean square 1."""
    keras.utils.set_random_seed(seed)
    h = ops.convert_to_tensor(np.random.default_rng(seed).normal(size=(100, units)).astype("float32"))
    normalize = kf.layers.LayerNormalization(epsilon=0.0)
    found = []
    for _ in range(layers):
        z = ops.matmul(h, initializer()((units, units)))
        h = activation(normalize(z) if normalized else z)
        found.append(float(np.mean(np.square(ops.convert_to_numpy(h), dtype="float64"))))
    return found


def _factor(curve: list[float]) -> float:
    """What a layer multiplies the mean square by, on average over the layers that float32 can represent."""
    last = sum(value > SMALLEST for value in curve) - 1
    return (curve[last] / curve[0]) ** (1 / max(last, 1))


def _panel(curves: dict[str, list[list[float]]], layers: int) -> Panel:
    series = {name: Series.mean(range(1, layers + 1), runs) for name, runs in curves.items()}
    return Panel("The signal in a network before training", "layer", "mean square of the outputs", series, log="y")
