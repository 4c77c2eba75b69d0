"""The time of ReLU, alone and as a part of a layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import compiled
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


ROUNDS = 7
"""Measurements whose median counts: the medians of two functions measured in turns do not depend on other work."""
SECONDS = 0.01
"""The shortest time of a measurement."""


@lab("ReLU is cheap: the products with the weights take most of the time of a layer", who="introductions")
def relu_cost(
    *,
    units: Annotated[int, Between(16, 2048)] = 512,
    rows: Annotated[int, Between(16, 65536)] = 2048,
    seeds: Seeds = 6,
) -> Evidence:
    r"""The processor time of ReLU and GELU alone, and of a dense layer with each of them.

    The matrix product of a layer takes rows x units x units multiplications, its activation is computed
    rows x units times: `units` times as seldom. How much longer GELU takes depends on the library: about as long as
    ReLU on TensorFlow, half as long again on JAX. The times are medians, of functions that are measured in turns.

    Args:
        units: inputs and outputs of the layer.
        rows: rows of the input.
        seeds: number of inputs, and of repetitions of the measurement.

    Try: `--units 16`: in a narrow layer the activation has a large share of the time.

    Source: Glorot, Bordes and Bengio, "Deep Sparse Rectifier Neural Networks", 2011.
    """
    layers = {name: _layer(units, getattr(kf.activations, name)) for name in ("relu", "gelu")}
    functions = {
        "ReLU": compiled(kf.activations.relu),
        "GELU": compiled(kf.activations.gelu),
        **{f"layer with {name}": compiled(layer) for name, layer in layers.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in functions}
    for seed in range(seeds):
        x = keras.ops.convert_to_tensor(np.random.default_rng(seed).normal(size=(rows, units)).astype("float32"))
        for name, seconds in _medians(functions, x).items():
            times[name].append(1e6 * seconds)
    measured = {name: Measured.over(each) for name, each in times.items()}
    share = measured["ReLU"] / measured["layer with relu"]
    return Evidence(
        numbers={
            **{f"time of {name}, microseconds": number for name, number in measured.items()},
            "time of ReLU / time of a dense layer with ReLU": share,
            "time of GELU / time of ReLU": measured["GELU"] / measured["ReLU"],
            "time of a dense layer with GELU / with ReLU": measured["layer with gelu"] / measured["layer with relu"],
        },
        findings=(
            predicts(
                "ReLU takes less than half of the time of its dense layer",
                share.below(0.5),
                "ReLU takes at least half of the time of its dense layer",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"{rows} rows, {units} units",
                    "computation",
                    "processor time, microseconds",
                    {"time": Series.of([name.replace(" with ", "\n+ ") for name in measured], [*measured.values()])},
                    kind="bars",
                ),
            )
        ),
    )


def _layer(units: int, activation: Callable[[Any], Any]) -> Any:
    layer = kf.layers.Dense(units, activation=activation)
    layer.build((None, units))
    return layer


def _medians(functions: dict[str, Callable[[Any], Any]], x: Any) -> dict[str, float]:
    """The median processor time of a call of each function, in seconds."""
    calls = {name: max(1, round(SECONDS / _time(function, x, 3))) for name, function in functions.items()}
    rounds = [{name: _time(function, x, calls[name]) for name, function in functions.items()} for _ in range(ROUNDS)]
    return {name: float(np.median([each[name] for each in rounds])) for name in functions}


def _time(function: Callable[[Any], Any], x: Any, calls: int) -> float:
    keras.ops.convert_to_numpy(function(x))
    start = time.process_time()
    for _ in range(calls):
        result = function(x)
    keras.ops.convert_to_numpy(result)
    return max((time.process_time() - start) / calls, 1e-7)
