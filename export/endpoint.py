"""Another way into a model: what is done in TensorFlow before it and after it, in the same SavedModel."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from kerasfound.export.manifest import Tensor

SERVING_DEFAULT = "serving_default"
"""The signature that is asked when none is named."""


class Endpoint(NamedTuple):
    """One signature.

    Args:
        inputs: in the order in which the function takes them.
        around: makes the function of the signature of the model's own, which answers named tensors.
        tables: the lookup tables in it, which TensorFlow saves only if told to.
    """

    inputs: list[Tensor]
    around: Callable[[Callable], Callable]
    tables: Sequence[Any] = ()


def table(entries: dict[str, Any], default: Any) -> tf.lookup.StaticHashTable:
    """A lookup of texts, all others count as `default`: whole numbers, numbers or texts."""
    values = tf.constant(list(entries.values()))
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(list(entries), tf.string), values)
    made = tf.lookup.StaticHashTable(initializer, tf.constant(default, values.dtype))
    # TensorFlow notes down that there is nothing to initialize later, and warns of that note in each export
    notes = tf.compat.v1.get_collection_ref(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS)
    notes[:] = [note for note in notes if note is not None]
    return made
