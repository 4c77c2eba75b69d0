"""Writes a trained model as the next version of a bundle. The version appears complete and verified, or not at all."""

import dataclasses
import datetime
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from kerasfound.bundle import Schema, layout, recorded_cases
from kerasfound.bundle import manifest as contract
from kerasfound.bundle.comparison import compare
from kerasfound.bundle.manifest import SERVING_DEFAULT, Manifest, MetricsSource, ProcessingStep, Tensor, Verification
from kerasfound.errors import UserError
from kerasfound.training.run import Run, versions

from . import model_card, quantization, triton_config
from .bundle_name import checked_name
from .converter import convert
from .formats import require_tensorflow
from .keras_archive import load
from .options import DEFAULTS, ExportOptions
from .raw_inputs import signatures, tabular, vectorized_texts
from .raw_inputs.signatures import ExtraSignature
from .raw_inputs.vectorized_texts import SplitModel
from .saved_model_writer import write_saved_model
from .staging import staging_folder
from .tasks import TASKS, task_name
from .tracing import traced_model
from .tracing.traced_model import Signature, TracedModel
from .verification import input_generator, reference, verify
from .verification.verify import ExpectedOutputs

if TYPE_CHECKING:
    import keras

PACKAGES = ("kerasfound", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")
RECORDED_TOLERANCE = 1e-4
"""For the outputs that a run recorded in training, which used other kernels and another batch size."""
CONFIG, CARD = "config.pbtxt", "README.md"


def bundle(
    model: "keras.Model | Run | str | Path",
    repository: str | Path,
    name: str | None = None,
    *,
    options: ExportOptions = DEFAULTS,
    labels: Sequence[str] = (),
    quantize: Literal["int8"] | None = None,
    data_dir: str | None = None,
) -> Path:
    """Export a model as the next version of its name. It is verified before it appears.

    Args:
        model: a built Keras model, an opened run folder, or a `.keras` or `.h5` file.
        repository: the folder of all models. It is created if it does not exist.
        name: the folder of the model in the repository. Defaults to the name of the recipe, file or model.
        options: dynamic shapes, opset, samples and tolerance.
        labels: names of the classes, in the order of the only output. A run has its own labels.
        quantize: `"int8"` also writes `model.int8.onnx`, with 8-bit weights, if the metric on the test rows of the run
            drops by at most `quantization.MAX_DROP` points. Needs a run.
        data_dir: the folder of the prepared data for that. Defaults to the folder that the run used.

    Returns:
        The new version folder, `repository/name/version`.

    Raises:
        UserError: if the name, the folder or the model cannot be used, or the outputs of a file differ from the
            model's. The repository then stays as it was.
    """
    require_tensorflow()
    run = model if isinstance(model, Run) else None
    if not isinstance(model, Run | str | Path):
        traced_model.check_model(model)
    name = checked_name(model, name)
    model_folder = Path(repository) / name
    if model_folder.exists() and not model_folder.is_dir():
        raise UserError(f"{model_folder}: is a file, expected the folder of the model's versions; move the file away.")
    if quantize and not run:
        raise UserError(
            f"`quantize` {quantize}: needs a run folder, because the loss of accuracy is measured on its data; "
            "give a run folder."
        )
    with staging_folder(model_folder.parent) as staging:
        version_folder = staging / name / "made"
        version_folder.parent.mkdir()
        manifest = _write_version(_load_model(model), run, version_folder, name, labels, options)
        if run and quantize:
            record = quantization.quantize_and_evaluate(run, version_folder, data_dir=data_dir)
            manifest = msgspec.structs.replace(manifest, quantization=record)
        return _publish(version_folder, model_folder, manifest, run)


def _load_model(model: "keras.Model | Run | str | Path") -> "keras.Model":
    if isinstance(model, Run):
        return model.load_model()
    return load(model) if isinstance(model, str | Path) else model


def _write_version(
    model: "keras.Model", run: Run | None, folder: Path, name: str, labels: Sequence[str], options: ExportOptions
) -> Manifest:
    """Write and verify the files of a version. The manifest has version 0 until the bundle is published."""
    labels = list(run.schema.labels if run else labels)
    if run and options.samples is None:
        options = dataclasses.replace(options, samples=run.samples["x"])
    vectorized_texts.check_vectorizers(model)
    traced = traced_model.trace_model(model, options.dynamic_shapes)
    expected = verify.expected_outputs(model, traced.signature, options)
    if run:
        _check_recorded_outputs(run, expected)
    else:
        _check_labels(labels, traced.signature.outputs)
    task = TASKS[task_name(run, labels)]
    extras = [build(model, run, expected) for build in task.extra_signatures]
    opset = task.opset if options.opset is None else options.opset
    split = vectorized_texts.split(model, traced.signature) if vectorized_texts.has_vectorizer(model) else None
    if run and run.schema.is_tabular:
        expected = _write_table_files(traced, run.schema, folder, options, opset, expected)
    elif split:
        expected = split.with_texts(expected)
        extras.append(split.saved_model(expected))
        expected = _write_split_files(traced, split, folder, opset, expected)
    else:
        write_saved_model(traced, folder, signatures.saved_model_signatures(extras))
        for_onnx = convert.trace_for_onnx(model, options.dynamic_shapes, traced)
        convert.save_onnx(for_onnx, folder / verify.ONNX, opset)
    signatures.write_onnx_files(extras, folder, opset)
    rest = split.rest if split else model
    verification = _verify_files(rest, folder, expected, extras)
    if run and task.copy_asset:
        (folder / "assets").mkdir(exist_ok=True)
        task.copy_asset(run, folder)
    return _manifest(rest, run, name, labels, expected, verification, extras, split.steps() if split else [])


def _write_table_files(
    traced: TracedModel,
    schema: Schema,
    folder: Path,
    options: ExportOptions,
    opset: int,
    expected: ExpectedOutputs,
) -> ExpectedOutputs:
    """Write both files with the columns of a table as inputs, and return their expected outputs."""
    (row,) = traced.signature.inputs
    encoded = folder.with_name("encoded.onnx")
    for_onnx = convert.trace_for_onnx(traced.model, options.dynamic_shapes, traced)
    convert.save_onnx(for_onnx, encoded, tabular.required_opset(schema, opset))
    columns = tabular.input_tensors(schema, tabular.value_names(encoded))
    write_saved_model(traced, folder, {SERVING_DEFAULT: tabular.saved_model_signature(schema, columns)})
    tabular.prepend_encoding(encoded, folder / verify.ONNX, schema, columns)
    encoded.unlink()
    return expected._replace(
        signature=Signature(columns, traced.signature.outputs),
        cases=tabular.expected_cases(traced.model, schema, columns, expected.cases),
        to_model_inputs=lambda cells: {row.name: tabular.encode_cells(schema, cells)},
    )


def _write_split_files(
    traced: TracedModel, split: SplitModel, folder: Path, opset: int, expected: ExpectedOutputs
) -> ExpectedOutputs:
    """Write a SavedModel of texts, an ONNX file of what they become, and return the expected outputs of the latter."""
    for_onnx = convert.trace_for_onnx(split.rest)
    write_saved_model(traced, folder)
    convert.save_onnx(for_onnx, folder / verify.ONNX, opset)
    split.save_assets(folder)
    return split.onnx_outputs(expected, for_onnx.signature)


def _verify_files(
    model: "keras.Model", folder: Path, expected: ExpectedOutputs, extras: list[ExtraSignature]
) -> list[Verification]:
    """Verify all files and record the cases, so that they can be verified later without the model."""
    files = verify.files_of_main_signature(folder, [extra.signature for extra in extras])
    # the ONNX file, which is the last, first: it may leave out cases
    verified = {name: verify.verify_file(name, file, model, expected) for name, file in reversed(files.items())}
    records = [verified[name] for name in files]
    recorded_cases.save(folder, expected.cases)
    for extra in extras:
        records.append(verify.compare_file(*verify.signature_file(folder, extra.signature), extra.expected))
        recorded_cases.save(folder, extra.expected.cases, extra.signature.name)
    return records


def _manifest(
    model: "keras.Model",
    run: Run | None,
    name: str,
    labels: list[str],
    expected: ExpectedOutputs,
    verification: list[Verification],
    extras: list[ExtraSignature],
    text_steps: list[ProcessingStep],
) -> Manifest:
    task, inputs, outputs = task_name(run, labels), expected.signature.inputs, expected.signature.outputs
    preprocessing, postprocessing = TASKS[task].preprocessing, TASKS[task].postprocessing
    nullable = reference.nullable_inputs(expected.cases)
    return Manifest(
        schema_version=contract.SCHEMA_VERSION,
        name=name,
        version=0,
        task=task,
        inputs=[
            msgspec.structs.replace(
                x, num_ids=input_generator.num_ids(model, x), nullable=x.nullable or x.name in nullable
            )
            for x in inputs
        ],
        outputs=outputs,
        preprocessing=[preprocessing(run.schema)] if run and preprocessing else text_steps,
        postprocessing=[ProcessingStep(postprocessing, parameters={"output": outputs[0].name})]
        if postprocessing
        else [],
        labels=labels,
        metrics=run.results["test"] if run else {},
        measured_on=_metrics_source(run) if run else None,
        baseline=run.baseline if run else None,
        verification=verification,
        versions=versions(PACKAGES),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files={},
        extra_signatures=[extra.signature for extra in extras],
        text_generation=next((extra.text_generation for extra in extras if extra.text_generation), None),
    )


def _publish(version_folder: Path, model_folder: Path, manifest: Manifest, run: Run | None) -> Path:
    """Rename the folder to its place: the whole model folder if the model is new, otherwise the version folder."""
    config = version_folder.parent / CONFIG
    config.write_text(triton_config.config(manifest))
    while True:
        version = max(layout.versions_in(model_folder), default=0) + 1
        _write_manifest(version_folder, msgspec.structs.replace(manifest, version=version), run)
        numbered_folder = version_folder.rename(version_folder.parent / str(version))
        try:
            if not model_folder.exists():
                numbered_folder.parent.rename(model_folder)
            else:
                numbered_folder.rename(model_folder / numbered_folder.name)
                config.replace(model_folder / CONFIG)
            return model_folder / str(version)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            numbered_folder.rename(version_folder)  # another export published this version first: try the next one


def _write_manifest(folder: Path, manifest: Manifest, run: Run | None) -> None:
    """Write the model card, then the manifest with the checksums of all files."""
    (folder / CARD).write_text(model_card.card(manifest, run.settings if run else None, run.schema if run else None))
    contract.write(msgspec.structs.replace(manifest, files=layout.checksums(folder)), folder / layout.MANIFEST)


def _check_labels(labels: list[str], outputs: list[Tensor]) -> None:
    """Labels must be unique, and as many as the last dimension of the only output."""
    if not labels:
        return
    for label in labels:
        if not label or labels.count(label) > 1:
            raise UserError(f"`labels`: {labels.count(label)} of them are {label!r}; give each class its own name.")
    sizes = [y.shape[-1] if y.shape else 1 for y in outputs]
    if sizes != [len(labels)]:
        raise UserError(
            f"`labels`: {len(labels)} for an output of size {', '.join(map(str, sizes))}; "
            "give one label for each value of a single output."
        )


def _check_recorded_outputs(run: Run, expected: ExpectedOutputs) -> None:
    """The outputs of the model file on the samples must equal the outputs that the run recorded."""
    (outputs,) = [case for case in expected.cases if case.kind == "samples"][-1].outputs.values()
    recorded = run.samples["prediction"][: len(outputs)]
    if not compare(recorded, outputs).max_scaled <= max(RECORDED_TOLERANCE, expected.tolerance):
        raise UserError(
            f"{run.folder}: the outputs of model.keras differ from those that the run recorded in training; "
            "train the model again."
        )


def _metrics_source(run: Run) -> MetricsSource:
    data = run.environment["data"]
    return MetricsSource(data["name"], "test", data["rows"]["test"], data["sha256"])
