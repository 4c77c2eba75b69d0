"""Rosenblatt's rule reaches a separating plane within Novikoff's number of mistakes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.perceptron import Mistakes, Neuron, Perceptron


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


EXAMPLES = {
    "Neuron": lambda: (Neuron(), normal(5, 3)),
    "Perceptron": lambda: (Perceptron(), normal(5, 3)),
}


def separable(seed, features=2, examples=20, margin=0.1):
    """Examples on both sides of a plane with normal vector w (the bias is its last entry), none near the plane."""
    random = np.random.default_rng(seed)
    w = random.normal(size=features + 1) * ([1.0] * features + [0.3])
    w /= np.linalg.norm(w)
    x = random.uniform(-1, 1, size=(50 * examples, features))
    z = x @ w[:-1] + w[-1]
    x, z = x[abs(z) >= margin][:examples], z[abs(z) >= margin][:examples]
    return x.astype("float32"), (z >= 0).astype("float32"), w


def rosenblatt(x, t, eta, epochs):
    """The rule in four lines of NumPy: weights, bias and the mistakes of each epoch."""
    w, b, mistakes = np.zeros(x.shape[1]), 0.0, []
    for _ in range(epochs):
        mistakes.append(0)
        for x_i, t_i in zip(x.astype("float64"), t, strict=True):
            error = t_i - float(x_i @ w + b >= 0)
            w, b = w + eta * error * x_i, b + eta * error
            mistakes[-1] += int(error != 0)
    return w, b, mistakes


def fit(x, t, learning_rate=1.0, epochs=200, model=None, **arguments):
    model = model or Perceptron(learning_rate)
    history = model.fit(x, t, epochs=epochs, verbose=0, shuffle=False, **arguments)
    return model, [int(n) for n in history.history["mistakes"]]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_takes_the_steps_of_the_rule(seed):
    x, t, _ = separable(seed, features=3)
    model, mistakes = fit(x, t, learning_rate=0.5, epochs=3)
    w, b, expected = rosenblatt(x, t, 0.5, epochs=len(mistakes))
    assert mistakes == expected
    np.testing.assert_allclose(ops.convert_to_numpy(model.kernel)[:, 0], w, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(model.bias), [b], atol=1e-5)


shared = Perceptron()
shared.build((None, 2))


@settings(max_examples=5, derandomize=True)
@given(st.integers(0, 10**6))
def test_on_separable_data_it_makes_at_most_novikoffs_number_of_mistakes(seed):
    x, t, w = separable(seed)
    shared.set_weights([np.zeros((2, 1)), np.zeros(1)])
    model, mistakes = fit(x, t, model=shared)
    x_1 = np.c_[x, np.ones(len(x))]
    R, gamma = np.linalg.norm(x_1, axis=1).max(), abs(x_1 @ w).min()
    assert sum(mistakes) <= (R / gamma) ** 2
    assert mistakes[-1] == 0
    np.testing.assert_array_equal(model.predict(x, verbose=0)[:, 0], t)


@given(st.integers(0, 10**6), st.floats(0.05, 0.3))
def test_the_bound_holds_for_the_rule_itself(seed, margin):
    x, t, w = separable(seed, features=3, margin=margin)
    x_1 = np.c_[x, np.ones(len(x))]
    bound = (np.linalg.norm(x_1, axis=1).max() / abs(x_1 @ w).min()) ** 2
    assert sum(rosenblatt(x, t, 1.0, epochs=100)[2]) <= bound


def test_it_stops_after_an_epoch_without_mistakes():
    x, t, _ = separable(0)
    _, mistakes = fit(x, t)
    assert mistakes.count(0) == 1
    assert mistakes[-1] == 0


def test_exclusive_or_does_not_converge():
    x, t = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32"), np.array([0, 1, 1, 0])
    _, mistakes = fit(x, t, epochs=12)
    assert len(mistakes) == 12
    assert min(mistakes) > 0


def test_targets_may_be_a_column_and_a_sample_weight_of_0_excludes_an_example():
    x, t, _ = separable(1)
    flat, column = fit(x, t, epochs=2)[0], fit(x, t[:, None], epochs=2)[0]
    np.testing.assert_array_equal(*[ops.convert_to_numpy(m.kernel) for m in (flat, column)])
    silenced, _ = fit(x, t, epochs=1, sample_weight=np.zeros(len(x)))
    np.testing.assert_array_equal(ops.convert_to_numpy(silenced.kernel), 0)


def test_a_loaded_perceptron_predicts_the_same_and_continues_training(tmp_path):
    x, t, _ = separable(2)
    model, _ = fit(x, t, epochs=1)
    model.save(tmp_path / "perceptron.keras")
    loaded = keras.saving.load_model(tmp_path / "perceptron.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert fit(x, t, model=loaded)[1][-1] == 0


def test_it_also_learns_from_a_stream_of_examples():
    x, t, _ = separable(1)
    stream = [(x[i : i + 1], t[i : i + 1]) for i in range(len(x))]

    class Stream(keras.utils.PyDataset):
        def __len__(self):
            return len(stream)

        def __getitem__(self, index):
            return stream[index]

    model = Perceptron()
    model.fit(Stream(), epochs=2, verbose=0, shuffle=False)
    np.testing.assert_array_equal(*[ops.convert_to_numpy(m.kernel) for m in (model, fit(x, t, epochs=2)[0])])


def test_mistakes_are_counted():
    mistakes = Mistakes()
    mistakes.update_state(np.array([0, 1, 1]), np.array([[1.0], [1.0], [0.0]]))
    mistakes.update_state(np.array([[0]]), np.array([[1.0]]))
    assert float(mistakes.result()) == 3


@pytest.mark.parametrize("activation", [None, "sigmoid", "tanh", "relu"])
def test_a_neuron_is_a_dense_layer_of_one_unit(activation, gradient, weight_gradients):
    x, neuron, dense = normal(4, 3), Neuron(activation), keras.layers.Dense(1, activation)
    neuron(x), dense(x)
    weights = [normal(3, 1, seed=1), normal(1, seed=2)]
    neuron.set_weights(weights)
    dense.set_weights(weights)
    np.testing.assert_allclose(ops.convert_to_numpy(neuron(x)), ops.convert_to_numpy(dense(x)), atol=1e-6)
    for a, b in zip(weight_gradients(neuron, x), weight_gradients(dense, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(gradient(neuron, x)[0], gradient(dense, x)[0], atol=1e-6)


def test_bad_input_is_named():
    x, t, _ = separable(0)
    with pytest.raises(ValueError, match="learning_rate"):
        Perceptron(0.0)
    with pytest.raises(ValueError, match="`y`"):
        Perceptron().fit(x, 2 * t - 1)
    with pytest.raises(ValueError, match="features"):
        Perceptron()(normal(2, 3, 4))
    with pytest.raises(ValueError, match="activation"):
        Neuron("sigmod")
