"""Text from a language model, character by character: which one is drawn, and how much of the text is remembered."""

from collections.abc import Callable, Iterator

import numpy as np

Answer = Callable[[list[int], int], np.ndarray]
"""The logits of the character that follows, given all known ones and how many of them it has answered to before."""


def choose(
    logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None, rng: np.random.Generator
) -> int:
    r"""Draw the number of a character from its logits.

    $$p_i = \frac{e^{z_i / t}}{\sum_j e^{z_j / t}}$$

    with the logits $z$ and the temperature $t$.

    Args:
        logits: `(characters,)`.
        temperature: below 1 safer, above 1 wilder, 0 always the likeliest.
        top_k: draw from this many of the likeliest characters only.
        top_p: draw from the likeliest characters only that together have at least this probability.
        rng: draws.

    Example:
        >>> choose(np.array([1.0, 3.0, 2.0]), 0, None, None, np.random.default_rng(0))
        1

    Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020, for `top_p`.
    """
    order = np.argsort(-logits, kind="stable")
    if temperature == 0:
        return int(order[0])
    z = logits[order].astype("float64")
    p = np.exp((z - z[0]) / temperature)
    p /= p.sum()
    if top_p is not None:
        p = p[: np.searchsorted(np.cumsum(p), top_p) + 1]
    p = p[:top_k]
    return int(order[rng.choice(len(p), p=p / p.sum())])


def draw(answer: Answer, known: list[int], window: int, choose: Callable[[np.ndarray], int]) -> Iterator[int]:
    """Characters that follow, without end; when the text outgrows the window, its older half is forgotten."""
    known, seen = known[-window:], 0
    while True:
        logits = answer(known, seen)
        seen = len(known)
        chosen = choose(logits)
        yield chosen
        known.append(chosen)
        if len(known) > window:
            known, seen = known[-(window // 2) :], 0
