"""Layers that Keras cannot trace where a size is free answer in both formats as Keras does at each size."""

import keras
import numpy as np
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
    "average of images of a known width": (layers.AdaptiveAveragePooling2D(2), (None, 6, 2)),
    "average of volumes": (layers.AdaptiveAveragePooling3D(2), (None, None, None, 2)),
    "largest of steps": (layers.AdaptiveMaxPooling1D(3, data_format="channels_first"), (4, None)),
    "largest of images": (layers.AdaptiveMaxPooling2D((3, 2), data_format="channels_first"), (2, None, None)),
    "largest of volumes": (layers.AdaptiveMaxPooling3D((1, 2, 3)), (None, None, None, 2)),
    "images grow": (layers.UpSampling2D((2, 3), interpolation="bilinear"), (None, None, 2)),
    "images grow, channels first": (layers.UpSampling2D(2, "channels_first", "bilinear"), (2, None, None)),
    "pixels are repeated": (layers.UpSampling2D(2), (None, None, 2)),
    "each step": (layers.TimeDistributed(layers.Dense(3)), (None, 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_both_formats_answer_as_keras_at_each_size(case, tmp_path):
    layer, shape = CASES[case]
    x = keras.Input(shape, name="x")
    model = keras.Model(x, layer(x), name="around")
    convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
    saved_model_writer.write_saved_model(traced_model.trace_model(model), tmp_path / "saved_model")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    serve = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    (y,) = traced_model.signature(model).outputs
    for batch, size in ((1, 1), (2, 4), (3, 9), (1, 23)):
        sizes = [free or size + place for place, free in enumerate(shape)]
        given = np.random.default_rng(0).normal(size=(batch, *sizes)).astype("float32")
        wanted = np.asarray(model(given, training=False))
        np.testing.assert_allclose(session.run(None, {"x": given})[0], wanted, atol=1e-5)
        np.testing.assert_allclose(serve(x=tf.constant(given))[y.name], wanted, atol=1e-5)


def test_whole_pixels_are_rounded_as_keras_rounds(tmp_path):
    x = keras.Input((None, None, 3), dtype="uint8", name="x")
    model = keras.Model(x, layers.UpSampling2D(2, interpolation="bicubic", dtype="uint8")(x))
    convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    given = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype("uint8")
    np.testing.assert_array_equal(session.run(None, {"x": given})[0], model(given, training=False))


def rewritten(layer, shape):
    x = keras.Input(shape, name="x")
    found = export.explain(keras.Model(x, layer(x), name="around"))
    assert found.possible == ["SavedModel", "ONNX"]
    return {finding.reason for finding in found.findings if finding.format == "both"}


@pytest.mark.parametrize(
    ("layer", "free", "known", "scope"),
    [
        (layers.TimeDistributed(layers.Dense(3)), (None, 4), (5, 4), dynamic_shapes.ROWS),
        (layers.AdaptiveMaxPooling1D(2), (None, 4), (5, 4), dynamic_shapes.WINDOWS),
        (layers.UpSampling2D(2, interpolation="bilinear"), (None, None, 2), (4, 4, 2), dynamic_shapes.MULTIPLE),
    ],
)
def test_explain_tells_of_free_sizes_and_of_no_known_ones(layer, free, known, scope):
    assert rewritten(layer, free) == {dynamic_shapes.SCOPES[scope]}
    assert rewritten(layer, known) == set()


def test_keras_is_left_as_it_was():
    before = {cls: cls.call for cls in dynamic_shapes.WRITTEN}
    with dynamic_shapes.allow_dynamic_shapes():
        assert all(cls.call is not before[cls] for cls in before)
    assert {cls: cls.call for cls in dynamic_shapes.WRITTEN} == before
