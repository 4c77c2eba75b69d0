"""Layers that Keras cannot trace with dynamic dimensions compute the same as Keras in both formats, at each size."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

import tensorflow as tf

from kerasfound import export
from kerasfound.export import saved_model_writer
from kerasfound.export.converter import convert
from kerasfound.export.tracing import dynamic_shapes, traced_model

CASES = {
    "average of all steps": (layers.AdaptiveAveragePooling1D(1), (None, 4)),
    "average of steps": (layers.AdaptiveAveragePooling1D(3), (None, 4)),
    "average of images": (layers.AdaptiveAveragePooling2D((3, 5)), (None, None, 2)),
    "average of images of a static width": (layers.AdaptiveAveragePooling2D(2), (None, 6, 2)),
    "average of volumes": (layers.AdaptiveAveragePooling3D(2), (None, None, None, 2)),
    "maximum of steps": (layers.AdaptiveMaxPooling1D(3, data_format="channels_first"), (4, None)),
    "maximum of images": (layers.AdaptiveMaxPooling2D((3, 2), data_format="channels_first"), (2, None, None)),
    "maximum of volumes": (layers.AdaptiveMaxPooling3D((1, 2, 3)), (None, None, None, 2)),
    "up-sampling": (layers.UpSampling2D((2, 3), interpolation="bilinear"), (None, None, 2)),
    "up-sampling, channels first": (layers.UpSampling2D(2, "channels_first", "bilinear"), (2, None, None)),
    "up-sampling by repetition": (layers.UpSampling2D(2), (None, None, 2)),
    "a layer for each step": (layers.TimeDistributed(layers.Dense(3)), (None, 4)),
}


def save_onnx(model, path, opset=convert.OPSET, dynamic_shapes=None):
    """Trace a model and write a valid ONNX file."""
    convert.save_onnx(convert.trace_for_onnx(model, dynamic_shapes), path, opset)
    onnx.checker.check_model(path, full_check=True)


@pytest.mark.parametrize("case", CASES)
def test_both_formats_compute_the_same_as_keras_at_each_size(case, tmp_path):
    layer, shape = CASES[case]
    x = keras.Input(shape, name="x")
    model = keras.Model(x, layer(x), name="around")
    save_onnx(model, tmp_path / "model.onnx")
    saved_model_writer.write_saved_model(traced_model.trace_model(model), tmp_path / "saved_model")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    serve = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    (y,) = traced_model.signature(model).outputs
    for batch, size in ((1, 1), (2, 4), (3, 9), (1, 23)):
        sizes = [static or size + place for place, static in enumerate(shape)]
        inputs = np.random.default_rng(0).normal(size=(batch, *sizes)).astype("float32")
        expected = np.asarray(model(inputs, training=False))
        np.testing.assert_allclose(session.run(None, {"x": inputs})[0], expected, atol=1e-5)
        np.testing.assert_allclose(serve(x=tf.constant(inputs))[y.name], expected, atol=1e-5)


def test_integer_pixels_are_rounded_as_in_keras(tmp_path):
    x = keras.Input((None, None, 3), dtype="uint8", name="x")
    model = keras.Model(x, layers.UpSampling2D(2, interpolation="bicubic", dtype="uint8")(x))
    save_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    inputs = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype("uint8")
    np.testing.assert_array_equal(session.run(None, {"x": inputs})[0], model(inputs, training=False))


def explained_changes(layer, shape):
    x = keras.Input(shape, name="x")
    explanation = export.explain(keras.Model(x, layer(x), name="around"))
    assert explanation.supported_formats == ["SavedModel", "ONNX"]
    return {change.reason for change in explanation.changes if change.format == "both"}


@pytest.mark.parametrize(
    ("layer", "dynamic", "static", "scope"),
    [
        (layers.TimeDistributed(layers.Dense(3)), (None, 4), (5, 4), dynamic_shapes.ROWS),
        (layers.AdaptiveMaxPooling1D(2), (None, 4), (5, 4), dynamic_shapes.WINDOWS),
        (layers.UpSampling2D(2, interpolation="bilinear"), (None, None, 2), (4, 4, 2), dynamic_shapes.MULTIPLE),
    ],
)
def test_explain_names_layers_with_dynamic_dimensions_only(layer, dynamic, static, scope):
    assert explained_changes(layer, dynamic) == {dynamic_shapes.SCOPES[scope]}
    assert explained_changes(layer, static) == set()


def test_keras_is_restored():
    before = {cls: cls.call for cls in dynamic_shapes.DYNAMIC_CALLS}
    with dynamic_shapes.allow_dynamic_shapes():
        assert all(cls.call is not before[cls] for cls in before)
    assert {cls: cls.call for cls in dynamic_shapes.DYNAMIC_CALLS} == before
