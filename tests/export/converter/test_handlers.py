"""Operations without an ONNX operator are written with other operators, and compute the same as Keras at every size."""

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
DYNAMIC, SIZES = (None, None, 3), ((1, 9, 11, 3), (3, 5, 6, 3), (2, 1, 2, 3), (1, 40, 57, 3))


class Function(layers.Layer):
    """A layer that calls a function of TensorFlow."""

    def __init__(self, function):
        super().__init__(name="mine")
        self.function = function

    def call(self, x):
        return self.function(x)


def around(block, shape, dtype="float32"):
    x = keras.Input(shape, name="x", dtype=dtype)
    return keras.Model(x, block(x), name="around")


def save_onnx(model, path, opset=convert.OPSET, dynamic_shapes=None):
    """Trace a model and write a valid ONNX file."""
    convert.save_onnx(convert.trace_for_onnx(model, dynamic_shapes), path, opset)
    onnx.checker.check_model(path, full_check=True)


def check_outputs(model, path, *inputs, tolerance=1e-5):
    """Compare the outputs of the file with Keras, and return its operators."""
    save_onnx(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for x in inputs:
        expected = keras.tree.flatten(model(x, training=False))
        for y_expected, y in zip(expected, session.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(y, np.asarray(y_expected), rtol=tolerance, atol=tolerance)
    return [node.op_type for node in onnx.load(path).graph.node]


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos3", "lanczos5", "area"])
def test_an_image_of_any_size_is_resized_with_tensorflows_weights(kernel, antialias, tmp_path):
    """To fewer rows and to more columns."""
    resizing = layers.Resizing(7, 23, interpolation=kernel, antialias=antialias)
    check_outputs(around(resizing, DYNAMIC), tmp_path / "model.onnx", *(floats(*size) for size in SIZES))


def test_one_static_size_and_a_crop_before_resizing(tmp_path):
    first = layers.Resizing(6, 5, interpolation="area", crop_to_aspect_ratio=True)
    model = around(lambda x: layers.Resizing(9, 4, interpolation="bicubic")(first(x)), (None, 10, 3))
    check_outputs(model, tmp_path / "model.onnx", *(floats(2, rows, 10, 3) for rows in (3, 8, 30)))


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_an_image_of_any_size_is_up_sampled(data_format, tmp_path):
    up_sampling = layers.UpSampling2D((2, 3), interpolation="bicubic", data_format=data_format)
    shape = DYNAMIC if data_format == "channels_last" else (3, None, None)
    inputs = [x if data_format == "channels_last" else x.transpose(0, 3, 1, 2) for x in (floats(*s) for s in SIZES)]
    check_outputs(around(up_sampling, shape), tmp_path / "model.onnx", *inputs)


def invertible(*shape):
    """Matrices with an inverse, and with zeros that an elimination without pivots would divide by."""
    n = shape[-1]
    x = floats(*shape) + 3 * np.sqrt(n, dtype="float32") * np.eye(n, dtype="float32")[RNG.permutation(n)]
    x[..., 0, 0] = 0
    return x


@pytest.mark.parametrize("size", [1, 2, 6, linear_algebra.MAX_ROWS])
def test_the_inverse_times_the_matrix_is_the_identity(size, tmp_path):
    x = np.stack([invertible(size, size) for _ in range(5)]) if size > 1 else floats(5, 1, 1)
    model = around(lambda x: [ops.linalg.inv(x), ops.linalg.inv(x) @ x], (size, size))
    check_outputs(model, tmp_path / "model.onnx", x, x[:1], tolerance=1e-4)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"x": x})[1], np.broadcast_to(np.eye(size), x.shape), atol=1e-4)


def test_equations_are_solved_and_adjoint_matrices_inverted(tmp_path):
    def solved(x):
        matrix, right = x[..., :5], x[..., 5:]
        adjoint = tf.linalg.solve(matrix, right, adjoint=True), tf.linalg.inv(matrix, adjoint=True)
        return [ops.linalg.solve(matrix, right), *adjoint]

    x = np.concatenate([invertible(3, 2, 5, 5), floats(3, 2, 5, 2)], axis=-1)
    check_outputs(around(Function(solved), (2, 5, 7)), tmp_path / "model.onnx", x, x[:1], tolerance=1e-4)


@pytest.mark.parametrize("length", [1, 6, 7, 100])
def test_fourier_transforms_equal_those_of_keras(length, tmp_path):
    def transformed(x):
        real, imaginary = x, ops.flip(x, axis=-1) + 1
        both = ops.fft((real, imaginary))
        return [*both, *ops.fft2((real, imaginary)), *ops.ifft2((real, imaginary)), *ops.rfft(x), ops.irfft(both)]

    model = around(transformed, (3, length)) if length > 1 else around(lambda x: list(ops.fft((x, x))), (3, length))
    check_outputs(model, tmp_path / "model.onnx", floats(4, 3, length), floats(1, 3, length), tolerance=1e-4)


