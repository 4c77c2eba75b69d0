"""Inputs with a thousand dimensions: with few directions that vary, and with noise in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

INPUTS = 1000
PIXELS = 64


@lab("Neural networks handle inputs with many dimensions", who="introductions")
def noise_dimensions(
    *,
    noise: Annotated[float, Between(0, 3)] = 0.4,
    examples: Annotated[int, Between(50, 1500)] = 500,
    steps: Annotated[int, Between(20, 5000)] = 200,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Digits in 1,000 dimensions: turned into them by a rotation, and filled up with noise.

    A rotation $x Q$ with $Q$ of 64 x 1,000 and $Q Q^\top = I$ gives inputs with 1,000 numbers that still lie in a space
    of 64 dimensions: all lengths and angles stay. Noise in the other 936 dimensions makes the inputs really
    high-dimensional: the network must learn from the examples which of them say nothing, and fits their accidents.

    Args:
        noise: the standard deviation of the noise; that of a pixel is about 0.3.
        examples: the number of training images.
        steps: steps of Adam with 50 images each.
        seeds: number of initial values and choices of the images.

    Try: `--examples 1500`: with more images the noise costs less.

    Source: Pope et al., "The Intrinsic Dimension of Images and Its Impact on Learning", 2021.
    """
    learner = classifier(kf.optimizers.Adam(0.002), [128], inputs=INPUTS)
    found: dict[str, list[float]] = {"64 dimensions": [], "turned into 1,000": [], "936 of noise added": []}
    for seed in range(seeds):
        data = digits(seed, examples)
        rng = np.random.default_rng(seed)
        for name, accuracies in found.items():
            space = _rotation(rng) if name == "turned into 1,000" else np.eye(PIXELS, INPUTS)
            level = noise if name == "936 of noise added" else 0.0
            x, x_test = (_embedded(part, space, level, rng) for part in (data.x, data.x_test))
            learner.start(seed).learn(x, data.y, steps, 50, seed)
            accuracies.append(learner.accuracy(x_test, data.y_test))
    accuracy = {name: Measured.over(values) for name, values in found.items()}
    plain, turned, noisy = accuracy.values()
    return Evidence(
        numbers={f"test accuracy, {name}": number for name, number in accuracy.items()},
        findings=(
            predicts("turned into 1,000 dimensions the digits are learned as well, up to 0.03",
                     (turned - plain).above(-0.03), "the number of inputs alone makes it worse"),
            limit("with 936 dimensions of noise it is worse by more than 0.05", (plain - noisy).above(0.05),
                  "the inputs lie near a space of few dimensions"),
        ),
        figure=Figure((Panel(f"Digits, {examples} examples", "inputs", "test accuracy",
                             {"accuracy": Series.of(list(accuracy), list(accuracy.values()))}, kind="bars"),)),
    )  # fmt: skip


def _rotation(rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(INPUTS, PIXELS)))[0].T


def _embedded(x: np.ndarray, space: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The images in the space, with noise in the dimensions after the first 64."""
    added = rng.normal(size=(len(x), INPUTS)) * noise
    added[:, :PIXELS] = 0
    return (x @ space + added).astype("float32")
