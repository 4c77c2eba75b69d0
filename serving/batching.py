"""Continuous batching: nobody waits for company; who comes while a batch runs is in the next one.

A request that is alone is answered at once, in the event loop: to hand a small model to a thread costs more than to run
it. Otherwise a thread runs a batch while the event loop reads the requests of the next; of a model that is not slow
another thread takes what fills a batch meanwhile, as long as there are cores. A request with more rows than a batch may
have is asked in pieces: it takes no more memory at a time than others do, which have their turn in between.
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

from .client_error import ClientError
from .limits import Limits
from .metrics import Statistics

INLINE_SECONDS = 0.005
"""What takes longer never runs in the event loop: health checks and other models would wait for it."""
BESIDE_SECONDS = 0.1
"""What takes longer never runs beside itself: two large batches might not have the memory that each of them has."""
CORES = os.cpu_count() or 1


class Waiting(NamedTuple):
    """One request in the queue, or a piece of one."""

    feeds: Tensors
    rows: int
    sizes: tuple
    """What rows must have in common to fill a batch together: every size but their number."""
    answer: asyncio.Future
    since: float


class Ran(NamedTuple):
    """One call of the model: an answer for each request, and what it cost."""

    answers: list[Tensors]
    rows: int
    size: int
    seconds: float


class Batcher:
    """Asks one model, one batch at a time.

    Args:
        run: the model.
        together: whether it answers each row by itself, so that rows of several requests may be asked at once.
        limits: on rows, queue and answers.
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
        self._rows_waiting = 0
        self._ends: dict[asyncio.Future, float] = {}
        """Of those who wait for an answer: when their time is over."""
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._working: set[asyncio.Task] = set()
        """One for each batch that runs."""
        self._seconds, self._size = INLINE_SECONDS, 1
        """Of the last call; a model that was not asked yet may be slow."""

    async def ask(self, feeds: Tensors, seconds: float, alone: bool) -> Tensors:
        """The model's answer within `seconds`.

        Raises:
            ClientError: 413 if the answer would be too large, 429 if too many are waiting, 504 if the time is over.
        """
        rows = self._rows(feeds)
        if alone and not self._working and rows <= self._limits.batch_rows and self._quick(feeds):
            found = self._run_together([feeds])
            self._note(found)
            return found.answers[0]
        if self._working and self._full():
            reason = f"this model's queue is full ({self._limits.queue} requests, the limit of this server); try again"
            raise ClientError(429, reason, (("retry-after", "1"),))
        end = asyncio.get_running_loop().time() + seconds
        try:
            if rows <= self._limits.batch_rows:
                return await self._queued(feeds, end)
            return await self._in_pieces(feeds, rows, end)
        except TimeoutError:
            raise ClientError(504, f"no answer within {seconds:g} seconds") from None

    async def _in_pieces(self, feeds: Tensors, rows: int, end: float) -> Tensors:
        answers: list[Tensors] = []
        most = self._limits.batch_rows
        for first in range(0, rows, most):
            piece = {name: x[first : first + most] for name, x in feeds.items()}
            answers.append(await self._queued(piece, end))
            values = max(y.size for y in answers[0].values()) * rows // most
            if values > self._limits.values:
                reason = f"the answer to {rows} rows would have {values} values, more than {self._limits.values}"
                raise ClientError(413, f"{reason}, the limit of this server; ask for fewer rows at a time")
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    async def _queued(self, feeds: Tensors, end: float) -> Tensors:
        loop = asyncio.get_running_loop()
        sizes = tuple(x.shape[1:] for x in feeds.values())
        waiting = Waiting(feeds, self._rows(feeds), sizes, loop.create_future(), time.perf_counter())
        self._queue.append(waiting)
        self._rows_waiting += waiting.rows
        self._statistics.waiting += 1
        if self._another(len(self._working)):
            self._working.add(loop.create_task(self._work()))
        self._ends[waiting.answer] = end
        if end < self._rings_at:
            self._ring_at(end)
        try:
            return await waiting.answer
        finally:
            del self._ends[waiting.answer]
            if not self._ends:
                self._ring_at(math.inf)  # a timer would keep the model

    def _ring_at(self, end: float) -> None:
        """One timer for all: most of them are answered long before."""
        if self._timer:
            self._timer.cancel()
        self._rings_at = end
        self._timer = asyncio.get_running_loop().call_at(end, self._ring) if end < math.inf else None

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        late = [answer for answer, end in self._ends.items() if end <= now]
        for answer in late:
            if not answer.done():
                answer.set_exception(TimeoutError())
        self._ring_at(min((end for end in self._ends.values() if end > now), default=math.inf))

    def _full(self) -> bool:
        if len(self._queue) >= self._limits.queue:
            self._keep([waiting for waiting in self._queue if not waiting.answer.done()])
        return len(self._queue) >= self._limits.queue

    def _keep(self, left: list[Waiting]) -> None:
        self._queue = deque(left)
        self._statistics.waiting = len(left)
        self._rows_waiting = sum(waiting.rows for waiting in left)

    def _another(self, running: int) -> bool:
        """Whether a batch shall run beside those that are running."""
        if not running or not self._queue:
            return bool(self._queue)
        fills = not self.together or self._rows_waiting >= self._limits.batch_rows
        return fills and running < CORES and self._seconds < BESIDE_SECONDS

    async def _work(self) -> None:
        try:
            while self._another(len(self._working) - 1):
                if taken := self._take():
                    await self._answer(taken)
        finally:
            self._working.remove(cast(asyncio.Task, asyncio.current_task()))

    def _take(self) -> list[Waiting]:
        """The first in the queue and all that fit beside it; those whose clients gave up are forgotten."""
        taken: list[Waiting] = []
        left: list[Waiting] = []
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
        self._keep(left)
        return taken

    async def _answer(self, taken: list[Waiting]) -> None:
        started = time.perf_counter()
        asked = [waiting.feeds for waiting in taken]
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._run_together, asked)
        except Exception as error:
            if len(taken) > 1:  # one of them is at fault, and only that one shall hear of it
                for waiting in taken:
                    if not waiting.answer.done():
                        await self._answer([waiting])
            elif not taken[0].answer.done():
                taken[0].answer.set_exception(error)
            return
        self._note(found)
        self._statistics.queue.add(len(taken), sum(started - waiting.since for waiting in taken))
        for waiting, answer in zip(taken, found.answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)

    def _run_together(self, asked: list[Tensors]) -> Ran:
        """Asks the model once for all of `asked`; touches nothing that the event loop does."""
        started = time.perf_counter()
        feeds = asked[0]
        if len(asked) > 1:
            feeds = {name: np.concatenate([each[name] for each in asked]) for name in feeds}
        answers = self._run(feeds)
        seconds = time.perf_counter() - started
        parts = [answers]
        if len(asked) > 1:
            parts, first = [], 0
            for each in asked:
                last = first + self._rows(each)
                parts.append({name: y[first:last] for name, y in answers.items()})
                first = last
        return Ran(parts, self._rows(feeds), _size(feeds), seconds)

    def _note(self, ran: Ran) -> None:
        self._seconds, self._size = ran.seconds, ran.size
        self._statistics.batch(ran.rows, len(ran.answers), ran.seconds)

    def _quick(self, feeds: Tensors) -> bool:
        """Whether this much would run in the event loop's time, judged by the last call."""
        return self._seconds * max(1.0, _size(feeds) / self._size) < INLINE_SECONDS

    def _rows(self, feeds: Tensors) -> int:
        return len(next(iter(feeds.values()))) if self.together else 1


def _size(feeds: Tensors) -> int:
    return max(1, sum(x.size for x in feeds.values()))
