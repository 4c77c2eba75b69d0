"""Recurrent layers as ONNX's own LSTM, GRU and RNN, where tf2onnx would leave a loop of small operations.

While a model is traced, each such layer leaves one operation that is never run; tf2onnx asks `HANDLERS` what it is.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasfound import layers

LOOPS = (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU)
"""The classes of Keras that have an `inner_loop` of their own."""
ACTIVATIONS = {keras.activations.tanh: "Tanh", keras.activations.sigmoid: "Sigmoid", keras.activations.relu: "Relu"}
EQUATIONS = {
    keras.layers.LSTMCell.call: "LSTM",
    keras.layers.GRUCell.call: "GRU",
    keras.layers.SimpleRNNCell.call: "RNN",
    layers.LSTMCell.call: "LSTM",
    layers.GRUCell.call: "GRU",
    layers.SimpleRNNCell.call: "RNN",
}
"""A cell that has a `call` of its own is another equation and stays a loop."""
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}
"""ONNX's order of the gates, by their places in Keras: i, f, c, o and z, r, h."""

REASON = "one operator of ONNX's instead of a loop"


@contextlib.contextmanager
def as_operators() -> Iterator[None]:
    """While this is open, a traced model's recurrent layers leave one operation each instead of a loop.

    Layers that ONNX has no operator for (another activation, another dtype, a cell of the user's own) trace as ever.
    """
    loops = {cls: cls.inner_loop for cls in LOOPS}
    for cls, loop in loops.items():
        cls.inner_loop = _or(loop)
    try:
        yield
    finally:
        for cls, loop in loops.items():
            cls.inner_loop = loop


def _or(loop: Callable) -> Callable:
    def inner_loop(layer, sequences, initial_state, mask, training=False):
        mask = mask[0] if keras.tree.is_nested(mask) else mask
        if not _has_operator(layer) or (mask is not None and len(mask.shape) != 2):
            return loop(layer, sequences, initial_state, mask, training)
        return _unlooped(layer, sequences, keras.tree.flatten(initial_state), mask)

    return inner_loop


def _has_operator(layer: keras.layers.RNN) -> bool:
    cell = layer.cell
    return (
        getattr(cell.call, "__func__", None) in EQUATIONS
        and all(activation in ACTIVATIONS for activation in _activations(cell))
        and layer.compute_dtype == "float32"
        and not layer.unroll
        and not layer.stateful
    )


def _activations(cell: keras.layers.Layer) -> list[Callable]:
    kind = EQUATIONS[type(cell).call]
    gates = [cell.recurrent_activation] if kind != "RNN" else []
    return [*gates, cell.activation, *([cell.activation] if kind == "LSTM" else [])]


