"""A Keras model as a TensorFlow graph of named tensors, in inference mode and float32: the source of both formats."""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import msgspec
import tensorflow as tf

from kerasfound.bundle.manifest import Tensor
from kerasfound.errors import UserError

from .dynamic_shapes import allow_dynamic_shapes
from .patching import replace_values
from .scope_names import any_layer_name
from .unsupported import (
    UnsupportedLayer,
    UnsupportedModelError,
    all_layers,
    describe_layer,
    first_line,
    layer_of_error,
    stateful_layers,
)

BATCH, TIME = "batch", "time"
"""The default names of the first dimension of every tensor, and of a dynamic second one."""
IMAGE = ("height", "width")
UNNAMED = re.compile(r"keras_tensor(_\d+)?")
"""The name that Keras gives to an input without a name; the number counts the tensors of the process."""
PROBES = (16, 24), (24, 8)
"""First size and step of two rounds of test sizes. An output size that equals an input's in both rounds gets its name.
The sizes are small, for models with a maximum length, and even, for models that halve and double images."""
RETURN_TENSORS = "return dense tensors only, alone or in a list or dict"
USE_KERAS_OPS = "write it with keras.ops, from tensors to tensors"

UNSUPPORTED_PRECISIONS = ("float16", "bfloat16", "float64")
"""ONNX Runtime has few operations for these; an exported file computes in float32 instead."""
PRECISIONS = (*UNSUPPORTED_PRECISIONS, "float32")

DynamicShapes = dict[str, list[int | str]]
"""Input name to its shape, with a name for each dynamic dimension."""


class Signature(msgspec.Struct, frozen=True):
    """The named inputs and outputs of a model, in its own order."""

    inputs: list[Tensor]
    outputs: list[Tensor]


class TracedModel(msgspec.Struct, frozen=True):
    """The graph of a model."""

    model: keras.Model
    signature: Signature
    concrete_function: Any
    """The TensorFlow graph."""
    python_function: Callable
    """The function that was traced. It keeps the variables of the graph alive."""
    function: Any
    """The `tf.function` that holds the graph. TensorFlow saves it without tracing the model again."""


def signature(model: keras.Model, dynamic_shapes: DynamicShapes | None = None) -> Signature:
    """The inputs and outputs of a built model, the same in both formats.

    Args:
        model: built, on the TensorFlow backend.
        dynamic_shapes: names for the dynamic dimensions of an input, such as `{"tokens": ["batch", "time"]}`. A
            subclassed model only knows the sizes that it was called with: there a name also makes a dimension dynamic.
            By default the first dimension is `"batch"`, a dynamic second one `"time"`, those of an image `"height"`
            and `"width"`.

    Raises:
        UserError: if the model is not built, `dynamic_shapes` does not fit it, or it cannot be traced to tensors.
    """
    return trace_model(model, dynamic_shapes).signature


def check_model(model: keras.Model) -> None:
    """Check what needs no trace.

    Raises:
        UserError: if it is not a Keras model, or Keras runs on another backend.
    """
    if not isinstance(model, keras.Model):
        raise UserError(f"{type(model).__name__} is not a Keras model; give a keras.Model, which may hold one layer.")
    if keras.backend.backend() != "tensorflow":
        backend = keras.backend.backend()
        raise UserError(f"models are exported from TensorFlow, not from {backend}; set KERAS_BACKEND=tensorflow.")


def trace_model(model: keras.Model, dynamic_shapes: DynamicShapes | None = None) -> TracedModel:
    """Trace `exported_function(model)` and name its inputs and outputs.

    Raises:
        UserError: as `signature`.
    """
    check_model(model)
    inputs = input_tensors(model, dynamic_shapes)
    if unsupported := list(stateful_layers(model)):
        raise UnsupportedModelError(unsupported)
    python_function = exported_function(model)
    function = trace_function(model, python_function, tensor_specs(inputs))
    graph = function.get_concrete_function()
    outputs = _output_tensors(model, inputs, graph.structured_outputs)
    return TracedModel(model, Signature(inputs, outputs), graph, python_function, function)


def tensor_specs(tensors: list[Tensor]) -> list[tf.TensorSpec]:
    """The inputs as TensorFlow describes them, their dynamic dimensions `None`."""
    return [
        tf.TensorSpec([None if isinstance(size, str) else size for size in x.shape], x.dtype, name=x.name)
        for x in tensors
    ]


