"""A model is exported with the same outputs, or the error names the layer and nothing is written."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

import tensorflow as tf

from kerasfound import export
from kerasfound.bundle.manifest import Tensor
from kerasfound.errors import UserError
from kerasfound.export import saved_model_writer
from kerasfound.export.converter import convert
from kerasfound.export.tracing import traced_model

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def around(block, shape, dtype="float32", policy="float32"):
    """A functional model of one input. Its weights are changed, because a bias of 0 would hide a lost bias."""
    keras.config.set_dtype_policy(policy)
    try:
        x = keras.Input(shape, dtype=dtype, name="x")
        model = keras.Model(x, block()(x) if isinstance(block, type) else block(x))
    finally:
        keras.config.set_dtype_policy("float32")
    weights = [
        w + RNG.uniform(0.1, 0.3, w.shape).astype(w.dtype) if w.dtype.kind == "f" else w for w in model.get_weights()
    ]
    model.set_weights(weights)
    return model


def save_saved_model(model, path):
    saved_model_writer.write_saved_model(traced_model.trace_model(model), path)


def save_onnx(model, path, opset=convert.OPSET, dynamic_shapes=None):
    """Trace a model and write a valid ONNX file."""
    convert.save_onnx(convert.trace_for_onnx(model, dynamic_shapes), path, opset)
    onnx.checker.check_model(path, full_check=True)


def export_both(model, tmp_path, dynamic_shapes=None):
    """Format name to the exported file as a function of arrays, in the order of the signature."""
    signature = traced_model.signature(model, dynamic_shapes)
    inputs, outputs = [x.name for x in signature.inputs], [y.name for y in signature.outputs]
    saved_model_writer.write_saved_model(traced_model.trace_model(model, dynamic_shapes), tmp_path / "saved_model")
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    save_onnx(model, tmp_path / "model.onnx", dynamic_shapes=dynamic_shapes)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])

    def run_saved_model(*arrays):
        named = loaded.signatures["serving_default"](**dict(zip(inputs, map(tf.constant, arrays), strict=True)))
        return [named[name].numpy() for name in outputs]

    def run_onnx(*arrays):
        return session.run(outputs, dict(zip(inputs, arrays, strict=True)))

    assert [(x.name, x.shape) for x in session.get_inputs()] == [(x.name, x.shape) for x in signature.inputs]
    assert [(y.name, y.shape) for y in session.get_outputs()] == [(y.name, y.shape) for y in signature.outputs]
    return {"SavedModel": run_saved_model, "ONNX": run_onnx}


def check_equal(outputs, expected, tolerance=1e-5):
    for y, y_expected in zip(outputs, expected, strict=True):
        y_expected = np.asarray(y_expected)
        assert y.shape == y_expected.shape
        if y_expected.dtype == object:
            assert [s if isinstance(s, bytes) else s.encode() for s in y.ravel()] == y_expected.ravel().tolist()
        else:
            assert np.allclose(y.astype("float64"), y_expected.astype("float64"), rtol=tolerance, atol=tolerance)


def normalization(x):
    layer = layers.Normalization()
    layer.adapt(np.arange(40.0).reshape(10, 4))
    return layer(x)


def tied(x):
    embedding = layers.ReversibleEmbedding(10, 4)
    return embedding(embedding(x), reverse=True)


def minus_zeros(*shape):
    x = floats(*shape)
    x[:, :2] = -0.0, 0.0
    return -np.abs(x)


def with_nan(*shape):
    x = floats(*shape)
    x[0, 0] = np.nan
    return x


WORDS = np.array([["a", "z"], ["b", "a"], ["", "b"]], dtype=object)
IDS = RNG.integers(0, 10, (3, 6)).astype("int32")
BLOCKS = {
    "augmentation is left out": (lambda x: layers.RandomFlip()(layers.RandomContrast(0.9)(x)), floats(3, 8, 8, 3)),
    "noise is left out": (lambda x: layers.GaussianNoise(1.0)(layers.Dropout(0.5)(x)), floats(3, 4)),
    "words to ids": (lambda x: layers.StringLookup(vocabulary=["a", "b"])(x), WORDS),
    "words to ids with a mask token": (lambda x: layers.StringLookup(vocabulary=["a", "b"], mask_token="")(x), WORDS),
    "words to a vector": (lambda x: layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(x), WORDS),
    "ids to words": (lambda x: layers.StringLookup(vocabulary=list("abc"), invert=True)(x), IDS % 3),
    "integers to ids": (lambda x: layers.IntegerLookup(vocabulary=[1, 3, 5])(x), IDS),
    "captured statistics": (normalization, floats(3, 4)),
    "tied embeddings": (tied, IDS),
    "exact GELU": (lambda x: layers.Dense(3, activation="gelu")(x), floats(3, 4)),
    "expm1 and log1p": (lambda x: ops.expm1(x) + ops.log1p(ops.abs(x)) + ops.erf(x), floats(3, 4)),
    "boundaries": (lambda x: layers.Discretization(bin_boundaries=[-1.0, 0.0, 1.0])(x), with_nan(3, 4)),
    "a layer for each step": (lambda x: layers.TimeDistributed(layers.Dense(3))(x), floats(3, 5, 4)),
    "a layer for each masked step": (
        lambda x: layers.TimeDistributed(layers.Dense(3))(layers.Masking()(x)),
        floats(3, 5, 4),
    ),
    "grouped convolution": (lambda x: layers.Conv2D(8, 3, groups=4)(x), floats(3, 6, 6, 4)),
    "grouped convolution of volumes": (lambda x: layers.Conv3D(4, 2, groups=2)(x), floats(3, 4, 4, 4, 2)),
    "counts": (lambda x: layers.CategoryEncoding(10, output_mode="count")(x), IDS),
    "output padding": (
        lambda x: layers.Conv2DTranspose(2, 3, strides=2, output_padding=1)(x),
        floats(3, 4, 4, 2),
    ),
    "any size of image": (lambda x: layers.Resizing(5, 7)(x), floats(3, 8, 9, 3)),
    "resizing, nearest": (lambda x: layers.Resizing(5, 11, interpolation="nearest")(x), floats(3, 8, 9, 3)),
    "any size of image, by area": (lambda x: layers.Resizing(5, 7, interpolation="area")(x), floats(3, 8, 9, 3)),
    "resizing, bicubic": (lambda x: layers.Resizing(5, 11, interpolation="bicubic")(x), floats(3, 8, 9, 3)),
    "resizing, area": (lambda x: layers.Resizing(5, 11, interpolation="area")(x), floats(3, 8, 9, 3)),
    "resizing, lanczos": (lambda x: layers.Resizing(5, 11, interpolation="lanczos5")(x), floats(3, 8, 9, 3)),
    "resizing, antialiased": (lambda x: layers.Resizing(3, 4, antialias=True)(x), floats(3, 8, 9, 3)),
    "spectrum": (lambda x: layers.MelSpectrogram(64, 16, num_mel_bins=8)(x), floats(3, 200)),
    "slice update": (lambda x: ops.slice_update(x, (0, 3), x[:, :2]), floats(3, 4)),
    "argmax with zeros of both signs": (lambda x: ops.argmax(x, axis=-1), minus_zeros(3, 4)),
    "bits": (lambda x: ops.bitwise_and(x, x // 2), IDS),
    "recurrent, masked": (lambda x: layers.LSTM(3)(layers.Embedding(10, 4, mask_zero=True)(x)), IDS),
    "a lambda": (lambda x: layers.Lambda(lambda t: 2 * t)(x), floats(3, 4)),
    "the input itself": (lambda x: x, floats(3, 4)),
}
"""Blocks that Keras's own export gets wrong, with an input that shows it."""
DYNAMIC = {
    "any size of image": (None, None, 3),
    "any size of image, by area": (None, None, 3),
    "resizing, nearest": (None, None, 3),
    "a layer for each step": (None, 4),
    "a layer for each masked step": (None, 4),
    "recurrent, masked": (None,),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_both_formats_compute_the_same_as_the_model(name, tmp_path):
    block, x = BLOCKS[name]
    model = around(block, DYNAMIC.get(name, x.shape[1:]), "string" if x.dtype == object else x.dtype)
    files = export_both(model, tmp_path)
    for rows in (x, x[:1]):
        expected = keras.tree.flatten(model(tf.constant(rows), training=False))
        for run in files.values():
            check_equal(run(rows), expected)


@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        "float64",
        *(pytest.param(p, marks=pytest.mark.slow) for p in ("mixed_bfloat16", "float16", "bfloat16")),
    ],
)
def test_every_precision_is_exported_in_float32(policy, tmp_path):
    def block(x):
        x = layers.TimeDistributed(layers.Dense(4, activation="gelu"))(layers.LayerNormalization()(x))
        return layers.MultiHeadAttention(2, 3)(layers.GRU(4, return_sequences=True, **FOR_BFLOAT16)(x), x)

    model, x = around(block, (None, 4), policy=policy), floats(2, 5, 4)
    files = export_both(model, tmp_path)
    assert {y.dtype for y in traced_model.signature(model).outputs} == {"float32"}
    expected = keras.tree.flatten(traced_model.exported_function(model)(tf.constant(x)))
    for run in files.values():
        check_equal(run(x), expected)
    check_equal([np.asarray(y) for y in expected], [np.asarray(model(x, training=False)).astype("float32")], 0.1)
    assert {layer.dtype_policy.name for layer in model.layers[1:]} == {policy}


