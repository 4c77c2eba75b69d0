"""A thread that exports sees replaced attributes of Keras; every other thread sees the original."""

import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

import tensorflow as tf

from kerasfound.export.converter import convert
from kerasfound.export.tracing import patching, traced_model


class Owner:
    """A class to replace attributes of."""

    def __init__(self, value):
        self.value = value

    def double(self, x):
        return 2 * x


def in_other_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_function_is_replaced_in_one_thread_only():
    owner = Owner(1)
    original = Owner.double
    with patching.replace_function(Owner, "double", lambda double: lambda self, x: double(self, x) + 1):
        assert owner.double(3) == 7
        assert in_other_thread(lambda: owner.double(3)) == 6
        with patching.replace_function(Owner, "double", lambda double: lambda self, x: -double(self, x)):
            assert owner.double(3) == -7
            assert in_other_thread(lambda: owner.double(3)) == 6
        assert owner.double(3) == 7
    assert Owner.double is original


def test_values_are_replaced_in_one_thread_and_for_the_named_instances_only():
    one, two = Owner(1), Owner(2)
    with patching.replace_values(Owner, "value", [(one, 10)]):
        assert (one.value, two.value) == (10, 2)
        assert in_other_thread(lambda: (one.value, two.value)) == (1, 2)
        with patching.replace_values(Owner, "value", [(two, 20)]):
            assert (one.value, two.value) == (10, 20)
        two.value = 3
        assert not hasattr(Owner.__new__(Owner), "value")
    assert (one.value, two.value) == (1, 3)
    assert "value" not in vars(Owner)


def test_an_inherited_function_is_inherited_again():
    class Derived(Owner):
        pass

    with patching.replace_function(Derived, "double", lambda double: lambda self, x: 0):
        assert (Derived(1).double(3), Owner(1).double(3)) == (0, 6)
    assert "double" not in vars(Derived)


def test_one_thread_traces_at_a_time():
    owner, started = Owner(1), threading.Event()

    def trace():
        started.set()
        with patching.replace_values(Owner, "value", [(owner, 2)]):
            return owner.value

    with ThreadPoolExecutor(1) as pool:
        with patching.replace_values(Owner, "value", [(owner, 3)]):
            traced = pool.submit(trace)
            started.wait()
            assert not traced.done()
        assert traced.result() == 2


class Sum(layers.Layer):
    """The running sum over time, by a scan."""

    def call(self, x):
        _, y = ops.scan(lambda total, step: (total + step, total + step), x[:, 0] * 0, ops.swapaxes(x, 0, 1))
        return ops.swapaxes(y, 0, 1)


class Pause(layers.Layer):
    """Waits while a graph is traced in `thread`, until the other thread has called the model."""

    thread, traces, may_continue = None, threading.Event(), threading.Event()

    def call(self, x):
        if threading.current_thread() is Pause.thread:
            self.traces.set()
            assert self.may_continue.wait(60)
        return x


def model_of_replaced_layers():
    """Every kind of layer that is replaced while a graph is traced, some in another precision."""
    x = keras.Input((None, 4), name="x")
    y = layers.TimeDistributed(layers.Dense(4), dtype="mixed_bfloat16")(Pause()(x))
    y = layers.LSTM(4, return_sequences=True, dtype="float64")(Sum()(y))
    return keras.Model(x, layers.AdaptiveAveragePooling1D(2)(y), name="model")


def test_a_model_computes_the_same_while_another_thread_exports_it(tmp_path):
    """Its layers keep their precision, their `call`, their loop and their variables."""
    model, x = model_of_replaced_layers(), np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    before = np.asarray(model(x, training=False))
    (in_float32,) = traced_model.exported_function(model)(tf.constant(x)).values()
    dtypes = [(v.dtype, v.value.dtype.name) for v in model.variables]
    operations = operations_of(model)

    def export():
        Pause.thread = threading.current_thread()
        convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")

    with ThreadPoolExecutor(1) as pool:
        exported = pool.submit(export)
        try:
            assert Pause.traces.wait(60)  # from here on the other thread is in the middle of its trace
            np.testing.assert_array_equal(np.asarray(model(x, training=False)), before)
            assert [(v.dtype, v.value.dtype.name) for v in model.variables] == dtypes
            assert [layer.dtype_policy.name for layer in model.layers if "lstm" in layer.name] == ["float64"]
            assert operations_of(model) == operations
        finally:
            Pause.may_continue.set()
        exported.result()
    np.testing.assert_array_equal(np.asarray(model(x, training=False)), before)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], in_float32, atol=1e-5)


def operations_of(model):
    """The operations of the graph that Keras itself traces, at a static length."""
    function = tf.function(lambda x: model(x, training=False), autograph=False)
    nodes = traced_model.all_nodes(function.get_concrete_function(tf.TensorSpec((2, 6, 4))))
    return sorted(node.op for node in nodes)


def test_two_threads_export_at_the_same_time(tmp_path):
    """The errors of one model are not reported for the other."""
    good = keras.Sequential([keras.Input((None, 4), name="x"), layers.LSTM(3, name="y")])
    bad = keras.Sequential([keras.Input((2,), dtype="string"), layers.Hashing(5, name="hash")])

    def export(model):
        try:
            convert.save_onnx(convert.trace_for_onnx(model), tmp_path / f"{model.name}.onnx")
        except convert.UnsupportedModelError as error:
            return [x.layer for x in error.unsupported_layers]
        return []

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(export, [good, bad, good, bad]))
    assert results == [[], ['layer "hash" (Hashing)']] * 2
