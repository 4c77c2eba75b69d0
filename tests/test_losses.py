"""Losses: minimal at the target, equal to Keras, and NaN for labels that have no loss."""

import inspect
import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from kerasfound import gradients, losses

EXAMPLES = {
    "MeanSquaredError": lambda: losses.MeanSquaredError(),
    "MeanAbsoluteError": lambda: losses.MeanAbsoluteError(reduction="sum"),
    "Huber": lambda: losses.Huber(delta=2.0),
    "BinaryCrossentropy": lambda: losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    "CategoricalCrossentropy": lambda: losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    "SparseCategoricalCrossentropy": lambda: losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1),
    "PerceptronLoss": lambda: losses.PerceptronLoss(),
    "Hinge": lambda: losses.Hinge(name="margin"),
    "BinaryFocalCrossentropy": lambda: losses.BinaryFocalCrossentropy(apply_class_balancing=True, gamma=1.5),
    "CategoricalFocalCrossentropy": lambda: losses.CategoricalFocalCrossentropy(alpha=[0.25, 0.5, 1.0], gamma=1.0),
    "KLDivergence": lambda: losses.KLDivergence(),
}

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(scale=3, size=(6, 4)).astype("float32")
TARGETS = RANDOM.normal(scale=3, size=(6, 4)).astype("float32")
YES_NO = RANDOM.integers(0, 2, size=(6, 4)).astype("float32")
CHANCES = RANDOM.uniform(0.01, 0.99, size=(6, 4)).astype("float32")
CLASSES = np.array([2, 0, 1, 3, 1, 2])
IGNORED = 1
SPARSE = "SparseCategoricalCrossentropy"
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]
DISTRIBUTION = RANDOM.dirichlet(np.ones(4), size=6).astype("float32")
TRUTH = RANDOM.dirichlet(np.ones(4), size=6).astype("float32")

CASES = [
    ("MeanSquaredError", {}, TARGETS, NUMBERS),
    ("MeanAbsoluteError", {}, TARGETS, NUMBERS),
    ("Huber", {}, TARGETS, NUMBERS),
    ("Huber", {"delta": 3.5}, TARGETS, NUMBERS),
    ("BinaryCrossentropy", {}, YES_NO, CHANCES),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, YES_NO, CHANCES),
    ("BinaryCrossentropy", {"from_logits": True}, YES_NO, NUMBERS),
    ("BinaryCrossentropy", {"from_logits": True}, CHANCES, NUMBERS),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2, "axis": 0}, YES_NO, NUMBERS),
    ("CategoricalCrossentropy", {}, ONE_HOT, DISTRIBUTION),
    ("CategoricalCrossentropy", {}, TRUTH, 3 * DISTRIBUTION),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT, DISTRIBUTION),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT, NUMBERS),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, NUMBERS),
    (
        "CategoricalCrossentropy",
        {"from_logits": True, "axis": 1},
        TRUTH.reshape(2, 3, 4).swapaxes(1, 2),
        NUMBERS.reshape(2, 4, 3),
    ),
    (SPARSE, {}, CLASSES, DISTRIBUTION),
    (SPARSE, {"from_logits": True}, CLASSES, NUMBERS),
    (SPARSE, {"from_logits": True}, CLASSES[:, None], NUMBERS),
    (SPARSE, {"from_logits": True}, CLASSES.reshape(2, 3), NUMBERS.reshape(2, 3, 4)),
    (SPARSE, {"from_logits": True, "ignore_class": 1}, CLASSES, NUMBERS),
    (SPARSE, {"ignore_class": -1}, np.where(CLASSES == 1, -1, CLASSES), DISTRIBUTION),
    ("Hinge", {}, 2 * YES_NO - 1, NUMBERS),
    ("Hinge", {}, YES_NO, NUMBERS),
    ("BinaryFocalCrossentropy", {}, YES_NO, CHANCES),
    ("BinaryFocalCrossentropy", {"gamma": 0.0}, YES_NO, CHANCES),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}, YES_NO, CHANCES),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, YES_NO, NUMBERS),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT, DISTRIBUTION),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 1.5}, ONE_HOT, 3 * DISTRIBUTION),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, NUMBERS),
    ("KLDivergence", {}, TRUTH, DISTRIBUTION),
    ("KLDivergence", {}, ONE_HOT, DISTRIBUTION),
]
OWN_CASES = [
    ("PerceptronLoss", {}, 2 * YES_NO - 1, NUMBERS),
    (SPARSE, {"from_logits": True, "axis": 1}, CLASSES, NUMBERS),
]


def ids(case):
    return "-".join(f"{part}" for part in case[:2]) if isinstance(case, tuple) else None


