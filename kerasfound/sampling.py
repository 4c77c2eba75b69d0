"""Sampling from a language model, character by character, within a window of past characters."""

from collections.abc import Callable, Iterator

import numpy as np

NextLogits = Callable[[list[int], int], np.ndarray]
"""The logits of the next character, from the ids of the text and how many of them the last call has processed."""


def sample_token(
    logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None, rng: np.random.Generator
) -> int:
    r"""Draw a token id from the softmax of its logits.

    $$p_i = \frac{e^{z_i / t}}{\sum_j e^{z_j / t}}$$

    with the logits $z$ and the temperature $t$.

    Args:
        logits: `(tokens,)`.
        temperature: below 1 makes likely tokens likelier, above 1 less likely; 0 always takes the likeliest.
        top_k: draw only from this many of the likeliest tokens.
        top_p: draw only from the likeliest tokens that together have at least this probability.
        rng: the source of randomness.

    Example:
        >>> sample_token(np.array([1.0, 3.0, 2.0]), 0, None, None, np.random.default_rng(0))
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


def generate_tokens(
    next_logits: NextLogits, prompt: list[int], window: int, sample: Callable[[np.ndarray], int]
) -> Iterator[int]:
    """Continue a prompt without end. When the text is longer than the window, only its later half is kept."""
    ids, processed = prompt[-window:], 0
    while True:
        logits = next_logits(ids, processed)
        processed = len(ids)
        token = sample(logits)
        yield token
        ids.append(token)
        if len(ids) > window:
            ids, processed = ids[-(window // 2) :], 0
