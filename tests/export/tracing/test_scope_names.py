"""Models and layers with any name are traced and saved, although a graph accepts fewer characters in its scopes."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

import tensorflow as tf

from kerasfound.export.converter import convert
from kerasfound.export.saved_model_writer import write_saved_model
from kerasfound.export.tracing import traced_model
from kerasfound.export.tracing.scope_names import any_layer_name, scope_name
from kerasfound.export.tracing.unsupported import layer_of_node


@pytest.mark.parametrize("name", ["mein Modell", "Größe", "_hidden", "映画", "a+b", "-x", "dense_1", "a/b"])
def test_every_name_becomes_a_valid_scope(name):
    with tf.Graph().as_default(), any_layer_name(), tf.name_scope(name) as scope:
        assert scope == f"{scope_name(name)}/"


def test_outside_of_the_context_tensorflow_refuses_as_before():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="not a valid"), tf.name_scope("mein Modell"):
        pass


def test_a_model_and_layers_with_umlauts_and_spaces_are_exported_to_both_formats(tmp_path):
    x = keras.Input((4,), name="Größe in cm")
    hidden = layers.Dense(3, "tanh", name="erste Schicht ä")(x)
    model = keras.Model(x, layers.Dense(2, name="Käse")(hidden), name="mein Modell")
    values = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    expected = np.asarray(model(values))

    traced = traced_model.trace_model(model)
    (name,) = [tensor.name for tensor in traced.signature.inputs]
    write_saved_model(traced, tmp_path / "saved")
    (y,) = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"](**{name: values}).values()
    np.testing.assert_allclose(y, expected, atol=1e-6)

    convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
    (y,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {name: values})
    np.testing.assert_allclose(y, expected, atol=1e-6)
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert any(node.name.startswith("erste_Schicht__/") for node in graph.node)
    assert layer_of_node("mein_Modell_1/erste_Schicht___1/MatMul", model) == 'layer "erste Schicht ä" (Dense)'
