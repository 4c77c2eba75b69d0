"""Several networks in one model, with outputs `(batch, members, ...)`: layers with separate weights, loss, metric."""

from collections.abc import Callable

import keras
from keras import ops

import kerasfound as kf

Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def dense(x: keras.KerasTensor, units: int, name: str, dtype: str | None = None) -> keras.KerasTensor:
    """A dense layer of each member, from `(batch, members, features)` to `(batch, members, units)`."""
    return keras.layers.EinsumDense(
        "bki,kio->bko",
        (x.shape[1], units),
        bias_axes="ko",
        kernel_initializer=keras.initializers.RandomNormal(stddev=(2 / x.shape[2]) ** 0.5),
        name=name,
        dtype=dtype,
    )(x)


def curves(bins: keras.KerasTensor, members: int, width: int = 8) -> keras.KerasTensor:
    """Piecewise linear functions of each number, for each member. No number shares its weights with another.

    Args:
        bins: the piecewise linear encoding of numbers, `(batch, numbers, bins)`.
        members: number of members.
        width: number of functions of each number.
    """
    numbers = bins.shape[1]
    functions = keras.layers.EinsumDense(
        "bft,kftd->bkfd",
        (members, numbers, width),
        bias_axes="kfd",
        activation=kf.activations.relu,
        kernel_initializer=keras.initializers.RandomNormal(stddev=bins.shape[2] ** -0.5),
        name="curves",
    )(bins)
    return keras.layers.Reshape((members, numbers * width), name="flat_curves")(functions)


def vectors(codes: keras.KerasTensor, sizes: list[int], members: int, width: int = 8) -> keras.KerasTensor:
    """A vector for each category, for each member.

    Args:
        codes: codes of categories, `(batch, columns)`.
        sizes: number of codes of each column.
        members: number of members.
        width: length of a vector.
    """
    columns = len(sizes)
    embedded = kf.layers.CategoryEmbedding(sizes, members * width, unknown_rate=0.01, name="vectors")(codes)
    embedded = keras.layers.Reshape((columns, members, width), name="vectors_by_column")(embedded)
    embedded = keras.layers.Permute((2, 1, 3), name="vectors_by_member")(embedded)
    return keras.layers.Reshape((members, columns * width), name="flat_vectors")(embedded)


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
