"""What a bundle needs for each task: processing steps, asset files, extra signatures, opset and the limits to state."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kerasfound.bundle import Schema, Task
from kerasfound.bundle.manifest import ProcessingStep
from kerasfound.training.run import Run

from .converter import convert
from .raw_inputs import signatures

TABLE_SCHEMA = "assets/schema.json"
"""The columns of a table, their kinds and categories."""
TOKENIZER = "assets/tokenizer.json"
"""A tokenizer file of the library `tokenizers`."""
ATTENTION_OPSET = 23
"""The first version of the ONNX operators with attention and rotary positions."""


@dataclass(frozen=True)
class ExportTask:
    """How models of one task are bundled.

    Args:
        limit: a sentence for the model card.
        preprocessing: returns the step from raw input to tensors.
        postprocessing: the name of the step from outputs to predictions.
        copy_asset: writes the file that the preprocessing step reads to the version folder.
        extra_signatures: functions that build the extra signatures.
        opset: the default version of the ONNX operators.
    """

    limit: str | None = None
    preprocessing: Callable[[Schema], ProcessingStep] | None = None
    postprocessing: str | None = None
    copy_asset: Callable[[Run, Path], None] | None = None
    extra_signatures: tuple[Callable[..., signatures.ExtraSignature], ...] = ()
    opset: int = convert.OPSET


def _image_step(schema: Schema) -> ProcessingStep:
    height, width, channels = schema.shape
    return ProcessingStep(
        "image", parameters={"height": height, "width": width, "channels": channels, "low": 0, "high": 255}
    )


def _tokenizer_step(schema: Schema) -> ProcessingStep:
    return ProcessingStep("tokenizer", file=TOKENIZER, parameters={"input": schema.input})


def _characters_step(schema: Schema) -> ProcessingStep:
    return ProcessingStep("characters", parameters={"input": schema.input})  # the labels are the alphabet


def _table_row_step(schema: Schema) -> ProcessingStep:
    return ProcessingStep("table_row", file=TABLE_SCHEMA, parameters={"inputs": "columns"})


def _copy_tokenizer(run: Run, folder: Path) -> None:
    shutil.copyfile(run.tokenizer_file, folder / TOKENIZER)


def _save_table_schema(run: Run, folder: Path) -> None:
    run.schema.save(folder / TABLE_SCHEMA)


TASKS: dict[str, ExportTask] = {
    Task.IMAGE_CLASSIFICATION: ExportTask(
        limit="It returns one of its labels for any image, also for images that show none of them.",
        preprocessing=_image_step,
        postprocessing="classification",
    ),
    Task.TEXT_CLASSIFICATION: ExportTask(
        limit="It returns one of its labels for any text, also for other languages and other subjects.",
        preprocessing=_tokenizer_step,
        postprocessing="classification",
        copy_asset=_copy_tokenizer,
        extra_signatures=(signatures.tokenized_text,),
    ),
    Task.TEXT_GENERATION: ExportTask(
        limit="It generates text that is likely after its training text; the text may be false or harmful.",
        preprocessing=_characters_step,
        postprocessing="classification",
        extra_signatures=(signatures.next_character, signatures.decoding_step),
        opset=ATTENTION_OPSET,
    ),
    Task.TABULAR_CLASSIFICATION: ExportTask(
        limit="It knows the columns and categories of its training table; other categories count as missing.",
        preprocessing=_table_row_step,
        postprocessing="classification",
        copy_asset=_save_table_schema,
    ),
    Task.TABULAR_REGRESSION: ExportTask(
        limit="Its predictions are unreliable outside the range of its training table.",
        preprocessing=_table_row_step,
        postprocessing="regression",
        copy_asset=_save_table_schema,
    ),
    "classification": ExportTask(postprocessing="classification"),
    "tensors": ExportTask(),
}
"""The last two are for models without a run: with labels, and without."""


def task_name(run: Run | None, labels: list[str]) -> str:
    """Return the task of a run, or of a model without a run."""
    return run.schema.task if run else "classification" if labels else "tensors"
