"""Writes a TensorFlow SavedModel, with the signature of the model and with signatures for raw inputs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasfound.atomic import replacing
from kerasfound.bundle.manifest import SERVING_DEFAULT, Tensor
from kerasfound.errors import UserError, one_line

from .tracing import traced_model
from .tracing.dynamic_shapes import allow_dynamic_shapes
from .tracing.scope_names import any_layer_name
from .tracing.traced_model import TracedModel


class SavedModelSignature(NamedTuple):
    """One signature of a SavedModel.

    Args:
        inputs: in the order of the function's arguments.
        wrap: takes the function of the model, which returns named tensors, and returns the function of the signature.
        lookup_tables: the tables of that function. TensorFlow saves only tables that it tracks.
    """

    inputs: list[Tensor]
    wrap: Callable[[Callable], Callable]
    lookup_tables: Sequence[Any] = ()


def lookup_table(values: dict[str, Any], default: Any) -> tf.lookup.StaticHashTable:
    """Create a table from texts to integers, floats or texts. Unknown texts get `default`."""
    tensor = tf.constant(list(values.values()))
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(list(values), tf.string), tensor)
    table = tf.lookup.StaticHashTable(initializer, tf.constant(default, tensor.dtype))
    traced_model.forget_initialized_tables()
    return table


@any_layer_name()
def write_saved_model(
    traced: TracedModel, folder: str | Path, signatures: dict[str, SavedModelSignature] | None = None
) -> None:
    """Write a SavedModel whose signature `serving_default` has the inputs and outputs of the model.

    Args:
        traced: from `trace_model`.
        folder: must not exist or be empty. It appears complete or not at all.
        signatures: extra signatures by name. One with the name `serving_default` replaces the model's own.

    Raises:
        UserError: if the folder cannot be written.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: exists already and is not empty; choose a new folder.")
    archive = _archive(traced, signatures or {})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as part, allow_dynamic_shapes():  # Keras traces every layer once more to save it
            archive.write_out(str(part), verbose=False)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error}); choose another folder.") from error
    except tf.errors.OpError as error:
        message = error.message or type(error).__name__
        reason = one_line(message.rpartition("; ")[2].partition(" [Op")[0])  # the message starts with a long path
        raise UserError(
            f"{traced.model.name}: TensorFlow cannot write its SavedModel ({reason}); "
            "free some space or choose another folder."
        ) from error


def _archive(traced: TracedModel, signatures: dict[str, SavedModelSignature]) -> keras.export.ExportArchive:
    archive = keras.export.ExportArchive()
    archive.track(traced.model)
    if SERVING_DEFAULT not in signatures:
        archive.add_endpoint(SERVING_DEFAULT, traced.function)
    for name, signature in signatures.items():
        for table in signature.lookup_tables:
            archive.track(table)
        function = signature.wrap(traced.python_function)
        archive.add_endpoint(name, function, input_signature=traced_model.tensor_specs(signature.inputs))
    return archive
