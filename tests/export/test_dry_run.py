"""`kf.export.explain` says what an export does to each layer."""

import keras
import pytest
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

from kerasfound import export
from kerasfound.errors import UserError
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


class Noise(layers.Layer):
    def call(self, x):
        return x + keras.random.normal(ops.shape(x))


class OwnModel(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


def quantized():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.quantize("int8")
    return model


def own_model():
    model = OwnModel()
    model(ops.ones((1, 3)))
    return model


def of_texts(*stack):
    return keras.Sequential([keras.Input((1,), dtype="string"), *stack])


def of_numbers(*stack):
    return keras.Sequential([keras.Input((3, 2)), *stack])


MODELS = {
    "a stack of layers": (lambda: of_numbers(layers.Dense(2)), ["SavedModel", "ONNX"]),
    "noise": (lambda: of_numbers(Noise()), []),
    "a state": (lambda: keras.Sequential([keras.Input(batch_shape=(2, 3, 2)), layers.LSTM(2, stateful=True)]), []),
    "a lambda": (lambda: of_numbers(layers.Lambda(lambda x: 2 * x)), ["SavedModel", "ONNX"]),
    "a subclass": (own_model, ["SavedModel", "ONNX"]),
    "float64": (lambda: of_numbers(layers.Dense(2, dtype="float64")), ["SavedModel", "ONNX"]),
    "8-bit weights": (quantized, ["SavedModel", "ONNX"]),
    "words": (lambda: of_texts(layers.StringLookup(vocabulary=["a"])), ["SavedModel", "ONNX"]),
    "hashed words": (lambda: of_texts(layers.Hashing(4)), ["SavedModel"]),
    "texts": (
        lambda: of_texts(layers.TextVectorization(vocabulary=["a"], output_mode="count")),
        ["SavedModel", "ONNX"],
    ),
    "an error": (lambda: of_numbers(layers.Lambda(raising, output_shape=(3, 2))), []),
    "NaN": (lambda: of_numbers(layers.Rescaling(float("nan"))), []),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_it_refuses_what_a_bundle_refuses_for_the_same_reason(tmp_path, kind):
    make_model, formats = MODELS[kind]
    model = make_model()
    explanation = export.explain(model)
    assert explanation.supported_formats == formats
    reasons = [change.reason for change in explanation.changes if change.action == "unsupported"]
    if not reasons:
        export.bundle(model, tmp_path, "dry_run")
        return
    with pytest.raises(UserError) as refusal:
        export.bundle(model, tmp_path, "dry_run")
    assert all(reason.split(" by ")[0] in str(refusal.value) for reason in reasons)
