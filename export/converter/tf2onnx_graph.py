"""tf2onnx's conversion of a TensorFlow graph, without its copies of the weights.

tf2onnx copies the whole graph before each of its optimizers, and the value of every constant after each of them. With
100 MB of weights this takes 4 GB. Freezing builds a second function with all weights, only to read its graph.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ..memory import release_memory
from ..tracing.patching import replace_function

if TYPE_CHECKING:
    import onnx


def freeze(trackable: Any, function: Any, inputs: list[str], outputs: list[str]) -> tuple[Any, dict]:
    """Replace the variables of a concrete function by constants, and fold constants.

    Returns:
        The `GraphDef`, and the content of its lookup tables.
    """
    from tf2onnx import tf_loader

    def replacement(from_function: Callable) -> Callable:
        def freeze_without_second_function(func: Any, inputs: list[str], outputs: list[str], *others: Any) -> Any:
            try:
                graph = tf_loader.convert_variables_to_constants_large_model(func)
                return tf_loader.tf_optimize(inputs, outputs, tf_loader.fix_freezing_errors_part2(graph))
            except Exception:  # tf2onnx repairs some graphs that TensorFlow refuses to import
                return from_function(func, inputs, outputs, *others)

        return freeze_without_second_function

    release_memory()
    with replace_function(tf_loader, "from_function", replacement):
        frozen = tf_loader.from_trackable(trackable, function, inputs, outputs, False)
    release_memory()
    return frozen


def convert_graph(graph: Any, name: str, **arguments: Any) -> "onnx.ModelProto":
    """Convert a frozen graph.

    Args:
        graph: a `GraphDef` whose variables are constants.
        name: of the model.
        **arguments: of `tf2onnx.tfonnx.process_tf_graph`.
    """
    import tf2onnx

    def convert() -> Any:
        with tf.Graph().as_default() as tf_graph:
            tf.import_graph_def(graph, name="")
            return tf2onnx.tfonnx.process_tf_graph(tf_graph, continue_on_error=False, **arguments)

    with _without_copies_of_constants():
        try:
            onnx_graph = tf2onnx.optimizer.optimize_graph(convert(), catch_errors=False)
        except Exception:  # an optimizer may raise anything; working on copies, tf2onnx goes on without that optimizer
            onnx_graph = tf2onnx.optimizer.optimize_graph(convert(), catch_errors=True)
        return onnx_graph.make_model(f"converted from {name}")


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
