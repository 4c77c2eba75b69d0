"""The settings that every recipe has. Each recipe's own `Config` adds its model and its data."""

import dataclasses
import os
from typing import Any, ClassVar, Literal

import yaml

from kerasfound.errors import UserError


def bounded(default: Any, *, at_least: float | None = None, above: float | None = None) -> Any:
    """A numeric field of a `Config` with a lower bound: inclusive (`at_least`) or exclusive (`above`)."""
    return dataclasses.field(default=default, metadata={"at_least": at_least, "above": above})


@dataclasses.dataclass(kw_only=True)
class Config:
    """Where a run reads, writes and computes, and how it trains. Every field is a flag of `kerasfound run`.

    `PRESETS` maps a name to other defaults, for `kerasfound run NAME --preset`.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}

    data_dir: str | None = None
    """A folder of prepared TFDS data. Defaults to the variable TFDS_DATA_DIR, then to the default folder of TFDS."""
    out: str | None = None
    """The run folder to create. Defaults to runs/<recipe>/<time>, which runs/<recipe>/latest then names, too."""
    seed: int = 0
    """Seed of the initial weights, the order of the rows, dropout and data augmentation."""
    backend: str = os.environ.get("KERAS_BACKEND") or "tensorflow"
    """The Keras backend: tensorflow, jax or torch. Defaults to the variable KERAS_BACKEND, then to tensorflow."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """auto uses a GPU if the backend finds one; gpu fails without one; cpu uses none."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Mixed precision computes in 16 bits and keeps the weights in float32. It is faster on GPUs only."""
    jit: bool | None = None
    """Compile with XLA. The default is the faster choice for the recipe. JAX always compiles."""
    steps_per_call: int = bounded(1, at_least=1)
    """Training steps in one call of the backend. More steps save time between short steps on a GPU, not on a CPU."""
    epochs: int | None = bounded(None, at_least=1)
    """Passes over the training rows."""
    patience: int | None = bounded(None, at_least=1)
    """Stop when the validation loss has not improved for this many epochs. Defaults to a quarter of the epochs, at
    least 3. The trained model has the weights of the epoch with the smallest validation loss."""
    clip_norm: float | None = bounded(None, above=0)
    """Scale gradients down to this global norm. Prevents training from diverging, at almost no cost."""
    accumulate: int | None = bounded(None, at_least=2)
    """Average the gradients of this many batches before each weight update: a larger batch without its memory."""
    ema: float | None = bounded(None, above=0)
    """Decay rate of an exponential moving average of the weights, such as 0.99. The trained model has the average after
    all epochs, instead of the weights of the best epoch."""
    class_weight: Literal["balanced"] | None = None
    """balanced: in the loss, a class counts as much as any other, however rare it is. For classification."""
    false_negative_cost: float | None = bounded(None, above=0)
    """Two classes: the cost of a missed row of the rarer class, where a false alarm costs 1. The report then also has
    the threshold with the smallest cost."""
    tensorboard: bool = False
    """Also write TensorBoard logs to the run folder. Needs the extra kerasfound[tensorboard]."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UserError(f"`seed` must be in [0, 2**32), got {self.seed}.")
        if self.ema is not None and (self.ema >= 1 or self.patience):
            raise UserError("`ema` must be below 1, and excludes `patience`, because no single epoch is kept.")
        for field in dataclasses.fields(self):
            value, low = getattr(self, field.name), field.metadata.get("at_least")
            above = field.metadata.get("above")
            if value is None:
                continue
            if low is not None and value < low:
                raise UserError(f"`{field.name}` must be at least {low}, got {value}.")
            if above is not None and not value > above:
                raise UserError(f"`{field.name}` must be above {above}, got {value}.")

    def optimizer_options(self) -> dict[str, Any]:
        """The arguments of every Keras optimizer that these settings determine."""
        return {
            "global_clipnorm": self.clip_norm,
            "gradient_accumulation_steps": self.accumulate,
            "use_ema": self.ema is not None,
            "ema_momentum": self.ema or 0.99,
        }

    def epochs_without_improvement(self) -> int | None:
        """After how many of them training stops; None with `ema`, which needs all epochs."""
        assert self.epochs is not None
        return None if self.ema else self.patience or max(3, self.epochs // 4)

    def to_yaml(self) -> str:
        return yaml.safe_dump(dataclasses.asdict(self), sort_keys=False)
