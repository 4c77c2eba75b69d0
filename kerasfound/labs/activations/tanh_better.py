"""Tanh and sigmoid in hidden layers: which one learns faster, in shallow and in deep networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..networks import Activation, dense_network
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")


FACTOR = 4
"""The rate of the sigmoid in the second comparison: tanh's slope is up to 4 times as large."""


@lab(
    "In hidden layers tanh trains better than the sigmoid",
    who="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998",
)
def tanh_better(
    *,
    layers: Annotated[int, Between(2, 20)] = 5,
    width: Annotated[int, Between(8, 256)] = 32,
    rate: Annotated[float, Between(0.0001, 0.1)] = 0.005,
    samples: Annotated[int, Between(100, 5000)] = 1000,
    steps: Annotated[int, Between(1, 5000)] = 200,
    seeds: Seeds = 4,
) -> Evidence:
    r"""Networks with one and with several hidden layers of tanh or sigmoid learn MNIST-1D.

    The sigmoid has two drawbacks. Its outputs are about 1/2, not 0, so all inputs of the next layer have the same sign
    and the same large part. Its slope is at most 1/4, tanh's at most 1, so behind $L$ layers the gradient is smaller
    by up to $4^L$. A larger rate makes up for a smaller slope in one hidden layer, less so in several.

    Args:
        layers: hidden layers of the deep network.
        width: units of each layer.
        rate: the rate of Adam.
        samples: rows of MNIST-1D, a multiple of 10.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--rate 0.02`: then a sigmoid with 4 times the rate no longer overtakes tanh.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", section 4.4, 1998.
    """
    train, _ = kf.data.mnist1d.load(samples - samples % 10)
    runs = {}
    for depth in (1, layers):
        for name, activation in (("tanh", kf.activations.tanh), ("sigmoid", kf.activations.sigmoid)):
            learner = _learner(train.x.shape[1], width, depth, activation, rate)
            for factor in (1, FACTOR) if name == "sigmoid" else (1,):
                runs[depth, name, factor] = np.array(
                    [_losses(learner, rate * factor, train.x, train.y, steps, seed) for seed in range(seeds)]
                )
    final = {case: Measured.over(losses[:, -1]) for case, losses in runs.items()}
    names = {
        (depth, name, factor): f"{name}, {depth} hidden layer{'s' if depth > 1 else ''}"
        + (f", {factor} times the rate" if factor > 1 else "")
        for depth, name, factor in runs
    }
    return Evidence(
        numbers={f"training loss after {steps} steps, {names[case]}": number for case, number in final.items()},
        findings=(
            predicts(
                f"tanh has a lower loss, with one and with {layers} hidden layers",
                all_of(*(final[depth, "tanh", 1].below(final[depth, "sigmoid", 1]) for depth in (1, layers))),
                "with the same rate the sigmoid trains as well",
            ),
            limit(
                f"with one hidden layer a sigmoid with {FACTOR} times the rate has a lower loss than tanh",
                final[1, "sigmoid", FACTOR].below(final[1, "tanh", 1]),
                condition="both have the same rate",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Learning MNIST-1D",
                    "step",
                    "training cross-entropy, nats",
                    {names[case]: Series.mean(list(range(steps)), losses) for case, losses in runs.items()},
                    log="y",
                ),
            )
        ),
    )


def _losses(learner: Learner, rate: float, x: np.ndarray, y: np.ndarray, steps: int, seed: int) -> np.ndarray:
    learner.start(seed).optimizer.learning_rate.assign(rate)
    return learner.learn(x, y, steps)


def _learner(inputs: int, width: int, layers: int, activation: Activation, rate: float) -> Learner:
    return Learner(
        lambda: dense_network(inputs, (width,) * layers, 10, activation),
        kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        kf.optimizers.Adam(rate),
    )
