"""Small settings, verdicts and wrong blocks of the labs on the structure of networks."""

from keras import ops

import kerasfound as kf


def linear_relu(patch):
    """A ReLU that lets negative numbers pass."""
    patch.setattr(kf.activations, "relu", lambda x: x)


def convolution_without_strides(patch):
    """A convolution that visits every position, whatever its strides."""

    def call(self, inputs):
        return ops.conv(inputs, self.kernel, strides=1, padding=self.padding, data_format=self.data_format)

    patch.setattr(kf.layers.Conv2D, "call", call)


def convolution_of_one_pixel(patch):
    """A convolution that sees the first pixel of its kernel only."""

    def call(self, inputs):
        one = self.kernel[:1]
        return self.activation(ops.conv(inputs, one, list(self.strides), self.padding, self.data_format))

    patch.setattr(kf.layers.Conv2D, "call", call)


def pooling_without_maximum(patch):
    """Pooling that keeps the first value of each window instead of the largest."""
    patch.setattr(kf.layers.MaxPooling2D, "call", lambda self, x: x[:, :: self.pool_size[0]])


def no_cell_state(patch):
    """An LSTM that forgets its cell state at every step."""
    right = kf.layers.LSTMCell.call
    patch.setattr(
        kf.layers.LSTMCell,
        "call",
        lambda self, x, states, training=False: right(self, x, [states[0], 0 * states[1]], training),
    )


def wrong_weights(doc, change):
    """A mutant: attention weights, changed as `doc` says."""

    def mutant(patch):
        right = kf.layers.attention_weights

        def weights(query, key, mask=None):
            return change(right, query, key, mask)

        patch.setattr("kerasfound.layers.attention.attention_weights", weights)
        patch.setattr(kf.layers, "attention_weights", weights)

    mutant.__doc__ = doc
    return mutant


negative = wrong_weights("Weights of the negative query", lambda right, q, k, mask: right(-q, k, mask))
divided_twice = wrong_weights(
    "Scores divided twice by the root of the width", lambda right, q, k, mask: right(q / q.shape[-1] ** 0.5, k, mask)
)
equal_scores = wrong_weights("All scores are equal", lambda right, q, k, mask: right(0 * q, k, mask))
not_masked = wrong_weights("Attention without its mask", lambda right, q, k, mask: right(q, k))
of_the_next_key = wrong_weights(
    "Each weight goes to the next key", lambda right, q, k, mask: ops.roll(right(q, k, mask), 1, axis=-1)
)

CASES = {
    "pixel_order": ({"seeds": 4, "steps": 300}, "holds if", convolution_of_one_pixel),
    "pooling_shifts": ({"seeds": 3}, "holds if", pooling_without_maximum),
    "receptive_field": ({"seeds": 3, "depth": 5}, "holds if", convolution_without_strides),
    "attention_lookup": ({"seeds": 3}, "holds if", negative),
    "attention_scale": ({"seeds": 3}, "holds if", divided_twice),
    "causal_mask": ({"seeds": 3, "steps": 200}, "holds", not_masked),
    "positions": ({"seeds": 4}, "holds if", of_the_next_key),
    "lstm_memory": ({"seeds": 3, "steps": 60}, "holds if", no_cell_state),
    "adding_task": ({}, "holds if", no_cell_state),
    "copy_task": ({"steps": 300}, "holds if", no_cell_state),
    "induction_heads": ({}, "holds if", equal_scores),
    "superposition": ({"seeds": 2, "steps": 1500}, "holds if", linear_relu),
    "parallel": ({"seeds": 10}, "holds if", not_masked),
}
