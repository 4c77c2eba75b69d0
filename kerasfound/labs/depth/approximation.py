"""One hidden layer approximates a continuous function: where, with which units, and with which weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
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

WIDTHS = (4, 16, 64, 256)
CLOSE = 0.05
"""The largest error that counts as an approximation; the function itself goes from about -1 to 2."""


@lab("A network with one hidden layer approximates any continuous function", who="Cybenko, 1989; Hornik, 1991")
def approximation(
    *,
    frequency: Annotated[float, Between(1, 30)] = 8.0,
    steps: Annotated[int, Between(10, 20000)] = 500,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Approximate $f(x) = \sin(k x) + |x|$ on [-1, 1] by one hidden layer, and look at what the theorem does not say.

    The theorem: for each continuous $f$ on a closed and bounded set and each error there are a width $n$ and weights
    with $|f(x) - \sum_i v_i\, \phi(w_i x + b_i)| < \epsilon$ on the set, if and only if $\phi$ is not a polynomial.
    Sums of squares $\phi(z) = z^2$ are parabolas, with any number of units. The theorem says that weights exist: here
    $w_i$ and $b_i$ are random, and the best $v_i$ are computed by least squares. Training may not find such weights.

    Args:
        frequency: the $k$ of the function.
        steps: steps of Adam for the network that is trained.
        seeds: number of random weights.

    Try: `--frequency 20`: then training misses the function by far, while computed weights still give it.

    Source: Cybenko, "Approximation by Superpositions of a Sigmoidal Function", 1989; Leshno et al., "Multilayer
    Feedforward Networks with a Nonpolynomial Activation Function Can Approximate Any Function", 1993.
    """
    tanh = [[_fit(width, kf.activations.tanh, frequency, seed) for seed in range(seeds)] for width in WIDTHS]
    squares = [_fit(WIDTHS[-1], lambda z: z * z, frequency, seed) for seed in range(seeds)]
    inside = [Measured.over(_error(fit, frequency, -1, 1) for fit in fits) for fits in tanh]
    outside = Measured.over(_error(fit, frequency, 1, 1.5) for fit in tanh[-1])
    of_squares = Measured.over(_error(fit, frequency, -1, 1) for fit in squares)
    trained_fits = _train(WIDTHS[-1], frequency, steps, seeds)
    trained = Measured.over(_error(fit, frequency, -1, 1) for fit in trained_fits)
    return Evidence(
        numbers={f"largest error, {n} tanh units": error for n, error in zip(WIDTHS, inside, strict=True)}
        | {
            f"largest error from 1 to 1.5, {WIDTHS[-1]} tanh units": outside,
            f"largest error, {WIDTHS[-1]} units with squares": of_squares,
            f"largest error, {WIDTHS[-1]} tanh units, trained": trained,
        },
        findings=(
            predicts(f"with {WIDTHS[-1]} tanh units the largest error is below {CLOSE}", inside[-1].below(CLOSE),
                     "many units do not approximate the function"),
            limit("outside of the interval the error is larger", outside.above(CLOSE), "the inputs stay in a "
                  "bounded range for which the weights were chosen"),
            limit("squares do not approximate it", of_squares.above(CLOSE), "the unit is not a polynomial"),
            limit(f"{steps} steps of training do not find such weights", trained.above(CLOSE),
                  "the right weights are known: training need not find them"),
        ),
        figure=Figure((_curves(tanh[-1][0], squares[0], trained_fits[0], frequency), _widths(inside, of_squares))),
    )  # fmt: skip


Fit = Any
"""The outputs of a network as a function of an array of inputs."""


def _target(x: np.ndarray, frequency: float) -> np.ndarray:
    return np.sin(frequency * x) + np.abs(x)


def _fit(width: int, activation: Callable[[Any], Any], frequency: float, seed: int) -> Fit:
    """A hidden layer with random weights, whose last weights are the best ones by least squares on [-1, 1]."""
    keras.utils.set_random_seed(seed)
    spread = keras.initializers.RandomNormal(stddev=2 * frequency)
    shifts = keras.initializers.RandomUniform(-2 * frequency, 2 * frequency)
    layer = kf.layers.Dense(width, activation=activation, kernel_initializer=spread, bias_initializer=shifts)

    def hidden(x: np.ndarray) -> np.ndarray:
        h = ops.convert_to_numpy(layer(ops.convert_to_tensor(x[:, None].astype("float32")))).astype("float64")
        return np.concatenate([h, np.ones((len(x), 1))], axis=1)

    x = np.linspace(-1, 1, 1001)
    # singular values below the rounding errors of float32 are noise
    v = np.linalg.lstsq(hidden(x), _target(x, frequency), rcond=1e-6)[0]
    return lambda x: hidden(x) @ v


def _train(width: int, frequency: float, steps: int, seeds: int) -> list[Fit]:
    def build() -> keras.Model:
        hidden = kf.layers.Dense(width, activation=kf.activations.tanh)
        return keras.Sequential([keras.Input((1,)), hidden, kf.layers.Dense(1)])

    x = np.linspace(-1, 1, 201, dtype="float32")[:, None]
    learner = Learner(build, kf.losses.MeanSquaredError(), kf.optimizers.Adam(0.01))
    grid = np.linspace(-1.5, 1.5, 601)
    fits = []
    for seed in range(seeds):
        learner.start(seed).learn(x, _target(x, frequency), steps)
        outputs = learner.predict(grid[:, None].astype("float32"))[:, 0]
        fits.append(lambda x, outputs=outputs: np.interp(x, grid, outputs))
    return fits


def _error(fit: Fit, frequency: float, low: float, high: float) -> float:
    x = np.linspace(low, high, 701)
    return float(np.max(np.abs(fit(x) - _target(x, frequency))))


def _curves(tanh: Fit, squares: Fit, trained: Fit, frequency: float) -> Panel:
    x = np.linspace(-1.5, 1.5, 301)
    curves = {"function": _target(x, frequency), "tanh": tanh(x), "squares": squares(x), "tanh, trained": trained(x)}
    series = {name: Series(x.tolist(), np.clip(y, -3, 5).tolist()) for name, y in curves.items()}
    title = f"{WIDTHS[-1]} units, first seed"
    return Panel(title, "input x", "output (cut at -3 and 5)", series, marks={"from here": -1.0, "to here": 1.0})


def _widths(inside: list[Measured], of_squares: Measured) -> Panel:
    series = {
        "tanh": Series.of(WIDTHS, inside),
        f"squares, {WIDTHS[-1]} units": Series.of([WIDTHS[-1]], [of_squares]),
    }
    return Panel("Weights by least squares", "hidden units", "largest error on [-1, 1]", series, log="xy")
