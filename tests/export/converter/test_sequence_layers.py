"""Sequence layers are exported with any layer after them, with a static and with a dynamic number of steps.

The test takes a sample of the pairs in which every layer occurs. `benchmarks/export_conformance.py` takes all of them.
"""

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

import kerasfound as kf
from kerasfound.export.converter import convert
from kerasfound.export.tracing import traced_model

FEATURES, STEPS = 6, 8
RNG = np.random.default_rng(0)


def both_directions(cell, **options):
    return lambda x: layers.Bidirectional(cell(3, return_sequences=True), **options)(x)


def attention(x):
    return layers.MultiHeadAttention(2, 3)(x, x)


SEQUENCE_LAYERS = {
    "LSTM": lambda x: layers.LSTM(6, return_sequences=True)(x),
    "GRU": lambda x: layers.GRU(6, return_sequences=True)(x),
    "SimpleRNN": lambda x: layers.SimpleRNN(6, return_sequences=True)(x),
    "backwards LSTM": lambda x: layers.LSTM(6, return_sequences=True, go_backwards=True)(x),
    "LSTM after Masking": lambda x: layers.LSTM(6, return_sequences=True)(layers.Masking()(x)),
    "loop": lambda x: layers.GRU(6, return_sequences=True, activation="elu")(x),
    "Bidirectional LSTM": both_directions(layers.LSTM),
    "Bidirectional GRU, sum": both_directions(layers.GRU, merge_mode="sum"),
    "Bidirectional after Masking": lambda x: both_directions(layers.SimpleRNN)(layers.Masking()(x)),
    "kerasfound Bidirectional LSTM": lambda x: kf.layers.Bidirectional(kf.layers.LSTM(3, return_sequences=True))(x),
    "Conv1D": lambda x: layers.Conv1D(6, 3, padding="same")(x),
    "causal Conv1D": lambda x: layers.Conv1D(6, 2, padding="causal", dilation_rate=2)(x),
    "SeparableConv1D": lambda x: layers.SeparableConv1D(6, 3, strides=2, padding="same")(x),
    "Conv1DTranspose": lambda x: layers.Conv1DTranspose(6, 3, strides=2, padding="same")(x),
    "MaxPooling1D": lambda x: layers.MaxPooling1D(2, padding="same")(x),
    "AveragePooling1D": lambda x: layers.AveragePooling1D(2)(x),
    "MultiHeadAttention": attention,
    "Attention": lambda x: layers.Attention()([x, x]),
    "TimeDistributed Dense": lambda x: layers.TimeDistributed(layers.Dense(6))(x),
    "Dropout": lambda x: layers.SpatialDropout1D(0.5)(x),
    "LayerNormalization": lambda x: layers.LayerNormalization()(x),
    "BatchNormalization": lambda x: layers.BatchNormalization()(x),
    "Cropping1D": lambda x: layers.Cropping1D((1, 2))(x),
    "ZeroPadding1D": lambda x: layers.ZeroPadding1D((1, 2))(x),
    "UpSampling1D": lambda x: layers.UpSampling1D(3)(x),
    "Reshape": lambda x: layers.Reshape((-1, 3))(x),
    "Concatenate": lambda x: layers.Concatenate(axis=1)([x, x]),
    "RepeatVector": lambda x: layers.RepeatVector(4)(layers.GlobalMaxPooling1D()(x)),
}
"""Each returns a sequence."""
HEADS = {
    "Dense": lambda x: layers.Dense(5)(x),
    "Dense softmax": lambda x: layers.Dense(5, "softmax")(x),
    "EinsumDense": lambda x: layers.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(x),
    "TimeDistributed Dense": lambda x: layers.TimeDistributed(layers.Dense(4))(x),
    "LSTM": lambda x: layers.LSTM(3)(x),
    "Bidirectional GRU": lambda x: layers.Bidirectional(layers.GRU(3, return_sequences=True))(x),
    "Conv1D": lambda x: layers.Conv1D(3, 2)(x),
    "MultiHeadAttention": attention,
    "GlobalAveragePooling1D": lambda x: layers.GlobalAveragePooling1D()(x),
    "GlobalMaxPooling1D": lambda x: layers.GlobalMaxPooling1D()(x),
    "MaxPooling1D": lambda x: layers.MaxPooling1D(2)(x),
    "LayerNormalization": lambda x: layers.LayerNormalization()(x),
    "BatchNormalization": lambda x: layers.BatchNormalization()(x),
    "weights over time": lambda x: ops.sum(x * ops.softmax(layers.Dense(1)(x), axis=1), axis=1),
    "last step": lambda x: layers.Dense(2)(x[:, -1]),
    "Reshape": lambda x: layers.Dense(2)(layers.Reshape((-1, 1))(x)),
}


SAMPLES = 6
"""Models; in each, another sequence layer comes before each head."""


def sampled_pairs(sample, steps):
    """A model with an output for each head, each after its own sequence layer."""
    x = keras.Input((steps, FEATURES), name="x")
    chosen = [list(SEQUENCE_LAYERS)[(sample + SAMPLES * i) % len(SEQUENCE_LAYERS)] for i in range(len(HEADS))]
    names = [f"{head} after {first}" for first, head in zip(chosen, HEADS, strict=True)]
    heads = zip(chosen, HEADS.values(), strict=True)
    return names, keras.Model(x, {f"y{i}": head(SEQUENCE_LAYERS[first](x)) for i, (first, head) in enumerate(heads)})


def test_the_samples_hold_every_sequence_layer():
    places = {(sample + SAMPLES * i) % len(SEQUENCE_LAYERS) for sample in range(SAMPLES) for i in range(len(HEADS))}
    assert len(places) == len(SEQUENCE_LAYERS)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [STEPS, None], ids=["static", "dynamic"])
@pytest.mark.parametrize("sample", range(SAMPLES))
def test_a_sequence_layer_is_exported_with_any_layer_after_it(sample, steps, tmp_path):
    names, model = sampled_pairs(sample, steps)
    traced = convert.trace_for_onnx(model)
    convert.save_onnx(traced, tmp_path / "model.onnx", opset=18 if sample % 2 else 23)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = [y.name for y in traced.signature.outputs]
    for rows, time in ((2, 8), (1, 13)):
        x = RNG.normal(size=(rows, steps or time, FEATURES)).astype("float32")
        expected = traced_model.reference_function(model)(x)
        for name, y_expected, y in zip(names, expected.values(), session.run(outputs, {"x": x}), strict=True):
            np.testing.assert_allclose(y, y_expected, rtol=1e-4, atol=1e-5, err_msg=name)
