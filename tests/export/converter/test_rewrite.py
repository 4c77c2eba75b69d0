"""A fused graph has the operators that its layers are named for, and answers as it did before."""

from unittest import mock

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import ops

import kerasfound as kf
from kerasfound.export.converter import convert
from kerasfound.export.converter.rewrite import pipeline
from kerasfound.layers.attention import attention_weights

RMS = ["Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]


def converted(model, path):
    with mock.patch.object(pipeline, "fuse", lambda proto: proto):
        convert.save_onnx(convert.trace_for_onnx(model), path)
    return onnx.load(path)


def ask(proto, x):
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {proto.graph.input[0].name: x})[0]


def fused_alike(model, path, *inputs, opset=None):
    """The fused model, after its answers were compared with Keras's and those of the graph before."""
    before = converted(model, path)
    if opset:
        before = onnx.version_converter.convert_version(before, opset)
        before.ir_version = 10
    after = pipeline.fuse(before)
    onnx.checker.check_model(after, full_check=True)
    for x in inputs:
        np.testing.assert_allclose(ask(after, x), model(x, training=False), atol=1e-5)
        np.testing.assert_allclose(ask(after, x), ask(before, x), atol=1e-5)
    return after


def operators(proto):
    return [node.op_type for node in proto.graph.node]


def of_layer(layer, shape=(None, 8), dtype="float32"):
    x = keras.Input(shape, name="x", dtype=dtype)
    return keras.Model(x, layer(x), name="model")


def random_inputs(*shape):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(batch, *shape)).astype("float32") for batch in (1, 3)]


def shifted(layer):
    """Weights as training leaves them: not zeros and ones."""
    layer.build((None, None, 8))
    layer.set_weights([w + 0.1 * np.arange(w.size, dtype=w.dtype).reshape(w.shape) for w in layer.get_weights()])
    return layer


CASES = [
    (lambda: shifted(keras.layers.LayerNormalization()), None, ["LayerNormalization"]),
    (lambda: shifted(kf.layers.LayerNormalization()), None, ["LayerNormalization"]),
    (lambda: shifted(keras.layers.RMSNormalization()), None, RMS),
    (lambda: shifted(kf.layers.RMSNormalization()), None, RMS),
    (lambda: shifted(kf.layers.RMSNormalization()), 23, ["RMSNormalization"]),
    (lambda: keras.layers.Activation("gelu"), None, ["Div", "Erf", "Add", "Mul", "Mul"]),
    (lambda: keras.layers.Activation("gelu"), 20, ["Gelu"]),
    (lambda: keras.layers.Activation(kf.activations.gelu), 20, ["Gelu"]),
    (lambda: shifted(kf.layers.Dense(3)), None, ["MatMul", "Add"]),
    (lambda: keras.layers.Rescaling(2.0), None, ["Mul"]),
]


@pytest.mark.parametrize(("layer", "opset", "expected"), CASES)
def test_a_layer_is_its_operator(tmp_path, layer, opset, expected):
    model = of_layer(layer())
    fused = fused_alike(model, tmp_path / "model.onnx", *random_inputs(5, 8), opset=opset)
    assert operators(fused) == expected
    assert [opset.version for opset in fused.opset_import if opset.domain == ""] == [opset or convert.OPSET]


def test_onnx_runtime_knows_the_spelling_of_rms_normalization(tmp_path):
    """What the six operations are spelled for."""
    fused = fused_alike(of_layer(kf.layers.RMSNormalization()), tmp_path / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(fused.SerializeToString(), options)
    assert operators(onnx.load(tmp_path / "loaded.onnx")) == ["SimplifiedLayerNormalization"]


def test_an_embedding_is_one_look_up(tmp_path):
    model = of_layer(kf.layers.Embedding(10, 4), (None,), "int32")
    fused = fused_alike(model, tmp_path / "model.onnx", np.array([[0, 9, 3]], "int32"))
    assert operators(fused) == ["Gather"]


def test_a_choice_between_infinities_is_no_product(tmp_path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Activation(lambda x: ops.where(x > 0, ops.exp(x), x), name="y")(x))
    fused = fused_alike(model, tmp_path / "model.onnx")
    assert "Where" in operators(fused)
    x = np.array([[-1.0, 1.0, 1000.0, -1000.0]], "float32")  # exp overflows
    np.testing.assert_array_equal(ask(fused, x), model(x))


def test_a_mask_that_many_scores_share_is_added_to_them(tmp_path):
    def hidden(low):  # keys, and all of them where the first is
        return keras.layers.Activation(lambda x: ops.softmax(ops.where(x[:, :, :1] > x[:, :1, :1, :1], x, low)))

    x = np.random.default_rng(0).normal(0, 100, (2, 4, 3, 3)).astype("float32")
    fused = fused_alike(of_layer(hidden(-1e38), (4, 3, 3)), tmp_path / "model.onnx", x)
    assert operators(fused)[-3:] == ["Where", "Add", "Softmax"]
    fused = fused_alike(of_layer(hidden(-1e9), (4, 3, 3)), tmp_path / "model.onnx", x)
    assert operators(fused)[-2:] == ["Where", "Softmax"]  # a sum with it would not be it


def test_what_looks_alike_and_is_not_stays(tmp_path):
    def over_time(x):
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=1, keepdims=True) + 1e-6)

    fused = fused_alike(of_layer(keras.layers.Activation(over_time)), tmp_path / "model.onnx", *random_inputs(5, 8))
    assert "Pow" not in operators(fused)


