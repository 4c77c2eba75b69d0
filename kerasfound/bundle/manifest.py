"""`manifest.json`: the contract between export, which writes it, and serving, which reads it."""

import hashlib
from pathlib import Path

import msgspec

from kerasfound.errors import UserError, one_line

SCHEMA_VERSION = 1
"""Increased when readers of the previous schema would misread the new one."""

MAX_BYTES = 1 << 20
UNSIGNED = "0" * 64
SERVING_DEFAULT = "serving_default"
"""The signature of a SavedModel that a server runs if a request names none."""


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named input or output. A string in `shape` names a dynamic dimension, such as `"batch"`."""

    name: str
    dtype: str
    shape: list[int | str]
    nullable: bool = False
    """Whether values may be missing: NaN for numbers, an empty string for texts, `null` in JSON."""
    num_ids: int | None = None
    """For token or category ids: ids run from 0 to `num_ids - 1`. ONNX counts negative ids from the end."""


class ProcessingStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named step from raw input to tensor or from tensor to result, with the asset file that it reads."""

    name: str
    file: str | None = None
    parameters: dict[str, int | float | str] = {}


class MetricsSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data a model's `metrics` were measured on."""

    data: str
    split: str
    rows: int
    sha256: str


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is reached without a model, on the same rows as the model's `metrics`."""

    name: str
    """What is done instead, such as `"always answering 'no'"`."""
    metrics: dict[str, float]
    verdict: str = ""
    """In which metrics the model is not better, as a sentence. Empty: it is better in all of them."""


class Verification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How close the outputs of one file of the bundle are to those of the trained model.

    Each difference is divided by the expected number, or by the usual size of its column if that is larger, and must
    then be at most `tolerance`: float32 cannot hold ten-thousandths of an output of 10,000.
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
    """What 8-bit weights lose and gain compared with 32-bit weights, on test rows and one CPU thread."""

    scheme: str
    metric: str
    score_before: float
    score_after: float
    max_drop: float
    """The largest allowed loss of the metric, in hundredths."""
    rows: int
    equal_decisions: float
    bytes_before: int
    bytes_after: int
    milliseconds_before: float
    milliseconds_after: float


class NamedSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to call the model, verified like the main signature."""

    name: str
    """The name of the signature in the SavedModel, or of the extra ONNX file without its suffix. For `serving_default`,
    the SavedModel has these inputs instead of those of the manifest, such as texts instead of token ids."""
    format: str
    """`"saved_model"` or `"onnx"`."""
    inputs: list[Tensor]
    outputs: list[Tensor]


class TextGeneration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to continue a prompt one character a call, without computing the past again."""

    file: str
    window: int
    """The number of characters in the cache. When it is full, start again with the later half of them."""
    tokens: str
    """The input for the ids of the new characters."""
    start: str
    """The input for the number of characters in the cache, the same for every row."""
    logits: str
    """The output with the logits of the next character, for each new character."""
    cache: dict[str, str]
    """For each output that is kept between calls, the input that takes it; zeros in the first call."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a server needs to run the model, and a person needs to trust it."""

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
    """The sha256 of every other file of the version folder, by its path in that folder."""
    quantization: Quantization | None = None
    """The measurements of `model.int8.onnx`, if there is one."""
    extra_signatures: list[NamedSignature] = []
    text_generation: TextGeneration | None = None
    baseline: Baseline | None = None
    sha256: str = UNSIGNED
    """The sha256 of this file's own text, with zeros in this place."""


def read(path: Path) -> Manifest:
    """Read and validate the manifest at `path`.

    Raises:
        UserError: if it cannot be read, does not match the schema, or was changed after its export.
    """
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
        raise UserError(f"{path}: not a manifest of schema version {SCHEMA_VERSION}: {one_line(error)}.") from error
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
