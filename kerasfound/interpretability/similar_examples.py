"""Which training examples does the model see as similar?"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasfound.errors import UserError

from .explained_output import BATCH, fitting, infer, predicted
from .tapped_layers import calls_of, find_layer, views_of, wrapped


class NearestExamples(NamedTuple):
    """The nearest examples of each row, the nearest first."""

    places: np.ndarray
    """`(rows, count)`, places in the examples."""
    distances: np.ndarray
    """`(rows, count)`."""
    layer: str
    """The layer whose input is compared."""


def nearest_examples(
    model: keras.Model, x: Any, examples: Any, layer: str | None = None, count: int = 5
) -> NearestExamples:
    r"""The examples whose features are the most similar to those of a row.

    With the features $h(x)$, the input of a layer, the distance is the cosine distance

    $$d(x, x') = 1 - \frac{h(x) \cdot h(x')}{\|h(x)\|\, \|h(x')\|}$$

    Shapes: `x` `(rows, ...)`, `examples` `(others, ...)`.

    Range: $d$ from 0, the same direction, to 2.

    Args:
        model: a Keras model.
        x: the rows to explain.
        examples: training rows.
        layer: whose input are the features. Defaults to the last layer with weights that reads more than four times as
            many features as the model has outputs, and not the input itself: what the decision is made from.
        count: number of examples. Defaults to `5`.

    Raises:
        UserError: if there is no such layer, or `count` is out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="last")])
        >>> nearest_examples(model, [[1.0, 0.1]], [[0.0, 1.0], [5.0, 0.0]], count=1).places.tolist()
        [[1]]

    In practice: neighbours of another class next to a mistake show what the model confuses, or a wrong label. Near in
    the features is near for this model only; it is no proof that these examples caused the prediction.

    Source: Caruana et al., "Case-Based Explanation of Non-Case-Based Learning Methods", 1999.
    """
    x, examples = fitting(model, x), fitting(model, examples)
    if not 1 <= count <= len(examples):
        raise UserError(f"`count` must be in 1 to {len(examples)}, the number of examples, got {count}.")
    chosen = find_layer(model, layer) if layer else _last_features(model, x[:1])
    h, others = (_unit(features(model, rows, chosen)) for rows in (x, examples))
    distances = 1 - h @ others.T
    places = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return NearestExamples(places, np.take_along_axis(distances, places, axis=1), chosen.name)


def features(model: keras.Model, x: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    """The input of a layer for each row, flat. Several views of a row, such as shifted images, are averaged."""
    parts = []
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH]
        values = _input_of(model, rows, layer)
        order = views_of(values, _input_of(model, rows[:1], layer), len(rows))
        parts.append(values[order].mean(axis=1).reshape(len(rows), -1))
    return np.concatenate(parts)


def _input_of(model: keras.Model, rows: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    inputs: list[Any] = []

    def reading(original: Any, *args: Any, **kwargs: Any) -> Any:
        inputs.append(args[0])
        return original(*args, **kwargs)

    with wrapped(layer, reading):
        infer(model, rows)
    if not inputs:
        raise UserError(f"`layer` {layer.name!r} does not run in inference; choose another layer.")
    return np.asarray(ops.convert_to_numpy(inputs[-1]))


def _last_features(model: keras.Model, rows: np.ndarray) -> keras.layers.Layer:
    outputs = predicted(model, rows)[0].size
    layers = [layer for layer, _ in calls_of(model, rows) if layer.weights]
    if not layers:
        raise UserError("the model has no layer with weights, whose features could be compared.")
    for layer in reversed(layers):
        read = _input_of(model, rows, layer)
        is_input = read.shape == rows.shape and np.array_equal(read, rows, equal_nan=True)
        if read[0].size > 4 * outputs and not is_input:
            return layer
    return layers[-1]


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
