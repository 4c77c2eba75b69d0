"""Batching: which requests share a call, when they run, the limits of the queue, and errors of single requests."""

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
OUT_OF_MEMORY = 1000
NAMES = map("doubling {}".format, itertools.count())


class Doubling:
    """A model that doubles each row, rejects negative numbers, can be blocked, and records its inputs."""

    def __init__(self):
        self.inputs = []
        self.threads = []
        self.called = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def __call__(self, feeds):
        self.inputs.append(feeds["x"].copy())
        self.threads.append(threading.current_thread())
        self.called.set()
        assert self.free.wait(20)
        if (feeds["x"] < 0).any():
            raise ClientError(400, "a negative number")
        if (feeds["x"] == OUT_OF_MEMORY).any():
            raise MemoryError
        return {"y": 2 * feeds["x"], "sum": feeds["x"].sum(tuple(range(1, feeds["x"].ndim)))}


def make_batcher(model, batchable=True, threads=THREADS, **limits):
    return Batcher(model, batchable, Limits(**limits), threads, Statistics(next(NAMES)))


def rows(*values, width=3):
    return {"x": np.tile(np.array(values)[:, None], width)}


def is_correct(outputs, feeds):
    return np.array_equal(outputs["y"], 2 * feeds["x"]) and np.array_equal(outputs["sum"], feeds["x"].sum(1))


async def busy_request(model, batcher):
    """A request that blocks the model until `model.free` is set."""
    model.free.clear()
    model.called.clear()
    first = asyncio.ensure_future(batcher.submit(rows(1), 20, False))
    await asyncio.to_thread(model.called.wait, 20)
    return first


async def outcome(request):
    """The outputs, or the status of the error."""
    try:
        return await request
    except ClientError as error:
        return error.status


def count_queued(batcher):
    return batcher._statistics.queued


# ------------------------------------------------------------------------------------------------- event loop or thread


def test_a_single_request_runs_immediately_in_the_event_loop():
    async def run():
        model = Doubling()
        batcher = make_batcher(model)
        await batcher.submit(rows(1), 20, True)
        assert is_correct(await batcher.submit(rows(2), 20, True), rows(2))
        return model.threads[-1]

    assert asyncio.run(run()) is threading.current_thread()


def test_a_model_that_may_be_slow_always_runs_in_a_thread():
    async def run():
        model = Doubling()
        batcher = make_batcher(model)
        await batcher.submit(rows(1), 20, True)  # the first call: no time is known yet
        batcher._last_seconds = 2 * INLINE_SECONDS
        await batcher.submit(rows(2), 20, True)
        batcher._last_seconds = INLINE_SECONDS / 10
        await batcher.submit(rows(*range(20)), 20, True)  # twenty rows: more than the time limit
        await batcher.submit(rows(*range(40)), 20, True)
        return model.threads

    assert threading.current_thread() not in asyncio.run(run())


def test_other_models_run_while_a_slow_model_runs():
    async def run():
        slow, quick = Doubling(), Doubling()
        first = await busy_request(slow, make_batcher(slow))
        other = make_batcher(quick)
        for _ in range(3):
            assert is_correct(await other.submit(rows(3), 20, False), rows(3))
        assert not first.done()
        slow.free.set()
        return await first

    assert is_correct(asyncio.run(run()), rows(1))


# ------------------------------------------------------------------------------------------------------------- together


def test_requests_that_arrive_during_a_batch_form_the_next_one():
    async def run():
        model = Doubling()
        batcher = make_batcher(model)
        first = await busy_request(model, batcher)
        requests = [asyncio.ensure_future(batcher.submit(rows(i, i), 20, False)) for i in range(5)]
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert all(map(is_correct, await asyncio.gather(*requests), [rows(i, i) for i in range(5)]))
        return [len(x) for x in model.inputs]

    assert asyncio.run(run()) == [1, 10]


def test_a_batch_respects_the_row_limit_and_has_rows_of_one_size():
    async def run():
        model = Doubling()
        batcher = make_batcher(model, max_batch_rows=4)
        first = await busy_request(model, batcher)
        feeds = [rows(*range(1 + i % 3), width=2 + i % 2) for i in range(12)]
        requests = [asyncio.ensure_future(batcher.submit(each, 20, False)) for each in feeds]
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert all(map(is_correct, await asyncio.gather(*requests), feeds))
        return [x.shape for x in model.inputs[1:]]

    shapes = asyncio.run(run())
    assert max(count for count, _ in shapes) == 4
    assert len(shapes) < 12


