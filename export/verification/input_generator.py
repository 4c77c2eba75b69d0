"""What a model is asked before its files are believed: real inputs, drawn ones and those at the edge, of many sizes."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasfound.bundle.manifest import Tensor
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError

from ..tracing import traced_model

Sizes = dict[str, int]

BATCHES = (1, 2, 5, 32)
OTHERS = (1, 2, 7, 16, 33, 64, 224)
"""Tried for every other free size, such as time; the first four that the model takes are asked."""
CALL_BYTES = 4 << 20
"""What one call may hold; of large inputs fewer than 32 are asked at once."""
IDS, LARGE = 10, 1e4
"""Ids are drawn below the first where nothing tells how many there are; float inputs go up to the second."""
TEXTS = ("", "a", "Größe 10 µm", "unheard of")


class Question(NamedTuple):
    """One call: what kind of inputs these are, and the inputs."""

    kind: str
    inputs: Tensors


class Domain(NamedTuple):
    """What an input may hold: of these values, or numbers from `low` to below `high`."""

    low: Any
    high: Any
    values: np.ndarray | None = None


def questions(
    model: keras.Model, signature: traced_model.Signature, samples: Tensors | None = None, missing: bool = False
) -> Iterator[Question]:
    """Calls that fit the signature, at several of each free size.

    Args:
        model: tells the size of its vocabularies.
        signature: its inputs.
        samples: real inputs by name, as many of each.
        missing: whether a float input may hold NaN.
    """
    rng = np.random.default_rng(0)
    samples = checked(signature, samples) if samples else {}
    domains = {tensor.name: domain(model, tensor, samples.get(tensor.name)) for tensor in signature.inputs}
    yield from _of_samples(samples, rng)

    def drawn(sizes: Sizes) -> Tensors:
        return {x.name: draw(x, domains[x.name], shape(x, sizes), rng) for x in signature.inputs}

    chosen = list(settings(model, signature, drawn, samples))
    for sizes in chosen:
        yield Question("random", drawn(sizes))
    several = chosen[-1]
    yield from _padded(signature, drawn(several), rng)
    few = chosen[min(1, len(chosen) - 1)]
    yield Question("zeros", {x.name: _full(x, shape(x, few), 0) for x in signature.inputs})
    if any(_is_float(x) for x in signature.inputs):
        yield Question("large", {x.name: _large(x, inputs, rng) for x, inputs in _paired(signature, drawn(few))})
    if missing:
        yield Question("missing", {name: _with_holes(x, rng) for name, x in drawn(several).items()})


def checked(signature: traced_model.Signature, samples: Tensors) -> Tensors:
    """`samples` in the signature's dtypes, or an error that says what does not fit."""
    names = [x.name for x in signature.inputs]
    if sorted(samples) != sorted(names):
        raise UserError(f"the samples are of {', '.join(samples)}; the model's inputs are {', '.join(names)}.")
    if len({len(x) for x in samples.values()}) > 1 or not all(len(x) for x in samples.values()):
        raise UserError(
            f"the samples have {', '.join(str(len(x)) for x in samples.values())} rows; give as many of each."
        )
    for tensor in signature.inputs:
        found = np.shape(samples[tensor.name])
        if len(found) != len(tensor.shape) or any(
            isinstance(size, int) and size != got for size, got in zip(tensor.shape[1:], found[1:], strict=True)
        ):
            raise UserError(f"the samples of {tensor.name} have shape {found}, the model takes {tuple(tensor.shape)}.")
    dtypes = {x.name: np.str_ if x.dtype == "string" else x.dtype for x in signature.inputs}
    return {name: np.asarray(samples[name]).astype(dtypes[name]) for name in names}


def settings(
    model: keras.Model, signature: traced_model.Signature, drawn: Callable[[Sizes], Tensors], samples: Tensors
) -> Iterator[Sizes]:
    """Values of all free sizes: each batch size, and each other size that the model takes."""
    free = [size for x in signature.inputs for size in x.shape if isinstance(size, str)]
    first = {x.shape[0] for x in signature.inputs if x.shape and isinstance(x.shape[0], str)}
    others = [size for size in dict.fromkeys(free) if size not in first]
    batches = BATCHES if first else (1,)
    own = {
        size: got for x in signature.inputs if samples for size, got in zip(x.shape, samples[x.name].shape, strict=True)
    }
    sizes = [*_candidates(others), *([{name: own[name] for name in others}] if samples else [])]
    lengths = list(itertools.islice(_taken(model, signature, sizes, first, drawn), 4)) if others else [{}]
    for place in range(max(len(batches), len(lengths))):
        length = lengths[place % len(lengths)]
        allowed = [batch for batch in batches if batch <= 2 or _bytes(signature, batch, length) <= CALL_BYTES]
        yield dict.fromkeys(first, allowed[min(place, len(allowed) - 1)]) | length


