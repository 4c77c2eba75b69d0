"""What is counted: for Prometheus at `/metrics`, and per model for the Open Inference Protocol's statistics."""

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

REQUESTS = Counter("kerasfound_requests", "Answers, by call, model and HTTP status.", ["call", "model", "status"])
LATENCY = Histogram("kerasfound_request_seconds", "From head to answer.", ["call", "model"], buckets=SECONDS)
BATCHES = Histogram("kerasfound_batch_rows", "Rows that were asked at once.", ["model"], buckets=ROWS)
INFERENCE = Histogram("kerasfound_inference_seconds", "A batch in ONNX Runtime.", ["model"], buckets=SECONDS)
QUEUE = Gauge("kerasfound_queue_requests", "Requests that wait for a model.", ["model"], multiprocess_mode="livesum")
VERSIONS = Gauge(
    "kerasfound_model_served", "1 for each version that is served.", ["model", "version"], multiprocess_mode="livemax"
)


class Duration:
    """How often, and for how long in all."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def add(self, count: int, seconds: float) -> None:
        self.count += count
        self.seconds += seconds


class Statistics:
    """Of one version of a model."""

    def __init__(self, model: str):
        self.waiting = 0
        """Requests."""
        self.success, self.fail, self.queue, self.inference = Duration(), Duration(), Duration(), Duration()
        self.rows = 0
        self.batches: dict[int, Duration] = defaultdict(Duration)
        """By rows."""
        self.last = 0.0
        """When it answered last, in seconds since 1970."""
        self._rows = BATCHES.labels(model)
        self._seconds = INFERENCE.labels(model)

    def batch(self, rows: int, requests: int, seconds: float) -> None:
        """One call of the model was made."""
        self.rows += rows
        self.last = time.time()
        self.inference.add(requests, seconds)
        self.batches[rows].add(1, seconds)
        self._rows.observe(rows)
        self._seconds.observe(seconds)


@functools.lru_cache(maxsize=4096)
def _counted(call: str, model: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(call, model, status), LATENCY.labels(call, model)


def answered(call: str, model: str, status: int, seconds: float) -> None:
    """One answer went out; `call` and `model` are names that the server knows, or empty, never a client's own words."""
    requests, latency = _counted(call, model, status)
    requests.inc()
    latency.observe(seconds)


def queued(waiting: dict[str, int]) -> None:
    """How many requests wait for each model now."""
    for model, number in waiting.items():
        QUEUE.labels(model).set(number)


def exposition() -> bytes:
    """Everything in Prometheus's text format; of all worker processes, where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
