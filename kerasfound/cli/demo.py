"""`kerasfound demo`: the whole line on the built-in digits, from data to answers over HTTP."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.recipes import mnist_cnn

from . import output

SHOWN = 10
MODELS = Path("models")


def play() -> None:
    """Train, export, verify, serve, ask, and say what to type next."""
    started = time.perf_counter()
    _say("1. Train the MNIST network on the built-in digits (8 x 8, no network needed)")
    run = kf.training.execute(mnist_cnn, mnist_cnn.Config(data="digits", shift=1))
    output.show_run(run)

    _say("2. Export the trained model, and prove that both files answer as it does")
    bundle = kf.export.bundle(run, MODELS, name="digits_cnn")
    output.show_verification(bundle, kf.bundle.manifest.read(bundle / "manifest.json").verification)

    _say("3. Serve the bundle, without TensorFlow, and ask it over HTTP")
    with _server() as address:
        samples = run.samples
        url = f"{address}/v1/models/digits_cnn:predict"
        answers = np.array(_post(url, {"instances": samples["x"][:SHOWN].tolist()})["predictions"])
        for truth, answer in zip(samples["y"], answers, strict=False):
            mark = "right" if answer.argmax() == truth else "wrong"
            print(f"  a handwritten {truth}: the server says {answer.argmax()} ({answer.max():.1%}), {mark}")

    _say(f"Done in {time.perf_counter() - started:.0f} s. What you might type next, after `. .venv/bin/activate`:")
    print("  kerasfound run mnist_cnn                  # full MNIST: about 99.4% in a minute or two")
    print(f"  kerasfound verify {bundle}     # the proof again")
    print(f"  kerasfound serve {MODELS}                   # and ask it yourself")
    print(f"The report of this run: {run.report_file}")


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """A server in a process of its own, on a free port; its address."""
    command = [sys.executable, "-m", "kerasfound", "serve", str(MODELS), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline().strip()  # type: ignore[union-attr]
            if not line:
                raise UserError("the server did not start; the line above says why.")
            print(line, flush=True)
            yield line.rpartition(" ")[2]
        finally:
            server.terminate()
    print("server stopped", flush=True)


def _post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def _say(line: str) -> None:
    print(f"\n{line}", flush=True)
