"""Recurrent layers: one cell at every step, equal to Keras, with masks and in two directions."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.recurrent import GRU, LSTM, Bidirectional, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell


def sequences(batch=2, time=4, features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, features)).astype("float32")


EXAMPLES = {
    "SimpleRNNCell": lambda: (keras.layers.RNN(SimpleRNNCell(3)), sequences()),
    "LSTMCell": lambda: (keras.layers.RNN(LSTMCell(3)), sequences()),
    "GRUCell": lambda: (keras.layers.RNN(GRUCell(3)), sequences()),
    "SimpleRNN": lambda: (SimpleRNN(3), sequences()),
    "LSTM": lambda: (LSTM(3), sequences()),
    "LSTM return_sequences": lambda: (LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid"), sequences()),
    "GRU": lambda: (GRU(3), sequences()),
    "GRU reset before": lambda: (GRU(3, reset_after=False, return_sequences=True), sequences()),
    "Bidirectional": lambda: (Bidirectional(LSTM(3, return_sequences=True)), sequences()),
}

PAIRS = [(SimpleRNN, keras.layers.SimpleRNN), (LSTM, keras.layers.LSTM), (GRU, keras.layers.GRU)]
CELLS = [
    (SimpleRNNCell, keras.layers.SimpleRNNCell),
    (LSTMCell, keras.layers.LSTMCell),
    (GRUCell, keras.layers.GRUCell),
]
VARIANTS = [
    (SimpleRNN, {}),
    (SimpleRNN, {"activation": "relu", "use_bias": False, "return_sequences": True, "go_backwards": True}),
    (LSTM, {}),
    (LSTM, {"activation": "relu", "recurrent_activation": "hard_sigmoid", "unit_forget_bias": False}),
    (LSTM, {"use_bias": False, "return_sequences": True, "return_state": True, "go_backwards": True}),
    (GRU, {}),
    (GRU, {"reset_after": False, "activation": "relu", "recurrent_activation": "hard_sigmoid"}),
    (GRU, {"use_bias": False, "return_sequences": True, "return_state": True, "go_backwards": True}),
]


def like_keras(layer, x, seed=1):
    """Keras's layer of the same name and arguments, and both with the same random weights (biases too)."""
    theirs = getattr(keras.layers, type(layer).__name__)
    config = layer.get_config()
    if isinstance(layer, Bidirectional):
        inner = layer.forward_layer
        theirs = theirs(getattr(keras.layers, type(inner).__name__).from_config(inner.get_config()), layer.merge_mode)
    else:
        theirs = theirs.from_config(config)
    layer(x), theirs(x)
    random = np.random.default_rng(seed)
    weights = [random.normal(size=w.shape, scale=0.5).astype("float32") for w in layer.get_weights()]
    layer.set_weights(weights)
    theirs.set_weights(weights)
    return theirs


