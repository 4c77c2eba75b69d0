"""Several networks in one model, `(batch, members, ...)`: each learns on its own, their mean answers."""

from collections.abc import Callable

import keras
from keras import ops

Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def each(loss: Loss) -> Loss:
    """The mean of the members' losses: the loss of their mean would let them lean on each other.

    Args:
        loss: of one member, given targets `(batch,)` and answers `(batch, classes)`, or `(batch,)` for a number.

    Returns:
        The same of targets `(batch,)` and all answers, `(batch, members, classes)` or `(batch, members, 1)`.
    """

    def each(y: keras.KerasTensor, answers: keras.KerasTensor) -> keras.KerasTensor:
        y = ops.repeat(ops.reshape(y, (-1, 1)), answers.shape[1], axis=1)
        return loss(y, answers if answers.shape[2] > 1 else ops.squeeze(answers, -1))

    return each


def accuracy(y: keras.KerasTensor, answers: keras.KerasTensor) -> keras.KerasTensor:
    """Share of the rows whose true class has the largest mean of all members."""
    answered = ops.argmax(ops.mean(answers, axis=1), axis=-1)
    return ops.cast(ops.equal(answered, ops.cast(ops.reshape(y, (-1,)), answered.dtype)), "float32")
