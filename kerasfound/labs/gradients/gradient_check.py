"""Measured slopes: how exact they are with a small step, and with a step that is too small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

STEPS = tuple(10.0**-k for k in range(1, 13))


@lab("The smaller the step, the more exact is the measured slope of a loss", who="introductions")
def gradient_check(*, inputs: Annotated[int, Between(1, 1000)] = 20, seeds: Seeds = 20) -> Evidence:
    r"""Slopes measured with steps from 0.1 to 1e-12, compared with the derivative.

    The slope of $L$ to both sides, and to one side only:

    $$\frac{L(w + h) - L(w - h)}{2h} = L'(w) + \frac{h^2}{6} L''' + \dots \qquad
      \frac{L(w + h) - L(w)}{h} = L'(w) + \frac{h}{2} L'' + \dots$$

    A small $h$ makes these errors small. But both differences are rounded by about $\epsilon L$, with
    $\epsilon = 2 \cdot 10^{-16}$ in float64, and this error is divided by $h$: it grows as $\epsilon / h$. To both
    sides the sum is smallest near $h = \epsilon^{1/3} \approx 6 \cdot 10^{-6}$.

    Args:
        inputs: inputs of the neuron; the step goes in a random direction of its weights.
        seeds: number of random neurons and inputs.

    Try: `--inputs 500`: the sums are longer, so rounding is larger, but the best step stays nearly the same.

    Source: Bengio, "Practical Recommendations for Gradient-Based Training of Deep Architectures", 2012, section 4.1.
    """
    with kf.gradients.float64():
        errors = np.array([_errors(inputs, seed) for seed in range(seeds)])  # (seeds, kinds, steps)
    both, one = ([Measured.over(column) for column in errors[:, kind].T] for kind in (0, 1))
    power_both = Measured.over(np.log10(errors[:, 0, 1] / errors[:, 0, 2]))  # from h = 1e-2 to 1e-3
    power_one = Measured.over(np.log10(errors[:, 1, 1] / errors[:, 1, 2]))
    best_both = Measured.over(errors[:, 0].min(-1))
    best_one = Measured.over(errors[:, 1].min(-1))
    growth = Measured.over(np.log10(errors[:, 0, 10] / errors[:, 0, 4]))  # from h = 1e-5 to 1e-11
    return Evidence(
        numbers={
            "power of h in the error, both sides": power_both,
            "power of h in the error, one side": power_one,
            "smallest relative error, both sides": best_both,
            "smallest relative error, one side": best_one,
            "growth of the error from h = 1e-5 to 1e-11, powers of ten": growth,
        },
        findings=(
            predicts(
                "from h = 0.01 to 0.001 the error to both sides falls as the square of h",
                power_both.within(1.8, 2.2),
                "the error does not fall as the square of h",
            ),
            predicts(
                "the best slope to one side is less exact than the best to both sides",
                best_one.above(best_both),
                "one side is as exact as both sides",
            ),
            limit(
                "from h = 1e-5 to 1e-11 the error grows more than a thousand times",
                growth.above(3.0),
                "the step stays above about 1e-5 in float64, for below it the rounding error grows",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Error of a measured slope",
                    "step h",
                    "relative error, mean of the seeds",
                    {
                        "both sides": Series(STEPS, [number.mean for number in both]),
                        "one side": Series(STEPS, [number.mean for number in one]),
                    },
                    log="xy",
                    marks={"best h": float(np.finfo("float64").eps ** (1 / 3))},
                ),
            )
        ),
    )


def _errors(inputs: int, seed: int) -> np.ndarray:
    """The relative errors of the slopes to both sides and to one side, of shape `(2, steps)`."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(1, inputs)) / np.sqrt(inputs), rng.uniform(-1, 1, (1, 1))
    network = kf.backprop.Network([kf.backprop.Dense(inputs, 1, kf.activations.tanh, seed=seed, dtype="float64")])
    layer = network.layers[0]
    W = rng.normal(size=(inputs, 1))
    direction = rng.normal(size=(inputs, 1))

    def loss(h: float) -> float:
        layer.W = W + h * direction
        return float(network.loss(y, network.forward(x)))

    layer.W = W
    network.backward(y, network.forward(x))
    slope = float(np.sum(np.asarray(layer.dW) * direction))
    here = loss(0.0)
    measured = np.array([[(loss(h) - loss(-h)) / (2 * h), (loss(h) - here) / h] for h in STEPS]).T
    return np.abs(measured - slope) / abs(slope)
