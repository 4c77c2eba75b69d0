"""The optimizers, one file per family: each `update_step` is the equation and nothing else."""

from kerasfound.optimizers.adagrad import Adagrad as Adagrad
from kerasfound.optimizers.adam import Adam as Adam
from kerasfound.optimizers.adam import AdamW as AdamW
from kerasfound.optimizers.lion import Lion as Lion
from kerasfound.optimizers.muon import Muon as Muon
from kerasfound.optimizers.rmsprop import RMSprop as RMSprop
from kerasfound.optimizers.sgd import SGD as SGD
from kerasfound.optimizers.sgd import GradientDescent as GradientDescent
from kerasfound.optimizers.sgd import Momentum as Momentum
from kerasfound.optimizers.sgd import Nesterov as Nesterov

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "GradientDescent",
    "Lion",
    "Momentum",
    "Muon",
    "Nesterov",
    "RMSprop",
]
