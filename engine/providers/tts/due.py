"""Who is served next when several wait: whose work is due first."""

from __future__ import annotations

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
