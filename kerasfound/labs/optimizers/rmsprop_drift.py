"""Problems that change with time: which optimizers follow a minimum that moves."""

from __future__ import annotations

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

DRIFT = 0.1
STEPS, PHASE = 400, 100
UNITS = tuple(2.0**k for k in range(-6, 2))
NAMES = ("RMSprop", "Adagrad", "gradient descent")


@lab("RMSprop suits problems that change with time", who="Kingma and Ba, Adam, 2015, of RMSprop; introductions")
def rmsprop_drift(*, scale: Annotated[float, Between(1, 1000)] = 30.0, seeds: Seeds = 8) -> Evidence:
    r"""RMSprop, Adagrad and gradient descent follow a minimum that wanders, each with its best learning rate.

    The minimum $c_t$ takes a random step of size 0.1 in each step; the gradient is $s_t (w - c_t + \epsilon_t)$ with
    noise of size 1. In one problem $s_t = 1$. In the other $s_t$ changes between 1 and `scale` every 100 steps.

    RMSprop divides by the root of a running mean of the squared gradients, so $s_t$ cancels after about ten steps.
    Adagrad divides by the root of their sum, which never forgets the large ones. Gradient descent needs a rate below
    $2 / s_t$ for the largest $s_t$, and is slow in the other phases.

    Each walk measures its position in a unit of its own, $w = u q$: for RMSprop and Adagrad this multiplies the
    learning rate by $u$, for gradient descent by $u^2$. So one run tries all rates.

    Args:
        scale: the factor by which the gradients change.
        seeds: number of random walks of the minimum.

    Try: `--scale 1`: nothing but the minimum changes, and RMSprop has no advantage.

    Source: Tieleman and Hinton, "Lecture 6.5 - RMSProp", Coursera, 2012.
    """
    rng = np.random.default_rng(0)
    minimum = np.cumsum(DRIFT * rng.normal(size=(STEPS, seeds)), axis=0)
    target = minimum + rng.normal(size=(STEPS, seeds))
    changing = np.where(np.arange(STEPS) // PHASE % 2, scale, 1.0)
    constant = np.ones(STEPS)
    best: dict[str, list[Measured]] = {}
    paths: dict[str, list[np.ndarray]] = {}
    for name in NAMES:
        runs = [_follow(name, target, minimum, scales) for scales in (constant, changing)]
        best[name] = [Measured.over(errors) for errors, _ in runs]
        paths[name] = [path for _, path in runs]
    rmsprop, adagrad, descent = (best[name] for name in NAMES)
    return Evidence(
        numbers={f"distance from the minimum, gradients of one scale, {name}": best[name][0] for name in NAMES}
        | {f"distance from the minimum, gradients of changing scale, {name}": best[name][1] for name in NAMES},
        findings=(
            predicts(
                "where the scale of the gradients changes, RMSprop stays nearer to the minimum than the two others",
                all_of(rmsprop[1].below(adagrad[1]), rmsprop[1].below(descent[1])),
                "RMSprop does not follow better, even where the scale of the gradients changes",
            ),
            limit(
                "where only the minimum wanders, both others are as near as RMSprop, within 10%",
                all_of((adagrad[0] / rmsprop[0]).below(1.1), (descent[0] / rmsprop[0]).below(1.1)),
                "the scale of the gradients changes (where only the minimum wanders, gradient descent and Adagrad "
                "follow it as well)",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"Gradients {scale:g} times as large in turn",
                    "step",
                    "position",
                    {"minimum": Series(range(STEPS), minimum[:, 0])}
                    | {name: Series(range(STEPS), path[1]) for name, path in paths.items()},
                ),
                Panel(
                    "Distance from the minimum",
                    "gradients",
                    "distance, best learning rate",
                    {name: Series.of(["one scale", "changing scale"], best[name]) for name in NAMES},
                    kind="bars",
                ),
            )
        ),
    )


def _follow(name: str, target: np.ndarray, minimum: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distance of each seed after the first phase, at the best rate, and the path of the first seed."""
    optimizer: Any = {
        "RMSprop": lambda: kf.optimizers.RMSprop(1.0),
        "Adagrad": lambda: kf.optimizers.Adagrad(4.0, initial_accumulator_value=0.0),
        "gradient descent": lambda: kf.optimizers.GradientDescent(0.5),
    }[name]()
    u = np.repeat(UNITS if name != "gradient descent" else UNITS / np.sqrt(scales.max()), target.shape[1])
    positions = np.zeros((STEPS, len(u)))
    q = keras.Variable(np.zeros(len(u), "float32"))
    for t in range(STEPS):
        positions[t] = u * ops.convert_to_numpy(q)
        gradient = scales[t] * u * (positions[t] - np.tile(target[t], len(UNITS)))
        optimizer.apply([ops.convert_to_tensor(gradient, "float32")], [q])
    paths = positions.reshape(STEPS, len(UNITS), -1)
    errors = np.sqrt(np.mean((paths[PHASE:] - minimum[PHASE:, None]) ** 2, axis=0))  # (units, seeds)
    chosen = int(errors.mean(1).argmin())
    return errors[chosen], paths[:, chosen, 0]
