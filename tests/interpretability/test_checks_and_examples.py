"""Curves of deletion and insertion, the randomization check, calibration, filters and nearest examples."""

import keras
import numpy as np
import pytest
from scipy.ndimage import sobel

from kerasfound import interpretability
from kerasfound.errors import UserError
from kerasfound.training import first_filters

rng = np.random.default_rng(0)


def test_the_true_ranking_of_a_linear_model_has_the_best_curves(linear):
    w = rng.uniform(0.1, 1, size=(16, 1))
    model = linear(w, (4, 4, 1))
    x = rng.uniform(0.1, 1, size=(6, 4, 4, 1)).astype("float32")
    truth = (x * w.reshape(4, 4, 1)).sum(-1)

    def area(importance, kind):
        return interpretability.pixel_curve(model, x, importance, kind, steps=16).area

    for _ in range(5):
        other = rng.normal(size=truth.shape)
        assert area(truth, "deletion") < area(other, "deletion")
        assert area(truth, "insertion") > area(other, "insertion")
    assert area(truth, "deletion") == pytest.approx(area(-truth, "deletion"), abs=10)  # finite
    curve = interpretability.pixel_curve(model, x, truth, "deletion", steps=4)
    np.testing.assert_allclose(curve.outputs[:, 0], model.predict(x, verbose=0)[:, 0], rtol=1e-5)
    np.testing.assert_allclose(curve.outputs[:, -1], -1, rtol=1e-5)  # the bias alone


def test_the_edge_detector_is_sobels():
    x = rng.uniform(size=(2, 7, 9, 3))
    gray = x.mean(-1)
    expected = [np.hypot(sobel(image, 0, mode="nearest"), sobel(image, 1, mode="nearest")) for image in gray]
    np.testing.assert_allclose(interpretability.edge_detector(x), expected)


def test_contributions_beat_the_edge_detector_and_chance_on_digits(digits, digits_model):
    x = digits[0][1500:1560]
    path = interpretability.integrated_gradients(digits_model, x, tolerance=0.5).attributions.sum(-1)
    areas = {
        name: [interpretability.pixel_curve(digits_model, x, values, kind).area for kind in ("deletion", "insertion")]
        for name, values in (
            ("path", path),
            ("edges", interpretability.edge_detector(x)),
            ("random", np.random.default_rng(0).normal(size=path.shape)),
        )
    }
    assert areas["path"][0] < areas["edges"][0] < areas["random"][0]
    assert areas["path"][1] > areas["edges"][1] > areas["random"][1]


def test_maps_of_the_image_fail_the_randomization_check_and_gradients_pass_it(digits, digits_model):
    x = digits[0][1500:1510]
    before = digits_model.get_weights()
    target = digits_model.predict(x, verbose=0).argmax(-1)

    def gradient(model, x):
        return interpretability.saliency(model, x, target)

    edges = interpretability.randomization_check(lambda model, x: interpretability.edge_detector(x), digits_model, x)
    assert edges == pytest.approx(1)
    assert interpretability.randomization_check(gradient, digits_model, x, seeds=2) < 0.6
    for now, then in zip(digits_model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def softmax(z):
    q = np.exp(z - z.max(-1, keepdims=True))
    return q / q.sum(-1, keepdims=True)


def sampled(temperature, rows=20_000):
    """Classes drawn from softmax(z / temperature), and the probabilities softmax(z) of a model that is too sure."""
    z = rng.normal(size=(rows, 4)) * 4
    truth = softmax(z / temperature)
    y = (truth.cumsum(-1) > rng.uniform(size=(rows, 1))).argmax(-1)
    return softmax(z), y


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_scaling_recovers_the_temperature_of_the_data(temperature):
    p, y = sampled(temperature)
    found = interpretability.temperature_scaling(p, y)
    assert found.value == pytest.approx(temperature, rel=0.06)
    assert found.after.error < 0.02
    assert found.after.error <= found.before.error + 1e-3
    np.testing.assert_array_equal(found.scale(p).argmax(-1), p.argmax(-1))  # no decision changes


def test_the_calibration_error_of_an_honest_model_is_small_and_of_a_sure_one_what_it_claims_too_much():
    p, y = sampled(1.0)
    assert interpretability.calibration(p, y).error < 0.015
    sure = np.tile([1.0, 0.0], (1000, 1))
    assert interpretability.calibration(sure, np.arange(1000) % 4 == 0).error == pytest.approx(0.25)


def test_rows_that_are_all_right_have_no_best_temperature():
    with pytest.raises(UserError, match="100% of the 3 rows are predicted right"):
        interpretability.temperature_scaling([[0.9, 0.1]] * 3, [0, 0, 0])


def test_logits_are_no_probabilities():
    with pytest.raises(UserError, match="apply a softmax to logits"):
        interpretability.temperature_scaling([[3.0, -2.0]], [0])


def test_an_image_made_for_a_linear_filter_is_bright_where_its_weight_is_above_zero():
    kernel = rng.choice([-1.0, 1.0], size=(4, 4, 2, 3)) * rng.uniform(0.3, 1, size=(4, 4, 2, 3))
    layer = keras.layers.Conv2D(3, 4, use_bias=False, name="linear")
    model = keras.Sequential([keras.Input((4, 4, 2)), layer])
    layer.set_weights([kernel])
    images = interpretability.exciting_images(model, "linear", [2, 0], low=0, high=255, steps=200)
    np.testing.assert_allclose(images, np.moveaxis(np.where(kernel > 0, 255, 0)[..., [2, 0]], -1, 0), atol=3)


def test_examples_that_excite_a_filter_come_first():
    layer = keras.layers.Conv2D(2, 1, use_bias=False, name="linear")
    model = keras.Sequential([keras.Input((3, 3, 1)), layer])
    layer.set_weights([np.array([1.0, -1.0]).reshape(1, 1, 1, 2)])
    x = np.arange(5.0)[:, None, None, None] * np.ones((5, 3, 3, 1))
    found = interpretability.exciting_examples(model, "linear", [0, 1], x, count=2)
    assert found.places.tolist() == [[4, 3], [0, 1]]
    assert found.responses.tolist() == [[4, 3], [0, -1]]
    with pytest.raises(UserError, match="filter 2: layer 'linear' has 2"):
        interpretability.exciting_examples(model, "linear", [2], x)


def test_the_nearest_example_of_a_training_row_is_itself(digits, digits_model):
    x, y = digits
    found = interpretability.nearest_examples(digits_model, x[:20], x[:300], count=3)
    assert found.places[:, 0].tolist() == list(range(20))
    np.testing.assert_allclose(found.distances[:, 0], 0, atol=1e-5)
    assert (y[found.places[:, 1:]] == y[:20, None]).mean() > 0.8  # neighbours have the same class
    assert found.layer == digits_model.layers[-1].name


def test_the_report_draws_the_filters_of_the_first_convolution(digits_model, linear):
    (section,) = first_filters.filters_sections(digits_model)
    assert len(section.figure.axes) == 12
    assert "12 filters of first" in section.alt
    assert first_filters.filters_sections(linear(np.ones((4, 1)), (4,))) == []
