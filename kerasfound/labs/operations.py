"""Count the floating-point operations of a model: of its outputs, and of a gradient step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerasfound import _lazy

if TYPE_CHECKING:
    import keras

    from .learner import Learner
else:
    keras = _lazy.module("keras")


def count_outputs(learner: Learner, x: Any) -> float:
    """The operations of `model(x)`, as the backend counts them; a multiplication and an addition are two."""
    return _count(lambda x, y: learner.model(x, training=False), x, None)


def count_gradients(learner: Learner, x: Any, y: Any) -> float:
    """The operations of the loss and of its derivative by all weights."""
    model = learner.model
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = learner.loss(y, model(x, training=True))
            return tape.gradient(loss, [v.value for v in model.trainable_variables])

        return _count(step, x, y)

    import jax

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        return learner.loss(y, model.stateless_call(weights, [], x, training=True)[0])

    weights = [v.value for v in model.trainable_variables]
    return _count(lambda x, y: jax.value_and_grad(loss_of)(weights, x, y), x, y)


def _count(function: Callable[[Any, Any], Any], x: Any, y: Any) -> float:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        inputs = tf.constant(x), None if y is None else tf.constant(y)
        graph = tf.function(function, autograph=False).get_concrete_function(*inputs).graph
        profiler = tf.compat.v1.profiler
        options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
        counts: Any = profiler.profile(graph, options=options.with_empty_output().build())
        return float(counts.total_float_ops)

    import jax

    counted: Any = jax.jit(function).lower(x, y).compile().cost_analysis()
    return float(counted["flops"])
