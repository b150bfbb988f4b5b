"""One end of the link."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import ProtocolError

Out = TypeVar("Out")
In = TypeVar("In")

MAX_KEPT = 4_096
"""Items that one end keeps for replay: at 5 a second about 13 minutes of unbroken speech."""

MAX_EARLY = 256
"""Items that may arrive ahead of a missing one."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[Out]):
    """Items `first, first + 1, ...` and what the sender knows of the other direction.

    `received`: every item below this number has arrived. `settled`: every item below it may be forgotten.
    """

    first: int
    items: tuple[Out, ...]
    received: int = 0
    settled: int = 0

    def __bool__(self) -> bool:
        return bool(self.items)


class LinkEnd(Generic[Out, In]):
    """Numbers what is sent, orders what is received, and forgets only what is settled.

    `first_expected` is the number at which the peer begins, for an end that joins late.
    """

    def __init__(self, *, first_expected: int = 0) -> None:
        self._kept: deque[Out] = deque()
        self._first_kept = 0
        self._next_to_send = 0
        self._received = first_expected
        self._early: dict[int, In] = {}
        self.settled = first_expected
        """What this end tells the peer that it may forget; at most `received`."""

    @property
    def received(self) -> int:
        """Number of the first item that has not arrived."""
        return self._received

    @property
    def pending(self) -> bool:
        """Whether there is something that was not yet taken by `batch`."""
        return self._next_to_send < self._first_kept + len(self._kept)

    @property
    def first_kept(self) -> int:
        """Number of the oldest item that `replay` would send."""
        return self._first_kept

    @property
    def unforgotten(self) -> int:
        """Items that the peer may still need."""
        return len(self._kept)

    def send(self, item: Out) -> int:
        """Queue an item and return its number.

        Raises ProtocolError when the peer has settled nothing for so long that the link is full.
        """
        if len(self._kept) >= MAX_KEPT:
            raise ProtocolError(f"link full: the peer left {MAX_KEPT} items unsettled")
        self._kept.append(item)
        return self._first_kept + len(self._kept) - 1

    def batch(self) -> Batch[Out]:
        """What was queued since the last call, with this end's acknowledgements."""
        start = self._next_to_send - self._first_kept
        items = tuple(self._kept)[start:]
        first = self._next_to_send
        self._next_to_send += len(items)
        return Batch(first, items, self._received, min(self.settled, self._received))

    def replay(self) -> None:
        """Send everything that is kept once more: the peer was replaced, or the last batch may be lost."""
        self._next_to_send = self._first_kept

    def receive(self, batch: Batch[In]) -> tuple[In, ...]:
        """New items in order; repeats are dropped, items ahead of a gap wait for it.

        Raises ProtocolError when more than MAX_EARLY items wait for a missing one.
        """
        self.forget(batch.settled)
        for offset, item in enumerate(batch.items):
            number = batch.first + offset
            if number >= self._received:
                self._early[number] = item
        fresh = []
        while self._received in self._early:
            fresh.append(self._early.pop(self._received))
            self._received += 1
        if len(self._early) > MAX_EARLY:
            raise ProtocolError(f"link broken: item {self._received} never came")
        return tuple(fresh)

    def forget(self, settled: int) -> None:
        """Drop kept items below `settled`; never those that were not sent yet."""
        while self._first_kept < min(settled, self._next_to_send):
            self._kept.popleft()
            self._first_kept += 1

    def restart_incoming(self) -> None:
        """The peer was replaced: its numbers begin at 0 again."""
        self._received = 0
        self.settled = 0
        self._early.clear()
