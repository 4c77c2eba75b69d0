"""Weights in 8 bits instead of 32: a smaller file that is often faster, and refused where it decides worse.

Convolutions have their ranges measured beforehand, on training samples (static). In recurrent and attention layers
these wander too much from input to input, and are measured at each call (dynamic).
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.helper import tensor_dtype_to_np_dtype
from onnxruntime import quantization as engine
from onnxruntime.quantization.shape_inference import quant_pre_process

from kerasfound.bundle import Schema
from kerasfound.bundle.manifest import Quantization, Tensor
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError
from kerasfound.training import evaluation, loaders
from kerasfound.training.run import Run

from .raw_inputs import tabular

FILE = "model.int8.onnx"
BOUND = 0.5
"""Points, hundredths of the metric, that it may lose on the test rows."""
METRICS = {"tabular_regression": "r2"}
"""What is watched, if not the accuracy."""
CALIBRATION, BATCH, ROUNDS = 256, 32, 50
RECURRENT = {"LSTM", "GRU", "RNN", "Loop", "Scan"}
CONVOLUTIONS = {"Conv", "ConvTranspose"}
STATIC = [*sorted(CONVOLUTIONS), "Gemm", "MatMul"]
DYNAMIC = ["MatMul", "Gather", "LSTM"]
"""Matrix products, tables of embeddings, and LSTMs, which become ONNX Runtime's own `DynamicQuantizeLSTM`."""

BYTES = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
UNSIGNED = engine.QuantType.QUInt8
"""Of activations: what the multiplications of x86 processors take beside signed weights."""


def quantize(source: Path, target: Path, samples: Tensors) -> str:
    """Write the model at `source` with weights of 8 bits.

    Args:
        source: an ONNX file.
        target: the file to write.
        samples: training inputs by name, the rows along the first axis, which static ranges are measured on.

    Returns:
        The scheme, `"static"` (QDQ, a scale for each channel) or `"dynamic"`.

    Raises:
        UserError: if nothing in the model can be quantized.
    """
    model = onnx.load(source)
    found = scheme(model)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        if found == "static":
            reader = _Samples(samples)
            engine.quantize_static(
                prepared, target, reader, op_types_to_quantize=STATIC, per_channel=True, activation_type=UNSIGNED
            )
        else:
            engine.quantize_dynamic(
                prepared, target, DYNAMIC, per_channel=True, nodes_to_exclude=_with_stacks_of_matrices(model)
            )
    if not any(weight.data_type in BYTES and weight.dims for weight in onnx.load(target).graph.initializer):
        target.unlink()
        raise UserError("--quantize int8: the model has no weights to quantize; export it without.")
    return found


def scheme(model: onnx.ModelProto) -> str:
    """`"static"` for convolutions, `"dynamic"` where steps depend on each other or attend to each other, or without."""
    weights = {weight.name for weight in model.graph.initializer}
    ops = {node.op_type for node in model.graph.node}
    attends = any(node.op_type == "MatMul" and not weights & set(node.input) for node in model.graph.node)
    return "static" if ops & CONVOLUTIONS and not (ops & RECURRENT or attends) else "dynamic"


def _with_stacks_of_matrices(model: onnx.ModelProto) -> list[str]:
    """Products with a weight of more than two axes: ONNX Runtime has none of these with a scale for each column."""
    stacks = {weight.name for weight in model.graph.initializer if len(weight.dims) > 2}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and stacks & set(node.input)]


def quantized(run: Run, folder: Path, bound: float = BOUND, data_dir: str | None = None) -> Quantization:
    """Quantize `model.onnx` of a version folder, beside it, and prove on the run's own data that it decides as well.

    Args:
        run: an opened run folder, the model's.
        folder: holds `model.onnx`; `model.int8.onnx` is written there.
        bound: points that the metric may lose on the test rows; see `BOUND`.
        data_dir: a prepared TFDS folder, as for `kerasfound.data.load`. Defaults to that of the run.

    Returns:
        What was measured, for the manifest.

    Raises:
        UserError: if the metric loses more, or the data cannot be had; no file is written then.
    """
    dataset = evaluation.dataset(run, data_dir)
    test = evaluation.as_trained(run, dataset.test)
    source, target = folder / "model.onnx", folder / FILE
    given = _given(run.schema, source)
    samples: Tensors = {}
    if scheme(onnx.load(source)) == "static":
        train = evaluation.as_trained(run, dataset.train).x
        samples = given(train[np.random.default_rng(0).permutation(len(train))[:CALIBRATION]])
    found = quantize(source, target, samples)

    metric = METRICS.get(run.schema.task, "accuracy")
    inputs = given(test.x)
    answers = [_answers(path, inputs) for path in (source, target)]
    before, after = (evaluation.metrics(y, test, run.schema)[metric] for y in answers)
    if not 100 * (before - after) <= bound:
        target.unlink()
        raise UserError(
            f"--quantize int8: {metric} falls from {before:.4f} to {after:.4f} on the test rows, "
            f"by more than {bound:g} points; export it without."
        )
    milliseconds = latency([source, target], given(test.x[:1]))
    return Quantization(
        scheme=found,
        metric=metric,
        score_before=before,
        score_after=after,
        max_drop=bound,
        rows=len(test.y),
        equal_decisions=agreement(*answers),
        bytes_before=source.stat().st_size,
        bytes_after=target.stat().st_size,
        milliseconds_before=milliseconds[0],
        milliseconds_after=milliseconds[1],
    )


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The share of answers whose largest number stands in the same place.

    Example:
        >>> agreement(np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([[0.2, 0.8], [0.3, 0.7]]))
        0.5
    """
    return float((one.argmax(axis=-1) == other.argmax(axis=-1)).mean())


def latency(files: list[Path], inputs: Tensors, rounds: int = ROUNDS) -> list[float]:
    """The median milliseconds that each file takes to answer on one thread, in turns, so that noise hits all alike."""
    sessions = [session(path) for path in files]
    seconds: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for measured, one in zip(seconds, sessions, strict=True):
            start = time.perf_counter()
            one.run(None, inputs)
            measured.append(time.perf_counter() - start)
    return [round(1000 * statistics.median(measured), 4) for measured in seconds]


def session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _answers(path: Path, inputs: Tensors) -> np.ndarray:
    """The first output for every row."""
    one, rows = session(path, threads=0), len(next(iter(inputs.values())))
    parts = (slice(start, start + loaders.BATCH) for start in range(0, rows, loaders.BATCH))
    return np.concatenate([one.run(None, {name: x[part] for name, x in inputs.items()})[0] for part in parts])


def _given(schema: Schema, file: Path) -> Callable[[np.ndarray], Tensors]:
    """What a file is given for rows of numbers: its only input, or the cells of a table."""
    tensors = [
        Tensor(value.name, np.dtype(tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)).name, [])
        for value in onnx.load(file, load_external_data=False).graph.input
    ]
    if not schema.tabular:
        (only,) = tensors
        return lambda x: {only.name: x.astype(only.dtype)}

    def cells(x: np.ndarray) -> Tensors:
        decoded = tabular.decode_rows(schema, tensors, x)
        return {name: cell.astype(object) if cell.dtype.kind == "U" else cell for name, cell in decoded.items()}

    return cells


class _Samples(engine.CalibrationDataReader):
    """Batches of samples, as ONNX Runtime asks for them."""

    def __init__(self, samples: Tensors):
        self.batches: Iterator[dict[str, Any]] = (
            {name: x[start : start + BATCH] for name, x in samples.items()}
            for start in range(0, len(next(iter(samples.values()))), BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)
