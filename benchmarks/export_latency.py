"""Node counts and latency of exported runs: TensorFlow with XLA, SavedModel, ONNX by plain tf2onnx, by us, and int8.

    kerasfound run mnist_cnn --epochs 1 --out R/cnn                       # accuracy does not matter here
    kerasfound run imdb_lstm --data grammar --epochs 1 --out R/lstm
    kerasfound run tabular_mlp --data adult --data-dir FOLDER --epochs 1 --out R/mlp
    kerasfound run mini_transformer --data stdlib --epochs 1 --steps 5 --out R/gpt
    python benchmarks/export_latency.py R/cnn R/lstm R/mlp R/gpt

All candidates alternate in every round, so that other load on the machine affects all of them alike. A ratio is the
median over the rounds of the milliseconds, divided by those of TensorFlow with XLA in the same round. Texts have 200
words, windows have 64 characters.
"""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cyclopts
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

from kerasfound.bundle import Task
from kerasfound.export import quantization, saved_model_writer, tasks
from kerasfound.export.converter import convert, recurrent_operators
from kerasfound.export.converter.rewrite import pipeline
from kerasfound.export.tracing import traced_model
from kerasfound.training.run import Run

MIN_SECONDS = 0.03
"""How long each candidate is called in a round, at least."""
WORDS = 200
COLUMNS = ["TensorFlow, XLA", "SavedModel", "tf2onnx", "ONNX", "int8"]
app = cyclopts.App()


@app.default
def main(*runs: Path, threads: int = 1, opset: int | None = None, rounds: int = 31) -> None:
    """Print the table.

    Args:
        runs: run folders.
        threads: number of threads, inside an operation for TensorFlow, and for ONNX Runtime.
        opset: opset of our file and the quantized file. Defaults to the opset of a bundle.
        rounds: number of measurements for each candidate.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    print(f"{threads} thread(s), {rounds} rounds; median ms (times TensorFlow with XLA)\n")
    print(f"| | nodes: tf2onnx, ONNX | batch | {' | '.join(COLUMNS)} |\n|---|---|---|{'---|' * len(COLUMNS)}")
    for folder in runs:
        run = Run.open(folder)
        with tempfile.TemporaryDirectory() as work:
            nodes, candidates = export(run, Path(work), threads, opset or tasks.TASKS[run.schema.task].opset)
            for batch in (1, 32):
                x = inputs(run, batch)
                print(f"| {run.recipe} | {nodes} | {batch} | {' | '.join(cells(candidates, x, rounds))} |", flush=True)


def export(run: Run, folder: Path, threads: int, opset: int) -> tuple[str, dict[str, Callable]]:
    """Return the node counts, and for each column a function that runs the model on an input."""
    model = run.load_model()
    files = {name: folder / f"{name}.onnx" for name in COLUMNS[2:]}
    with plain_tf2onnx():
        convert.save_onnx(convert.trace_for_onnx(model), files["tf2onnx"])
    convert.save_onnx(convert.trace_for_onnx(model), files["ONNX"], opset)
    samples = {model.inputs[0].name: inputs(run, 64)}
    quantization.quantize(files["ONNX"], files["int8"], samples)
    saved_model_writer.write_saved_model(traced_model.trace_model(model), folder / "saved_model")
    serve = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    compiled = tf.function(traced_model.exported_function(model), jit_compile=True, autograph=False)
    candidates = {
        "TensorFlow, XLA": lambda x: next(iter(compiled(tf.constant(x)).values())).numpy(),
        "SavedModel": lambda x: next(iter(serve(tf.constant(x)).values())).numpy(),
    }
    for name, path in files.items():
        session = open_onnx(path, threads)
        candidates[name] = lambda x, session=session: session.run(None, {session.get_inputs()[0].name: x})[0]
    return ", ".join(str(count(onnx.load(files[name]).graph)) for name in COLUMNS[2:4]), candidates


def open_onnx(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # after its turn, a thread pool would spin and take CPU time from the next candidate
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def plain_tf2onnx() -> Iterator[None]:
    """Switch off our rewrites of the graph."""
    with (
        mock.patch.object(pipeline, "rewrite", lambda proto: proto),
        mock.patch.object(recurrent_operators, "recurrent_layers_as_operators", contextlib.nullcontext),
    ):
        yield


def count(graph: onnx.GraphProto) -> int:
    """Number of nodes, including those in loops."""
    inner = (a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)
    return len(graph.node) + sum(count(body) for body in inner)


def inputs(run: Run, batch: int) -> np.ndarray:
    x = run.samples["x"]
    if run.schema.task == Task.TEXT_CLASSIFICATION:
        x = np.random.default_rng(0).integers(2, run.settings["vocabulary"], (batch, WORDS))
    return np.resize(x, (batch, *x.shape[1:])).astype(run.load_model().inputs[0].dtype)


def cells(candidates: dict[str, Callable], x: np.ndarray, rounds: int) -> list[str]:
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for run_model in candidates.values():
        run_model(x)  # compiles
    for _ in range(rounds):
        for name, run_model in candidates.items():
            seconds[name].append(seconds_per_call(run_model, x))
    texts = []
    for times in seconds.values():
        ratios = [time / xla_time for time, xla_time in zip(times, seconds[COLUMNS[0]], strict=True)]
        texts.append(f"{1000 * statistics.median(times):.3f} ({statistics.median(ratios):.2f})")
    return texts


def seconds_per_call(run_model: Callable, x: np.ndarray) -> float:
    """Call for at least `MIN_SECONDS` and return the mean time of a call."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < MIN_SECONDS:
        run_model(x)
        calls += 1
    return (time.perf_counter() - start) / calls


if __name__ == "__main__":
    app()
