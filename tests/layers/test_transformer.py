"""Transformer blocks: equal to a composition of Keras's layers, permutation equivariant, causal."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.position import SinusoidalPosition
from kerasfound.layers.transformer import CausalTransformerBlock, FeedForward, TransformerDecoder, TransformerEncoder


def sequences(batch=2, time=5, features=8, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, features)).astype("float32")


EXAMPLES = {
    "CausalTransformerBlock": lambda: (CausalTransformerBlock(16, 2), sequences()),
    "FeedForward": lambda: (FeedForward(16), sequences()),
    "TransformerEncoder": lambda: (TransformerEncoder(16, 2), sequences()),
    "TransformerEncoder normalize_first rotary": lambda: (
        TransformerEncoder(16, 2, normalize_first=True, rotary=True),
        sequences(),
    ),
    "TransformerDecoder": lambda: (TransformerDecoder(16, 2, normalize_first=True), sequences()),
    "TransformerDecoder context": lambda: (TransformerDecoder(16, 2), [sequences(), sequences(time=4, seed=1)]),
}

PADDED = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "bool")


def numpy(x):
    return ops.convert_to_numpy(x)


def randomize(layer, seed=1):
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=w.shape, scale=0.3).astype("float32") for w in layer.get_weights()])
    return layer


def assert_equal(ours, theirs):
    for a, b in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        a, b = numpy(a), numpy(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, np.abs(b).max()))


def composed(block, with_context=False):
    """Return the same block as a functional model of Keras's layers, with the weights of ours."""

    def norm():
        return keras.layers.LayerNormalization(epsilon=block.layer_norm_epsilon)

    def attend(y, z, mask, causal):
        return keras.layers.MultiHeadAttention(block.num_heads, 8 // block.num_heads)(
            y, z, attention_mask=mask, use_causal_mask=causal
        )

    def network(y):
        return keras.layers.Dense(8)(keras.layers.Dense(block.intermediate_dim, block.activation)(y))

    def around(x, sublayer):
        if block.normalize_first:
            normed = norm()
            y = normed(x)
            return keras.layers.Add()([x, sublayer(y)])
        return norm()(keras.layers.Add()([x, sublayer(x)]))

    x, z = keras.Input((None, 8)), keras.Input((None, 8))
    mask, z_mask = keras.Input((None, None), dtype="bool"), keras.Input((None, None), dtype="bool")
    causal = isinstance(block, TransformerDecoder)
    y = around(x, lambda y: attend(y, y, mask, causal))
    if with_context:
        y = around(y, lambda y: attend(y, z, z_mask, False))
    y = around(y, network)
    model = keras.Model([x, mask, z, z_mask] if with_context else [x, mask], y)

    parts = [(block.attention_norm, block.attention)]
    parts += [(block.cross_attention_norm, block.cross_attention)] if with_context else []
    parts += [(block.feed_forward_norm, block.feed_forward)]
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.LayerNormalization)]
    attentions = [layer for layer in model.layers if isinstance(layer, keras.layers.MultiHeadAttention)]
    denses = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for theirs, (ours, _) in zip(norms, parts, strict=True):
        theirs.set_weights(ours.get_weights())
    for theirs, (_, ours) in zip(attentions, parts[:-1], strict=True):
        theirs.set_weights(ours.get_weights())
    for theirs, ours in zip(denses, (block.feed_forward.widen, block.feed_forward.narrow), strict=True):
        theirs.set_weights(ours.get_weights())
    return model


def by_value(gradients):
    """Sort by shape, then by size, so that the order of the layers does not matter."""
    return sorted(gradients, key=lambda g: (g.shape, float(np.abs(g).sum())))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_feed_forward_is_two_dense_layers(activation, weight_gradients):
    x = sequences()
    layer = FeedForward(16, activation)
    layer.build(x.shape)
    randomize(layer)
    model = keras.Sequential([keras.Input((None, 8)), keras.layers.Dense(16, activation), keras.layers.Dense(8)])
    model.set_weights(layer.get_weights())
    assert_equal(layer(x), model(x))
    assert_equal(weight_gradients(layer, x), weight_gradients(model, x))


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("kind", ["encoder", "decoder", "decoder with context"])
def test_blocks_equal_a_composition_of_keras_layers(kind, normalize_first, weight_gradients):
    x, z = sequences(), sequences(time=4, seed=1)
    sees, z_mask = PADDED, np.array([[1, 1, 0, 0], [1, 1, 1, 0]], "bool")
    with_context = "context" in kind
    block = (TransformerEncoder if kind == "encoder" else TransformerDecoder)(16, 2, normalize_first=normalize_first)
    block.build(x.shape, z.shape) if with_context else block.build(x.shape)
    randomize(block)
    model = composed(block, with_context)

    keys = np.repeat(sees[:, None], 5, axis=1)
    inputs, call = [x, keys], {"attention_mask": keys}
    if with_context:
        inputs += [z, np.repeat(z_mask[:, None], 5, axis=1)]
        call |= {"context": z, "context_mask": z_mask}
    assert_equal(block(x, **call), model(inputs))
    ours, theirs = by_value(weight_gradients(block, x, **call)), by_value(weight_gradients(model, inputs))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-6 * max(1.0, max(np.abs(g).max() for g in theirs)))


