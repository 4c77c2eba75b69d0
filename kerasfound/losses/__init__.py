"""The losses, which training minimizes: each `call` is the formula and returns one number for each row."""

from .crossentropy import BinaryCrossentropy as BinaryCrossentropy
from .crossentropy import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from .crossentropy import CategoricalCrossentropy as CategoricalCrossentropy
from .crossentropy import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from .crossentropy import KLDivergence as KLDivergence
from .crossentropy import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from .margin import Hinge as Hinge
from .margin import PerceptronLoss as PerceptronLoss
from .regression import Huber as Huber
from .regression import MeanAbsoluteError as MeanAbsoluteError
from .regression import MeanSquaredError as MeanSquaredError

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "Hinge",
    "Huber",
    "KLDivergence",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "PerceptronLoss",
    "SparseCategoricalCrossentropy",
]
