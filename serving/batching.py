"""Continuous batching: requests are never delayed to fill a batch; those that arrive during a batch form the next one.

A request that is alone runs at once, in the event loop: for a small model, passing it to a thread costs more than
running it. Otherwise a thread runs a batch while the event loop reads the requests of the next one. If the model is
fast and a core is free, another thread runs the next full batch at the same time. A request with more rows than one
batch allows is split into pieces: it takes no more memory at a time than other requests, and they run in between.
"""

import asyncio
import math
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple, cast

import numpy as np

from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.wording import counted

from .client_error import ClientError
from .limits import Limits
from .metrics import Statistics

INLINE_SECONDS = 0.005
"""A slower call never runs in the event loop: it would block health checks and other models."""
CONCURRENT_SECONDS = 0.1
"""A slower call never runs concurrently with another of the same model: two might need too much memory."""
CORES = os.cpu_count() or 1


class QueuedRequest(NamedTuple):
    """One request in the queue, or one piece of a large request."""

    feeds: Tensors
    rows: int
    sizes: tuple
    """The sizes of every axis except the rows. Only requests with equal sizes can share a batch."""
    result: asyncio.Future
    queued_at: float


class BatchResult(NamedTuple):
    """The outputs of each request of one batch, and the cost of the call."""

    outputs: list[Tensors]
    rows: int
    size: int
    seconds: float