@pytest.mark.parametrize("normalize_first", [False, True])
@settings(max_examples=5)
@given(order=st.permutations(range(5)))
def test_an_encoder_without_positions_is_permutation_equivariant(order, normalize_first):
    block, x, order = TransformerEncoder(16, 2, normalize_first=normalize_first), sequences(), list(order)
    np.testing.assert_allclose(block(x[:, order]), numpy(block(x))[:, order], atol=5e-6)


@pytest.mark.parametrize("rotary", [False, True])
def test_an_encoder_with_positions_is_not_permutation_equivariant(rotary):
    block, x = TransformerEncoder(16, 2, rotary=rotary), sequences()
    place = (lambda s: s) if rotary else SinusoidalPosition()
    assert np.abs(numpy(block(place(x[:, ::-1])))[:, ::-1] - numpy(block(place(x)))).max() > 1e-2


@settings(max_examples=5)
@given(t=st.integers(1, 4), by=st.floats(-1e3, 1e3, width=32), seed=st.integers(0, 9))
def test_a_decoder_does_not_depend_on_later_steps(t, by, seed):
    keras.utils.set_random_seed(seed)
    block, x, z = TransformerDecoder(16, 2, normalize_first=True, rotary=True), sequences(), sequences(seed=1)
    changed = x.copy()
    changed[:, t:] += by
    np.testing.assert_allclose(numpy(block(changed, z))[:, :t], numpy(block(x, z))[:, :t], atol=1e-6)


def test_a_decoder_without_causal_mask_depends_on_later_steps():
    block, x = TransformerDecoder(16, 2), sequences()
    past, both = numpy(block(x)), numpy(block(x, use_causal_mask=False))
    assert np.abs(past[:, 0] - both[:, 0]).max() > 1e-2


@settings(max_examples=5)
@given(padding=st.integers(1, 3), junk=st.floats(-1e3, 1e3, width=32))
@pytest.mark.parametrize("normalize_first", [False, True])
def test_masked_padding_has_no_effect(padding, junk, normalize_first):
    def pad(s):
        return np.concatenate([s, np.full((2, padding, 8), junk, "float32")], axis=1)

    encoder, decoder = (
        kind(16, 2, normalize_first=normalize_first) for kind in (TransformerEncoder, TransformerDecoder)
    )
    x, z, mask = sequences(), sequences(seed=1), np.arange(5 + padding)[None].repeat(2, 0) < 5
    np.testing.assert_allclose(encoder(pad(x), mask=mask)[:, :5], encoder(x), atol=3e-6)
    y = decoder(pad(x), pad(z), mask=mask, context_mask=mask)
    np.testing.assert_allclose(y[:, :5], decoder(x, z), atol=3e-6)


@pytest.mark.parametrize("normalize_first", [False, True])
def test_masks_of_the_inputs_are_used_and_passed_on(normalize_first):
    tokens = np.array([[3, 1, 2, 0, 0], [1, 2, 3, 4, 5]])
    embed = keras.layers.Embedding(9, 8, mask_zero=True)
    encoder, decoder = (
        kind(16, 2, normalize_first=normalize_first) for kind in (TransformerEncoder, TransformerDecoder)
    )
    x = embed(tokens)
    encoded = encoder(embed(tokens))
    bare = ops.convert_to_tensor(numpy(x))
    np.testing.assert_allclose(numpy(encoded)[tokens != 0], numpy(encoder(bare, mask=PADDED))[tokens != 0], atol=1e-6)
    np.testing.assert_array_equal(numpy(encoded._keras_mask), PADDED)

    y = decoder(embed(tokens), encoded)
    context = ops.convert_to_tensor(numpy(encoded))
    expected = decoder(bare, context, mask=PADDED, context_mask=PADDED)
    np.testing.assert_allclose(numpy(y)[tokens != 0], numpy(expected)[tokens != 0], atol=1e-6)
    np.testing.assert_array_equal(numpy(y._keras_mask), PADDED)


