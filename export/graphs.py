"""A Keras model as one graph: to a SavedModel, to an ONNX file. Runs on the TensorFlow backend."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasfound.errors import UserError
from kerasfound.export import fusion, recurrent

OPSET = 18
NO_FORM, MEND = "the model has no ONNX form", "replace the layer that it comes from"
BATCH, TIME = "batch", "time"
"""The name of the free first size of every input and output."""


def specs(model: keras.Model) -> list[tf.TensorSpec]:
    """The model's inputs, named as its `keras.Input`s are."""
    return [tf.TensorSpec((None, *x.shape[1:]), x.dtype, name=x.name) for x in model.inputs]


def output_names(model: keras.Model) -> list[str]:
    """The names of the layers that give the outputs."""
    return list(getattr(model, "output_names", [model.layers[-1].name]))  # a Sequential has one, and no list of them


def answer(model: keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    """The model as a function of its input tensors: named outputs, in inference mode.

    Keras's own export leaves `training` open, so that augmentation and dropout stay active in some layers.
    """

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = keras.tree.flatten(model(list(tensors) if len(tensors) > 1 else tensors[0], training=False))
        return dict(zip(output_names(model), outputs, strict=True))

    return call


def saved_model(model: keras.Model, folder: Path) -> None:
    """Write a TensorFlow SavedModel whose one signature, `serving_default`, has the model's own names.

    Args:
        model: built, on the TensorFlow backend.
        folder: made by this call.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", answer(model), input_signature=specs(model))
    archive.write_out(str(folder), verbose=False)


def onnx(model: keras.Model, path: Path, opset: int = OPSET) -> None:
    """Write an ONNX file with the model's own input and output names and a free `batch` size.

    Args:
        model: built, on the TensorFlow backend.
        path: the file to write.
        opset: the version of ONNX's operators, at most 18, which is as far as tf2onnx goes.

    Raises:
        UserError: if a layer has no ONNX form; what it was traced to is named.
    """
    import onnx as onnx_format
    import tf2onnx

    with recurrent.as_operators():
        traced = tf.function(answer(model), input_signature=specs(model), autograph=False).get_concrete_function()
    inputs = [tensor.name for tensor in traced.inputs if tensor.dtype != tf.resource]
    outputs = {name: tensor.name for name, tensor in traced.structured_outputs.items()}
    names = dict(zip(inputs, (spec.name for spec in specs(model)), strict=True))
    names |= {tensor: name for name, tensor in outputs.items()}
    with _errors_raised(), tf.device("/cpu:0"):
        graph, tables = tf2onnx.tf_loader.from_trackable(model, traced, inputs, list(outputs.values()), False)
        proto, _ = tf2onnx.convert._convert_common(  # the public call goes on after an error and writes a broken file
            graph,
            name=model.name,
            continue_on_error=False,
            opset=opset,
            custom_op_handlers={"Erfc": (_difference, []), "Expm1": (_difference, []), **recurrent.HANDLERS},
            input_names=inputs,
            output_names=list(outputs.values()),
            tensors_to_rename=names,
            initialized_tables=tables,
        )
    proto.graph.name = model.name
    for value in [*proto.graph.input, *proto.graph.output]:
        for place, size in enumerate(value.type.tensor_type.shape.dim):
            if not size.HasField("dim_value"):
                size.dim_param = TIME if place else BATCH
    proto = fusion.fuse(proto)
    del proto.graph.value_info[:]  # left over from before tf2onnx moved the transposes; the strict checker rejects them
    try:
        onnx_format.checker.check_model(proto, full_check=True)
    except onnx_format.checker.ValidationError as error:  # an operation that tf2onnx left as it was
        raise UserError(f"{NO_FORM} ({str(error).splitlines()[0]}); {MEND}.") from error
    onnx_format.save(proto, path)


def _difference(graph: Any, node: Any, name: str, _: list) -> None:
    """Two operations that ONNX lacks, out of those it has: erfc x = 1 - erf x, expm1 x = exp x - 1."""
    from onnx.helper import tensor_dtype_to_np_dtype

    dtype, shape, (x,), (y,) = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0]), node.input, node.output
    kind, result = node.type, {"shapes": [shape], "dtypes": [dtype]}
    graph.remove_node(name)
    one = graph.make_const(f"{name}/one", np.array(1, tensor_dtype_to_np_dtype(dtype))).output[0]
    inner = graph.make_node("Erf" if kind == "Erfc" else "Exp", [x], **result).output[0]
    graph.make_node("Sub", [one, inner] if kind == "Erfc" else [inner, one], outputs=[y], **result)


@contextlib.contextmanager
def _errors_raised() -> Iterator[None]:
    """tf2onnx logs what it cannot convert and raises ValueError; turn that into one error with the reason in it."""
    log = logging.getLogger("tf2onnx")
    reasons: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: reasons.append(record.getMessage().splitlines()[0])  # type: ignore[method-assign]
    log.addHandler(handler)
    level, propagate = log.level, log.propagate
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield
    except ValueError as error:
        reason = "; ".join(dict.fromkeys([*reasons, str(error)]))
        raise UserError(f"{NO_FORM} ({reason}); {MEND}.") from error
    finally:
        log.setLevel(level)
        log.propagate = propagate
        log.removeHandler(handler)
