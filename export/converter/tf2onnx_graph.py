"""tf2onnx's conversion of a TensorFlow graph, without its copies of the weights.

TensorFlow copies the constants of a graph each time it optimizes and imports the graph. tf2onnx copies the whole graph
before each of its optimizers, and the value of every constant after each of them. With 100 MB of weights this takes
4 GB. So large weights stay outside of the graph until tf2onnx reads their values.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kerasfound.errors import one_line

from ..memory import release_memory
from ..tracing.patching import replace_function

if TYPE_CHECKING:
    import onnx

ASSIGN = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
MAX_CHARACTERS = 200
"""Of an error that a warning quotes."""
LARGE = 1 << 18
"""Bytes of a variable that stays outside of the graph. Operations on smaller ones are folded before the conversion."""


def large_variables(function: Any) -> dict[str, tf.Variable]:
    """The large variables of a concrete function, by the name of their placeholder in its graph."""
    by_handle = {id(variable.handle): variable for variable in function.graph.variables}
    captured = {inner.name.partition(":")[0]: by_handle.get(id(outer)) for outer, inner in function.graph.captures}
    return {name: variable for name, variable in captured.items() if variable is not None and _is_large(variable)}


def _is_large(variable: tf.Variable) -> bool:
    num_elements = variable.shape.num_elements() or 0  # None if the shape is not fixed
    return variable.dtype != tf.string and num_elements * variable.dtype.size >= LARGE


def freeze(trackable: Any, function: Any, inputs: list[str], outputs: list[str]) -> tuple[Any, dict]:
    """Replace the variables of a concrete function by constants, and fold constants.

    Returns:
        The `GraphDef`, in which `large_variables` are placeholders, and the content of its lookup tables.
    """
    from tf2onnx import tf_loader

    def freeze_function(func: Any, inputs: list[str], outputs: list[str], *_: Any) -> Any:
        graph = tf_loader.convert_variables_to_constants_large_model(func)
        graph = tf_loader.fix_freezing_errors_part2(graph)
        _remove_assignments(graph)
        variables = large_variables(func)
        for node in graph.node:
            if node.name in variables:
                _declare_placeholder(node, variables[node.name])
        with tf.Graph().as_default():
            return tf_loader.tf_optimize(inputs, outputs, graph)

    release_memory()
    with replace_function(tf_loader, "from_function", lambda _: freeze_function):
        return tf_loader.from_trackable(trackable, function, inputs, outputs, False)


def _remove_assignments(graph: Any) -> None:
    """Only counters of random numbers have any, and a constant cannot be assigned to."""
    assignments = {f"^{node.name}" for node in graph.node if node.op in ASSIGN}
    for i in reversed(range(len(graph.node) if assignments else 0)):
        node = graph.node[i]
        if node.op in ASSIGN:
            del graph.node[i]
        elif assignments.intersection(node.input):
            node.input[:] = [x for x in node.input if x not in assignments]


def _declare_placeholder(node: Any, variable: tf.Variable) -> None:
    node.op = "Placeholder"
    del node.attr["value"]
    node.attr["dtype"].type = variable.dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())


def _declare_constant(node: Any, variable: tf.Variable) -> None:
    """A constant without its value, which TensorFlow needs for no shape."""
    node.op = "Const"
    del node.attr["shape"]
    node.attr["value"].tensor.dtype = variable.dtype.as_datatype_enum
    node.attr["value"].tensor.tensor_shape.CopyFrom(variable.shape.as_proto())


class _Contents(dict):
    """Node name to the bytes of its array, which are copied when they are read."""

    def __getitem__(self, name: str) -> bytes:
        return super().__getitem__(name).tobytes()


def convert_graph(graph: Any, variables: dict[str, tf.Variable], name: str, **arguments: Any) -> "onnx.ModelProto":
    """Convert a frozen graph.

    Args:
        graph: a `GraphDef` from `freeze`.
        variables: the `large_variables` of its function.
        name: of the model.
        **arguments: of `tf2onnx.tfonnx.process_tf_graph`.
    """
    import tf2onnx

    for node in graph.node:
        if node.name in variables:
            _declare_constant(node, variables[node.name])
    contents = _Contents({name: np.asarray(variable.value()) for name, variable in variables.items()})

    def convert() -> Any:
        with tf.Graph().as_default() as tf_graph:
            tf.import_graph_def(graph, name="")
            return tf2onnx.tfonnx.process_tf_graph(
                tf_graph, continue_on_error=False, const_node_values=contents, **arguments
            )

    with _without_copies_of_constants():
        return _optimize(convert, name).make_model(f"converted from {name}")


def _optimize(convert: Callable[[], Any], name: str) -> Any:
    """Run tf2onnx's optimizers on the graph that `convert` returns, without those that raise for it.

    tf2onnx would leave them out itself, with a copy of the graph before each optimizer and without a message. An
    optimizer that raises leaves half of its changes in the graph, so the conversion starts again.
    """
    import tf2onnx

    started = ""

    def named(optimizer: str, factory: Callable) -> Callable:
        def start() -> Any:
            nonlocal started
            started = optimizer
            return factory()

        return start

    # no public name lists them
    optimizers = {key: named(key, factory) for key, factory in tf2onnx.optimizer._get_optimizers().items()}
    while True:
        graph, started = convert(), ""
        try:
            return tf2onnx.optimizer.optimize_graph(graph, catch_errors=False, optimizers=optimizers)
        except Exception as error:  # an optimizer may raise anything
            if started not in optimizers:
                raise
            del optimizers[started]
            warnings.warn(
                f"{name}: tf2onnx's optimizer {started} fails ({one_line(error, MAX_CHARACTERS)}) and is left out. "
                "The ONNX file computes the same, but may have more nodes than it needs.",
                RuntimeWarning,
                stacklevel=2,
            )


@contextlib.contextmanager
def _without_copies_of_constants() -> Iterator[None]:
    """A constant becomes an initializer at the end; until then tf2onnx needs no protocol buffer of its node."""
    from tf2onnx.graph import Node

    def replacement(update: Callable) -> Callable:
        def update_proto(self: Any, external_tensor_storage: Any = None) -> None:
            if not self.is_const():
                update(self, external_tensor_storage)

        return update_proto

    with replace_function(Node, "update_proto", replacement):
        yield
