"""What all requests of one server process share: models, limits, the API key, counters and switches."""

from collections.abc import Callable, Sequence
from importlib import metadata

from . import metrics
from .client_error import ClientError
from .http import Request
from .limits import Limits
from .model_repository import Repository
from .routing import Route

BODY_MEMORY_BYTES = 1 << 29
"""Memory for the bodies of all requests in flight together."""


class ServerState:
    """The state that every request handler receives.

    Args:
        repository: the models.
        limits: bounds on requests.
        routes: every route of the server.
        api_key: the key that clients must send; None allows every client.
        access_log: whether each response is logged on stdout, as one line of JSON.
    """

    def __init__(
        self,
        repository: Repository,
        limits: Limits,
        routes: Sequence[Route],
        api_key: str | None = None,
        access_log: bool = False,
    ):
        self.repository = repository
        self.limits = limits
        self.routes = routes
        self.version = metadata.version("kerasfound")
        self.api_key = api_key and api_key.encode()
        self.access_log = self.access_log_required = access_log
        self.draining = False
        """True while the server stops: in-flight requests complete, readiness checks fail."""
        self.total_body_bytes = 0
        """The size of the bodies of all requests in flight."""
        self.max_total_body_bytes = max(BODY_MEMORY_BYTES, 2 * limits.max_body_bytes)
        self.count_in_flight: Callable[[], int] = lambda: 2
        """Returns the number of requests in flight; the HTTP server replaces it."""

    def count_queued(self) -> None:
        """Update the queue sizes that `/metrics` shows."""
        models = self.repository.models.items()
        metrics.set_queue_sizes(
            {name: sum(model.statistics.queued for model in served.versions.values()) for name, served in models}
        )

    def reserve_body(self, request: Request, size: int) -> None:
        """Count `size` bytes of a body that arrived.

        Raises:
            ClientError: 429 if the bodies of all requests in flight take too much memory.
        """
        request.reserved += size
        self.total_body_bytes += size
        if self.total_body_bytes > self.max_total_body_bytes:
            reason = (
                f"the request bodies in flight exceed {self.max_total_body_bytes >> 20} MiB, the limit of this server"
            )
            raise ClientError(429, f"{reason}; try again", (("retry-after", "1"),))