def _candidates(others: list[str]) -> Iterator[Sizes]:
    """Where there are several free sizes, each is another number; then all are the same, for models that ask for it."""
    for apart in (1, 0)[len(others) < 2 :]:
        for size in OTHERS:
            yield {name: size + apart * place for place, name in enumerate(others)}


def _taken(
    model: keras.Model,
    signature: traced_model.Signature,
    candidates: Iterable[Sizes],
    first: set[str],
    drawn: Callable[[Sizes], Tensors],
) -> Iterator[Sizes]:
    """Those sizes at which the model answers."""
    taken, error = False, None
    for length in candidates:
        sizes = dict.fromkeys(first, 1) | length
        try:
            _check_sizes(model, signature, sizes)
            traced_model.reference_function(model)(*drawn(sizes).values())
        except Exception as raised:  # whatever a model raises where a size does not suit it
            error = raised
        else:
            taken = True
            yield length
    if not taken:
        raise UserError(
            f"{model.name}: takes no size of {OTHERS[0]} to {OTHERS[-1]} where one is free ({line(error)}); "
            "give samples of the size that it takes."
        )


def _check_sizes(model: keras.Model, signature: traced_model.Signature, sizes: Sizes) -> None:
    """Keras knows where a window is longer than what it goes over; TensorFlow then answers what lies in memory.

    Raises:
        ValueError: if a layer of a functional model cannot have these sizes.
    """
    if hasattr(model, "operations"):
        shapes = {id(_symbolic(model, x.name)): shape(x, sizes) for x in signature.inputs}
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        with contextlib.suppress(NotImplementedError), traced_model.without_softmax_warning():
            model.compute_output_shape(keras.tree.map_structure(lambda x: shapes[id(x)], inputs))


def domain(model: keras.Model, tensor: Tensor, samples: np.ndarray | None) -> Domain:
    """What an input may hold, as far as the model's layers and the samples tell."""
    if tensor.dtype == "string":
        return Domain(0, 0, np.unique([*TEXTS, *_words(model, str)]))
    if _is_float(tensor):
        if samples is None:
            return Domain(-2, 2)
        axes = None if any(isinstance(size, str) for size in tensor.shape[1:]) else 0
        known = np.nan_to_num(samples.astype("float64"))
        return Domain(known.min(axis=axes), known.max(axis=axes))
    bounds = [_bound(layer) for layer in reached(model, tensor.name)]
    bound = min((size for size in bounds if size), default=None)
    words = _words(model, int)
    if bound is None and words:
        return Domain(0, 0, np.unique([*words, max(words) + 7]))
    if bound is None:
        bound = int(samples.max()) + 1 if samples is not None else 256 if tensor.dtype == "uint8" else IDS
    return Domain(0, bound)


def ids_below(model: keras.Model, tensor: Tensor) -> int | None:
    """How many ids an input may hold, where a functional model shows that it looks them up as they come."""
    if _is_float(tensor) or tensor.dtype == "string" or not hasattr(model, "operations"):
        return None
    given = {id(_symbolic(model, tensor.name))}
    tables = [
        operation.input_dim
        for operation in model.operations
        if isinstance(operation, keras.layers.Embedding) and given & _ids(operation.input)
    ]
    return min(tables, default=None)


def reached(model: keras.Model, name: str) -> list[keras.Layer]:
    """The layers that look up the ids of an input; where the model does not show which those are, all that look up."""
    found: list[keras.Layer] = []
    if hasattr(model, "operations"):
        tensors = {id(_symbolic(model, name))}
        for operation in model.operations:
            if not isinstance(operation, keras.layers.InputLayer) and tensors & _ids(operation.input):
                inside = [layer for layer in _layers(operation) if _bound(layer)]
                found += inside
                if not inside:
                    tensors |= _ids(operation.output)
    return found or [layer for layer in _layers(model) if _bound(layer)]


def _symbolic(model: keras.Model, name: str) -> keras.KerasTensor:
    """An input of a functional model, by the key in its dict or by its own name."""
    if not isinstance(model, keras.Sequential) and isinstance(model.input, dict) and name in model.input:
        return model.input[name]
    return next((x for x in model.inputs if x.name == name), model.inputs[0])