def test_inverse_fourier_transforms_of_complex_numbers(tmp_path):
    def transform_and_invert(x):
        there = tf.signal.fft2d(tf.complex(x, 2 * x))
        return [tf.abs(there), tf.math.imag(tf.signal.ifft2d(there)), tf.math.real(tf.signal.ifft(there))]

    check_outputs(around(Function(transform_and_invert), (4, 6)), tmp_path / "model.onnx", floats(3, 4, 6))


@pytest.mark.parametrize(
    ("function", "shape", "why"),
    [
        (lambda x: tf.linalg.inv(x), (33, 33), "33 rows"),
        (lambda x: tf.linalg.inv(x), (None, None), "the size of the matrix is not known"),
        (lambda x: tf.math.real(tf.signal.rfft(x)), (None,), "the length of the Fourier transform is not known"),
        (lambda x: tf.math.real(tf.signal.rfft(x) ** 2), (8,), "ONNX has no complex numbers, and Pow returns some"),
        (lambda x: tf.cast(tf.signal.rfft(x), "float32"), (8,), "ONNX has no RFFT"),
        (lambda x: tf.zeros(tf.shape(tf.signal.rfft(x))), (8,), "ONNX has no RFFT"),
        (lambda x: tf.image.resize(x, (5, 5), "gaussian"), DYNAMIC, "kernel gaussian needs a known height and width"),
    ],
)
def test_an_unsupported_operation_is_an_error_that_names_the_layer(function, shape, why, tmp_path):
    with pytest.raises(UserError, match=f'layer "mine".*{why}'):
        save_onnx(around(Function(function), shape), tmp_path / "model.onnx")
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
    operators = check_outputs(around(Function(scanned), (length, 4)), tmp_path / "model.onnx", *inputs)
    assert operators.count("Loop") == 1


def test_a_scan_without_inputs(tmp_path):
    def scanned(x):
        return ops.scan(lambda carry, _: (2 * carry + 1, carry), x, length=4)

    check_outputs(around(Function(scanned), (3,)), tmp_path / "model.onnx", floats(1, 3), floats(4, 3))


