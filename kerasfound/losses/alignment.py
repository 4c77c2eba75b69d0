"""Bring targets and predictions to one shape. No loss broadcasts one to the other."""

from keras import ops


def align(y_true, y_pred):
    """Return both as tensors of one shape and of the prediction's dtype. Either may lack a last axis of size 1.

    As in Keras, one number for each row stays a column, so that each row has its own loss (and sample weight).

    Raises:
        ValueError: if the shapes still differ. NumPy would broadcast them silently.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    if len(y_true.shape) == len(y_pred.shape) + 1:
        y_true, y_pred = _without_last_axis(y_true, y_pred)
    elif len(y_pred.shape) == len(y_true.shape) + 1:
        y_pred, y_true = _without_last_axis(y_pred, y_true)
    check_same_shape(y_true.shape, y_pred.shape)
    return y_true, y_pred


def _without_last_axis(longer, shorter):
    if longer.shape[-1] != 1:
        return longer, shorter
    if len(shorter.shape) == 1:
        return longer, ops.expand_dims(shorter, -1)
    return ops.squeeze(longer, -1), shorter


def check_same_shape(true, pred):
    known = all(t == p for t, p in zip(true, pred, strict=False) if t is not None and p is not None)
    if len(true) != len(pred) or not known:
        raise ValueError(f"`y_true` and `y_pred` must have the same shape, got {tuple(true)} and {tuple(pred)}.")
