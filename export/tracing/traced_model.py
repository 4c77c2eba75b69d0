"""A Keras model as a function of named tensors, in inference mode and in float32: both formats are written from it."""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import msgspec
import tensorflow as tf

from kerasfound.bundle.manifest import Tensor
from kerasfound.errors import UserError

from . import dynamic_shapes
from .unsupported import NoFormError, Obstacle, described, first_line, layers, raised_in

BATCH, TIME = "batch", "time"
"""The names of the free first size of every tensor, and of the free second one."""
IMAGE = ("height", "width")
UNNAMED = re.compile(r"keras_tensor(_\d+)?")
"""What Keras calls an input that its author did not name; the number counts the tensors of the process."""
PROBES = (16, 24), (24, 8)
"""First size and step of two rounds of sizes: an output size that follows an input's in both is the same free size.
Small, for a model with a longest text; even, for a model that halves and doubles images."""
DENSE = "let every output be a dense tensor, or a list or dict of them"
TRACEABLE = "write it with keras.ops, from tensors to tensors"

OTHER = ("float16", "bfloat16", "float64")
"""Precisions that ONNX Runtime has few operations for, and that no file needs: its weights are not trained on."""

DynamicShapes = dict[str, list[int | str]]


class Signature(msgspec.Struct, frozen=True):
    """The named inputs and outputs of a model, in its own order."""

    inputs: list[Tensor]
    outputs: list[Tensor]


class TracedModel(msgspec.Struct, frozen=True):
    model: keras.Model
    signature: Signature
    concrete_function: Any
    """A concrete function of TensorFlow."""
    python_function: Callable
    """What it was traced from, which keeps the variables that it refers to."""


def signature(model: keras.Model, sizes: DynamicShapes | None = None) -> Signature:
    """The inputs and outputs of a built model, as both formats have them.

    Args:
        model: built, on the TensorFlow backend.
        sizes: names for the free sizes of an input, such as `{"tokens": ["batch", "time"]}`. Of a subclassed model,
            which only knows the sizes that it was called with, a name also frees a size. By default the first size is
            `"batch"`, a free second one `"time"`, those of an image `"height"` and `"width"`.

    Raises:
        UserError: if the model is not built, `sizes` does not fit it, or it cannot be traced to tensors.
    """
    return trace_model(model, sizes).signature


def check_model(model: keras.Model) -> None:
    """Refuse what can be seen at once.

    Raises:
        UserError: if it is not a Keras model, or Keras runs on another backend.
    """
    if not isinstance(model, keras.Model):
        raise UserError(f"{type(model).__name__} is not a Keras model; give a keras.Model, which may hold one layer.")
    if keras.backend.backend() != "tensorflow":
        backend = keras.backend.backend()
        raise UserError(f"models are exported from TensorFlow, not from {backend}; set KERAS_BACKEND=tensorflow.")


def trace_model(model: keras.Model, sizes: DynamicShapes | None = None) -> TracedModel:
    """The graph of `exported_function(model)`, and its signature."""
    check_model(model)
    asked = input_tensors(model, sizes)
    asking = exported_function(model)
    function = trace(model, asking, tensor_specs(asked))
    return TracedModel(model, Signature(asked, _outputs(model, asked, function.structured_outputs)), function, asking)


def tensor_specs(tensors: list[Tensor]) -> list[tf.TensorSpec]:
    """The inputs for TensorFlow, their free sizes unknown."""
    return [tf.TensorSpec([_known(size) for size in x.shape], x.dtype, name=x.name) for x in tensors]


