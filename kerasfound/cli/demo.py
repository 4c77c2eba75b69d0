"""`kerasfound demo`: all steps on the built-in digits, from training to predictions over HTTP."""

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

NUM_REQUESTED = 10
"""Number of test images in the request to the server."""
MODELS = Path("models")


def run_demo() -> None:
    """Train, export, verify, serve, request predictions, and print further commands."""
    started = time.perf_counter()
    _print_step("1. Train the MNIST network on the built-in digits (8 x 8, no network needed)")
    run = kf.training.execute(mnist_cnn, mnist_cnn.Config(data="digits", shift=1))
    output.show_run(run)

    _print_step("2. Export the trained model, and verify that both files have the same outputs")
    bundle = kf.export.bundle(run, MODELS, name="digits_cnn")
    output.show_verification(bundle, kf.bundle.manifest.read(bundle / "manifest.json").verification)

    _print_step("3. Serve the bundle without TensorFlow, and request predictions over HTTP")
    with _server() as address:
        images, digits = run.samples["x"][:NUM_REQUESTED], run.samples["y"][:NUM_REQUESTED]
        response = _post(f"{address}/v1/models/digits_cnn:predict", {"instances": images.tolist()})
        for digit, probabilities in zip(digits, np.array(response["predictions"]), strict=True):
            predicted = probabilities.argmax()
            result = "correct" if predicted == digit else "wrong"
            print(f"  a handwritten {digit}: predicted {predicted} ({probabilities[predicted]:.1%}), {result}")

    _print_step(f"Done in {time.perf_counter() - started:.0f} s. Commands to try next, after `. .venv/bin/activate`:")
    print("  kerasfound run mnist_cnn                  # full MNIST: about 99.4% in a minute or two")
    print(f"  kerasfound verify {bundle}     # the verification again")
    print(f"  kerasfound serve {MODELS}                   # the server, for your own requests")
    print(f"The report of this run: {run.report_file}")


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """Start a server in its own process, on a free port; yield its address."""
    command = [sys.executable, "-m", "kerasfound", "serve", str(MODELS), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline().strip()  # type: ignore[union-attr]
            if not line:
                raise UserError("the server did not start; the line above gives the reason.")
            print(line, flush=True)
            yield line.rpartition(" ")[2]
        finally:
            server.terminate()
    print("server stopped", flush=True)


def _post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def _print_step(text: str) -> None:
    print(f"\n{text}", flush=True)