def ours(name, arguments=None):
    return getattr(losses, name)(**(arguments or {}))


def theirs(name, arguments=None):
    return getattr(keras.losses, name)(**(arguments or {}))


def value(loss, y_true, y_pred, **weights):
    return ops.convert_to_numpy(loss(y_true, y_pred, **weights))


def assert_same(actual, expected, tolerance=1e-6):
    expected = np.asarray(expected)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = finite.max() if finite.size else 0.0
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * max(1.0, scale))


def assert_value_and_gradient_are_keras(gradient, name, arguments, y_true, y_pred):
    mine, keras_loss = ours(name, arguments), theirs(name, arguments)
    assert_same(value(mine, y_true, y_pred), value(keras_loss, y_true, y_pred))
    assert_same(gradient(lambda p: mine(y_true, p), y_pred)[0], gradient(lambda p: keras_loss(y_true, p), y_pred)[0])


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_value_and_gradient_are_those_of_keras(case, gradient):
    assert_value_and_gradient_are_keras(gradient, *case)


@pytest.mark.parametrize("case", [case for case in CASES if case[3] is NUMBERS], ids=ids)
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e6], ids=lambda s: f"x{s:g}")
def test_huge_and_tiny_predictions_as_in_keras(case, scale, gradient):
    name, arguments, y_true, y_pred = case
    assert_value_and_gradient_are_keras(gradient, name, arguments, y_true, np.float32(scale) * y_pred)


@pytest.mark.parametrize("case", [case for case in CASES if case[3] is CHANCES], ids=ids)
def test_certain_but_wrong_predictions_as_in_keras(case, gradient):
    name, arguments, y_true, _ = case
    for certain in (1 - y_true, y_true):
        assert_same(value(ours(name, arguments), y_true, certain), value(theirs(name, arguments), y_true, certain))


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", None])
@pytest.mark.parametrize("case", [case for case in CASES if case[0] in ("MeanSquaredError", SPARSE)], ids=ids)
def test_reductions_and_sample_weights_are_those_of_keras(case, reduction):
    name, arguments, y_true, y_pred = case
    mine, keras_loss = (kind(name, arguments | {"reduction": reduction}) for kind in (ours, theirs))
    rows = np.linspace(0, 2, len(y_pred)).astype("float32")
    if y_pred.ndim == 3:
        rows = np.broadcast_to(rows[:, None], (2, 3))
    for weights in ({}, {"sample_weight": rows}, {"sample_weight": rows[..., None]}):
        assert_same(value(mine, y_true, y_pred, **weights), value(keras_loss, y_true, y_pred, **weights))


@pytest.mark.parametrize("name", ["MeanSquaredError", "Hinge", "KLDivergence"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
def test_masked_entries_count_as_in_keras(name, reduction):
    y_true, y_pred = TRUTH.reshape(2, 3, 4), DISTRIBUTION.reshape(2, 3, 4)
    mask = np.array([[True, True, False], [True, False, False]])

    def masked(loss, **weights):
        prediction = keras.layers.Masking()(ops.convert_to_tensor(np.where(mask[..., None], y_pred, 0)))
        return value(loss, y_true, prediction, **weights)

    mine, keras_loss = (kind(name, {"reduction": reduction}) for kind in (ours, theirs))
    assert_same(masked(mine), masked(keras_loss))
    weights = {"sample_weight": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")}
    assert_same(masked(mine, **weights), masked(keras_loss, **weights))


@pytest.mark.parametrize("from_logits", [True, False])
def test_ignored_class_does_not_count_and_its_rows_may_be_nan(from_logits, gradient):
    loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits, ignore_class=IGNORED)
    is_counted = CLASSES != IGNORED
    expected = losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    padded = np.where(is_counted[:, None], DISTRIBUTION, np.nan).astype("float32")
    assert_same(value(loss, CLASSES, padded), value(expected, CLASSES[is_counted], padded[is_counted]))
    slope = gradient(lambda p: loss(CLASSES, p), padded)[0]
    assert_same(slope[is_counted], gradient(lambda p: expected(CLASSES[is_counted], p), padded[is_counted])[0])
    assert (slope[~is_counted] == 0).all()
    unreduced = losses.SparseCategoricalCrossentropy(from_logits=from_logits, ignore_class=IGNORED, reduction=None)
    assert (value(unreduced, CLASSES, padded)[~is_counted] == 0).all()


def test_ignored_class_is_left_out_of_a_training_step_as_in_keras():
    """The mask of the loss reaches the mean in a compiled step too."""

    def trained(loss):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, kernel_initializer="ones")])
        model.compile("sgd", loss)
        model.train_on_batch(NUMBERS, CLASSES)
        return model.get_weights()[0]

    arguments = {"from_logits": True, "ignore_class": IGNORED}
    assert_same(trained(ours(SPARSE, arguments)), trained(theirs(SPARSE, arguments)))


