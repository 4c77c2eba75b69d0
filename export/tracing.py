"""A Keras model as a function of named tensors, in inference mode and in float32: both formats are written from it."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import msgspec
import tensorflow as tf

from kerasfound.errors import UserError
from kerasfound.export.manifest import Tensor

BATCH, TIME = "batch", "time"
"""The names of the free first size of every tensor, and of the free second one."""
IMAGE = ("height", "width")
UNNAMED = re.compile(r"keras_tensor(_\d+)?")
"""What Keras calls an input that its author did not name; the number counts the tensors of the process."""
PROBES = 37, 53
"""Two lengths that no model is likely to have: an output size that follows both is the same free size."""

Sizes = dict[str, list[int | str]]


class Signature(msgspec.Struct, frozen=True):
    """The named inputs and outputs of a model, in its own order."""

    inputs: list[Tensor]
    outputs: list[Tensor]


class Traced(msgspec.Struct, frozen=True):
    signature: Signature
    function: Any
    """A concrete function of TensorFlow."""


def signature(model: keras.Model, sizes: Sizes | None = None) -> Signature:
    """The inputs and outputs of a built model, as both formats have them.

    Args:
        model: built, on the TensorFlow backend.
        sizes: names for the free sizes of an input, such as `{"tokens": ["batch", "time"]}`. Of a subclassed model,
            which only knows the sizes that it was called with, a name also frees a size. By default the first size is
            `"batch"`, a free second one `"time"`, those of an image `"height"` and `"width"`.

    Raises:
        UserError: if the model is not built, `sizes` does not fit it, or it cannot be traced to tensors.

    Example:
        >>> model = keras.Sequential([keras.Input((None, 3), name="steps"), keras.layers.LSTM(2, name="memory")])
        >>> signature(model).inputs
        [Tensor(name='steps', dtype='float32', shape=['batch', 'time', 3])]
        >>> signature(model).outputs
        [Tensor(name='memory', dtype='float32', shape=['batch', 2])]
    """
    return traced(model, sizes).signature


def traced(model: keras.Model, sizes: Sizes | None = None) -> Traced:
    """The graph of `answer(model)`, and its signature."""
    inputs = _inputs(model, sizes or {})
    function = trace(model, specs(inputs))
    return Traced(Signature(inputs, _outputs(model, inputs, function.structured_outputs)), function)


def specs(inputs: list[Tensor]) -> list[tf.TensorSpec]:
    """The inputs for TensorFlow, their free sizes unknown."""
    return [tf.TensorSpec([_known(size) for size in x.shape], x.dtype, name=x.name) for x in inputs]


def answer(model: keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    """The model as a function of its input tensors in the signature's order: named outputs, in inference mode.

    Keras's own export leaves `training` open, so that augmentation and dropout stay active in some layers.
    """
    arguments = _arguments(model)

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = _filled(arguments, iter(tensors))
        with for_inference(model):
            outputs = model(**given, training=False) if isinstance(given, _ByName) else model(given, training=False)
        return _named_outputs(model, outputs)

    return call


def trace(model: keras.Model, inputs: list[tf.TensorSpec]) -> Any:
    """The concrete function of `answer(model)`.

    Raises:
        UserError: naming the layer that cannot be traced.
    """
    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()  # otherwise the frames of Keras's layers are missing
    try:
        return tf.function(answer(model), input_signature=inputs, autograph=False).get_concrete_function()
    except UserError:
        raise
    except Exception as error:  # a layer of the user's own may raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{_raised_in(error, model)} cannot be traced to a graph: {reason}") from error
    finally:
        if filtering:
            keras.config.enable_traceback_filtering()


def described(layer: keras.layers.Layer) -> str:
    """How a message names a layer."""
    return f'layer "{layer.name}" ({type(layer).__name__})'


def layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The model and every layer in it, however deep. Keras has no public way to a layer's own layers."""
    return list(dict.fromkeys(model._flatten_layers()))


