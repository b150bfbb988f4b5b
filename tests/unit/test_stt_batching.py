"""The queue before the model: bounded, in order, nothing decoded for nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from engine.errors import ProviderUnavailable
from engine.providers.stt.batching import BatchLimits, BatchQueue


class Worker:
    """Squares numbers in its thread, when it may; refuses negative ones."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Event()
        self.may = threading.Event()
        self.may.set()

    def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.begun.set()
        self.may.wait(10)
        if min(items) < 0:
            raise ValueError("negative")
        return [item * item for item in items]

    async def busy(self) -> None:
        await asyncio.to_thread(self.begun.wait, 10)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    yield worker
    worker.may.set()


async def _held(queue: BatchQueue[int, int], worker: Worker, items: Sequence[int]) -> list[asyncio.Task[int]]:
    """Tasks for `items` behind item 1, which the worker has begun and does not finish."""
    worker.may.clear()
    tasks = [asyncio.create_task(queue.run(1))]
    await worker.busy()
    tasks += [asyncio.create_task(queue.run(item)) for item in items]
    await asyncio.sleep(0)
    assert queue.waiting == len(items)
    return tasks


async def test_what_arrives_meanwhile_becomes_the_next_batch(worker: Worker) -> None:
    queue = BatchQueue("squares", worker, BatchLimits(largest_batch=3))
    tasks = await _held(queue, worker, [2, 3, 4, 5])
    worker.may.set()
    assert await asyncio.gather(*tasks) == [1, 4, 9, 16, 25]
    assert worker.batches == [[1], [2, 3, 4], [5]]
    assert (queue.batches, queue.items, queue.waiting) == (3, 5, 0)
    await queue.close()


async def test_a_request_cancelled_before_its_turn_is_not_worked_on(worker: Worker) -> None:
    queue = BatchQueue("squares", worker, BatchLimits())
    tasks = await _held(queue, worker, [2, 3])
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    assert queue.waiting == 1
    worker.may.set()
    assert await tasks[2] == 9
    assert worker.batches == [[1], [3]]
    await queue.close()


async def test_the_loop_stays_free_while_a_worker_blocks(worker: Worker) -> None:
    queue = BatchQueue("squares", worker, BatchLimits())
    (task,) = await _held(queue, worker, [])
    queue.check()
    assert not task.done()
    worker.may.set()
    assert await task == 1
    await queue.close()


async def test_a_full_queue_refuses(worker: Worker) -> None:
    queue = BatchQueue("squares", worker, BatchLimits(waiting=2))
    tasks = await _held(queue, worker, [2, 3])
    with pytest.raises(ProviderUnavailable, match="overloaded, 2 requests wait"):
        await queue.run(4)
    worker.may.set()
    assert await asyncio.gather(*tasks) == [1, 4, 9]
    await queue.close()


async def test_an_error_goes_to_its_batch_alone(worker: Worker) -> None:
    queue = BatchQueue("squares", worker, BatchLimits(largest_batch=2))
    tasks = await _held(queue, worker, [-2, 3, 4])
    worker.may.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [int, ValueError, ValueError, int]
    await queue.close()


async def test_closing_refuses_who_waits_and_lets_the_running_end(worker: Worker) -> None:
    queue = BatchQueue("squares", worker, BatchLimits())
    running, waiting = await _held(queue, worker, [2])
    closing = asyncio.create_task(queue.close())
    with pytest.raises(ProviderUnavailable, match="shutting down"):
        await waiting
    assert not closing.done()
    worker.may.set()
    await closing
    assert await running == 1
    with pytest.raises(ProviderUnavailable, match="shutting down"):
        await queue.run(3)


async def test_a_hung_worker_is_reported(worker: Worker) -> None:
    queue = BatchQueue("squares", worker, BatchLimits(hung_after_s=0.0))
    queue.check()
    (task,) = await _held(queue, worker, [])
    with pytest.raises(ProviderUnavailable, match="stuck"):
        queue.check()
    worker.may.set()
    await task
    await queue.close()
