"""The time of a training step with our block, divided by the time with Keras's block, on the current backend.

    KERAS_BACKEND=tensorflow python benchmarks/blocks.py            # graph, and with XLA (`jit_compile=True`)
    KERAS_BACKEND=jax python benchmarks/blocks.py
    KERAS_BACKEND=torch python benchmarks/blocks.py                 # eager
    KERAS_BACKEND=jax python benchmarks/blocks.py LSTM GRU --rounds 40

Both models differ only in the block, train in the same process and take turns; a round is one turn of each. The table
shows the median and the middle half of the ratios of all rounds. Goal: at most 1.05, on torch 1.15.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import cyclopts
import keras
import numpy as np

from kerasfound import activations, layers, losses, optimizers

GOAL = 1.15 if keras.backend.backend() == "torch" else 1.05
MODES = {"graph": False, "XLA": True} if keras.backend.backend() == "tensorflow" else {keras.backend.backend(): "auto"}
STEPS = 10
"""Training steps in one turn, some tens of milliseconds."""

Case = Callable[[Any], keras.Model]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def model(x: np.ndarray, block: Callable, *, classes: int = 10, loss: Any = None, optimizer: Any = "sgd") -> Any:
    """A model with `block` between two dense layers, so that it has to pass a gradient on; and a batch."""
    inputs = keras.Input(x.shape[1:], dtype=x.dtype)
    hidden = keras.layers.Dense(x.shape[-1])(inputs) if x.dtype == "float32" else inputs
    hidden = block(hidden)
    if len(hidden.shape) > 2:
        hidden = keras.layers.Flatten()(hidden)
    network = keras.Model(inputs, keras.layers.Dense(classes)(hidden))
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return network, loss, optimizer, x


def layer(name: str, x: np.ndarray, *args: Any, **kwargs: Any) -> Callable:
    return lambda ours: model(x, getattr(layers if ours else keras.layers, name)(*args, **kwargs))


def attention(x: np.ndarray) -> Callable:
    def case(ours: bool) -> Any:
        block = (layers if ours else keras.layers).MultiHeadAttention(num_heads=4, key_dim=16)
        return model(x, lambda hidden: block(hidden, hidden))

    return case


def activation(name: str) -> Callable:
    return lambda ours: model(
        normal(256, 512), keras.layers.Dense(1024, activation=getattr(activations if ours else keras.activations, name))
    )


def loss(name: str, **kwargs: Any) -> Callable:
    return lambda ours: model(
        normal(1024, 16),
        keras.layers.Dense(64),
        classes=1 if name.startswith("Binary") else 100,
        loss=getattr(losses if ours else keras.losses, name)(**kwargs),
    )


def optimizer(name: str, theirs: str = "", **kwargs: Any) -> Callable:
    def case(ours: bool) -> Any:
        optimizer_class = getattr(optimizers, name) if ours else getattr(keras.optimizers, theirs or name)
        stack = keras.Sequential([keras.layers.Dense(256, activation="relu") for _ in range(4)])
        return model(normal(16, 256), stack, optimizer=optimizer_class(1e-4, **kwargs))

    return case


IMAGES, SEQUENCES, WIDE = normal(32, 28, 28, 16), normal(32, 32, 64), normal(64, 64, 128)
CASES = {
    "Dense": layer("Dense", normal(256, 256), 512, activation="relu"),
    "Conv2D": layer("Conv2D", IMAGES, 16, 3, padding="same", activation="relu"),
    "MaxPooling2D": layer("MaxPooling2D", IMAGES),
    "BatchNormalization": layer("BatchNormalization", IMAGES),
    "LayerNormalization": layer("LayerNormalization", WIDE),
    "RMSNormalization": layer("RMSNormalization", WIDE),
    "Dropout": layer("Dropout", WIDE, 0.5),
    "Embedding": layer("Embedding", np.random.default_rng(0).integers(0, 20_000, (64, 64)), 20_000, 64),
    "SimpleRNN": layer("SimpleRNN", SEQUENCES, 64),
    "LSTM": layer("LSTM", SEQUENCES, 64),
    "GRU": layer("GRU", SEQUENCES, 64),
    "MultiHeadAttention": attention(SEQUENCES),
    "CategoricalCrossentropy": loss("CategoricalCrossentropy", from_logits=True),
    "SparseCategoricalCrossentropy": loss("SparseCategoricalCrossentropy", from_logits=True),
    "BinaryCrossentropy": loss("BinaryCrossentropy", from_logits=True),
    "MeanSquaredError": loss("MeanSquaredError"),
    "relu": activation("relu"),
    "gelu": activation("gelu"),
    "softmax": activation("softmax"),
    "SGD": optimizer("SGD"),
    "Momentum": optimizer("Momentum", theirs="SGD", momentum=0.9),
    "Adam": optimizer("Adam"),
    "AdamW": optimizer("AdamW"),
    "RMSprop": optimizer("RMSprop"),
    "Adagrad": optimizer("Adagrad"),
    "Lion": optimizer("Lion"),
    "Muon": optimizer("Muon"),
}


def prepare_turn(case: Callable, ours: bool, jit_compile: Any) -> Callable[[], float]:
    """Compile the model, and return a function that runs one turn and returns its seconds."""
    keras.utils.set_random_seed(0)
    network, loss, optimizer, x = case(ours)
    network.compile(optimizer, loss, jit_compile=jit_compile)
    y = np.arange(len(x)) % network.output_shape[-1]
    if not isinstance(loss, keras.losses.SparseCategoricalCrossentropy | losses.SparseCategoricalCrossentropy):
        y = np.eye(network.output_shape[-1], dtype="float32")[y]

    def turn() -> float:
        started = time.perf_counter()
        for _ in range(STEPS):
            network.train_on_batch(x, y)
        return time.perf_counter() - started

    turn()  # traces and compiles
    return turn


def compare(case: Callable, jit_compile: Any, rounds: int) -> list[float]:
    ours, theirs = prepare_turn(case, True, jit_compile), prepare_turn(case, False, jit_compile)
    ratios = []
    for i in range(rounds):
        first, second = (ours, theirs) if i % 2 else (theirs, ours)  # take turns in going first
        times = first(), second()
        ratios.append(times[0] / times[1] if i % 2 else times[1] / times[0])
    return ratios


def machine() -> str:
    versions = f"Keras {keras.__version__}, {keras.backend.backend()} {_backend_version()}"
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, {versions}"
    )


def _backend_version() -> str:
    from importlib.metadata import version

    return version(keras.backend.backend())


def _processor() -> str:
    if keras.backend.backend() == "jax":
        import jax

        if jax.default_backend() != "cpu":
            return jax.devices()[0].device_kind
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def blocks(*names: str, rounds: int = 15) -> None:
    """Print a table of ratios.

    Args:
        names: blocks to measure; none for all.
        rounds: turns of each model.
    """
    print(f"{machine()}\n\n| block | {' | '.join(MODES)} |\n|---|{'---|' * len(MODES)}", flush=True)
    for name in names or CASES:
        cells = []
        for jit_compile in MODES.values():
            low, median, high = statistics.quantiles(compare(CASES[name], jit_compile, rounds), n=4)
            cells.append(f"{median:.2f} ({low:.2f} to {high:.2f}){' over' if median > GOAL else ''}")
            keras.backend.clear_session()
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    cyclopts.run(blocks)
