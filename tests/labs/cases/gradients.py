"""Small settings, verdicts and wrong blocks of the labs on gradients."""

from keras import ops

import kerasfound as kf


def tanh_without_its_square(patch):
    """1 - tanh instead of 1 - tanh squared."""
    patch.setattr(kf.activations.tanh, "derivative", lambda x: 1 - kf.activations.tanh(x))


def summed_cross_entropy(patch):
    """The sum over the batch instead of its mean."""
    right = kf.losses.SparseCategoricalCrossentropy.__call__

    def summed(self, y, p):
        return ops.cast(ops.shape(y)[0], "float32") * right(self, y, p)

    patch.setattr(kf.losses.SparseCategoricalCrossentropy, "__call__", summed)


def dead_units(patch):
    """Hidden units that are always 0."""
    patch.setattr(kf.activations, "tanh", lambda x: 0.0 * x)


CASES = {
    "chain_rule": ({"units": 2, "depth": 3, "seeds": 5}, "holds if", tanh_without_its_square),
    "gradient_check": ({"seeds": 10}, "holds if", tanh_without_its_square),
    "gradient_noise": ({"draws": 20, "seeds": 3}, "holds if", summed_cross_entropy),
    "without_backprop": ({"steps": 40, "seeds": 3}, "false as stated", dead_units),
}