@pytest.mark.parametrize(
    ("name", "head", "y_true"),
    [
        ("BinaryCrossentropy", "sigmoid", YES_NO),
        ("BinaryFocalCrossentropy", "sigmoid", YES_NO),
        ("CategoricalCrossentropy", "softmax", ONE_HOT),
        ("CategoricalFocalCrossentropy", "softmax", ONE_HOT),
        (SPARSE, "softmax", CLASSES),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_a_model_with_probabilities_trains_as_with_keras(name, head, y_true, scale):
    """On TensorFlow Keras's losses use the scores behind a softmax, so that certain mistakes have a gradient too."""

    def trained(loss):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation=head)])
        model.layers[0].set_weights([scale * np.eye(4), np.zeros(4)])
        model.compile(keras.optimizers.SGD(1.0), loss)
        model.train_on_batch(NUMBERS, y_true)
        return model.get_weights()[1]

    assert_same(trained(ours(name)), trained(theirs(name)), 3e-6)


@pytest.mark.parametrize("case", [*CASES, *OWN_CASES], ids=ids)
def test_gradient_is_the_slope_of_the_loss(case, gradient):
    name, arguments, y_true, y_pred = case
    y_pred, places, h = y_pred.astype("float64"), list(np.ndindex(y_pred.shape))[::3], 2e-6
    with gradients.float64():
        loss = ours(name, arguments)
        slopes = gradient(lambda p: loss(y_true, p), y_pred)[0]
        assert slopes.dtype == "float64"
        for place in places:
            step = np.zeros_like(y_pred)
            step[place] = h
            high, low = (value(loss, y_true, y_pred + s) for s in (step, -step))
            np.testing.assert_allclose(slopes[place], (high - low) / (2 * h), rtol=1e-6, atol=1e-9)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "arguments", "y_true", "y_pred", "slope"),
    [
        ("MeanSquaredError", {}, TARGETS, NUMBERS, 2 * (NUMBERS - TARGETS) / 4),
        ("MeanAbsoluteError", {}, TARGETS, NUMBERS, np.sign(NUMBERS - TARGETS) / 4),
        ("Huber", {"delta": 2.0}, TARGETS, NUMBERS, np.clip(NUMBERS - TARGETS, -2, 2) / 4),
        ("BinaryCrossentropy", {"from_logits": True}, YES_NO, NUMBERS, (sigmoid(NUMBERS) - YES_NO) / 4),
        ("BinaryCrossentropy", {"from_logits": True}, YES_NO, 0 * NUMBERS, (0.5 - YES_NO) / 4),
        ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT, NUMBERS, softmax(NUMBERS) - ONE_HOT),
        (SPARSE, {"from_logits": True}, CLASSES, NUMBERS, softmax(NUMBERS) - ONE_HOT),
        ("PerceptronLoss", {}, TARGETS, NUMBERS, -TARGETS * (TARGETS * NUMBERS < 0) / 4),
        ("Hinge", {}, TARGETS, NUMBERS, -TARGETS * (TARGETS * NUMBERS < 1) / 4),
        ("KLDivergence", {}, TRUTH, DISTRIBUTION, -TRUTH / DISTRIBUTION),
    ],
)
def test_derivative_is_the_one_in_the_docstring(name, arguments, y_true, y_pred, slope, gradient):
    loss = ours(name, arguments | {"reduction": "sum"})
    assert_same(gradient(lambda p: loss(y_true, p), y_pred)[0], slope, 2e-6)


def test_perceptron_loss_is_zero_on_the_right_side():
    signs = 2 * YES_NO - 1
    expected = np.mean(np.maximum(0, -signs * NUMBERS))
    assert value(losses.PerceptronLoss(), signs, NUMBERS) == pytest.approx(expected, rel=1e-6)
    assert value(losses.PerceptronLoss(), YES_NO, NUMBERS) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("case", [*CASES, *OWN_CASES], ids=ids)
@pytest.mark.parametrize("where", ["y_true", "y_pred"])
def test_nan_stays_nan(case, where):
    name, arguments, y_true, y_pred = case
    y_true, y_pred = y_true.astype("float32"), y_pred.copy()
    if arguments.get("ignore_class") == y_true.flat[0]:
        pytest.skip("that label is ignored")
    (y_true if where == "y_true" else y_pred).flat[0] = np.nan
    assert np.isnan(value(ours(name, arguments), y_true, y_pred))


