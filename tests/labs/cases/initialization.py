"""Small settings, verdicts and wrong blocks of the labs on initial weights and normalization."""

from keras import ops

import kerasfound as kf


def he_like_glorot(patch):
    """He's initializer without the factor 2 for ReLU."""
    patch.setattr(kf.initializers.HeNormal, "__call__", kf.initializers.LecunNormal.__call__)


def only_shifted(patch):
    """Batch normalization that subtracts the mean but does not divide by the standard deviation."""
    right = kf.layers.BatchNormalization._batch_statistics

    def mean_and_one(self, x, mask):
        mean, variance = right(self, x, mask)
        return mean, ops.ones_like(variance)

    patch.setattr(kf.layers.BatchNormalization, "_batch_statistics", mean_and_one)


def minus_variance(patch):
    """Batch normalization that divides by the root of minus the variance."""
    right = kf.layers.BatchNormalization._batch_statistics

    def with_minus(self, x, mask):
        mean, variance = right(self, x, mask)
        return mean, -variance - 1

    patch.setattr(kf.layers.BatchNormalization, "_batch_statistics", with_minus)


CASES = {
    "signal_variance": ({"seeds": 3, "units": 128}, "holds if", he_like_glorot),
    "stalled_network": ({}, "holds if", he_like_glorot),
    "batch_normalization": ({"seeds": 3, "steps": 60}, "holds if", only_shifted),
    "normalization_why": ({}, "false as stated", minus_variance),
}