def draw(tensor: Tensor, domain: Domain, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random values of an input. Ids are above 0, where there are more: 0 is padding."""
    if domain.values is not None:
        values = rng.choice(domain.values, shape)
        return values if tensor.dtype == "string" else values.astype(tensor.dtype)
    if tensor.dtype == "bool":
        return rng.random(shape) < 0.5
    if _is_float(tensor):
        return rng.uniform(domain.low, domain.high, shape).astype(tensor.dtype)
    return rng.integers(1 if domain.high > 1 else 0, max(domain.high, 1), shape).astype(tensor.dtype)


def shape(tensor: Tensor, sizes: Sizes) -> tuple[int, ...]:
    return tuple(sizes[size] if isinstance(size, str) else size for size in tensor.shape)


def line(error: BaseException | str | None) -> str:
    """An exception's text on one line, as short as may be read."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."


def _of_samples(samples: Tensors, rng: np.random.Generator) -> Iterator[Question]:
    """The first ones in batches of each size, and one batch with cells of different rows side by side."""
    if not samples:
        return
    rows = min(len(x) for x in samples.values())
    size = sum(x[:1].nbytes for x in samples.values())
    for batch in BATCHES:
        if batch <= rows and (batch <= 2 or batch * size <= CALL_BYTES):
            some = {name: x[:batch] for name, x in samples.items()}
            yield Question("samples", some)
    yield Question("shuffled", {name: rng.permuted(x, axis=0) for name, x in some.items()})


def _padded(signature: traced_model.Signature, inputs: Tensors, rng: np.random.Generator) -> Iterator[Question]:
    """Zeros at the end, rows of different lengths; and ids with zeros anywhere."""
    free = {x.name for x in signature.inputs if len(x.shape) > 1 and isinstance(x.shape[1], str)}
    ids = {x.name for x in signature.inputs if len(x.shape) > 1 and np.issubdtype(inputs[x.name].dtype, np.integer)}
    lengths: dict[tuple[int, int], np.ndarray] = {}
    if free | ids:
        padded = dict(inputs)
        for name in free | ids:
            if inputs[name].dtype.kind in "iuf":
                rows, time = inputs[name].shape[:2]
                length = lengths.setdefault((rows, time), rng.integers(1, time + 1, rows))
                kept = np.arange(time) < length[:, None]
                padded[name] = inputs[name] * kept.reshape(rows, time, *[1] * (inputs[name].ndim - 2)).astype(
                    inputs[name].dtype
                )
        yield Question("padded", padded)
    if ids:
        yield Question(
            "gaps", {n: x * (rng.random(x.shape) < 0.5).astype(x.dtype) if n in ids else x for n, x in inputs.items()}
        )


def _full(tensor: Tensor, shape: tuple[int, ...], value: float) -> np.ndarray:
    return np.full(shape, "") if tensor.dtype == "string" else np.full(shape, value, tensor.dtype)


def _large(tensor: Tensor, drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not _is_float(tensor):
        return drawn
    return (min(LARGE, float(np.finfo(tensor.dtype).max) ** 0.5) * rng.uniform(-1, 1, drawn.shape)).astype(tensor.dtype)


def _with_holes(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(x.shape) < 0.05, np.nan, x).astype(x.dtype) if x.dtype.kind == "f" else x


def _paired(signature: traced_model.Signature, inputs: Tensors) -> Iterable[tuple[Tensor, np.ndarray]]:
    return [(x, inputs[x.name]) for x in signature.inputs]


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype.startswith("float")


def _bytes(signature: traced_model.Signature, batch: int, length: Sizes) -> int:
    """Roughly: a size that only an output has counts as one of the inputs' largest."""
    largest = max(length.values(), default=1)

    def elements(tensor: Tensor) -> int:
        sizes = [size if isinstance(size, int) else length.get(size, largest) for size in tensor.shape[1:]]
        return int(np.prod(sizes, dtype="int64"))

    return 4 * batch * sum(elements(x) for x in [*signature.inputs, *signature.outputs])


def _bound(layer: keras.Layer) -> int | None:
    """How many ids a layer knows, if it looks ids up."""
    if isinstance(layer, keras.layers.Embedding):
        return layer.input_dim
    return layer.num_tokens if isinstance(layer, keras.layers.CategoryEncoding) else None


def _words(model: keras.Model, kind: type) -> list:
    """What the lookup layers of a model know of texts, or of integers."""
    of = {str: (keras.layers.StringLookup, keras.layers.TextVectorization), int: (keras.layers.IntegerLookup,)}[kind]
    known = [word for layer in _layers(model) if isinstance(layer, of) for word in layer.get_vocabulary()]
    return [word for word in known if isinstance(word, kind if kind is str else (int, np.integer))]


def _layers(layer: keras.Layer) -> list[keras.Layer]:
    """A layer and all layers inside it. Nothing public tells those inside a layer that is no model."""
    return list(layer._flatten_layers()) if isinstance(layer, keras.Layer) else []


def _ids(tensors) -> set[int]:
    return {id(x) for x in keras.tree.flatten(tensors)}
