"""Zeros among the outputs of ReLU, before and after training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import dense_network, hidden_outputs
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


LAYERS = 3


@lab("ReLU makes a network sparse: about half of its outputs are zero", who="Glorot, Bordes and Bengio, 2011")
def relu_sparsity(
    *,
    width: Annotated[int, Between(8, 512)] = 64,
    samples: Annotated[int, Between(100, 5000)] = 1000,
    first_bias: Annotated[float, Between(-5.0, 5.0)] = 1.0,
    steps: Annotated[int, Between(1, 5000)] = 150,
    seeds: Seeds = 8,
) -> Evidence:
    r"""The share of zeros in three hidden layers on MNIST-1D, before and after training, and with a first bias.

    Before training a weighted sum with random weights and bias 0 is as often negative as positive, so ReLU makes half
    of the outputs zero. With a first bias $b$ the share is $\Phi(-b / \sqrt{\mathrm{Var}(w \cdot x)})$, with He's
    weights about $\Phi(-b / \sqrt 2)$ in the first layer. Training changes the share as it likes: nothing in the loss
    asks for zeros.

    Args:
        width: units of each layer.
        samples: rows of MNIST-1D, a multiple of 10.
        first_bias: the first bias of the third measurement.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--first-bias -1`: then most outputs are zero.

    Source: Glorot, Bordes and Bengio, "Deep Sparse Rectifier Neural Networks", 2011.
    """
    train, test = kf.data.mnist1d.load(samples - samples % 10)
    learner = Learner(
        lambda: dense_network(train.x.shape[1], (width,) * LAYERS, 10, kf.activations.relu, kf.initializers.HeNormal),
        kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        kf.optimizers.Adam(0.003),
    )
    before, after, shifted = [], [], []
    for seed in range(seeds):
        before.append(_zeros(learner.start(seed).model, test.x))
        learner.learn(train.x, train.y, steps)
        after.append(_zeros(learner.model, test.x))
        for layer in learner.start(seed).model.layers[:-1]:
            layer.bias.assign(keras.ops.full(layer.bias.shape, first_bias))
        shifted.append(_zeros(learner.model, test.x))
    shares = {
        "before training": np.array(before),
        "after training": np.array(after),
        f"before training, bias {first_bias:g}": np.array(shifted),
    }
    total = {name: Measured.over(share.mean(axis=1)) for name, share in shares.items()}
    start, trained, biased = total.values()
    return Evidence(
        numbers={f"share of zeros, {name}": number for name, number in total.items()},
        findings=(
            predicts("before training 45% to 55% are zero", start.within(0.45, 0.55), "not half of them are zero"),
            predicts("after training a third or more are zero", trained.above(1 / 3), "training removes the zeros"),
            limit(
                f"with first biases of {first_bias:g} less than 45% are zero",
                biased.below(0.45),
                condition="the first biases are 0",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Zeros among the outputs of ReLU",
                    "hidden layer",
                    "share of zeros",
                    {name: Series.mean([str(i + 1) for i in range(LAYERS)], share) for name, share in shares.items()},
                    kind="bars",
                ),
            )
        ),
    )


def _zeros(model: keras.Model, x: np.ndarray) -> list[float]:
    """The share of zeros of each hidden layer."""
    return [float(np.mean(h == 0)) for h in hidden_outputs(model, x)]
