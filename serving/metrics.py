"""Metrics: for Prometheus at `/metrics`, and for each model the statistics of Triton's protocol."""

import functools
import os
import time
from collections import defaultdict

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)

REQUESTS = Counter("kerasfound_requests", "Responses, by call, model and HTTP status.", ["call", "model", "status"])
LATENCY = Histogram("kerasfound_request_seconds", "Time from request to response.", ["call", "model"], buckets=SECONDS)
BATCHES = Histogram("kerasfound_batch_rows", "Rows in one call of the model.", ["model"], buckets=ROWS)
INFERENCE = Histogram("kerasfound_inference_seconds", "Time of one batch in ONNX Runtime.", ["model"], buckets=SECONDS)
QUEUE = Gauge("kerasfound_queue_requests", "Requests in the queue of a model.", ["model"], multiprocess_mode="livesum")
VERSIONS = Gauge(
    "kerasfound_model_served", "1 for each version that is served.", ["model", "version"], multiprocess_mode="livemax"
)


class Duration:
    """A number of events and their total time."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def add(self, count: int, seconds: float) -> None:
        self.count += count
        self.seconds += seconds


class Statistics:
    """The counters of one version of a model."""

    def __init__(self, model: str):
        self.queued = 0
        """Requests in the queue now."""
        self.success, self.fail, self.queue, self.inference = Duration(), Duration(), Duration(), Duration()
        self.rows = 0
        self.batches_by_rows: dict[int, Duration] = defaultdict(Duration)
        self.last_batch_time = 0.0
        """Seconds since 1970."""
        self._rows_histogram = BATCHES.labels(model)
        self._seconds_histogram = INFERENCE.labels(model)

    def add_batch(self, rows: int, requests: int, seconds: float) -> None:
        """Count one call of the model."""
        self.rows += rows
        self.last_batch_time = time.time()
        self.inference.add(requests, seconds)
        self.batches_by_rows[rows].add(1, seconds)
        self._rows_histogram.observe(rows)
        self._seconds_histogram.observe(seconds)


@functools.lru_cache(maxsize=4096)
def _response_metrics(call: str, model: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(call, model, status), LATENCY.labels(call, model)


def count_response(call: str, model: str, status: int, seconds: float) -> None:
    """Count one response. `call` and `model` are names known to the server or empty, never text from the client."""
    requests, latency = _response_metrics(call, model, status)
    requests.inc()
    latency.observe(seconds)


def set_queue_sizes(sizes: dict[str, int]) -> None:
    """Record the number of queued requests of each model."""
    for model, size in sizes.items():
        QUEUE.labels(model).set(size)


def exposition() -> bytes:
    """Return all metrics in Prometheus's text format, summed over the worker processes."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
