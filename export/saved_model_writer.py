"""Another way into a model: what is done in TensorFlow before it and after it, in the same SavedModel."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasfound.bundle.manifest import Tensor

from .staging import _beside
from .tracing import dynamic_shapes, traced_model
from .tracing.traced_model import DynamicShapes, exported_function

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


def saved_model(
    model: keras.Model,
    folder: str | Path,
    sizes: DynamicShapes | None = None,
    endpoints: dict[str, Endpoint] | None = None,
) -> None:
    """Write a TensorFlow SavedModel whose signature `serving_default` has the model's own names.

    Args:
        model: built, on the TensorFlow backend.
        folder: made by this call; it must not exist, or be empty.
        sizes: names for the free sizes of an input, as for `signature`.
        endpoints: further signatures by name; one called `serving_default` takes the place of the model's own.

    Raises:
        UserError: if the model cannot be traced, naming the layer, or the folder cannot be written.
    """
    inputs = traced_model.trace_model(model, sizes).signature.inputs
    endpoints = {SERVING_DEFAULT: Endpoint(inputs, lambda answer: answer)} | (endpoints or {})
    asking = exported_function(model)
    with _beside(Path(folder)) as made:
        archive = keras.export.ExportArchive()
        archive.track(model)
        for name, endpoint in endpoints.items():
            for table in endpoint.tables:
                archive.track(table)
            archive.add_endpoint(
                name, endpoint.around(asking), input_signature=traced_model.tensor_specs(endpoint.inputs)
            )
        with dynamic_shapes.allow_dynamic_shapes():  # Keras traces every layer once more, for itself
            archive.write_out(str(made), verbose=False)
