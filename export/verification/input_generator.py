"""Generates test inputs for a model: samples, random inputs and edge cases, at several sizes."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasfound.bundle.manifest import Tensor
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError, one_line

from ..tracing import traced_model

DimensionSizes = dict[str, int]
"""A size for each dynamic dimension, by name."""

BATCH_SIZES = (1, 2, 5, 32)
OTHER_SIZES = (1, 2, 7, 16, 33, 64, 224)
"""Candidates for every other dynamic dimension, such as time. The first four that the model accepts are tested."""
NUM_SIZES = 4
MAX_CALL_BYTES = 4 << 20
"""For one call; large inputs are tested in batches of fewer than 32."""
DEFAULT_NUM_IDS = 10
"""For integer inputs whose layers and samples show no range."""
MAX_CHARACTERS = 300
"""Of an error that a message quotes."""
LARGE, LARGE_IN_HALF_PRECISION = 1e4, 100.0
"""The largest absolute value of float inputs of the kind `"large"`. The sums of a model in half precision overflow."""
TEXTS = ("", "a", "Größe 10 µm", "an unknown text")


class TestInputs(NamedTuple):
    """The inputs of one call, and their kind."""

    kind: str
    inputs: Tensors


class Domain(NamedTuple):
    """The values that an input may have: one of `values`, or a number from `low` to below `high`."""

    low: Any
    high: Any
    values: np.ndarray | None = None


def generate_inputs(
    model: keras.Model, signature: traced_model.Signature, samples: Tensors | None = None
) -> Iterator[TestInputs]:
    """Yield the inputs of calls that fit the signature, at several sizes of each dynamic dimension.

    Args:
        model: its layers show the range of ids and the known words.
        signature: its inputs.
        samples: real inputs by name, with the same number of rows each.
    """
    rng = np.random.default_rng(0)
    samples = check_samples(signature, samples) if samples else {}
    domains = {tensor.name: input_domain(model, tensor, samples.get(tensor.name)) for tensor in signature.inputs}
    yield from _sample_batches(samples, rng)

    def draw_inputs(sizes: DimensionSizes) -> Tensors:
        return {x.name: draw(x, domains[x.name], shape(x, sizes), rng) for x in signature.inputs}

    combinations = list(size_combinations(model, signature, draw_inputs, samples))
    for sizes in combinations:
        yield TestInputs("random", draw_inputs(sizes))
    large_batch, small_batch = combinations[-1], combinations[min(1, len(combinations) - 1)]
    yield from _padded(signature, draw_inputs(large_batch), rng)
    yield TestInputs("zeros", {x.name: _zeros(x, shape(x, small_batch)) for x in signature.inputs})
    if any(_is_float(x) for x in signature.inputs):
        random = draw_inputs(small_batch)
        largest = LARGE_IN_HALF_PRECISION if traced_model.own_precision(model).endswith("float16") else LARGE
        yield TestInputs("large", {x.name: _large(x, random[x.name], largest, rng) for x in signature.inputs})
    for tensor in filter(_is_float, signature.inputs):
        inputs = draw_inputs(small_batch)
        yield TestInputs("missing", inputs | {tensor.name: _with_nan(inputs[tensor.name], rng)})


def check_samples(signature: traced_model.Signature, samples: Tensors) -> Tensors:
    """Return the samples in the dtypes of the signature.

    Raises:
        UserError: if their names, numbers of rows or shapes do not fit.
    """
    names = [x.name for x in signature.inputs]
    if sorted(samples) != sorted(names):
        raise UserError(
            f"`samples`: the names are {', '.join(samples)}, the inputs of the model are {', '.join(names)}; "
            "give an array for each input."
        )
    rows = [len(x) for x in samples.values()]
    if len(set(rows)) > 1 or not all(rows):
        raise UserError(
            f"`samples`: the inputs have {', '.join(map(str, rows))} rows; give the same number of rows, at least one."
        )
    for tensor in signature.inputs:
        actual = np.shape(samples[tensor.name])
        if len(actual) != len(tensor.shape) or any(
            isinstance(size, int) and size != got for size, got in zip(tensor.shape[1:], actual[1:], strict=True)
        ):
            raise UserError(
                f"`samples`: {tensor.name} has shape {actual}, the model expects {tuple(tensor.shape)}; reshape it."
            )
    dtypes = {x.name: np.str_ if x.dtype == "string" else x.dtype for x in signature.inputs}
    return {name: np.asarray(samples[name]).astype(dtypes[name]) for name in names}


def size_combinations(
    model: keras.Model,
    signature: traced_model.Signature,
    draw_inputs: Callable[[DimensionSizes], Tensors],
    samples: Tensors,
) -> Iterator[DimensionSizes]:
    """Yield sizes for all dynamic dimensions: each batch size, and several other sizes that the model accepts."""
    names = [size for x in signature.inputs for size in x.shape if isinstance(size, str)]
    batch_names = {x.shape[0] for x in signature.inputs if x.shape and isinstance(x.shape[0], str)}
    other_names = [size for size in dict.fromkeys(names) if size not in batch_names]
    batch_sizes = BATCH_SIZES if batch_names else (1,)
    sample_sizes = {
        size: actual
        for x in signature.inputs
        if samples
        for size, actual in zip(x.shape, samples[x.name].shape, strict=True)
    }
    candidates = [*_candidate_sizes(other_names), *([{n: sample_sizes[n] for n in other_names}] if samples else [])]
    others: list[DimensionSizes] = [{}]
    if other_names:
        accepted = _accepted_sizes(model, signature, candidates, batch_names, draw_inputs)
        others = list(itertools.islice(accepted, NUM_SIZES))
    for i in range(max(len(batch_sizes), len(others))):
        other = others[i % len(others)]
        allowed = [n for n in batch_sizes if n <= 2 or _call_bytes(signature, n, other) <= MAX_CALL_BYTES]
        yield dict.fromkeys(batch_names, allowed[min(i, len(allowed) - 1)]) | other


def _candidate_sizes(names: list[str]) -> Iterator[DimensionSizes]:
    """Yield different sizes for several dimensions first, then equal ones, because some models need equal sizes."""
    for step in (1, 0)[len(names) < 2 :]:
        for size in OTHER_SIZES:
            yield {name: size + step * i for i, name in enumerate(names)}


def _accepted_sizes(
    model: keras.Model,
    signature: traced_model.Signature,
    candidates: Iterable[DimensionSizes],
    batch_names: set[str],
    draw_inputs: Callable[[DimensionSizes], Tensors],
) -> Iterator[DimensionSizes]:
    """Yield the candidates on which the model runs."""
    any_accepted = False
    last_error: Exception | str = ""
    for candidate in candidates:
        sizes = dict.fromkeys(batch_names, 1) | candidate
        try:
            _check_sizes(model, signature, sizes)
            traced_model.reference_function(model)(*draw_inputs(sizes).values())
        except Exception as error:  # a model may raise anything if a size does not fit
            last_error = error
        else:
            any_accepted = True
            yield candidate
    if not any_accepted:
        reason = one_line(last_error, MAX_CHARACTERS)
        raise UserError(
            f"{model.name}: runs at no size from {OTHER_SIZES[0]} to {OTHER_SIZES[-1]} of its dynamic dimensions "
            f"({reason}); give samples of a size that it accepts."
        )


def _check_sizes(model: keras.Model, signature: traced_model.Signature, sizes: DimensionSizes) -> None:
    """Let Keras check the sizes. TensorFlow does not: a window that is longer than its input reads random memory.

    Raises:
        ValueError: if a layer of a functional model cannot have these sizes.
    """
    model = traced_model.functional_form(model)
    if hasattr(model, "operations"):
        shapes = {id(_symbolic_input(model, x.name)): shape(x, sizes) for x in signature.inputs}
        input_shapes = keras.tree.map_structure(lambda x: shapes[id(x)], model.input)
        with contextlib.suppress(NotImplementedError), traced_model.without_softmax_warning():
            model.compute_output_shape(input_shapes)
            _check_adaptive_pooling(model, input_shapes)


def _check_adaptive_pooling(model: keras.Model, input_shapes: Any) -> None:
    """Keras does not check adaptive pooling: from fewer steps than it returns, TensorFlow ends the process."""
    for layer in model.layers:
        if type(layer).__name__.startswith("Adaptive") and hasattr(layer, "output_size"):
            steps = keras.Model(model.input, layer.input).compute_output_shape(input_shapes)
            steps = steps[1:-1] if layer.data_format == "channels_last" else steps[2:]
            if any(size < wanted for size, wanted in zip(steps, layer.output_size, strict=True)):
                raise ValueError(f"{layer.name} makes {layer.output_size} steps out of {steps}")


def input_domain(model: keras.Model, tensor: Tensor, samples: np.ndarray | None) -> Domain:
    """Infer the values that an input may have from the layers of the model and from the samples."""
    if tensor.dtype == "string":
        return Domain(0, 0, np.unique([*TEXTS, *_vocabulary(model, str)]))
    if _is_float(tensor):
        if samples is None:
            return Domain(-2, 2)
        axes = None if any(isinstance(size, str) for size in tensor.shape[1:]) else 0
        known = np.nan_to_num(samples.astype("float64"))
        return Domain(known.min(axis=axes), known.max(axis=axes))
    bounds = [_num_ids(layer) for layer in lookup_layers(model, tensor.name)]
    bound = min((size for size in bounds if size), default=None)
    vocabulary = _vocabulary(model, int)
    if bound is None and vocabulary:
        return Domain(0, 0, np.unique([*vocabulary, max(vocabulary) + 7]))
    if bound is None and samples is not None:
        bound = int(samples.max()) + 1
    if bound is None:
        bound = 256 if tensor.dtype == "uint8" else DEFAULT_NUM_IDS
    return Domain(0, bound)


def num_ids(model: keras.Model, tensor: Tensor) -> int | None:
    """Return how many ids an input may hold, if a functional model looks them up without changing them."""
    model = traced_model.functional_form(model)
    if _is_float(tensor) or tensor.dtype == "string" or not hasattr(model, "operations"):
        return None
    inputs = {id(_symbolic_input(model, tensor.name))}
    sizes = [
        operation.input_dim
        for operation in model.operations
        if isinstance(operation, keras.layers.Embedding) and inputs & _tensor_ids(operation.input)
    ]
    return min(sizes, default=None)


def lookup_layers(model: keras.Model, name: str) -> list[keras.Layer]:
    """Return the layers that look up the ids of an input; if the model does not show them, all lookup layers."""
    reached: list[keras.Layer] = []
    if hasattr(model, "operations"):
        tensors = {id(_symbolic_input(model, name))}
        for operation in model.operations:
            if not isinstance(operation, keras.layers.InputLayer) and tensors & _tensor_ids(operation.input):
                lookups = [layer for layer in _nested_layers(operation) if _num_ids(layer)]
                reached += lookups
                if not lookups:
                    tensors |= _tensor_ids(operation.output)
    return reached or [layer for layer in _nested_layers(model) if _num_ids(layer)]


def _symbolic_input(model: keras.Model, name: str) -> keras.KerasTensor:
    """Return an input of a functional model, by its key in a dict or by its own name."""
    if not isinstance(model, keras.Sequential) and isinstance(model.input, dict) and name in model.input:
        return model.input[name]
    return next((x for x in model.inputs if x.name == name), model.inputs[0])


def draw(tensor: Tensor, domain: Domain, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw random values of an input. Ids start at 1 where possible, because 0 means padding."""
    if domain.values is not None:
        values = rng.choice(domain.values, shape)
        return values if tensor.dtype == "string" else values.astype(tensor.dtype)
    if tensor.dtype == "bool":
        return rng.random(shape) < 0.5
    if _is_float(tensor):
        return rng.uniform(domain.low, domain.high, shape).astype(tensor.dtype)
    return rng.integers(1 if domain.high > 1 else 0, max(domain.high, 1), shape).astype(tensor.dtype)


