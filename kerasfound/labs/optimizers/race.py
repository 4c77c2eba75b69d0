"""A race of optimizers on three surfaces and on digits, each with its best learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops

    from . import surfaces
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")
    surfaces = _lazy.module("kerasfound.labs.optimizers.surfaces")

CONDITION = 100.0
RATES = tuple(10 ** (k / 4) for k in range(-14, 3))
"""From 3e-4 to 3, four in each factor of ten."""
DIGITS_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
TRAIN = 1297
LOOK, LOOKS = 10, 20
"""Steps between two looks at the accuracy on digits, and the number of looks."""


@lab("Adam is the fastest optimizer", who="introductions")
def race(*, steps: Annotated[int, Between(50, 2000)] = 250, seeds: Seeds = 4) -> Evidence:
    r"""Steps to the goal on a narrow quadratic, in a milder form of Rosenbrock's valley, from a saddle, and on digits.

    Each optimizer has its best learning rate for each problem, of a grid with four rates in each factor of ten (for
    digits, two). The heights to reach: 0.0001 of the first on the quadratic, 0.01 in Rosenbrock's valley, and 96% of
    the depth of the minimum from the saddle; and they must not rise again. For digits it is the test accuracy 0.9.

    Args:
        steps: steps on a surface; a walk that does not arrive counts as this number.
        seeds: number of random starts.

    Try: `--steps 100`: gradient descent and RMSprop no longer arrive in Rosenbrock's valley.

    Source: Schmidt, Schneider and Hennig, "Descending through a Crowded Valley: Benchmarking Deep Learning Optimizers",
    2021.
    """
    rng = np.random.default_rng(0)
    starts = {
        "quadratic": rng.uniform(0.5, 1.5, (seeds, 2)),
        "Rosenbrock": np.array([-1.0, 1.0]) + rng.uniform(-0.2, 0.2, (seeds, 2)),
        "saddle": rng.uniform(0.5, 1.5, (seeds, 2)) * [1.0, 0.001],
    }
    landscapes = {
        "quadratic": (surfaces.quadratic([1.0, CONDITION]), lambda h: h < 1e-4 * h[0]),
        "Rosenbrock": (surfaces.rosenbrock, lambda h: h < 0.01),
        "saddle": (surfaces.saddle, lambda h: h < -0.24),
    }
    results: dict[str, dict[str, Measured]] = {}
    paths: dict[str, dict[str, np.ndarray]] = {}
    for problem, (surface, arrived) in landscapes.items():
        walks = {name: _best_walk(surface, arrived, name, starts[problem], steps) for name in OPTIMIZERS}
        results[problem] = {name: Measured.over(taken) for name, (taken, _) in walks.items()}
        paths[problem] = {name: path for name, (_, path) in walks.items()}
    results["digits"] = {name: Measured.over(_digits(optimizer(0.01), seeds)) for name, optimizer in OPTIMIZERS.items()}
    findings = []
    for problem, taken in results.items():
        rival = min((name for name in taken if name != "Adam"), key=lambda name: taken[name].mean)
        findings.append(
            predicts(
                f"{problem}: Adam needs at most 10% more steps than {rival}, the fastest of the others",
                (taken["Adam"] / taken[rival]).below(1.1),
                f"{rival} is faster on the problem {problem}",
            )
        )
    return Evidence(
        numbers={
            f"steps, {problem}, {name}": number for problem, taken in results.items() for name, number in taken.items()
        },
        findings=tuple(findings),
        figure=_figure(landscapes, paths, results),
    )


OPTIMIZERS: dict[str, Any] = {
    "gradient descent": lambda rate: kf.optimizers.SGD(rate),
    "Momentum": lambda rate: kf.optimizers.Momentum(rate, 0.9),
    "RMSprop": lambda rate: kf.optimizers.RMSprop(rate),
    "Adam": lambda rate: kf.optimizers.Adam(rate),
}


def _best_walk(surface: Any, arrived: Any, name: str, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The steps of each seed at the best rate, and the path of the first seed.

    One path tries all rates: each walk measures its position in a unit of its own, which multiplies the rate by this
    unit, or by its square where the step is proportional to the gradient.
    """
    seeds = len(start)
    rates = np.array(RATES)
    u = np.repeat(rates if name in ("RMSprop", "Adam") else np.sqrt(rates), seeds)[:, None].astype("float32")
    walk = surfaces.Walk(lambda q: surface(u * q), OPTIMIZERS[name](1.0), np.tile(start, (len(rates), 1)) / u)
    with np.errstate(all="ignore"):  # walks with a too large rate run away
        path = walk.path(steps) * u
        heights = ops.convert_to_numpy(surface(ops.convert_to_tensor(path.reshape(-1, 2)))).reshape(path.shape[:2])
        final = np.nan_to_num(heights[-1], nan=np.inf).reshape(len(rates), seeds).max(1)
        outside = ~arrived(heights)  # a height that is no number is outside, too
    # one more than the last step outside
    taken = np.where(outside.any(0), len(outside) - outside[::-1].argmax(0), 0).clip(max=steps).astype(float)
    taken = taken.reshape(len(rates), seeds)
    best = int(np.lexsort((final, taken.mean(1)))[0])  # of rates that are equally fast, the lowest at the end
    return taken[best], path[:, best * seeds]


