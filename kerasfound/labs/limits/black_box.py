"""Is a network a black box? What happens when the pixels are deleted that its gradient names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import classifier, probabilities
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
    from keras import ops

    from kerasfound import autodiff
else:
    np, ops, autodiff = _lazy.module("numpy"), _lazy.module("keras.ops"), _lazy.module("kerasfound.autodiff")

TRAIN = 1200
IMAGES = 200
DELETED = (0, 2, 4, 8, 16, 32, 64)


@lab("A neural network is a black box: nothing tells which inputs its decision rests on", who="introductions")
def black_box(
    *,
    path: Annotated[int, Between(1, 128)] = 8,
    steps: Annotated[int, Between(10, 5000)] = 400,
    seeds: Seeds = 4,
) -> Evidence:
    r"""The pixels of digits are set to black, the most important ones first, and the probability of the class falls.

    Four rankings of the pixels are compared: random; the brightest first, which knows nothing of the network; the
    gradient of the logit of the decision, $\partial z_c / \partial x_i$, times the pixel; and integrated gradients

    $$x_i \int_0^1 \frac{\partial z_c}{\partial x_i}(\alpha x)\, d\alpha$$

    whose sum over the pixels is $z_c(x) - z_c(0)$. A ranking is good if few pixels suffice: the area under the curve of
    the probability by the share of deleted pixels is small. Only a ranking that beats the brightest pixels has
    learned something from the network.

    Args:
        path: points on the path of the integral.
        steps: steps of Adam in the training.
        seeds: number of initial values.

    Try: `--path 1`: with a single point, the image itself, the ranking is that of the gradient times the pixel.

    Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017; deletion: Petsiuk, Das and
    Saenko, "RISE", 2018.
    """
    data = digits(0, TRAIN)
    x = data.x_test[:IMAGES]
    learner = classifier(kf.optimizers.Adam(0.003))
    curves: dict[str, list[np.ndarray]] = {}
    for seed in range(seeds):
        learner.start(seed).learn(data.x, data.y, steps, 64, seed)
        for name, importance in _rankings(learner, x, path, seed).items():
            curves.setdefault(name, []).append(_deletion(learner, x, importance))
    share = np.array(DELETED) / x.shape[1]
    area = {name: Measured.over(np.trapezoid(runs, share, axis=1)) for name, runs in curves.items()}
    integrated = area["integrated gradients"]
    return Evidence(
        numbers={f"area under the deletion curve, {name}": each for name, each in area.items()},
        findings=(
            predicts(
                "the pixels that integrated gradients name matter no more than random pixels",
                _not(integrated.below(area["random"])),
                "without the pixels that integrated gradients name, the probability falls faster than at random",
            ),
            predicts(
                "they matter no more than the brightest pixels",
                _not(integrated.below(area["brightest"])),
                "it also falls faster than without the brightest ones",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Delete the most important pixels first",
                    "share of deleted pixels",
                    "probability of the first decision",
                    {name: Series.mean(share, runs) for name, runs in curves.items()},
                ),
            )
        ),
    )


def _not(decision: bool | None) -> bool | None:
    return None if decision is None else not decision


def _rankings(learner: Learner, x: np.ndarray, path: int, seed: int) -> dict[str, np.ndarray]:
    """The importance of each pixel of each image, by each of the four rules."""
    decision = np.eye(10, dtype="float32")[learner.predict(x).argmax(axis=-1)]

    def gradient(scale: float) -> np.ndarray:
        return autodiff.gradients(lambda x: ops.sum(learner.model(x) * decision), [scale * x])[0]

    middles = (np.arange(path, dtype="float32") + 0.5) / path if path > 1 else np.ones(1, "float32")
    return {
        "random": np.random.default_rng(seed).random(x.shape),
        "brightest": x,
        "gradient x pixel": x * gradient(1.0),
        "integrated gradients": x * np.mean([gradient(scale) for scale in middles], axis=0),
    }


def _deletion(learner: Learner, x: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """The mean probability of the first decision after the first k pixels are deleted, for each k."""
    decision = learner.predict(x).argmax(axis=-1)
    rank = (-importance).argsort(axis=1, kind="stable").argsort(axis=1)
    kept = [np.where(rank < k, 0, x).astype("float32") for k in DELETED]
    return np.array([probabilities(learner.predict(each))[np.arange(len(x)), decision].mean() for each in kept])
