"""What the recipes reach over seeds, beside a reference in turns where one is written, and how their seconds compare.

    python benchmarks/recipes.py mnist-cnn --seeds 3            # TFDS_DATA_DIR points at the data
    python benchmarks/recipes.py imdb-lstm
    python benchmarks/recipes.py tabular-mlp FOLDER             # with the CSV files of adult and california
    python benchmarks/recipes.py mini-transformer               # needs torch

Every training is a process of its own. Nothing is chosen here: the recipes run with their presets as they are.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cyclopts

ROOT = Path(__file__).parent
app = cyclopts.App()


def recipe(name: str, seed: int, *flags: str) -> dict:
    """One run of a recipe: seconds of fitting, the last epoch's row, test metrics, the process's largest memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "kerasfound", "run", name, "--seed", str(seed), "--out", str(out), *flags]
        peak = measured(command)
        results = json.loads((out / "results.json").read_text())
        *_, last = (json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines())
    return {"seconds": results["fit_seconds"], "last": last, "test": results["test"], "GB": peak}


def measured(command: list[str]) -> float:
    """Run a command; the most memory that it held at once, in GB."""
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return usage.ru_maxrss / 1e6  # Linux counts in KB


def reference(name: str, seed: int, *flags: str) -> dict:
    finished = subprocess.run(
        [sys.executable, ROOT / "references" / f"{name}.py", "--seed", str(seed), *flags],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(finished.stdout)


def row(name: str, runs: list[dict], measures: list[str]) -> str:
    cells = [name]
    for measure in measures:
        values = [run[measure] for run in runs]
        cells.append(f"{statistics.mean(values):.4f} ({' '.join(f'{value:.4f}' for value in values)})")
    cells.append(" ".join(f"{run['seconds']:.0f}" for run in runs))
    cells.append(f"{max(run['GB'] for run in runs):.1f}" if "GB" in runs[0] else "")
    return f"| {' | '.join(cells)} |"


def head(measures: list[str]) -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{machine}\n\n| | {' | '.join(measures)} | s | GB |\n|---|{'---|' * (len(measures) + 2)}"


def ratios(name: str, runs: list[dict], others: list[dict], other: str) -> str:
    found = [run["seconds"] / reference["seconds"] for run, reference in zip(runs, others, strict=True)]
    return f"\n{name}: {statistics.median(found):.2f} times the seconds of {other}"


@app.command
def mini_transformer(seeds: int = 3, backends: list[str] | None = None) -> None:
    """Cross-entropy in nats a character on validation, on test, and on both together (nanoGPT's last 10%)."""
    measures = ["validation", "test", "both"]
    found: dict[str, list[dict]] = {}
    for seed in range(seeds):
        found.setdefault("nanoGPT, torch eager", []).append(reference("nanogpt", seed))
        for backend in backends or ["tensorflow", "jax"]:
            run = recipe("mini_transformer", seed, "--backend", backend)
            scores = {"validation": run["last"]["val_loss"], "test": run["test"]["cross_entropy"]}
            found.setdefault(f"mini_transformer, {backend}", []).append(run | scores)
    print(head(measures))
    for name, runs in found.items():
        # both halves are of one size
        print(row(name, [run | {"both": (run["validation"] + run["test"]) / 2} for run in runs], measures))
    for name, runs in found.items():
        print(ratios(name, runs, found["nanoGPT, torch eager"], "nanoGPT"))


@app.command
def mnist_cnn(seeds: int = 3, presets: list[str] | None = None) -> None:
    """Test accuracy of each preset, and how much sooner than keras.io's convnet `fast` is at 99.0%."""
    found: dict[str, list[dict]] = {}
    sooner = []
    for seed in range(seeds):
        epochs = reference("mnist_convnet", seed)["epochs"]
        found.setdefault("keras.io's convnet", []).append(epochs[-1])
        at_99 = next((epoch["seconds"] for epoch in epochs if epoch["accuracy"] >= 0.99), math.nan)
        for preset in presets or ["fast", "default", "best"]:
            run = recipe("mnist_cnn", seed, *([] if preset == "default" else ["--preset", preset]))
            found.setdefault(f"mnist_cnn, {preset}", []).append(run | run["test"])
            if preset == "fast":
                sooner.append(at_99 / run["seconds"])
    print(head(["accuracy"]))
    for name, runs in found.items():
        print(row(name, runs, ["accuracy"]))
    print(f"\nfast: {statistics.median(sooner):.1f} times sooner than the convnet at 99.0% ({sooner})")


@app.command
def imdb_lstm(seeds: int = 3) -> None:
    """Test accuracy of the LSTM alone and with n-grams, beside keras.io's BiLSTM and NB-SVM."""
    found: dict[str, list[dict]] = {}
    for seed in range(seeds):
        found.setdefault("keras.io's BiLSTM", []).append(reference("bilstm", seed))
        found.setdefault("NB-SVM", []).append(reference("nbsvm", seed))
        for preset in ("default", "best"):
            run = recipe("imdb_lstm", seed, *([] if preset == "default" else ["--preset", preset]))
            found.setdefault(f"imdb_lstm, {preset}", []).append(run | run["test"])
    print(head(["accuracy"]))
    for name, runs in found.items():
        print(row(name, runs, ["accuracy"]))
    for name, runs in found.items():
        print(ratios(name, runs, found["keras.io's BiLSTM"], "keras.io's BiLSTM"))


@app.command
def tabular_mlp(folder: Path, seeds: int = 3, backend: str = "tensorflow") -> None:
    """Test metrics of adult and california."""
    for data, measures in (("adult", ["accuracy", "auc"]), ("california", ["rmse"])):
        flags = ["--data", data, "--data-dir", str(folder), "--backend", backend]
        runs = [recipe("tabular_mlp", seed, *flags) for seed in range(seeds)]
        print(head(measures))
        print(row(data, [run | run["test"] for run in runs], measures), end="\n\n")


if __name__ == "__main__":
    app()