@pytest.mark.parametrize(
    ("second_rows", "cores", "seconds", "concurrent"),
    [(4, 2, 0.001, True), (3, 2, 0.001, False), (4, 1, 0.001, False), (4, 2, CONCURRENT_SECONDS, False)],
)
def test_a_full_batch_runs_concurrently_if_the_model_is_fast_and_a_core_is_free(
    monkeypatch, second_rows, cores, seconds, concurrent
):
    async def run():
        model = Doubling()
        batcher = make_batcher(model, max_batch_rows=4)
        first = await busy_request(model, batcher)
        batcher._last_seconds = seconds
        model.called.clear()
        second = asyncio.ensure_future(batcher.submit(rows(*range(second_rows)), 20, False))
        await asyncio.sleep(0)
        began = await asyncio.to_thread(model.called.wait, 20 if concurrent else 0.1)
        model.free.set()
        assert is_correct(await first, rows(1))
        assert is_correct(await second, rows(*range(second_rows)))
        return began

    monkeypatch.setattr(batching, "CORES", cores)
    assert asyncio.run(run()) is concurrent


def test_a_model_without_a_batch_axis_runs_one_request_at_a_time():
    def mean(feeds):
        inputs.append(len(feeds["x"]))
        return {"y": feeds["x"].mean(keepdims=True)}

    async def run():
        batcher = make_batcher(mean, batchable=False, max_batch_rows=2)
        all_outputs = await asyncio.gather(*(batcher.submit({"x": np.full(9, i)}, 20, False) for i in range(4)))
        return [float(outputs["y"][0]) for outputs in all_outputs]

    inputs = []
    assert asyncio.run(run()) == [0, 1, 2, 3]
    assert inputs == [9, 9, 9, 9]


def test_a_large_request_runs_in_pieces_and_other_requests_run_in_between():
    async def run():
        model = Doubling()
        batcher = make_batcher(model, max_batch_rows=4)
        first = await busy_request(model, batcher)
        many = asyncio.ensure_future(batcher.submit(rows(*range(10)), 20, False))
        await asyncio.sleep(0)
        one = asyncio.ensure_future(batcher.submit(rows(7, 7), 20, False))
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert is_correct(await many, rows(*range(10)))
        assert is_correct(await one, rows(7, 7))
        return [x[:, 0].tolist() for x in model.inputs[1:]]

    assert asyncio.run(run()) == [[0, 1, 2, 3], [7, 7], [4, 5, 6, 7], [8, 9]]


def test_a_request_with_too_large_outputs_is_refused_after_the_first_piece():
    async def run():
        model = Doubling()
        batcher = make_batcher(model, max_batch_rows=4, max_body_bytes=4 * 100)
        status = await outcome(batcher.submit(rows(*range(40)), 20, False))
        return status, len(model.inputs)

    assert asyncio.run(run()) == (413, 1)


def test_no_input_and_inputs_without_axes():
    async def run():
        batcher = make_batcher(lambda feeds: {"y": feeds.get("x", 0) + np.float32(1)}, batchable=False)
        without, scalar = await batcher.submit({}, 20, False), await batcher.submit({"x": np.array(1)}, 20, True)
        return float(without["y"]), float(scalar["y"])

    assert asyncio.run(run()) == (1, 2)


# --------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("max_queue", [0, 3])
def test_a_full_queue_refuses_new_requests_with_retry_after_and_completes_the_queued_ones(max_queue):
    async def run():
        model = Doubling()
        batcher = make_batcher(model, max_queue=max_queue)
        first = await busy_request(model, batcher)
        requests = [asyncio.ensure_future(batcher.submit(rows(i), 20, False)) for i in range(max_queue)]
        await asyncio.sleep(0)
        with pytest.raises(ClientError) as refused:
            await batcher.submit(rows(9), 20, False)
        assert refused.value.status == 429
        assert dict(refused.value.headers) == {"retry-after": "1"}
        assert count_queued(batcher) == max_queue
        model.free.set()
        assert is_correct(await first, rows(1))
        assert all(map(is_correct, await asyncio.gather(*requests), map(rows, range(max_queue))))
        assert is_correct(await batcher.submit(rows(9), 20, False), rows(9))

    asyncio.run(run())


def test_a_timeout_is_504_and_expired_requests_neither_run_nor_count():
    async def run():
        model = Doubling()
        batcher = make_batcher(model, max_queue=2)
        first = await busy_request(model, batcher)
        late = [batcher.submit(rows(i), 0.01, False) for i in (5, 6)]
        assert await asyncio.gather(*map(outcome, late)) == [504, 504]
        later = asyncio.ensure_future(batcher.submit(rows(7), 20, False))
        await asyncio.sleep(0)
        model.free.set()
        await first
        assert is_correct(await later, rows(7))
        return np.concatenate(model.inputs)[:, 0].tolist()

    assert asyncio.run(run()) == [1, 7]


def test_a_timeout_during_a_run_does_not_affect_later_requests():
    async def run():
        model = Doubling()
        batcher = make_batcher(model)
        model.free.clear()
        assert await outcome(batcher.submit(rows(1), 0.01, False)) == 504
        later = asyncio.ensure_future(batcher.submit(rows(2), 20, False))
        model.free.set()
        return await later

    assert is_correct(asyncio.run(run()), rows(2))


