"""Memory that an export no longer needs goes back to the system."""

import contextlib
import ctypes
import gc


def release_memory() -> None:
    """Return freed memory to the system. glibc keeps it otherwise: gigabytes, after the graphs of a large model."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