def test_scores_are_those_of_the_attention_layers():
    x, z = sequences(), sequences(time=4, seed=1)
    y, A = TransformerEncoder(16, 2)(x, return_attention_scores=True)
    assert A.shape == (2, 2, 5, 5)
    decoder = TransformerDecoder(16, 2)
    y, A, B = decoder(x, z, return_attention_scores=True)
    assert A.shape == (2, 2, 5, 5)
    assert B.shape == (2, 2, 5, 4)
    np.testing.assert_array_equal(np.triu(numpy(A)[0, 0], 1), 0)
    np.testing.assert_allclose(numpy(B).sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(y, decoder(x, z), atol=1e-6)


def test_dropout_in_training_only():
    block, x = TransformerEncoder(16, 2, dropout=0.5), sequences()
    np.testing.assert_array_equal(numpy(block(x)), numpy(block(x)))
    assert np.abs(numpy(block(x, training=True)) - numpy(block(x))).max() > 1e-2


def test_unknown_time_in_a_stack():
    inputs, context = keras.Input((None, 8)), keras.Input((None, 8))
    encoded = TransformerEncoder(16, 2)(context)
    model = keras.Model([inputs, context], TransformerDecoder(16, 2, rotary=True)(inputs, encoded))
    for T, S in ((2, 3), (5, 4)):
        assert model.predict([sequences(3, T), sequences(3, S)], verbose=0).shape == (3, T, 8)


def test_two_layers_start_with_different_numbers():
    first = FeedForward(8, kernel_initializer=keras.initializers.GlorotUniform())
    first.build((None, 8))
    assert not np.array_equal(numpy(first.widen.kernel), numpy(first.narrow.kernel))


@pytest.mark.parametrize("block", [FeedForward(16), TransformerEncoder(16, 2), TransformerDecoder(16, 2)])
def test_configs_are_complete(block):
    config = dict(block.get_config(), activation="gelu", bias_initializer="ones")
    if not isinstance(block, FeedForward):
        config |= {"dropout": 0.2, "layer_norm_epsilon": 1e-4, "normalize_first": True, "rotary": True}
    restored = type(block).from_config(config).get_config()
    assert restored["bias_initializer"]["class_name"] == "Ones"
    assert all(restored[key] == value for key, value in config.items() if key != "bias_initializer")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FeedForward(0), "`intermediate_dim` must be an integer of at least 1, got 0"),
        (lambda: TransformerEncoder(16, 0), "`num_heads` must be an integer of at least 1, got 0"),
        (lambda: TransformerEncoder(16, 2, dropout=1), r"`dropout` must be a number in \[0, 1\), got 1"),
        (lambda: TransformerEncoder(16, 3)(sequences()), "a multiple of `num_heads` = 3, got"),
        (lambda: TransformerDecoder(16, 2)(sequences()[0]), r"shape \(batch, time, features\)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_context_is_in_every_call_or_in_none():
    without, with_context, x = TransformerDecoder(16, 2), TransformerDecoder(16, 2), sequences()
    without(x), with_context(x, x)
    with pytest.raises(ValueError, match="`context` must be None, as in the first call, got a tensor of shape"):
        without(x, x)
    with pytest.raises(ValueError, match="`context` must be a tensor, as in the first call, got None"):
        with_context(x)


def test_a_causal_block_equals_its_equation():
    block, x = CausalTransformerBlock(16, 2), sequences()
    assert np.array_equal(numpy(block(x)), x)  # before training: the identity
    randomize(block)

    def rms(y):
        return y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6)

    a = x + numpy(block.attention(rms(x) * numpy(block.attention_norm.scale)))
    hidden = rms(a) * numpy(block.hidden_norm.scale) @ numpy(block.widen.kernel)
    np.testing.assert_allclose(numpy(block(x)), a + np.maximum(hidden, 0) ** 2 @ numpy(block.narrow.kernel), atol=2e-5)


def test_a_causal_block_continues_from_its_cache():
    block, x = CausalTransformerBlock(16, 2), sequences(time=6)
    block(x)
    randomize(block)
    cache, outputs = np.zeros((2, 2, 6, 2, 4), "float32"), []
    for start, steps in ((0, 3), (3, 1), (4, 2)):
        y, cache = block(x[:, start : start + steps], cache=cache, start=start)
        outputs.append(numpy(y))
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), numpy(block(x)), atol=1e-5)


@pytest.mark.parametrize("arguments", [(0, 2), (16, 0), (16, 1.5)])
def test_a_causal_blocks_bad_argument_is_named(arguments):
    with pytest.raises(ValueError, match=r"`(intermediate_dim|num_heads)` must be an integer"):
        CausalTransformerBlock(*arguments)
