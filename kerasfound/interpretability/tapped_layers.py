"""Look into the layers of any model, also nested and subclassed ones: their outputs, and gradients by them.

The `call` of a layer is wrapped while the model runs once. It needs no second model that ends at the layer, which
cannot be built for nested and subclassed models.
"""

import contextlib
import difflib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasfound import autodiff
from kerasfound.errors import UserError

from .explained_output import ExplainedOutput, infer


class LayerCall(NamedTuple):
    """A layer that ran, and the shape of its output."""

    layer: keras.layers.Layer
    shape: tuple[int, ...]


@contextlib.contextmanager
def wrapped(layer: keras.layers.Layer, call: Callable[..., Any]) -> Iterator[None]:
    """Within this block the layer computes `call(original_call, *args, **kwargs)`. One thread at a time may do so."""
    original, attributes = layer.call, vars(layer)
    attributes["call"] = lambda *args, **kwargs: call(original, *args, **kwargs)  # past the tracking of Keras
    try:
        yield
    finally:
        del attributes["call"]


class Tap:
    """Reads the outputs of a layer, and adds tensors to them: the gradient by such a tensor is that by the output.

    Args:
        layer: a layer of a model.
    """

    def __init__(self, layer: keras.layers.Layer):
        self.layer = layer
        self.outputs: list[Any] = []
        self.additions: tuple[Any, ...] = ()

    def _call(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        if not hasattr(output, "shape"):
            raise UserError(f"layer {self.layer.name!r} returns several tensors; choose a layer with one output.")
        self.outputs.append(output)
        place = len(self.outputs) - 1
        return output + ops.cast(self.additions[place], output.dtype) if self.additions else output

    def run(self, model: keras.Model, rows: Any, additions: tuple[Any, ...] = ()) -> Any:
        """The model's outputs; afterwards `outputs` has one entry for each call of the layer."""
        self.outputs, self.additions = [], additions
        with wrapped(self.layer, self._call):
            return infer(model, rows)

    def read(self, model: keras.Model, rows: np.ndarray) -> list[np.ndarray]:
        """The layer's output in each of its calls.

        Raises:
            UserError: if the model does not call the layer.
        """
        self.run(model, rows)
        if not self.outputs:
            raise UserError(f"layer {self.layer.name!r} does not run in inference; choose another layer.")
        return [np.asarray(ops.convert_to_numpy(output)) for output in self.outputs]

    def gradients(
        self, explained: ExplainedOutput, rows: np.ndarray, target: np.ndarray, additions: list[np.ndarray]
    ) -> list[np.ndarray]:
        """The gradient of the explained output by the layer's output in each of its calls, with something added to it.

        Args:
            explained: the explained output.
            rows: inputs of the model.
            target: their classes.
            additions: for each call of the layer, zeros or what is added to its output.
        """
        return autodiff.gradients(
            lambda *added: ops.sum(explained.of(self.run(explained.model, rows, added), target)), additions
        )


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of the model, with those inside its layers."""
    # a subclassed layer has no public list of the layers inside it
    return list(model._flatten_layers(include_self=False))


def leaves_of(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that have no layers inside."""
    return [layer for layer in layers_of(model) if not list(layer._flatten_layers(include_self=False))]


def find_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """The layer with this name, at any depth.

    Raises:
        UserError: if there is none; the message offers the nearest names.
    """
    layers = {layer.name: layer for layer in reversed(layers_of(model))}
    if name in layers:
        return layers[name]
    near = difflib.get_close_matches(name, layers, n=3, cutoff=0.5) or list(layers)[::-1][:12]
    raise UserError(f"`layer` {name!r}: the model has no such layer; some of its layers: {', '.join(near)}.")


def calls_of(model: keras.Model, rows: np.ndarray) -> list[LayerCall]:
    """The leaf layers in the order in which they ran, with the shapes of their outputs."""
    calls: list[LayerCall] = []

    def noting(layer: keras.layers.Layer) -> Callable[..., Any]:
        def call(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            if hasattr(output, "shape"):
                calls.append(LayerCall(layer, tuple(output.shape)))
            return output

        return call

    with contextlib.ExitStack() as stack:
        for layer in leaves_of(model):
            stack.enter_context(wrapped(layer, noting(layer)))
        infer(model, rows)
    return calls


def is_convolution(layer: keras.layers.Layer) -> bool:
    """Whether the layer slides a kernel over two dimensions."""
    return any(len(weight.shape) == 4 for weight in layer.weights)


def last_feature_maps(model: keras.Model, rows: np.ndarray) -> keras.layers.Layer:
    """The last layer whose output are feature maps `(rows, height, width, channels)`.

    Raises:
        UserError: if the model has no convolution.
    """
    found, convolved = None, False
    for layer, shape in calls_of(model, rows):
        convolved = convolved or is_convolution(layer)
        if convolved and len(shape) == 4 and shape[1] * shape[2] > 1:
            found = layer
    if found is None:
        raise UserError(
            "the model has no feature maps of a convolution; saliency, integrated_gradients and occlusion fit it."
        )
    return found


def views_of(values: np.ndarray, first: np.ndarray, rows: int) -> np.ndarray:
    """Which rows of a layer belong to each row of the input: places in `values`, `(rows, views)`.

    A model may compute several views of each row, such as shifted images, and put them into one batch.

    Args:
        values: the layer's output for all rows, `(rows * views, ...)`.
        first: its output for the first row alone, `(views, ...)`.
        rows: the number of rows.

    Raises:
        UserError: if the layer's rows do not belong to rows of the input.

    Example:
        >>> views_of(np.array([1.0, 2.0, 10.0, 20.0]), np.array([1.0, 10.0]), rows=2).tolist()
        [[0, 2], [1, 3]]
    """
    views = len(first)
    if len(values) == rows * views:
        places, smallest = np.arange(len(values)), 1e-3 * np.abs(first).max() + 1e-6
        for order in (places.reshape(rows, views), places.reshape(views, rows).T):
            if np.allclose(values[order[0]], first, rtol=1e-2, atol=smallest):
                return order
    raise UserError(
        f"the layer has {len(values)} rows for {rows} rows of the input, which do not belong together; choose another "
        "layer."
    )
