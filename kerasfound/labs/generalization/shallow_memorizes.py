"""A shallow network generalizes, and a deep one learns by heart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")


@lab("Shallow networks memorize, deep networks generalize", who="introductions")
def shallow_memorizes(
    *,
    layers: Annotated[int, Between(2, 12)] = 4,
    examples: Annotated[int, Between(100, 1500)] = 600,
    steps: Annotated[int, Between(50, 5000)] = 400,
    seeds: Seeds = 4,
) -> Evidence:
    r"""A network with one wide layer and one with several narrower layers, on true and on random labels.

    The claim has two halves. If shallow networks memorize, one hidden layer is bad on new images. If deep networks
    generalize instead, they do not fit labels without a rule. The two networks have about the same number of weights:
    256 units in one layer, or 64 units and more layers.

    Args:
        layers: hidden layers of 64 units of the deep network.
        examples: the number of training images.
        steps: steps of Adam with 100 images each.
        seeds: number of initial values and choices of the images.

    Try: `--layers 8`: a deeper network still learns random labels by heart.

    Source: Zhang et al., "Understanding deep learning requires rethinking generalization", 2017, for random labels.
    """
    networks = {"1 layer": [256], f"{layers} layers": [64] * layers}
    train: dict[tuple[str, str], Measured] = {}
    test: dict[tuple[str, str], Measured] = {}
    for name, units in networks.items():
        learner = classifier(kf.optimizers.Adam(0.003), units)
        for labels in ("true", "random"):
            pairs = []
            for seed in range(seeds):
                data = digits(seed, examples)
                y = data.y if labels == "true" else np.random.default_rng(seed).permutation(data.y)
                learner.start(seed).learn(data.x, y, steps, 100, seed)
                pairs.append((learner.accuracy(data.x, y), learner.accuracy(data.x_test, data.y_test)))
            train[name, labels], test[name, labels] = (Measured.over(column) for column in zip(*pairs, strict=True))
    shallow, deep = networks
    return Evidence(
        numbers={f"train accuracy, {labels} labels, {name}": number for (name, labels), number in train.items()}
        | {f"test accuracy, {labels} labels, {name}": number for (name, labels), number in test.items()},
        findings=(
            predicts("on true labels the shallow network is below 0.8 on new images", test[shallow, "true"].below(0.8),
                     "a shallow network generalizes as well"),
            predicts("on random labels the deep network fits less than half of the training images",
                     train[deep, "random"].below(0.5), "a deep network can memorize as well"),
        ),
        figure=Figure((_panel("Training images", train, networks), _panel("New images", test, networks))),
    )  # fmt: skip


def _panel(title: str, accuracy: dict[tuple[str, str], Measured], networks: dict[str, list[int]]) -> Panel:
    kinds = ("true", "random")
    series = {name: Series.of([f"{k} labels" for k in kinds], [accuracy[name, k] for k in kinds]) for name in networks}
    return Panel(title, "labels of the training images", "accuracy", series, kind="bars")
