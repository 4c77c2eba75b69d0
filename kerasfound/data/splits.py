"""The rows of the training, validation and test splits."""

import numpy as np

DEAL, DEAL_BEFORE_TEST = "tttvttxttx", "tttvtttttt"
"""The splits that successive rows go to, repeated: t for training, v for validation, x for test."""


def stratified_split(
    y: np.ndarray, seed: int, *, stratify: bool = True, test: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows for training, validation and test, each class with the same share in every split.

    The rows are shuffled, sorted by class and dealt out in turn: 70% for training, 10% for validation, 20% for test.

    Args:
        y: the class, or a number to predict, of each row.
        seed: the seed of the shuffle.
        stratify: whether `y` holds classes; numbers are dealt out in shuffled order.
        test: the number of rows at the end that are the test split already; the others are 90% for training and
            10% for validation.

    Example:
        >>> train, validation, test = stratified_split(np.zeros(10), seed=0)
        >>> len(train), len(validation), len(test)
        (7, 1, 2)
    """
    rows = np.random.default_rng(seed).permutation(len(y) - test)
    if stratify:
        rows = rows[np.argsort(y[rows], kind="stable")]
    turns = np.arange(len(rows))
    deal = DEAL_BEFORE_TEST if test else DEAL
    dealt = np.array(list(deal))[turns % len(deal)]
    train, validation, rest = (np.sort(rows[dealt == split]) for split in "tvx")
    return train, validation, np.arange(len(y) - test, len(y)) if test else rest
