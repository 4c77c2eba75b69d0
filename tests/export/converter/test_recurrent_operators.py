"""Recurrent layers become one ONNX operator each, and answer as Keras does, whatever the mask."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import kerasfound as kf
from kerasfound.export.converter import convert, recurrent_operators

OPERATORS = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}


def answers_alike(model, path, masked=False):
    """The file's operators, after its answers were compared at several sizes."""
    convert.save_onnx(convert.trace_for_onnx(model), path)
    session = onnxruntime.InferenceSession(path)
    rng = np.random.default_rng(0)
    for batch, time in ((1, 7), (5, 3), (3, 1), (4, 12)):
        x = rng.normal(size=(batch, time, 3)).astype("float32")
        known = rng.random((batch, time)) < 0.6
        known[0], known[-1] = False, True  # nothing to read, and everything
        asked = [x, known] if masked else [x]
        expected = keras.tree.flatten(model(asked if masked else x, training=False))
        found = session.run(None, dict(zip(["x", "known"], asked, strict=False)))
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(np.asarray(one), other, atol=1e-6)
    return [node.op_type for node in onnx.load(path).graph.node]


def model_of(layer, masked=False):
    x = keras.Input((None, 3), name="x")
    known = keras.Input((None,), dtype="bool", name="known")
    outputs = keras.tree.flatten(layer(x, mask=known) if masked else layer(x))
    named = [keras.layers.Activation("linear", name=f"y{i}")(y) for i, y in enumerate(outputs)]
    return keras.Model([x, known] if masked else x, named)


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("source", [keras.layers, kf.layers])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"return_sequences": True},
        {"return_sequences": True, "go_backwards": True},
        {"return_sequences": True, "return_state": True},
        {"return_state": True, "go_backwards": True},
    ],
    ids=lambda settings: "-".join(settings) or "last",
)
def test_a_layer_is_one_operator(tmp_path, kind, source, masked, settings):
    layer = getattr(source, kind)(4, bias_initializer="normal", **settings)
    ops = answers_alike(model_of(layer, masked), tmp_path / "model.onnx", masked)
    assert [op for op in ops if op in {*OPERATORS.values(), "Loop"}] == [OPERATORS[kind]]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_both_directions_are_two_operators_and_nothing_is_reversed_twice(tmp_path, masked, sequences):
    layer = keras.layers.Bidirectional(kf.layers.LSTM(4, return_sequences=sequences, bias_initializer="normal"))
    ops = answers_alike(model_of(layer, masked), tmp_path / "model.onnx", masked)
    assert ops.count("LSTM") == 2
    assert "Loop" not in ops
    if sequences:
        assert "ReverseSequence" not in ops


def test_a_state_that_is_given_is_used(tmp_path):
    x = keras.Input((None, 3), name="x")
    start = keras.layers.Dense(4, name="start")(x[:, 0])
    y = keras.layers.LSTM(4, name="y")(x, initial_state=[start, 2 * start])
    ops = answers_alike(keras.Model(x, y), tmp_path / "model.onnx")
    assert ops.count("LSTM") == 1


class Peephole(keras.layers.LSTMCell):
    """Another equation."""

    def call(self, inputs, states, training=False):
        h, states = super().call(inputs, states, training)
        return h * 2, states


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.LSTM(4, activation="elu"),
        lambda: keras.layers.RNN(Peephole(4)),
        lambda: keras.layers.GRU(4, recurrent_activation="hard_sigmoid"),
    ],
)
def test_what_onnx_has_no_operator_for_stays_a_loop(tmp_path, layer):
    ops = answers_alike(model_of(layer()), tmp_path / "model.onnx")
    assert "Loop" in ops
    assert not set(ops) & set(OPERATORS.values())


def test_every_activation_that_is_named_is_onnxs(tmp_path):
    for name in ("tanh", "sigmoid", "relu"):
        ops = answers_alike(model_of(keras.layers.SimpleRNN(4, activation=name)), tmp_path / "model.onnx")
        assert ops.count("RNN") == 1


def test_keras_is_left_as_it_was():
    before = [cls.inner_loop for cls in recurrent_operators.LOOPS]
    with recurrent_operators.as_operators():
        assert all(cls.inner_loop is not loop for cls, loop in zip(recurrent_operators.LOOPS, before, strict=True))
    assert [cls.inner_loop for cls in recurrent_operators.LOOPS] == before
