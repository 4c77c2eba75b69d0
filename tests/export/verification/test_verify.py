"""Nothing is believed before it was asked: every size, padding and edge, in a process of its own."""

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


def picture():
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


class Drifting(keras.layers.Layer):
    """Answers something else each time, by chance or by a count."""

    def __init__(self, by_chance, **kwargs):
        super().__init__(**kwargs)
        self.by_chance = by_chance
        self.seed = keras.random.SeedGenerator(0)

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        if self.by_chance:
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)
        self.calls.assign(self.calls + 1)
        return x + self.calls


class Bag(keras.layers.Layer):
    """Ids are looked up inside a layer that is none of Keras's."""

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
def test_a_file_is_asked_at_every_size_and_kind(tmp_path, build, sizes, kinds):
    proof = kf.export.onnx(build(), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert proof.batch_sizes == [1, 2, 5, 32]
    assert proof.dynamic_sizes == sizes
    assert set(proof.input_kinds) == kinds
    assert proof.max_absolute_difference < 1e-5


def test_free_heights_and_widths_that_the_model_refuses_are_not_asked(tmp_path):
    proof = kf.export.onnx(picture(), tmp_path / "model.onnx")
    assert all(min(sizes) >= 3 and len(sizes) > 1 for sizes in proof.dynamic_sizes.values())
    assert proof.batch_sizes == [1, 2, 5, 32]


def test_sizes_at_which_tensorflow_answers_what_lies_in_memory_are_not_asked(tmp_path):
    """A window of 3 in steps of 2 over 1 or 2 numbers: Keras counts no answer, TensorFlow gives one."""
    x = keras.Input((None, 4), name="x")
    y = layers.Conv1D(3, 3, strides=2, name="y")(layers.Conv1D(3, 3, padding="causal")(x))
    proof = kf.export.onnx(keras.Model(x, y), tmp_path / "model.onnx")
    assert proof.dynamic_sizes["time"] == [7, 16, 33, 64]


def test_a_model_of_fixed_sizes_is_asked_at_those(tmp_path):
    proof = kf.export.onnx(three_rows(), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert proof.num_inputs >= 9
    assert session.get_inputs()[0].shape[1] == 4


def test_a_size_that_only_the_samples_have_is_asked(tmp_path):
    x = keras.Input((None,), name="x")
    y = keras.ops.reshape(x, (-1, 250))
    with pytest.raises(UserError, match="takes no size of 1 to 224"):
        kf.export.onnx(keras.Model(x, y), tmp_path / "model.onnx")
    proof = kf.export.onnx(keras.Model(x, y), tmp_path / "model.onnx", samples=np.ones((3, 250), "float32"))
    assert list(proof.dynamic_sizes.values()) == [[250]]


def test_real_samples_come_first_and_bound_what_is_drawn(tmp_path):
    model = masked()
    rows = np.random.default_rng(0).integers(1, 20, (40, 9))
    asked = reference.answers(model, traced_model.signature(model), {"tokens": rows})
    assert [case.kind for case in asked[:5]] == ["samples"] * 4 + ["shuffled"]
    assert np.array_equal(asked[3].inputs["tokens"], rows[:32])
    assert all(case.inputs["tokens"].max() < 20 for case in asked)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ({"ids": np.zeros((2, 3))}, "the samples are of ids; the model's inputs are tokens"),
        ({"tokens": np.zeros((2, 3, 4))}, r"have shape \(2, 3, 4\), the model takes"),
        ({"tokens": np.zeros((0, 3))}, "have 0 rows"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path, samples, reason):
    with pytest.raises(UserError, match=reason):
        kf.export.onnx(masked(), tmp_path / "model.onnx", samples=samples)
    assert not any(tmp_path.iterdir())


def test_one_array_is_no_sample_of_two_inputs(tmp_path):
    with pytest.raises(UserError, match="give a dict of one for each"):
        kf.export.onnx(two_and_two(), tmp_path / "model.onnx", samples=np.zeros((2, 3)))


def test_padding_is_at_the_end_and_the_same_for_all_inputs_of_a_length():
    model = masked()
    padded = [
        q.inputs["tokens"]
        for q in input_generator.questions(model, traced_model.signature(model))
        if q.kind == "padded"
    ]
    for ids in padded:
        known = ids > 0
        assert known[:, 0].all()
        assert not known.all()
        assert (np.diff(known.astype(int), axis=1) <= 0).all()


def test_ids_stay_below_the_vocabulary_that_they_reach():
    first, second = (keras.Input((None,), dtype="int32", name=name) for name in ("first", "second"))
    small, large = layers.Embedding(4, 2)(first), layers.Embedding(100, 2)(second + 0)
    model = keras.Model([first, second], layers.Add()([small, large]))
    for inputs in (q.inputs for q in input_generator.questions(model, traced_model.signature(model))):
        assert inputs["first"].max() < 4
    assert max(q.inputs["second"].max() for q in input_generator.questions(model, traced_model.signature(model))) > 90


def test_a_vocabulary_inside_a_layer_is_found():
    """Through a private method of Keras: this test notices when it moves."""
    ids = keras.Input((3,), dtype="int32", name="ids")
    model = keras.Model(ids, Bag()(ids))
    drawn = [q.inputs["ids"] for q in input_generator.questions(model, traced_model.signature(model))]
    assert max(x.max() for x in drawn) == 4


def test_large_inputs_are_asked_in_small_batches():
    signature = traced_model.Signature([Tensor("x", "float32", ["batch", 1000, 1000])], [])
    asked = list(input_generator.settings(sequence(), signature, dict, {}))
    assert [sizes["batch"] for sizes in asked] == [1, 2, 2, 2]


@pytest.mark.parametrize("by_chance", [True, False])
def test_a_model_that_answers_differently_twice_is_refused(tmp_path, by_chance):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, Drifting(by_chance, name="y")(x))
    with pytest.raises(UserError, match="changes between calls"):
        kf.export.onnx(model, tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


def test_a_model_that_answers_nan_only_is_refused(tmp_path):
    model = sequence()
    model.layers[0].kernel.assign(np.full((4, 8), np.nan))
    with pytest.raises(UserError, match="answers nothing but NaN"):
        kf.export.onnx(model, tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("tolerance", [0, -1.0, float("nan")])
def test_a_tolerance_that_is_not_above_0_is_refused(tmp_path, tolerance):
    with pytest.raises(UserError, match="must be above 0"):
        kf.export.onnx(sequence(), tmp_path / "model.onnx", tolerance=tolerance)


def test_a_model_that_was_never_built_is_refused(tmp_path):
    with pytest.raises(UserError, match="built"):
        kf.export.onnx(keras.Sequential([layers.Dense(2)]), tmp_path / "model.onnx")


def spoiled(convert, layer):
    """`convert`, which makes a mistake in one layer."""

    def wrong(traced, path, *arguments, **options):
        convert(traced, path, *arguments, **options)
        proto = onnx.load(path)
        for weights in proto.graph.initializer:
            value = numpy_helper.to_array(weights)
            if value.shape == layer.kernel.shape and value.dtype == "float32":
                weights.CopyFrom(numpy_helper.from_array((value * 1.1).astype("float32"), weights.name))
        onnx.save(proto, path)

    return wrong


def test_a_file_that_answers_otherwise_is_refused_and_its_layer_named(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_text("what was there")
    model = deep()
    monkeypatch.setattr(convert, "save_onnx", spoiled(convert.save_onnx, model.get_layer("second")))
    with pytest.raises(UserError, match=r"answers otherwise than the trained model: third by up to .* second"):
        kf.export.onnx(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "what was there"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_is_opened_by_one_process_and_by_ours_never(tmp_path, monkeypatch):
    started = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: started.append(command) or run(command, **options)
    )
    monkeypatch.setattr(onnx.checker, "check_model", None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    kf.export.onnx(deep(), tmp_path / "model.onnx")
    assert len(started) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_file_that_the_checker_rejects_is_refused_by_the_layers_name(tmp_path, monkeypatch):
    def broken(*arguments):
        proto = original(*arguments)
        next(node for node in proto.graph.node if "second" in node.name).op_type = "Nonsense"
        return proto

    original = convert.convert
    monkeypatch.setattr(convert, "convert", broken)
    with pytest.raises(UserError, match=r'cannot be run: .*Nonsense.*, in layer "second" .Dense.\.'):
        kf.export.onnx(deep(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_given_tolerance_is_obeyed_and_recorded(tmp_path, monkeypatch):
    model = deep()
    monkeypatch.setattr(convert, "save_onnx", spoiled(convert.save_onnx, model.get_layer("second")))
    assert kf.export.onnx(model, tmp_path / "model.onnx", tolerance=0.5).tolerance == 0.5


def test_a_lone_file_is_held_against_a_model(tmp_path):
    model = deep()
    kf.export.onnx(model, tmp_path / "model.onnx")
    (proof,) = kf.export.verify(tmp_path / "model.onnx", model)
    assert proof.format == "onnx"
    other = keras.models.clone_model(model)
    with pytest.raises(UserError, match=r"third by up to .* none differs: the file may be of another model"):
        kf.export.verify(tmp_path / "model.onnx", other)
    with pytest.raises(UserError, match="has x where tokens was declared"):
        kf.export.verify(tmp_path / "model.onnx", masked())
    with pytest.raises(UserError, match="a model file alone"):
        kf.export.verify(tmp_path / "model.onnx")


def test_a_lone_saved_model_is_written_once_and_held_against_a_model(tmp_path):
    model = deep()
    assert kf.export.saved_model(model, tmp_path / "saved").max_absolute_difference < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    with pytest.raises(UserError, match="exists already"):
        kf.export.saved_model(model, tmp_path / "saved")
    with pytest.raises(UserError, match="saved_model answers otherwise than the trained model"):
        kf.export.verify(tmp_path / "saved", keras.models.clone_model(model))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", "cannot be run: it ended by SIGSEGV"),
        ("import time; time.sleep(60)", "did not answer within 2 s"),
        ("raise ValueError('so it is')", "ValueError: so it is"),
    ],
)
def test_a_crash_or_a_hang_in_a_file_is_an_error_message(tmp_path, monkeypatch, body, reason):
    (tmp_path / "runner.py").write_text(body)
    monkeypatch.setattr(subprocess_session, "RUNNER", tmp_path / "runner.py")
    monkeypatch.setattr(subprocess_session, "TIME_LIMIT", 2)
    with pytest.raises(UserError, match=reason):
        subprocess_session.ask("it", "onnx", tmp_path / "model.onnx", [], traced_model.Signature([], []))


@pytest.mark.parametrize(
    ("shape", "dtype", "name"),
    [
        (["batch", 4], "float64", "x"),
        (["batch", 5], "float32", "x"),
        (["batch"], "float32", "x"),
        ([2, 4], "float32", "x"),
    ],
)
def test_a_file_whose_inputs_are_not_the_declared_ones_is_refused(tmp_path, shape, dtype, name):
    model = sequence()
    kf.export.onnx(model, tmp_path / "model.onnx")
    found = traced_model.signature(model)
    x = np.zeros((2, 4), "float32")
    declared = traced_model.Signature([Tensor(name, dtype, shape)], found.outputs)
    with pytest.raises(UserError, match="declared is"):
        subprocess_session.ask("it", "onnx", tmp_path / "model.onnx", [{"x": x}], declared)


def test_half_precision_is_held_to_its_own_bound():
    x = keras.Input((4,), name="x")
    half = keras.Model(x, layers.Dense(2, dtype="mixed_bfloat16")(x))
    assert default_tolerance(half) == 5e-2
    assert default_tolerance(sequence()) == 1e-5


def test_the_runner_needs_nothing_of_the_package(tmp_path):
    """It starts where the package cannot be found, as in a notebook that found it by `sys.path`."""
    model = sequence()
    kf.export.onnx(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "asked.npz", **{"0.x": np.ones((2, 4), "float32")})
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-P", subprocess_session.RUNNER, "onnx", tmp_path / "model.onnx", tmp_path / "asked.npz"]
    done = subprocess.run([*command, tmp_path / "answered.npz"], capture_output=True, text=True, env=environment)
    assert json.loads(done.stdout)["inputs"] == [["x", "float32", ["batch", 4]]]