def exported_function(model: keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    """As `reference`, but in float32 and without what only a GPU has: what the files compute."""
    ask = reference_function(model)
    stored = [variable for variable in model.variables if variable.dtype in OTHER]
    copies = [tf.Variable(tf.cast(variable.value, "float32"), trainable=False) for variable in stored]

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        with inference_in_float32(model), contextlib.ExitStack() as stack:
            for variable, copy in zip(stored, copies, strict=True):
                stack.enter_context(mock.patch.multiple(variable, _value=copy, _dtype="float32"))
            return ask(*tensors)

    return call


def reference_function(model: keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    """The model as a function of its input tensors in the signature's order: named outputs, in inference mode.

    Keras's own export leaves `training` open, so that augmentation and dropout stay active in some layers.
    """
    arguments = _arguments(model)

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = _filled(arguments, iter(tensors))
        with without_softmax_warning():
            outputs = model(**given, training=False) if isinstance(given, _ByName) else model(given, training=False)
        return _named_outputs(model, outputs)

    return call


@contextlib.contextmanager
def without_softmax_warning() -> Iterator[None]:
    """Without Keras's warning of a softmax over one number: attention has one where a text of one word is asked."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using a softmax over axis")
        yield


def trace(model: keras.Model, asking: Callable, given: list[tf.TensorSpec]) -> Any:
    """The concrete function of `asking`, the model's `answer`.

    Raises:
        UserError: naming the layer that cannot be traced.
    """
    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()  # otherwise the frames of Keras's layers are missing
    try:
        return tf.function(asking, input_signature=given, autograph=False).get_concrete_function()
    except UserError:
        raise
    except Exception as error:  # a layer of the user's own may raise anything
        reason = f"it cannot be traced ({first_line(error)})"
        raise NoFormError("graph", [Obstacle(raised_in(error, model), reason, TRACEABLE)]) from error
    finally:
        if filtering:
            keras.config.enable_traceback_filtering()


def nodes(function: Any) -> list[Any]:
    """The nodes of a concrete function and of the functions that it calls."""
    graph = function.graph.as_graph_def()
    return [*graph.node, *(node for body in graph.library.function for node in body.node_def)]


@contextlib.contextmanager
def inference_in_float32(model: keras.Model) -> Iterator[None]:
    """While a graph is traced: float32, no kernel that only a GPU has, and free sizes wherever layers allow them."""
    with contextlib.ExitStack() as stack:
        for layer in layers(model):
            if in_other_precision(layer):
                stack.enter_context(mock.patch.object(layer, "_dtype_policy", _in_float32(layer)))
            if getattr(layer, "use_cudnn", False):  # its operation runs on Nvidia only and has no ONNX form
                stack.enter_context(mock.patch.object(layer, "use_cudnn", False))
        stack.enter_context(dynamic_shapes.allow_dynamic_shapes())
        yield


def in_other_precision(layer: keras.layers.Layer) -> bool:
    return layer.compute_dtype in OTHER


def _in_float32(layer: keras.layers.Layer) -> keras.DTypePolicy:
    policy = layer.dtype_policy
    name = policy[layer.path].name if isinstance(policy, keras.dtype_policies.DTypePolicyMap) else policy.name
    quantized = layer.quantization_mode is not None
    return keras.dtype_policies.get(name.partition("_from_")[0] + "_from_float32" if quantized else "float32")


class _ByName(dict):
    """Arguments of a subclassed model that takes several."""


def _arguments(model: keras.Model) -> Any:
    """What the model is called with: a structure of `(shape, dtype, name)`, a free size `None`."""
    if hasattr(model, "inputs"):
        single = isinstance(model, keras.Sequential)
        return _mapped(
            lambda x: _Leaf((None, *x.shape[1:]), x.dtype, x.name), model.inputs[0] if single else model.input
        )
    built = model.get_build_config() if model.built else None
    if not built:
        raise UserError(f"{described(model)} is not built; call it on an example, or begin it with keras.Input.")
    shapes, dtype = built.get("shapes_dict", built.get("input_shape")), model.input_dtype
    found = _mapped(lambda shape: _Leaf((None, *shape[1:]), dtype, None), shapes, leaf=_is_shape)
    return _ByName({k.removesuffix("_shape"): v for k, v in found.items()}) if "shapes_dict" in built else found


class _Leaf(msgspec.Struct, frozen=True):
    shape: tuple[int | None, ...]
    dtype: str
    name: str | None


def _is_shape(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all(size is None or isinstance(size, int) for size in x)


def _leaves(structure: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Path and leaf, dicts in their own order: `keras.tree` sorts them."""
    if isinstance(structure, dict):
        parts = list(structure.items())
    elif isinstance(structure, (list, tuple)):
        parts = list(enumerate(structure))
    else:
        yield path, structure
        return
    for key, part in parts:
        yield from _leaves(part, (*path, key))


def _mapped(function: Callable, structure: Any, leaf: Callable[[Any], bool] = lambda x: False) -> Any:
    if isinstance(structure, dict) and not leaf(structure):
        kind = _ByName if isinstance(structure, _ByName) else dict
        return kind({key: _mapped(function, part, leaf) for key, part in structure.items()})
    if isinstance(structure, (list, tuple)) and not leaf(structure):
        return [_mapped(function, part, leaf) for part in structure]
    return function(structure)


def _filled(structure: Any, tensors: Iterator[tf.Tensor]) -> Any:
    return _mapped(lambda leaf: next(tensors), structure)


def input_tensors(model: keras.Model, sizes: DynamicShapes | None = None) -> list[Tensor]:
    """The inputs of a built model, as in its signature."""
    sizes = sizes or {}
    found: list[Tensor] = []
    taken: set[str] = set()
    for i, (path, leaf) in enumerate(_leaves(_arguments(model))):
        keys = [str(key) for key in path if isinstance(key, str)]
        named = leaf.name if leaf.name and not UNNAMED.fullmatch(leaf.name) else None
        name = _free("_".join(keys) or named or f"input_{i}", taken)
        defaults = _default_sizes(name, leaf.shape, {size for x in found for size in x.shape[1:]})
        may_free = not hasattr(model, "inputs")
        found.append(Tensor(name, leaf.dtype, _sizes(name, leaf.shape, defaults, sizes.get(name), may_free)))
    unknown = sorted(sizes.keys() - taken)
    if unknown:
        raise UserError(f'sizes: no input is called "{unknown[0]}"; the inputs are {", ".join(sorted(taken))}.')
    return found


def _sizes(
    name: str, shape: tuple, defaults: list[str], given: list[int | str] | None, may_free: bool
) -> list[int | str]:
    found: list[int | str] = [default if size is None else size for size, default in zip(shape, defaults, strict=True)]
    if given is None:
        return found
    fits = len(given) == len(shape) and all(
        isinstance(want, str) if size is None else want == size or (may_free and isinstance(want, str))
        for size, want in zip(shape, given, strict=False)
    )
    if not fits:
        raise UserError(f'sizes: "{name}" has the sizes {found}, not {given}; name each free size and keep the others.')
    return list(given)


def _default_sizes(name: str, shape: tuple, taken: set[int | str]) -> list[str]:
    """A name of an earlier input is not taken again: ONNX Runtime counts on sizes of one name to be the same."""
    sizes = [BATCH, *IMAGE] if len(shape) == 4 else [BATCH, TIME]
    sizes += [str(place) for place in range(len(sizes), len(shape))]
    return [f"{name}_{s}" if i and (s in taken or s.isdigit()) else s for i, s in enumerate(sizes[: len(shape)])]


def _outputs(model: keras.Model, asked: list[Tensor], outputs: dict[str, tf.Tensor]) -> list[Tensor]:
    shapes = {name: y.shape for name, y in outputs.items()}
    for name, shape in shapes.items():
        if shape.rank is None:
            reason = f'its output "{name}" has an unknown number of axes'
            raise NoFormError("graph", [Obstacle(described(model), reason, "end the model with a Reshape")])
    first = asked[0].shape[0]
    free = any(size is None for shape in shapes.values() for size in shape[1:])
    probes = [probe for sizes in PROBES if (probe := _probe(model, asked, *sizes))] if free else []
    if free and not probes:  # perhaps the inputs have to be of one length
        probes = [probe for sizes in PROBES if (probe := _probe(model, asked, *sizes, apart=False))]

    def size(name: str, place: int) -> int | str:
        if (known := shapes[name][place]) is not None:
            return known
        followed = {probe[name][place] for probe in probes}
        if len(followed) == 1 and isinstance(same := followed.pop(), str):
            return same
        return first if place == 0 else f"{name}_{place}"

    return [Tensor(name, y.dtype.name, [size(name, i) for i in range(y.shape.rank)]) for name, y in outputs.items()]


def _probe(
    model: keras.Model, asked: list[Tensor], first: int, step: int, apart: bool = True
) -> dict[str, list[int | str | None]] | None:
    """The sizes of the outputs when each free size of the inputs is a number of its own, with the names put back.

    Not `apart`, all but the first are one number.
    """
    names = dict.fromkeys(size for x in asked for size in x.shape if isinstance(size, str))
    numbers = {name: first + step * (i if apart else min(i, 1)) for i, name in enumerate(names)}
    filled = [Tensor(x.name, x.dtype, [numbers.get(size, size) for size in x.shape]) for x in asked]  # type: ignore
    back = {number: name for name, number in reversed(numbers.items())}
    try:
        outputs = trace(model, exported_function(model), tensor_specs(filled)).structured_outputs
    except UserError:  # a size that the model does not take
        return None
    return {name: [back.get(size, size) for size in y.shape] for name, y in outputs.items()}


def _named_outputs(model: keras.Model, outputs: Any) -> dict[str, tf.Tensor]:
    """The outputs by name, in the model's order: a dict's keys, or the layers that they come from."""
    if isinstance(model, keras.Sequential):
        names: list[str] | None = [model.layers[-1].name]
    else:
        names = getattr(model, "output_names", None)
    taken = {x.name for x in input_tensors(model)}
    found = {}
    for i, (path, y) in enumerate(_leaves(outputs)):
        if y is None:
            continue
        if not isinstance(y, tf.Tensor):
            raise NoFormError("graph", [Obstacle(described(model), f"it answers with a {type(y).__name__}", DENSE)])
        keys = "_".join(str(key) for key in path if isinstance(key, str))
        found[_free(keys or (names[i] if names else f"output_{i}"), taken)] = tf.identity(y)
    if not found:
        raise NoFormError("graph", [Obstacle(described(model), "it answers with no tensor", DENSE)])
    return found


def _free(name: str, taken: set[str]) -> str:
    """`name` as both formats take it, numbered if it is in `taken`, where it is put."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    name = name if name[:1].isalpha() else f"tensor_{name}"
    free, again = name, 0
    while free in taken:
        again += 1
        free = f"{name}_{again}"
    taken.add(free)
    return free


def _known(size: int | str) -> int | None:
    return None if isinstance(size, str) else size
