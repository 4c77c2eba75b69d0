"""Sentences made by a rule, for networks that read: what counts is which words belong together, not which occur."""

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
"""How likely 0, 1, 2 and 3 relative clauses are between a subject and its predicate."""
FLIPPED = 0.05
"""Share of the rows, in each split, with the other label: no model can be right more often than 95% of the time."""
LABELS = ("negative", "positive")


def sentences(rows: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    r"""Sentences that praise a film and blame something else, or the other way around, and which of the two.

    $$S \to \mathrm{join}(\text{the film } R\, P_1,\; T\, R\, P_2), \quad
      R \to \varepsilon \mid \text{that } \mathrm{who}\ \mathrm{did}\ \mathrm{when}\ R, \quad
      P \to \mathrm{plain}(a) \mid \mathrm{negated}(a)$$

    The label is what $P_1$ says of the film, with its negation; $P_2$ always says the opposite of the other thing.
    A sentence and the one with its predicates exchanged hold the same words, are equally likely and have opposite
    labels: whoever only counts words is right half of the time. Between the film and its predicate there may be three
    relative clauses. The label of every twentieth row is then turned around, so that the best possible accuracy is
    exactly 95%.

    Args:
        rows: sentences to make, a multiple of 20.
        rng: draws them.

    Returns:
        The sentences, and 1 for praise of the film, 0 for blame.

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
