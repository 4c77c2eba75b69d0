"""Weights in 8 bits instead of 32: a smaller file that is often faster, and an error if its predictions are worse.

Static quantization measures the ranges of activations once, on training samples. It suits convolutions. In recurrent
and attention layers the ranges vary too much between inputs: dynamic quantization measures them at each call.
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

from kerasfound.atomic import replacing
from kerasfound.bundle import Schema, Task
from kerasfound.bundle.manifest import Quantization, Tensor
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError
from kerasfound.training import evaluation, loaders
from kerasfound.training.run import Run

from .raw_inputs import tabular

FILE = "model.int8.onnx"
MAX_DROP = 0.5
"""Points (hundredths) that the metric may drop on the test rows."""
METRICS = {Task.TABULAR_REGRESSION: "r2"}
"""Task to the metric that is compared, if it is not the accuracy."""
CALIBRATION, BATCH, ROUNDS = 256, 32, 50
RECURRENT = {"LSTM", "GRU", "RNN", "Loop", "Scan"}
CONVOLUTIONS = {"Conv", "ConvTranspose"}
STATIC = [*sorted(CONVOLUTIONS), "Gemm", "MatMul"]
DYNAMIC = ["MatMul", "Gather", "LSTM"]
"""Matrix products, embedding tables, and LSTMs, which become `DynamicQuantizeLSTM` of ONNX Runtime."""

INT8 = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
UNSIGNED = engine.QuantType.QUInt8
"""The type of activations: x86 processors multiply unsigned activations by signed weights."""


def quantize(source: Path, target: Path, samples: Tensors) -> str:
    """Write a copy of a model with 8-bit weights.

    Args:
        source: an ONNX file.
        target: the file to write.
        samples: training inputs by name, for the ranges of static quantization. Rows are along the first axis.

    Returns:
        The scheme, `"static"` (QDQ, a scale for each channel) or `"dynamic"`.

    Raises:
        UserError: if nothing in the model can be quantized.
    """
    model = onnx.load(source)
    scheme = choose_scheme(model)
    with tempfile.TemporaryDirectory() as folder, replacing(target) as part:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        if scheme == "static":
            reader = _SampleReader(samples)
            engine.quantize_static(
                prepared, part, reader, op_types_to_quantize=STATIC, per_channel=True, activation_type=UNSIGNED
            )
        else:
            engine.quantize_dynamic(
                prepared, part, DYNAMIC, per_channel=True, nodes_to_exclude=_products_with_stacked_matrices(model)
            )
        if not any(weight.data_type in INT8 and weight.dims for weight in onnx.load(part).graph.initializer):
            raise UserError("`quantize` int8: the model has no weights to quantize; export it without this argument.")
    return scheme


def choose_scheme(model: onnx.ModelProto) -> str:
    """`"static"` for convolutions, `"dynamic"` for recurrent layers, attention, and models without convolutions."""
    weights = {weight.name for weight in model.graph.initializer}
    ops = {node.op_type for node in model.graph.node}
    has_attention = any(node.op_type == "MatMul" and not weights & set(node.input) for node in model.graph.node)
    return "static" if ops & CONVOLUTIONS and not (ops & RECURRENT or has_attention) else "dynamic"


def _products_with_stacked_matrices(model: onnx.ModelProto) -> list[str]:
    """Products with a weight of more than two axes, which ONNX Runtime cannot run with a scale for each column."""
    stacks = {weight.name for weight in model.graph.initializer if len(weight.dims) > 2}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and stacks & set(node.input)]


def quantize_and_evaluate(
    run: Run, folder: Path, max_drop: float = MAX_DROP, data_dir: str | None = None
) -> Quantization:
    """Quantize `model.onnx` of a version folder, and compare both files on the test rows of the run.

    Args:
        run: the run folder of the model.
        folder: contains `model.onnx`; `model.int8.onnx` is written there.
        max_drop: points that the metric may drop on the test rows; see `MAX_DROP`.
        data_dir: a prepared TFDS folder, as for `kerasfound.data.load`. Defaults to that of the run.

    Returns:
        The measurements, for the manifest.

    Raises:
        UserError: if the metric drops more, or the data cannot be loaded; then no file is written.
    """
    dataset = evaluation.load_dataset(run, data_dir)
    test = evaluation.prepare_split(run, dataset.test)
    source = folder / "model.onnx"
    to_inputs = _input_function(run.schema, source)
    samples: Tensors = {}
    if choose_scheme(onnx.load(source)) == "static":
        train = evaluation.prepare_split(run, dataset.train).x
        samples = to_inputs(train[np.random.default_rng(0).permutation(len(train))[:CALIBRATION]])
    with replacing(folder / FILE) as target:
        scheme = quantize(source, target, samples)
        outputs = [_run_file(path, test.x, to_inputs) for path in (source, target)]
        metric = METRICS.get(run.schema.task, "accuracy")
        before, after = (evaluation.compute_metrics(y, test, run.schema)[metric] for y in outputs)
        if not 100 * (before - after) <= max_drop:
            raise UserError(
                f"`quantize` int8: {metric} drops from {before:.4f} to {after:.4f} on the test rows, "
                f"by more than {max_drop:g} points; export without this argument."
            )
        milliseconds = latency([source, target], to_inputs(test.x[:1]))
        return Quantization(
            scheme=scheme,
            metric=metric,
            score_before=before,
            score_after=after,
            max_drop=max_drop,
            rows=len(test.y),
            equal_decisions=agreement(*outputs),
            bytes_before=source.stat().st_size,
            bytes_after=target.stat().st_size,
            milliseconds_before=milliseconds[0],
            milliseconds_after=milliseconds[1],
        )


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The share of rows whose largest output has the same index.

    Example:
        >>> agreement(np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([[0.2, 0.8], [0.3, 0.7]]))
        0.5
    """
    return float((one.argmax(axis=-1) == other.argmax(axis=-1)).mean())


