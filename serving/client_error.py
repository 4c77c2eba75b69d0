"""The error type whose message goes to the client."""

import msgspec

from kerasfound.errors import one_line

MAX_CHARACTERS = 400


class ClientError(Exception):
    """An invalid or refused request: the HTTP status, and one line that says what to change."""

    def __init__(self, status: int, reason: str, headers: tuple[tuple[str, str], ...] = ()):
        # The reason may quote the request, which may hold line breaks or megabytes.
        line = one_line(reason[: 2 * MAX_CHARACTERS])
        self.reason = line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 3] + "..."
        self.status = status
        self.headers = headers
        super().__init__(self.reason)

    @property
    def body(self) -> bytes:
        """The JSON body of the error response; both protocols use the same."""
        return msgspec.json.encode({"error": self.reason})
