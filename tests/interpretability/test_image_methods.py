"""Grad-CAM on models of every kind, and occlusion."""

import keras
import numpy as np
import pytest

from kerasfound import interpretability
from kerasfound.errors import UserError

IMAGES = np.random.default_rng(1).uniform(0, 1, (3, 8, 8, 1)).astype("float32")


def convolutions():
    return [
        keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="one"),
        keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="two"),
    ]


def sequential():
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="head")]
    return keras.Sequential([keras.Input((8, 8, 1)), *convolutions(), *head])


def functional():
    image = keras.Input((8, 8, 1))
    x = image
    for layer in convolutions():
        x = layer(x)
    return keras.Model(image, keras.layers.Dense(3, name="head")(keras.layers.GlobalAveragePooling2D()(x)))


def nested():
    image = keras.Input((8, 8, 1))
    inner = keras.Sequential([keras.Input((8, 8, 1)), *convolutions()], name="inner")
    x = keras.layers.GlobalAveragePooling2D()(inner(image))
    return keras.Model(image, keras.layers.Dense(3, name="head")(x))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.two = convolutions()
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(3, name="head")

    def call(self, x):
        return self.head(self.pool(self.two(self.one(x))))


def views():
    """The mean output of a network for an image and its mirror image, in one batch."""
    image = keras.Input((8, 8, 1))
    both = keras.ops.concatenate([image, image[:, :, ::-1]], axis=0)
    inner = sequential()
    return keras.Model(image, keras.ops.mean(keras.ops.reshape(inner(both), (2, -1, 3)), axis=0))


def weights(seed=0):
    generator = np.random.default_rng(seed)
    model = sequential()
    return [generator.normal(size=w.shape) for w in model.get_weights()]


def closed_form(model, images, target):
    """Before global average pooling and a dense layer, alpha is the dense weight over the number of places."""
    layers = {layer.name: layer for layer in model._flatten_layers()}
    A = keras.ops.convert_to_numpy(layers["two"](layers["one"](images)))
    w = layers["head"].get_weights()[0][:, target]
    return np.maximum(0, (A * w).sum(-1) / 64)


@pytest.mark.parametrize("build", [sequential, functional, nested, Subclassed])
@pytest.mark.parametrize("layer", [None, "two"])
def test_grad_cam_equals_its_closed_form_before_global_pooling(build, layer):
    model = build()
    model(IMAGES)
    model.set_weights(weights())
    for target in range(3):
        maps = interpretability.grad_cam(model, IMAGES, target, layer, upsample=False)
        np.testing.assert_allclose(maps, closed_form(model, IMAGES, target), rtol=1e-4, atol=1e-6)


def test_the_model_computes_as_before_after_grad_cam():
    model = nested()
    before = model.predict(IMAGES, verbose=0)
    interpretability.grad_cam(model, IMAGES)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), before)
    assert all("call" not in vars(layer) for layer in model._flatten_layers())


def test_several_views_of_an_image_in_one_batch_are_averaged():
    """The mirrored view has half of the weight, and its map is that of the mirrored image."""
    model = views()
    model.set_weights(weights())
    maps = interpretability.grad_cam(model, IMAGES, 1, upsample=False)
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Sequential))
    expected = (closed_form(inner, IMAGES, 1) + closed_form(inner, IMAGES[:, :, ::-1], 1)) / 4
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_the_map_has_the_size_of_the_image(digits, digits_model):
    assert interpretability.grad_cam(digits_model, digits[0][:4]).shape == (4, 8, 8)
    assert interpretability.grad_cam(digits_model, digits[0][:4], layer="second", upsample=False).shape == (4, 4, 4)


def test_grad_cam_names_layers_that_exist(digits, digits_model):
    with pytest.raises(UserError, match="'secnd': the model has no such layer; some of its layers: second"):
        interpretability.grad_cam(digits_model, digits[0][:1], layer="secnd")
    with pytest.raises(UserError, match="Grad-CAM needs feature maps"):
        interpretability.grad_cam(digits_model, digits[0][:1], layer=digits_model.layers[-1].name)


def test_a_network_without_convolution_is_told_what_fits(linear):
    with pytest.raises(UserError, match="no feature maps of a convolution; saliency, integrated_gradients"):
        interpretability.grad_cam(linear(np.ones((64, 2)), (8, 8, 1)), IMAGES)


@pytest.mark.parametrize("channels", [1, 3])
def test_occlusion_of_one_pixel_of_a_linear_model_is_its_contribution(linear, channels):
    generator = np.random.default_rng(2)
    w = generator.normal(size=(16 * channels, 2))
    x = generator.uniform(size=(3, 4, 4, channels)).astype("float32")
    found = interpretability.occlusion(linear(w, (4, 4, channels)), x, 1, patch=1)
    np.testing.assert_allclose(found, (x * w[:, 1].reshape(4, 4, channels)).sum(-1), rtol=1e-4, atol=1e-5)


def test_occlusion_by_patches_side_by_side_shares_the_contribution_of_each_patch(linear):
    w = np.random.default_rng(3).normal(size=(16, 2))
    x = IMAGES[:, :4, :4]
    found = interpretability.occlusion(linear(w, (4, 4, 1)), x, 0, patch=2, stride=2)
    exact = (x[..., 0] * w[:, 0].reshape(4, 4)).reshape(3, 2, 2, 2, 2).sum((2, 4))
    np.testing.assert_allclose(found, exact.repeat(2, 1).repeat(2, 2), rtol=1e-4, atol=1e-5)


def test_patches_cover_the_border(linear):
    model = linear(np.ones((25, 2)), (5, 5, 1))
    found = interpretability.occlusion(model, np.ones((1, 5, 5, 1)), 0, patch=3, stride=3)
    assert (found > 0).all()


def test_occlusion_refuses_patches_that_do_not_fit(linear):
    model = linear(np.ones((16, 2)), (4, 4, 1))
    with pytest.raises(UserError, match="`patch` must be in 1 to 4"):
        interpretability.occlusion(model, IMAGES[:, :4, :4], patch=5)
    with pytest.raises(UserError, match="`stride` must be in 1 to 2"):
        interpretability.occlusion(model, IMAGES[:, :4, :4], patch=2, stride=3)
