"""Synthetic reviews from a grammar: their label depends on which words belong together, not on which words occur."""

import numpy as np

GOOD = ("brilliant", "charming", "clever", "delightful", "gripping", "moving", "splendid", "wonderful")
BAD = ("awful", "boring", "clumsy", "dreadful", "dull", "pointless", "shallow", "tedious")
PLAIN = ("was {}", "seemed {} to everyone", "turned out to be {}", "struck the audience as {}")
NEGATED = ("was not {}", "was never {}", "was anything but {}", "was far from {}", "could hardly be called {}")
THINGS = ("the music", "the trailer", "the dinner before it", "the book it is based on", "the crowd", "the theatre")
WHO = ("the director", "my neighbour", "a tired critic", "the girl at the counter", "an old friend of the producer")
DID = ("had talked about", "recommended", "saw twice", "discovered in an archive", "remembered from long ago")
WHEN = ("on a rainy evening", "during the festival", "after the war", "in a small town", "for more than ten years")
JOINED = ("{0} , although {1} .", "{0} , and {1} .", "although {1} , {0} .", "while {1} , {0} .", "{1} , but {0} .")
CLAUSES = 0.5, 0.25, 0.15, 0.1
"""The probability of 0, 1, 2 and 3 relative clauses between a subject and its predicate."""
FLIPPED = 0.05
"""The share of rows in each split with the wrong label: the best possible accuracy is 95%."""
LABELS = ("negative", "positive")


def sentences(rows: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    r"""Return sentences that praise a film and criticize something else, or the reverse, with their labels.

    $$S \to \mathrm{join}(\text{the film } R\, P_1,\; T\, R\, P_2), \quad
      R \to \varepsilon \mid \text{that } \mathrm{who}\ \mathrm{did}\ \mathrm{when}\ R, \quad
      P \to \mathrm{plain}(a) \mid \mathrm{negated}(a)$$

    The label is what $P_1$ says of the film, with its negation; $P_2$ always says the opposite of the other thing.
    If the two predicates of a sentence change places, the new sentence has the same words, the same probability and
    the opposite label: a model that only counts words is right half of the time. Up to three relative clauses stand
    between the film and its predicate. Every twentieth label is then inverted, so the best possible accuracy is
    exactly 95%.

    Args:
        rows: the number of sentences, a multiple of 20.
        rng: the source of randomness.

    Returns:
        The sentences, and for each 1 if it praises the film, 0 if it criticizes it.

    Example:
        >>> texts, labels = sentences(20, np.random.default_rng(0))
        >>> print(texts[2][-68:], labels[2])
        seemed clumsy to everyone , but the film turned out to be gripping . 1
    """
    truth = rng.integers(0, 2, rows)
    texts = [_sentence(bool(praise), rng) for praise in truth]
    labels = truth.copy()
    labels[rng.permutation(rows)[: round(FLIPPED * rows)]] ^= 1
    return texts, labels


def _sentence(praise: bool, rng: np.random.Generator) -> str:
    film = f"the film {_clauses(rng)}{_predicate(praise, rng)}"
    other = f"{rng.choice(THINGS)} {_clauses(rng)}{_predicate(not praise, rng)}"
    return str(rng.choice(JOINED)).format(film, other)


def _predicate(praise: bool, rng: np.random.Generator) -> str:
    negated = rng.random() < 1 / 3
    word = rng.choice(GOOD if praise != negated else BAD)
    return str(rng.choice(NEGATED if negated else PLAIN)).format(word)


def _clauses(rng: np.random.Generator) -> str:
    chosen = (f"that {rng.choice(WHO)} {rng.choice(DID)} {rng.choice(WHEN)} " for _ in range(rng.choice(4, p=CLAUSES)))
    return "".join(chosen)
