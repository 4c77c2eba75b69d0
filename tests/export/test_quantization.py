"""8-bit weights: the scheme that fits the model, the comparison on the data of the run, and the errors."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.export import quantization
from kerasfound.export.converter import convert
from kerasfound.recipes import tabular_mlp
from kerasfound.serving import model_loader
from kerasfound.serving.limits import Limits


def save_onnx(model, path, opset=convert.OPSET, dynamic_shapes=None):
    """Trace a model and write a valid ONNX file."""
    convert.save_onnx(convert.trace_for_onnx(model, dynamic_shapes), path, opset)
    onnx.checker.check_model(path, full_check=True)


@pytest.fixture
def version(tmp_path, digits_run):
    """A folder with the float32 file."""
    save_onnx(digits_run.load_model(), tmp_path / "model.onnx")
    return tmp_path


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def test_convolutions_get_static_ranges_and_a_scale_for_each_filter(version, digits_run):
    record = quantization.quantize_and_evaluate(digits_run, version)
    assert (record.scheme, record.metric, record.max_drop) == ("static", "accuracy", 0.5)
    assert record.rows == digits_run.environment["data"]["rows"]["test"]
    assert record.score_before == pytest.approx(digits_run.results["test"]["accuracy"], abs=1e-6)
    assert record.score_after >= record.score_before - 0.005
    assert record.equal_decisions > 0.97
    assert record.bytes_after < record.bytes_before / 2
    assert record.milliseconds_before > 0 < record.milliseconds_after

    model = onnx.load(version / "model.int8.onnx")
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in model.graph.node}
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    filters = digits_run.load_model().get_layer("mnist_cnn").get_layer("filters_1").filters
    assert filters in {w.dims[0] for w in model.graph.initializer if w.name.endswith("scale") and w.dims}


def test_a_larger_drop_is_an_error_and_leaves_no_file(version, digits_run):
    before = sorted(version.iterdir())
    with pytest.raises(UserError, match=r"`quantize` int8: accuracy drops .* by more than -100 points"):
        quantization.quantize_and_evaluate(digits_run, version, max_drop=-100)
    assert sorted(version.iterdir()) == before


def test_the_score_is_that_of_the_quantized_file(version, digits_run, monkeypatch):
    """A file with random weights is an error at the default `max_drop`."""

    def broken(source, target, samples):
        model = onnx.load(source)
        for weight in model.graph.initializer:
            if weight.data_type == onnx.TensorProto.FLOAT:
                noise = np.random.default_rng(0).normal(size=list(weight.dims)).astype("float32")
                weight.CopyFrom(onnx.numpy_helper.from_array(noise, weight.name))
        onnx.save(model, target)
        return "static"

    monkeypatch.setattr(quantization, "quantize", broken)
    with pytest.raises(UserError, match=r"by more than 0\.5 points"):
        quantization.quantize_and_evaluate(digits_run, version)
    assert not (version / "model.int8.onnx").exists()


def sequential(*layers):
    return keras.Sequential(layers, name="model")


MODELS = {
    "dense": lambda: sequential(keras.Input((8,), name="x"), kf.layers.Dense(64, "relu"), kf.layers.Dense(3)),
    "recurrent": lambda: sequential(
        keras.Input((None,), dtype="int32", name="x"), kf.layers.Embedding(50, 64), kf.layers.LSTM(64)
    ),
    "transformer": lambda: sequential(
        keras.Input((None,), dtype="int32", name="x"),
        kf.layers.Embedding(50, 64),
        kf.layers.CausalTransformerBlock(256, 2),
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_other_models_are_quantized_dynamically(tmp_path, kind):
    source, target = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    model = MODELS[kind]()
    save_onnx(model, source)
    assert quantization.quantize(source, target, {}) == "dynamic"
    custom = {node.op_type for node in onnx.load(target).graph.node if node.domain}  # operators of ONNX Runtime
    assert custom == ({"DynamicQuantizeLSTM"} if kind == "recurrent" else set())
    assert target.stat().st_size < source.stat().st_size

    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 8)).astype("float32") if kind == "dense" else rng.integers(0, 50, (4, 9)).astype("int32")
    expected = np.asarray(model(x, training=False))
    (output,) = onnxruntime.InferenceSession(target).run(None, {"x": x})
    assert np.abs(output - expected).max() < 0.05 * np.abs(expected).max()


def test_a_stack_of_matrices_is_not_quantized(tmp_path):
    """ONNX Runtime cannot run products with stacked matrices and a scale for each column."""
    heads = keras.layers.EinsumDense("bkd,kdc->bkc", (4, 3))
    model = sequential(keras.Input((4, 8), name="x"), kf.layers.Dense(8), heads)
    save_onnx(model, tmp_path / "model.onnx")
    quantization.quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", {})
    x = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
    (output,) = onnxruntime.InferenceSession(tmp_path / "int8.onnx").run(None, {"x": x})
    np.testing.assert_allclose(output, model(x), atol=0.1)


def test_the_scheme_follows_the_operators(tmp_path):
    image = keras.Input((8, 8, 1), name="x")
    patches = keras.layers.Reshape((-1, 8))(keras.layers.Conv2D(8, 4, 4)(image))
    models = {
        "static": keras.Model(image, kf.layers.Dense(2)(keras.layers.Flatten()(patches))),
        "dynamic": keras.Model(image, kf.layers.TransformerEncoder(8, 2)(patches)),  # with attention
    }
    for expected, model in models.items():
        save_onnx(model, tmp_path / "model.onnx")
        assert quantization.choose_scheme(onnx.load(tmp_path / "model.onnx")) == expected


def test_a_model_without_weights_is_an_error(tmp_path):
    save_onnx(sequential(keras.Input((8,), name="x"), keras.layers.Softmax()), tmp_path / "model.onnx")
    with pytest.raises(UserError, match="no weights to quantize"):
        quantization.quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", {})
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_the_float32_file_does_not_change(version, digits_run, tmp_path_factory):
    """The quantized file is the only new file in the folder."""
    folder = shutil.copytree(version, tmp_path_factory.mktemp("copy") / "1")
    before = (folder / "model.onnx").read_bytes()
    quantization.quantize_and_evaluate(digits_run, folder)
    assert (folder / "model.onnx").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["model.int8.onnx", "model.onnx"]


@pytest.mark.slow
def test_a_bundle_records_the_scores_of_its_quantized_file(tmp_path, digits_run):
    folder = kf.export.bundle(digits_run, tmp_path, quantize="int8")
    record = kf.bundle.manifest.read(folder / "manifest.json").quantization
    assert record.bytes_after == (folder / "model.int8.onnx").stat().st_size
    assert f"| `model.int8.onnx` | {record.score_after:.4f} |" in (folder / "README.md").read_text()
    assert {verification.format for verification in kf.export.verify(folder)} == {"saved_model", "onnx"}
    quantized, exact = (open_model(folder, precision) for precision in ("int8", "float32"))
    images = {"image": digits_run.samples["x"].astype("float32")}
    outputs, exact_outputs = quantized(images)["probabilities"], exact(images)["probabilities"]
    assert np.abs(outputs - exact_outputs).max() > 0
    assert (outputs.argmax(-1) == exact_outputs.argmax(-1)).mean() > 0.9


def open_model(folder, precision):
    """The ONNX file of this precision, as the server loads it."""
    return model_loader.load_model(folder, Limits(), ThreadPoolExecutor(1), precision)._run


@pytest.mark.slow
def test_a_table_is_evaluated_from_its_cells(tmp_path):
    run = kf.training.execute(tabular_mlp, tabular_mlp.Config(data="wine", epochs=3, out=str(tmp_path / "run")))
    folder = kf.export.bundle(run, tmp_path / "models", quantize="int8")
    record = kf.bundle.manifest.read(folder / "manifest.json").quantization
    assert record.score_before == pytest.approx(run.results["test"]["accuracy"], abs=1e-6)


def test_a_model_without_a_run_cannot_be_quantized(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(UserError, match=r"`quantize` int8: .* give a run folder"):
        kf.export.bundle(model, tmp_path, quantize="int8")
    assert not list(tmp_path.iterdir())