@pytest.mark.parametrize("label", [-1, 4, 1.5, math.nan, math.inf])
def test_the_loss_of_a_label_that_is_not_a_class_is_nan(label):
    if keras.backend.backend() == "torch" and label == 4:
        pytest.skip("torch's one-hot raises, which is as good")
    y_true = np.array([0.0, label], "float32")
    each = value(losses.SparseCategoricalCrossentropy(reduction=None), y_true, DISTRIBUTION[:2])
    assert np.isfinite(each[0])
    assert np.isnan(each[1])


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_mixed_precision_computes_in_float32_by_default(case):
    name, arguments, y_true, y_pred = case
    half = ops.cast(y_pred, "float16")
    loss = ours(name, arguments)(y_true, half)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert_same(ops.convert_to_numpy(loss), value(theirs(name, arguments), y_true, half))
    bfloat16 = ours(name, arguments | {"dtype": "bfloat16"})(y_true, half)
    assert keras.backend.standardize_dtype(bfloat16.dtype) == "bfloat16"


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryCrossentropy", "Hinge"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
@pytest.mark.parametrize(
    ("true_shape", "pred_shape"), [((6,), (6, 1)), ((6, 1), (6,)), ((3, 2), (3, 2, 1)), ((3, 2, 1), (3, 2))]
)
def test_last_axis_of_size_one_is_aligned_as_in_keras(name, reduction, true_shape, pred_shape):
    y_true, y_pred = YES_NO[:, 0].reshape(true_shape), CHANCES[:, 0].reshape(pred_shape)
    mine, keras_loss = (kind(name, {"reduction": reduction}) for kind in (ours, theirs))
    assert_same(value(mine, y_true, y_pred), value(keras_loss, y_true, y_pred))
    if len(true_shape) + len(pred_shape) == 3:
        rows = {"sample_weight": np.arange(6.0, dtype="float32")}
        assert_same(value(mine, y_true, y_pred, **rows), value(keras_loss, y_true, y_pred, **rows))


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize(
    ("true_shape", "pred_shape"), [((4, 1), (4, 3)), ((4, 3), (4, 1)), ((3,), (4, 3)), ((1, 3), (4, 3)), ((), (4, 3))]
)
def test_different_shapes_are_refused_and_not_broadcast(name, true_shape, pred_shape):
    if name == SPARSE and (true_shape, pred_shape) == ((4, 1), (4, 3)):
        pytest.skip("labels as a column are right for it")
    with pytest.raises(ValueError, match=r"`y_true` and `y_pred` must have"):
        EXAMPLES[name]()(np.ones(true_shape, "float32"), np.full(pred_shape, 0.5, "float32"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_config_restores_the_same_loss(name):
    loss = EXAMPLES[name]()
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    y_true = np.array([0, 1, 2]) if name.startswith("Sparse") else np.eye(3, dtype="float32")
    assert_same(value(again, y_true, DISTRIBUTION[:3, :3]), value(loss, y_true, DISTRIBUTION[:3, :3]))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "PerceptronLoss"])
def test_arguments_and_defaults_are_those_of_keras(name):
    mine, keras_loss = (inspect.signature(getattr(module, name)).parameters for module in (losses, keras.losses))
    assert {k: p.default for k, p in mine.items()} == {k: p.default for k, p in keras_loss.items()}
    assert theirs(name).get_config().items() <= ours(name).get_config().items()  # Keras loses `delta` and one `axis`


rows = arrays("float32", (3, 4), elements=st.floats(-20, 20, width=32))
positive = arrays("float32", (3, 4), elements=st.floats(0.125, 1, width=32))


@given(y=rows, other=rows)
def test_errors_are_minimal_at_the_target(y, other):
    for name in ("MeanSquaredError", "MeanAbsoluteError", "Huber"):
        assert value(ours(name), y, y) == 0
        assert value(ours(name), y, other) >= 0
        assert value(ours(name), y, other) == pytest.approx(value(ours(name), other, y), rel=1e-5, abs=1e-6)


@given(y=positive, other=positive)
def test_cross_entropy_is_minimal_at_the_true_distribution(y, other):
    y, other = (x / x.sum(axis=-1, keepdims=True) for x in (y, other))
    classes = y.argmax(axis=-1)
    for name in ("BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence"):
        assert value(ours(name), y, y) <= value(ours(name), y, other) + 1e-6
    assert abs(value(losses.KLDivergence(), y, y)) < 1e-6
    sparse, dense = losses.SparseCategoricalCrossentropy(), losses.CategoricalCrossentropy()
    assert value(sparse, classes, other) == pytest.approx(value(dense, np.eye(4)[classes], other), rel=1e-5)
    entropy = value(dense, y, y)
    assert value(dense, y, other) - entropy == pytest.approx(value(losses.KLDivergence(), y, other), abs=2e-6)


