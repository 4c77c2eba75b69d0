"""Memory that an export no longer needs goes back to the system."""

import contextlib
import ctypes
import gc

RETURN_MEMORY = {"TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1"}
"""Environment variables to set before TensorFlow's first tensor. By default TensorFlow keeps a pool for the outputs of
all layers, which Keras keeps until a call ends: 0.7 GB for 5 images and ResNet50. Training uses the pool again in
every step and runs without this setting."""


def release_memory() -> None:
    """Return freed memory to the system. glibc keeps it otherwise: gigabytes, after the graphs of a large model."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
