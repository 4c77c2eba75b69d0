"""The weights stay outside of the graph that TensorFlow and tf2onnx copy, and reach the ONNX file unchanged."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tf2onnx
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

from kerasfound.export.converter import convert
from kerasfound.export.converter.tf2onnx_graph import LARGE, freeze, large_variables

SIZE = 300
"""A square matrix of this size is above the limit."""
assert SIZE * SIZE * 4 > LARGE


@pytest.fixture(scope="module")
def traced():
    @keras.saving.register_keras_serializable("test_tf2onnx_graph")
    class Transposed(layers.Dense):
        def call(self, x):
            return ops.matmul(x, ops.transpose(self.kernel)) + self.bias

    model = keras.Sequential(
        [
            keras.Input((SIZE,), name="x"),
            layers.Dense(SIZE, bias_initializer="normal"),
            Transposed(SIZE, bias_initializer="normal"),
            layers.Dropout(0.5),
            layers.Dense(3, bias_initializer="normal"),
        ]
    )
    return convert.trace_for_onnx(model)


def test_the_frozen_graph_holds_small_weights_only(traced):
    function = traced.concrete_function
    outputs = [y.name for y in function.structured_outputs.values()]
    graph, _ = freeze(traced.model, function, [function.inputs[0].name], outputs)
    constants = sum(len(node.attr["value"].tensor.tensor_content) for node in graph.node)
    assert sorted(tuple(x.shape) for x in large_variables(function).values()) == [(SIZE, SIZE)] * 2
    assert SIZE * 3 * 4 <= constants < LARGE
    assert graph.ByteSize() < LARGE


def test_large_weights_are_initializers_with_their_values(traced, tmp_path):
    convert.save_onnx(traced, tmp_path / "model.onnx")
    initializers = [onnx.numpy_helper.to_array(x) for x in onnx.load(tmp_path / "model.onnx").graph.initializer]
    kernel, transposed = (traced.model.layers[i].get_weights()[0] for i in (0, 1))
    large = [x for x in initializers if x.shape == (SIZE, SIZE)]
    assert len(large) == 2
    assert any(np.array_equal(x, kernel) for x in large)
    assert any(np.array_equal(x, transposed.T) for x in large)
    x = np.random.default_rng(0).normal(size=(4, SIZE)).astype("float32")
    (y,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"x": x})
    np.testing.assert_allclose(y, traced.model(x), atol=1e-5)


def test_a_large_weight_in_a_loop_keeps_its_shape(tmp_path):
    class Cell(layers.Layer):
        state_size = output_size = SIZE

        def build(self, shape):
            self.kernel = self.add_weight(shape=(SIZE, SIZE))

        def call(self, x, states):
            y = ops.tanh(x + ops.matmul(states[0], ops.transpose(self.kernel)))
            return y, [y]

    model = keras.Sequential([keras.Input((None, SIZE), name="x"), layers.RNN(Cell())])
    convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(size=(2, 3, SIZE)).astype("float32")
    (y,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"x": x})
    np.testing.assert_allclose(y, model(x), atol=1e-5)


def test_an_optimizer_of_tf2onnx_that_raises_is_left_out_with_a_warning(monkeypatch, tmp_path):
    class Failing(tf2onnx.optimizer.TransposeOptimizer):
        def optimize(self, graph, iteration):
            graph.remove_node(graph.get_nodes()[-1].name)  # half of its work
            raise KeyError("half done")

    model = keras.Sequential([keras.Input((4, 4, 2), name="x"), layers.Conv2D(3, 2, name="conv"), layers.Flatten()])
    monkeypatch.setitem(tf2onnx.optimizer._get_optimizers(), "optimize_transpose", Failing)
    with pytest.warns(RuntimeWarning, match="optimizer optimize_transpose fails .*half done.* and is left out") as told:
        convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
    assert len([warning for warning in told if "optimizer" in str(warning.message)]) == 1
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    (y,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"x": x})
    np.testing.assert_allclose(y, model(x), atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_no_optimizer_of_tf2onnx_is_left_out_of_a_usual_model(traced, tmp_path):
    convert.save_onnx(traced, tmp_path / "model.onnx")