def latency(files: list[Path], inputs: Tensors, rounds: int = ROUNDS) -> list[float]:
    """The median milliseconds of a call of each file on one thread. The files take turns, so that noise affects all."""
    sessions = [session(path) for path in files]
    seconds: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for of_file, file_session in zip(seconds, sessions, strict=True):
            start = time.perf_counter()
            file_session.run(None, inputs)
            of_file.append(time.perf_counter() - start)
    return [round(1000 * statistics.median(of_file), 4) for of_file in seconds]


def session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run_file(path: Path, x: np.ndarray, to_inputs: Callable[[np.ndarray], Tensors]) -> np.ndarray:
    """The first output for every row, batch by batch."""
    runner, batches = session(path, threads=0), loaders.OrderedBatches(x)
    return np.concatenate([runner.run(None, to_inputs(batches[i][0]))[0] for i in range(len(batches))])


def _input_function(schema: Schema, file: Path) -> Callable[[np.ndarray], Tensors]:
    """A function from rows of numbers to the inputs of the file: its only input, or the cells of a table."""
    tensors = [
        Tensor(value.name, np.dtype(tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)).name, [])
        for value in onnx.load(file, load_external_data=False).graph.input
    ]
    if not schema.is_tabular:
        (only,) = tensors
        return lambda x: {only.name: x.astype(only.dtype)}

    def cells(x: np.ndarray) -> Tensors:
        decoded = tabular.decode_rows(schema, tensors, x)
        return {name: cell.astype(object) if cell.dtype.kind == "U" else cell for name, cell in decoded.items()}

    return cells


class _SampleReader(engine.CalibrationDataReader):
    """Batches of samples, in the form that ONNX Runtime reads."""

    def __init__(self, samples: Tensors):
        self.batches: Iterator[dict[str, Any]] = (
            {name: x[start : start + BATCH] for name, x in samples.items()}
            for start in range(0, len(next(iter(samples.values()))), BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)
