"""What ONNX has no operator for is written out, and answers as Keras does at every size."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs are exported from the TensorFlow backend", allow_module_level=True)

import tensorflow as tf

from kerasfound.errors import UserError
from kerasfound.export.converter import convert, scan
from kerasfound.export.converter.handlers import linear_algebra

RNG = np.random.default_rng(0)
FREE, SIZES = (None, None, 3), ((1, 9, 11, 3), (3, 5, 6, 3), (2, 1, 2, 3), (1, 40, 57, 3))


class Function(layers.Layer):
    """Whatever TensorFlow has."""

    def __init__(self, function):
        super().__init__(name="mine")
        self.function = function

    def call(self, x):
        return self.function(x)


def around(block, shape, dtype="float32"):
    x = keras.Input(shape, name="x", dtype=dtype)
    return keras.Model(x, block(x), name="around")


def answers_alike(model, path, *inputs, tolerance=1e-5):
    """The file's operators, after its answers were compared."""
    convert.save_onnx(convert.trace_for_onnx(model), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for x in inputs:
        expected = keras.tree.flatten(model(x, training=False))
        for wanted, found in zip(expected, session.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(found, np.asarray(wanted), rtol=tolerance, atol=tolerance)
    return [node.op_type for node in onnx.load(path).graph.node]


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos3", "lanczos5", "area"])
def test_an_image_of_any_size_is_resized_with_tensorflows_weights(kernel, antialias, tmp_path):
    """To fewer rows and to more columns, with the weights that TensorFlow has for the size that there is."""
    resizing = layers.Resizing(7, 23, interpolation=kernel, antialias=antialias)
    answers_alike(around(resizing, FREE), tmp_path / "model.onnx", *(floats(*size) for size in SIZES))


def test_one_size_may_be_known_and_the_image_be_cut_before(tmp_path):
    first = layers.Resizing(6, 5, interpolation="area", crop_to_aspect_ratio=True)
    model = around(lambda x: layers.Resizing(9, 4, interpolation="bicubic")(first(x)), (None, 10, 3))
    answers_alike(model, tmp_path / "model.onnx", *(floats(2, rows, 10, 3) for rows in (3, 8, 30)))


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_an_image_of_any_size_grows_by_a_factor(data_format, tmp_path):
    grown = layers.UpSampling2D((2, 3), interpolation="bicubic", data_format=data_format)
    shape = FREE if data_format == "channels_last" else (3, None, None)
    inputs = [x if data_format == "channels_last" else x.transpose(0, 3, 1, 2) for x in (floats(*s) for s in SIZES)]
    answers_alike(around(grown, shape), tmp_path / "model.onnx", *inputs)


def regular(*shape):
    """Matrices with an inverse, and with zeros where a step without a choice of rows would divide by them."""
    x = floats(*shape) + 3 * np.eye(shape[-1], dtype="float32")[RNG.permutation(shape[-1])]
    x[..., 0, 0] = 0
    return x


@pytest.mark.parametrize("size", [1, 2, 6, linear_algebra.LARGEST])
def test_the_inverse_times_the_matrix_is_one(size, tmp_path):
    x = np.stack([regular(size, size) for _ in range(5)]) if size > 1 else floats(5, 1, 1)
    model = around(lambda x: [ops.linalg.inv(x), ops.linalg.inv(x) @ x], (size, size))
    answers_alike(model, tmp_path / "model.onnx", x, x[:1], tolerance=1e-4)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"x": x})[1], np.broadcast_to(np.eye(size), x.shape), atol=1e-4)


def test_equations_are_solved_and_matrices_turned(tmp_path):
    def solved(x):
        matrix, right = x[..., :5], x[..., 5:]
        turned = tf.linalg.solve(matrix, right, adjoint=True), tf.linalg.inv(matrix, adjoint=True)
        return [ops.linalg.solve(matrix, right), *turned]

    x = np.concatenate([regular(3, 2, 5, 5), floats(3, 2, 5, 2)], axis=-1)
    answers_alike(around(Function(solved), (2, 5, 7)), tmp_path / "model.onnx", x, x[:1], tolerance=1e-4)


@pytest.mark.parametrize("length", [1, 6, 7, 100])
def test_fourier_transforms_are_keras(length, tmp_path):
    def transformed(x):
        real, imaginary = x, ops.flip(x, axis=-1) + 1
        both = ops.fft((real, imaginary))
        return [*both, *ops.fft2((real, imaginary)), *ops.ifft2((real, imaginary)), *ops.rfft(x), ops.irfft(both)]

    model = around(transformed, (3, length)) if length > 1 else around(lambda x: list(ops.fft((x, x))), (3, length))
    answers_alike(model, tmp_path / "model.onnx", floats(4, 3, length), floats(1, 3, length), tolerance=1e-4)