def _unlooped(
    layer: keras.layers.RNN, x: tf.Tensor, initial: list[tf.Tensor], mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """What `inner_loop` returns: the last output, all outputs in the order in which they were made, the states."""
    if mask is None:
        y, *states = _operation(layer, tf.transpose(x, (1, 0, 2)), None, initial)
        outputs = tf.transpose(tf.squeeze(y, 1), (1, 0, 2))
    else:
        outputs, states = _masked(layer, x, initial, tf.cast(mask, "bool"))
    outputs.set_shape((*x.shape[:2], layer.cell.units))
    if layer.go_backwards:
        outputs = tf.reverse(outputs, [1])
    return outputs[:, -1] if mask is not None else states[0], outputs, states


def _masked(
    layer: keras.layers.RNN, x: tf.Tensor, initial: list[tf.Tensor], mask: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """A masked step changes no state, as if it were not there: move the others to the front, and what they gave back.

    ONNX's operators know only how long a sequence is.
    """
    batch, time = tf.shape(x)[0], tf.shape(x)[1]
    rows = tf.range(batch)[:, None]
    known = tf.cast(mask, "int32")
    lengths = tf.reduce_sum(known, axis=1)
    order = tf.math.top_k(known, k=time).indices  # of equal ones the first comes first
    steps = tf.gather(tf.reshape(x, (-1, x.shape[-1])), tf.transpose(rows * time + order))
    y, *states = _operation(layer, steps, tf.maximum(lengths, 1), initial)

    so_far = tf.cumsum(known, axis=1, reverse=layer.go_backwards)
    place = lengths[:, None] - so_far if layer.go_backwards else so_far - 1
    place = tf.clip_by_value(place, 0, time - 1)
    outputs = tf.gather(tf.reshape(y, (-1, layer.cell.units)), place * batch + rows)
    seen = mask if layer.zero_output_for_mask else so_far > 0  # else a masked step repeats the output before it
    some = (lengths > 0)[:, None]
    states = [tf.where(some, state, start) for state, start in zip(states, initial, strict=True)]
    # a product: these numbers are finite, and ONNX Runtime takes five times as long to choose
    return outputs * tf.cast(seen, "float32")[..., None], states


def _operation(
    layer: keras.layers.RNN, steps: tf.Tensor, lengths: tf.Tensor | None, initial: list[tf.Tensor]
) -> list[tf.Tensor]:
    """ONNX's Y `(time, 1, batch, units)` and last states `(batch, units)`, of steps `(time, batch, features)`."""
    kind, units = EQUATIONS[type(layer.cell).call], layer.cell.units
    weights = [tf.constant(w, name=name) for name, w in zip("WRB", _weights(layer.cell, kind), strict=True)]
    given = dict(zip("XWRB", (steps, *weights), strict=True))
    if lengths is not None:
        given["sequence_lens"] = lengths
    if not all(_is_zero(state) for state in initial):
        given |= {name: state[None] for name, state in zip(("initial_h", "initial_c"), initial, strict=False)}
    attributes = {
        "hidden_size": units,
        "direction": "reverse" if layer.go_backwards else "forward",
        "activations": [ACTIVATIONS[activation] for activation in _activations(layer.cell)],
    }
    if kind == "GRU":
        attributes["linear_before_reset"] = int(layer.cell.reset_after)
    token = json.dumps({"kind": kind, "inputs": list(given), "attributes": attributes})
    y, *states = tf.raw_ops.EagerPyFunc(
        input=list(given.values()), token=token, Tout=[tf.float32] * (1 + len(initial)), name=kind
    )
    y = tf.ensure_shape(y, (None, 1, None, units))  # `set_shape` would not be in the graph that tf2onnx reads
    return [y, *(tf.squeeze(tf.ensure_shape(state, (1, None, units)), 0) for state in states)]


def _weights(cell: keras.layers.Layer, kind: str) -> list[np.ndarray]:
    """ONNX's W `(1, gates * units, features)`, R `(1, gates * units, units)` and B `(1, 2 * gates * units)`."""

    def gates(weight: np.ndarray) -> np.ndarray:
        parts = np.split(weight, len(GATES[kind]), axis=-1)
        return np.concatenate([parts[i] for i in GATES[kind]], axis=-1)

    with tf.init_scope():  # out of the graph that is being traced: these are numbers
        kernel, recurrent = (keras.ops.convert_to_numpy(w) for w in (cell.kernel, cell.recurrent_kernel))
        bias = keras.ops.convert_to_numpy(cell.bias) if cell.use_bias else np.zeros(kernel.shape[-1], kernel.dtype)
    both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    return [gates(kernel).T[None], gates(recurrent).T[None], gates(both).reshape(1, -1)]


def _is_zero(state: tf.Tensor) -> bool:
    """Whether it is the state that a layer starts with where none is given, and ONNX's operators too."""
    return state.op.type == "Fill" and tf.get_static_value(state.op.inputs[1]) == 0


def _operator(graph: Any, node: Any, name: str, _: list) -> None:
    """Put ONNX's operator where the operation stands."""
    token = json.loads(node.get_attr_value("token"))
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c"]
    given = dict(zip(token["inputs"], node.input, strict=True))
    last = max(names.index(name) for name in given)
    outputs = list(node.output)
    described = {
        "shapes": [graph.get_shape(y) for y in outputs],
        "dtypes": [graph.get_dtype(y) for y in outputs],
    }
    graph.remove_node(name)
    wired = [given.get(name, "") for name in names[: last + 1]]
    graph.make_node(token["kind"], wired, outputs=outputs, attr=token["attributes"], name=name, **described)


HANDLERS: dict[str, tuple[Callable, list]] = {"EagerPyFunc": (_operator, [])}
"""For tf2onnx's `custom_op_handlers`."""
