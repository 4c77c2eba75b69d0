"""Tasks for which ReLU is not the best hidden unit: gates and waves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..networks import Activation, Initializer, dense_network
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


ROWS = 256
FEATURES = 8
OPEN = 2.0
"""The bias of the open forget gates."""


@lab("Hidden layers should use ReLU", who="introductions")
def hidden_relu(
    *,
    layers: Annotated[int, Between(2, 10)] = 4,
    width: Annotated[int, Between(8, 256)] = 32,
    waves: Annotated[int, Between(1, 20)] = 6,
    time: Annotated[int, Between(2, 200)] = 50,
    steps: Annotated[int, Between(10, 5000)] = 200,
    seeds: Seeds = 4,
) -> Evidence:
    r"""ReLU against the sigmoid in a deep network, as the gate of an LSTM, and against sines for a periodic target.

    In a deep network on MNIST-1D ReLU's slope of 1 lets the gradient pass. A gate multiplies a state by a number
    between 0 and 1 in each time step; with ReLU the factor may be above 1, and the state grows like a power of it.
    A sum of ReLUs is a line beyond its last kink; a wave needs a kink for each turn, sines need one frequency.

    Args:
        layers: hidden layers of the deep network.
        width: units of each hidden layer.
        waves: periods of the target between -1 and 1.
        time: time steps of the LSTM.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--waves 1`: ReLU learns a single wave, too.

    Source: Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions", 2020.
    """
    train, _ = kf.data.mnist1d.load(1000)
    loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
    deep = {}
    for name, activation, initializer in (
        ("ReLU", kf.activations.relu, kf.initializers.HeNormal),
        ("sigmoid", kf.activations.sigmoid, kf.initializers.GlorotUniform),
    ):
        build = _deep(width, layers, activation, initializer)
        deep[name] = _final_losses(Learner(build, loss, kf.optimizers.Adam(0.005)), train.x, train.y, steps, seeds)
    x = np.linspace(-1, 1, ROWS, dtype="float32")[:, None]
    y = np.sin(np.pi * waves * x)
    wave = {}
    for name, build in (
        ("ReLU", _deep(width, 1, kf.activations.relu, kf.initializers.HeNormal, 1, 1)),
        ("sines", _sines(width, waves)),
    ):
        wave[name] = _final_losses(
            Learner(build, kf.losses.MeanSquaredError(), kf.optimizers.Adam(0.01)), x, y, steps, seeds
        )
    gate = {
        name: Measured.over(_largest_state(activation, time, seed) for seed in range(seeds))
        for name, activation in (("ReLU", kf.activations.relu), ("sigmoid", kf.activations.sigmoid))
    }
    return Evidence(
        numbers={
            **{f"cross-entropy of {layers} layers of {name}": number for name, number in deep.items()},
            **{f"log10 of the largest state of an LSTM, gates of {name}": number for name, number in gate.items()},
            **{f"mean squared error on {waves} waves, {name}": number for name, number in wave.items()},
        },
        findings=(
            predicts(
                f"{layers} hidden layers of ReLU learn faster than of sigmoids",
                deep["ReLU"].below(deep["sigmoid"]),
                "in deep networks ReLU learns no faster than the sigmoid",
            ),
            limit(
                f"with gates of ReLU the state of an LSTM grows beyond {time} in {time} steps, with sigmoids it cannot",
                all_of(gate["ReLU"].above(math.log10(time)), gate["sigmoid"].below(math.log10(time))),
                condition="the units are not gates",
            ),
            limit(
                "on the periodic target the error of sines is less than a tenth of that of ReLU",
                (wave["sines"] / wave["ReLU"]).below(0.1),
                condition="the target is not a wave of many periods",
            ),
        ),
        figure=_figure(deep, gate, wave, time, waves),
    )


def _figure(
    deep: dict[str, Measured], gate: dict[str, Measured], wave: dict[str, Measured], time: int, waves: int
) -> Figure:
    return Figure(
        (
            _bars("Deep network", "cross-entropy after training, nats", deep),
            _bars("Gates of an LSTM", f"log10 of the largest state after {time} steps", gate),
            _bars(f"{waves} waves", "mean squared error", wave, log="y"),
        )
    )


def _bars(title: str, y: str, numbers: dict[str, Measured], log: Literal["", "y"] = "") -> Panel:
    return Panel(title, "unit", y, {"value": Series.of([*numbers], [*numbers.values()])}, kind="bars", log=log)


def _deep(
    width: int, layers: int, activation: Activation, initializer: Initializer, inputs: int = 40, outputs: int = 10
) -> Any:
    return lambda: dense_network(inputs, (width,) * layers, outputs, activation, initializer)


def _sines(width: int, waves: int) -> Any:
    """A hidden layer of sines and cosines, as many outputs as the ReLU network has units."""
    return lambda: keras.Sequential(
        [
            keras.Input((1,)),
            kf.layers.PeriodicEmbedding(waves=width // 2, sigma=waves / 2),
            keras.layers.Flatten(),
            kf.layers.Dense(1),
        ]
    )


def _final_losses(learner: Learner, x: np.ndarray, y: np.ndarray, steps: int, seeds: int) -> Measured:
    return Measured.over(learner.start(seed).learn(x, y, steps)[-1] for seed in range(seeds))


def _largest_state(activation: Activation, time: int, seed: int) -> float:
    """The logarithm (base 10) of the largest state of an LSTM whose forget gates are open, after random inputs."""
    keras.utils.set_random_seed(seed)
    x = np.random.default_rng(seed).normal(0, 0.5, (8, time, FEATURES)).astype("float32")
    lstm = kf.layers.LSTM(FEATURES, recurrent_activation=activation, return_state=True)
    lstm.build(x.shape)
    lstm.cell.bias.assign(np.repeat([0.0, OPEN, 0.0, 0.0], FEATURES))  # input, forget, candidate, output
    _, _, state = lstm(x)
    return float(np.log10(np.max(np.abs(keras.ops.convert_to_numpy(state)))))