def shape(tensor: Tensor, sizes: DimensionSizes) -> tuple[int, ...]:
    """Return the shape of a tensor with a size for each dynamic dimension."""
    return tuple(sizes[size] if isinstance(size, str) else size for size in tensor.shape)


def _sample_batches(samples: Tensors, rng: np.random.Generator) -> Iterator[TestInputs]:
    """Yield the first samples at each batch size, and one batch whose values are shuffled between the rows."""
    if not samples:
        return
    rows = min(len(x) for x in samples.values())
    row_bytes = sum(x[:1].nbytes for x in samples.values())
    for batch_size in BATCH_SIZES:
        if batch_size <= rows and (batch_size <= 2 or batch_size * row_bytes <= MAX_CALL_BYTES):
            batch = {name: x[:batch_size] for name, x in samples.items()}
            yield TestInputs("samples", batch)
    yield TestInputs("shuffled", {name: rng.permuted(x, axis=0) for name, x in batch.items()})


def _padded(signature: traced_model.Signature, inputs: Tensors, rng: np.random.Generator) -> Iterator[TestInputs]:
    """Yield rows of different lengths with zeros at the end, and ids with zeros at random places."""
    sequences = [x for x in signature.inputs if len(x.shape) > 1]
    ids = {x.name for x in sequences if np.issubdtype(inputs[x.name].dtype, np.integer)}
    names = ids | {x.name for x in sequences if isinstance(x.shape[1], str)}
    if names:
        lengths: dict[tuple[int, int], np.ndarray] = {}
        padded = dict(inputs)
        for name in names:
            if inputs[name].dtype.kind in "iuf":
                rows, time = inputs[name].shape[:2]
                length = lengths.setdefault((rows, time), rng.integers(1, time + 1, rows))
                padded[name] = _pad_from(inputs[name], length)
        yield TestInputs("padded", padded)
    if ids:
        yield TestInputs(
            "gaps", {n: x * (rng.random(x.shape) < 0.5).astype(x.dtype) if n in ids else x for n, x in inputs.items()}
        )


