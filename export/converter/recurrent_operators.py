"""Recurrent layers as the LSTM, GRU and RNN operators of ONNX, where tf2onnx would write a loop of small operations.

While a model is traced, each such layer becomes one placeholder operation that never runs. `HANDLERS` replaces the
placeholder by the ONNX operator.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasfound import layers

from ..tracing.patching import replace_function

LOOPS = (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU)
"""The Keras classes that define `inner_loop`."""
ACTIVATIONS = {keras.activations.tanh: "Tanh", keras.activations.sigmoid: "Sigmoid", keras.activations.relu: "Relu"}
EQUATIONS = {
    keras.layers.LSTMCell.call: "LSTM",
    keras.layers.GRUCell.call: "GRU",
    keras.layers.SimpleRNNCell.call: "RNN",
    layers.LSTMCell.call: "LSTM",
    layers.GRUCell.call: "GRU",
    layers.SimpleRNNCell.call: "RNN",
}
"""`call` of a cell to the operator with the same equation. A cell with another `call` stays a loop."""
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}
"""The positions of the gates in Keras (i, f, c, o and z, r, h), in the order of ONNX."""

REASON = "one ONNX operator instead of a loop"


@contextlib.contextmanager
def recurrent_layers_as_operators() -> Iterator[None]:
    """Trace each recurrent layer to one operation instead of a loop.

    Layers without an ONNX operator (another activation, another dtype, your own cell) are traced as usual.
    """
    with contextlib.ExitStack() as stack:
        for cls in LOOPS:
            stack.enter_context(replace_function(cls, "inner_loop", _operator_or_loop))
        yield


def _operator_or_loop(loop: Callable) -> Callable:
    def inner_loop(layer, sequences, initial_state, mask, training=False):
        mask = mask[0] if keras.tree.is_nested(mask) else mask
        if not _has_operator(layer) or (mask is not None and len(mask.shape) != 2):
            return loop(layer, sequences, initial_state, mask, training)
        return _operator_outputs(layer, sequences, keras.tree.flatten(initial_state), mask)

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


def _operator_outputs(
    layer: keras.layers.RNN, x: tf.Tensor, initial: list[tf.Tensor], mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """Return the same as `inner_loop`: the last output, all outputs in the order of computation, the states."""
    if mask is None:
        y, *states = _operation(layer, tf.transpose(x, (1, 0, 2)), None, initial)
        outputs = tf.transpose(tf.squeeze(y, 1), (1, 0, 2))
    else:
        outputs, states = _masked_outputs(layer, x, initial, tf.cast(mask, "bool"))
    outputs.set_shape((*x.shape[:2], layer.cell.units))
    if layer.go_backwards:
        outputs = tf.reverse(outputs, [1])
    return outputs[:, -1] if mask is not None else states[0], outputs, states


def _masked_outputs(
    layer: keras.layers.RNN, x: tf.Tensor, initial: list[tf.Tensor], mask: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Move the unmasked steps to the front, run the operator on them, and move the outputs back.

    A masked step does not change the state, and the ONNX operators take only the length of each sequence.
    """
    batch, time = tf.shape(x)[0], tf.shape(x)[1]
    rows = tf.range(batch)[:, None]
    unmasked = tf.cast(mask, "int32")
    lengths = tf.reduce_sum(unmasked, axis=1)
    order = tf.math.top_k(unmasked, k=time).indices  # of equal numbers the first comes first
    steps = tf.gather(tf.reshape(x, (-1, x.shape[-1])), tf.transpose(rows * time + order))
    y, *states = _operation(layer, steps, tf.maximum(lengths, 1), initial)

    count = tf.cumsum(unmasked, axis=1, reverse=layer.go_backwards)
    place = lengths[:, None] - count if layer.go_backwards else count - 1
    place = tf.clip_by_value(place, 0, time - 1)
    outputs = tf.gather(tf.reshape(y, (-1, layer.cell.units)), place * batch + rows)
    has_output = mask if layer.zero_output_for_mask else count > 0  # a masked step repeats the output before it
    has_steps = (lengths > 0)[:, None]
    states = [tf.where(has_steps, state, start) for state, start in zip(states, initial, strict=True)]
    # a product, as these numbers are finite: `Where` takes ONNX Runtime five times as long
    return outputs * tf.cast(has_output, "float32")[..., None], states