def test_complex_numbers_come_back_from_their_transform(tmp_path):
    def there_and_back(x):
        there = tf.signal.fft2d(tf.complex(x, 2 * x))
        return [tf.abs(there), tf.math.imag(tf.signal.ifft2d(there)), tf.math.real(tf.signal.ifft(there))]

    answers_alike(around(Function(there_and_back), (4, 6)), tmp_path / "model.onnx", floats(3, 4, 6))


@pytest.mark.parametrize(
    ("function", "shape", "why"),
    [
        (lambda x: tf.linalg.inv(x), (33, 33), "33 rows"),
        (lambda x: tf.linalg.inv(x), (None, None), "the size of the matrix is not known"),
        (lambda x: tf.math.real(tf.signal.rfft(x)), (None,), "the length of the Fourier transform is not known"),
        (lambda x: tf.math.real(tf.signal.rfft(x) ** 2), (8,), "ONNX has no complex numbers, and Pow makes some"),
        (lambda x: tf.cast(tf.signal.rfft(x), "float32"), (8,), "No Op registered for RFFT"),
        (lambda x: tf.zeros(tf.shape(tf.signal.rfft(x))), (8,), "No Op registered for RFFT"),
        (lambda x: tf.image.resize(x, (5, 5), "gaussian"), FREE, "kernel gaussian needs a known height and width"),
    ],
)
def test_what_is_not_written_is_refused_by_the_layers_name(function, shape, why, tmp_path):
    with pytest.raises(UserError, match=f'layer "mine".*{why}'):
        convert.save_onnx(convert.trace_for_onnx(around(Function(function), shape)), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [None, 5])
def test_a_scan_of_any_length_is_one_loop(length, reverse, tmp_path):
    def scanned(x):
        def step(carry, x):
            total, product = carry
            return (total + x, product * x), (total, x - product)

        steps = ops.swapaxes(x, 0, 1)
        carry = ops.zeros_like(x[:, 0]), ops.ones_like(x[:, 0])
        return keras.tree.flatten(ops.scan(step, carry, steps, reverse=reverse))

    inputs = [floats(batch, length or time, 4) for batch, time in ((1, 7), (3, 1), (2, 12))]
    operators = answers_alike(around(Function(scanned), (length, 4)), tmp_path / "model.onnx", *inputs)
    assert operators.count("Loop") == 1


def test_a_scan_may_count_and_give_nothing_back(tmp_path):
    def scanned(x):
        return ops.scan(lambda carry, _: (2 * carry + 1, carry), x, length=4)

    answers_alike(around(Function(scanned), (3,)), tmp_path / "model.onnx", floats(1, 3), floats(4, 3))


def test_keras_scans_as_before():
    """Through a private module of Keras: this test notices when it moves."""
    before = scan.core.scan
    with scan.readable():
        ours = ops.scan(lambda h, x: (h + x, h), tf.zeros(2), tf.ones((3, 2)))
        assert scan.core.scan is not before
    assert scan.core.scan is before
    for one, other in zip(ours, ops.scan(lambda h, x: (h + x, h), tf.zeros(2), tf.ones((3, 2))), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float16", "float32"])
def test_division_rounds_down_below_zero_too(dtype, tmp_path):
    x = np.arange(-9, 10, dtype=dtype)[None]
    model = around(lambda x: [f(x, by) for f in (ops.floor_divide, ops.mod) for by in (3, -3)], (19,), dtype)
    answers_alike(model, tmp_path / "model.onnx", x)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float16", "float32"])
@pytest.mark.parametrize("block", [lambda x: ops.sort(x, axis=-1), lambda x: ops.top_k(x, 3)], ids=["sort", "top_k"])
def test_numbers_are_ordered_to_the_last_digit(block, dtype, tmp_path):
    largest = np.iinfo(dtype).max if "int" in dtype else 2 ** np.finfo(dtype).nmant
    x = np.array([[largest - 1, largest, 0, largest - 3], [largest - 2, 5, largest - 1, largest]], dtype)
    convert.save_onnx(convert.trace_for_onnx(around(Function(block), (4,), dtype)), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for wanted, found in zip(keras.tree.flatten(block(x)), session.run(None, {"x": x}), strict=True):
        assert np.array_equal(found, np.asarray(wanted))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize(
    "block",
    [
        lambda x: [x < x[:, :1], x <= x[:, :1], x > x[:, :1], x >= x[:, :1], ops.equal(x, x[:, :1])],
        lambda x: [ops.maximum(x, x[:, :1]), ops.minimum(x, x[:, :1]), ops.clip(x, 1, 5)],
    ],
    ids=["comparisons", "extrema"],
)
def test_numbers_are_compared_to_the_last_digit(block, dtype, tmp_path):
    largest = 2**24 if dtype == "float32" else np.iinfo(dtype).max
    x = np.array([[largest - 1, largest, 0, largest - 3]], dtype)
    convert.save_onnx(convert.trace_for_onnx(around(Function(block), (4,), dtype)), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for wanted, found in zip(block(x), session.run(None, {"x": x}), strict=True):
        assert np.array_equal(found, np.asarray(wanted))
