"""MNIST accuracy over seeds and seconds an epoch, per backend, each run in a process of its own.

    TFDS_DATA_DIR=... python benchmarks/mnist.py --seeds 3 --epochs 2 --epochs 4 --backends tensorflow --backends jax

Prints the table of benchmarks/RESULTS.md. Choices are made on the validation column; the test column is only shown.
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


def run(backend: str, epochs: int, seed: int, folder: Path) -> dict:
    """Train once; validation and test accuracy, and the median seconds of an epoch after the first."""
    out = folder / f"{backend}-{epochs}-{seed}"
    flags = ["--backend", backend, "--epochs", str(epochs), "--seed", str(seed), "--out", str(out)]
    subprocess.run([sys.executable, "-m", "kerasfound", "run", "mnist_cnn", *flags], check=True, stdout=sys.stderr)
    history = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    seconds = [row["seconds"] for row in history]
    return {
        "test": json.loads((out / "results.json").read_text())["test"]["accuracy"],
        "validation": history[-1]["val_accuracy"],
        "fit": sum(seconds),
        "epoch": statistics.median(seconds[1:] or seconds),
    }


def main(seeds: int = 3, epochs: list[int] | None = None, backends: list[str] | None = None) -> None:
    """Train every combination and print one row each: mean, and the spread over seeds."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, seeds 0 to {seeds - 1}\n")
    print("| backend | epochs | test accuracy, mean | each seed | validation, mean | fit s, median | s an epoch |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for backend in backends or ["tensorflow", "jax"]:
            for n in epochs or [2, 4]:
                runs = [run(backend, n, seed, Path(folder)) for seed in range(seeds)]
                each = " ".join(f"{r['test']:.4f}" for r in runs)
                test, validation = (statistics.mean(r[key] for r in runs) for key in ("test", "validation"))
                fit, epoch = (statistics.median(r[key] for r in runs) for key in ("fit", "epoch"))
                print(
                    f"| {backend} | {n} | {test:.4f} | {each} | {validation:.4f} | {fit:.1f} | {epoch:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    cyclopts.run(main)
