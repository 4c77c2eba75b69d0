"""Does a map depend on what the model has learned? Compare it with the map of a model with shuffled weights."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from scipy.stats import spearmanr


def randomization_check(
    method: Callable[[keras.Model, np.ndarray], np.ndarray], model: keras.Model, x: Any, seeds: int = 3
) -> float:
    r"""The rank correlation of a method's maps with those of the same model with shuffled weights.

    With the map $a(x)$ of the model and $\tilde a(x)$ of the model whose weights are shuffled within each array:

    $$\rho = \operatorname{mean}_x\, \mathrm{Spearman}\big(|a(x)|, |\tilde a(x)|\big)$$

    Range: near 0 for a map of the model, near 1 for one that shows the image whatever the model says.

    Args:
        method: returns the maps `(rows, ...)` of a model for images. Judge the gradient part: a map that is a gradient
            times the image resembles itself by the image.
        model: a trained model. Its weights are the same afterwards.
        x: the images.
        seeds: number of shuffled models. Defaults to `3`.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> round(randomization_check(lambda model, x: x, model, [[1.0, 4.0, 3.0, 2.0]]), 2)
        1.0

    In practice: keep the predicted class of the trained model in both maps. Failing the check is a proof that a map
    does not explain this model; passing it proves nothing.

    Source: Adebayo et al., "Sanity Checks for Saliency Maps", 2018.
    """
    x = np.asarray(x)
    trained = np.abs(method(model, x)).reshape(len(x), -1)
    correlations = []
    for seed in range(seeds):
        with shuffled_weights(model, seed):
            shuffled = np.abs(method(model, x)).reshape(len(x), -1)
        pairs = zip(trained, shuffled, strict=True)
        correlations += [spearmanr(a, b).statistic for a, b in pairs if np.ptp(a) and np.ptp(b)]
    return float(np.mean(correlations))


@contextlib.contextmanager
def shuffled_weights(model: keras.Model, seed: int) -> Iterator[None]:
    """Within this block the entries of each weight array are in a random order: of the same size, without meaning."""
    weights, rng = model.get_weights(), np.random.default_rng(seed)
    model.set_weights([rng.permutation(w.ravel()).reshape(w.shape) if w.ndim else w for w in weights])
    try:
        yield
    finally:
        model.set_weights(weights)
