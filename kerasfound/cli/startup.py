"""Start the backend without its start-up noise, and with its errors."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from kerasfound.errors import UserError

BACKENDS = ("tensorflow", "jax", "torch")


def start(backend: str | None = None) -> None:
    """Import Keras on `backend`, by default the one that `KERAS_BACKEND` names, or TensorFlow."""
    backend = backend or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise UserError(f"the backend must be {', '.join(BACKENDS)}, got {backend!r}; see --backend and KERAS_BACKEND.")
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # what C++ code logs later on, as when a graph is optimized
    try:
        with quiet_unless_failing():
            import keras

            from kerasfound.training.run import devices

            keras.utils.set_random_seed(0)  # imports TensorFlow where it is installed, whatever the backend
            devices()  # looks for a GPU, and says so
    except ImportError as error:
        if error.name != backend:
            raise
        fix = "pip install torch" if backend == "torch" else f'pip install "kerasfound[{backend}]"'
        raise UserError(f"the Keras backend {backend} is not installed: {fix}") from error


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
