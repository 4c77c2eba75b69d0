"""Peak memory and time of a bundle: the export and its child processes, summed at each moment.

    python benchmarks/export_memory.py                                  # ResNet50 and MobileNetV2
    python benchmarks/export_memory.py --models ResNet50 --source OLD   # a folder with another `kerasfound` package

Each export runs in a new process. Every 20 ms the resident memory of that process and of its children is added, and the
highest sum is the peak; libraries that both have loaded count twice. CPU seconds include the children.
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cyclopts
import psutil

INTERVAL = 0.02
EXPORT = """
import sys
import keras
from kerasfound import export
model = getattr(keras.applications, sys.argv[1])(weights=None)
export.bundle(model, sys.argv[2], sys.argv[1])
"""


def resident_bytes(process: psutil.Process) -> int:
    """Of a process and its children; processes that have just ended count 0."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total


def measure(name: str, source: Path) -> tuple[int, float, float]:
    """The peak in bytes, the seconds and the CPU seconds of one export."""
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(source),
    }
    peak, started, before = 0, time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        process = psutil.Popen([sys.executable, "-c", EXPORT, name, folder], env=environment)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, resident_bytes(process))
            time.sleep(INTERVAL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return peak, time.perf_counter() - started, cpu


def main(models: list[str] = ["ResNet50", "MobileNetV2"], source: Path = Path()) -> None:  # noqa: B006
    """Print a row for each model of `keras.applications`.

    Args:
        models: names of functions that build a model.
        source: a folder that Python searches for the package first.
    """
    for name in models:
        peak, seconds, cpu = measure(name, source.resolve())
        print(f"{name:<16}{peak / 2**30:6.2f} GiB{seconds:8.1f} s{cpu:8.1f} CPU s", flush=True)


if __name__ == "__main__":
    cyclopts.run(main)
