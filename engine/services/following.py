"""Following a call while it goes on: its journal, read again and again until it ends."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.errors import ParleyError
from engine.services.access import Access, TooMany
from engine.store import Store
from models import CallEvent


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; `streams`: at once for each company, in one process."""

    poll_s: float = 0.25
    heartbeat_s: float = 15.0
    longest_s: float = 3600.0
    streams: int = 5


class Following:
    """Who follows calls. One object for each process: it counts the streams that are open."""

    def __init__(
        self, store: Store, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._pace = pace or Pace()
        self._clock = clock
        self._open: Counter[str] = Counter()

    def open_streams(self, company_id: str) -> int:
        """How many the company has open."""
        return self._open[company_id]

    def check(self, access: Access) -> None:
        """Raises TooMany where the company follows as many calls as it may."""
        if self._open[access.company_id] >= self._pace.streams:
            raise TooMany(self._pace.heartbeat_s)

    async def follow(
        self, access: Access, call_id: str, after: int = -1
    ) -> AsyncGenerator[CallEvent | None, None]:
        """Events of the journal numbered above `after`, as they are written; None when it is time to say
        that the stream lives.

        Ends behind `call_ended`, when the journal is deleted, after `longest_s`, and when the store fails:
        whoever follows comes again with the number that it saw last. Ends at once for one stream too many:
        by then an answer has begun, and `check` is what refuses in time.
        """
        if self._open[access.company_id] >= self._pace.streams:
            return
        with self._counted(access.company_id):
            began = told = self._clock()
            seen = after
            while self._clock() - began < self._pace.longest_s:
                try:
                    events = await self._store.events(access.company_id, call_id)
                except ParleyError:
                    return
                for event in events:
                    if event.seq > seen:
                        seen, told = event.seq, self._clock()
                        yield event
                if not events or events[-1].kind == "call_ended":
                    return
                if self._clock() - told >= self._pace.heartbeat_s:
                    told = self._clock()
                    yield None
                await asyncio.sleep(self._pace.poll_s)

    @contextmanager
    def _counted(self, company_id: str) -> Iterator[None]:
        self._open[company_id] += 1
        try:
            yield
        finally:
            self._open[company_id] -= 1
            if not self._open[company_id]:
                del self._open[company_id]