@contextlib.contextmanager
def for_inference(model: keras.Model) -> Iterator[None]:
    """While a graph is traced: float32, no kernel that only a GPU has, and `TimeDistributed` of any length."""
    with contextlib.ExitStack() as stack:
        for layer in layers(model):
            if in_other_precision(layer):
                stack.enter_context(mock.patch.object(layer, "_dtype_policy", _in_float32(layer)))
            if getattr(layer, "use_cudnn", False):  # its operation runs on Nvidia only and has no ONNX form
                stack.enter_context(mock.patch.object(layer, "use_cudnn", False))
        # an unknown length goes through `vectorized_map` in Keras, which answers wrong or not at all
        stack.enter_context(mock.patch.object(keras.layers.TimeDistributed, "call", _time_distributed))
        yield


def in_other_precision(layer: keras.layers.Layer) -> bool:
    return layer.compute_dtype in ("float16", "bfloat16", "float64")


class _Float32Over(keras.DTypePolicy):
    """Computes in float32 from variables that stay as they are stored."""

    def __init__(self, variable_dtype: str):
        super().__init__("float32")
        self.stored = variable_dtype

    @property
    def variable_dtype(self) -> str:
        return self.stored


def _in_float32(layer: keras.layers.Layer) -> keras.DTypePolicy:
    if layer.quantization_mode is None:
        return _Float32Over(layer.variable_dtype)
    policy = layer.dtype_policy
    name = policy[layer.path].name if isinstance(policy, keras.dtype_policies.DTypePolicyMap) else policy.name
    return keras.dtype_policies.get(name.partition("_from_")[0] + "_from_float32")


_each_step = keras.layers.TimeDistributed.call


