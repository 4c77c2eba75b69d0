"""The optimizers, one file per family: each `update_step` is only the equation."""

from .adagrad import Adagrad as Adagrad
from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .lion import Lion as Lion
from .muon import Muon as Muon
from .rmsprop import RMSprop as RMSprop
from .sgd import SGD as SGD
from .sgd import GradientDescent as GradientDescent
from .sgd import Momentum as Momentum
from .sgd import Nesterov as Nesterov

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