@given(z=rows, shift=st.floats(-20, 20, width=32), seed=st.integers(0, 99))
def test_classification_losses_are_minimal_for_a_certain_right_prediction(z, shift, seed):
    classes = np.random.default_rng(seed).integers(0, 4, size=3)
    one_hot = np.eye(4, dtype="float32")[classes]
    for name in (
        "BinaryCrossentropy",
        "CategoricalCrossentropy",
        "BinaryFocalCrossentropy",
        "CategoricalFocalCrossentropy",
    ):
        loss = ours(name, {"from_logits": True})
        assert value(loss, one_hot, 60 * one_hot - 30) <= value(loss, one_hot, z) + 1e-6
    for name in ("PerceptronLoss", "Hinge"):
        assert value(ours(name), one_hot, 2 * one_hot - 1) == 0 <= value(ours(name), one_hot, z)
    softmax_loss = losses.CategoricalCrossentropy(from_logits=True)
    shifted = value(softmax_loss, one_hot, z + shift)
    assert shifted == pytest.approx(value(softmax_loss, one_hot, z), rel=1e-5, abs=2e-5)


@given(y=arrays("float32", (3, 4), elements=st.sampled_from([0.0, 1.0])), p=positive)
def test_focal_loss_with_gamma_0_is_cross_entropy_and_otherwise_smaller(y, p):
    p = p * 0.9
    plain = value(losses.BinaryCrossentropy(), y, p)
    assert value(losses.BinaryFocalCrossentropy(gamma=0.0), y, p) == pytest.approx(plain, rel=1e-5)
    assert value(losses.BinaryFocalCrossentropy(gamma=2.0), y, p) <= plain


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_has_a_gradient_for_a_certain_right_prediction(gamma, gradient):
    """Keras's is NaN there for a focus below 1."""
    focal = losses.BinaryFocalCrossentropy(from_logits=True, gamma=gamma)
    z, right = np.array([[-40.0], [40.0], [90.0]], "float32"), np.array([[0.0], [1.0], [1.0]], "float32")
    np.testing.assert_allclose(gradient(lambda z: focal(right, z), z)[0], 0, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_labels_are_a_mixture_with_the_uniform_distribution(smoothing):
    dense, binary = losses.CategoricalCrossentropy, losses.BinaryCrossentropy
    even = np.full_like(ONE_HOT, 0.25)
    mixed = (1 - smoothing) * ONE_HOT + smoothing * even
    assert_same(value(dense(label_smoothing=smoothing), ONE_HOT, DISTRIBUTION), value(dense(), mixed, DISTRIBUTION))
    mixed = (1 - smoothing) * YES_NO + smoothing / 2
    assert_same(value(binary(label_smoothing=smoothing), YES_NO, CHANCES), value(binary(), mixed, CHANCES))


def test_smoothing_divides_by_the_classes_along_their_axis():
    """Keras divides by the size of the last axis, wherever the classes are."""
    loss = losses.CategoricalCrossentropy(label_smoothing=0.3, axis=1)
    swapped = losses.CategoricalCrossentropy(label_smoothing=0.3)
    y, p = ONE_HOT.reshape(2, 3, 4), DISTRIBUTION.reshape(2, 3, 4)
    assert_same(value(loss, np.swapaxes(y, 1, 2), np.swapaxes(p, 1, 2)), value(swapped, y, p))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Huber", {"delta": 0}),
        ("Huber", {"delta": "1"}),
        ("Huber", {"delta": math.nan}),
        ("BinaryCrossentropy", {"label_smoothing": 1.1}),
        ("BinaryCrossentropy", {"label_smoothing": "0.1"}),
        ("BinaryCrossentropy", {"from_logits": "yes"}),
        ("CategoricalCrossentropy", {"label_smoothing": -0.1}),
        ("CategoricalCrossentropy", {"axis": True}),
        (SPARSE, {"axis": "last"}),
        (SPARSE, {"ignore_class": "pad"}),
        ("BinaryFocalCrossentropy", {"gamma": -1}),
        ("BinaryFocalCrossentropy", {"alpha": 1.5}),
        ("CategoricalFocalCrossentropy", {"gamma": math.nan}),
        ("MeanSquaredError", {"reduction": "average"}),
    ],
)
def test_bad_argument_is_named(name, arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}`"):
        ours(name, arguments)
