"""What the recipes reach over seeds, beside a reference in turns where one is written, and how their seconds compare.

    python benchmarks/recipes.py mini-transformer --seeds 3     # TFDS_DATA_DIR points at the data; needs torch
    python benchmarks/recipes.py tabular-mlp FOLDER             # with the CSV files of adult and california

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
    """One run of a recipe: seconds of fitting, the last epoch's row, test metrics, largest memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "kerasfound", "run", name, "--seed", str(seed), "--out", str(out), *flags]
        subprocess.run(command, check=True, stdout=sys.stderr)
        results = json.loads((out / "results.json").read_text())
        *_, last = (json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines())
    return {"seconds": results["fit_seconds"], "last": last, "test": results["test"]}


def reference(name: str, seed: int) -> dict:
    finished = subprocess.run(
        [sys.executable, ROOT / "references" / f"{name}.py", "--seed", str(seed)],
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
    return f"| {' | '.join(cells)} |"


def head(measures: list[str]) -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{machine}\n\n| | {' | '.join(measures)} | s |\n|---|{'---|' * (len(measures) + 1)}"


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
            found.setdefault(f"mini_transformer, {backend}", []).append(scores | {"seconds": run["seconds"]})
    print(head(measures))
    for name, runs in found.items():
        # both halves are of one size
        print(row(name, [run | {"both": (run["validation"] + run["test"]) / 2} for run in runs], measures))
    theirs = found["nanoGPT, torch eager"]
    for name, runs in found.items():
        ratios = [run["seconds"] / other["seconds"] for run, other in zip(runs, theirs, strict=True)]
        print(f"\n{name}: {statistics.median(ratios):.2f} times nanoGPT's seconds", end="")
    print()


@app.command
def tabular_mlp(folder: Path, seeds: int = 3, backend: str = "tensorflow") -> None:
    """Test metrics of adult and california."""
    for data, measures in (("adult", ["accuracy", "auc"]), ("california", ["rmse"])):
        flags = ["--data", data, "--data-dir", str(folder), "--backend", backend]
        runs = [recipe("tabular_mlp", seed, *flags) for seed in range(seeds)]
        print(head(measures))
        print(row(data, [run["test"] | {"seconds": run["seconds"]} for run in runs], measures), end="\n\n")


if __name__ == "__main__":
    app()
