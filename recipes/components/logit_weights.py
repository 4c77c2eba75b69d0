"""Weights that combine the logits of several models and calibrate their sum."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax


def logit_weights(logits: np.ndarray, y: np.ndarray, row_weights: np.ndarray | float = 1.0) -> np.ndarray:
    """Return the weight of each model's logits for which their sum has the smallest cross-entropy.

    Networks are overconfident on new texts. Rows that were not used for training show by how much (Guo, Pleiss, Sun and
    Weinberger, 2017). A prior keeps the weights close to equal weights if there are few rows.

    Args:
        logits: `(rows, models, classes)`, for rows that were not used for training.
        y: the class of each row.
        row_weights: how much each row counts.
    """
    start = np.full(logits.shape[1], 1 / logits.shape[1])

    def penalized_cross_entropy(weights: np.ndarray) -> float:
        nats = -log_softmax(np.einsum("brc,r->bc", logits, weights), axis=-1)[np.arange(len(y)), y]
        return (row_weights * nats).sum() + ((weights - start) ** 2).sum()

    return minimize(penalized_cross_entropy, start).x
