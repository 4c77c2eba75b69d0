"""Models of every precision are exported to both formats: the file computes in float32, and rounding is no fault."""

import keras
import numpy as np
import pytest
from keras import layers

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.export.converter import convert
from kerasfound.export.verification.reference import default_tolerance

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs are exported from TensorFlow"),
]
STEPS = {"recurrent_initializer": "glorot_uniform"}  # TensorFlow has no orthogonal matrices in half precision


def attend(x):
    return layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)


def branches():
    """A model whose outputs are those of one layer each."""
    row, steps = keras.Input((6,), name="row"), keras.Input((None, 4), name="steps")
    image = keras.Input((6, 6, 2), name="image")
    outputs = {
        "dense": layers.Dense(3, "softmax")(row),
        "layer_normalization": layers.LayerNormalization()(layers.Dense(4)(row)),
        "batch_normalization": layers.BatchNormalization()(layers.Dense(4)(row)),
        "convolution": layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image)),
        "lstm": layers.LSTM(3, **STEPS)(steps),
        "gru": layers.GRU(3, return_sequences=True, **STEPS)(steps),
        "attention": attend(steps),
    }
    return keras.Model({"row": row, "steps": steps, "image": image}, outputs)


def build(precision):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    try:
        return branches()
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
def test_a_model_of_any_precision_is_exported_to_both_formats(precision, tmp_path):
    model = build(precision)
    for record in (
        kf.export.onnx(model, tmp_path / "model.onnx"),
        kf.export.saved_model(model, tmp_path / "saved_model"),
    ):
        assert record.tolerance == default_tolerance(model)
        assert "large" in record.input_kinds
        assert record.max_scaled_difference <= record.tolerance


@pytest.mark.parametrize("precision", ["mixed_float16", "float64"])
def test_wrong_weights_are_found_in_any_precision(precision, tmp_path, monkeypatch):
    model = build(precision)
    trace = convert.trace_for_onnx

    def trace_wrong_weights(model, *arguments):
        bias = next(w for w in model.weights if w.path.startswith("lstm") and w.name == "bias")
        before = bias.numpy()
        bias.assign(before + np.asarray(0.2, before.dtype))
        try:
            return trace(model, *arguments)
        finally:
            bias.assign(before)

    monkeypatch.setattr(convert, "trace_for_onnx", trace_wrong_weights)
    with pytest.raises(UserError, match="output lstm differs"):
        kf.export.onnx(model, tmp_path / "model.onnx")
