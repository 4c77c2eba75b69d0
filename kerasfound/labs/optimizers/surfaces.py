"""Surfaces: functions of a position on which an optimizer walks, many walks at once."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..learner import Learner


class Position(keras.layers.Layer):
    """A layer whose only weight is the position, and whose output is the position: one row for each walk."""

    def __init__(self, start: np.ndarray):
        super().__init__()
        self.position = self.add_weight(
            name="position",
            shape=start.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(start, dtype),
        )
        self.built = True

    def call(self, _: Any, training: bool | None = None) -> Any:
        return self.position + 0.0  # a tensor, not the weight


class Walk:
    """An optimizer on a surface.

    The gradient of each position is its own: the walks do not know each other. That holds for every optimizer that
    treats each weight alone, and for none that limits the norm of all gradients.

    Args:
        surface: a function of positions `(walks, dimensions)` with a height for each walk.
        optimizer: an optimizer that is not built yet.
        start: the first position of each walk, `(walks, dimensions)`.
    """

    def __init__(self, surface: Callable[[Any], Any], optimizer: Any, start: Any):
        start = np.asarray(start, "float32")
        # the targets are an addition to each gradient: its noise
        self.learner = Learner(
            lambda: Position(start), lambda noise, p: ops.sum(surface(p)) + ops.sum(noise * p), optimizer
        )
        self.start = start

    def path(self, steps: int, learning_rate: float | None = None, noise: np.ndarray | None = None) -> np.ndarray:
        """The positions before the first step and after each, of shape `(steps + 1, walks, dimensions)`.

        Args:
            steps: number of steps.
            learning_rate: instead of the optimizer's own.
            noise: for each step what is added to the gradients, `(walks, dimensions)`. Defaults to nothing.
        """
        self.learner.start(seed=0)
        if learning_rate is not None:
            self.learner.optimizer.learning_rate = learning_rate
        positions = [self.start]
        for t in range(steps):
            added = np.zeros_like(self.start) if noise is None else np.asarray(noise[t], "float32")
            self.learner.learn(self.start, added, steps=1)
            positions.append(ops.convert_to_numpy(self.learner.model.position))
        return np.stack(positions)


def quadratic(curvatures: Any) -> Callable[[Any], Any]:
    """Half of the sum of curvature times squared coordinate: the minimum is 0 at 0.

    Args:
        curvatures: one for each dimension, or `(walks, dimensions)`: for each walk a surface of its own.
    """
    c = np.asarray(curvatures, "float32")
    return lambda p: 0.5 * ops.sum(c * ops.square(p), axis=-1)


def rosenbrock(p: Any) -> Any:
    """A curved valley: (1 - x)^2 + 10 (y - x^2)^2, whose minimum is 0 at (1, 1); Rosenbrock had 100 for the 10."""
    return ops.square(1 - p[:, 0]) + 10 * ops.square(p[:, 1] - ops.square(p[:, 0]))


def saddle(p: Any) -> Any:
    """x^2 / 2 - y^2 / 2 + y^4 / 4: a saddle at (0, 0), minima of -1/4 at (0, 1) and (0, -1)."""
    x, y = p[:, 0], p[:, 1]
    return 0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4
