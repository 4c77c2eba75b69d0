"""The number that a method explains: the log-odds of a class or an output of the model, and its gradient."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from kerasfound import autodiff
from kerasfound.errors import UserError

BATCH = 256
"""Largest number of rows in one call of the model that computes a gradient."""
PREDICTED = 1024
"""Largest number of rows in one call without a gradient."""
VALUES = 1 << 22
"""Largest number of values in the rows of one call: fewer rows of larger images, whose gradients need memory."""
TINY = 1e-30
"""Smallest probability whose logarithm is taken."""

Scale = Literal["auto", "log_odds", "output"]


class ExplainedOutput:
    r"""One number for each row, which the methods of this package explain.

    With the outputs $p_1, \dots, p_K$ of the model and the class $c$ = `target`, on the scale `"log_odds"`

    $$F(x) = \log p_c - \log \sum_{k \ne c} p_k$$

    and on the scale `"output"` $F(x) = p_c$. For probabilities of a softmax with logits $z$ the log-odds are
    $z_c - \log \sum_{k \ne c} e^{z_k}$: they and their gradient stay exact where the probability is 1 and its own
    gradient is lost in rounding. The sum over the other classes, not $1 - p_c$, is what keeps them exact.

    Shapes: `x` `(rows, ...)` as the model's input; outputs `(rows, K)`; $F$ `(rows,)`.

    Args:
        model: a Keras model with one input and outputs `(rows, K)`.
        x: the rows to explain.
        target: $c$, one class for all rows or one for each row. Defaults to the class with the largest output.
        scale: `"log_odds"`, `"output"`, or `"auto"`: log-odds if the outputs are probabilities that sum to 1.

    Raises:
        UserError: if the model has several inputs or outputs of another shape, `x` does not fit its input, or there is
            no class `target`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> ExplainedOutput(model, [[1.0, 3.0]]).values().tolist()
        [4.0]

    In practice: explain another class with `target` to see what speaks for it; a prediction is a comparison of classes.

    Source: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2014, section 3: scores, not
    probabilities.
    """

    def __init__(self, model: keras.Model, x: Any, target: Any = None, scale: Scale = "auto"):
        if scale not in ("auto", "log_odds", "output"):
            raise UserError(f"`scale` must be auto, log_odds or output, got {scale!r}.")
        self.model = model
        self.x = fitting(model, x)
        self.outputs = predicted(model, self.x)
        if self.outputs.ndim != 2:
            raise UserError(
                f"the model's outputs have the shape {self.outputs.shape}; expected (rows, classes). "
                "Attention maps fit such a model."
            )
        probable = self.outputs.shape[1] > 1 and bool(
            (self.outputs >= 0).all() and np.allclose(self.outputs.sum(-1), 1, atol=1e-2)
        )
        if scale == "log_odds" and not probable:
            raise UserError("`scale` log_odds is for probabilities of two or more classes; use output.")
        self.in_log_odds = probable and scale != "output"
        self.target = self._targets(target)

    def _targets(self, target: Any) -> np.ndarray:
        rows, classes = self.outputs.shape
        targets = self.outputs.argmax(-1) if target is None else np.broadcast_to(np.asarray(target), (rows,))
        wrong = [int(t) for t in targets if not 0 <= t < classes]
        if wrong:
            raise UserError(f"`target` {wrong[0]}: no such output; the model has {classes}, numbered from 0.")
        return targets.astype("int32")

    def of(self, outputs: Any, target: Any) -> Any:
        """$F$ of a tensor of outputs, one number for each row."""
        chosen = ops.one_hot(target, outputs.shape[-1], dtype=outputs.dtype)
        p = ops.sum(outputs * chosen, axis=-1)
        if not self.in_log_odds:
            return p
        others = ops.sum(outputs * (1 - chosen), axis=-1)
        return ops.log(ops.maximum(p, TINY)) - ops.log(ops.maximum(others, TINY))

    def values(self, x: Any = None, target: np.ndarray | None = None) -> np.ndarray:
        """$F$ of the rows, or of other rows `x` with their classes `target`."""
        x, target = self._rows(x, target)
        values = self.of(ops.convert_to_tensor(predicted(self.model, x)), target)
        return np.asarray(ops.convert_to_numpy(values), "float64")

    def gradients(self, x: Any = None, target: np.ndarray | None = None) -> np.ndarray:
        """The gradient of $F$ by the input, of the shape of the rows.

        Raises:
            UserError: if the model's input are whole numbers.
        """
        inputs = inputs_of(self.model)
        dtype = str(inputs[0].dtype) if inputs else str(self.x.dtype)
        if "float" not in dtype:
            raise UserError(
                f"the model's input has the dtype {dtype}, and whole numbers have no gradient; "
                "for token ids use token_attribution, for pixels occlusion."
            )
        x, target = self._rows(x, target)

        def gradient(rows: np.ndarray, classes: np.ndarray) -> np.ndarray:
            return autodiff.gradients(lambda r: ops.sum(self.of(infer(self.model, r), classes)), [rows])[0]

        return in_batches(gradient, x, target)

    def sum_of_gradients(self, copies: np.ndarray) -> np.ndarray:
        """The sum of the gradients over changed copies of the rows, `(copies, rows, ...)`."""
        count, shape = len(copies), self.x.shape
        gradients = self.gradients(copies.reshape(-1, *shape[1:]), np.tile(self.target, count))
        return gradients.reshape(count, *shape).sum(axis=0, dtype="float64")

    def _rows(self, x: Any, target: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        x = self.x if x is None else np.asarray(x, self.x.dtype)
        return x, self.target if target is None else target


def fitting(model: keras.Model, x: Any) -> np.ndarray:
    """The rows as an array of the input's dtype.

    Raises:
        UserError: if the model has several inputs, or the shape does not fit.
    """
    inputs = inputs_of(model)
    if len(inputs) > 1:
        raise UserError(f"the model has {len(inputs)} inputs; these methods explain models with one input.")
    x = np.asarray(x)
    if x.dtype.kind in "OUS":
        raise UserError(f"the input must be numbers, got {x.dtype}; encode it as for the training.")
    if x.ndim == 0 or not len(x):
        raise UserError(f"the input must have at least one row, got the shape {x.shape}.")
    if not inputs:
        return x if x.dtype.kind == "i" else x.astype("float32")
    expected = inputs[0].shape
    fits = len(expected) == x.ndim and all(e in (None, g) for e, g in zip(expected[1:], x.shape[1:], strict=True))
    if not fits:
        shown = ", ".join("any" if n is None else str(n) for n in expected[1:])
        raise UserError(f"the model's input has the shape (rows, {shown}), got {x.shape}.")
    return x.astype(inputs[0].dtype)


def inputs_of(model: keras.Model) -> list[Any]:
    """The model's inputs; a subclassed model does not name them."""
    return list(getattr(model, "inputs", None) or [])


