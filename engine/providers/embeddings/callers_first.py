"""One thread for work that blocks, shared by callers' queries and uploads: a caller goes first.

Of local embedders and of the embedded index, which are both asked by somebody on the line and filled by a
document that nobody waits for. What runs is not interrupted, so a query waits for one piece of an upload:
whoever uploads cuts its work into small ones.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.providers.due import Turns

Result = TypeVar("Result")

_NOW, _WHENEVER = 0.0, math.inf


class CallersFirst:
    """Runs one piece of work at a time, on one event loop. How many may wait is up to whoever asks.

    Work that is cancelled while it waits is never begun; what the thread has begun it finishes for nothing.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._turns = Turns(1)

    async def first(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What `work` returns or raises. Before all that came by `later`, after what came here."""
        return await self._run(_NOW, work, *arguments)

    async def later(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """As `first`, when nobody's query waits: never, while queries alone fill the thread."""
        return await self._run(_WHENEVER, work, *arguments)

    def close(self) -> None:
        """Ends the thread; what waits for it is cancelled."""
        self._turns.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, due: float, work: Callable[..., Result], *arguments: Any) -> Result:
        await self._turns.take(due)
        try:
            future = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except BaseException:
            self._turns.give_back()
            raise
        future.add_done_callback(lambda _: self._turns.give_back())
        # A thread cannot be stopped: it stays taken until it ends, whoever has gone.
        return await asyncio.shield(future)
