"""Loss and metric of several networks in one model, with outputs `(batch, members, ...)`."""

from collections.abc import Callable

import keras
from keras import ops

Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def member_loss(loss: keras.losses.Loss) -> Loss:
    """Return the mean of the members' losses, for each row.

    Each member is trained on its own. With the loss of their mean output, one member could compensate another's errors.

    Args:
        loss: the loss of one member, for targets `(batch,)` and outputs `(batch, classes)`; in regression `(batch,)`.
            Its `call` is used, which keeps the rows apart, so that Keras can weigh them.

    Returns:
        The loss for targets `(batch,)` and the outputs of all members, `(batch, members, classes)` or
        `(batch, members, 1)`.
    """

    def mean_loss(y: keras.KerasTensor, outputs: keras.KerasTensor) -> keras.KerasTensor:
        y = ops.repeat(ops.reshape(y, (-1, 1)), outputs.shape[1], axis=1)
        losses = loss.call(y, outputs if outputs.shape[2] > 1 else ops.squeeze(outputs, -1))
        return losses if len(losses.shape) == 1 else ops.mean(losses, axis=-1)

    return mean_loss


def ensemble_accuracy(y: keras.KerasTensor, outputs: keras.KerasTensor) -> keras.KerasTensor:
    """Whether the class with the largest mean output of all members is the true class, for each row."""
    predicted = ops.argmax(ops.mean(outputs, axis=1), axis=-1)
    return ops.cast(ops.equal(predicted, ops.cast(ops.reshape(y, (-1,)), predicted.dtype)), "float32")
