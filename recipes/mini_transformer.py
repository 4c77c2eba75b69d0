"""A small language model: a transformer that generates text, character by character.

Shows: causal attention, rotary positions, RMS normalization, squared ReLU, Muon, generation with a key-value cache.
Costs: 75 to 80 s on 2 CPU cores with TensorFlow.
Reaches: 1.580 nats a character on Shakespeare's validation text (3 seeds: 1.575 to 1.591); benchmarks/RESULTS.md.
--preset gpu has nanoGPT's size for a GPU, 10.7 million parameters; it is not measured yet.

    kerasfound run mini_transformer                     # Shakespeare, through TFDS
    kerasfound run mini_transformer --data stdlib       # Python's standard library, no network
    kerasfound run mini_transformer --data my_text.txt
    kerasfound generate RUN --prompt "ROMEO:"
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import kerasfound as kf
from kerasfound import _lazy

if TYPE_CHECKING:
    import keras
else:  # imported at the first use, so that --help stays fast
    keras = _lazy.module("keras")


@dataclasses.dataclass(kw_only=True)
class Config(kf.training.Config):
    PRESETS: ClassVar = {
        "smoke": {"data": "stdlib", "epochs": 2, "steps": 20, "layers": 2, "width": 64},
        # nanoGPT's size for a GPU, 10.7 million parameters; it overfits without dropout, so the best epoch is kept
        "gpu": {
            "layers": 6,
            "heads": 6,
            "width": 384,
            "block_size": 256,
            "batch_size": 64,
            "epochs": 10,
            "steps": 100,
            "patience": 3,
            "precision": "mixed_bfloat16",
        },
    }

    data: str = "tiny_shakespeare"
    """A named text, tiny_shakespeare or stdlib, or a text file (UTF-8)."""
    epochs: int = kf.training.bounded(5, at_least=1)
    """Number of epochs: after each one the validation text is evaluated and a checkpoint is written."""
    steps: int = kf.training.bounded(180, at_least=1)
    """Batches in an epoch. The windows of a batch start at random characters of the text."""
    batch_size: int = kf.training.bounded(16, at_least=1)
    """Windows in one step."""
    block_size: int = kf.training.bounded(64, at_least=2)
    """Characters in a window: the largest context of the model. The cost of attention grows with its square."""
    layers: int = kf.training.bounded(4, at_least=1)
    """Transformer blocks."""
    heads: int = kf.training.bounded(4, at_least=1)
    """Attention heads in a block."""
    width: int = kf.training.bounded(128, at_least=2)
    """Features of a character, a multiple of twice the number of heads. The cost of a step grows with its square."""
    learning_rate: float = kf.training.bounded(8e-3, above=0)
    """Muon's step size at the start. It decreases linearly to zero."""


def build(schema: kf.bundle.Schema, config: Config) -> keras.Model:
    """The network from character ids to the logits of the next character at each position."""
    ids = keras.Input((None,), dtype="int32", name=schema.input)
    x = kf.layers.Embedding(len(schema.labels), config.width, name="embedding")(ids)
    x = kf.layers.RMSNormalization(name="embedding_norm")(x)
    for i in range(config.layers):
        # a block starts as the identity, so that a deep network trains as easily as a shallow one
        x = kf.layers.CausalTransformerBlock(4 * config.width, config.heads, name=f"block_{i + 1}")(x)
    x = kf.layers.RMSNormalization(name="final_norm")(x)
    # float32 in mixed precision too: the loss needs precise logits
    logits = kf.layers.Dense(len(schema.labels), use_bias=False, dtype="float32", name="logits")(x)
    return keras.Model(ids, logits, name="mini_transformer")


def train(config: Config, run: kf.training.Run) -> kf.training.Trained:
    """Fit the network to random windows of the training text."""
    if config.width % (2 * config.heads):
        raise kf.errors.UserError(
            f"`width` {config.width} must be a multiple of twice `heads` {config.heads}; change one of them."
        )
    text = kf.data.load(config.data, config.data_dir, task="text_generation")
    length = config.block_size
    windows = dataclasses.replace(
        text,
        train=kf.data.windows(text.train, length),
        validation=kf.data.windows(text.validation, length, stride=length),
        test=kf.data.windows(text.test, length, stride=length),
    )
    run.start(text, config)
    batches = kf.training.ShuffledBatches(windows.train, config.batch_size, config.seed, steps=config.steps)
    model = build(text.schema, config)
    model.compile(
        optimizer=kf.optimizers.Muon(
            kf.schedules.LinearDecay(config.learning_rate, config.epochs * config.steps),
            exclude_layers=["logits"],
            **config.optimizer_options(),
        ),
        loss=kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=True if config.jit is None else config.jit,
        steps_per_execution=config.steps_per_call,
    )
    kf.training.fit(model, batches, windows.validation, run, config)
    return kf.training.Trained(model, windows)
