"""Small settings, verdicts and wrong blocks of the labs on losses."""

import keras

import kerasfound as kf


def absolute_squared_error(patch):
    """A squared error that does not square."""
    patch.setattr(kf.losses.MeanSquaredError, "call", kf.losses.MeanAbsoluteError.call)


def squared_absolute_error(patch):
    """An absolute error that squares."""
    patch.setattr(kf.losses.MeanAbsoluteError, "call", kf.losses.MeanSquaredError.call)


def squared_crossentropy(patch):
    """A cross-entropy that is the squared error of the probabilities."""

    def call(self, y, logits):
        return keras.ops.mean(keras.ops.square(y - keras.ops.sigmoid(logits)), axis=-1)

    patch.setattr(kf.losses.BinaryCrossentropy, "call", call)


def descending_crossentropy(patch):
    """A cross-entropy with the wrong sign."""
    right = kf.losses.CategoricalCrossentropy.call
    patch.setattr(kf.losses.CategoricalCrossentropy, "call", lambda self, y, p: -right(self, y, p))


CASES = {
    "confidently_wrong": ({"steps": 1000, "seeds": 3}, "holds if", squared_crossentropy),
    "outliers": ({"steps": 800, "seeds": 3}, "holds if", squared_absolute_error),
    "wrong_pairs": ({"samples": 300, "steps": 200, "seeds": 3}, "holds", descending_crossentropy),
    "proper_scores": ({"seeds": 5}, "holds if", absolute_squared_error),
}