def exported_function(model: keras.Model, precision: str = "float32") -> Callable[..., dict[str, tf.Tensor]]:
    """`reference_function` in another precision, without kernels that only a GPU has. Both files compute it in float32.

    Args:
        model: built; it is not changed.
        precision: `"float32"` or `"float64"`.
    """
    function = reference_function(model)
    stored = [x for x in model.variables if x.dtype in PRECISIONS and x.dtype != precision]
    copies = [tf.Variable(tf.cast(variable.value, precision), trainable=False) for variable in stored]

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        with (
            inference_in(model, precision),
            replace_values(keras.Variable, "_value", list(zip(stored, copies, strict=True))),
            replace_values(keras.Variable, "_dtype", [(variable, precision) for variable in stored]),
        ):
            return function(*tensors)

    return call


def functional_form(model: keras.Model) -> keras.Model:
    """A stack of layers as a functional model, which has the list of its operations; another model itself."""
    return keras.Model(model.inputs, model.outputs, name=model.name) if type(model) is keras.Sequential else model


def reference_function(model: keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    """The model as a function of its input tensors in the signature's order: named outputs, in inference mode.

    Keras's own export does not set `training`, which leaves augmentation and dropout active in some layers.
    """
    arguments = _argument_structure(model)

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        values = _pack_like(arguments, iter(tensors))
        with without_softmax_warning():
            if isinstance(values, _KeywordArguments):
                outputs = model(**values, training=False)
            else:
                outputs = model(values, training=False)
        return _name_outputs(model, outputs)

    return call


@contextlib.contextmanager
def without_softmax_warning() -> Iterator[None]:
    """Ignore Keras's warning of a softmax over one number, which attention over a text of one word is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using a softmax over axis")
        yield


def trace_function(model: keras.Model, function: Callable, specs: list[tf.TensorSpec]) -> Any:
    """Trace `function`, which calls the model, to a `tf.function` with one concrete function.

    Raises:
        UserError: naming the layer that cannot be traced.
    """
    forget_initialized_tables()
    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()  # otherwise the frames of Keras's layers are missing
    try:
        traced = tf.function(function, input_signature=specs, autograph=False)
        with any_layer_name():
            traced.get_concrete_function()
        return traced
    except UserError:
        raise
    except Exception as error:  # your own layer may raise anything
        reason = f"it cannot be traced ({first_line(error)})"
        raise UnsupportedModelError([UnsupportedLayer(layer_of_error(error, model), reason, USE_KERAS_OPS)]) from error
    finally:
        if filtering:
            keras.config.enable_traceback_filtering()


def forget_initialized_tables() -> None:
    """TensorFlow records `None` for a table that needs no initializer any more, and warns of each in every export."""
    initializers = tf.compat.v1.get_collection_ref(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS)
    initializers[:] = [initializer for initializer in initializers if initializer is not None]


def all_nodes(concrete_function: Any) -> list[Any]:
    """The nodes of a concrete function and of the functions that it calls."""
    graph = concrete_function.graph.as_graph_def()
    return [*graph.node, *(node for body in graph.library.function for node in body.node_def)]


@contextlib.contextmanager
def inference_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Compute in one precision, without kernels that only a GPU has, and with dynamic dimensions in every layer."""
    layers = all_layers(model)
    policies = [(layer, _policy(layer, precision)) for layer in layers if layer.compute_dtype != precision]
    # the cuDNN operation runs on Nvidia GPUs only and cannot be written to ONNX
    without_cudnn = [(layer, False) for layer in layers if getattr(layer, "use_cudnn", False)]
    inputs = _float_inputs(layers) if precision == "float64" else []  # a model casts its inputs to their dtype
    with (
        replace_values(keras.layers.Layer, "_dtype_policy", policies),
        replace_values(keras.KerasTensor, "dtype", [(x, precision) for x in inputs]),
        replace_values(keras.layers.Layer, "use_cudnn", without_cudnn),
        allow_dynamic_shapes(),
    ):
        yield


def _float_inputs(layers: list[keras.layers.Layer]) -> list[keras.KerasTensor]:
    models = [layer for layer in layers if isinstance(layer, keras.Model) and hasattr(layer, "operations")]
    return [x for model in models for x in model.inputs if x.dtype in PRECISIONS]


def has_unsupported_precision(layer: keras.layers.Layer) -> bool:
    return layer.compute_dtype in UNSUPPORTED_PRECISIONS


def own_precision(model: keras.Model) -> str:
    """The precision in which a layer computes that decides how the model rounds."""
    computed = {layer.compute_dtype for layer in all_layers(model)}
    return next((precision for precision in ("bfloat16", "float16", "float64") if precision in computed), "float32")


def _policy(layer: keras.layers.Layer, precision: str) -> keras.DTypePolicy:
    policy = layer.dtype_policy
    name = policy[layer.path].name if isinstance(policy, keras.dtype_policies.DTypePolicyMap) else policy.name
    is_quantized = layer.quantization_mode is not None
    return keras.dtype_policies.get(f"{name.partition('_from_')[0]}_from_{precision}" if is_quantized else precision)


class _KeywordArguments(dict):
    """The arguments of a subclassed model that takes several."""


class _Argument(msgspec.Struct, frozen=True):
    shape: tuple[int | None, ...]
    dtype: str
    name: str | None


def _argument_structure(model: keras.Model) -> Any:
    """The structure of `_Argument`s that the model is called with."""
    if hasattr(model, "inputs"):
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        return _map_structure(lambda x: _Argument((None, *x.shape[1:]), x.dtype, x.name), inputs)
    config = model.get_build_config() if model.built else None
    if not config:
        message = f"{describe_layer(model)} is not built; call it on an example, or start it with keras.Input."
        raise UserError(message)
    shapes, dtype = config.get("shapes_dict", config.get("input_shape")), model.input_dtype
    arguments = _map_structure(lambda shape: _Argument((None, *shape[1:]), dtype, None), shapes, is_leaf=_is_shape)
    if "shapes_dict" not in config:
        return arguments
    return _KeywordArguments({name.removesuffix("_shape"): value for name, value in arguments.items()})


def _is_shape(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all(size is None or isinstance(size, int) for size in x)


def flatten_with_paths(structure: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """The path and value of each leaf. Dicts keep their order, where `keras.tree` sorts them."""
    if isinstance(structure, dict):
        parts = list(structure.items())
    elif isinstance(structure, (list, tuple)):
        parts = list(enumerate(structure))
    else:
        yield path, structure
        return
    for key, part in parts:
        yield from flatten_with_paths(part, (*path, key))


def _map_structure(function: Callable, structure: Any, is_leaf: Callable[[Any], bool] = lambda x: False) -> Any:
    if isinstance(structure, dict) and not is_leaf(structure):
        kind = _KeywordArguments if isinstance(structure, _KeywordArguments) else dict
        return kind({key: _map_structure(function, part, is_leaf) for key, part in structure.items()})
    if isinstance(structure, (list, tuple)) and not is_leaf(structure):
        return [_map_structure(function, part, is_leaf) for part in structure]
    return function(structure)


def pack_inputs(model: keras.Model, tensors: list) -> Any:
    """The argument that the model is called with, from its input tensors in the signature's order."""
    return _pack_like(_argument_structure(model), iter(tensors))


def _pack_like(structure: Any, tensors: Iterator[tf.Tensor]) -> Any:
    return _map_structure(lambda leaf: next(tensors), structure)


def input_tensors(model: keras.Model, dynamic_shapes: DynamicShapes | None = None) -> list[Tensor]:
    """The inputs of a built model, as in its signature."""
    dynamic_shapes = dynamic_shapes or {}
    inputs: list[Tensor] = []
    names: set[str] = set()
    for i, (path, argument) in enumerate(flatten_with_paths(_argument_structure(model))):
        keys = [str(key) for key in path if isinstance(key, str)]
        own_name = argument.name if argument.name and not UNNAMED.fullmatch(argument.name) else None
        name = unique_name("_".join(keys) or own_name or f"input_{i}", names)
        defaults = _default_dimensions(name, argument.shape, {size for x in inputs for size in x.shape[1:]})
        is_subclassed = not hasattr(model, "inputs")
        shape = _input_shape(name, argument.shape, defaults, dynamic_shapes.get(name), is_subclassed)
        inputs.append(Tensor(name, argument.dtype, shape))
    unknown = sorted(dynamic_shapes.keys() - names)
    if unknown:
        raise UserError(
            f'`dynamic_shapes`: no input is named "{unknown[0]}"; the inputs are {", ".join(sorted(names))}.'
        )
    return inputs


def _input_shape(
    name: str, shape: tuple, defaults: list[str], requested: list[int | str] | None, may_become_dynamic: bool
) -> list[int | str]:
    """The requested shape if it fits the model's, without one the model's with default names."""
    named: list[int | str] = [default if size is None else size for size, default in zip(shape, defaults, strict=True)]
    if requested is None:
        return named
    fits = len(requested) == len(shape) and all(
        isinstance(new, str) if size is None else new == size or (may_become_dynamic and isinstance(new, str))
        for size, new in zip(shape, requested, strict=False)
    )
    if not fits:
        raise UserError(
            f'`dynamic_shapes`: "{name}" has the shape {named}, got {requested}; '
            "name each dynamic dimension and keep the static ones."
        )
    return list(requested)


def _default_dimensions(name: str, shape: tuple, used: set[int | str]) -> list[str]:
    """A default name for each dimension.

    A name that an earlier input uses is not repeated: ONNX Runtime expects equal sizes where names are equal.
    """
    dimensions = [BATCH, *IMAGE] if len(shape) == 4 else [BATCH, TIME]
    dimensions += [str(place) for place in range(len(dimensions), len(shape))]
    return [f"{name}_{d}" if i and (d in used or d.isdigit()) else d for i, d in enumerate(dimensions[: len(shape)])]


def _output_tensors(model: keras.Model, inputs: list[Tensor], outputs: dict[str, tf.Tensor]) -> list[Tensor]:
    shapes = {name: y.shape for name, y in outputs.items()}
    for name, shape in shapes.items():
        if shape.rank is None:
            reason = f'its output "{name}" has an unknown number of axes'
            raise UnsupportedModelError(
                [UnsupportedLayer(describe_layer(model), reason, "end the model with a Reshape")]
            )
    batch = inputs[0].shape[0]
    is_dynamic = any(size is None for shape in shapes.values() for size in shape[1:])
    probes = _probe_shapes(model, inputs) if is_dynamic else []

    def dimension(name: str, place: int) -> int | str:
        if (static := shapes[name][place]) is not None:
            return static
        followed = {probe[name][place] for probe in probes}
        if len(followed) == 1 and isinstance(same := followed.pop(), str):
            return same
        return batch if place == 0 else f"{name}_{place}"

    return [
        Tensor(name, y.dtype.name, [dimension(name, i) for i in range(y.shape.rank)]) for name, y in outputs.items()
    ]


def _probe_shapes(model: keras.Model, inputs: list[Tensor]) -> list[dict[str, list[int | str | None]]]:
    """The shapes of the outputs in each round of `PROBES`."""
    probes = [probe for sizes in PROBES if (probe := _probe(model, inputs, *sizes))]
    if probes:
        return probes  # otherwise the inputs may have to be equally long
    return [probe for sizes in PROBES if (probe := _probe(model, inputs, *sizes, are_different=False))]


def _probe(
    model: keras.Model, inputs: list[Tensor], first: int, step: int, are_different: bool = True
) -> dict[str, list[int | str | None]] | None:
    """Trace with a number for each dynamic dimension of the inputs, and replace the numbers by their names again.

    Unless `are_different`, all dimensions but the first get the same number.
    """
    names = dict.fromkeys(size for x in inputs for size in x.shape if isinstance(size, str))
    numbers = {name: first + step * (i if are_different else min(i, 1)) for i, name in enumerate(names)}
    static = [Tensor(x.name, x.dtype, [numbers.get(size, size) for size in x.shape]) for x in inputs]  # type: ignore
    name_of = {number: name for name, number in reversed(numbers.items())}
    try:
        function = trace_function(model, exported_function(model), tensor_specs(static))
        outputs = function.get_concrete_function().structured_outputs
    except UserError:  # the model does not accept these sizes
        return None
    return {name: [name_of.get(size, size) for size in y.shape] for name, y in outputs.items()}


def _name_outputs(model: keras.Model, outputs: Any) -> dict[str, tf.Tensor]:
    """The outputs by name, in the model's order. Names are the keys of a dict, or the layers that compute them."""
    if isinstance(model, keras.Sequential):
        layer_names: list[str] | None = [model.layers[-1].name]
    else:
        layer_names = getattr(model, "output_names", None)
    names = {x.name for x in input_tensors(model)}
    named = {}
    for i, (path, y) in enumerate(flatten_with_paths(outputs)):
        if y is None:
            continue
        if not isinstance(y, tf.Tensor):
            raise _unsupported_output(model, f"it returns a {type(y).__name__}")
        keys = "_".join(str(key) for key in path if isinstance(key, str))
        named[unique_name(keys or (layer_names[i] if layer_names else f"output_{i}"), names)] = tf.identity(y)
    if not named:
        raise _unsupported_output(model, "it returns no tensor")
    return named


def _unsupported_output(model: keras.Model, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError([UnsupportedLayer(describe_layer(model), reason, RETURN_TENSORS)])


def unique_name(name: str, names: set[str]) -> str:
    """Make a name that both formats accept and that is not in `names`, and add it there."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    name = name if name[:1].isalpha() else f"tensor_{name}"
    unique, count = name, 0
    while unique in names:
        count += 1
        unique = f"{name}_{count}"
    names.add(unique)
    return unique
