"""Start the backend without its start-up noise, and with its errors."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

from kerasfound.errors import NotInstalledError, UserError

BACKENDS = ("tensorflow", "jax", "torch")


def start(backend: str | None = None, device: str = "auto") -> None:
    """Import Keras on `backend`, by default the one that `KERAS_BACKEND` names, or TensorFlow.

    With `device` "cpu" it sees no GPU, with "gpu" it must see one.
    """
    backend = backend or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise UserError(f"the backend must be {', '.join(BACKENDS)}, got {backend!r}; see --backend and KERAS_BACKEND.")
    os.environ["KERAS_BACKEND"] = backend
    # what C++ code logs later on, as when a graph is optimized; what is wrong raises an exception as well
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device == "cpu":
        os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    try:
        with ending_on_ctrl_c(), quiet_unless_failing():
            import keras

            from kerasfound.training.run import devices

            keras.utils.set_random_seed(0)  # imports TensorFlow where it is installed, whatever the backend
            found = devices()  # looks for a GPU, and says so
    except ImportError as error:
        if error.name not in ("keras", backend):
            raise
        missing = "Keras" if error.name == "keras" else f"the Keras backend {backend}"
        packages = 'torch "kerasfound[keras]"' if backend == "torch" else f'"kerasfound[{backend}]"'
        raise NotInstalledError(missing, f"pip install {packages}") from error
    if device == "gpu" and all(name.startswith("cpu") for name in found):
        raise UserError(
            f"--device gpu: {backend} sees no GPU, only {', '.join(found)}; `kerasfound doctor` tells more."
        )


@contextlib.contextmanager
def ending_on_ctrl_c() -> Iterator[None]:
    """End the process on Ctrl-C: as an exception it could get lost in an import that forgives errors."""
    told = os.dup(2)

    def end(*_: object) -> None:
        os.write(told, b"kerasfound: stopped.\n")
        os._exit(130)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(told)


@contextlib.contextmanager
def quiet_unless_failing() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, where C++ writes too; show it if an exception passes."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
