"""Which tokens of a text speak for a class: along the path of their vectors, or by leaving each one out."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from kerasfound.errors import UserError

from .explained_output import ExplainedOutput, Scale, copies_in_calls
from .path_gradients import IntegratedGradients, along_path
from .tapped_layers import Tap, calls_of


def token_attribution(
    model: keras.Model,
    ids: Any,
    target: Any = None,
    method: Literal["integrated_gradients", "leave_one_out"] = "integrated_gradients",
    unknown: int = 0,
    tolerance: float = 0.02,
    max_steps: int = 512,
    scale: Scale = "auto",
) -> IntegratedGradients:
    r"""The contribution of each token to the output.

    Token ids have no gradient, their vectors have. With the vectors $E_t$ of the tokens, the vector $E'$ of the id
    `unknown` and the explained output $F$, the contribution of the token $t$ by integrated gradients is

    $$a_t = (E_t - E') \cdot \int_0^1 \frac{\partial F}{\partial E_t}(E' + \alpha (E - E'))\, d\alpha, \qquad
      \sum_t a_t = F(E) - F(E')$$

    and by leaving one out, with the ids $w$,

    $$a_t = F(w) - F(w_1, \dots, w_{t-1}, \text{unknown}, w_{t+1}, \dots)$$

    Shapes: `ids` `(rows, time)`; $a$ `(rows, time)`.

    Args:
        model: a Keras model of token ids with outputs `(rows, classes)`.
        ids: token ids.
        target: a class for all rows or for each row. Defaults to the predicted class.
        method: `"integrated_gradients"` needs an embedding layer; `"leave_one_out"` fits every model.
        unknown: the id that says nothing. Defaults to `0`, the padding.
        tolerance: the largest relative error of the sum, for integrated gradients. Defaults to `0.02`.
        max_steps: the largest number of points of the path. Defaults to `512`.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Returns:
        An `IntegratedGradients`: `attributions` of the shape of `ids`, `steps`, `change` and `error`. Of leaving one
        out, `error` is what the contributions do not sum to: how much the tokens act together.

    Raises:
        UserError: if the model has no embedding layer, or the method does not exist.

    Example:
        >>> ids = keras.Input((None,), dtype="int32")
        >>> embedding = keras.layers.Embedding(3, 1)
        >>> model = keras.Model(ids, ops.sum(embedding(ids), axis=1))
        >>> embedding.set_weights([np.array([[0.0], [2.0], [-5.0]])])
        >>> token_attribution(model, [[1, 2, 1]]).attributions.tolist()  # the sum is linear in the vectors
        [[2.0, -5.0, 2.0]]

    In practice: integrated gradients follow the embedding layers only. A model that reads the ids in another way too,
    such as n-grams, has contributions that they do not see; leaving one out sees all, but a word that is said twice
    seems to say nothing.

    Source: Sundararajan, Taly and Yan, 2017; Li, Monroe and Jurafsky, "Understanding Neural Networks through
    Representation Erasure", 2016.
    """
    explained = ExplainedOutput(model, ids, target, scale)
    if explained.x.ndim != 2:
        raise UserError(f"expected token ids (rows, time), got the shape {explained.x.shape}.")
    if method == "leave_one_out":
        return _leave_one_out(explained, unknown)
    if method != "integrated_gradients":
        raise UserError(f"`method` must be integrated_gradients or leave_one_out, got {method!r}.")
    parts = [
        _along_vectors(explained, row, unknown, tolerance, max_steps) for row in range(len(explained.x))
    ]  # row by row: each has its own number of steps
    return IntegratedGradients(
        np.concatenate([part.attributions for part in parts]),
        max(part.steps for part in parts),
        np.concatenate([part.change for part in parts]),
        max(part.error for part in parts),
    )


def _along_vectors(
    explained: ExplainedOutput, row: int, unknown: int, tolerance: float, max_steps: int
) -> IntegratedGradients:
    ids, target = explained.x[row : row + 1], explained.target[row : row + 1]
    tap = Tap(_embedding(explained.model, ids))
    vectors, *others = tap.read(explained.model, ids)
    if others:
        raise UserError(f"layer {tap.layer.name!r} runs {1 + len(others)} times; use `method` leave_one_out.")
    difference = vectors - tap.read(explained.model, np.full_like(ids, unknown))[0]

    def points(alphas: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        additions = (alphas.astype("float32") - 1)[:, None, None] * difference
        return np.repeat(ids, len(alphas), axis=0), np.repeat(target, len(alphas)), [additions]

    def mean_gradient(steps: int) -> np.ndarray:
        alphas, total = (np.arange(steps) + 0.5) / steps, np.zeros(vectors.shape)
        for part in copies_in_calls(vectors, steps):
            total += tap.gradients(explained, *points(alphas[part]))[0].sum(axis=0, keepdims=True)
        return total / steps

    both_ids, both_targets, additions = points(np.array([0.0, 1.0]))
    outputs = tap.run(explained.model, both_ids, (ops.convert_to_tensor(additions[0]),))
    before, after = ops.convert_to_numpy(explained.of(outputs, both_targets)).astype("float64")
    change = np.array([after - before])
    found = along_path(mean_gradient, difference, change, tolerance, max_steps)
    return IntegratedGradients(found.attributions.sum(-1), found.steps, found.change, found.error)


def _embedding(model: keras.Model, ids: np.ndarray) -> keras.layers.Layer:
    """The layer that looks up a vector for each id."""
    for layer, shape in calls_of(model, ids):
        if isinstance(layer, keras.layers.Embedding) and shape[:2] == ids.shape:
            return layer
    raise UserError(
        "the model has no embedding layer, along whose vectors gradients could be integrated; use `method` "
        "leave_one_out."
    )


def _leave_one_out(explained: ExplainedOutput, unknown: int) -> IntegratedGradients:
    ids = explained.x
    rows, time = ids.shape
    attributions = np.zeros(ids.shape, "float32")
    values = explained.values()
    for row in range(rows):
        places = np.flatnonzero(ids[row] != unknown)
        without = np.repeat(ids[row : row + 1], len(places), axis=0)
        without[np.arange(len(places)), places] = unknown
        if len(places):
            target = np.repeat(explained.target[row], len(places))
            attributions[row, places] = values[row] - explained.values(without, target)
    change = values - explained.values(np.full_like(ids, unknown))
    errors = np.abs(attributions.sum(-1) - change) / np.maximum(np.abs(change), 1)
    return IntegratedGradients(attributions, time, change, float(errors.max()))
