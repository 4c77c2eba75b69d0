"""Files are verified at several sizes, with padding and edge cases, in a process of their own."""

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import kerasfound as kf
from kerasfound.bundle import manifest
from kerasfound.bundle.manifest import Tensor
from kerasfound.errors import UserError
from kerasfound.export.converter import convert
from kerasfound.export.tracing import traced_model
from kerasfound.export.verification import input_generator, reference, subprocess_session
from kerasfound.export.verification.reference import default_tolerance

layers = keras.layers
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs are exported from TensorFlow"),
]


def sequence():
    return keras.Sequential([keras.Input((4,), name="x"), layers.Dense(8, "relu"), layers.Dense(3, name="y")])


def masked():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.LSTM(8)(layers.Embedding(20, 8, mask_zero=True)(tokens))
    return keras.Model(tokens, layers.Dense(2, "softmax", name="y")(x))


def two_and_two():
    row, ids = keras.Input((3,), name="row"), keras.Input((None,), dtype="int64", name="ids")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(7, 3)(ids))
    total = layers.Add(name="total")([row, mean])
    return keras.Model({"row": row, "ids": ids}, [total, keras.ops.any(total > 0, axis=-1)])


def image_model():
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = layers.Conv2D(4, 3, strides=2)(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.GlobalAveragePooling2D(name="y")(x))


def three_rows():
    x = keras.Input(batch_shape=(3, 4), name="x")
    return keras.Model(x, layers.Dense(2, name="y")(x))


def deep():
    x = keras.Input((4,), name="x")
    y = layers.Dense(5, name="first")(x)
    y = layers.Dense(6, name="second")(y)
    return keras.Model(x, layers.Dense(7, name="third")(y))


class Unrepeatable(keras.layers.Layer):
    """Returns another output in each call: it adds random numbers or counts its calls."""

    def __init__(self, random, **kwargs):
        super().__init__(**kwargs)
        self.random = random
        self.seed = keras.random.SeedGenerator(0)

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        if self.random:
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)
        self.calls.assign(self.calls + 1)
        return x + self.calls


class BagOfIds(keras.layers.Layer):
    """A custom layer that looks up ids in a nested layer."""

    def build(self, shape):
        self.table = layers.Embedding(5, 2)
        self.table.build(shape)

    def call(self, ids):
        return keras.ops.sum(self.table(ids), axis=1)


