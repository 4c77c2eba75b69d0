"""A trained model -> a proven file, folder, or the next version of a bundle: whole, or not there at all."""

import datetime
import errno
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from kerasfound.bundle import Schema, layout, recorded_cases
from kerasfound.bundle import manifest as contract
from kerasfound.bundle.comparison import compare
from kerasfound.bundle.manifest import Manifest, MetricsSource, ProcessingStep, Tensor
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError
from kerasfound.training.run import Run, versions

from . import model_card, quantization, triton_config
from .converter import convert
from .formats import on_tensorflow, write_onnx, write_saved_model
from .keras_archive import load
from .raw_inputs import signatures
from .saved_model_writer import SERVING_DEFAULT
from .staging import staging
from .tracing import traced_model
from .verification import input_generator, verify
from .verification.verify import Expected

if TYPE_CHECKING:
    import keras

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PACKAGES = ("kerasfound", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")
ROW_SCHEMA = "assets/schema.json"
"""How a row of a table becomes numbers: its columns, their kinds and categories."""
TOKENIZER = "assets/tokenizer.json"
"""How a text becomes numbers of words, for the `tokenizers` library; short texts are filled up with 0."""
RECORDED = 1e-4
"""How far a model may be from what it answered when it was trained, with other kernels and in another batch."""
ATTENTION_OPSET = 23
"""The first that has operators for attention and rotary positions."""
CONFIG, CARD = "config.pbtxt", "README.md"


def bundle(
    model: "keras.Model | Run | str | Path",
    repository: str | Path,
    name: str | None = None,
    *,
    labels: Sequence[str] = (),
    sizes: dict[str, list[int | str]] | None = None,
    samples: Tensors | np.ndarray | None = None,
    tolerance: float | None = None,
    opset: int | None = None,
    quantize: Literal["int8"] | None = None,
    data_dir: str | None = None,
) -> Path:
    """Export a model as the next version of its name, verified before it appears.

    Args:
        model: a built Keras model, an opened run folder, or a `.keras` file.
        repository: the folder of all models, made if it is not there.
        name: the model's folder in it. Defaults to the recipe's, the file's or the model's name.
        labels: of the classes, in the order of the only output. A run has its own.
        sizes: names of an input's free sizes: `{"tokens": ["batch", "time"]}`.
        samples: real inputs to ask as well: one array, or one for each input by its name. A run has its own.
        tolerance: the largest difference allowed, times one plus the largest expected number of a row. Defaults to
            what suits the model's precision, 1e-5 for float32.
        opset: the version of ONNX's operators. Defaults to 18, of which all engines know, but to 20 where a table has
            dates, and to 23 for a run that writes texts, which has operators for its attention.
        quantize: also write `model.int8.onnx`, with weights of 8 bits, if on the test rows of the run it loses no more
            than `quantization.MAX_DROP` points of the metric. Of a run only.
        data_dir: where the data for that are prepared. Defaults to that of the run.

    Returns:
        The new version folder, `repository/name/version`.

    Raises:
        UserError: if the name, the folder or the model cannot be used, or a file does not answer as the model does;
            the repository is then as it was.
    """
    on_tensorflow()
    if not isinstance(model, Run | str | Path):
        traced_model.check_model(model)
    name = _name(model, name)
    models = Path(repository)
    if (models / name).exists() and not (models / name).is_dir():
        raise UserError(f"{models / name}: is a file, where the folder of the model's versions would be; move it away.")
    run = model if isinstance(model, Run) else None
    if quantize and not run:
        raise UserError(f"--quantize {quantize}: what it loses is measured on a run's own data; give a run folder.")
    with staging(models) as folder:
        loaded = run.load_model() if run else load(model) if isinstance(model, str | Path) else model
        made = folder / name / "made"
        made.parent.mkdir()
        if run and samples is None:
            samples = run.samples["x"]
        asked = verify.expected(loaded, sizes, samples, tolerance, missing=bool(run and run.schema.is_tabular))
        manifest = _write(loaded, run, made, name, labels, sizes, opset or default_opset(run), asked)
        if run and quantize:
            smaller = quantization.quantize_and_evaluate(run, made, data_dir=data_dir)
            manifest = msgspec.structs.replace(manifest, quantization=smaller)
        return _publish(made, models / name, manifest, run)


def _name(model: "keras.Model | Run | str | Path", name: str | None) -> str:
    if name is None:
        name = (
            model.recipe
            if isinstance(model, Run)
            else Path(model).stem
            if isinstance(model, str | Path)
            else model.name
        )
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name}: letters, digits, '_', '-' and '.' only, 64 at most, not starting with a sign.")
    return name


def _write(
    model: "keras.Model",
    run: Run | None,
    folder: Path,
    name: str,
    labels: Sequence[str],
    sizes: dict[str, list[int | str]] | None,
    opset: int,
    asked: Expected,
) -> Manifest:
    """Both model files and the proof; the manifest says version 0 until the bundle has its place."""
    schema = run.schema if run else None
    labels = list(schema.labels if schema else labels)
    outputs = asked.signature.outputs
    _check_labels(labels, outputs, schema)
    if run:
        _check_recorded(run, asked)
    further = signatures.of(model, run, asked)
    if schema and schema.is_tabular:
        asked = _write_table(model, schema, folder, sizes, opset, asked)
    else:
        write_saved_model(model, folder, sizes, signatures.endpoints(further))
        write_onnx(model, folder / verify.ONNX, opset, sizes)
    signatures.write_files(further, folder, opset)
    proof = [verify.prove(form, file, model, asked) for form, file in verify.files(folder).items()]
    proof += [verify.compare(*verify.entry_file(folder, each.entry), each.asked) for each in further]
    recorded_cases.save(folder, asked.cases)
    for each in further:
        recorded_cases.save(folder, each.asked.cases, each.entry.name)
    if run:
        _copy_assets(run, folder)
    return Manifest(
        schema_version=contract.SCHEMA_VERSION,
        name=name,
        version=0,
        task=schema.task if schema else "classification" if labels else "tensors",
        inputs=[
            msgspec.structs.replace(x, num_ids=input_generator.ids_below(model, x)) for x in asked.signature.inputs
        ],
        outputs=outputs,
        preprocessing=[_preprocessing(schema)] if schema else [],
        postprocessing=_postprocessing(labels, outputs[0].name) if labels or schema else [],
        labels=labels,
        metrics=run.results["test"] if run else {},
        measured_on=_measured(run) if run else None,
        verification=proof,
        versions=versions(PACKAGES),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files={},
        extra_signatures=[each.entry for each in further],
        text_generation=next((each.text_generation for each in further if each.text_generation), None),
    )


