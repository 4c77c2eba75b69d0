"""`manifest.json`: what a bundle promises to whoever serves it. Read by export and by serving, and needs neither."""

import hashlib
from pathlib import Path

import msgspec

from kerasfound.errors import UserError

SCHEMA_VERSION = 1
"""Raised when a reader of the previous schema would misread the new one."""

MAX_BYTES = 1 << 20
UNSIGNED = "0" * 64


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named input or output. A string in `shape` names a size that is free, such as `"batch"`."""

    name: str
    dtype: str
    shape: list[int | str]
    nullable: bool = False
    """Whether a value may be missing: NaN among numbers, an empty text among texts, `null` in JSON."""
    num_ids: int | None = None
    """For token or category ids: ids run from 0 to `num_ids - 1`. ONNX counts negative ids from the end."""


class ProcessingStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named step between raw input and tensor, or between tensor and answer, with the asset file it reads."""

    name: str
    file: str | None = None
    parameters: dict[str, int | float | str] = {}


class MetricsSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data a model's `metrics` were measured on."""

    data: str
    split: str
    rows: int
    sha256: str


class Verification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one file of the bundle answered beside the trained model.

    A difference is scaled by one plus the largest number of the answer's row, and passes when it then is at most
    `tolerance`: of an answer of 10,000, float32 holds no ten-thousandths.
    """

    format: str
    batch_sizes: list[int]
    num_inputs: int
    max_absolute_difference: float
    max_relative_difference: float
    equal_decisions: float
    tolerance: float
    max_scaled_difference: float = 0.0
    dynamic_sizes: dict[str, list[int]] = {}
    """The sizes tested for every dynamic dimension other than the batch, such as `"time"`."""
    input_kinds: list[str] = []
    """The kinds of test inputs: `"samples"` are real rows, all others are generated."""


class Quantization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file with weights of 8 bits loses and gains beside the one with 32, on test rows and one CPU thread."""

    scheme: str
    metric: str
    score_before: float
    score_after: float
    max_drop: float
    """Points, hundredths of the metric, that it was allowed to lose."""
    rows: int
    equal_decisions: float
    bytes_before: int
    bytes_after: int
    milliseconds_before: float
    milliseconds_after: float


class NamedSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to ask the model, proven as the first one is."""

    name: str
    """Of the further signature of the SavedModel, or of the further ONNX file without its ending."""
    format: str
    """`"saved_model"` or `"onnx"`."""
    inputs: list[Tensor]
    outputs: list[Tensor]


class TextGeneration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How text is written on, a character a call, without computing the past again."""

    file: str
    window: int
    """Characters that the cache holds; when it is full, begin anew with the later half of them."""
    tokens: str
    """The input for the new characters' numbers."""
    start: str
    """The input for how many characters the cache holds, the same for every row."""
    logits: str
    """The output with the logits of the character that follows each."""
    cache: dict[str, str]
    """Each output that is the input of the next call; zeros in the first one."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a server needs to answer with the model, and a person needs to trust it."""

    schema_version: int
    name: str
    version: int
    task: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    preprocessing: list[ProcessingStep]
    postprocessing: list[ProcessingStep]
    labels: list[str]
    metrics: dict[str, float]
    measured_on: MetricsSource | None
    verification: list[Verification]
    versions: dict[str, str]
    created: str
    files: dict[str, str]
    """sha256 of every other file of the version folder, by its path inside it."""
    quantization: Quantization | None = None
    """Of `model.int8.onnx`, if there is one."""
    extra_signatures: list[NamedSignature] = []
    text_generation: TextGeneration | None = None
    sha256: str = UNSIGNED
    """Of this file's own text, with zeros in this place."""


def read(path: Path) -> Manifest:
    """The manifest at `path`, checked against the schema."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); a bundle holds a manifest.json.") from error
    if len(text) > MAX_BYTES:
        raise UserError(f"{path}: larger than {MAX_BYTES} bytes, so not a manifest.")
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a manifest of schema version {SCHEMA_VERSION}: {error}.") from error
    if hashlib.sha256(text.replace(manifest.sha256.encode(), UNSIGNED.encode())).hexdigest() != manifest.sha256:
        raise UserError(f"{path}: was changed after its export (its sha256 differs); export it again.")
    if manifest.schema_version != SCHEMA_VERSION:
        raise UserError(f"{path}: schema version {manifest.schema_version}, not {SCHEMA_VERSION}; export it again.")
    return manifest


def write(manifest: Manifest, path: Path) -> None:
    """Write `manifest` as JSON, with the sha256 of its own text in it."""
    unsigned = msgspec.structs.replace(manifest, sha256=UNSIGNED)
    text = msgspec.json.format(msgspec.json.encode(unsigned), indent=2) + b"\n"
    path.write_bytes(text.replace(UNSIGNED.encode(), hashlib.sha256(text).hexdigest().encode()))