def test_keras_scan_is_restored():
    """`scan` is replaced in a private module of Keras: this test notices when it moves."""
    before = scan.core.scan
    with scan.scan_with_loop_variables():
        replaced = ops.scan(lambda h, x: (h + x, h), tf.zeros(2), tf.ones((3, 2)))
        assert scan.core.scan is not before
    assert scan.core.scan is before
    for one, other in zip(replaced, ops.scan(lambda h, x: (h + x, h), tf.zeros(2), tf.ones((3, 2))), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float16", "float32"])
def test_division_rounds_down_below_zero_too(dtype, tmp_path):
    x = np.arange(-9, 10, dtype=dtype)[None]
    model = around(lambda x: [f(x, by) for f in (ops.floor_divide, ops.mod) for by in (3, -3)], (19,), dtype)
    check_outputs(model, tmp_path / "model.onnx", x)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float16", "float32"])
@pytest.mark.parametrize("block", [lambda x: ops.sort(x, axis=-1), lambda x: ops.top_k(x, 3)], ids=["sort", "top_k"])
def test_numbers_are_sorted_exactly(block, dtype, tmp_path):
    largest = np.iinfo(dtype).max if "int" in dtype else 2 ** np.finfo(dtype).nmant
    x = np.array([[largest - 1, largest, 0, largest - 3], [largest - 2, 5, largest - 1, largest]], dtype)
    save_onnx(around(Function(block), (4,), dtype), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for expected, y in zip(keras.tree.flatten(block(x)), session.run(None, {"x": x}), strict=True):
        assert np.array_equal(y, np.asarray(expected))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize(
    "block",
    [
        lambda x: [x < x[:, :1], x <= x[:, :1], x > x[:, :1], x >= x[:, :1], ops.equal(x, x[:, :1])],
        lambda x: [ops.maximum(x, x[:, :1]), ops.minimum(x, x[:, :1]), ops.clip(x, 1, 5)],
    ],
    ids=["comparisons", "extrema"],
)
def test_numbers_are_compared_exactly(block, dtype, tmp_path):
    largest = 2**24 if dtype == "float32" else np.iinfo(dtype).max
    x = np.array([[largest - 1, largest, 0, largest - 3]], dtype)
    save_onnx(around(Function(block), (4,), dtype), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for expected, y in zip(block(x), session.run(None, {"x": x}), strict=True):
        assert np.array_equal(y, np.asarray(expected))


SIGNED = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -1e-30, np.inf, -np.inf, np.nan], "float32")


def test_an_angle_is_in_the_quadrant_of_both_signs(tmp_path):
    """The sign of a zero decides too: the angle of (-1, 0) is pi, of (-1, -0) it is -pi."""
    x = np.stack(np.meshgrid(SIGNED, SIGNED), axis=-1).reshape(-1, 2)
    model = around(lambda x: ops.arctan2(x[:, 0], x[:, 1]), (2,))
    check_outputs(model, tmp_path / "model.onnx", x)


@pytest.mark.parametrize("axis", [1, -1, None])
def test_a_cumulative_product_of_any_number_of_steps(axis, tmp_path):
    block = (lambda x: ops.cumprod(x, axis)) if axis else (lambda x: ops.cumprod(x[0, 0]))
    model = around(block, (None, 5))
    check_outputs(model, tmp_path / "model.onnx", *(floats(3, steps, 5) for steps in (1, 2, 9)))


@pytest.mark.parametrize(("exclusive", "reverse"), [(False, True), (True, False), (True, True)])
def test_a_cumulative_product_in_each_direction(exclusive, reverse, tmp_path):
    product = Function(lambda x: tf.math.cumprod(x, 1, exclusive, reverse))
    check_outputs(around(product, (4, 2)), tmp_path / "model.onnx", floats(3, 4, 2))


def test_updates_of_the_same_index_are_added(tmp_path):
    model = around(lambda x: ops.scatter(np.array([[0], [2], [0], [1]]), x[0], (4, 5)), (4, 5))
    check_outputs(model, tmp_path / "model.onnx", floats(1, 4, 5))


@pytest.mark.parametrize("blank", [0, 2, 4])
def test_a_decoder_of_characters_skips_the_blank_class(blank, tmp_path):
    """As in a reader of lines of text, whose blank class is often the first or the last one."""

    def decoded(x):
        steps = ops.shape(x)[1] * ops.ones(ops.shape(x)[0], "int32")
        (characters,), _ = tf.nn.ctc_greedy_decoder(ops.transpose(x, (1, 0, 2)), steps, blank_index=blank)
        return tf.sparse.to_dense(characters, default_value=-1)

    check_outputs(around(Function(decoded), (12, 5)), tmp_path / "model.onnx", floats(3, 12, 5))


def test_triangular_equations_and_cross_products(tmp_path):
    def solved(x):
        right = x[..., :2]
        solutions = [ops.linalg.solve_triangular(x, right, lower=lower) for lower in (True, False)]
        return [*solutions, tf.linalg.triangular_solve(x, right, adjoint=True)]

    matrix = floats(4, 5, 5) + 4 * np.eye(5, dtype="float32")
    check_outputs(around(Function(solved), (5, 5)), tmp_path / "model.onnx", matrix, tolerance=1e-4)
    crossed = around(lambda x: [ops.cross(x[:, 0], x[:, 1]), ops.linspace(x[:, 0], x[:, 1], 4)], (2, 3))
    check_outputs(crossed, tmp_path / "model.onnx", floats(4, 2, 3))


def test_remainders_have_the_sign_of_the_divisor(tmp_path):
    numbers = np.array([0.0, 1.0, -1.0, 2.5, -7.25, 1e6, np.inf, -np.inf], "float32")
    x = np.stack(np.meshgrid(numbers, numbers), axis=-1).reshape(-1, 2)
    model = around(lambda x: [ops.mod(x[:, 0], x[:, 1]), ops.floor_divide(x[:, 0], x[:, 1])], (2,))
    check_outputs(model, tmp_path / "model.onnx", x)


@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_in_sorted_numbers(side, tmp_path):
    limits = np.array([-1.0, 0.0, 0.0, 2.0], "float32")
    model = around(lambda x: ops.searchsorted(limits, x[0], side=side), (5,))
    check_outputs(model, tmp_path / "model.onnx", np.array([[-2, -1, 0, 1, 2]], "float32"))


def test_small_numbers_keep_their_digits(tmp_path):
    """1 + x has no digits of a small x, and an error of 1e-8 is large for the probability of a rare event."""
    x = np.concatenate([s * np.logspace(-30, 1, 100) for s in (-1, 1)]).astype("float32")[:, None]
    model = around(lambda x: [ops.log1p(ops.maximum(x, -0.99)), ops.expm1(x), ops.sigmoid(5 * x)], (1,))
    save_onnx(model, tmp_path / "model.onnx")
    actual = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"x": x})
    precise = x.astype("float64")
    expected = np.log1p(np.maximum(precise, -0.99)), np.expm1(precise), 1 / (1 + np.exp(-5 * precise))
    for y_expected, y in zip(expected, actual, strict=True):
        np.testing.assert_allclose(y, y_expected, rtol=1e-5)


def test_a_sigmoid_that_a_layer_reads_stays_one_operator(tmp_path):
    model = around(lambda x: layers.Dense(2, "sigmoid")(layers.Dense(3, "sigmoid")(x)), (4,))
    operators = check_outputs(model, tmp_path / "model.onnx", floats(3, 4))
    assert operators.count("Sigmoid") == 1
    assert operators.count("Exp") == 1
