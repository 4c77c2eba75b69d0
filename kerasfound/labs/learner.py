"""Train small models fast: many steps of gradient descent in one compiled call, on TensorFlow and on JAX."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerasfound import _lazy

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")


class Learner:
    """A model with its loss and its optimizer.

    A step is compiled once for all seeds: `start` gives the same model new initial values.

    Args:
        build: makes the model, a Keras layer or model that is built.
        loss: the loss of a batch, a scalar: `loss(y, model(x))`, such as an object of `kerasfound.losses`.
        optimizer: a Keras optimizer that is not built yet.

    Example:
        >>> from kerasfound import losses, optimizers
        >>> build = lambda: keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> learner = Learner(build, losses.MeanSquaredError(), optimizers.SGD(0.1))
        >>> x = np.linspace(-1, 1, 8, dtype="float32")[:, None]
        >>> history = learner.start(seed=0).learn(x, 3 * x, steps=200)
        >>> history.shape, bool(history[-1] < 1e-6)
        ((200,), True)
    """

    def __init__(self, build: Callable[[], Any], loss: Callable[[Any, Any], Any], optimizer: Any):
        self.build = build
        self.loss = loss
        self.optimizer = optimizer
        self.model = build()
        optimizer.build(self.model.trainable_variables)
        self._compiled: dict[bool, Callable[..., Any]] = {}
        self._initial_state = [ops.convert_to_numpy(v) for v in optimizer.variables]

    def start(self, seed: int) -> Learner:
        """Give the model the initial values of a new one, and the optimizer its initial state."""
        keras.utils.set_random_seed(seed)
        for variable, new in zip(self.model.variables, self.build().variables, strict=True):
            variable.assign(new)
        for variable, value in zip(self.optimizer.variables, self._initial_state, strict=True):
            variable.assign(value)
        return self

    def learn(self, x: Any, y: Any, steps: int, batch_size: int | None = None, seed: int = 0) -> np.ndarray:
        """Take `steps` steps and return the loss before each of them.

        Args:
            x: all inputs.
            y: all targets.
            steps: the number of steps.
            batch_size: rows of a step, in a new random order for each pass over the rows. Defaults to all rows.
            seed: the seed of the order.
        """
        x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
        rows = batches(len(x), batch_size, steps, seed)
        return np.asarray(self._steps(batch_size is None)(x, y, rows))

    def learn_in_parts(
        self,
        x: Any,
        y: Any,
        steps: int,
        parts: int,
        measure: Callable[[], Any],
        batch_size: int | None = None,
        seed: int = 0,
    ) -> list[Any]:
        """Take `steps` steps in equal parts and return what `measure` returns after each part."""
        found = []
        for part in range(parts):
            self.learn(x, y, max(steps // parts, 1), batch_size, seed=parts * seed + part)
            found.append(measure())
        return found

    def predict(self, x: Any) -> np.ndarray:
        """The outputs in inference, as NumPy."""
        return np.asarray(ops.convert_to_numpy(self._infer(ops.convert_to_tensor(x))))

    def loss_of(self, x: Any, y: Any) -> float:
        """The loss on all rows, in inference."""
        return float(ops.convert_to_numpy(self.loss(ops.convert_to_tensor(y), self.predict(x))))

    def accuracy(self, x: Any, y: Any) -> float:
        """The share of rows whose largest output is the class `y`; of a single output, whose sign is the class."""
        outputs = self.predict(x)
        decisions = outputs[:, 0] > 0 if outputs.shape[-1] == 1 else outputs.argmax(-1)
        return float(np.mean(decisions == np.reshape(y, -1)))

    def gradients(self, x: Any, y: Any) -> list[np.ndarray]:
        """The derivative of the loss on these rows by each trainable variable."""
        found = self._gradients(ops.convert_to_tensor(x), ops.convert_to_tensor(y))
        return [np.asarray(ops.convert_to_numpy(gradient)) for gradient in found]

    def _steps(self, all_rows: bool) -> Callable[..., Any]:
        if all_rows not in self._compiled:
            make = _tensorflow_steps if keras.backend.backend() == "tensorflow" else _jax_steps
            self._compiled[all_rows] = make(self, all_rows)
        return self._compiled[all_rows]

    @functools.cached_property
    def _gradients(self) -> Callable[[Any, Any], Any]:
        model, weights = self.model, self.model.trainable_variables
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            @tf.function(reduce_retracing=True, autograph=False)
            def found(x: Any, y: Any) -> Any:
                with tf.GradientTape() as tape:
                    loss = self.loss(y, model(x, training=False))
                return tape.gradient(loss, [v.value for v in weights], unconnected_gradients="zero")

            return found

        import jax

        def loss_of(values: Any, fixed: Any, x: Any, y: Any) -> Any:
            return self.loss(y, model.stateless_call(values, fixed, x, training=False)[0])

        gradient = jax.jit(jax.grad(loss_of))
        return lambda x, y: gradient([v.value for v in weights], [v.value for v in model.non_trainable_variables], x, y)

    @functools.cached_property
    def _infer(self) -> Callable[[Any], Any]:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.function(lambda x: self.model(x, training=False), reduce_retracing=True)
        return lambda x: self.model(x, training=False)


def batches(rows: int, batch_size: int | None, steps: int, seed: int) -> np.ndarray:
    """The row numbers of each step, of shape `(steps, batch_size)`; of shape `(steps, 0)` without a batch size."""
    if batch_size is None:
        return np.zeros((steps, 0), "int32")
    rng = np.random.default_rng(seed)
    passes = -(-steps * batch_size // rows)
    order = np.concatenate([rng.permutation(rows) for _ in range(passes)])
    return order[: steps * batch_size].reshape(steps, batch_size).astype("int32")


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, compiled by XLA. The weights that it uses are fixed by its first call."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True, jit_compile=True)
    import jax

    return jax.jit(function)


def _tensorflow_steps(learner: Learner, all_rows: bool) -> Callable[..., Any]:
    import tensorflow as tf

    weights = learner.model.trainable_variables

    @tf.function(reduce_retracing=True, autograph=False, jit_compile=True)
    def steps(x: Any, y: Any, rows: Any) -> Any:
        def step(i: Any, losses: Any) -> Any:
            x_batch, y_batch = (x, y) if all_rows else (tf.gather(x, rows[i]), tf.gather(y, rows[i]))
            with tf.GradientTape() as tape:
                loss = learner.loss(y_batch, learner.model(x_batch, training=True))
                loss = tf.cast(loss, "float32") + sum(learner.model.losses)
            learner.optimizer.apply(tape.gradient(loss, [v.value for v in weights]), weights)
            return i + 1, losses.write(i, loss)

        count = tf.shape(rows)[0]
        losses = tf.TensorArray("float32", size=count)
        _, losses = tf.while_loop(lambda i, _: i < count, step, (0, losses), parallel_iterations=1)
        return losses.stack()

    return steps


def _jax_steps(learner: Learner, all_rows: bool) -> Callable[..., Any]:
    import jax

    model, optimizer = learner.model, learner.optimizer

    def loss_of(weights: Any, others: Any, x: Any, y: Any) -> Any:
        outputs, others, losses = model.stateless_call(weights, others, x, training=True, return_losses=True)
        return learner.loss(y, outputs) + sum(losses), others

    @jax.jit
    def steps(state: Any, x: Any, y: Any, rows: Any) -> Any:
        def step(state: Any, rows: Any) -> Any:
            weights, others, optimizer_state = state
            x_batch, y_batch = (x, y) if all_rows else (x[rows], y[rows])
            (loss, others), found = jax.value_and_grad(loss_of, has_aux=True)(weights, others, x_batch, y_batch)
            weights, optimizer_state = optimizer.stateless_apply(optimizer_state, found, weights)
            return (list(weights), list(others), list(optimizer_state)), loss

        return jax.lax.scan(step, state, rows)

    def run(x: Any, y: Any, rows: Any) -> Any:
        variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        state, losses = steps(tuple([v.value for v in group] for group in variables), x, y, rows)
        for group, values in zip(variables, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return losses

    return run
