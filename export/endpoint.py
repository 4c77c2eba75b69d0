"""Another way into a model: what is done in TensorFlow before it and after it, in the same SavedModel."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kerasfound.export.manifest import Tensor

SERVING_DEFAULT = "serving_default"
"""The signature that is asked when none is named."""


class Endpoint(NamedTuple):
    """One signature.

    Args:
        inputs: in the order in which the function takes them.
        around: makes the function of the signature of the model's own, which answers named tensors.
        tables: the lookup tables in it, which TensorFlow saves only if told to.
    """

    inputs: list[Tensor]
    around: Callable[[Callable], Callable]
    tables: Sequence[Any] = ()
