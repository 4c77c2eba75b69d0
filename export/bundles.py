"""A finished run -> the next version of a model in a repository, whole and proven or not at all."""

import datetime
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.data import Schema
from kerasfound.errors import UserError
from kerasfound.export import graphs, verification
from kerasfound.export import manifest as contract
from kerasfound.export.manifest import Manifest, Measured, Step, Tensor
from kerasfound.training.run import Run, versions

if TYPE_CHECKING:
    import keras

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PACKAGES = ("kerasfound", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")
ROW_SCHEMA = "assets/schema.json"
"""How a row of a table becomes numbers: its columns, their kinds and categories."""
TOKENIZER = "assets/tokenizer.json"
"""How a text becomes numbers of words, for the `tokenizers` library; short texts are filled up with 0."""
TRITON_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32", "int64": "TYPE_INT64", "uint8": "TYPE_UINT8"}


def bundle(run: Run, repository: str | Path, name: str | None = None) -> Path:
    """Export a finished run as the next version of a model, verified before it appears.

    Args:
        run: an opened run folder.
        repository: the folder of all models, made if it is not there.
        name: the model's folder in it. Defaults to the recipe's name.

    Returns:
        The new version folder, `repository/name/version`.

    Raises:
        UserError: if the name or the folder cannot be used, or a file does not answer as the trained model does;
            the repository is then as it was.
    """
    name = name or run.recipe
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name}: letters, digits, '_', '-' and '.' only, 64 at most, not starting with a sign.")
    model_folder = Path(repository) / name
    try:
        Path(repository).mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".export-", dir=repository))
    except OSError as error:
        raise UserError(f"--to {repository}: cannot be written to ({error.strerror}).") from error
    try:
        version = max(verification.numbered(model_folder), default=0) + 1
        made = staging / name / str(version)
        made.parent.mkdir()
        manifest = _write(run, made, name, version)
        (made.parent / "config.pbtxt").write_text(triton_config(manifest))
        return _publish(made, model_folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def triton_config(manifest: Manifest) -> str:
    """Triton's `config.pbtxt`: the manifest's tensors without their batch size, which Triton adds."""

    def block(kind: str, tensors: list[Tensor]) -> str:
        rows = []
        for tensor in tensors:
            sizes = [-1 if isinstance(size, str) else size for size in tensor.shape[1:]]
            rows.append(f'  {{ name: "{tensor.name}" data_type: {TRITON_TYPES[tensor.dtype]} dims: {sizes} }}')
        return f"{kind} [\n" + ",\n".join(rows) + "\n]\n"

    head = f'name: "{manifest.name}"\nbackend: "onnxruntime"\nmax_batch_size: 64\ndynamic_batching {{ }}\n'
    return head + block("input", manifest.inputs) + block("output", manifest.outputs)


def _write(run: Run, folder: Path, name: str, version: int) -> Manifest:
    """Everything of one version: both model files, the proof, and the manifest last."""
    model, samples = run.load_model(), run.samples
    (answer,) = graphs.output_names(model)
    graphs.saved_model(model, folder)
    graphs.onnx(model, folder / verification.ONNX)

    schema, data = run.schema, run.environment["data"]
    asked = np.concatenate([samples["x"], _noise(schema, samples["x"])]).astype(model.inputs[0].dtype)
    answered = np.asarray(model(asked, training=False))
    verification.save_vectors(folder, {model.inputs[0].name: asked}, {answer: answered})
    proof = verification.compare(folder)
    if not np.allclose(answered[: len(samples["x"])], samples["answer"], atol=1e-4):
        raise UserError(f"{run.folder}: the saved model does not answer as it did when it was trained.")

    if schema.tabular:
        (folder / ROW_SCHEMA).parent.mkdir(exist_ok=True)
        schema.save(folder / ROW_SCHEMA)
    if schema.task == "text_classification":
        (folder / TOKENIZER).parent.mkdir(exist_ok=True)
        shutil.copyfile(run.tokenizer_file, folder / TOKENIZER)
    manifest = Manifest(
        schema_version=contract.SCHEMA_VERSION,
        name=name,
        version=version,
        task=schema.task,
        inputs=[_tensor(x.name, x) for x in model.inputs],
        outputs=[_tensor(answer, model.outputs[0])],
        preprocessing=[_preprocessing(schema)],
        postprocessing=[Step("classify" if schema.labels else "number", parameters={"output": answer})],
        labels=list(schema.labels),
        metrics=run.results["test"],
        measured_on=Measured(data["name"], "test", data["rows"]["test"], data["sha256"]),
        verification=proof,
        versions=versions(PACKAGES),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files=verification.sums(folder),
    )
    contract.write(manifest, folder / verification.MANIFEST)
    return manifest


def _publish(made: Path, model_folder: Path) -> Path:
    """Rename into place: a new model with its config at once, a new version of an old one beside the others."""
    if model_folder.exists():
        made.rename(model_folder / made.name)
        (made.parent / "config.pbtxt").replace(model_folder / "config.pbtxt")
    else:
        made.parent.rename(model_folder)
    return model_folder / made.name


def _noise(schema: Schema, like: np.ndarray) -> np.ndarray:
    """Inputs that no data set holds."""
    rng = np.random.default_rng(0)
    if schema.task == "text_generation":
        return rng.integers(0, len(schema.labels), like.shape)
    if schema.task == "text_classification":
        return rng.integers(0, like.max() + 1, like.shape)
    if schema.tabular:  # cells of different rows together, some of them missing
        return np.where(rng.random(like.shape) < 0.05, np.nan, rng.permuted(like, axis=0))
    return rng.uniform(0, 255, like.shape)


def _tensor(name: str, symbolic: "keras.KerasTensor") -> Tensor:
    return Tensor(name, symbolic.dtype, [graphs.BATCH, *(size or graphs.TIME for size in symbolic.shape[1:])])


def _preprocessing(schema: Schema) -> Step:
    if schema.task == "text_generation":
        return Step("characters", parameters={"input": schema.input})  # each by its place among the labels
    if schema.task == "text_classification":
        return Step("words", file=TOKENIZER, parameters={"input": schema.input})
    if schema.tabular:
        return Step("row", file=ROW_SCHEMA)
    height, width, channels = schema.shape
    return Step("image", parameters={"height": height, "width": width, "channels": channels, "low": 0, "high": 255})
