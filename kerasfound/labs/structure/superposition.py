"""More features than dimensions: when a network stores them on top of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

SPARSITIES = (0.0, 0.7, 0.9, 0.99)
IMPORTANCE = 0.9
"""The weight of a feature in the loss, relative to the feature before it."""
ROWS = 20_000


@lab("A layer of n units represents at most n features", who="introductions")
def superposition(
    *,
    features: Annotated[int, Between(2, 60)] = 20,
    units: Annotated[int, Between(1, 30)] = 5,
    steps: Annotated[int, Between(100, 20_000)] = 3000,
    seeds: Seeds = 3,
) -> Evidence:
    r"""Features are pressed through a few units and restored: how many survive, by how rarely they are active.

    With features $x$, each zero with probability $S$ and otherwise uniform in [0, 1], and a matrix $W$ of $n$ rows:

    $$\hat x = \mathrm{ReLU}(W^\top W x + b)$$

    Feature $i$ weighs $0.9^i$ in the squared error. It is kept if its direction $W_i$ has a length of about 1. Only $n$
    directions are orthogonal. If features are rarely active, two of them are seldom active together: then directions
    that overlap cost little, because a negative bias and the ReLU remove the weak traces that a feature leaves in the
    others.

    Args:
        features: number of features.
        units: $n$, the number of units.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--units 2`: 20 features in a plane.

    Source: Elhage et al., "Toy Models of Superposition", 2022.
    """
    weights = np.sqrt(IMPORTANCE ** np.arange(features)).astype("float32")
    learner = Learner(
        lambda: keras.Sequential([keras.Input((features,)), _bottleneck(units)]),
        lambda x, restored: kf.losses.MeanSquaredError()(x * weights, restored * weights),
        kf.optimizers.Adam(0.01),
    )
    kept, overlaps = [], []
    for sparsity in SPARSITIES:
        counts = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            x = (rng.random((ROWS, features)) * (rng.random((ROWS, features)) >= sparsity)).astype("float32")
            learner.start(seed).learn(x, x, steps, 256, seed)
            directions = keras.ops.convert_to_numpy(learner.model.trainable_variables[0])
            counts.append(float((np.linalg.norm(directions, axis=1) ** 2 > 0.5).sum()))
        kept.append(Measured.over(counts))
        overlaps.append(np.abs(directions @ directions.T))
    return Evidence(
        numbers={f"features kept, sparsity {s:g}": each for s, each in zip(SPARSITIES, kept, strict=True)},
        findings=(
            predicts(
                "if all features are always active, no more features are kept than there are units",
                kept[0].below(units + 0.5),
                "even features that are always active share directions",
            ),
            limit(
                f"if a feature is active in one of {round(1 / (1 - SPARSITIES[-1]))} rows, twice as many are kept",
                kept[-1].above(2 * units - 0.5),
                "its features are often active at the same time",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"{features} features in {units} units",
                    "sparsity: share of rows in which a feature is zero",
                    "features kept",
                    {"kept": Series.of([f"{s:g}" for s in SPARSITIES], kept)},
                    kind="bars",
                ),
                Panel(
                    f"Overlap of the directions, sparsity {SPARSITIES[-1]:g}",
                    "feature",
                    "feature (black: overlap 1)",
                    {},
                    image=overlaps[-1],
                ),
            )
        ),
    )


def _bottleneck(units: int) -> keras.layers.Layer:
    class Bottleneck(keras.layers.Layer):
        """To the units and back with the same matrix."""

        def build(self, input_shape: Any) -> None:
            self.directions = self.add_weight(
                shape=(input_shape[-1], units), initializer=kf.initializers.GlorotNormal()
            )
            self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros")

        def call(self, x: Any) -> Any:
            return kf.activations.relu(x @ self.directions @ keras.ops.transpose(self.directions) + self.bias)

    return Bottleneck()