class Batcher:
    """Runs one model in batches.

    Args:
        run: calls the model.
        batchable: whether the model treats each row independently, so that requests can share a batch.
        limits: bounds on rows, queue and outputs.
        threads: where batches run.
        statistics: counters that every batch updates.
    """

    def __init__(
        self,
        run: Callable[[Tensors], Tensors],
        batchable: bool,
        limits: Limits,
        threads: Executor,
        statistics: Statistics,
    ):
        self._run = run
        self.batchable = batchable
        self._limits = limits
        self._threads = threads
        self._statistics = statistics
        self._queue: deque[QueuedRequest] = deque()
        self._queued_rows = 0
        self._deadlines: dict[asyncio.Future, float] = {}
        """The deadline of every request without a result."""
        self._timer_deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._workers: set[asyncio.Task] = set()
        """One task for each batch that runs."""
        self._last_seconds, self._last_size = INLINE_SECONDS, 1
        """Of the last call. Before the first call, the model counts as slow."""

    async def submit(self, feeds: Tensors, timeout_seconds: float, alone: bool) -> Tensors:
        """Return the model's outputs within `timeout_seconds`.

        Raises:
            ClientError: 413 if the outputs would be too large, 429 if the queue is full, 504 after the timeout.
        """
        rows = self._count_rows(feeds)
        if alone and not self._workers and rows <= self._limits.max_batch_rows and self._is_fast(feeds):
            result = self._run_batch([feeds])
            self._record(result)
            return result.outputs[0]
        if self._workers and self._is_full():
            reason = (
                f"this model's queue is full ({counted(self._limits.max_queue, 'request')}, the limit of this server)"
            )
            raise ClientError(429, f"{reason}; try again", (("retry-after", "1"),))
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        try:
            if rows <= self._limits.max_batch_rows:
                return await self._enqueue(feeds, deadline)
            return await self._run_in_pieces(feeds, rows, deadline)
        except TimeoutError:
            raise ClientError(504, f"the model has no result after {timeout_seconds:g} seconds") from None

    async def _run_in_pieces(self, feeds: Tensors, rows: int, deadline: float) -> Tensors:
        pieces: list[Tensors] = []
        piece_rows = self._limits.max_batch_rows
        for first in range(0, rows, piece_rows):
            piece = {name: x[first : first + piece_rows] for name, x in feeds.items()}
            pieces.append(await self._enqueue(piece, deadline))
            values = max(y.size for y in pieces[0].values()) * rows // piece_rows
            if values > self._limits.max_values:
                for_rows = f"the output for {counted(rows, 'row')}"
                reason = f"{for_rows} would have {values} values, more than {self._limits.max_values}"
                raise ClientError(413, f"{reason}, the limit of this server; send fewer rows per request")
        return {name: np.concatenate([outputs[name] for outputs in pieces]) for name in pieces[0]}

    async def _enqueue(self, feeds: Tensors, deadline: float) -> Tensors:
        loop = asyncio.get_running_loop()
        sizes = tuple(x.shape[1:] for x in feeds.values())
        request = QueuedRequest(feeds, self._count_rows(feeds), sizes, loop.create_future(), time.perf_counter())
        self._queue.append(request)
        self._queued_rows += request.rows
        self._statistics.queued += 1
        if self._needs_worker(len(self._workers)):
            self._workers.add(loop.create_task(self._run_queue()))
        self._deadlines[request.result] = deadline
        if deadline < self._timer_deadline:
            self._set_timer(deadline)
        try:
            return await request.result
        finally:
            del self._deadlines[request.result]
            if not self._deadlines:
                self._set_timer(math.inf)  # a timer would keep the model in memory

    def _set_timer(self, deadline: float) -> None:
        """Set the one timer of all requests; most have a result long before their deadline."""
        if self._timer:
            self._timer.cancel()
        self._timer_deadline = deadline
        self._timer = (
            asyncio.get_running_loop().call_at(deadline, self._expire_requests) if deadline < math.inf else None
        )

    def _expire_requests(self) -> None:
        now = asyncio.get_running_loop().time()
        expired = [result for result, deadline in self._deadlines.items() if deadline <= now]
        for result in expired:
            if not result.done():
                result.set_exception(TimeoutError())
        self._set_timer(min((deadline for deadline in self._deadlines.values() if deadline > now), default=math.inf))

    def _is_full(self) -> bool:
        if len(self._queue) >= self._limits.max_queue:
            self._set_queue([request for request in self._queue if not request.result.done()])
        return len(self._queue) >= self._limits.max_queue

    def _set_queue(self, requests: list[QueuedRequest]) -> None:
        self._queue = deque(requests)
        self._statistics.queued = len(requests)
        self._queued_rows = sum(request.rows for request in requests)

    def _needs_worker(self, running: int) -> bool:
        """Whether to start a batch while `running` batches run."""
        if not running or not self._queue:
            return bool(self._queue)
        fills_batch = not self.batchable or self._queued_rows >= self._limits.max_batch_rows
        return fills_batch and running < CORES and self._last_seconds < CONCURRENT_SECONDS

    async def _run_queue(self) -> None:
        try:
            while self._needs_worker(len(self._workers) - 1):
                if requests := self._take_batch():
                    await self._process(requests)
        finally:
            self._workers.remove(cast(asyncio.Task, asyncio.current_task()))

    def _take_batch(self) -> list[QueuedRequest]:
        """Remove the first request and all that fit into its batch; drop the requests of clients that left."""
        batch: list[QueuedRequest] = []
        remaining: list[QueuedRequest] = []
        rows = 0
        for request in self._queue:
            if request.result.done():
                continue
            fits = self.batchable and batch and request.sizes == batch[0].sizes
            if not batch or (fits and rows + request.rows <= self._limits.max_batch_rows):
                batch.append(request)
                rows += request.rows
            else:
                remaining.append(request)
        self._set_queue(remaining)
        return batch

    async def _process(self, batch: list[QueuedRequest]) -> None:
        started = time.perf_counter()
        feeds = [request.feeds for request in batch]
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._threads, self._run_batch, feeds)
        except Exception as error:
            if len(batch) > 1:  # run them one by one, so that only the invalid request fails
                for request in batch:
                    if not request.result.done():
                        await self._process([request])
            elif not batch[0].result.done():
                batch[0].result.set_exception(error)
            return
        self._record(result)
        self._statistics.queue.add(len(batch), sum(started - request.queued_at for request in batch))
        for request, outputs in zip(batch, result.outputs, strict=True):
            if not request.result.done():
                request.result.set_result(outputs)

    def _run_batch(self, requests: list[Tensors]) -> BatchResult:
        """Run the model once for all requests. Runs in a thread, so it must not change the batcher's state."""
        started = time.perf_counter()
        feeds = requests[0]
        if len(requests) > 1:
            feeds = {name: np.concatenate([request[name] for request in requests]) for name in feeds}
        outputs = self._run(feeds)
        seconds = time.perf_counter() - started
        parts = [outputs]
        if len(requests) > 1:
            parts, first = [], 0
            for request in requests:
                last = first + self._count_rows(request)
                parts.append({name: y[first:last] for name, y in outputs.items()})
                first = last
        return BatchResult(parts, self._count_rows(feeds), _count_values(feeds), seconds)

    def _record(self, result: BatchResult) -> None:
        self._last_seconds, self._last_size = result.seconds, result.size
        self._statistics.add_batch(result.rows, len(result.outputs), result.seconds)

    def _is_fast(self, feeds: Tensors) -> bool:
        """Whether a call of this size may run in the event loop, estimated from the last call."""
        return self._last_seconds * max(1.0, _count_values(feeds) / self._last_size) < INLINE_SECONDS

    def _count_rows(self, feeds: Tensors) -> int:
        return len(next(iter(feeds.values()))) if self.batchable else 1


def _count_values(feeds: Tensors) -> int:
    return max(1, sum(x.size for x in feeds.values()))
