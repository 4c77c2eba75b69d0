"""Peak memory and time of a bundle: the export and its child processes, summed at each moment. Needs Linux.

    python benchmarks/export_memory.py                                  # ResNet50 and MobileNetV2, both ways
    python benchmarks/export_memory.py --models ResNet50 --source OLD   # a folder with another `kerasfound` package

"script" calls `kerasfound.export.bundle` in the process that built the model; "command" is `kerasfound export` of a
`.keras` file. Every 0.2 s the memory of that process and of its children is added, and the highest sum is the peak.
Memory of their own is summed; of the libraries, which all of them have loaded, the largest share counts once. (The
proportional share of the system counts less while other programs have the same libraries loaded.) CPU seconds include
the children.
"""

import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import cyclopts
import psutil

INTERVAL = 0.2
"""Seconds. Each look at a process of TensorFlow takes it some milliseconds."""
BUILD = "import keras, sys; model = getattr(keras.applications, sys.argv[1])(weights=None); "
SCRIPT = BUILD + "from kerasfound import export; export.bundle(model, sys.argv[2], sys.argv[1])"
SAVE = BUILD + "model.save(sys.argv[2])"
COMMAND = "import sys; from kerasfound.cli import main; main(['export', sys.argv[1], '--to', sys.argv[2]])"

Way = Literal["script", "command"]


def memory(process: psutil.Process) -> tuple[int, int]:
    """The bytes of a process's own memory, and of the files that it has mapped; zeros if it has ended."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0, 0
    kilobytes = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)}
    own = kilobytes.get("RssAnon", 0) + kilobytes.get("RssShmem", 0)
    return 1024 * own, 1024 * kilobytes.get("RssFile", 0)


def total_memory(process: psutil.Process) -> int:
    """Bytes of a process and its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        own, files = zip(*map(memory, [process, *process.children(recursive=True)]), strict=True)
        return sum(own) + max(files)
    return 0


def measure(name: str, way: Way, source: Path) -> tuple[int, float, float]:
    """The peak in bytes, the seconds and the CPU seconds of one export."""
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(source),
    }
    with tempfile.TemporaryDirectory() as folder:
        arguments = [SCRIPT, name, folder]
        if way == "command":
            file = Path(folder) / f"{name}.keras"
            subprocess.run([sys.executable, "-c", SAVE, name, file], env=environment, check=True)
            arguments = [COMMAND, str(file), folder]
        peak, started, before = 0, time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = psutil.Popen([sys.executable, "-c", *arguments], env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            peak = max(peak, total_memory(process))
            time.sleep(INTERVAL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return peak, time.perf_counter() - started, cpu


def main(
    models: list[str] = ["ResNet50", "MobileNetV2"],  # noqa: B006
    ways: list[Way] = ["script", "command"],  # noqa: B006
    source: Path = Path(),
) -> None:
    """Print a row for each model of `keras.applications` and each way.

    Args:
        models: names of functions that build a model.
        ways: from a Python script, or by the command line.
        source: a folder that Python searches for the package first.
    """
    for name in models:
        for way in ways:
            peak, seconds, cpu = measure(name, way, source.resolve())
            print(f"{name:<16}{way:<10}{peak / 1e9:6.2f} GB{seconds:8.1f} s{cpu:8.1f} CPU s", flush=True)


if __name__ == "__main__":
    cyclopts.run(main)