@pytest.mark.parametrize(
    ("build", "sizes", "kinds"),
    [
        (sequence, {}, {"random", "zeros", "large"}),
        (masked, {"time": [1, 2, 7, 16]}, {"random", "padded", "gaps", "zeros"}),
        (two_and_two, {"time": [1, 2, 7, 16]}, {"random", "padded", "gaps", "zeros", "large"}),
    ],
)
def test_a_file_is_verified_at_all_sizes_and_with_all_kinds_of_inputs(tmp_path, build, sizes, kinds):
    record = kf.export.onnx(build(), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert record.batch_sizes == [1, 2, 5, 32]
    assert record.dynamic_sizes == sizes
    assert set(record.input_kinds) == kinds
    assert record.max_absolute_difference < 1e-5


def test_heights_and_widths_that_the_model_refuses_are_not_tested(tmp_path):
    record = kf.export.onnx(image_model(), tmp_path / "model.onnx")
    assert all(min(sizes) >= 3 and len(sizes) > 1 for sizes in record.dynamic_sizes.values())
    assert record.batch_sizes == [1, 2, 5, 32]


def test_sizes_at_which_tensorflow_reads_random_memory_are_not_tested(tmp_path):
    """A window of 3 with a stride of 2 over 1 or 2 steps: Keras computes an empty output, TensorFlow one step."""
    x = keras.Input((None, 4), name="x")
    y = layers.Conv1D(3, 3, strides=2, name="y")(layers.Conv1D(3, 3, padding="causal")(x))
    record = kf.export.onnx(keras.Model(x, y), tmp_path / "model.onnx")
    assert record.dynamic_sizes["time"] == [7, 16, 33, 64]


def test_a_model_with_a_fixed_batch_size_is_verified_at_that_size(tmp_path):
    record = kf.export.onnx(three_rows(), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert record.num_inputs >= 9
    assert session.get_inputs()[0].shape[1] == 4


def test_the_size_of_the_samples_is_tested_if_no_other_size_is_possible(tmp_path):
    x = keras.Input((None,), name="x")
    y = keras.ops.reshape(x, (-1, 250))
    with pytest.raises(UserError, match="runs at no size from 1 to 224"):
        kf.export.onnx(keras.Model(x, y), tmp_path / "model.onnx")
    record = kf.export.onnx(
        keras.Model(x, y), tmp_path / "model.onnx", kf.export.ExportOptions(samples=np.ones((3, 250), "float32"))
    )
    assert list(record.dynamic_sizes.values()) == [[250]]


def test_samples_come_first_and_limit_the_range_of_random_inputs(tmp_path):
    model = masked()
    rows = np.random.default_rng(0).integers(1, 20, (40, 9))
    cases = reference.reference_outputs(model, traced_model.signature(model), {"tokens": rows})
    assert [case.kind for case in cases[:5]] == ["samples"] * 4 + ["shuffled"]
    assert np.array_equal(cases[3].inputs["tokens"], rows[:32])
    assert all(case.inputs["tokens"].max() < 20 for case in cases)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ({"ids": np.zeros((2, 3))}, "`samples`: the names are ids, the inputs of the model are tokens"),
        ({"tokens": np.zeros((2, 3, 4))}, r"tokens has shape \(2, 3, 4\), the model expects"),
        ({"tokens": np.zeros((0, 3))}, "have 0 rows"),
    ],
)
def test_samples_that_do_not_fit_raise_an_error(tmp_path, samples, reason):
    with pytest.raises(UserError, match=reason):
        kf.export.onnx(masked(), tmp_path / "model.onnx", kf.export.ExportOptions(samples=samples))
    assert not any(tmp_path.iterdir())


def test_one_array_of_samples_for_two_inputs_raises_an_error(tmp_path):
    with pytest.raises(UserError, match="give a dict with an array for each input"):
        kf.export.onnx(two_and_two(), tmp_path / "model.onnx", kf.export.ExportOptions(samples=np.zeros((2, 3))))


def test_padding_is_at_the_end():
    model = masked()
    padded = [
        call.inputs["tokens"]
        for call in input_generator.generate_inputs(model, traced_model.signature(model))
        if call.kind == "padded"
    ]
    for ids in padded:
        mask = ids > 0
        assert mask[:, 0].all()
        assert not mask.all()
        assert (np.diff(mask.astype(int), axis=1) <= 0).all()


def test_ids_are_within_the_range_of_the_embedding_that_looks_them_up():
    first, second = (keras.Input((None,), dtype="int32", name=name) for name in ("first", "second"))
    small, large = layers.Embedding(4, 2)(first), layers.Embedding(100, 2)(second + 0)
    model = keras.Model([first, second], layers.Add()([small, large]))
    calls = [call.inputs for call in input_generator.generate_inputs(model, traced_model.signature(model))]
    assert all(inputs["first"].max() < 4 for inputs in calls)
    assert max(inputs["second"].max() for inputs in calls) > 90


def test_an_embedding_inside_a_custom_layer_is_found():
    """The code uses a private method of Keras. This test fails if Keras changes it."""
    ids = keras.Input((3,), dtype="int32", name="ids")
    model = keras.Model(ids, BagOfIds()(ids))
    calls = input_generator.generate_inputs(model, traced_model.signature(model))
    assert max(call.inputs["ids"].max() for call in calls) == 4


