"""The settings that every recipe has. A recipe's own `Config` adds what it is about."""

import dataclasses
import os
from typing import Any

import yaml

from kerasfound.errors import UserError


@dataclasses.dataclass(kw_only=True)
class Config:
    """Where a run reads, writes and computes. Every field is a flag of `kerasfound run`."""

    data_dir: str | None = None
    """A folder of prepared TFDS data. Defaults to the variable TFDS_DATA_DIR, then to TFDS's own folder."""
    out: str | None = None
    """The run folder to make. Defaults to runs/<recipe>/<time>."""
    seed: int = 0
    """Of the first weights, the order of the rows and every random change to them."""
    backend: str = os.environ.get("KERAS_BACKEND") or "tensorflow"
    """What computes: tensorflow, jax or torch. Defaults to the variable KERAS_BACKEND, then to tensorflow."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed must be in [0, 2**32), got {self.seed}.")
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

    def to_yaml(self) -> str:
        return yaml.safe_dump(dataclasses.asdict(self), sort_keys=False)


def number(default: Any, *, at_least: float | None = None, above: float | None = None) -> Any:
    """A numeric field of a `Config` with its bound."""
    return dataclasses.field(default=default, metadata={"at_least": at_least, "above": above})