def test_a_timeout_between_two_pieces_ends_the_request():
    async def run():
        model = Doubling()
        batcher = make_batcher(model, max_batch_rows=1)
        many = asyncio.ensure_future(outcome(batcher.submit(rows(*range(100)), 0.05, False)))
        await asyncio.to_thread(model.called.wait, 20)
        model.free.clear()
        assert await many == 504
        model.free.set()
        assert is_correct(await batcher.submit(rows(3), 20, False), rows(3))
        return len(model.inputs)

    assert asyncio.run(run()) < 100


# --------------------------------------------------------------------------------------------------------------- errors


def test_only_the_request_with_the_invalid_row_fails():
    async def run():
        model = Doubling()
        batcher = make_batcher(model)
        first = await busy_request(model, batcher)
        feeds = [rows(1, 2), rows(3, -1), rows(4), rows(OUT_OF_MEMORY)]
        requests = [asyncio.ensure_future(batcher.submit(each, 20, False)) for each in feeds]
        await asyncio.sleep(0)
        model.free.set()
        await first
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert is_correct(results[0], feeds[0])
        assert isinstance(results[1], ClientError)
        assert results[1].status == 400
        assert is_correct(results[2], feeds[2])
        assert isinstance(results[3], MemoryError)
        assert count_queued(batcher) == 0

    asyncio.run(run())


def test_a_cancelled_request_does_not_affect_the_others_of_its_batch():
    async def run():
        model = Doubling()
        batcher = make_batcher(model)
        first = await busy_request(model, batcher)
        requests = [asyncio.ensure_future(batcher.submit(rows(i), 20, False)) for i in range(4)]
        await asyncio.sleep(0)
        first.cancel()
        requests[1].cancel()
        await asyncio.sleep(0)
        model.called.clear()
        model.free.set()
        await asyncio.to_thread(model.called.wait, 20)
        requests[2].cancel()
        assert is_correct(await requests[0], rows(0))
        assert is_correct(await requests[3], rows(3))
        assert is_correct(await batcher.submit(rows(8), 20, True), rows(8))

    asyncio.run(run())


def test_every_failure_reaches_its_request_and_later_requests_complete():
    """Wrong output rows, a stopped thread pool: no request waits forever."""

    async def wrong_outputs():
        batcher = make_batcher(lambda feeds: Doubling()(feeds) if len(feeds["x"]) == 1 else {"y": np.float32(1)})
        all_outputs = await asyncio.gather(*(batcher.submit(rows(i), 20, False) for i in range(3)))
        assert all(map(is_correct, all_outputs, map(rows, range(3))))

    async def stopped_threads():
        threads = ThreadPoolExecutor(1)
        batcher = make_batcher(Doubling(), threads=threads)
        assert is_correct(await batcher.submit(rows(1), 20, False), rows(1))
        threads.shutdown()
        for _ in range(2):
            results = await asyncio.gather(batcher.submit(rows(1), 20, False), return_exceptions=True)
            assert isinstance(results[0], RuntimeError)
        assert count_queued(batcher) == 0

    asyncio.run(wrong_outputs())
    asyncio.run(stopped_threads())


# ------------------------------------------------------------------------------------------------------ random requests

REQUEST = st.tuples(
    st.lists(st.sampled_from([-1, OUT_OF_MEMORY]) | st.integers(0, 99), min_size=1, max_size=12),
    st.integers(1, 2),  # width
    st.integers(0, 5),  # turns of the event loop before it arrives
    st.sampled_from([20, 20, 20, 1e-4]),  # seconds
    st.booleans(),  # cancels
)


@given(st.lists(REQUEST, max_size=30), st.integers(1, 8), st.integers(0, 20), st.booleans())
def test_every_request_gets_the_outputs_for_its_own_inputs(requests, batch_rows, max_queue, alone):
    async def run(batcher, values, width, turns, seconds, leaves):
        for _ in range(turns):
            await asyncio.sleep(0)
        feeds = rows(*values, width=width)
        request = asyncio.ensure_future(batcher.submit(feeds, seconds, alone))
        if leaves:
            await asyncio.sleep(0)
            request.cancel()
        try:
            assert is_correct(await request, feeds)
        except ClientError as error:
            assert error.status in (429, 504) or (error.status == 400 and -1 in values)  # noqa: PT017
        except MemoryError:
            assert OUT_OF_MEMORY in values
        except asyncio.CancelledError:
            assert leaves
        else:
            assert -1 not in values
            assert OUT_OF_MEMORY not in values

    async def run_all():
        model = Doubling()
        batcher = make_batcher(model, max_batch_rows=batch_rows, max_queue=max_queue)
        await asyncio.gather(*(run(batcher, *request) for request in requests))
        with contextlib.suppress(ClientError):
            await batcher.submit(rows(1), 20, False)
        assert all(len(x) <= batch_rows for x in model.inputs)
        assert count_queued(batcher) == 0

    asyncio.run(run_all())