FOR_BFLOAT16 = {"recurrent_initializer": "glorot_uniform"}
"""Keras cannot draw its orthogonal default in bfloat16."""

UNSUPPORTED = {
    "hashing": (lambda x: layers.Hashing(5, name="mine")(x), "string", (2,), "StringToHashBucketFast"),
    "many unknown words": (
        lambda x: layers.StringLookup(vocabulary=["a"], num_oov_indices=2, name="mine")(x),
        "string",
        (2,),
        "StringToHashBucketFast",
    ),
    "a large inverse": (lambda x: keras.Sequential([Inverse(name="mine")])(x), "float32", (40, 40), "40 rows"),
}


class Inverse(keras.layers.Layer):
    def call(self, x):
        return ops.linalg.inv(x)


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_a_layer_that_only_a_saved_model_supports_is_an_error_for_onnx(case, tmp_path):
    block, dtype, shape, why = UNSUPPORTED[case]
    model = around(block, shape, dtype)
    with pytest.raises(UserError, match=f'layer "mine".*{why}'):
        save_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    assert export.explain(model).supported_formats == ["SavedModel"]
    save_saved_model(model, tmp_path / "saved_model")
    assert (tmp_path / "saved_model" / "saved_model.pb").is_file()


def test_a_layer_that_keeps_a_state_is_an_error(tmp_path):
    model = keras.Sequential([keras.Input(batch_shape=(2, 3, 4)), layers.LSTM(3, stateful=True, name="memory")])
    for save in (save_onnx, save_saved_model):
        with pytest.raises(UserError, match=r'layer "memory" .LSTM.: it keeps a state .* stateful=False'):
            save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_float8_layer_is_an_error(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="small")])
    model.quantize("float8")
    with pytest.raises(UserError, match=r'layer "small" .Dense.: it computes in float8'):
        save_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class FunctionModel(keras.Model):
    """A subclassed model that calls a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def raising(*_, **__):
    raise RuntimeError("my own mistake\nin two lines")


@pytest.mark.parametrize("write", [save_onnx, save_saved_model])
@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: {"y": x, "text": "yes"}, 'layer "function_model".*it returns a str'),
        (lambda x: None, 'layer "function_model".*it returns no tensor'),
        (lambda x: tf.sparse.from_dense(x), 'layer "function_model".*it returns a SparseTensor'),
        (lambda x: x + np.asarray(x).mean(), 'layer "function_model".*cannot be traced'),
    ],
)
def test_a_model_that_is_no_graph_of_tensors_is_an_error(write, function, why, tmp_path):
    keras.backend.clear_session()
    model = FunctionModel(function)
    model(floats(2, 3))
    with pytest.raises(UserError, match=why):
        write(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())
    assert export.explain(model).supported_formats == []


def test_the_layer_that_raises_is_named_and_the_model_is_restored(tmp_path):
    x = keras.Input((4,))
    gru = layers.GRU(3, name="memory", dtype="mixed_bfloat16")
    model = keras.Model(x, gru(layers.Reshape((2, 2))(x)))
    inner = model.get_layer("memory").cell
    inner.call = raising.__get__(inner)
    original_call = keras.layers.TimeDistributed.call
    with pytest.raises(UserError, match=r'layer "gru_cell" .*my own mistake'):
        save_onnx(model, tmp_path / "model.onnx")
    assert (gru.dtype_policy.name, gru.use_cudnn) == ("mixed_bfloat16", "auto")
    assert keras.layers.TimeDistributed.call is original_call
    assert keras.config.is_traceback_filtering_enabled()


def test_a_kernel_that_only_a_gpu_has_is_not_traced():
    model = keras.Sequential(
        [keras.Input((None, 4)), layers.Bidirectional(layers.LSTM(3)), layers.Reshape((2, 3)), layers.GRU(2)]
    )
    recurrent = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    with traced_model.inference_in(model, "float32"):
        assert [layer.use_cudnn for layer in recurrent] == [False] * 3
    assert [layer.use_cudnn for layer in recurrent] == ["auto"] * 3


@pytest.mark.parametrize("write", [save_onnx, save_saved_model])
@pytest.mark.parametrize(
    "model", [FunctionModel(lambda x: x), keras.Sequential([layers.Dense(2)]), layers.Dense(2), "model"]
)
def test_a_model_that_is_not_built_is_an_error(write, model, tmp_path):
    with pytest.raises(UserError, match=r"is not built; call it|is not a Keras model"):
        write(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_names_and_their_order_are_those_of_the_model(tmp_path):
    text, age = keras.Input((None,), dtype="int32", name="text"), keras.Input((1,), name="age in years")
    h = layers.Concatenate()([layers.LSTM(3)(layers.Embedding(9, 2)(text)), age])
    outputs = {"price": layers.Dense(1)(h), "kind": layers.Dense(3)(h)}
    model = keras.Model([text, age], outputs)
    signature = traced_model.signature(model)
    assert signature.inputs == [
        Tensor("text", "int32", ["batch", "time"]),
        Tensor("age_in_years", "float32", ["batch", 1]),
    ]
    assert signature.outputs == [Tensor("price", "float32", ["batch", 1]), Tensor("kind", "float32", ["batch", 3])]
    x = IDS[:2, :4], floats(2, 1)
    for run in export_both(model, tmp_path).values():
        check_equal(run(*x), model(list(x)).values())


def test_dicts_keep_their_order(tmp_path):
    b, a = keras.Input((2,), name="b"), keras.Input((3,), name="a")
    model = keras.Model({"b": b, "a": a}, {"z": layers.Dense(2)(a), "y": layers.Dense(2)(b)})
    assert [x.name for x in traced_model.signature(model).inputs] == ["b", "a"]
    assert [y.name for y in traced_model.signature(model).outputs] == ["z", "y"]
    x = {"b": floats(2, 2), "a": floats(2, 3)}
    for run in export_both(model, tmp_path).values():
        check_equal(run(*x.values()), [model(x)["z"], model(x)["y"]])


def test_the_signature_names_inputs_outputs_and_dynamic_dimensions():
    model = keras.Sequential([keras.Input((None, 3), name="steps"), layers.LSTM(2, name="memory")])
    signature = traced_model.signature(model)
    assert signature.inputs == [Tensor("steps", "float32", ["batch", "time", 3])]
    assert signature.outputs == [Tensor("memory", "float32", ["batch", 2])]


def test_inputs_and_outputs_without_a_name_get_one(tmp_path):
    x, y = keras.Input((None, 3)), keras.Input((2, 3))
    outputs, *state = layers.LSTM(3, return_state=True, return_sequences=True, name="memory")(x)
    model = keras.Model([x, y], [outputs, *state, y])
    signature = traced_model.signature(model)
    assert [x.name for x in signature.inputs] == ["input_0", "input_1"]
    assert [y.name for y in signature.outputs[:3]] == ["memory", "memory_1", "memory_2"]
    assert signature.outputs[0].shape == ["batch", "time", 3]
    arrays = floats(2, 4, 3), floats(2, 2, 3)
    for run in export_both(model, tmp_path).values():
        check_equal(run(*arrays), model(list(arrays)))


def test_two_lengths_are_two_dimensions(tmp_path):
    source, target = keras.Input((None, 4), name="source"), keras.Input((None, 4), name="target")
    _, h, c = layers.LSTM(6, return_state=True)(source)
    decoded = layers.LSTM(6, return_sequences=True, name="decoded")(target, initial_state=[h, c])
    model = keras.Model([source, target], decoded)
    signature = traced_model.signature(model)
    assert [x.shape for x in signature.inputs] == [["batch", "time", 4], ["batch", "target_time", 4]]
    assert [y.shape for y in signature.outputs] == [["batch", "target_time", 6]]
    x = floats(2, 9, 4), floats(2, 10, 4)
    for run in export_both(model, tmp_path).values():
        check_equal(run(*x), [model(list(x))])


def test_two_lengths_that_must_be_equal():
    x, y = keras.Input((None, 4), name="x"), keras.Input((None, 4), name="y")
    signature = traced_model.signature(keras.Model([x, y], layers.Add(name="sum")([x, y])))
    assert [y.shape for y in signature.outputs] == [["batch", "time", 4]]


class TwoArguments(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(3)

    def build(self, left_shape, right_shape):
        self.hidden.build(left_shape)

    def call(self, left, right, training=True):
        return self.hidden(left) + right + (1000.0 if training else 0.0)


def test_a_subclassed_model_with_two_arguments(tmp_path):
    model = TwoArguments()
    arrays = floats(2, 4), floats(2, 3)
    expected = model(*arrays, training=False)
    assert [x.name for x in traced_model.signature(model).inputs] == ["left", "right"]
    for run in export_both(model, tmp_path).values():
        check_equal(run(*arrays), [expected])


def test_a_name_makes_a_dimension_of_a_subclassed_model_dynamic(tmp_path):
    model = FunctionModel(lambda x: ops.cumsum(x, axis=1))
    model(floats(2, 5, 3))
    sizes = {"input_0": ["rows", "steps", 3]}
    assert traced_model.signature(model, sizes).outputs == [Tensor("output_0", "float32", ["rows", "steps", 3])]
    x = floats(4, 7, 3)
    for run in export_both(model, tmp_path, sizes).values():
        check_equal(run(x), [model(x)])


def test_an_output_size_that_differs_from_every_input_has_its_own_name():
    model = keras.Sequential([keras.Input((None, 3)), layers.Conv1D(2, 3, name="narrower")])
    assert traced_model.signature(model).outputs == [Tensor("narrower", "float32", ["batch", "narrower_1", 2])]


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"y": ["batch", 4]}, 'no input is named "y"'),
        ({"x": ["batch"]}, '"x" has the shape'),
        ({"x": ["batch", "free"]}, '"x" has the shape'),
        ({"x": [2, 4]}, '"x" has the shape'),
    ],
)
def test_dynamic_shapes_that_do_not_fit_are_an_error(sizes, why, tmp_path):
    with pytest.raises(UserError, match=why):
        save_onnx(around(layers.Dense(2), (4,)), tmp_path / "model.onnx", dynamic_shapes=sizes)
    assert not list(tmp_path.iterdir())


def test_random_numbers_are_drawn_at_each_call(tmp_path):
    class Sampling(layers.Layer):
        def __init__(self):
            super().__init__()
            self.generator = keras.random.SeedGenerator(0)

        def call(self, x):
            return x + keras.random.normal(ops.shape(x), seed=self.generator)

    for run in export_both(around(Sampling(), (5000,)), tmp_path).values():
        (first,), (second,) = run(np.zeros((2, 5000), "float32")), run(np.zeros((2, 5000), "float32"))
        assert abs(first.mean()) < 0.05
        assert abs(first.std() - 1) < 0.05
        assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("opset", [18, 21])
def test_the_opset_is_the_requested_one(opset, tmp_path):
    model, x = around(layers.Dense(2, activation="gelu"), (4,)), floats(3, 4)
    save_onnx(model, tmp_path / "model.onnx", opset=opset)
    assert [o.version for o in onnx.load(tmp_path / "model.onnx").opset_import if o.domain == ""] == [opset]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    check_equal(session.run(None, {"x": x}), [model(x)])


@pytest.mark.parametrize("opset", [17, 999])
def test_an_unknown_opset_is_an_error(opset, tmp_path):
    with pytest.raises(UserError, match=f"`opset` {opset}: .* choose one of these"):
        save_onnx(around(layers.Dense(2), (4,)), tmp_path / "model.onnx", opset=opset)
    assert not list(tmp_path.iterdir())


def test_a_file_too_large_for_the_format_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="bytes, where a file holds 100"):
        save_onnx(around(layers.Dense(2), (4,)), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("write", "why"), [(save_onnx, "cannot be written"), (save_saved_model, "exists already")])
def test_a_place_that_cannot_be_written_is_an_error(write, why, tmp_path):
    model = around(layers.Dense(2), (4,))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot be written"):
        write(model, tmp_path / "file" / "model")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(UserError, match=why):
        write(model, tmp_path / "full")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "mine"]
