"""Who is served next when several wait: whose work is due first."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter", bound=Hashable)


class DueFirst(Generic[Waiter]):
    """Waiters with the time at which their work is due; with the same time, who came first.

    A queue of some dozens: leaving it is as simple as being taken. It is bounded by who adds to it.
    """

    def __init__(self) -> None:
        self._due: dict[Waiter, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, waiter: Waiter, due: float) -> None:
        self._due[waiter] = due

    def discard(self, waiter: Waiter) -> None:
        """Who is not in it (any more) may leave it too."""
        self._due.pop(waiter, None)

    def take(self) -> Waiter | None:
        """The one whose work is due first, out of the queue; None when nobody waits."""
        if not self._due:
            return None
        first = min(self._due, key=self._due.__getitem__)
        del self._due[first]
        return first


class Turns:
    """So many workers, each given to whose work is due first. On one event loop; unbounded, as `DueFirst`."""

    def __init__(self, workers: int) -> None:
        self._free = workers
        self._waiting: DueFirst[asyncio.Future[None]] = DueFirst()

    @property
    def free(self) -> int:
        return self._free

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def take(self, due: float) -> None:
        """Returns with a worker taken. A cancelled one leaves none behind."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(turn, due)
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.discard(turn)
            if not turn.cancelled():
                # It was given a worker at the same moment.
                self.give_back()
            raise

    def give_back(self) -> None:
        """A worker to whose turn it is."""
        while (turn := self._waiting.take()) is not None:
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def close(self) -> None:
        """Who waits is cancelled."""
        while (turn := self._waiting.take()) is not None:
            turn.cancel()
