"""`kf.export.explain` says what an export does to each layer."""

import keras
import pytest
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

from kerasfound import export
from kerasfound.export.converter import recurrent_operators, scan


def raising(*_, **__):
    raise RuntimeError("my own mistake")


def test_it_lists_the_rewritten_layers():
    x = keras.Input((None, 4), name="x")
    h = layers.TimeDistributed(layers.Dense(3, activation="gelu"), name="steps", dtype="mixed_bfloat16")(x)
    explanation = export.explain(keras.Model(x, layers.LSTM(2, name="memory")(h), name="model"))
    assert explanation.supported_formats == ["SavedModel", "ONNX"]
    assert {(change.layer.split('"')[1], change.format, change.action) for change in explanation.changes} >= {
        ("model", "both", "rewritten"),
        ("steps", "both", "rewritten"),
        ("memory", "both", "rewritten"),
    }
    assert "model can be exported to SavedModel and ONNX:" in str(explanation)
    assert "Erfc: 1 - `Erf`" in str(explanation)
    assert "every layer stays as it is" in str(export.explain(keras.Sequential([keras.Input((4,)), layers.Dense(2)])))


def test_augmentation_that_returns_its_input_is_left_out():
    x = keras.Input((9, 9, 3), name="x")
    h = layers.Resizing(8, 8, name="size")(layers.RandomContrast(0.5, name="contrast")(x))
    explanation = export.explain(keras.Model(x, layers.RandomHue(0.5, name="hue")(h)))
    actions = {(change.layer.split('"')[1], change.action) for change in explanation.changes}
    assert actions == {("contrast", "left out"), ("size", "rewritten"), ("hue", "left out")}


def test_it_lists_the_rewritten_loops():
    class Scan(layers.Layer):
        def call(self, x):
            return ops.scan(lambda h, step: (h + step, h), x[:, 0], ops.swapaxes(x, 0, 1))[0]

    x = keras.Input((None, 4), name="x")
    h = layers.SimpleRNN(3, return_sequences=True, name="memory")(x)
    explanation = export.explain(keras.Model(x, Scan(name="sum")(h)))
    assert {(change.layer.split('"')[1], change.format, change.reason) for change in explanation.changes} == {
        ("memory", "ONNX", recurrent_operators.REASON),
        ("sum", "ONNX", scan.REASON),
    }


def test_a_loop_that_only_onnx_does_not_support(monkeypatch):
    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, layers.SimpleRNN(3, name="memory")(x))
    monkeypatch.setattr(recurrent_operators, "_operator_outputs", raising)
    explanation = export.explain(model)
    assert explanation.supported_formats == ["SavedModel"]
    assert 'layer "memory"' in explanation.changes[-1].layer