def assert_equal(ours, theirs):
    ours, theirs = keras.tree.flatten(ours), keras.tree.flatten(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        a, b = ops.convert_to_numpy(a), ops.convert_to_numpy(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_layers_use_our_cells_and_keep_their_weights(ours, theirs):
    layer = ours(3)
    layer.build((None, None, 2))
    like = theirs(3)
    like.build((None, None, 2))
    assert type(layer.cell).__module__ == "kerasfound.layers.recurrent"
    assert [(w.path.split("/")[-1], w.shape) for w in layer.weights] == [
        (w.path.split("/")[-1], w.shape) for w in like.weights
    ]
    assert type(ours.from_config(layer.get_config()).cell) is type(layer.cell)


@pytest.mark.parametrize(("ours", "variant"), VARIANTS)
def test_outputs_and_weight_gradients_equal_keras(ours, variant, weight_gradients):
    x = sequences()
    # Keras's slow loop, so that our cell runs on every backend
    layer = ours(3, **variant) if ours is SimpleRNN else ours(3, use_cudnn=False, **variant)
    theirs = like_keras(layer, x)
    assert_equal(layer(x), theirs(x))
    assert_equal(weight_gradients(layer, x), weight_gradients(theirs, x))


@pytest.mark.parametrize("ours", [SimpleRNN, LSTM, GRU])
def test_default_path_equals_our_cell_step_by_step(ours):
    layer, x = ours(3, return_sequences=True), sequences()
    y = layer(x)
    states = layer.cell.get_initial_state(batch_size=2)
    for t in range(4):
        h, states = layer.cell(x[:, t], states)
        assert_equal(h, y[:, t])


@pytest.mark.parametrize("ours", [SimpleRNN, LSTM, GRU])
def test_masked_steps_equal_keras(ours, weight_gradients):
    x, mask = sequences(), np.array([[1, 1, 0, 0], [0, 1, 0, 1]], "bool")
    layer = ours(3, return_sequences=True, return_state=True)
    theirs = like_keras(layer, x)
    assert_equal(layer(x, mask=mask), theirs(x, mask=mask))
    assert_equal(weight_gradients(layer, x, mask=mask), weight_gradients(theirs, x, mask=mask))


@pytest.mark.parametrize("ours", [SimpleRNN, LSTM, GRU])
@settings(max_examples=3)
@given(padding=st.integers(1, 3), junk=st.floats(-1e3, 1e3, width=32))
def test_masked_padding_has_no_effect(ours, padding, junk):
    keras.utils.set_random_seed(0)
    layer, x = ours(3), sequences()
    padded = np.concatenate([x, np.full((2, padding, 3), junk, "float32")], axis=1)
    mask = np.arange(4 + padding)[None].repeat(2, 0) < 4
    assert_equal(layer(padded, mask=mask), layer(x))


@pytest.mark.parametrize("ours", [SimpleRNN, LSTM, GRU])
def test_later_steps_do_not_change_earlier_outputs(ours):
    layer, x = ours(3, return_sequences=True), sequences()
    changed = x.copy()
    changed[:, 2:] += 1.0
    np.testing.assert_array_equal(layer(x)[:, :2], layer(changed)[:, :2])


@pytest.mark.parametrize("ours", [SimpleRNN, LSTM, GRU])
def test_a_stateful_layer_continues_from_the_last_batch(ours):
    x = sequences()
    whole, parts = ours(3, return_sequences=True), ours(3, return_sequences=True, stateful=True)
    y = whole(x)
    parts.build((2, 2, 3))
    parts.cell.set_weights(whole.cell.get_weights())
    assert_equal(ops.concatenate([parts(x[:, :2]), parts(x[:, 2:])], axis=1), y)
    parts.reset_state()
    assert_equal(parts(x[:, :2]), y[:, :2])


@pytest.mark.parametrize("ours", [SimpleRNN, LSTM, GRU])
def test_initial_state_continues_a_sequence(ours):
    layer, x = ours(3, return_state=True), sequences()
    y, *_ = layer(x)
    _, *states = layer(x[:, :2])
    assert_equal(layer(x[:, 2:], initial_state=states)[0], y)


@pytest.mark.parametrize("ours", [SimpleRNN, LSTM, GRU])
def test_unknown_batch_and_time(ours):
    inputs = keras.Input((None, 3))
    layer = ours(2, return_sequences=True)
    model = keras.Model(inputs, layer(inputs))
    for batch, time in ((1, 2), (3, 5)):
        x = sequences(batch, time)
        np.testing.assert_allclose(model.predict(x, verbose=0), layer(x), atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "rates"),
    [
        (SimpleRNN, {"dropout": 0.5, "recurrent_dropout": 0.5}),
        (LSTM, {"dropout": 0.5}),
        (LSTM, {"dropout": 0.5, "recurrent_dropout": 0.5}),
        (GRU, {"dropout": 0.5}),
        (GRU, {"recurrent_dropout": 0.5}),
    ],
)
def test_dropout_draws_what_keras_draws(ours, rates):
    x = sequences()
    layer, theirs = ours(3, seed=7, **rates), getattr(keras.layers, ours.__name__)(3, seed=7, **rates)
    layer.build(x.shape), theirs.build(x.shape)
    theirs.set_weights(layer.get_weights())
    assert_equal(layer(x, training=True), theirs(x, training=True))
    assert np.abs(ops.convert_to_numpy(layer(x, training=True) - layer(x, training=False))).max() > 0


@pytest.mark.parametrize(
    ("merge_mode", "inner"),
    [
        ("concat", lambda: LSTM(3, return_state=True)),
        ("sum", lambda: SimpleRNN(3, return_sequences=True)),
        ("mul", lambda: GRU(3)),
        ("ave", lambda: SimpleRNN(3)),
        (None, lambda: SimpleRNN(3, return_sequences=True, return_state=True)),
    ],
)
def test_bidirectional_equals_keras(merge_mode, inner, weight_gradients):
    x, mask = sequences(), np.array([[1, 1, 0, 0], [1, 1, 1, 1]], "bool")
    layer = Bidirectional(inner(), merge_mode=merge_mode)
    theirs = like_keras(layer, x)
    assert type(layer.backward_layer.cell).__module__ == "kerasfound.layers.recurrent"
    assert_equal(layer(x, mask=mask), theirs(x, mask=mask))
    assert_equal(weight_gradients(layer, x), weight_gradients(theirs, x))


def test_bidirectional_is_one_layer_forward_and_one_on_the_reversed_sequence():
    layer, x = Bidirectional(GRU(3, return_sequences=True)), sequences()
    y = layer(x)
    turned = GRU(3, return_sequences=True)
    turned.build(x.shape)
    turned.set_weights(layer.backward_layer.get_weights())
    backward = ops.flip(turned(x[:, ::-1]), axis=1)
    assert_equal(y, ops.concatenate([layer.forward_layer(x), backward], axis=-1))


def test_lstm_keeps_a_gradient_that_vanishes_in_a_plain_network(gradient):
    """Through 30 steps, the gradient of the last output with respect to the first input."""
    x = sequences(1, 30, 1)

    def gradient_size(layer):
        return np.abs(gradient(lambda s: layer(s), x)[0][0, 0]).max()

    remember = keras.initializers.Constant(np.repeat([1.0, 4.0, 0.0, 1.0], 4))  # open gates: i, f, c, o
    lstm = LSTM(4, bias_initializer=remember, unit_forget_bias=False)
    plain = SimpleRNN(4, recurrent_initializer=keras.initializers.Orthogonal(gain=0.5))
    assert gradient_size(lstm) > 1e3 * gradient_size(plain)


@pytest.mark.parametrize("cell", [SimpleRNNCell, LSTMCell, GRUCell])
def test_cells_stack(cell):
    x = sequences()
    assert keras.layers.RNN([cell(3), cell(2)])(x).shape == (2, 2)


@pytest.mark.parametrize("block", [SimpleRNNCell, LSTMCell, GRUCell, SimpleRNN, LSTM, GRU])
@pytest.mark.parametrize(
    ("argument", "value"), [("units", 0), ("units", 2.5), ("units", "4"), ("dropout", 1.5), ("recurrent_dropout", -1)]
)
def test_bad_arguments_are_named(block, argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}` must be .*, got "):
        block(**{"units": 3, argument: value})


def test_config_has_the_settings_that_keras_loses():
    assert LSTM.from_config(LSTM(3, use_cudnn=False).get_config()).use_cudnn is False
    assert GRU.from_config(GRU(3, use_cudnn=False).get_config()).use_cudnn is False
    plain = SimpleRNN.from_config(SimpleRNN(3, seed=7, activity_regularizer="l2").get_config())
    assert plain.cell.seed == 7
    plain(sequences())
    assert len(plain.losses) == 1