def _operation(
    layer: keras.layers.RNN, steps: tf.Tensor, lengths: tf.Tensor | None, initial: list[tf.Tensor]
) -> list[tf.Tensor]:
    """Return Y of ONNX `(time, 1, batch, units)` and the last states `(batch, units)`.

    The steps are `(time, batch, features)`.
    """
    kind, units = EQUATIONS[type(layer.cell).call], layer.cell.units
    weights = [tf.constant(w, name=name) for name, w in zip("WRB", _weights(layer.cell, kind), strict=True)]
    inputs = dict(zip("XWRB", (steps, *weights), strict=True))
    if lengths is not None:
        inputs["sequence_lens"] = lengths
    if not all(_is_zero(state) for state in initial):
        inputs |= {name: state[None] for name, state in zip(("initial_h", "initial_c"), initial, strict=False)}
    attributes = {
        "hidden_size": units,
        "direction": "reverse" if layer.go_backwards else "forward",
        "activations": [ACTIVATIONS[activation] for activation in _activations(layer.cell)],
    }
    if kind == "GRU":
        attributes["linear_before_reset"] = int(layer.cell.reset_after)
    token = json.dumps({"kind": kind, "inputs": list(inputs), "attributes": attributes})
    y, *states = tf.raw_ops.EagerPyFunc(
        input=list(inputs.values()), token=token, Tout=[tf.float32] * (1 + len(initial)), name=kind
    )
    y = tf.ensure_shape(y, (None, 1, None, units))  # `set_shape` would not be in the graph that tf2onnx reads
    return [y, *(tf.squeeze(tf.ensure_shape(state, (1, None, units)), 0) for state in states)]


def _weights(cell: keras.layers.Layer, kind: str) -> list[np.ndarray]:
    """Return W `(1, gates * units, features)`, R `(1, gates * units, units)` and B `(1, 2 * gates * units)` of ONNX."""

    def gates(weight: np.ndarray) -> np.ndarray:
        parts = np.split(weight, len(GATES[kind]), axis=-1)
        return np.concatenate([parts[i] for i in GATES[kind]], axis=-1)

    with tf.init_scope():  # outside of the graph that is traced: the weights become constants
        kernel, recurrent = (keras.ops.convert_to_numpy(w) for w in (cell.kernel, cell.recurrent_kernel))
        bias = keras.ops.convert_to_numpy(cell.bias) if cell.use_bias else np.zeros(kernel.shape[-1], kernel.dtype)
    biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    return [gates(kernel).T[None], gates(recurrent).T[None], gates(biases).reshape(1, -1)]


def _is_zero(state: tf.Tensor) -> bool:
    """Whether this is the default initial state of Keras, which is also the default of ONNX."""
    return state.op.type == "Fill" and tf.get_static_value(state.op.inputs[1]) == 0


def _write_operator(graph: Any, node: Any, name: str, _: list) -> None:
    """Replace the placeholder operation by the ONNX operator."""
    token = json.loads(node.get_attr_value("token"))
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c"]
    inputs = dict(zip(token["inputs"], node.input, strict=True))
    last = max(names.index(name) for name in inputs)
    outputs = list(node.output)
    types = {
        "shapes": [graph.get_shape(y) for y in outputs],
        "dtypes": [graph.get_dtype(y) for y in outputs],
    }
    graph.remove_node(name)
    positional = [inputs.get(name, "") for name in names[: last + 1]]
    graph.make_node(token["kind"], positional, outputs=outputs, attr=token["attributes"], name=name, **types)


HANDLERS: dict[str, tuple[Callable, list]] = {"EagerPyFunc": (_write_operator, [])}
"""For tf2onnx's `custom_op_handlers`."""
