"""The causal mask: whether a position sees the tokens that it must predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

TOKENS, LENGTH, WIDTH = 8, 12, 32


@lab("A transformer that predicts the next token must not see later positions", who="Vaswani et al., 2017")
def causal_mask(
    *,
    steps: Annotated[int, Between(50, 5000)] = 300,
    seeds: Seeds = 3,
) -> Evidence:
    r"""Random tokens, which nobody can predict, learned by a transformer with and without the causal mask.

    The target at position $t$ is the token at $t + 1$. With the mask the weights $a_{ts}$ are 0 for $s > t$, so the
    output at $t$ depends on tokens up to $t$ only. For independent tokens no model can then have a cross-entropy below

    $$H = \ln k$$

    with $k$ kinds of tokens. Without the mask the target itself is among the inputs: the loss in training falls to
    zero, although nothing was learned that helps where the next token does not exist yet.

    Args:
        steps: steps of Adam with batches of 64 sequences.
        seeds: number of initial values.

    Try: `--steps 50`: too few steps to learn to copy the next token.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.3.
    """
    floor = float(np.log(TOKENS))
    seen, loss, curves = {}, {}, {}
    for masked in (True, False):
        learner = _learner(masked)
        changes, losses, runs = [], [], []
        for seed in range(seeds):
            tokens = np.random.default_rng(seed).integers(0, TOKENS, (8192, LENGTH + 1)).astype("int32")
            runs.append(learner.start(seed).learn(tokens[:, :-1], tokens[:, 1:], steps, 64, seed))
            new = np.random.default_rng(seed + 1000).integers(0, TOKENS, (500, LENGTH + 1)).astype("int32")
            losses.append(learner.loss_of(new[:, :-1], new[:, 1:]))
            changes.append(_effect_of_later_tokens(learner, new[:, :-1]))
        seen[masked], loss[masked] = Measured.over(changes), Measured.over(losses)
        curves[masked] = np.array(runs)[:, : steps // 10 * 10].reshape(seeds, -1, 10).mean(axis=-1)
    return Evidence(
        numbers={
            "change of the outputs by later tokens, masked": seen[True],
            "change of the outputs by later tokens, not masked": seen[False],
            "cross-entropy on new sequences, masked": loss[True],
            "cross-entropy on new sequences, not masked": loss[False],
            "cross-entropy of the best guess": Measured.over([floor]),
        },
        findings=(
            predicts(
                "with the mask other tokens at later positions change no output",
                seen[True].below(1e-5),
                "the mask does not hide the later positions",
            ),
            predicts(
                "with the mask the loss on unpredictable tokens is that of guessing, or higher",
                loss[True].above(floor - 0.01),
                "the masked network predicts what cannot be predicted",
            ),
            predicts(
                "without the mask the loss falls below half of that, because the network reads the target",
                loss[False].below(floor / 2),
                "without the mask the network does not use the later positions",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Predict the next of random tokens",
                    "steps of Adam",
                    "cross-entropy in training (nats)",
                    {
                        "with the mask": Series.mean(range(10, steps + 1, 10), curves[True]),
                        "without the mask": Series.mean(range(10, steps + 1, 10), curves[False]),
                        "guessing": Series([0, steps], [floor, floor]),
                    },
                ),
            )
        ),
    )


def _learner(masked: bool) -> Learner:
    def build() -> keras.Model:
        tokens = keras.Input((LENGTH,), dtype="int32")
        x = kf.layers.Embedding(TOKENS, WIDTH)(tokens)
        x = kf.layers.LearnedPosition(LENGTH)(x)
        x = x + kf.layers.MultiHeadAttention(2, WIDTH // 2)(x, x, use_causal_mask=masked)
        return keras.Model(tokens, kf.layers.Dense(TOKENS)(x))

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.Adam(0.01))


def _effect_of_later_tokens(learner: Learner, tokens: Any) -> float:
    """The largest change of an output in the first half, if the tokens in the second half are others."""
    half = LENGTH // 2
    others = tokens.copy()
    others[:, half:] = (others[:, half:] + 1) % TOKENS
    return float(np.abs(learner.predict(others) - learner.predict(tokens))[:, :half].max())
