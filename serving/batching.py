"""Continuous batching: nobody waits for company; who comes while a batch runs is in the next one.

A request that is alone is answered at once, in the event loop: to hand a small model to a thread costs more than to run
it. Otherwise one thread runs a batch while the event loop reads the requests of the next.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from kerasfound.serving.errors import ClientError
from kerasfound.serving.limits import Limits
from kerasfound.serving.metrics import Statistics

Tensors = dict[str, np.ndarray]

INLINE_SECONDS = 0.005
"""A model that takes longer never runs in the event loop: health checks and other models would wait for it."""


class Waiting(NamedTuple):
    """One request in the queue."""

    feeds: Tensors
    rows: int
    sizes: tuple
    """What rows must have in common to fill a batch together: every size but their number."""
    answer: asyncio.Future
    since: float


class Batcher:
    """Asks one model, one batch at a time.

    Args:
        run: the model.
        together: whether rows of several requests may be asked at once.
        limits: on rows and queue.
        threads: where batches run.
        statistics: are told of every batch.
    """

    def __init__(
        self,
        run: Callable[[Tensors], Tensors],
        together: bool,
        limits: Limits,
        threads: Executor,
        statistics: Statistics,
    ):
        self._run = run
        self.together = together
        self._limits = limits
        self._threads = threads
        self._statistics = statistics
        self._queue: deque[Waiting] = deque()
        self._working: asyncio.Task | None = None
        self._seconds = 0.0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def ask(self, feeds: Tensors, seconds: float, alone: bool) -> Tensors:
        """The model's answer within `seconds`.

        Raises:
            ClientError: 429 if too many are waiting, 504 if the time is over.
        """
        if alone and self._working is None and self._seconds < INLINE_SECONDS:
            return self._timed(feeds, 1)
        if len(self._queue) >= self._limits.queue:
            reason = f"{len(self._queue)} requests are waiting for this model, the limit of this server; try again"
            raise ClientError(429, reason, (("retry-after", "1"),))
        loop = asyncio.get_running_loop()
        arrays = feeds.values()
        rows, sizes = len(next(iter(arrays))), tuple(x.shape[1:] for x in arrays)
        waiting = Waiting(feeds, rows, sizes, loop.create_future(), time.perf_counter())
        self._queue.append(waiting)
        if self._working is None:
            self._working = loop.create_task(self._work())
        try:
            async with asyncio.timeout(seconds):
                return await waiting.answer
        except TimeoutError:
            raise ClientError(504, f"no answer within {seconds:g} seconds") from None

    async def _work(self) -> None:
        try:
            while taken := self._take():
                await self._answer(taken)
        finally:
            self._working = None

    def _take(self) -> list[Waiting]:
        """The first in the queue and all that fit beside it; those whose clients gave up are forgotten."""
        taken: list[Waiting] = []
        left: deque[Waiting] = deque()
        rows = 0
        for waiting in self._queue:
            if waiting.answer.done():
                continue
            fits = self.together and taken and waiting.sizes == taken[0].sizes
            if not taken or (fits and rows + waiting.rows <= self._limits.batch_rows):
                taken.append(waiting)
                rows += waiting.rows
            else:
                left.append(waiting)
        self._queue = left
        return taken

    async def _answer(self, taken: list[Waiting]) -> None:
        started = time.perf_counter()
        feeds = taken[0].feeds
        if len(taken) > 1:
            feeds = {name: np.concatenate([waiting.feeds[name] for waiting in taken]) for name in feeds}
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._threads, self._timed, feeds, len(taken))
        except Exception as error:
            if len(taken) > 1:  # one of them is at fault, and only that one shall hear of it
                for waiting in taken:
                    await self._answer([waiting])
            elif not taken[0].answer.done():
                taken[0].answer.set_exception(error)
            return
        self._statistics.queue.add(len(taken), sum(started - waiting.since for waiting in taken))
        first = 0
        for waiting in taken:
            last = first + waiting.rows
            if not waiting.answer.done():
                whole = len(taken) == 1
                waiting.answer.set_result(answers if whole else {name: y[first:last] for name, y in answers.items()})
            first = last

    def _timed(self, feeds: Tensors, requests: int) -> Tensors:
        started = time.perf_counter()
        answers = self._run(feeds)
        self._seconds = time.perf_counter() - started
        self._statistics.batch(len(next(iter(feeds.values()))), requests, self._seconds)
        return answers
