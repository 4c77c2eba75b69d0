"""Word vectors from co-occurrence counts: the initial embedding of imdb_lstm."""

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from kerasfound.preprocessing import UNKNOWN

NORM = 3
"""Length of a word vector."""


def word_vectors(ids: np.ndarray, vocabulary: int, width: int, seed: int, reach: int = 5) -> np.ndarray:
    """Return word vectors, `(vocabulary, width)`: words with similar neighbours have similar vectors.

    The vectors come from the largest singular values of the positive pointwise mutual information of word pairs (Levy,
    Goldberg and Dagan, 2015). A rare word thus starts close to frequent words of the same kind. With random vectors,
    training would have to learn this from the few texts that contain the word.

    Args:
        ids: token ids of the training texts, `(texts, time)`.
        vocabulary: number of token ids.
        width: length of a vector.
        seed: seed of the randomized singular value decomposition.
        reach: largest distance of two words that count as neighbours.
    """
    information = positive_mutual_information(neighbour_counts(ids, vocabulary, reach))
    left, strength, _ = randomized_svd(information, min(width, vocabulary - 1), n_iter=3, random_state=seed)
    vectors = left * np.sqrt(strength)
    vectors *= NORM / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return np.pad(vectors, ((0, 0), (0, width - vectors.shape[1]))).astype("float32")


def neighbour_counts(ids: np.ndarray, vocabulary: int, reach: int) -> sparse.coo_matrix:
    """How often two words occur up to `reach` places apart. A pair at distance d counts 1/d."""
    shape = (vocabulary, vocabulary)
    counts = sparse.csr_matrix(shape, dtype="float32")
    for distance in range(1, min(reach, ids.shape[1] - 1) + 1):
        first, second = ids[:, :-distance].ravel(), ids[:, distance:].ravel()
        known = (first > UNKNOWN) & (second > UNKNOWN)  # and not padding
        weights = np.full(known.sum(), 1 / distance, "float32")
        counts += sparse.coo_matrix((weights, (first[known], second[known])), shape=shape).tocsr()
    return (counts + counts.T).tocoo()


def positive_mutual_information(pairs: sparse.coo_matrix) -> sparse.csr_matrix:
    """The logarithm of how much more often a pair occurs than by chance, where this is above 0."""
    counts = np.bincount(pairs.row, pairs.data, minlength=pairs.shape[0])
    # the exponent raises the chance of rare neighbours, which would otherwise dominate
    chance = counts**0.75 / np.maximum((counts**0.75).sum(), 1)
    information = np.log(pairs.data / (counts[pairs.row] * chance[pairs.col]))
    positive = information > 0
    return sparse.csr_matrix((information[positive], (pairs.row[positive], pairs.col[positive])), shape=pairs.shape)
