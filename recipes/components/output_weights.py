"""Weights that combine the predicted numbers of several models."""

import numpy as np
from scipy.optimize import nnls


def output_weights(outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    r"""Return the weight of each model's number for which their sum has the smallest squared error.

    $$\min_{w \ge 0} \sum_i \Big(\sum_r w_r f_r(x_i) - y_i\Big)^2 + e \sum_r \Big(w_r - \tfrac1R\Big)^2$$

    A prior of the weight of one row with the smallest mean squared error $e$ keeps the weights close to equal weights
    if there are few rows (stacking: Breiman, "Stacked Regressions", 1996).

    Args:
        outputs: $f_r(x_i)$, `(rows, models)`, for rows that were not used for training.
        y: the target of each row.
    """
    models = outputs.shape[1]
    error = np.sqrt(((outputs - y[:, None]) ** 2).mean(axis=0).min())
    prior = error * np.eye(models)
    return nnls(np.concatenate([outputs, prior]), np.concatenate([y, np.full(models, error / models)]))[0]
