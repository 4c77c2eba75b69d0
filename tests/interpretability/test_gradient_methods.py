"""Methods by gradients: exact on linear models, complete on others, and they say what does not fit."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasfound import interpretability
from kerasfound.errors import UserError
from kerasfound.interpretability import ExplainedOutput

rng = np.random.default_rng(0)
W = rng.normal(size=(6, 3)).astype("float32")
X = rng.normal(size=(5, 6)).astype("float32")
CLASS = np.array([0, 1, 2, 1, 0])


def test_the_gradient_of_a_linear_model_is_its_weights(linear):
    gradient = interpretability.saliency(linear(W, (6,)), X, CLASS)
    np.testing.assert_allclose(gradient, W[:, CLASS].T, rtol=1e-6)


def test_noise_does_not_change_the_gradient_of_a_linear_model(linear):
    gradient = interpretability.smooth_grad(linear(W, (6,)), X, CLASS, samples=5, noise=0.5)
    np.testing.assert_allclose(gradient, W[:, CLASS].T, rtol=1e-5)


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_contributions_to_a_linear_model_are_weight_times_input(linear, baseline):
    exact = W[:, CLASS].T * (X - baseline)
    model = linear(W, (6,))
    by_input = interpretability.input_times_gradient(model, X, CLASS, baseline)
    by_path = interpretability.integrated_gradients(model, X, CLASS, baseline)
    np.testing.assert_allclose(by_input, exact, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_path.attributions, exact, rtol=1e-5, atol=1e-6)
    assert by_path.steps == 8  # the smallest number: nothing to gain from more


def test_smooth_grad_is_the_gradient_of_the_smoothed_model():
    """For x^2 the mean gradient over symmetric noise is 2x; for |x| at 0 it is 0, where the gradient jumps."""
    x = keras.Input((1,))
    square = keras.Model(x, ops.square(x))
    rows = np.array([[3.0]], "float32")
    assert interpretability.smooth_grad(square, rows, noise=0.3)[0, 0] == pytest.approx(6.0)  # a range of 0: no noise
    two = keras.Input((2,))
    model = keras.Model(two, ops.sum(ops.abs(two), -1, keepdims=True))
    smooth = interpretability.smooth_grad(model, [[0.0, 10.0]], samples=400, noise=0.1)
    np.testing.assert_allclose(smooth, [[0, 1]], atol=0.12)


@pytest.mark.parametrize("scale", ["auto", "output"])
def test_integrated_gradients_sum_to_the_change_of_the_output(digits, digits_model, scale):
    x = digits[0][1500:1520]
    result = interpretability.integrated_gradients(digits_model, x, tolerance=0.01, scale=scale)
    explained = ExplainedOutput(digits_model, x, scale=scale)
    change = explained.values() - explained.values(np.zeros_like(x))
    np.testing.assert_allclose(result.change, change, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_less(np.abs(result.total - change), 0.0101 * np.maximum(np.abs(change), 1))
    assert result.error <= 0.01


def test_more_steps_are_taken_for_a_smaller_tolerance(digits, digits_model):
    x = digits[0][1500:1510]
    rough, fine = (interpretability.integrated_gradients(digits_model, x, tolerance=t) for t in (0.3, 0.01))
    assert rough.steps < fine.steps
    assert fine.error < 0.01


def test_a_jump_in_the_output_shows_as_an_error_of_completeness():
    x = keras.Input((2,))
    model = keras.Model(x, ops.cast(ops.sum(x, -1, keepdims=True) > 1, "float32") * 5.0)
    result = interpretability.integrated_gradients(model, [[2.0, 2.0]], max_steps=32)
    assert result.error == pytest.approx(1.0)  # the gradient is 0 everywhere, the change is 5
    assert result.steps == 32


def test_log_odds_are_the_logit_less_those_of_the_others_where_probabilities_are_saturated():
    x = keras.Input((2,))
    model = keras.Model(x, ops.softmax(x))
    rows = np.array([[50.0, 0.0], [0.0, 30.0]], "float32")
    assert model.predict(rows, verbose=0).max(-1).tolist() == [1.0, 1.0]  # rounded
    explained = ExplainedOutput(model, rows)
    np.testing.assert_allclose(explained.values(), [50, 30], rtol=1e-5)
    np.testing.assert_allclose(explained.gradients(), [[1, -1], [-1, 1]], rtol=1e-4)


def test_log_odds_of_many_classes_are_those_of_the_formula():
    z = rng.normal(size=(4, 5)).astype("float32")
    x = keras.Input((5,))
    explained = ExplainedOutput(keras.Model(x, ops.softmax(x)), z, 2)
    others = np.log(np.exp(np.delete(z, 2, axis=1)).sum(-1))
    np.testing.assert_allclose(explained.values(), z[:, 2] - others, rtol=1e-5)


def test_what_does_not_fit_is_said_in_one_line(linear):
    model = linear(W, (6,))
    for call, message in (
        (lambda: interpretability.saliency(model, X[:, :4]), "has the shape .rows, 6., got .5, 4."),
        (lambda: interpretability.saliency(model, X, 3), "`target` 3: no such output; the model has 3"),
        (lambda: interpretability.saliency(model, X, scale="logit"), "`scale` must be auto, log_odds or output"),
        (lambda: interpretability.saliency(model, X, scale="log_odds"), "for probabilities of two or more classes"),
        (lambda: interpretability.smooth_grad(model, X, samples=0), "`samples` must be at least 1, got 0"),
        (lambda: interpretability.integrated_gradients(model, X, tolerance=0), "`tolerance` must be above 0"),
        (lambda: interpretability.grad_cam(model, X), "Grad-CAM is for images"),
        (lambda: interpretability.occlusion(model, X), "occlusion is for images"),
    ):
        with pytest.raises(UserError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_token_ids_have_no_gradient():
    ids = keras.Input((4,), dtype="int32")
    model = keras.Model(ids, keras.layers.Flatten()(keras.layers.Embedding(5, 2)(ids)))
    with pytest.raises(UserError, match="token_attribution"):
        interpretability.saliency(model, np.ones((1, 4)))


def test_models_with_two_inputs_or_outputs_are_refused():
    a, b = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(UserError, match="2 inputs"):
        interpretability.saliency(keras.Model([a, b], a + b), np.ones((1, 2)))
    with pytest.raises(UserError, match="2 outputs"):
        interpretability.saliency(keras.Model(a, [a, 2 * a]), np.ones((1, 2)))