def test_two_outputs_of_one_value_stay_two(tmp_path):
    x, dense = keras.Input((None, 4), name="x"), keras.layers.Dense(2)
    last, state = keras.layers.GRU(3, return_state=True)(x)
    model = keras.Model(x, {"last": last, "state": state, "one": dense(last), "other": dense(last)})
    fused = pipeline.fuse(converted(model, tmp_path / "model.onnx"))
    assert [y.name for y in fused.graph.output] == ["last", "state", "one", "other"]
    session = onnxruntime.InferenceSession(fused.SerializeToString())
    inputs, _ = random_inputs(5, 4)
    found = dict(zip([y.name for y in session.get_outputs()], session.run(None, {"x": inputs}), strict=True))
    for name, y in model(inputs, training=False).items():
        np.testing.assert_allclose(found[name], y, atol=1e-5)


def test_a_branch_may_hand_on_a_value_from_around_it(tmp_path):
    layer = keras.layers.Resizing(7, 9, pad_to_aspect_ratio=True)
    fused = fused_alike(of_layer(layer, (8, 10, 3)), tmp_path / "model.onnx", *random_inputs(8, 10, 3))
    assert "If" in operators(fused)


def test_an_error_in_a_rule_is_told_as_one_of_the_model(tmp_path):
    with (
        mock.patch.object(pipeline, "fuse", side_effect=RuntimeError("no such value")),
        pytest.raises(kf.errors.UserError, match=r"no ONNX form.*no such value"),
    ):
        convert.save_onnx(convert.trace_for_onnx(of_layer(keras.layers.Dense(2))), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_product_over_two_axes_takes_its_weights_in_another_shape(tmp_path):
    layer = keras.layers.EinsumDense("abc,bcd->ad", output_shape=3)
    fused_alike(of_layer(layer, (8, 4)), tmp_path / "model.onnx", *random_inputs(8, 4))


@pytest.mark.parametrize(("factor", "inside"), [(2.0, True), (-2.0, False)])
def test_a_scale_moves_into_the_filters_before_the_pooling_if_it_is_positive(tmp_path, factor, inside):
    x = keras.Input((8, 8, 1), name="x")
    y = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(4, 3, use_bias=False)(x))
    normalization = keras.layers.BatchNormalization(name="y")
    model = keras.Model(x, normalization(y))
    weights = [np.full(4, factor), np.arange(4), np.arange(4), np.arange(1, 5)]
    normalization.set_weights([w.astype("float32") for w in weights])
    fused = fused_alike(model, tmp_path / "model.onnx", *random_inputs(8, 8, 1))
    assert ("Mul" not in operators(fused)) is inside


@pytest.fixture(scope="module")
def transformer():
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = kf.layers.Embedding(11, 16, name="embedding")(ids)
    for i in (1, 2):
        block = kf.layers.CausalTransformerBlock(32, 2, name=f"block_{i}")
        x = block(x)
        block.set_weights([w + 0.05 * np.random.default_rng(i).normal(size=w.shape) for w in block.get_weights()])
    return keras.Model(ids, kf.layers.Dense(11, use_bias=False, name="logits")(x), name="small")


