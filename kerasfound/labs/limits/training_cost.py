"""The cost of training beside the cost of use, in counted operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..operations import count_gradients, count_outputs
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

BATCH = 64


@lab("Training a network costs more than using it", who="introductions")
def training_cost(
    *,
    rows: Annotated[int, Between(1, 10_000_000)] = 60_000,
    epochs: Annotated[int, Between(1, 1000)] = 20,
    uses: Annotated[int, Between(1, 1_000_000_000)] = 100_000_000,
    seeds: Seeds = 3,
) -> Evidence:
    r"""The floating-point operations of a dense network, counted by the backend, for a prediction and for a step.

    A prediction multiplies the input by every matrix once. A training step does that, and then two more products of the
    same size for each matrix, $\partial L / \partial W = a^\top \delta$ and $\delta W^\top$ (not for the first layer):

    $$\mathrm{training} \approx 3 \cdot \mathrm{forward} \cdot \mathrm{rows} \cdot \mathrm{epochs}$$

    That is paid once. A prediction is paid for each use. After about $3 \cdot \mathrm{rows} \cdot \mathrm{epochs}$ uses
    both have cost the same.

    Args:
        rows: training rows.
        epochs: passes over them.
        uses: predictions in the life of the model.
        seeds: networks of different widths (the count does not depend on the initial values).

    Try: `--uses 1000000`: so few uses cost less than the training.

    Source: Kaplan et al., "Scaling Laws for Neural Language Models", 2020, section 2.1.
    """
    forward, step = [], []
    for seed in range(seeds):
        learner = classifier(kf.optimizers.Adam(), 3 * (128 * (seed + 1),))
        x, y = np.zeros((BATCH, 64), "float32"), np.zeros(BATCH, "int32")
        forward.append(count_outputs(learner, x) / BATCH)
        step.append(count_gradients(learner, x, y) / BATCH)
    ratio = Measured.over(step) / Measured.over(forward)
    training = [each * rows * epochs for each in step]
    use = Measured.over([each * uses for each in forward]) / Measured.over(training)
    even = Measured.over([whole / each for whole, each in zip(training, forward, strict=True)])
    at = np.geomspace(1, max(uses, 10 * rows * epochs), 50).tolist()
    return Evidence(
        numbers={
            "operations of a prediction": Measured.over(forward),
            "operations of a training step for one row": Measured.over(step),
            "a row in a step / a prediction": ratio,
            "predictions that cost as much as the training": even,
            f"cost of {uses:,} predictions / cost of the training": use,
        },
        findings=(
            predicts(
                "a row costs between 2 and 3.5 times as much in a training step as in a prediction",
                ratio.within(2, 3.5),
                "a training step does not cost about three predictions",
            ),
            limit(
                f"{uses:,} predictions cost more than the training",
                use.above(1.0),
                "the model is used fewer than about 3 x rows x epochs times",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"{rows:,} rows, {epochs} epochs",
                    "predictions",
                    "floating-point operations",
                    {
                        "training": Series(at, len(at) * [float(np.mean(training))]),
                        "predictions so far": Series(at, [float(np.mean(forward)) * n for n in at]),
                    },
                    log="xy",
                ),
            )
        ),
    )
