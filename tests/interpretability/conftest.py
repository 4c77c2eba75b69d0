"""Models whose explanation is known exactly, and a small trained network."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def linear():
    """`linear(weights, shape)`: a model that computes a weighted sum of its input for each column of `weights`."""

    def build(weights, shape):
        weights = np.asarray(weights, "float32")
        model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(weights.shape[1])])
        model.set_weights([weights, np.linspace(-1, 1, weights.shape[1])])
        return model

    return build


@pytest.fixture(scope="session")
def digits():
    """The 8 x 8 digits of scikit-learn as pixels 0..1, `(1797, 8, 8, 1)`, and their classes."""
    from sklearn.datasets import load_digits

    images, y = load_digits(return_X_y=True)
    return (images / 16).astype("float32").reshape(-1, 8, 8, 1), y


@pytest.fixture(scope="session")
def digits_model(digits):
    """A small convolutional network, trained on 1,500 digits."""
    x, y = digits
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(12, 3, padding="same", activation="relu", name="first"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(24, 3, padding="same", activation="relu", name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:1500], y[:1500], batch_size=50, epochs=8, verbose=0)
    assert model.evaluate(x[1500:], y[1500:], verbose=0)[1] > 0.9
    return model
