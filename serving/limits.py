"""What a client may ask of the server, and of its patience."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds on size and time; whatever is beyond one of them is refused with a 4xx, never waited for."""

    body: int = 16 << 20
    """Bytes of a request, and of what it decompresses to."""
    seconds: float = 30.0
    """For the body of a request to come, and once it is there for its answer."""
    batch_rows: int = 32
    """Rows that are asked at once; a request with more is asked in pieces."""
    queue: int = 512
    """Requests that wait for one model."""
    connections: int = 2000
    text: int = 2000
    """Characters that one request may have written."""

    @property
    def values(self) -> int:
        """Of one tensor, asked or answered: as many as a body holds in four bytes each, however they are written."""
        return self.body // 4
