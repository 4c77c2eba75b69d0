"""Logistic regression, boosted trees and a network on tables of a few hundred rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured, all_of
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
    import threadpoolctl
    from sklearn import datasets, ensemble, linear_model
else:
    np, threadpoolctl, datasets = (_lazy.module(name) for name in ("numpy", "threadpoolctl", "sklearn.datasets"))
    ensemble, linear_model = _lazy.module("sklearn.ensemble"), _lazy.module("sklearn.linear_model")

TEST_SHARE = 0.3
BATCH = 32
MARGIN = 0.02
"""Two accuracies that differ by less count as equal."""
TREES, LINEAR, NETWORK = "boosted trees", "logistic regression", "network"


@lab("Deep learning has the higher ceiling: a network is better than classical methods", who="introductions")
def small_tables(
    *,
    units: Annotated[int, Between(2, 1000)] = 64,
    steps: Annotated[int, Between(20, 10_000)] = 400,
    rows: Annotated[int, Between(100, 10_000)] = 1000,
    seeds: Seeds = 8,
) -> Evidence:
    r"""Compare three methods with their usual settings on two measured tables and on a made-up one.

    The made-up table has ten inputs between 0 and 1; its class is whether Friedman's function,

    $$10 \sin(\pi x_1 x_2) + 20 (x_3 - 0.5)^2 + 10 x_4 + 5 x_5 + \epsilon, \qquad \epsilon \sim N(0, 1)$$

    is above its median: a smooth rule that no plane separates. In the measured tables, `breast_cancer` (569 rows) and
    `wine` (178 rows), a plane is nearly enough, and a network can only find the same plane with more effort.

    Args:
        units: units of each of two hidden layers.
        steps: steps of AdamW with 32 rows each.
        rows: rows of the made-up table. Of each table 70% are for training.
        seeds: number of initial values and splits.

    Try: `--rows 100`: with few rows the network does not find the smooth rule either.

    Source: Friedman, "Multivariate Adaptive Regression Splines", 1991; Grinsztajn, Oyallon and Varoquaux, "Why do
    tree-based models still outperform deep learning on typical tabular data?", 2022.
    """
    tables = {
        "breast_cancer": [datasets.load_breast_cancer(return_X_y=True)] * seeds,
        "wine": [datasets.load_wine(return_X_y=True)] * seeds,
        "made-up": [_made_up(rows, seed) for seed in range(seeds)],
    }
    accuracy = {
        (table, method): number
        for table, versions in tables.items()
        for method, number in _accuracies([_split(x, y, s) for s, (x, y) in enumerate(versions)], units, steps).items()
    }
    gain = {table: accuracy[table, NETWORK] - accuracy[table, LINEAR] for table in tables}
    return Evidence(
        numbers={f"test accuracy, {table}, {method}": number for (table, method), number in accuracy.items()},
        findings=(
            predicts("on the made-up table the network is better than logistic regression", gain["made-up"].above(0.0),
                     "even a smooth rule is not learned better by a network"),
            limit(f"there it is less than {MARGIN} better than boosted trees",
                  (accuracy["made-up", NETWORK] - accuracy["made-up", TREES]).below(MARGIN),
                  "the classical method is linear: boosted trees are as good"),
            limit(f"on breast_cancer and on wine it is less than {MARGIN} better than logistic regression",
                  all_of(*(gain[table].below(MARGIN) for table in ("breast_cancer", "wine"))),
                  "there is something to learn beyond a plane: on two measured tables logistic regression is as good"),
        ),
        figure=Figure((_panel(accuracy, list(tables)),)),
    )  # fmt: skip


def _made_up(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.make_friedman1(rows, n_features=10, noise=1.0, random_state=seed)
    return x, (y > np.median(y)).astype("int32")


def _split(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[Any, ...]:
    """Standardized training rows, test rows, and their classes."""
    order = np.random.default_rng(seed).permutation(len(y))
    test, train = np.split(order, [round(TEST_SHARE * len(y))])
    x = ((x - x[train].mean(axis=0)) / x[train].std(axis=0)).astype("float32")
    return x[train], y[train].astype("int32"), x[test], y[test]


def _accuracies(splits: list[tuple[Any, ...]], units: int, steps: int) -> dict[str, Measured]:
    """The test accuracy of each method over the splits."""
    (x, y, *_), *_ = splits
    network = classifier(kf.optimizers.AdamW(0.003, weight_decay=0.1), [units, units], x.shape[1], int(y.max()) + 1)
    found: dict[str, list[float]] = {LINEAR: [], TREES: [], NETWORK: []}
    for seed, (x, y, x_test, y_test) in enumerate(splits):
        with threadpoolctl.threadpool_limits(1):  # more threads than free cores make small models slow
            linear = linear_model.LogisticRegression(max_iter=1000).fit(x, y)
            trees = ensemble.HistGradientBoostingClassifier(random_state=seed).fit(x, y)
            found[LINEAR].append(float(linear.score(x_test, y_test)))
            found[TREES].append(float(trees.score(x_test, y_test)))
        network.start(seed).learn(x, y, steps, BATCH, seed)
        found[NETWORK].append(network.accuracy(x_test, y_test))
    return {method: Measured.over(values) for method, values in found.items()}


def _panel(accuracy: dict[tuple[str, str], Measured], tables: list[str]) -> Panel:
    series = {
        method: Series.of(tables, [accuracy[table, method] for table in tables]) for method in (LINEAR, TREES, NETWORK)
    }
    return Panel("Tables of a few hundred rows", "table", "test accuracy", series, kind="bars")
