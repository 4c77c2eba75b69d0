"""Where attention layers look: their weights, and the rollout through all of them."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasfound.errors import UserError
from kerasfound.layers import attention as attention_module

from .explained_output import fitting, infer
from .tapped_layers import layers_of, wrapped


class AttentionMap(NamedTuple):
    """The attention weights of one layer."""

    layer: str
    weights: np.ndarray
    """`(rows, heads, queries, keys)`; each query's weights sum to 1."""


def attention_maps(model: keras.Model, x: Any) -> list[AttentionMap]:
    r"""The attention weights of all attention layers, in the order in which they run.

    $$A_h = \mathrm{softmax}(Q_h K_h^\top / \sqrt{d})$$

    Shapes: each map `(rows, heads, queries, keys)`.

    Args:
        model: a Keras model with layers of `keras.layers` (`MultiHeadAttention`, `GroupedQueryAttention`, `Attention`)
            or of `kerasfound.layers` (also `CausalSelfAttention`), at any depth.
        x: the inputs.

    Raises:
        UserError: if the model has no such layer, or the input does not fit.

    Example:
        >>> x = keras.Input((3, 8))
        >>> model = keras.Model(x, keras.layers.MultiHeadAttention(2, 4)(x, x))
        >>> found = attention_maps(model, np.zeros((1, 3, 8)))
        >>> found[0].weights.shape, round(float(found[0].weights[0, 0, 0, 0]), 3)  # equal keys have equal weights
        ((1, 2, 3, 3), 0.333)

    In practice: a large weight says where a layer reads, not what the prediction depends on: values may be small, and
    the residual path passes all by. Other weights can give the same prediction (Jain and Wallace, 2019).

    Source: Vaswani et al., "Attention Is All You Need", 2017.
    """
    x, maps = fitting(model, x), []

    def reading(layer: keras.layers.Layer) -> Callable[..., Any]:
        def call(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            output, weights = original(*args, **kwargs | {"return_attention_scores": True})
            maps.append(AttentionMap(layer.name, _with_heads(weights)))
            return (output, weights) if kwargs.get("return_attention_scores") else output

        return call

    infer(model, x)  # builds what is not built
    with contextlib.ExitStack() as stack:
        for layer in layers_of(model):
            if isinstance(layer, attention_module.CausalSelfAttention):
                stack.enter_context(_reading_weights(layer, maps))
            elif _returns_weights(layer):
                stack.enter_context(wrapped(layer, reading(layer)))
        infer(model, x)
    if not maps:
        raise UserError("the model has no attention layer; for other models use saliency or token_attribution.")
    return maps


def _returns_weights(layer: keras.layers.Layer) -> bool:
    """Whether the layer itself, not one inside it, computes the weights and can return them."""

    def has_argument(layer: keras.layers.Layer) -> bool:
        return "return_attention_scores" in inspect.signature(layer.call).parameters

    return has_argument(layer) and not any(has_argument(inner) for inner in layer._flatten_layers(include_self=False))


@contextlib.contextmanager
def _reading_weights(layer: keras.layers.Layer, maps: list[AttentionMap]) -> Iterator[None]:
    """Read the weights of our causal layer, which cannot return them, from the function that computes them."""
    compute = attention_module.attention_weights

    def reading(*args: Any) -> Any:
        weights = compute(*args)
        maps.append(AttentionMap(layer.name, _with_heads(weights)))
        return weights

    def call(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        attention_module.attention_weights = reading
        try:
            return original(*args, **kwargs)
        finally:
            attention_module.attention_weights = compute

    with wrapped(layer, call):
        yield


def _with_heads(weights: Any) -> np.ndarray:
    values = np.asarray(ops.convert_to_numpy(weights), "float32")
    return values[:, None] if values.ndim == 3 else values


def attention_rollout(maps: Sequence[AttentionMap], residual: float = 0.5) -> np.ndarray:
    r"""Attention through all layers, from the last output to the inputs.

    With the mean $\bar A_l$ over the heads of layer $l$ and $r$ = `residual`, the share of the residual path:

    $$R = \tilde A_L \cdots \tilde A_2 \tilde A_1, \qquad \tilde A_l = (1 - r)\, \bar A_l + r I$$

    Shapes: $R$ `(rows, queries, keys)`; each query's row sums to 1.

    Args:
        maps: of self-attention layers, from the first to the last.
        residual: $r$, in [0, 1). Defaults to `0.5`.

    Raises:
        UserError: if the layers do not attend to the same positions, or `residual` is out of range.

    Example:
        >>> first = AttentionMap("first", np.array([[[[0.0, 1.0], [1.0, 0.0]]]]))
        >>> attention_rollout([first, first], residual=0.0)[0].tolist()  # swapped twice
        [[1.0, 0.0], [0.0, 1.0]]

    In practice: it follows positions as if layers only mixed them; feed-forward layers and values do not count.

    Source: Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020.
    """
    if not 0 <= residual < 1:
        raise UserError(f"`residual` must be in [0, 1), got {residual}.")
    shapes = {one.weights.shape[-2:] for one in maps}
    if len(shapes) != 1 or len(set(*shapes)) != 1:
        raise UserError(f"a rollout needs self-attention over the same positions in all layers, got {sorted(shapes)}.")
    rollout = np.eye(maps[0].weights.shape[-1])
    for one in maps:
        rollout = ((1 - residual) * one.weights.mean(axis=1) + residual * np.eye(rollout.shape[-1])) @ rollout
    return rollout