def infer(model: keras.Model, rows: Any) -> Any:
    """The outputs of the model in inference. Variables keep their values, also while a gradient is computed."""
    if not model.built:
        model(rows, training=False)
    with keras.StatelessScope():
        outputs = model(rows, training=False)
    flat = keras.tree.flatten(outputs)
    if len(flat) > 1:
        raise UserError(f"the model has {len(flat)} outputs; these methods explain models with one output.")
    return flat[0]


def predicted(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The outputs of the model for all rows, as NumPy, compiled.

    Each call has a power of two of rows, some of them repeated, because JAX compiles again for each number of rows.
    """
    size, parts = rows_of_a_call(x, PREDICTED), []
    for start in range(0, len(x), size):
        rows = x[start : start + size]
        places = np.arange(1 << (len(rows) - 1).bit_length()).clip(max=len(rows) - 1)
        outputs = keras.tree.flatten(model.predict_on_batch(rows[places]))
        if len(outputs) > 1:
            raise UserError(f"the model has {len(outputs)} outputs; these methods explain models with one output.")
        parts.append(np.asarray(outputs[0])[: len(rows)])
    return np.concatenate(parts)


def in_batches(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """Call a function of rows on batches, and put its results together as NumPy."""
    size = rows_of_a_call(arrays[0])
    parts = [
        ops.convert_to_numpy(function(*(array[start : start + size] for array in arrays)))
        for start in range(0, len(arrays[0]), size)
    ]
    return np.concatenate(parts)


def rows_of_a_call(x: np.ndarray, most: int = BATCH) -> int:
    """How many rows of this size one call of the model takes."""
    return int(np.clip(VALUES // max(1, math.prod(x.shape[1:])), 1, most))


def copies_in_calls(x: np.ndarray, count: int) -> Iterator[slice]:
    """Parts of `count` changed copies of all rows, each small enough for one call."""
    size = max(1, rows_of_a_call(x) // len(x))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
