"""The optimizers, one file per family: each `update_step` is the equation and nothing else."""

from kerasfound.optimizers.adam import Adam as Adam
from kerasfound.optimizers.sgd import SGD as SGD

__all__ = ["SGD", "Adam"]
