"""The parts of Adam: momentum, RMSprop, and what a sum of the two lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")


@lab("Adam is momentum plus RMSprop", who="introductions")
def adam_parts(
    *,
    beta_1: Annotated[float, Between(0, 0.99)] = 0.9,
    beta_2: Annotated[float, Between(0.5, 0.9999)] = 0.999,
    seeds: Seeds = 10,
) -> Evidence:
    r"""Adam's steps, beside the velocity of Momentum over the root of RMSprop's mean square, for the same gradients.

    Momentum with the rate $1 - \beta_1$ keeps $-m_t$, RMSprop keeps $v_t$. Adam's step is

    $$\alpha \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \, \frac{m_t}{\sqrt{v_t}}$$

    Both means start at zero. The factor corrects this: without it the first step is
    $(1 - \beta_1) / \sqrt{1 - \beta_2} = 3.2$ times the learning rate, and later ones are longer still. RMSprop with a
    momentum of its own is a third thing: it adds up steps that are already divided, and so makes them
    $1 / (1 - \mu)$ times as long.

    Args:
        beta_1: decay of the mean of the gradients.
        beta_2: decay of the mean of their squares.
        seeds: number of random sequences of gradients.

    Try: `--beta-2 0.9`: then the first steps need hardly a correction.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 3.
    """
    steps = 60
    rng = np.random.default_rng(0)
    gradients = (rng.choice([-1, 1], seeds) * (1 + 0.5 * rng.normal(size=(steps, seeds)))).astype("float32")
    adam = _positions(kf.optimizers.Adam(1.0, beta_1, beta_2), gradients)
    momentum = kf.optimizers.Momentum(1 - beta_1, beta_1)
    rmsprop = kf.optimizers.RMSprop(1.0, beta_2)
    velocity = _positions(momentum, gradients)
    mean_square = _positions(rmsprop, gradients, watch=lambda: rmsprop.mean_square[0])
    with_momentum = _positions(kf.optimizers.RMSprop(1.0, beta_2, momentum=beta_1), gradients)
    # what the weight moves in a step, in units of the learning rate
    adam, velocity, with_momentum = (np.diff(moved, axis=0) for moved in (adam, velocity, with_momentum))
    parts = velocity / np.sqrt(mean_square[1:])
    t = np.arange(1, steps + 1)
    factor = np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    error = Measured.over(np.max(np.abs(adam - factor[:, None] * parts), 0))
    first, longest = Measured.over(np.abs(adam[0])), Measured.over(np.abs(parts).max(0))
    longest_adam = Measured.over(np.abs(adam).max(0))
    literal = Measured.over(np.mean(np.abs(with_momentum), 0) / np.mean(np.abs(adam), 0))
    return Evidence(
        numbers={
            "largest difference between Adam and its parts with the correction, learning rates": error,
            "first step of Adam, learning rates": first,
            "longest step of Adam, learning rates": longest_adam,
            "longest step of the parts without the correction, learning rates": longest,
            "steps of RMSprop with its own momentum over those of Adam": literal,
        },
        findings=(
            predicts(
                "Adam's step is momentum over the root of RMSprop's mean square, times a factor of the step's number",
                error.below(1e-3),
                "Adam's step is something else than momentum over the root of RMSprop's mean square",
            ),
            limit(
                "without this factor the longest step is more than twice as long as Adam's",
                (longest / longest_adam).above(2.0),
                "both means are corrected for their start at zero (without this the first steps are too long)",
            ),
            limit(
                "RMSprop with its own momentum takes steps that are more than three times as long",
                literal.above(3.0),
                "momentum means the gradients (RMSprop's own momentum adds up steps instead)",
            ),
        ),
        figure=_figure(adam, parts, with_momentum, factor),
    )


def _figure(adam: np.ndarray, parts: np.ndarray, with_momentum: np.ndarray, factor: np.ndarray) -> Figure:
    t = np.arange(1, len(adam) + 1)
    return Figure(
        (
            Panel(
                "Steps for the same random gradients",
                "step",
                "length of the step (learning rates)",
                {
                    "Adam": Series(t, np.abs(adam).mean(1)),
                    "momentum / root of mean square": Series(t, np.abs(parts).mean(1)),
                    "RMSprop with its own momentum": Series(t, np.abs(with_momentum).mean(1)),
                },
                log="y",
            ),
            Panel(
                "The correction",
                "step",
                "factor",
                {"measured": Series(t, (adam / parts).mean(1)), "formula": Series(t, factor)},
            ),
        )
    )


def _positions(optimizer: Any, gradients: np.ndarray, watch: Any = None) -> np.ndarray:
    """The weights, or the variable to watch, before the first step and after each: `(steps + 1, weights)`."""
    weight = keras.Variable(np.zeros(gradients.shape[1], "float32"))
    optimizer.build([weight])
    watched = watch() if watch else weight
    values = [np.array(ops.convert_to_numpy(watched))]
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [weight])
        values.append(np.array(ops.convert_to_numpy(watched)))
    return np.stack(values)
