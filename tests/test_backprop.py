"""The backward pass by hand gives the gradients of automatic differentiation."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound import activations, gradients
from kerasfound.backprop import CrossEntropy, Dense, MeanSquaredError, Network

DATA = np.random.default_rng(0)
X = DATA.normal(size=(5, 3))
Y = np.eye(2)[[0, 1, 1, 0, 1]]
SMOOTH = ["linear", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus"]


def network(activation="tanh", loss=None, dtype="float32"):
    hidden = getattr(activations, activation)
    layers = [Dense(3, 4, hidden, 1, dtype), Dense(4, 4, hidden, 2, dtype), Dense(4, 2, seed=3, dtype=dtype)]
    return Network(layers, loss)


def both_ways(net, gradient, dtype):
    """Gradients of the loss for all weights: by hand, and by the backend."""
    net.backward(Y, net.forward(X.astype(dtype)))
    by_hand = [ops.convert_to_numpy(d) for layer in net.layers for d in (layer.dW, layer.db)]
    weights = [ops.convert_to_numpy(w) for layer in net.layers for w in (layer.W, layer.b)]

    def loss(*weights):
        for layer, W, b in zip(net.layers, weights[::2], weights[1::2], strict=True):
            layer.W, layer.b = W, b
        return net.loss(ops.convert_to_tensor(Y, dtype), net.forward(X.astype(dtype)))

    return by_hand, gradient(loss, *weights)


@pytest.mark.parametrize("loss", [MeanSquaredError(), CrossEntropy()], ids=["squares", "entropy"])
@pytest.mark.parametrize("activation", [*SMOOTH, "relu", "leaky_relu"])
def test_by_hand_equals_automatic(activation, loss, gradient):
    for ours, theirs in zip(*both_ways(network(activation, loss), gradient, "float32"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("loss", [MeanSquaredError(), CrossEntropy()], ids=["squares", "entropy"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_by_hand_equals_automatic_to_twelve_digits_in_float64(activation, loss, gradient):
    with gradients.float64():
        for ours, theirs in zip(*both_ways(network(activation, loss, "float64"), gradient, "float64"), strict=True):
            assert ours.dtype == theirs.dtype == np.float64
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_outputs_and_loss_equal_keras_with_the_same_weights():
    ours = network()
    theirs = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)])
    theirs.build((None, 3))
    theirs.set_weights([ops.convert_to_numpy(w) for layer in ours.layers for w in (layer.W, layer.b)])
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours.forward(X)), ops.convert_to_numpy(theirs(X.astype("float32"))), atol=1e-6
    )
    theirs.compile(keras.optimizers.SGD(0.1), "mse")
    theirs.fit(X, Y, batch_size=5, epochs=20, verbose=0)
    ours.fit(X, Y, steps=20, learning_rate=0.1)
    for layer, kernel in zip(ours.layers, theirs.get_weights()[::2], strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(layer.W), kernel, atol=1e-6)


@pytest.mark.parametrize("loss", [MeanSquaredError(), CrossEntropy()], ids=["squares", "entropy"])
def test_the_losses_gradients_are_right(loss):
    def of_prediction(y_hat):
        return loss(ops.convert_to_tensor(Y, "float64"), y_hat)

    def analytic(y_hat):
        return loss.gradient(ops.convert_to_tensor(Y, "float64"), y_hat)

    y_hat = DATA.normal(size=Y.shape)
    with gradients.float64():
        derivative = ops.convert_to_numpy(analytic(ops.convert_to_tensor(y_hat)))
    result = gradients.check(of_prediction, y_hat)
    assert result.ok
    scale = result.comparisons[0].gradient / derivative[tuple(map(int, result.comparisons[0].place[2:-1].split(",")))]
    for entry in result.comparisons:
        place = tuple(map(int, entry.place[2:-1].split(",")))
        assert entry.gradient == pytest.approx(scale * derivative[place], rel=1e-6)


@given(rate=st.floats(1e-4, 1e-2))
def test_a_small_step_goes_downhill(rate):
    losses = network(loss=CrossEntropy()).fit(X, Y, steps=3, learning_rate=rate)
    assert losses[0] > losses[1] > losses[2]


def test_the_gradient_vanishes_in_the_first_layer_of_a_deep_sigmoid_network():
    layers = [Dense(3, 3, activations.sigmoid, seed=i) for i in range(8)]
    net = Network(layers)
    net.backward(DATA.normal(size=(5, 3)), net.forward(X))
    sizes = [float(ops.norm(layer.dW)) for layer in layers]
    assert sizes[0] < 1e-3 * sizes[-1]


def test_weights_that_start_at_zero_never_learn_exclusive_or():
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    net = Network([Dense(2, 8, activations.tanh), Dense(8, 1)])
    for layer in net.layers:
        layer.W = ops.zeros_like(layer.W)
    assert net.fit(x, y, steps=100, learning_rate=0.3)[-1] >= 0.25 - 1e-6


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: Dense(0, 1), "inputs"),
        (lambda: Dense(1, 1.5), "units"),
        (lambda: Dense(1, 1, abs), "activation"),
        (lambda: Network([Dense(2, 3), Dense(4, 1)]), "layers"),
        (lambda: network().forward(np.ones((5, 4))), "x"),
        (lambda: network().fit(X, Y[:, :1]), "y"),
    ],
)
def test_bad_shapes_are_named(call, argument):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        call()
