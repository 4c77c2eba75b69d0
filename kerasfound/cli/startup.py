"""Import the Keras backend, without its log messages but with its errors."""

import contextlib
import os
import signal
from collections.abc import Iterator

from kerasfound._stderr import stderr_only_on_error
from kerasfound.errors import NotInstalledError, UserError

BACKENDS = ("tensorflow", "jax", "torch")


def start(backend: str | None = None, device: str = "auto") -> None:
    """Import Keras with `backend`. Defaults to the variable KERAS_BACKEND, then to TensorFlow.

    With the `device` "cpu" the backend uses no GPU; with "gpu" it must find one.
    """
    backend = backend or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise UserError(f"the backend must be {', '.join(BACKENDS)}, got {backend!r}; see --backend and KERAS_BACKEND.")
    os.environ["KERAS_BACKEND"] = backend
    if device == "cpu":
        os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    try:
        with exit_on_ctrl_c(), stderr_only_on_error():
            import keras

            from kerasfound.training.run import devices

            keras.utils.set_random_seed(0)  # imports TensorFlow if it is installed, with any backend
            available = devices()  # the first search for a GPU logs messages
    except ImportError as error:
        if error.name not in ("keras", backend):
            raise
        missing = "Keras" if error.name == "keras" else f"the Keras backend {backend}"
        packages = 'torch "kerasfound[keras]"' if backend == "torch" else f'"kerasfound[{backend}]"'
        raise NotInstalledError(missing, f"pip install {packages}") from error
    if device == "gpu" and all(name.startswith("cpu") for name in available):
        raise UserError(
            f"--device gpu: {backend} finds no GPU, only {', '.join(available)}; `kerasfound doctor` shows details."
        )


def start_to_export() -> None:
    """Import TensorFlow, which writes the SavedModel also for models of other backends, and let it return memory."""
    from kerasfound.export.memory import RETURN_MEMORY

    os.environ |= RETURN_MEMORY
    start("tensorflow")


def start_without_training() -> None:
    """Import Keras with its NumPy backend: enough to show the blocks, and imported in a fraction of the time."""
    os.environ["KERAS_BACKEND"] = "numpy"
    try:
        with exit_on_ctrl_c():
            import keras  # noqa: F401
    except ImportError as error:
        raise NotInstalledError("Keras", 'pip install "kerasfound[tensorflow]"') from error


@contextlib.contextmanager
def exit_on_ctrl_c() -> Iterator[None]:
    """Exit the process on Ctrl-C. An exception could be lost in an import that catches errors."""
    stderr = os.dup(2)

    def exit_process(*_: object) -> None:
        os.write(stderr, b"kerasfound: stopped.\n")
        os._exit(130)

    previous_handler = signal.signal(signal.SIGINT, exit_process)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous_handler)
        os.close(stderr)
