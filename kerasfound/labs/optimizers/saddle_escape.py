"""Saddles: gradient descent near a point that is a minimum along one axis and a maximum along the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np

    from . import surfaces
else:
    np, surfaces = _lazy.module("numpy"), _lazy.module("kerasfound.labs.optimizers.surfaces")

RATE = 0.05
MOMENTUM = 0.9


@lab("Momentum helps gradient descent to escape from a saddle", who="introductions")
def saddle_escape(
    *,
    offset: Annotated[float, Between(1e-6, 0.1)] = 1e-4,
    noise: Annotated[float, Between(0.001, 1)] = 0.01,
    seeds: Seeds = 10,
) -> Evidence:
    r"""Steps until the weight has left the saddle of $x^2/2 - y^2/2 + y^4/4$, from near its ridge and from on it.

    The ridge is the line $y = 0$. Near it a step multiplies $y$ by $1 + \eta$, so a start at the distance $y_0$ needs
    about $\ln(1/y_0) / \eta$ steps: gradient descent stays long, but leaves. With momentum $\mu$ the factor is the
    larger root of $z^2 - (1 + \mu + \eta) z + \mu = 0$, which is above $1 + \eta$. From $y = 0$ exactly both stay,
    since zero times any factor is zero. The noise of mini-batches moves the weight off the ridge.

    Args:
        offset: the first distance from the ridge.
        noise: standard deviation of the noise of the gradient, for the walks with noise.
        seeds: number of starts and of sequences of noise.

    Try: `--offset 1e-6`: gradient descent needs nearly 300 steps; the count is cut at 400.

    Source: Ge, Huang, Jin and Yuan, "Escaping From Saddle Points: Online Stochastic Gradient for Tensor Decomposition",
    2015.
    """
    steps = 400
    rng = np.random.default_rng(0)
    near = np.stack([np.ones(seeds), offset * rng.uniform(0.5, 1.5, seeds)], axis=1)
    ridge = np.stack([np.ones(seeds), np.zeros(seeds)], axis=1)
    start = np.concatenate([near, ridge, ridge])  # the last are the walks with noise
    added = np.zeros((steps, *start.shape))
    added[:, 2 * seeds :] = noise * rng.normal(size=(steps, seeds, 2))
    plain = surfaces.Walk(surfaces.saddle, kf.optimizers.GradientDescent(RATE), start).path(steps, noise=added)
    momentum = surfaces.Walk(surfaces.saddle, kf.optimizers.Momentum(RATE, MOMENTUM), start).path(steps, noise=added)
    (near_plain, ridge_plain, noisy_plain), (near_momentum, ridge_momentum, _) = (
        [Measured.over(part) for part in np.split(_steps_to_leave(path), 3)] for path in (plain, momentum)
    )
    return Evidence(
        numbers={
            "steps to leave, near the ridge, gradient descent": near_plain,
            "steps to leave, near the ridge, momentum": near_momentum,
            f"steps to leave, on the ridge, gradient descent ({steps}: never)": ridge_plain,
            f"steps to leave, on the ridge, momentum ({steps}: never)": ridge_momentum,
            "steps to leave, on the ridge, gradient descent with noise": noisy_plain,
        },
        findings=(
            predicts(
                "near the ridge momentum leaves in less than half of the steps",
                (near_momentum / near_plain).below(0.5),
                "momentum needs more than half of the steps of plain gradient descent",
            ),
            limit(
                "exactly on the ridge momentum stays, and noise leaves",
                all_of(ridge_momentum.above(steps - 1), noisy_plain.below(steps)),
                "the start is not exactly on the ridge (there only noise helps)",
            ),
        ),
        figure=_figure(plain, momentum, seeds),
    )


def _steps_to_leave(path: np.ndarray) -> np.ndarray:
    """The first step at which each walk is farther than 1/2 from the ridge; the number of steps if it never is."""
    outside = np.abs(path[..., 1]) > 0.5
    return np.where(outside.any(0), outside.argmax(0), len(path) - 1)


def _figure(plain: np.ndarray, momentum: np.ndarray, seeds: int) -> Figure:
    walks = {
        "gradient descent, near the ridge": plain[:, 0],
        "momentum, near the ridge": momentum[:, 0],
        "momentum, on the ridge": momentum[:, seeds],
        "gradient descent with noise": plain[:, 2 * seeds],
    }
    x, y = np.meshgrid(np.linspace(-0.6, 1.1, 120), np.linspace(-1.3, 1.3, 120))
    heights = np.asarray(surfaces.saddle(np.stack([x.ravel(), y.ravel()], axis=1))).reshape(x.shape)
    return Figure(
        (
            Panel(
                "Paths; dark is high",
                "x",
                "y",
                {name: Series(walk[:, 0], walk[:, 1]) for name, walk in walks.items()},
                image=heights,
                extent=(-0.6, 1.1, -1.3, 1.3),
            ),
            Panel(
                "Distance from the ridge",
                "step",
                "|y| (1e-9 stands for 0)",
                {name: Series(range(len(walk)), np.abs(walk[:, 1]) + 1e-9) for name, walk in walks.items()},
                log="y",
            ),
        )
    )
