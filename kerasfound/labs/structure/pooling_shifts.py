"""Pooling: how much the features change when the input is shifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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

SIGNALS = 200


@lab("Pooling makes a network invariant to shifts", who="introductions")
def pooling_shifts(
    *,
    window: Annotated[int, Between(2, 10)] = 4,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Signals of MNIST-1D pass a convolution with random filters, then pooling; then the signals are shifted.

    The change of the features $f$ by a shift of $d$ pixels, relative to their size, is

    $$\Delta(d) = \|f(\mathrm{shift}_d\, x) - f(x)\| \,/\, \|f(x)\|$$

    Max pooling keeps the largest value of each window of $p$ pixels. If the signal moves by less than a window, the
    largest value often stays in its window. If it moves by a whole window, all values are those of the next window, and
    the features are others. Only a maximum over all positions forgets the position. Signals are shifted as on a ring,
    so that nothing leaves at the ends.

    Args:
        window: $p$, the width of the pooling windows, in pixels.
        seeds: number of random filters.

    Try: `--window 2`: a shift by one pixel changes the features more than with windows of 4.

    Source: Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019.
    """
    x = kf.data.mnist1d.load()[1].x[:SIGNALS]
    shifts = list(range(window + 1))
    pools = {
        "no pooling": lambda features: features,
        f"max pooling of {window}": lambda features: kf.layers.MaxPooling2D((window, 1))(features),
        "global max pooling": lambda features: kf.layers.GlobalMaxPooling2D()(features),
    }
    changes = {name: np.zeros((seeds, len(shifts))) for name in pools}
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        convolution = kf.layers.Conv2D(16, (5, 1), activation=kf.activations.relu, kernel_initializer="he_normal")
        features = [_on_a_ring(convolution, np.roll(x, shift, axis=1)) for shift in shifts]
        for name, pool in pools.items():
            pooled = [ops.convert_to_numpy(pool(each)).reshape(SIGNALS, -1) for each in features]
            changes[name][seed] = [_relative_change(each, pooled[0]) for each in pooled]
    plain, local, whole = changes.values()
    one, one_plain = Measured.over(local[:, 1]), Measured.over(plain[:, 1])
    far, far_plain = Measured.over(local[:, -1]), Measured.over(plain[:, -1])
    return Evidence(
        numbers={
            "change by a shift of 1, no pooling": one_plain,
            f"change by a shift of 1, max pooling of {window}": one,
            f"change by a shift of {window}, no pooling": far_plain,
            f"change by a shift of {window}, max pooling of {window}": far,
            f"change by a shift of {window}, global max pooling": Measured.over(whole[:, -1]),
        },
        findings=(
            predicts(
                "a shift by one pixel changes pooled features less than features without pooling",
                one.below(one_plain),
                "pooled features change as much as others by a shift of one pixel",
            ),
            predicts(
                "a maximum over all positions does not change at all",
                Measured.over(whole[:, -1]).below(1e-5),
                "even a maximum over all positions depends on the position",
            ),
            limit(
                f"a shift by the window of {window} changes pooled features by more than half of their size",
                far.above(0.5),
                "the shift is smaller than the pooling window, or the window is the whole input",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Features of a shifted signal",
                    "shift (pixels)",
                    "change of the features / their size",
                    {name: Series.mean(shifts, each) for name, each in changes.items()},
                ),
            )
        ),
    )


def _on_a_ring(convolution: keras.layers.Layer, x: np.ndarray) -> object:
    """The features at all 40 positions, with the two pixels beyond each end taken from the other end."""
    ring = np.concatenate([x[:, -2:], x, x[:, :2]], axis=1)
    return convolution(ring[:, :, None, None])


def _relative_change(shifted: np.ndarray, features: np.ndarray) -> float:
    return float(np.linalg.norm(shifted - features) / np.linalg.norm(features))
