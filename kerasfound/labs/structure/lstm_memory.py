"""How far back the gradient reaches in an LSTM and in a simple recurrent network."""

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

    from kerasfound import autodiff
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")
    autodiff = _lazy.module("kerasfound.autodiff")

INPUTS = 6
ROWS = 20
SIMPLE = "simple RNN"
USUAL_BIAS = 1.0
"""The bias of the forget gate that Keras and this package start from."""


@lab("An LSTM remembers longer than a simple recurrent network", who="Hochreiter and Schmidhuber, 1997")
def lstm_memory(
    *,
    steps: Annotated[int, Between(10, 500)] = 100,
    back: Annotated[int, Between(1, 499)] = 50,
    forget_bias: Annotated[float, Between(-5, 10)] = 3.0,
    units: Annotated[int, Between(2, 256)] = 32,
    seeds: Seeds = 6,
) -> Evidence:
    r"""Compare the gradient by old inputs with the gradient by the last one, in networks with their initial weights.

    An input that the gradient hardly reaches is slow to learn from, though training can still find a way to keep it. In
    a simple network each step back multiplies the gradient by $\mathrm{diag}(\phi')\, U$. Along the cell state of an
    LSTM it is multiplied by the forget gate, about $\sigma(b)$ before training: 0.5 for a bias of 0, 0.73 for 1, 0.95
    for 3. Over 50 steps these are $10^{-15}$, $10^{-7}$ and 0.09.

    Args:
        steps: length of the sequences, of random numbers.
        back: the number of steps back at which the gradients are compared, less than `steps`.
        forget_bias: the initial bias of the forget gate of the LSTM that remembers.
        units: units of each network.
        seeds: number of initial values.

    Try: `--forget-bias 2`: the gate starts at 0.88, and the gradient fades again, but slowly.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Jozefowicz, Zaremba and Sutskever, "An Empirical
    Exploration of Recurrent Network Architectures", 2015, for the bias.
    """
    back = min(back, steps - 1)
    biases = {f"LSTM, forget bias {bias:g}": bias for bias in (0.0, USUAL_BIAS, forget_bias)}
    make = {SIMPLE: lambda: kf.layers.SimpleRNN(units)} | {
        name: lambda bias=bias: _lstm(units, bias) for name, bias in biases.items()
    }
    curves = {name: [_gradients(new, steps, units, seed) for seed in range(seeds)] for name, new in make.items()}
    reach = {name: Measured.over(curve[back] for curve in runs) for name, runs in curves.items()}
    simple, half_open, _, opened = reach.values()
    return Evidence(
        numbers={f"gradient {back} steps back, log10, {name}": number for name, number in reach.items()},
        findings=(
            predicts(f"with a forget bias of {forget_bias:g} the gradient {back} steps back is more than 10 times that "
                     "of a simple RNN", (opened - simple).above(1.0), "gates do not carry the gradient further back"),
            limit("with a forget bias of 0 it is smaller than that of a simple RNN", half_open.below(simple),
                  "its forget gate starts open: with a bias of 0 the gradient fades faster than in a simple RNN"),
        ),
        figure=Figure((_panel(curves),)),
    )  # fmt: skip


def _lstm(units: int, forget_bias: float) -> Any:
    """An LSTM whose forget gate starts with this bias."""
    bias = np.zeros(4 * units, "float32")
    bias[units : 2 * units] = forget_bias
    return kf.layers.LSTM(
        units, unit_forget_bias=False, bias_initializer=lambda shape, dtype: ops.convert_to_tensor(bias)
    )


def _gradients(make: Any, steps: int, units: int, seed: int) -> np.ndarray:
    """The length of the gradient of the last state by the input 0, 1, 2, ... steps back, log10, from 0."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, steps, INPUTS)).astype("float32")
    direction = rng.normal(size=units).astype("float32")
    layer = make()
    (gradient,) = autodiff.gradients(lambda x: ops.sum(layer(x) * direction), [x])
    lengths = np.log10(np.linalg.norm(gradient, axis=2).mean(axis=0)[::-1] + 1e-30)
    return lengths - lengths[0]


def _panel(curves: dict[str, list[np.ndarray]]) -> Panel:
    series = {name: Series.mean(range(len(runs[0])), runs) for name, runs in curves.items()}
    return Panel("Before training", "steps back", "gradient by the input, log10, relative to the last", series)
