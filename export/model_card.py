"""The model card: `README.md` of a bundle, for the person who finds it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kerasfound.bundle.manifest import Manifest, Quantization, Tensor, Verification

LIMITS = {
    "image_classification": "It names one of its labels for any image, also for one that shows none of them.",
    "text_classification": "It names one of its labels for any text, also in another language or on another matter.",
    "text_generation": "It writes what is likely after its training text; nothing makes that true or harmless.",
    "tabular_classification": "It knows the columns and categories of its training table; others count as missing.",
    "tabular_regression": "Beyond the range of its training table its numbers are guesses.",
}
PLACES = ("data", "data_dir", "out")
"""Settings that tell where things lay on the machine of whoever trained, which is nobody else's concern."""
UNTOLD = "Nothing about its training was given at its export: ask whoever made it before you rely on it."


def card(manifest: Manifest, settings: dict[str, Any] | None = None) -> str:
    """The manifest in words.

    Args:
        manifest: of the bundle.
        settings: of the run that trained the model, if there was one.
    """
    parts = [
        f"# {manifest.name}, version {manifest.version}",
        f"{_kind(manifest.task)}, exported {manifest.created}.",
        *_section("Inputs and outputs", _tensors(manifest)),
        *_section("Training", _training(manifest, settings)),
        *_section("How well it does", _metrics(manifest)),
        *_section("Limits", _limits(manifest)),
        *_section("Verification", _proof(manifest)),
        *(_section("With weights of 8 bits", _smaller(q)) if (q := manifest.quantization) else []),
        *_section("Made with", [", ".join(f"{name} {version}" for name, version in manifest.versions.items())]),
    ]
    return "\n\n".join(parts) + "\n"


def _kind(task: str) -> str:
    return "A Keras model" if task == "tensors" else f"A Keras model for {task.replace('_', ' ')}"


def _section(title: str, paragraphs: Iterable[str]) -> list[str]:
    return [f"## {title}", *paragraphs]


def _tensors(manifest: Manifest) -> list[str]:
    def row(kind: str, tensor: Tensor) -> str:
        return f"| {kind} | `{tensor.name}` | {tensor.dtype} | {', '.join(map(str, tensor.shape))} |"

    rows = [row("input", x) for x in manifest.inputs] + [row("output", y) for y in manifest.outputs]
    for entry in manifest.extra_signatures:
        rows += [row(f"{entry.name}: input", x) for x in entry.inputs]
        rows += [row(f"{entry.name}: output", y) for y in entry.outputs]
    table = "\n".join(["| | name | dtype | sizes |", "|---|---|---|---|", *rows])
    labels = [f"Labels, in the order of the output: {_listed(manifest.labels)}."] if manifest.labels else []
    steps = [f"Before the model: {', '.join(step.name for step in manifest.preprocessing)}."]
    return [table, *labels, *(steps if manifest.preprocessing else [])]


def _training(manifest: Manifest, settings: dict[str, Any] | None) -> list[str]:
    if not manifest.measured_on or settings is None:
        return [UNTOLD]
    data = f"Trained on `{Path(manifest.measured_on.data).name}` (sha256 `{manifest.measured_on.sha256}`)."
    kept = {name: value for name, value in settings.items() if value is not None and name not in PLACES}
    told = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in kept.items())
    return [data, f"Settings:\n\n{told}"]


def _metrics(manifest: Manifest) -> list[str]:
    if not manifest.metrics:
        return ["Not measured."]
    table = "\n".join(f"| {name.replace('_', ' ')} | {value:.4f} |" for name, value in manifest.metrics.items())
    rows = manifest.measured_on
    on = f"Measured once, on the {rows.rows} rows of the {rows.split} split.\n\n" if rows else ""
    return [f"{on}| measure | |\n|---|---|\n{table}"]


def _limits(manifest: Manifest) -> list[str]:
    known = [LIMITS[manifest.task]] if manifest.task in LIMITS else []
    tried = {name: sizes for record in manifest.verification for name, sizes in record.dynamic_sizes.items()}
    sizes = [f"Of {name}, {_listed(sizes)} were tried; other sizes were not." for name, sizes in sorted(tried.items())]
    measured = ["Data unlike those it was measured on may go worse."] if manifest.metrics else []
    return known + measured + sizes or ["None were given at its export."]


def _proof(manifest: Manifest) -> list[str]:
    def row(record: Verification) -> str:
        return (
            f"| {record.format} | {record.num_inputs} | {_listed(record.batch_sizes)} "
            f"| {', '.join(record.input_kinds)} | "
            f"{record.max_scaled_difference:.1e} | {record.tolerance:.0e} | {record.equal_decisions:.1%} |"
        )

    head = "| file | inputs | batch sizes | kinds | largest difference | allowed | equal decisions |"
    table = "\n".join([head, "|---|---|---|---|---|---|---|", *map(row, manifest.verification)])
    note = "A difference is divided by one plus the largest number of the answer that it is in."
    again = f"`kerasfound verify models/{manifest.name}/{manifest.version}` repeats the proof; it needs no model."
    return ["The files were asked what the trained model was asked, and answered alike:", table, note, again]


def _smaller(record: Quantization) -> list[str]:
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
    return [f"Measured on {record.rows} test rows; {record.equal_decisions:.1%} of the decisions are equal.", table]


def _listed(items: Iterable[Any], most: int = 20) -> str:
    named = [str(item) for item in items]
    return ", ".join(named[:most]) + (f" and {len(named) - most} more" if len(named) > most else "")
