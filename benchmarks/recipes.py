"""Metrics and training time of the recipes over several seeds, compared with references.

    python benchmarks/recipes.py mnist-cnn --seeds 3            # TFDS_DATA_DIR points at the data
    python benchmarks/recipes.py own-images FOLDER              # FOLDER has a folder of photographs for each class
    python benchmarks/recipes.py imdb-lstm
    python benchmarks/recipes.py own-texts FOLDER               # FOLDER has labelled texts as people have them
    python benchmarks/recipes.py tabular-mlp FOLDER             # FOLDER has the CSV files; needs xgboost, lightgbm,
                                                                # catboost and pandas
    python benchmarks/recipes.py own-data FOLDER                # FOLDER has tables as people have them
    python benchmarks/recipes.py mini-transformer               # needs torch
    python benchmarks/recipes.py built-in                       # every built-in data set and every preset, no network

Every training runs in a new process. The recipes run with their presets; this script tunes nothing.
"""

import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from runpy import run_path

import cyclopts

ROOT = Path(__file__).parent
app = cyclopts.App()


def train_recipe(name: str, seed: int, *flags: str) -> dict:
    """Train a recipe once: training seconds, last epoch, test metrics, memory and CPU time of the process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "kerasfound", "run", name, "--seed", str(seed), "--out", str(out), *flags]
        peak, cpu_seconds = resources_of(command)
        results = json.loads((out / "results.json").read_text())
        *_, last = (json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines())
    return {"seconds": results["fit_seconds"], "last": last, "test": results["test"], "GB": peak, "CPU s": cpu_seconds}


def resources_of(command: list[str]) -> tuple[float, float]:
    """Run a command and return its peak memory in GB and its CPU seconds."""
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return usage.ru_maxrss / 1e6, usage.ru_utime + usage.ru_stime  # Linux counts memory in KB


def run_reference(name: str, seed: int) -> dict:
    (result,) = run_references(name, "--seed", str(seed))
    return result


def run_references(name: str, *arguments: str) -> list[dict]:
    """Run a script of `references/`, which prints one JSON object for each model."""
    command = [sys.executable, ROOT / "references" / f"{name}.py", *arguments]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in finished.stdout.splitlines()]


def table_row(name: str, runs: list[dict], measures: list[str]) -> str:
    cells = [name]
    for measure in measures:
        values = [run[measure] for run in runs]
        cells.append(f"{statistics.mean(values):.4f} ({' '.join(f'{value:.4f}' for value in values)})")
    cells.append(" ".join(f"{run['seconds']:.0f}" for run in runs))
    cells.append(f"{max(run['GB'] for run in runs):.1f}" if "GB" in runs[0] else "")
    return f"| {' | '.join(cells)} |"


def table_head(measures: list[str], seconds: str = "s") -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{machine}\n\n| | {' | '.join(measures)} | {seconds} | GB |\n|---|{'---|' * (len(measures) + 2)}"


def train_preset(name: str, preset: str, seeds: int, *flags: str) -> list[dict]:
    selected = [] if preset == "default" else ["--preset", preset]
    runs = [train_recipe(name, seed, *selected, *flags) for seed in range(seeds)]
    return [run | run["test"] for run in runs]


def print_table(runs_by_model: dict[str, list[dict]], measures: list[str], reference: str) -> None:
    """Print the table, and the median seconds of each model divided by those of the reference."""
    print(table_head(measures))
    for name, runs in runs_by_model.items():
        print(table_row(name, runs, measures))
    reference_seconds = statistics.median(run["seconds"] for run in runs_by_model[reference])
    for name, runs in runs_by_model.items():
        if name != reference:
            seconds = statistics.median(run["seconds"] for run in runs)
            print(f"\n{name}: {seconds / reference_seconds:.2f} times the seconds of {reference}")


@app.command
def mini_transformer(seeds: int = 3, backends: list[str] | None = None) -> None:
    """Cross-entropy in nats per character on validation, on test, and on both together (nanoGPT's last 10%)."""
    measures = ["validation", "test", "both"]
    runs_by_model: dict[str, list[dict]] = {}
    for seed in range(seeds):
        runs_by_model.setdefault("nanoGPT, torch eager", []).append(run_reference("nanogpt", seed))
        for backend in backends or ["tensorflow", "jax"]:
            run = train_recipe("mini_transformer", seed, "--backend", backend)
            scores = {"validation": run["last"]["val_loss"], "test": run["test"]["cross_entropy"]}
            runs_by_model.setdefault(f"mini_transformer, {backend}", []).append(run | scores)
    for runs in runs_by_model.values():
        for run in runs:
            run["both"] = (run["validation"] + run["test"]) / 2  # both splits have the same size
    print_table(runs_by_model, measures, "nanoGPT, torch eager")


@app.command
def mnist_cnn(seeds: int = 3, presets: list[str] | None = None) -> None:
    """Test accuracy of each preset, compared with keras.io's convnet."""
    epochs = run_reference("mnist_convnet", 0)["epochs"]
    runs_by_model = {f"keras.io's convnet, {len(epochs)} epochs": epochs[-1:]}
    runs_by_model["the same, first epoch above 99.0%"] = [next(epoch for epoch in epochs if epoch["accuracy"] >= 0.99)]
    for preset in presets or ["fast", "default", "best"]:
        runs_by_model[f"mnist_cnn, {preset}"] = train_preset("mnist_cnn", preset, seeds)
    print_table(runs_by_model, ["accuracy"], "the same, first epoch above 99.0%")


@app.command
def own_images(folder: Path, seeds: int = 3, presets: list[str] | None = None) -> None:
    """Test accuracy of each preset on a folder of images, such as photographs of sign language."""
    print(table_head(["accuracy"]))
    for preset in presets or ["fast", "default", "best"]:
        flags = ["--data", str(folder), *(["--preset", preset] if preset != "default" else [])]
        runs = [train_recipe("mnist_cnn", seed, *flags) for seed in range(seeds)]
        print(table_row(f"mnist_cnn, {preset}", [run | run["test"] for run in runs], ["accuracy"]), flush=True)


@app.command
def imdb_lstm(seeds: int = 3, presets: list[str] | None = None) -> None:
    """Test accuracy of the LSTM with and without n-grams, compared with keras.io's BiLSTM and NB-SVM."""
    runs_by_model = {"keras.io's BiLSTM": [run_reference("bilstm", 0)], "NB-SVM": [run_reference("nbsvm", 0)]}
    for preset in presets or ["default", "best"]:
        runs_by_model[f"imdb_lstm, {preset}"] = train_preset("imdb_lstm", preset, seeds)
    print_table(runs_by_model, ["accuracy"], "keras.io's BiLSTM")


@app.command
def tabular_mlp(folder: Path, seeds: int = 3, backend: str = "tensorflow") -> None:
    """Test metrics on adult and california, compared with boosted trees and scikit-learn's MLP."""
    for data, measures in (("adult", ["accuracy", "auc"]), ("california", ["rmse"])):
        runs_by_model = {result.pop("model"): [result] for result in run_references("boosted_trees", data, str(folder))}
        flags = ["--data", data, "--data-dir", str(folder), "--backend", backend]
        runs = [train_recipe("tabular_mlp", seed, *flags) for seed in range(seeds)]
        runs_by_model["tabular_mlp"] = [run | run["test"] for run in runs]
        print(f"{data}\n")
        print_table(runs_by_model, measures, "CatBoost")


OWN_TABLES = (
    ("titanic.csv", "survived", ("alive",)),  # the same as the target, in words
    ("telco_churn.csv", "Churn", ()),
    ("bank_churn.csv", "Exited", ()),
    ("ames_housing.csv", "SalePrice", ()),
    ("bike_sharing_hour.csv", "cnt", ()),
    ("bike_sharing_hour.csv", "cnt", ("casual", "registered")),
    ("winequality_red_semicolon.csv", "quality", ()),
    ("german_credit_no_header.csv", "column_21", ()),
    ("horse_colic_no_header.csv", "column_23", ()),
    ("breast_cancer", None, ()),
    ("diabetes", None, ()),
    ("wine", None, ()),
)
"""Tables of a folder or built in, their targets, and columns to leave out."""


@app.command
def own_data(folder: Path, seeds: int = 3, tables: list[str] | None = None) -> None:
    """Test errors on other people's tables: 1 - AUC, the share of wrong classes if there are more than two, or RMSE.

    Args:
        folder: the folder with the files of `OWN_TABLES`.
        seeds: number of seeds. A seed also determines the split of a file.
        tables: the tables to train on, by their first letters. Defaults to all.
    """
    measures = ["HistGradientBoosting", "linear", "tabular_mlp", "tabular_mlp / HistGradientBoosting"]
    print(table_head(measures, seconds="CPU s"))
    for file, target, without in OWN_TABLES:
        if tables is None or file.startswith(tuple(tables)):
            print(own_table_row(folder / file if target else Path(file), target, without, seeds), flush=True)


def own_table_row(file: Path, target: str | None, without: tuple[str, ...], seeds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        data = str(without_columns(file, without, Path(folder)) if without else file)
        flags = ["--target", target] if target else []
        errors: dict[str, list[float]] = {"HistGradientBoosting": [], "linear": [], "tabular_mlp": []}
        runs = []
        for seed in range(seeds):
            for result in run_references("own_tables", data, *flags, "--seed", str(seed)):
                errors[result["model"]].append(test_error(result))
            runs.append(train_recipe("tabular_mlp", seed, "--data", data, *flags))
            errors["tabular_mlp"].append(test_error(runs[-1]["test"]))
    means = {name: statistics.mean(values) for name, values in errors.items()}
    cells = [f"{means[name]:.5g} ({' '.join(f'{value:.4g}' for value in values)})" for name, values in errors.items()]
    name = file.stem + (f" without {' and '.join(without)}" if without else "")
    reference = means["HistGradientBoosting"]
    ratio = f"{means['tabular_mlp'] / reference:.3f}" if reference else ""
    seconds = " ".join(f"{run['CPU s']:.0f}" for run in runs)
    return f"| {name} | {' | '.join(cells)} | {ratio} | {seconds} | {max(run['GB'] for run in runs):.1f} |"


def test_error(metrics: dict) -> float:
    if "rmse" in metrics:
        return metrics["rmse"]
    return 1 - metrics["auc" if "auc" in metrics else "accuracy"]


def without_columns(file: Path, names: tuple[str, ...], folder: Path) -> Path:
    """Write a copy of a CSV file without some of its columns."""
    with file.open(newline="") as source, (folder / file.name).open("w", newline="") as copy:
        rows = csv.DictReader(source)
        writer = csv.DictWriter(
            copy, [name for name in rows.fieldnames or () if name not in names], extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows(rows)
    return folder / file.name


TEXTS = {"sms_spam.tsv": "", "airline_tweets.csv": "--text text --target airline_sentiment"}
"""Files of labelled texts and their flags."""


@app.command
def own_texts(folder: Path, seeds: int = 3, presets: list[str] | None = None) -> None:
    """Test accuracy on labelled texts as people have them, compared with TF-IDF and a linear support vector machine.

    Args:
        folder: has the files of `TEXTS`.
        seeds: number of seeds.
        presets: of imdb_lstm. Defaults to the default settings and `best`.
    """
    print(table_head(["accuracy"]))
    for file, flags in TEXTS.items():
        (reference,) = run_references("own_texts", str(folder / file), *flags.split())
        print(table_row(f"{file}, {reference['model']}", [reference], ["accuracy"]), flush=True)
        for preset in presets or ["default", "best"]:
            runs = train_preset("imdb_lstm", preset, seeds, "--data", str(folder / file), *flags.split())
            print(table_row(f"{file}, imdb_lstm, {preset}", runs, ["accuracy"]), flush=True)


@app.command
def built_in(seeds: int = 3) -> None:
    """What tests/recipes/test_floors.py requires of each built-in data set and each preset, and what is reached."""
    floors = run_path(str(ROOT.parent / "tests/recipes/test_floors.py"))["FLOORS"]
    print(f"{table_head(['required', 'metric', 'reached'])}")
    for (recipe, flags), floor in floors.items():
        runs = [train_recipe(recipe, seed, *flags.split()) for seed in range(seeds)]
        reached = [run | {"reached": run["test"][floor.metric]} for run in runs]
        print(table_row(f"{recipe} {flags} | {floor.value} | {floor.metric}", reached, ["reached"]), flush=True)


if __name__ == "__main__":
    app()
