"""All handlers: ONNX for the TensorFlow operations that tf2onnx does not convert, or converts wrongly.

A handler replaces one node of a tf2onnx graph. The first line of its docstring says which operators it writes.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from . import elementwise, fft, grouped_convolution, indexing, linear_algebra, lookup, random_numbers, resize
from .node_builder import NodeBuilder

HANDLERS: dict[str, Callable] = {
    **elementwise.HANDLERS,
    **fft.HANDLERS,
    **grouped_convolution.HANDLERS,
    **indexing.HANDLERS,
    **linear_algebra.HANDLERS,
    **lookup.HANDLERS,
    **random_numbers.HANDLERS,
    **resize.HANDLERS,
}
"""TensorFlow operation to its handler."""
ONLY_EXACT = {*elementwise.COMPARISONS, *elementwise.EXTREMA, "TopKV2"}
"""Operations that tf2onnx converts too, with fewer digits. A user need not know of these."""
ONLY_FOR_TYPES: dict[str, Callable[[tf.DType], bool]] = {
    "Equal": lambda dtype: dtype == tf.string,
    "FloorDiv": lambda dtype: dtype.is_integer,
    "NotEqual": lambda dtype: dtype == tf.string,
}
"""Operations whose handlers leave other types to tf2onnx."""


def tf2onnx_handlers(tables: lookup.Tables) -> dict[str, tuple[Callable, list]]:
    """The handlers of one conversion, for the argument `custom_op_handlers` of tf2onnx."""
    complex_tensors: fft.ComplexTensors = {}
    state: dict[str, Any] = {"LookupTableFindV2": tables, **dict.fromkeys(fft.HANDLERS, complex_tensors)}
    return {
        operation: (functools.partial(_call_handler, handler, state.get(operation)), [])
        for operation, handler in HANDLERS.items()
    }


def describe_handler(operation: str) -> str:
    """The operators that the handler of an operation writes, in one line."""
    return (HANDLERS[operation].__doc__ or "").splitlines()[0]


def has_handler(node: Any) -> bool:
    """Whether a handler writes other operators for a TensorFlow node than tf2onnx does."""
    if node.op not in HANDLERS or node.op in ONLY_EXACT:
        return False
    return node.op not in ONLY_FOR_TYPES or ONLY_FOR_TYPES[node.op](tf.as_dtype(node.attr["T"].type))


def _call_handler(handler: Callable, state: Any, graph: Any, node: Any, name: str, _: list) -> None:
    handler(NodeBuilder(graph, node), *([] if state is None else [state]))
