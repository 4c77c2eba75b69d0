"""The settings that every recipe has. A recipe's own `Config` adds what it is about."""

import dataclasses
import os
from typing import Any, ClassVar, Literal

import yaml

from kerasfound.errors import UserError


def number(default: Any, *, at_least: float | None = None, above: float | None = None) -> Any:
    """A numeric field of a `Config` with its bound."""
    return dataclasses.field(default=default, metadata={"at_least": at_least, "above": above})


@dataclasses.dataclass(kw_only=True)
class Config:
    """Where a run reads, writes and computes, and how it trains. Every field is a flag of `kerasfound run`.

    `PRESETS` names sets of other defaults, as `kerasfound run NAME --preset` takes them.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}

    data_dir: str | None = None
    """A folder of prepared TFDS data. Defaults to the variable TFDS_DATA_DIR, then to TFDS's own folder."""
    out: str | None = None
    """The run folder to make. Defaults to runs/<recipe>/<time>."""
    seed: int = 0
    """Of the first weights, the order of the rows and every random change to them."""
    backend: str = os.environ.get("KERAS_BACKEND") or "tensorflow"
    """What computes: tensorflow, jax or torch. Defaults to the variable KERAS_BACKEND, then to tensorflow."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where: auto takes a GPU if the backend sees one, gpu insists on it."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Mixed computes in half precision and keeps the weights in float32: for GPUs, which have units for it."""
    jit: bool | None = None
    """Compile with XLA. Defaults to what pays for the recipe; on JAX everything is compiled anyway."""
    steps_per_call: int = number(1, at_least=1)
    """Steps in one call of the backend. More save the time between short steps on a GPU; on a CPU they save nothing."""
    epochs: int | None = number(None, at_least=1)
    """Passes over the training rows."""
    patience: int | None = number(None, at_least=1)
    """Stop when the validation loss has not fallen for this many epochs, and keep the best epoch's weights."""
    clip_norm: float | None = number(None, above=0)
    """Shorten gradients whose norm over all weights is above this. Costs nothing; saves runs that blow up."""
    accumulate: int | None = number(None, at_least=2)
    """Add up the gradients of this many batches before a step: a larger batch without its memory."""
    ema: float | None = number(None, above=0)
    """End with an average of the weights of all steps that forgets at this rate, such as 0.99."""
    tensorboard: bool = False
    """Also log for TensorBoard, into the run folder."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed must be in [0, 2**32), got {self.seed}.")
        if self.ema is not None and (self.ema >= 1 or self.patience):
            raise UserError("--ema must be below 1, and goes without --patience, which keeps one epoch's weights.")
        for field in dataclasses.fields(self):
            value, flag = getattr(self, field.name), field.name.replace("_", "-")
            low = field.metadata.get("at_least")
            above = field.metadata.get("above")
            if value is None:
                continue
            if low is not None and value < low:
                raise UserError(f"--{flag} must be at least {low}, got {value}.")
            if above is not None and not value > above:
                raise UserError(f"--{flag} must be above {above}, got {value}.")

    def optimizer_options(self) -> dict[str, Any]:
        """What every optimizer of Keras takes, as set here."""
        return {
            "global_clipnorm": self.clip_norm,
            "gradient_accumulation_steps": self.accumulate,
            "use_ema": self.ema is not None,
            "ema_momentum": self.ema or 0.99,
        }

    def to_yaml(self) -> str:
        return yaml.safe_dump(dataclasses.asdict(self), sort_keys=False)