def test_large_inputs_are_tested_in_small_batches():
    signature = traced_model.Signature([Tensor("x", "float32", ["batch", 1000, 1000])], [])
    combinations = list(input_generator.size_combinations(sequence(), signature, dict, {}))
    assert [sizes["batch"] for sizes in combinations] == [1, 2, 2, 2]


@pytest.mark.parametrize("random", [True, False])
def test_a_model_whose_outputs_change_between_calls_raises_an_error(tmp_path, random):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, Unrepeatable(random, name="y")(x))
    with pytest.raises(UserError, match="changes between two equal calls"):
        kf.export.onnx(model, tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


def test_a_model_whose_outputs_are_all_nan_raises_an_error(tmp_path):
    model = sequence()
    model.layers[0].kernel.assign(np.full((4, 8), np.nan))
    with pytest.raises(UserError, match="all outputs are NaN or infinity"):
        kf.export.onnx(model, tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("tolerance", [0, -1.0, float("nan")])
def test_a_tolerance_that_is_not_above_0_raises_an_error(tolerance):
    with pytest.raises(UserError, match="must be above 0"):
        kf.export.ExportOptions(tolerance=tolerance)


def test_a_model_that_is_not_built_raises_an_error(tmp_path):
    with pytest.raises(UserError, match="built"):
        kf.export.onnx(keras.Sequential([layers.Dense(2)]), tmp_path / "model.onnx")


def with_wrong_weights(save_onnx, layer):
    """Return `save_onnx` with a mistake in the weights of one layer."""

    def save_wrong_weights(traced, path, *arguments):
        save_onnx(traced, path, *arguments)
        proto = onnx.load(path)
        for weights in proto.graph.initializer:
            value = numpy_helper.to_array(weights)
            if value.shape == layer.kernel.shape and value.dtype == "float32":
                weights.CopyFrom(numpy_helper.from_array((value * 1.1).astype("float32"), weights.name))
        onnx.save(proto, path)

    return save_wrong_weights


def test_an_output_that_differs_raises_an_error_that_names_the_layer(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_text("an older file")
    model = deep()
    monkeypatch.setattr(convert, "save_onnx", with_wrong_weights(convert.save_onnx, model.get_layer("second")))
    with pytest.raises(UserError, match=r"output third differs from the trained model's by up to .* second"):
        kf.export.onnx(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "an older file"
    assert len(list(tmp_path.iterdir())) == 1


def rates(scale):
    x = keras.Input((4,), name="x")
    y = layers.Dense(5, name="first")(x)
    y = layers.Dense(6, name="second")(y)
    return keras.Model(x, layers.Rescaling(scale, name="third")(layers.Dense(3, activation="sigmoid")(y)))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_outputs_of_any_size_that_differ_raise_an_error(tmp_path, monkeypatch, scale):
    """Rates, and micrometres in metres, differ by less than 1e-5 whatever the file computes."""
    model = rates(scale)
    kf.export.onnx(model, tmp_path / "right.onnx")
    monkeypatch.setattr(convert, "save_onnx", with_wrong_weights(convert.save_onnx, model.get_layer("second")))
    with pytest.raises(UserError, match="output third differs from the trained model's"):
        kf.export.onnx(model, tmp_path / "wrong.onnx")


def rare_event(probability):
    x = keras.Input((4,), name="x")
    y = layers.Dense(2, "sigmoid", bias_initializer=keras.initializers.Constant(np.log(probability)), name="y")
    return keras.Model(x, y(x))


def cancelled():
    x = keras.Input((4,), name="x")
    return keras.Model(x, 1 - keras.ops.sigmoid(layers.Dense(3)(x) + 14))


def nearly_singular():
    x = keras.Input((6, 6), name="x")
    return keras.Model(x, keras.ops.linalg.inv(x))


def decided():
    x = keras.Input((6,), name="x")
    return keras.Model(x, keras.ops.argmax(layers.Dense(4, kernel_initializer="zeros")(x), axis=-1))


@pytest.mark.parametrize(
    "build",
    [lambda: rare_event(1e-3), lambda: rare_event(1e-6), cancelled, nearly_singular, decided],
    ids=["probability 1e-3", "probability 1e-6", "1 - sigmoid", "inverse", "argmax of equal numbers"],
)
def test_a_difference_that_the_rounding_of_the_model_explains_is_accepted(tmp_path, build):
    assert kf.export.onnx(build(), tmp_path / "model.onnx").tolerance == 1e-5


def test_what_rounding_explains_is_recorded_for_a_later_verification(tmp_path):
    folder = kf.export.bundle(cancelled(), tmp_path, "cancelled")
    records = kf.export.verify(folder)
    assert all(record.max_scaled_difference <= 1e-5 for record in records)


def test_nan_that_only_tensorflows_kernels_swallow_is_no_missing_value(tmp_path):
    """TensorFlow's maximum of NaN and a number is the number, ONNX Runtime's is NaN."""
    x = keras.Input((8, 8, 1), name="x")
    y = layers.Dense(2)(layers.Flatten()(layers.MaxPooling2D(2)(layers.ReLU()(layers.Conv2D(2, 3)(x)))))
    folder = kf.export.bundle(keras.Model(x, y), tmp_path, "pooled")
    (tensor,) = manifest.read(folder / "manifest.json").inputs
    assert not tensor.nullable


def test_a_file_is_opened_once_and_in_another_process(tmp_path, monkeypatch):
    commands = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options)
    )
    monkeypatch.setattr(onnx.checker, "check_model", None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    kf.export.onnx(deep(), tmp_path / "model.onnx")
    assert len(commands) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_invalid_file_raises_an_error_that_names_the_layer(tmp_path, monkeypatch):
    def broken(*arguments):
        proto = original(*arguments)
        next(node for node in proto.graph.node if "second" in node.name).op_type = "Nonsense"
        return proto

    original = convert.convert
    monkeypatch.setattr(convert, "convert", broken)
    with pytest.raises(UserError, match=r'cannot be run: .*Nonsense.*, in layer "second" .Dense.\.'):
        kf.export.onnx(deep(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_crashes_its_process_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess_session.sys, "executable", "false")
    with pytest.raises(UserError, match="onnx cannot be run: it ended with status 1"):
        kf.export.onnx(deep(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    explanation = kf.export.explain(deep())
    assert explanation.supported_formats == ["SavedModel"]
    assert "onnx cannot be run: it ended with status 1" in str(explanation)


@pytest.mark.parametrize("opset", [0, 17])
def test_an_opset_that_is_too_old_raises_an_error(tmp_path, opset):
    with pytest.raises(UserError, match=f"`opset` {opset}: "):
        kf.export.onnx(deep(), tmp_path / "model.onnx", kf.export.ExportOptions(opset=opset))
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_verified_without_keras(tmp_path):
    folder = kf.export.bundle(deep(), tmp_path, "deep")
    code = "import sys, kerasfound as kf; kf.export.verify(sys.argv[1]); print('keras' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code, folder], text=True) == "False\n"


class CumulativeSum(keras.Model):
    """A subclassed model, which only knows the sizes of its first call."""

    def call(self, x):
        return keras.ops.cumsum(x, axis=1)


def test_dynamic_shapes_are_also_used_to_verify_a_single_file(tmp_path):
    model = CumulativeSum(name="sum")
    model(np.ones((2, 5, 3), "float32"))
    options = kf.export.ExportOptions(dynamic_shapes={"input_0": ["batch", "steps", 3]})
    kf.export.onnx(model, tmp_path / "model.onnx", options)
    (record,) = kf.export.verify(tmp_path / "model.onnx", model, options)
    assert record.dynamic_sizes == {"steps": [1, 2, 7, 16]}


def test_the_tolerance_of_the_options_is_used_and_recorded(tmp_path, monkeypatch):
    model = deep()
    monkeypatch.setattr(convert, "save_onnx", with_wrong_weights(convert.save_onnx, model.get_layer("second")))
    assert kf.export.onnx(model, tmp_path / "model.onnx", kf.export.ExportOptions(tolerance=0.5)).tolerance == 0.5


def test_a_single_onnx_file_is_compared_with_a_model(tmp_path):
    model = deep()
    kf.export.onnx(model, tmp_path / "model.onnx")
    (record,) = kf.export.verify(tmp_path / "model.onnx", model)
    assert record.format == "onnx"
    other = keras.models.clone_model(model)
    with pytest.raises(
        UserError, match=r"output third differs .* shows no difference: the file may belong to another model"
    ):
        kf.export.verify(tmp_path / "model.onnx", other)
    with pytest.raises(UserError, match="has the tensors x, expected tokens"):
        kf.export.verify(tmp_path / "model.onnx", masked())
    with pytest.raises(UserError, match="a single model file has no recorded outputs"):
        kf.export.verify(tmp_path / "model.onnx")


def test_a_single_saved_model_is_not_overwritten_and_is_compared_with_a_model(tmp_path):
    model = deep()
    assert kf.export.saved_model(model, tmp_path / "saved").max_absolute_difference < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    with pytest.raises(UserError, match="exists already"):
        kf.export.saved_model(model, tmp_path / "saved")
    with pytest.raises(UserError, match="saved_model: output third differs from the trained model's"):
        kf.export.verify(tmp_path / "saved", keras.models.clone_model(model))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", "cannot be run: it ended by SIGSEGV"),
        ("import time; time.sleep(60)", "did not finish within 2 s"),
        ("raise ValueError('a reason')", "ValueError: a reason"),
    ],
)
def test_a_crash_or_a_hang_of_a_file_becomes_an_error_message(tmp_path, monkeypatch, body, reason):
    (tmp_path / "script.py").write_text(body)
    monkeypatch.setattr(subprocess_session, "SCRIPT", tmp_path / "script.py")
    monkeypatch.setattr(subprocess_session, "TIME_LIMIT", 2)
    with pytest.raises(UserError, match=reason):
        subprocess_session.run_file("it", "onnx", tmp_path / "model.onnx", [], traced_model.Signature([], []))


@pytest.mark.parametrize(
    ("shape", "dtype", "name"),
    [
        (["batch", 4], "float64", "x"),
        (["batch", 5], "float32", "x"),
        (["batch"], "float32", "x"),
        ([2, 4], "float32", "x"),
    ],
)
def test_a_file_with_other_inputs_than_declared_raises_an_error(tmp_path, shape, dtype, name):
    model = sequence()
    kf.export.onnx(model, tmp_path / "model.onnx")
    outputs = traced_model.signature(model).outputs
    x = np.zeros((2, 4), "float32")
    declared = traced_model.Signature([Tensor(name, dtype, shape)], outputs)
    with pytest.raises(UserError, match=r"x has .*, expected "):
        subprocess_session.run_file("it", "onnx", tmp_path / "model.onnx", [{"x": x}], declared)


def test_half_precision_has_a_larger_default_tolerance():
    x = keras.Input((4,), name="x")
    half = keras.Model(x, layers.Dense(2, dtype="mixed_bfloat16")(x))
    assert default_tolerance(half) == 5e-2
    assert default_tolerance(sequence()) == 1e-5


def test_the_session_script_does_not_import_the_package(tmp_path):
    """It also runs where the package is not installed, as in a notebook that extends `sys.path`."""
    model = sequence()
    kf.export.onnx(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "inputs.npz", **{"0.x": np.ones((2, 4), "float32")})
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    paths = [tmp_path / name for name in ("model.onnx", "inputs.npz", "outputs.npz")]
    command = [sys.executable, "-P", subprocess_session.SCRIPT, "onnx", *paths]
    process = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert json.loads(process.stdout)["inputs"] == [["x", "float32", ["batch", 4]]]
