"""Character n-gram counts: what a language model must beat to be worth its training."""

from typing import NamedTuple

import numpy as np

from kerasfound.data import Split

ORDER = 5
"""Characters of the longest n-grams: a character and up to four before it."""
MAX_CHARACTERS = 5_000_000
"""The largest number of training characters that are counted."""


class ContextCounts(NamedTuple):
    """What followed each context of one length in the training text. All arrays are sorted by code."""

    grams: np.ndarray
    """The code of each context with its next character."""
    gram_counts: np.ndarray
    contexts: np.ndarray
    """The code of each context."""
    totals: np.ndarray
    distinct: np.ndarray
    """How many different characters followed the context."""
    commonest: np.ndarray
    """The character that followed most often."""


def predict_next(train: Split, test: Split, characters: int) -> tuple[np.ndarray, np.ndarray]:
    r"""The probability of each target of the test windows, and the character that the counts predict.

    With $n(h, c)$, how often character $c$ follows context $h$, $n(h)$ their sum over $c$, $d(h)$ the number of
    different characters after $h$, and $h'$, the context without its first character:

    $$p(c \mid h) = \frac{n(h, c) + d(h)\, p(c \mid h')}{n(h) + d(h)}$$

    A context that is not in the training text has the probability of the shorter one. The prediction is the commonest
    character after the longest context that is in the training text.

    Args:
        train: windows of the training text, one for each start.
        test: windows of a text. A context begins in its window, as for the model.
        characters: the number of different characters.

    Source: Witten and Bell, "The Zero-Frequency Problem", 1991.
    """
    longest = min(ORDER - 1, train.x.shape[1], test.x.shape[1], int(62 / np.log2(max(characters, 2))) - 1)
    train_x, train_y = train.x[:MAX_CHARACTERS, -max(longest, 1) :], train.y[:MAX_CHARACTERS, -1]
    probability = np.full(test.y.shape, 1 / characters)
    predicted = np.zeros(test.y.shape, "int64")
    for length in range(longest + 1):
        counts = count_contexts(context_codes(train_x, length, characters)[:, -1], train_y, characters)
        contexts, here = context_codes(test.x, length, characters), slice(max(length - 1, 0), None)
        place, known = find(counts.contexts, contexts)
        gram_place, seen = find(counts.grams, contexts * characters + test.y[:, here])
        total, distinct = counts.totals[place], counts.distinct[place]
        following = np.where(seen, counts.gram_counts[gram_place], 0)
        shorter = probability[:, here]
        probability[:, here] = np.where(known, (following + distinct * shorter) / (total + distinct), shorter)
        predicted[:, here] = np.where(known, counts.commonest[place], predicted[:, here])
    return probability, predicted


def context_codes(x: np.ndarray, length: int, characters: int) -> np.ndarray:
    """A number for the last `length` characters at each position of the windows that has so many."""
    if length == 0:
        return np.zeros(x.shape, "int64")
    contexts = np.lib.stride_tricks.sliding_window_view(x, length, axis=1)
    codes = np.zeros(contexts.shape[:2], "int64")
    for place in range(length):
        codes = codes * characters + contexts[:, :, place]
    return codes


def count_contexts(contexts: np.ndarray, following: np.ndarray, characters: int) -> ContextCounts:
    """Count the characters that follow each context."""
    grams, gram_counts = np.unique(contexts * characters + following, return_counts=True)
    codes, starts = np.unique(grams // characters, return_index=True)
    by_count = np.lexsort((gram_counts, grams // characters))
    last_of_each = np.append(starts[1:], len(grams)) - 1
    return ContextCounts(
        grams,
        gram_counts,
        codes,
        np.add.reduceat(gram_counts, starts),
        np.diff(np.append(starts, len(grams))),
        grams[by_count[last_of_each]] % characters,
    )


def find(codes: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each wanted code, and whether it is there."""
    place = np.searchsorted(codes, wanted).clip(max=len(codes) - 1)
    return place, codes[place] == wanted