def default_opset(run: Run | None) -> int:
    """The version of ONNX's operators: old, for every engine to read, but where new ones are what it is made of."""
    return ATTENTION_OPSET if run and run.schema.task == "text_generation" else convert.OPSET


def _write_table(
    model: "keras.Model",
    schema: Schema,
    folder: Path,
    sizes: dict[str, list[int | str]] | None,
    opset: int,
    asked: Expected,
) -> Expected:
    """Both files with a table's columns as their inputs; what they must answer to rows of cells."""
    from .raw_inputs import tabular

    (row,) = asked.signature.inputs
    encoded = folder.with_name("encoded.onnx")
    write_onnx(model, encoded, tabular.opset(schema, opset), sizes)
    columns = tabular.inputs(schema, tabular.names(encoded))
    write_saved_model(model, folder, sizes, {SERVING_DEFAULT: tabular.endpoint(schema, columns)})
    tabular.put_before(encoded, folder / verify.ONNX, schema, columns)
    encoded.unlink()
    return asked._replace(
        signature=traced_model.Signature(columns, asked.signature.outputs),
        cases=tabular.cases(model, schema, columns, asked.cases),
        inside=lambda cells: {row.name: tabular.encode(schema, cells)},
    )


def _publish(made: Path, model_folder: Path, manifest: Manifest, run: Run | None) -> Path:
    """Rename into place: a new model with its config at once, a new version of an old one beside the others."""
    config = made.parent / CONFIG
    config.write_text(triton_config.config(manifest))
    while True:
        version = max(layout.versions_in(model_folder), default=0) + 1
        _sign(made, msgspec.structs.replace(manifest, version=version), run)
        numbered = made.rename(made.parent / str(version))
        try:
            if not model_folder.exists():
                made.parent.rename(model_folder)
            else:
                numbered.rename(model_folder / numbered.name)
                config.replace(model_folder / CONFIG)
            return model_folder / str(version)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            numbered.rename(made)  # another export was faster: this is the version after it


def _sign(folder: Path, manifest: Manifest, run: Run | None) -> None:
    """The card, and the manifest with the sums of all files."""
    (folder / CARD).write_text(model_card.card(manifest, run.settings if run else None))
    signed = msgspec.structs.replace(manifest, files=layout.checksums(folder))
    contract.write(signed, folder / layout.MANIFEST)


def _check_labels(labels: list[str], outputs: list[Tensor], schema: Schema | None) -> None:
    """As many as the last size of the only output has numbers, each another one."""
    if not labels or schema:
        return
    for label in labels:
        if not label or labels.count(label) > 1:
            raise UserError(f"{labels.count(label)} of the labels are {label!r}; give each class a name of its own.")
    sizes = [y.shape[-1] if y.shape else 1 for y in outputs]
    if sizes != [len(labels)]:
        raise UserError(
            f"{len(labels)} labels for outputs of last size {', '.join(map(str, sizes))}; give one for each."
        )


def _check_recorded(run: Run, asked: Expected) -> None:
    """The model file is the one that was trained: it answers the run's samples as the run recorded."""
    (answered,) = [case for case in asked.cases if case.kind == "samples"][-1].outputs.values()
    recorded = run.samples["prediction"][: len(answered)]
    if not compare(recorded, answered).max_scaled <= max(RECORDED, asked.tolerance):
        raise UserError(f"{run.folder}: the saved model does not answer as it did when it was trained.")


def _measured(run: Run) -> MetricsSource:
    data = run.environment["data"]
    return MetricsSource(data["name"], "test", data["rows"]["test"], data["sha256"])


def _copy_assets(run: Run, folder: Path) -> None:
    schema = run.schema
    if schema.is_tabular:
        (folder / ROW_SCHEMA).parent.mkdir(exist_ok=True)
        schema.save(folder / ROW_SCHEMA)
    if schema.task == "text_classification":
        (folder / TOKENIZER).parent.mkdir(exist_ok=True)
        shutil.copyfile(run.tokenizer_file, folder / TOKENIZER)


def _postprocessing(labels: list[str], answer: str) -> list[ProcessingStep]:
    return [ProcessingStep("classify" if labels else "number", parameters={"output": answer})]


def _preprocessing(schema: Schema) -> ProcessingStep:
    if schema.task == "text_generation":
        return ProcessingStep("characters", parameters={"input": schema.input})  # each by its place among the labels
    if schema.task == "text_classification":
        return ProcessingStep("words", file=TOKENIZER, parameters={"input": schema.input})
    if schema.is_tabular:
        return ProcessingStep(
            "row", file=ROW_SCHEMA, parameters={"inputs": "columns"}
        )  # as they are: the files look them up
    height, width, channels = schema.shape
    return ProcessingStep(
        "image", parameters={"height": height, "width": width, "channels": channels, "low": 0, "high": 255}
    )