def _time_distributed(self: Any, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
    """With the steps as further rows of the batch, so that their number need not be known."""
    if inputs.shape[1] is not None:
        return _each_step(self, inputs, training=training, mask=mask)
    kwargs: dict[str, Any] = {"training": training} if self.layer._call_has_training_arg else {}
    if self.layer._call_has_mask_arg and mask is not None:
        kwargs["mask"] = tf.reshape(mask, tf.concat([[-1], tf.shape(mask)[2:]], 0))
    rows = tf.reshape(inputs, tf.concat([[-1], tf.shape(inputs)[2:]], 0))
    rows.set_shape([None, *inputs.shape[2:]])
    y = self.layer.call(rows, **kwargs)
    steps = tf.reshape(y, tf.concat([tf.shape(inputs)[:2], tf.shape(y)[1:]], 0))
    steps.set_shape([*inputs.shape[:2], *y.shape[1:]])
    return steps


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


def _inputs(model: keras.Model, sizes: Sizes) -> list[Tensor]:
    found, taken = [], set[str]()
    for i, (path, leaf) in enumerate(_leaves(_arguments(model))):
        keys = [str(key) for key in path if isinstance(key, str)]
        named = leaf.name if leaf.name and not UNNAMED.fullmatch(leaf.name) else None
        name = _free("_".join(keys) or named or f"input_{i}", taken)
        found.append(Tensor(name, leaf.dtype, _sizes(name, leaf.shape, sizes.get(name), not hasattr(model, "inputs"))))
    unknown = sorted(sizes.keys() - taken)
    if unknown:
        raise UserError(f'sizes: no input is called "{unknown[0]}"; the inputs are {", ".join(sorted(taken))}.')
    return found


def _sizes(name: str, shape: tuple, given: list[int | str] | None, may_free: bool) -> list[int | str]:
    defaults: list[int | str] = [_default_size(name, place, len(shape)) for place in range(len(shape))]
    found = [default if size is None else size for size, default in zip(shape, defaults, strict=True)]
    if given is None:
        return found
    fits = len(given) == len(shape) and all(
        isinstance(want, str) if size is None else want == size or (may_free and isinstance(want, str))
        for size, want in zip(shape, given, strict=False)
    )
    if not fits:
        raise UserError(f'sizes: "{name}" has the sizes {found}, not {given}; name each free size and keep the others.')
    return list(given)


def _default_size(name: str, place: int, rank: int) -> str:
    if place == 0:
        return BATCH
    if rank == 4 and place < 3:
        return IMAGE[place - 1]
    return TIME if place == 1 else f"{name}_{place}"


def _outputs(model: keras.Model, inputs: list[Tensor], outputs: dict[str, tf.Tensor]) -> list[Tensor]:
    shapes = {name: y.shape for name, y in outputs.items()}
    for name, shape in shapes.items():
        if shape.rank is None:
            raise UserError(
                f'{described(model)}: output "{name}" has an unknown number of axes; reshape it at the end.'
            )
    free = any(size is None for shape in shapes.values() for size in shape[1:])
    probes = [_probe(model, inputs, first) for first in PROBES] if free else []

    def size(name: str, place: int) -> int | str:
        followed = {probe[name][place] for probe in probes if probe}
        if len(followed) == 1 and isinstance(same := followed.pop(), str):
            return same
        return shapes[name][place] or (BATCH if place == 0 else f"{name}_{place}")

    return [Tensor(name, y.dtype.name, [size(name, i) for i in range(y.shape.rank)]) for name, y in outputs.items()]


def _probe(model: keras.Model, inputs: list[Tensor], first: int) -> dict[str, list[int | str | None]] | None:
    """The sizes of the outputs when each free size of the inputs is a number of its own, with the names put back."""
    names = dict.fromkeys(size for x in inputs for size in x.shape if isinstance(size, str))
    numbers = {name: first + 2 * i for i, name in enumerate(names)}
    filled = [Tensor(x.name, x.dtype, [numbers.get(size, size) for size in x.shape]) for x in inputs]  # type: ignore
    back = {number: name for name, number in numbers.items()}
    try:
        outputs = trace(model, specs(filled)).structured_outputs
    except UserError:  # a size that the model does not take
        return None
    return {name: [back.get(size, size) for size in y.shape] for name, y in outputs.items()}


def _named_outputs(model: keras.Model, outputs: Any) -> dict[str, tf.Tensor]:
    """The outputs by name, in the model's order: a dict's keys, or the layers that they come from."""
    if isinstance(model, keras.Sequential):
        names: list[str] | None = [model.layers[-1].name]
    else:
        names = getattr(model, "output_names", None)
    taken = {x.name for x in _inputs(model, {})}
    found = {}
    for i, (path, y) in enumerate(_leaves(outputs)):
        if y is None:
            continue
        if not isinstance(y, tf.Tensor):
            raise UserError(
                f"{described(model)} answers with a {type(y).__name__}; every output must be a dense tensor."
            )
        keys = "_".join(str(key) for key in path if isinstance(key, str))
        found[_free(keys or (names[i] if names else f"output_{i}"), taken)] = tf.identity(y)
    if not found:
        raise UserError(f"{described(model)} answers with no tensor; every output must be a dense tensor.")
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


def _raised_in(error: BaseException, model: keras.Model) -> str:
    """The innermost layer whose code was running."""
    layer, frame = model, error.__traceback__
    while frame:
        owner = frame.tb_frame.f_locals.get("self")
        layer = owner if isinstance(owner, keras.layers.Layer) else layer
        frame = frame.tb_next
    return described(layer)


def check(model: keras.Model, file_format: str) -> None:
    """Refuse what can be seen without tracing.

    Raises:
        UserError: if it is not a Keras model, or Keras runs on another backend.
    """
    if not isinstance(model, keras.Model):
        raise UserError(f"a {type(model).__name__} cannot be exported to {file_format}; give a keras.Model.")
    if keras.backend.backend() != "tensorflow":
        backend = keras.backend.backend()
        raise UserError(f"{file_format} is written from TensorFlow, not from {backend}; set KERAS_BACKEND=tensorflow.")
