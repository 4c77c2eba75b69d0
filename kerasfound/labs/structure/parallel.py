"""What a transformer computes at once, and what it computes one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

TOKENS, WIDTH = 12, 32


@lab("A transformer processes all positions of a sequence at once", who="Vaswani et al., 2017 | introductions")
def parallel(
    *,
    length: Annotated[int, Between(2, 64)] = 8,
    seeds: Seeds = 10,
) -> Evidence:
    r"""A causal language model with random weights: its outputs from one call, from many calls, and its own text.

    In training all tokens are known. The output at position $t$ depends on tokens up to $t$ only, so one call gives the
    predictions for all prefixes: the same as one call for each prefix. When the model generates, token $t + 1$ is an
    input that does not exist before the output at $t$: as many calls as tokens, one after another. Each pair of
    positions has a score, so all positions together cost $n^2$ scores.

    Args:
        length: number of tokens.
        seeds: number of random weights and sequences.

    Try: `--length 64`: one call agrees with an even smaller part of a text that the model generates.

    Source: Vaswani et al., "Attention Is All You Need", 2017; generation: Shazeer, "Fast Transformer Decoding", 2019.
    """
    difference, agreement = [], []
    for seed in range(seeds):
        model, rng = _model(seed), np.random.default_rng(seed)
        tokens = rng.integers(0, TOKENS, (1, length))
        at_once = _logits(model, tokens)
        one_by_one = np.stack([_logits(model, tokens[:, :end])[:, -1] for end in range(1, length + 1)], axis=1)
        difference.append(float(np.abs(at_once - one_by_one).max()))
        agreement.append(_agreement(model, int(tokens[0, 0]), length))
    scores = [_scores(size) for size in (length, 2 * length, 4 * length)]
    growth = Measured.over([scores[1] / scores[0], scores[2] / scores[1]])
    return Evidence(
        numbers={
            "difference of the outputs, one call and one call for each prefix": Measured.over(difference),
            "share of generated tokens that one call predicts": Measured.over(agreement),
            "calls, one after another: training on a sequence": Measured.over([1]),
            "calls, one after another: generating a sequence": Measured.over([length - 1]),
            "scores for twice as many tokens, relative": growth,
        },
        findings=(
            predicts(
                "for a known sequence one call gives the outputs of one call for each prefix",
                Measured.over(difference).below(1e-4),
                "the output at a position depends on later positions, so all of them cannot be trained at once",
            ),
            limit(
                "one call on the first token does not give the text that the model generates",
                Measured.over(agreement).below(0.9),
                "the whole sequence is known beforehand (as in training)",
            ),
            limit(
                "twice as many tokens need four times as many scores",
                growth.within(3.99, 4.01),
                "it is short enough for a score of each pair of tokens",
            ),
        ),
        figure=_figure(length, scores),
    )


def _model(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    tokens = keras.Input((None,), dtype="int32")
    x = kf.layers.Embedding(TOKENS, WIDTH, embeddings_initializer="random_normal")(tokens)
    attention = kf.layers.CausalSelfAttention(2, output_initializer="orthogonal")
    x = x + attention(kf.layers.RMSNormalization()(x))
    return keras.Model(tokens, kf.layers.Dense(TOKENS, kernel_initializer="random_normal")(x))


def _logits(model: keras.Model, tokens: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model(tokens.astype("int32"))))


def _agreement(model: keras.Model, first: int, length: int) -> float:
    """The share of generated tokens that one call predicts from the first token and padding."""
    text = [first]
    while len(text) < length:
        text.append(int(_logits(model, np.array([text]))[0, -1].argmax()))
    padded = np.array([[first] + (length - 1) * [0]])
    guess = _logits(model, padded)[0, :-1].argmax(axis=-1)
    return float(np.mean(guess == text[1:]))


def _scores(length: int) -> int:
    """The number of attention weights of one layer with one head."""
    x = np.zeros((1, length, 4), "float32")
    _, weights = kf.layers.MultiHeadAttention(1, 4)(x, x, use_causal_mask=True, return_attention_scores=True)
    return int(np.prod(weights.shape))


def _figure(length: int, scores: list[int]) -> Figure:
    measured = {"measured": Series([length, 2 * length, 4 * length], scores)}
    calls = {
        "training, or reading a text": Series([1, length], [1, 1]),
        "generating a text": Series([1, length], [1, length]),
    }
    return Figure(
        (
            Panel("Scores of one layer and head", "tokens", "scores", measured, log="xy"),
            Panel("Calls that must wait for each other", "tokens", "calls", calls),
        )
    )
