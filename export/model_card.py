"""The model card: `README.md` of a bundle."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kerasfound.bundle.manifest import Manifest, Quantization, Tensor, Verification
from kerasfound.bundle.schema import Column, ColumnKind, Schema
from kerasfound.preprocessing.cell_texts import describe_column
from kerasfound.rounding import format_number
from kerasfound.wording import counted

from .tasks import TASKS

PATH_SETTINGS = ("data", "data_dir", "out")
"""Settings with paths of the training machine. They are private and not useful elsewhere."""
CELLS_HEAD = "| input | column | cells |\n|---|---|---|"
NO_TRAINING = "The export had no information about the training. Ask the author of the model before you rely on it."


def card(manifest: Manifest, settings: dict[str, Any] | None = None, schema: Schema | None = None) -> str:
    """Describe a bundle in words.

    Args:
        manifest: of the bundle.
        settings: of the run that trained the model, if it is known.
        schema: of the data, if it is known.
    """
    parts = [
        f"# {manifest.name}, version {manifest.version}",
        f"{_describe_task(manifest.task)}, exported {manifest.created}.",
        *_section("Inputs and outputs", _tensors(manifest)),
        *(_section("Cells", _cells(manifest, schema)) if schema and schema.is_tabular else []),
        *_section("Training", _training(manifest, settings)),
        *_section("Metrics", _metrics(manifest)),
        *_section("Limits", _limits(manifest)),
        *_section("Verification", _verification(manifest)),
        *(_section("8-bit weights", _quantization(q)) if (q := manifest.quantization) else []),
        *_section("Versions", [", ".join(f"{name} {version}" for name, version in manifest.versions.items())]),
    ]
    return "\n\n".join(parts) + "\n"


def _describe_task(task: str) -> str:
    return "A Keras model" if task == "tensors" else f"A Keras model for {task.replace('_', ' ')}"


def _section(title: str, paragraphs: Iterable[str]) -> list[str]:
    return [f"## {title}", *paragraphs]


def _tensors(manifest: Manifest) -> list[str]:
    def row(kind: str, tensor: Tensor) -> str:
        return f"| {kind} | `{tensor.name}` | {tensor.dtype} | {', '.join(map(str, tensor.shape))} |"

    rows = [row("input", x) for x in manifest.inputs] + [row("output", y) for y in manifest.outputs]
    for signature in manifest.extra_signatures:
        rows += [row(f"{signature.name}: input", x) for x in signature.inputs]
        rows += [row(f"{signature.name}: output", y) for y in signature.outputs]
    table = "\n".join(["| | name | dtype | shape |", "|---|---|---|---|", *rows])
    labels = [f"Labels, in the order of the output: {_join(manifest.labels)}."] if manifest.labels else []
    steps = [f"Preprocessing: {', '.join(step.name for step in manifest.preprocessing)}."]
    return [table, *labels, *(steps if manifest.preprocessing else [])]


def _cells(manifest: Manifest, schema: Schema) -> list[str]:
    """How the cells of each column are written that is an input of the model."""

    def cells(column: Column) -> str:
        if column.kind == ColumnKind.CATEGORY:
            return f"one of {_join(map(repr, column.categories))}; another cell counts as missing"
        return describe_column(column)

    used = [column for column in schema.columns if column.width]
    rows = [
        f"| `{tensor.name}` | {_in_table(column.name)} | {_in_table(cells(column))} |"
        for tensor, column in zip(manifest.inputs, used, strict=True)
    ]
    note = "Empty cells are missing. ISO dates such as 2024-12-31 are read in every column of dates."
    return ["The cells of the training table, as they were read:", "\n".join([CELLS_HEAD, *rows]), note]


def _in_table(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _training(manifest: Manifest, settings: dict[str, Any] | None) -> list[str]:
    if not manifest.measured_on or settings is None:
        return [NO_TRAINING]
    data = f"Trained on `{Path(manifest.measured_on.data).name}` (sha256 `{manifest.measured_on.sha256}`)."
    public = {name: value for name, value in settings.items() if value is not None and name not in PATH_SETTINGS}
    lines = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in public.items())
    return [data, f"Settings:\n\n{lines}"]


def _metrics(manifest: Manifest) -> list[str]:
    if not manifest.metrics:
        return ["Not measured."]
    baseline, source = manifest.baseline, manifest.measured_on
    without_model = baseline.metrics if baseline else {}

    def row(name: str, value: float) -> str:
        of_baseline = format_number(without_model[name]) if name in without_model else ""
        return f"| {name.replace('_', ' ')} | {format_number(value)} | {of_baseline} |"

    head = ["| metric | value | without a model |", "|---|---|---|"]
    table = "\n".join([*head, *(row(name, value) for name, value in manifest.metrics.items())])
    split = [f"Measured once, on the {counted(source.rows, 'row')} of the {source.split} split."] if source else []
    without = [f"Without a model: {baseline.name}."] if baseline else []
    verdict = [f"**The model is {baseline.verdict}.**"] if baseline and baseline.verdict else []
    return [*split, table, *without, *verdict]


def _limits(manifest: Manifest) -> list[str]:
    task = TASKS.get(manifest.task)
    limit = [task.limit] if task and task.limit else []
    tested = {name: sizes for record in manifest.verification for name, sizes in record.dynamic_sizes.items()}
    sizes = [f"Tested sizes of {name}: {_join(x)}. Other sizes are not tested." for name, x in sorted(tested.items())]
    metrics = ["The metrics can be worse on other data."] if manifest.metrics else []
    return limit + metrics + sizes or ["The export had no information about limits."]


def _verification(manifest: Manifest) -> list[str]:
    def row(record: Verification) -> str:
        return (
            f"| {record.format} | {record.num_inputs} | {_join(record.batch_sizes)} "
            f"| {', '.join(record.input_kinds)} | "
            f"{record.max_scaled_difference:.1e} | {record.tolerance:.0e} | {record.equal_decisions:.1%} |"
        )

    head = "| file | test inputs | batch sizes | kinds | largest difference | tolerance | equal decisions |"
    table = "\n".join([head, "|---|---|---|---|---|---|---|", *map(row, manifest.verification)])
    note = "Each difference is divided by the expected value, or by the usual size of its column if that is larger."
    again = f"`kerasfound verify models/{manifest.name}/{manifest.version}` repeats this verification."
    return ["The files and the trained model ran on the same test inputs. Their outputs agree:", table, note, again]


def _quantization(record: Quantization) -> list[str]:
    def row(file: str, metric: float, size: int, milliseconds: float) -> str:
        return f"| `{file}` | {metric:.4f} | {size / 1e6:.2f} | {milliseconds:.3f} |"

    table = "\n".join(
        [
            f"| | {record.metric} | MB | ms for one row on one thread |",
            "|---|---|---|---|",
            row("model.onnx", record.score_before, record.bytes_before, record.milliseconds_before),
            row("model.int8.onnx", record.score_after, record.bytes_after, record.milliseconds_after),
        ]
    )
    return [
        f"Measured on {counted(record.rows, 'test row')}; {record.equal_decisions:.1%} of the decisions are equal.",
        table,
    ]


def _join(items: Iterable[Any], limit: int = 20) -> str:
    texts = [str(item) for item in items]
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if len(texts) > limit else "")
