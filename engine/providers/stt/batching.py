"""Blocking model work behind an event loop: a bounded queue, worker threads, batches that form by themselves.

An idle worker starts at once, with whatever waits; what arrives while all workers are busy goes together
into the next batch. So an idle model adds no delay and a loaded one runs full batches, without a timer to
tune. With `largest_batch=1` it is a plain queue, which is what one-threaded CPU workers want.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import ProviderUnavailable
from engine.priority import lower_priority

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`workers`: batches at once. `waiting`: items that may wait for a worker. `nice`: of the workers."""

    workers: int = 1
    largest_batch: int = 1
    waiting: int = 64
    hung_after_s: float = 30.0
    nice: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Request(Generic[Item, Result]):
    item: Item
    answer: asyncio.Future[Result]


class BatchQueue(Generic[Item, Result]):
    """Runs `work` (blocking: items -> as many results, same order) in threads. Made and used on one loop.

    An exception out of `work` goes to every item of its batch.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[Item]], Sequence[Result]], limits: BatchLimits
    ) -> None:
        self._name = name
        self._work = work
        self._limits = limits
        self._threads = ThreadPoolExecutor(
            limits.workers, thread_name_prefix=name, initializer=lower_priority, initargs=(limits.nice,)
        )
        self._waiting: deque[_Request[Item, Result]] = deque()
        self._running: dict[asyncio.Task[None], float] = {}
        self._closed = False
        self.batches = 0
        self.items = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def run(self, item: Item) -> Result:
        """The result for `item`. If cancelled while it waits, `work` never sees it; an item that a thread has
        begun is finished there and its result dropped.

        Raises ProviderUnavailable when as many items wait as may, or after `close`.
        """
        if self._closed:
            raise ProviderUnavailable(f"{self._name} is shutting down: ask another", provider=self._name)
        if len(self._waiting) >= self._limits.waiting:
            raise ProviderUnavailable(
                f"{self._name} is overloaded, {len(self._waiting)} requests wait: ask another",
                provider=self._name,
            )
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        request = _Request(item, answer)
        self._waiting.append(request)
        self._start()
        try:
            return await request.answer
        finally:
            if request in self._waiting:
                self._waiting.remove(request)

    def check(self) -> None:
        """Raises ProviderUnavailable when a batch has been running for longer than `hung_after_s`."""
        oldest = min(self._running.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > self._limits.hung_after_s:
            raise ProviderUnavailable(
                f"{self._name} is stuck, one batch runs for {self._limits.hung_after_s:.0f} s: restart it",
                provider=self._name,
            )

    async def close(self) -> None:
        """Refuse what waits and new items; return when the running batches have ended."""
        self._closed = True
        for request in self._waiting:
            if not request.answer.done():
                request.answer.set_exception(
                    ProviderUnavailable(f"{self._name} is shutting down: ask another", provider=self._name)
                )
        self._waiting.clear()
        if self._running:
            await asyncio.wait(list(self._running))
        self._threads.shutdown(wait=False)

    def _start(self) -> None:
        """Give waiting items to idle workers."""
        while self._waiting and len(self._running) < self._limits.workers:
            size = min(len(self._waiting), self._limits.largest_batch)
            batch = [self._waiting.popleft() for _ in range(size)]
            wanted = [request for request in batch if not request.answer.done()]
            if wanted:
                task = asyncio.get_running_loop().create_task(self._run(wanted))
                self._running[task] = time.monotonic()
                task.add_done_callback(self._ended)

    async def _run(self, batch: Sequence[_Request[Item, Result]]) -> None:
        self.batches += 1
        self.items += len(batch)
        items = [request.item for request in batch]
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._threads, self._work, items)
            answers = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        for request, result in answers:
            if not request.answer.done():
                request.answer.set_result(result)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._start()
