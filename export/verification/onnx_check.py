"""Is a file a valid ONNX model that ONNX Runtime reads? Asked in a process of its own: the checker crashes on some."""

import subprocess
import sys
from pathlib import Path

SECONDS = 600


def fault(path: Path) -> str | None:
    """What is wrong with an ONNX file, in one line; `None` if nothing is."""
    command = [sys.executable, "-m", "kerasfound.export.verification.onnx_check", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"the ONNX checker did not end within {SECONDS} s"
    if done.returncode == 0:
        return None
    return done.stdout.strip() or f"the ONNX checker crashed (exit status {done.returncode})"


def main(path: str) -> str | None:
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnx.checker.check_model(path, full_check=True)
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnx or onnxruntime, which share no base class
        return " ".join(str(error).split()) or type(error).__name__
    return None


if __name__ == "__main__":
    found = main(sys.argv[1])
    print(found or "")
    sys.exit(1 if found else 0)
