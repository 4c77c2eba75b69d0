"""Peak memory of a whole run on folders of 10,000 and 100,000 images: it does not grow with their number.

    python benchmarks/image_memory.py

The images have 64 x 64 pixels in color: scikit-learn's digits in random colors at random places. A run decodes all
files, computes the checksum, trains one epoch of a small network, evaluates on the test split and writes the report.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import cyclopts
import numpy as np
from PIL import Image

import kerasfound as kf
from recipes import peak_memory

SIDE, DIGIT = 64, 32
app = cyclopts.App()


def write_images(folder: Path, count: int) -> None:
    """Write JPEG files, in a folder for each digit."""
    digits = kf.data.load("digits").train
    rng = np.random.default_rng(0)
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
    for i in range(count):
        row = i % len(digits.y)
        drawn = Image.fromarray(digits.x[row, ..., 0]).resize((DIGIT, DIGIT))
        canvas = Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(0, 100, 3).tolist()))
        color = Image.new("RGB", drawn.size, tuple(rng.integers(156, 256, 3).tolist()))
        canvas.paste(color, tuple(rng.integers(0, SIDE - DIGIT, 2).tolist()), drawn)
        canvas.save(folder / str(digits.y[row]) / f"{i}.jpg")


@app.default
def measure(counts: tuple[int, ...] = (10_000, 100_000)) -> None:
    """Print the peak memory and the seconds of a run for each number of images."""
    print("| images | pixels, GB | peak memory, GB | s |\n|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            write_images(Path(place) / "images", count)
            os.environ["KERASFOUND_CACHE_DIR"] = f"{place}/cache"
            flags = ["--epochs", "1", "--width", "4", "--blocks", "0", "--strided", "--out", f"{place}/run"]
            started = time.perf_counter()
            peak = peak_memory(
                [sys.executable, "-m", "kerasfound", "run", "mnist_cnn", "--data", f"{place}/images", *flags]
            )
            seconds = time.perf_counter() - started
            print(f"| {count:,} | {count * SIDE * SIDE * 3 / 1e9:.2f} | {peak:.2f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    app()
