"""Activations: the nonlinear functions between linear layers. Without them a stack of layers is one linear map.

Each function has its theory as attributes: `relu.derivative(x)`, `relu.range`, `relu.kinks`.
"""

from .piecewise import leaky_relu as leaky_relu
from .piecewise import linear as linear
from .piecewise import relu as relu
from .piecewise import sign as sign
from .piecewise import squared_relu as squared_relu
from .piecewise import step as step
from .smooth import elu as elu
from .smooth import gelu as gelu
from .smooth import log_softmax as log_softmax
from .smooth import sigmoid as sigmoid
from .smooth import silu as silu
from .smooth import softmax as softmax
from .smooth import softplus as softplus
from .smooth import swish as swish
from .smooth import tanh as tanh

__all__ = [
    "elu",
    "gelu",
    "leaky_relu",
    "linear",
    "log_softmax",
    "relu",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "softplus",
    "squared_relu",
    "step",
    "swish",
    "tanh",
]