def test_a_transformer_is_a_third_of_what_it_was(tmp_path, transformer):
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 11, shape).astype("int32") for shape in ((1, 1), (1, 9), (4, 3))]
    before = converted(transformer, tmp_path / "model.onnx")
    fused = fused_alike(transformer, tmp_path / "model.onnx", *inputs)
    ops = operators(fused)
    assert len(ops) < len(before.graph.node) / 1.7
    assert ops.count("Softmax") == 2
    assert (
        ops.count("Sin") == ops.count("Cos") == ops.count("LessOrEqual") == ops.count("Where") == 1
    )  # for both blocks
    assert "Concat" not in {node.op_type for node in fused.graph.node if "rotary" not in node.name}  # of sizes


def test_attention_and_rotary_positions_are_operators_since_opset_23(tmp_path, transformer):
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 11, shape).astype("int32") for shape in ((1, 1), (1, 9), (4, 3), (32, 64))]
    fused = fused_alike(transformer, tmp_path / "model.onnx", *inputs, opset=23)
    ops = operators(fused)
    assert (ops.count("Attention"), ops.count("RotaryEmbedding")) == (2, 4)
    assert not {"Softmax", "Transpose", "Split"} & set(ops)
    assert ops.count("Sin") == ops.count("Cos") == ops.count("Where") == 1  # for both blocks
    assert len(ops) < 65


class Padded(keras.layers.Layer):
    """Attention of two heads to the places that are not zero."""

    def call(self, x):
        heads = ops.swapaxes(ops.reshape(x, (-1, 5, 2, 4)), 1, 2)
        there = ops.any(x != 0, axis=-1)[:, None, None]
        return ops.swapaxes(attention_weights(heads, heads, there) @ heads, 1, 2)


def test_a_mask_that_is_another_for_each_text_stays_as_it_is(tmp_path):
    """ONNX Runtime takes no mask that is the same for all places of a text."""
    inputs = random_inputs(5, 8)
    for array in inputs:
        array[0, 3:] = 0
    fused = fused_alike(of_layer(Padded(), (5, 8)), tmp_path / "model.onnx", *inputs, opset=23)
    assert (operators(fused).count("Attention"), operators(fused).count("Softmax")) == (0, 1)


class OneKey(keras.layers.Layer):
    """Causal attention of two heads to the keys and values of one."""

    def call(self, x):
        heads = ops.swapaxes(ops.reshape(x, (-1, 5, 2, 4)), 1, 2)
        one = ops.swapaxes(ops.reshape(x[..., :4], (-1, 5, 1, 4)), 1, 2)
        causal = ops.arange(5) <= ops.arange(5)[:, None]
        return ops.swapaxes(attention_weights(heads, one, causal) @ one, 1, 2)


def test_heads_that_share_their_keys_stay_as_they_are(tmp_path):
    fused = fused_alike(of_layer(OneKey(), (5, 8)), tmp_path / "model.onnx", *random_inputs(5, 8), opset=23)
    assert (operators(fused).count("Attention"), operators(fused).count("Softmax")) == (0, 1)


def test_names_are_those_of_the_layers(tmp_path, transformer):
    fused = pipeline.fuse(converted(transformer, tmp_path / "model.onnx"))
    names = [node.name for node in fused.graph.node]
    assert len(set(names)) == len(names)
    assert {name.split("/")[0] for name in names} == {"embedding", "block_1", "block_2", "logits"}
    assert {"block_1/widen", "block_2/attention/query"} <= {w.name for w in fused.graph.initializer}
    assert [(x.name, [d.dim_param for d in x.type.tensor_type.shape.dim]) for x in fused.graph.input] == [
        ("ids", ["batch", "time"])
    ]
    assert [y.name for y in fused.graph.output] == ["logits"]


def test_a_transformer_of_the_papers_has_its_norms_and_gelus(tmp_path):
    block = kf.layers.TransformerEncoder(16, 2, activation="gelu", normalize_first=True)
    fused = fused_alike(of_layer(block), tmp_path / "model.onnx", *random_inputs(5, 8), opset=20)
    ops = operators(fused)
    assert (ops.count("LayerNormalization"), ops.count("Gelu"), ops.count("Softmax")) == (2, 1, 1)
    assert ops.count("MatMul") == 8
    assert not {"Shape", "Gemm", "Squeeze"} & set(ops)


def test_the_format_of_the_file_stays(tmp_path):
    before = converted(of_layer(kf.layers.Dense(3)), tmp_path / "model.onnx")
    after = pipeline.fuse(before)
    assert after.ir_version == before.ir_version
    assert {opset.domain for opset in after.opset_import} <= {opset.domain for opset in before.opset_import}
