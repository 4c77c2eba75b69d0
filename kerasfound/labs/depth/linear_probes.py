"""How well a linear classifier reads the class from each layer, in a trained and in a random network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")


@lab("A network learns representations: each layer makes the classes easier to separate", who="Bengio et al., 2013")
def linear_probes(
    *,
    layers: Annotated[int, Between(1, 8)] = 3,
    units: Annotated[int, Between(10, 500)] = 100,
    steps: Annotated[int, Between(20, 10000)] = 800,
    seeds: Seeds = 4,
) -> Evidence:
    r"""Fit a linear classifier to the outputs of each layer, on MNIST-1D.

    A linear probe of a layer with outputs $h$ is $W h + b$ fitted by least squares to the classes, on the training
    rows; the network itself is not changed. Its accuracy on new rows says how much of the class a hyperplane can read
    there. The control is the same network before training: random layers bend the inputs too, and a linear classifier
    of more and bent features is better than one of the raw inputs.

    Args:
        layers: hidden layers.
        units: units of each hidden layer.
        steps: steps of Adam with 100 rows each.
        seeds: number of initial values.

    Try: `--units 500`: with more random units the control is better as well.

    Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
    """
    train, test = kf.data.mnist1d.load()
    learner = _learner(layers, units)
    trained, random = [], []
    for seed in range(seeds):
        learner.start(seed)
        random.append(_probes(learner.model, train, test))
        learner.learn(train.x, train.y.astype("int32"), steps, 100, seed)
        trained.append(_probes(learner.model, train, test))
    by_layer = {
        "trained": [Measured.over(column) for column in zip(*trained, strict=True)],
        "random": [Measured.over(column) for column in zip(*random, strict=True)],
    }
    learned, control = by_layer["trained"], by_layer["random"]
    names = ["inputs", *(f"layer {i + 1}" for i in range(layers))]
    return Evidence(
        numbers={f"accuracy of a probe, {names[0]}": learned[0]}
        | {
            f"accuracy of a probe, {names[i]}, {kind}": numbers[i]
            for kind, numbers in by_layer.items()
            for i in range(1, layers + 1)
        },
        findings=(
            predicts("a probe of each trained layer is better than one of the inputs, and than one of the same layer "
                     "before training",
                     all_of(*(learned[i].above(learned[0]) for i in range(1, layers + 1)),
                            *(learned[i].above(control[i]) for i in range(1, layers + 1))),
                     "some trained layer is not better than the inputs or than its random weights"),
            limit("a probe of the first layer with random weights is better than one of the inputs, too",
                  control[1].above(learned[0]),
                  "one counts only what random layers do not do: they separate the classes as well, but less"),
        ),
        figure=Figure((_panel(names, by_layer),)),
    )  # fmt: skip


def _learner(layers: int, units: int) -> Learner:
    def build() -> keras.Model:
        hidden = [
            kf.layers.Dense(units, activation=kf.activations.relu, kernel_initializer=kf.initializers.HeNormal())
            for _ in range(layers)
        ]
        return keras.Sequential([keras.Input((40,)), *hidden, kf.layers.Dense(10)])

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.Adam(0.003))


def _probes(model: keras.Model, train: Any, test: Any) -> list[float]:
    """The test accuracy of a linear classifier of the inputs and of the outputs of each hidden layer."""
    h, h_test = train.x, test.x
    accuracies = [_probe(h, train.y, h_test, test.y)]
    for layer in model.layers[:-1]:
        h, h_test = (ops.convert_to_numpy(layer(ops.convert_to_tensor(part))) for part in (h, h_test))
        accuracies.append(_probe(h, train.y, h_test, test.y))
    return accuracies


def _probe(h: np.ndarray, y: np.ndarray, h_test: np.ndarray, y_test: np.ndarray) -> float:
    features, test_features = (np.concatenate([part, np.ones((len(part), 1))], 1).astype("float64")
                               for part in (h, h_test))  # fmt: skip
    gram = features.T @ features
    decay = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + decay, features.T @ np.eye(10)[y])
    return float(np.mean((test_features @ weights).argmax(1) == y_test))


def _panel(names: list[str], by_layer: dict[str, list[Measured]]) -> Panel:
    series = {f"{kind} weights": Series.of(names, numbers) for kind, numbers in by_layer.items()}
    return Panel("Linear probes, MNIST-1D", "what the probe reads", "test accuracy of the probe", series, kind="bars")
