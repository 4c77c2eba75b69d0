"""What a client may ask of the server, and of its patience."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds on size and time; whatever is beyond one of them is refused with a 4xx, never waited for."""

    body: int = 16 << 20
    """Bytes of a request, and of what it decompresses to."""
    seconds: float = 30.0
    """From the first byte of a request to its answer."""
    batch_rows: int = 32
    """Rows that requests may fill together; one request may have more, and is then asked by itself."""
    queue: int = 512
    """Requests that wait for one model."""
    connections: int = 2000
    text: int = 2000
    """Characters that one request may have written."""
