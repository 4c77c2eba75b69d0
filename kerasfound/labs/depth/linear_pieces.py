"""The number of straight pieces of a ReLU network, by its depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series
from .sawtooth import POINTS, pieces_of, saw

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

DEPTHS = (1, 2, 4, 8)
BUILT = (1, 2, 4, 6, 8)


@lab("With more layers the same number of units makes more linear pieces", who="Montufar et al., 2014")
def linear_pieces(
    *,
    units: Annotated[int, Between(8, 1024)] = 256,
    inputs: Annotated[int, Between(1, 500)] = 10,
    seeds: Seeds = 8,
) -> Evidence:
    r"""Count the straight pieces of ReLU networks along a line through the space of the inputs.

    A ReLU network is linear wherever no unit changes between off and on. Walking along a line, each change starts a new
    piece. With one layer of $n$ units there are at most $n + 1$ pieces; with $L$ layers of 2 units, built to fold the
    line in each layer, $2^L$. But a network with random weights does not fold: whatever its depth, each unit changes
    about once.

    Args:
        units: units of the random networks, over all layers; a multiple of 8.
        inputs: inputs of the random networks.
        seeds: number of initial values.

    Try: `--inputs 1`: the counts change little, since a line is a line in any space.

    Source: Montufar, Pascanu, Cho and Bengio, "On the Number of Linear Regions of Deep Neural Networks", 2014; Hanin
    and Rolnick, "Complexity of Linear Regions in Deep Networks", 2019, for random weights.
    """
    x = (np.arange(POINTS + 1, dtype="float32") / POINTS)[:, None]
    built = {depth: pieces_of(x, saw(depth, x)) for depth in BUILT}
    found = {depth: [_pieces(depth, units // depth, inputs, seed) for seed in range(seeds)] for depth in DEPTHS}
    ratio = Measured.over(found[DEPTHS[-1]]) / Measured.over(found[1])
    bound = {depth: 2 * depth + 1 for depth in BUILT}
    return Evidence(
        numbers={f"pieces, built, {depth} layers of 2 units": Measured.over([built[depth]] * seeds) for depth in BUILT}
        | {
            f"pieces, random, {depth} layers of {units // depth} units": Measured.over(found[depth])
            for depth in DEPTHS
        }
        | {f"pieces with {DEPTHS[-1]} layers / pieces with 1 layer, random": ratio},
        findings=(
            predicts("built by hand, L layers of 2 units make 2^L pieces; one layer of 2 L units makes at most 2 L + 1",
                     all(built[depth] == 2**depth for depth in BUILT), "layers do not multiply the pieces"),
            limit(f"with random weights {DEPTHS[-1]} layers make less than twice as many pieces as one layer",
                  ratio.below(2.0), "its weights are chosen to fold the inputs: random weights are not"),
        ),
        figure=Figure((_built_panel(built, bound), _random_panel(found, units))),
    )  # fmt: skip


def _pieces(depth: int, width: int, inputs: int, seed: int) -> int:
    """The number of pieces of a random network along a random line."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    start, direction = rng.normal(size=(2, inputs))
    h = ops.convert_to_tensor((start + np.linspace(-20, 20, 10000)[:, None] * direction).astype("float32"))
    on = []
    for _ in range(depth):
        bias = keras.initializers.RandomNormal(stddev=1.0)
        layer = kf.layers.Dense(
            width,
            activation=kf.activations.relu,
            kernel_initializer=kf.initializers.HeNormal(),
            bias_initializer=bias,
        )
        h = layer(h)
        on.append(ops.convert_to_numpy(h) > 0)
    patterns = np.concatenate(on, axis=1)
    return 1 + int(np.any(patterns[1:] != patterns[:-1], axis=1).sum())


def _built_panel(built: dict[int, int], bound: dict[int, int]) -> Panel:
    depths = list(built)
    series = {
        "built by hand: L layers of 2 units": Series(depths, [float(n) for n in built.values()]),
        "most that one layer of 2 L units can make": Series(depths, [float(bound[d]) for d in depths]),
    }
    return Panel("Built by hand", "layers L", "straight pieces", series, log="y")


def _random_panel(found: dict[int, list[int]], units: int) -> Panel:
    series = {"random weights": Series.of([str(d) for d in found], [Measured.over(n) for n in found.values()])}
    return Panel(f"Random weights, {units} units", "layers", "straight pieces along a line", series, kind="bars")
