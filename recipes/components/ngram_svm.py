"""A support vector machine on n-grams of a text, as layers of a Keras model (NB-SVM: Wang and Manning, 2012)."""

import keras
import numpy as np
from keras import ops
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

import kerasfound as kf

HASH_RANGE = 2**31
"""n-grams are hashed to integers below this."""


def ngram_svm(
    ids: keras.KerasTensor,
    classes: int,
    train: kf.data.Split,
    ngrams: int,
    evidence: str,
    error_cost: float,
    seed: int,
) -> keras.KerasTensor:
    """Fit the machine to the training texts and return its margins for `ids`, `(batch, classes)`.

    The feature of an n-gram in the text is its log-count ratio from naive Bayes, or 1; its coefficient comes from a
    linear support vector machine. Each text's feature vector is normalized to length 1, so that long texts do not get
    larger margins.

    Args:
        ids: token ids, `(batch, time)`.
        classes: number of classes.
        train: token ids and classes of the training texts.
        ngrams: length of the longest n-grams.
        evidence: `"log-ratio"`, or `"occurrence"` for features of 1.
        error_cost: scikit-learn's `C`: a higher value tolerates fewer errors on the training texts.
        seed: seed of the optimization.
    """
    hashes = kf.layers.HashedNGrams(ngrams, HASH_RANGE, name="ngrams")(ids)
    occurs, known = occurrences(keras.Model(ids, hashes), train.x)
    ratios = log_ratios(occurs, train.y, classes)
    if evidence == "occurrence":
        ratios = np.ones_like(ratios)
    machines = [
        LinearSVC(C=error_cost, random_state=seed).fit(normalize(occurs.multiply(ratio)), train.y == c)
        for c, ratio in enumerate(ratios)
    ]

    lookup = kf.layers.SortedLookup(len(known), name="lookup")
    ratio_table, coefficient_table = (
        kf.layers.Embedding(len(known) + 1, classes, trainable=False, dtype="float32", name=name)
        for name in ("evidence", "worth")
    )
    indices = lookup(hashes)
    features = ratio_table(indices)
    length = ops.sqrt(ops.sum(ops.square(features), axis=1))
    margins = ops.sum(features * coefficient_table(indices), axis=1) / ops.maximum(length, 1e-6)
    lookup.set_weights([known])
    for layer, rows in ((ratio_table, ratios), (coefficient_table, [machine.coef_[0] for machine in machines])):
        layer.set_weights([np.pad(np.transpose(rows), ((1, 0), (0, 0)))])  # unknown n-grams have the index 0
    return keras.layers.Rescaling(1.0, [float(machine.intercept_[0]) for machine in machines], name="margins")(margins)


def occurrences(ngrams: keras.Model, texts: np.ndarray) -> tuple[csr_matrix, np.ndarray]:
    """Return which text contains which n-gram, `(texts, n-grams)`, and the hashes of the n-grams in ascending order.

    n-grams of a single text are left out: they describe that text, not its class.
    """
    batches = [np.asarray(ngrams(texts[start : start + 500])) for start in range(0, len(texts), 500)]
    rows = np.repeat(np.arange(len(texts)), np.concatenate([(batch > 0).sum(axis=1) for batch in batches]))
    hashes = np.concatenate([batch[batch > 0] for batch in batches])
    known, columns, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    shared = counts >= min(2, counts.max())
    occurs = csr_matrix((np.ones(len(rows), "float32"), (rows, columns)), shape=(len(texts), len(known)))
    return occurs[:, shared], known[shared]


def log_ratios(occurs: csr_matrix, y: np.ndarray, classes: int) -> np.ndarray:
    """The logarithm of how much more often each n-gram is in texts of a class than in others, `(classes, n-grams)`."""
    counts = 1 + np.stack([np.asarray(occurs[y == c].sum(axis=0))[0] for c in range(classes)])
    other_counts = counts.sum(axis=0) - counts
    share, other_share = (n / n.sum(axis=1, keepdims=True) for n in (counts, other_counts))
    return np.log(share) - np.log(other_share)
