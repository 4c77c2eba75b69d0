"""Inputs changed a little: at random, and against the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
    from keras import ops

    from kerasfound import autodiff
else:
    np, ops, autodiff = _lazy.module("numpy"), _lazy.module("keras.ops"), _lazy.module("kerasfound.autodiff")

TRAIN = 1200
CHANGES = (0.0, 0.05, 0.1, 0.25, 0.5)


@lab("A small change of the input does not change the decision of an accurate network", who="introductions")
def adversarial(
    *,
    change: Annotated[float, Between(0.01, 1)] = 0.1,
    steps: Annotated[int, Between(10, 5000)] = 500,
    seeds: Seeds = 4,
) -> Evidence:
    r"""Handwritten digits with every pixel changed by the same amount, up or down.

    The fast gradient sign method takes for each pixel the direction that raises the loss $L$:

    $$x' = x + \epsilon\, \mathrm{sign}\, \frac{\partial L}{\partial x}$$

    To first order the loss rises by $\epsilon \sum_i |\partial L / \partial x_i|$: the changes of all pixels add up.
    Random signs have the same size, but their effects cancel: their sum is zero on average.

    Args:
        change: the change of a pixel on which the verdict rests; pixels are in [0, 1].
        steps: steps of Adam in the training.
        seeds: number of initial values.

    Try: `--change 0.01`: too small to change decisions, in whatever direction.

    Source: Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples", 2015.
    """
    data = digits(0, TRAIN)
    learner = classifier(kf.optimizers.Adam(0.003))
    changes = sorted({*CHANGES, change})
    targets = ops.convert_to_tensor(data.y_test)
    attacked, noisy = np.zeros((2, seeds, len(changes)))
    for seed in range(seeds):
        learner.start(seed).learn(data.x, data.y, steps, 64, seed)
        direction = np.sign(autodiff.gradients(lambda x: learner.loss(targets, learner.model(x)), [data.x_test])[0])
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], data.x_test.shape)
        for i, size in enumerate(changes):
            attacked[seed, i], noisy[seed, i] = (
                learner.accuracy((data.x_test + size * signed).astype("float32"), data.y_test)
                for signed in (direction, signs)
            )
    at = changes.index(change)
    clean, fooled, random = (Measured.over(v) for v in (noisy[:, 0], attacked[:, at], noisy[:, at]))
    numbers = {"accuracy on unchanged digits": clean}
    for i, size in enumerate(changes[1:], 1):
        numbers[f"accuracy, gradient signs, change {size:g}"] = Measured.over(attacked[:, i])
        numbers[f"accuracy, random signs, change {size:g}"] = Measured.over(noisy[:, i])
    return Evidence(
        numbers=numbers,
        findings=(
            predicts(
                f"with random signs, a change of {change:g} costs less than 10% of the accuracy",
                (random / clean).above(0.9),
                "even random changes of this size change decisions",
            ),
            limit(
                f"with the signs of the gradient, a change of {change:g} costs more than half of the accuracy",
                (fooled / clean).below(0.5),
                "the change is random, and not computed from the gradient of the network",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Digits with changed pixels",
                    "change of each pixel (pixels are in [0, 1])",
                    "accuracy on test rows",
                    {
                        "signs of the gradient": Series.mean(changes, attacked),
                        "random signs": Series.mean(changes, noisy),
                    },
                ),
            )
        ),
    )
