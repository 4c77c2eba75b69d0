"""The options that all exports share."""

from dataclasses import dataclass

import numpy as np

from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError


@dataclass(frozen=True)
class ExportOptions:
    """How a model is exported and verified.

    Args:
        dynamic_shapes: names for the dynamic dimensions of an input, such as `{"tokens": ["batch", "time"]}`. Defaults
            to `"batch"` for the first dimension, `"time"` for a second one, `"height"` and `"width"` for images.
        opset: the version of the ONNX operators. Defaults to 18, which all engines read. A bundle uses 20 for a table
            with dates, and 23 for text generation, which has operators for attention.
        samples: real test inputs in addition to the generated ones: one array, or a dict with an array for each input.
            A bundle of a run takes the samples of the run by default.
        tolerance: the largest allowed difference, divided by the expected value or by the usual size of its column,
            whichever is larger. Defaults to a value for the precision of the model, 1e-5 for float32.

    Raises:
        UserError: if `tolerance` is not above 0.
    """

    dynamic_shapes: dict[str, list[int | str]] | None = None
    opset: int | None = None
    samples: Tensors | np.ndarray | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None and not self.tolerance > 0:
            raise UserError(
                f"`tolerance` {self.tolerance:g}: must be above 0, because two programs round differently; try 1e-5."
            )


DEFAULTS = ExportOptions()
