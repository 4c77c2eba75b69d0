"""Bounds on the requests of clients."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds on size and time. A request beyond one of them gets a 4xx or 5xx response; it never blocks the server."""

    max_body_bytes: int = 16 << 20
    """The largest request body, before and after decompression."""
    timeout_seconds: float = 30.0
    """For receiving the body of a request; then again for computing its response."""
    max_batch_rows: int = 32
    """Rows in one call of a model. A request with more rows is split into several calls."""
    max_queue: int = 512
    """Requests in the queue of one model."""
    max_connections: int = 2000
    max_tokens: int = 2000
    """Characters that one text generation request may generate."""

    @property
    def max_values(self) -> int:
        """Values in one input or output tensor: as many as a body of four bytes per value can hold."""
        return self.max_body_bytes // 4
