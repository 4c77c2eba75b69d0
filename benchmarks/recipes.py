"""What the recipes reach over seeds, beside a reference in turns where one is written, and how their seconds compare.

    python benchmarks/recipes.py mnist-cnn --seeds 3            # TFDS_DATA_DIR points at the data
    python benchmarks/recipes.py imdb-lstm
    python benchmarks/recipes.py tabular-mlp FOLDER             # with the CSV files; needs xgboost, lightgbm,
                                                                # catboost and pandas
    python benchmarks/recipes.py mini-transformer               # needs torch

Every training is a process of its own. Nothing is chosen here: the recipes run with their presets as they are.
"""

import json
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


def reference(name: str, seed: int) -> dict:
    (found,) = references(name, "--seed", str(seed))
    return found


def references(name: str, *arguments: str) -> list[dict]:
    command = [sys.executable, ROOT / "references" / f"{name}.py", *arguments]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in finished.stdout.splitlines()]


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


def runs_of(name: str, preset: str, seeds: int) -> list[dict]:
    flags = [] if preset == "default" else ["--preset", preset]
    runs = [recipe(name, seed, *flags) for seed in range(seeds)]
    return [run | run["test"] for run in runs]


def show(found: dict[str, list[dict]], measures: list[str], reference: str) -> None:
    """The table, and the median seconds of all beside those of the reference."""
    print(head(measures))
    for name, runs in found.items():
        print(row(name, runs, measures))
    theirs = statistics.median(run["seconds"] for run in found[reference])
    for name, runs in found.items():
        if name != reference:
            ours = statistics.median(run["seconds"] for run in runs)
            print(f"\n{name}: {ours / theirs:.2f} times the seconds of {reference}")


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
    for runs in found.values():
        for run in runs:
            run["both"] = (run["validation"] + run["test"]) / 2  # both halves are of one size
    show(found, measures, "nanoGPT, torch eager")


@app.command
def mnist_cnn(seeds: int = 3, presets: list[str] | None = None) -> None:
    """Test accuracy of each preset, beside keras.io's convnet."""
    epochs = reference("mnist_convnet", 0)["epochs"]
    found = {f"keras.io's convnet, {len(epochs)} epochs": epochs[-1:]}
    found["the same, first above 99.0%"] = [next(epoch for epoch in epochs if epoch["accuracy"] >= 0.99)]
    for preset in presets or ["fast", "default", "best"]:
        found[f"mnist_cnn, {preset}"] = runs_of("mnist_cnn", preset, seeds)
    show(found, ["accuracy"], "the same, first above 99.0%")


@app.command
def imdb_lstm(seeds: int = 3, presets: list[str] | None = None) -> None:
    """Test accuracy of the LSTM alone and with n-grams, beside keras.io's BiLSTM and NB-SVM."""
    found = {"keras.io's BiLSTM": [reference("bilstm", 0)], "NB-SVM": [reference("nbsvm", 0)]}
    for preset in presets or ["default", "best"]:
        found[f"imdb_lstm, {preset}"] = runs_of("imdb_lstm", preset, seeds)
    show(found, ["accuracy"], "keras.io's BiLSTM")


@app.command
def tabular_mlp(folder: Path, seeds: int = 3, backend: str = "tensorflow") -> None:
    """Test metrics of adult and california, beside boosted trees and scikit-learn's MLP."""
    for data, measures in (("adult", ["accuracy", "auc"]), ("california", ["rmse"])):
        found = {other.pop("model"): [other] for other in references("boosted_trees", data, str(folder))}
        flags = ["--data", data, "--data-dir", str(folder), "--backend", backend]
        runs = [recipe("tabular_mlp", seed, *flags) for seed in range(seeds)]
        found["tabular_mlp"] = [run | run["test"] for run in runs]
        print(f"{data}\n")
        show(found, measures, "CatBoost")


if __name__ == "__main__":
    app()