def _digits(optimizer: Any, seeds: int) -> np.ndarray:
    """The steps of 32 rows to the test accuracy 0.9 at the best rate, for each seed."""

    def build() -> keras.Model:
        hidden = kf.layers.Dense(32, activation=kf.activations.relu)
        return keras.Sequential([keras.Input((64,)), hidden, kf.layers.Dense(10)])

    learner = Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer)
    taken = np.full((len(DIGITS_RATES), seeds), float(LOOK * LOOKS))
    for seed in range(seeds):
        x, y, x_test, y_test = digits(seed, TRAIN)
        for i, rate in enumerate(DIGITS_RATES):
            learner.start(seed)
            learner.optimizer.learning_rate = rate
            for look in range(LOOKS):
                learner.learn(x, y, LOOK, batch_size=32, seed=LOOKS * seed + look)
                if learner.accuracy(x_test, y_test) >= 0.9:
                    taken[i, seed] = LOOK * (look + 1)
                    break
    return taken[taken.mean(1).argmin()]


def _figure(
    landscapes: dict[str, Any], paths: dict[str, dict[str, np.ndarray]], results: dict[str, dict[str, Measured]]
) -> Figure:
    problems = list(results)
    bars = {name: Series.of(problems, [results[problem][name] for problem in problems]) for name in OPTIMIZERS}
    return Figure(
        (
            _map("Quadratic; dark is high", landscapes["quadratic"][0], paths["quadratic"], (-1.5, 1.6, -1.6, 1.6)),
            _map("Rosenbrock; dark is high", landscapes["Rosenbrock"][0], paths["Rosenbrock"], (-1.5, 1.5, -0.6, 2.0)),
            Panel("Steps to the goal", "problem", "steps, best learning rate", bars, kind="bars"),
        )
    )


def _map(title: str, surface: Any, paths: dict[str, np.ndarray], extent: tuple[float, float, float, float]) -> Panel:
    x, y = np.meshgrid(np.linspace(*extent[:2], 120), np.linspace(*extent[2:], 120))
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype("float32")
    heights = np.log(np.asarray(ops.convert_to_numpy(surface(ops.convert_to_tensor(points)))) + 0.05).reshape(x.shape)
    inside = {name: np.clip(path, [extent[0], extent[2]], [extent[1], extent[3]]) for name, path in paths.items()}
    series = {name: Series(path[:, 0], path[:, 1]) for name, path in inside.items()}
    return Panel(title, "x", "y", series, image=heights, extent=extent)