def _pad_from(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    mask = np.arange(x.shape[1]) < lengths[:, None]
    return x * mask.reshape(*mask.shape, *[1] * (x.ndim - 2)).astype(x.dtype)


def _zeros(tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, "") if tensor.dtype == "string" else np.zeros(shape, tensor.dtype)


def _large(tensor: Tensor, x: np.ndarray, largest: float, rng: np.random.Generator) -> np.ndarray:
    if not _is_float(tensor):
        return x
    return (largest * rng.uniform(-1, 1, x.shape)).astype(tensor.dtype)


def _with_nan(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    missing = rng.random(x.shape)
    return np.where(missing <= max(missing.min(initial=1.0), 0.05), np.nan, x).astype(x.dtype)


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype.startswith("float")


def _call_bytes(signature: traced_model.Signature, batch_size: int, sizes: DimensionSizes) -> int:
    """Estimate the memory of a call. A dimension that only an output has counts as the largest one of the inputs."""
    largest = max(sizes.values(), default=1)

    def elements(tensor: Tensor) -> int:
        row = [size if isinstance(size, int) else sizes.get(size, largest) for size in tensor.shape[1:]]
        return int(np.prod(row, dtype="int64"))

    return 4 * batch_size * sum(elements(x) for x in [*signature.inputs, *signature.outputs])


def _num_ids(layer: keras.Layer) -> int | None:
    """Return how many ids a layer can look up, if it is a lookup layer."""
    if isinstance(layer, keras.layers.Embedding):
        return layer.input_dim
    return layer.num_tokens if isinstance(layer, keras.layers.CategoryEncoding) else None


def _vocabulary(model: keras.Model, kind: type) -> list:
    """Return the texts or the integers that the lookup layers of a model know."""
    layer_types = {
        str: (keras.layers.StringLookup, keras.layers.TextVectorization),
        int: (keras.layers.IntegerLookup,),
    }[kind]
    layers = [layer for layer in _nested_layers(model) if isinstance(layer, layer_types)]
    words = [word for layer in layers for word in layer.get_vocabulary()]
    types = str if kind is str else (int, np.integer)
    return [word for word in words if isinstance(word, types)]


def _nested_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Return a layer and all layers inside it. No public method lists the layers inside a layer that is no model."""
    return list(layer._flatten_layers()) if isinstance(layer, keras.Layer) else []


def _tensor_ids(tensors) -> set[int]:
    return {id(x) for x in keras.tree.flatten(tensors)}
