"""Who is asked together with whom, when, how many may wait, and who hears of it when one of them is wrong."""

import asyncio
import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound.serving import batching
from kerasfound.serving.batching import CONCURRENT_SECONDS, INLINE_SECONDS, Batcher
from kerasfound.serving.client_error import ClientError
from kerasfound.serving.limits import Limits
from kerasfound.serving.metrics import Statistics

THREADS = ThreadPoolExecutor(4)
TOO_MUCH = 1000
NAMES = map("doubling {}".format, itertools.count())


class Doubling:
    """A model that doubles each row, takes no negative number, and can be held back; it remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.threads = []
        self.called = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def __call__(self, feeds):
        self.asked.append(feeds["x"].copy())
        self.threads.append(threading.current_thread())
        self.called.set()
        assert self.free.wait(20)
        if (feeds["x"] < 0).any():
            raise ClientError(400, "a negative number")
        if (feeds["x"] == TOO_MUCH).any():
            raise MemoryError
        return {"y": 2 * feeds["x"], "sum": feeds["x"].sum(tuple(range(1, feeds["x"].ndim)))}


def batcher(model, batchable=True, threads=THREADS, **limits):
    return Batcher(model, batchable, Limits(**limits), threads, Statistics(next(NAMES)))


def rows(*values, width=3):
    return {"x": np.tile(np.array(values)[:, None], width)}


def right(answer, feeds):
    return np.array_equal(answer["y"], 2 * feeds["x"]) and np.array_equal(answer["sum"], feeds["x"].sum(1))


async def held(model, queue):
    """A request that the model is busy with."""
    model.free.clear()
    model.called.clear()
    first = asyncio.ensure_future(queue.submit(rows(1), 20, False))
    await asyncio.to_thread(model.called.wait, 20)
    return first


async def outcome(request):
    """The answer, or the status of its refusal."""
    try:
        return await request
    except ClientError as error:
        return error.status


def waiting(queue):
    return queue._statistics.queued


# ----------------------------------------------------------------------------------------------- in the loop or beside


def test_who_is_alone_is_answered_at_once_in_the_event_loop():
    async def ask():
        model = Doubling()
        queue = batcher(model)
        await queue.submit(rows(1), 20, True)
        assert right(await queue.submit(rows(2), 20, True), rows(2))
        return model.threads[-1]

    assert asyncio.run(ask()) is threading.current_thread()


def test_a_model_that_may_be_slow_is_asked_in_a_thread_however_alone_one_is():
    async def ask():
        model = Doubling()
        queue = batcher(model)
        await queue.submit(rows(1), 20, True)  # no call was measured yet
        queue._last_seconds = 2 * INLINE_SECONDS
        await queue.submit(rows(2), 20, True)
        queue._last_seconds = INLINE_SECONDS / 10
        await queue.submit(rows(*range(20)), 20, True)  # twenty times what took a tenth
        await queue.submit(rows(*range(40)), 20, True)
        return model.threads

    assert threading.current_thread() not in asyncio.run(ask())


def test_others_are_answered_while_a_slow_model_runs():
    async def ask():
        slow, quick = Doubling(), Doubling()
        first = await held(slow, batcher(slow))
        other = batcher(quick)
        for _ in range(3):
            assert right(await other.submit(rows(3), 20, False), rows(3))
        assert not first.done()
        slow.free.set()
        return await first

    assert right(asyncio.run(ask()), rows(1))


# ----------------------------------------------------------------------------------------------------------- together


def test_who_comes_while_a_batch_runs_is_in_the_next_one():
    async def ask():
        model = Doubling()
        queue = batcher(model)
        first = await held(model, queue)
        others = [asyncio.ensure_future(queue.submit(rows(i, i), 20, False)) for i in range(5)]
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert all(map(right, await asyncio.gather(*others), [rows(i, i) for i in range(5)]))
        return [len(x) for x in model.asked]

    assert asyncio.run(ask()) == [1, 10]


def test_no_batch_has_more_rows_than_it_may_nor_rows_of_several_sizes():
    async def ask():
        model = Doubling()
        queue = batcher(model, max_batch_rows=4)
        first = await held(model, queue)
        feeds = [rows(*range(1 + i % 3), width=2 + i % 2) for i in range(12)]
        others = [asyncio.ensure_future(queue.submit(each, 20, False)) for each in feeds]
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert all(map(right, await asyncio.gather(*others), feeds))
        return [x.shape for x in model.asked[1:]]

    shapes = asyncio.run(ask())
    assert max(count for count, _ in shapes) == 4
    assert len(shapes) < 12


@pytest.mark.parametrize(
    ("rows_more", "cores", "seconds", "beside"),
    [(4, 2, 0.001, True), (3, 2, 0.001, False), (4, 1, 0.001, False), (4, 2, CONCURRENT_SECONDS, False)],
)
def test_what_fills_a_batch_runs_beside_a_quick_one_where_there_is_a_core(
    monkeypatch, rows_more, cores, seconds, beside
):
    async def ask():
        model = Doubling()
        queue = batcher(model, max_batch_rows=4)
        first = await held(model, queue)
        queue._last_seconds = seconds
        model.called.clear()
        more = asyncio.ensure_future(queue.submit(rows(*range(rows_more)), 20, False))
        await asyncio.sleep(0)
        began = await asyncio.to_thread(model.called.wait, 20 if beside else 0.1)
        model.free.set()
        assert right(await first, rows(1))
        assert right(await more, rows(*range(rows_more)))
        return began

    monkeypatch.setattr(batching, "CORES", cores)
    assert asyncio.run(ask()) is beside


def test_a_model_that_does_not_answer_row_by_row_is_asked_one_request_at_a_time():
    def mean(feeds):
        asked.append(len(feeds["x"]))
        return {"y": feeds["x"].mean(keepdims=True)}

    async def ask():
        queue = batcher(mean, batchable=False, max_batch_rows=2)
        answers = await asyncio.gather(*(queue.submit({"x": np.full(9, i)}, 20, False) for i in range(4)))
        return [float(answer["y"][0]) for answer in answers]

    asked = []
    assert asyncio.run(ask()) == [0, 1, 2, 3]
    assert asked == [9, 9, 9, 9]


def test_more_rows_than_a_batch_may_have_are_asked_in_pieces_and_others_have_their_turn_in_between():
    async def ask():
        model = Doubling()
        queue = batcher(model, max_batch_rows=4)
        first = await held(model, queue)
        many = asyncio.ensure_future(queue.submit(rows(*range(10)), 20, False))
        await asyncio.sleep(0)
        one = asyncio.ensure_future(queue.submit(rows(7, 7), 20, False))
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert right(await many, rows(*range(10)))
        assert right(await one, rows(7, 7))
        return [x[:, 0].tolist() for x in model.asked[1:]]

    assert asyncio.run(ask()) == [[0, 1, 2, 3], [7, 7], [4, 5, 6, 7], [8, 9]]


def test_rows_whose_answer_would_be_too_large_are_refused_after_the_first_piece():
    async def ask():
        model = Doubling()
        queue = batcher(model, max_batch_rows=4, max_body_bytes=4 * 100)
        status = await outcome(queue.submit(rows(*range(40)), 20, False))
        return status, len(model.asked)

    assert asyncio.run(ask()) == (413, 1)


def test_no_input_and_inputs_without_axes():
    async def ask():
        queue = batcher(lambda feeds: {"y": feeds.get("x", 0) + np.float32(1)}, batchable=False)
        without, scalar = await queue.submit({}, 20, False), await queue.submit({"x": np.array(1)}, 20, True)
        return float(without["y"]), float(scalar["y"])

    assert asyncio.run(ask()) == (1, 2)


# ------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("bound", [0, 3])
def test_beyond_the_bound_of_the_queue_one_is_told_when_to_come_again_and_the_others_are_answered(bound):
    async def ask():
        model = Doubling()
        queue = batcher(model, max_queue=bound)
        first = await held(model, queue)
        others = [asyncio.ensure_future(queue.submit(rows(i), 20, False)) for i in range(bound)]
        await asyncio.sleep(0)
        with pytest.raises(ClientError) as refused:
            await queue.submit(rows(9), 20, False)
        assert refused.value.status == 429
        assert dict(refused.value.headers) == {"retry-after": "1"}
        assert waiting(queue) == bound
        model.free.set()
        assert right(await first, rows(1))
        assert all(map(right, await asyncio.gather(*others), map(rows, range(bound))))
        assert right(await queue.submit(rows(9), 20, False), rows(9))

    asyncio.run(ask())


def test_time_over_is_504_and_who_gave_up_is_neither_asked_nor_counted():
    async def ask():
        model = Doubling()
        queue = batcher(model, max_queue=2)
        first = await held(model, queue)
        late = [queue.submit(rows(i), 0.01, False) for i in (5, 6)]
        assert await asyncio.gather(*map(outcome, late)) == [504, 504]
        later = asyncio.ensure_future(queue.submit(rows(7), 20, False))
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert right(await later, rows(7))
        return np.concatenate(model.asked)[:, 0].tolist()

    assert asyncio.run(ask()) == [1, 7]


def test_time_over_while_the_model_runs_leaves_the_next_ones_well():
    async def ask():
        model = Doubling()
        queue = batcher(model)
        model.free.clear()
        assert await outcome(queue.submit(rows(1), 0.01, False)) == 504
        later = asyncio.ensure_future(queue.submit(rows(2), 20, False))
        model.free.set()
        return await later

    assert right(asyncio.run(ask()), rows(2))


def test_time_over_between_two_pieces_ends_the_request():
    async def ask():
        model = Doubling()
        queue = batcher(model, max_batch_rows=1)
        many = asyncio.ensure_future(outcome(queue.submit(rows(*range(100)), 0.05, False)))
        await asyncio.to_thread(model.called.wait, 20)
        model.free.clear()
        assert await many == 504
        model.free.set()
        assert right(await queue.submit(rows(3), 20, False), rows(3))
        return len(model.asked)

    assert asyncio.run(ask()) < 100


# ------------------------------------------------------------------------------------------------------------- errors


def test_only_the_one_with_the_bad_row_hears_of_it():
    async def ask():
        model = Doubling()
        queue = batcher(model)
        first = await held(model, queue)
        feeds = [rows(1, 2), rows(3, -1), rows(4), rows(TOO_MUCH)]
        others = [asyncio.ensure_future(queue.submit(each, 20, False)) for each in feeds]
        await asyncio.sleep(0)
        model.free.set()
        await first
        found = await asyncio.gather(*others, return_exceptions=True)
        assert right(found[0], feeds[0])
        assert isinstance(found[1], ClientError)
        assert found[1].status == 400
        assert right(found[2], feeds[2])
        assert isinstance(found[3], MemoryError)
        assert waiting(queue) == 0

    asyncio.run(ask())


def test_who_leaves_while_in_a_batch_does_not_hurt_the_others():
    async def ask():
        model = Doubling()
        queue = batcher(model)
        first = await held(model, queue)
        others = [asyncio.ensure_future(queue.submit(rows(i), 20, False)) for i in range(4)]
        await asyncio.sleep(0)
        first.cancel()
        others[1].cancel()
        await asyncio.sleep(0)
        model.called.clear()
        model.free.set()
        await asyncio.to_thread(model.called.wait, 20)
        others[2].cancel()
        assert right(await others[0], rows(0))
        assert right(await others[3], rows(3))
        assert right(await queue.submit(rows(8), 20, True), rows(8))

    asyncio.run(ask())


def test_a_failure_of_any_kind_is_told_and_the_next_ones_are_answered():
    """Rows that do not come back, threads that are gone: nobody waits for an answer that does not come."""

    async def strange():
        queue = batcher(lambda feeds: Doubling()(feeds) if len(feeds["x"]) == 1 else {"y": np.float32(1)})
        answers = await asyncio.gather(*(queue.submit(rows(i), 20, False) for i in range(3)))
        assert all(map(right, answers, map(rows, range(3))))

    async def gone():
        threads = ThreadPoolExecutor(1)
        queue = batcher(Doubling(), threads=threads)
        assert right(await queue.submit(rows(1), 20, False), rows(1))
        threads.shutdown()
        for _ in range(2):
            found = await asyncio.gather(queue.submit(rows(1), 20, False), return_exceptions=True)
            assert isinstance(found[0], RuntimeError)
        assert waiting(queue) == 0

    asyncio.run(strange())
    asyncio.run(gone())


# --------------------------------------------------------------------------------------------------------- all at once

REQUEST = st.tuples(
    st.lists(st.sampled_from([-1, TOO_MUCH]) | st.integers(0, 99), min_size=1, max_size=12),
    st.integers(1, 2),  # width
    st.integers(0, 5),  # turns of the event loop until it comes
    st.sampled_from([20, 20, 20, 1e-4]),  # seconds
    st.booleans(),  # leaves
)


@given(st.lists(REQUEST, max_size=30), st.integers(1, 8), st.integers(0, 20), st.booleans())
def test_whoever_comes_whenever_gets_the_answer_to_their_own_question(requests, batch_rows, bound, alone):
    async def ask(queue, values, width, turns, seconds, leaves):
        for _ in range(turns):
            await asyncio.sleep(0)
        feeds = rows(*values, width=width)
        request = asyncio.ensure_future(queue.submit(feeds, seconds, alone))
        if leaves:
            await asyncio.sleep(0)
            request.cancel()
        try:
            assert right(await request, feeds)
        except ClientError as error:
            assert error.status in (429, 504) or (error.status == 400 and -1 in values)  # noqa: PT017
        except MemoryError:
            assert TOO_MUCH in values
        except asyncio.CancelledError:
            assert leaves
        else:
            assert -1 not in values
            assert TOO_MUCH not in values

    async def everyone():
        model = Doubling()
        queue = batcher(model, max_batch_rows=batch_rows, max_queue=bound)
        await asyncio.gather(*(ask(queue, *request) for request in requests))
        with contextlib.suppress(ClientError):
            await queue.submit(rows(1), 20, False)
        assert all(len(x) <= batch_rows for x in model.asked)
        assert waiting(queue) == 0

    asyncio.run(everyone())
