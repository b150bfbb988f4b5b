"""Which of llama.cpp's slots keeps which call's prefix.

A slot holds the keys and values of the last prompt it worked on. Left to itself the server picks the slot
whose prompt looks most alike, and calls of one agent begin alike: a new call would overwrite the history of
a call that is still going on. So the client chooses.
"""

from __future__ import annotations


class SlotTable:
    """Slots 0 to `count` - 1, each for one key at a time; the one idle for longest is given away first."""

    def __init__(self, count: int) -> None:
        self._key_of: dict[int, str] = dict.fromkeys(range(count), "")
        """In order of use: the slot that was not used for longest comes first."""
        self._working: dict[int, int] = dict.fromkeys(range(count), 0)
        self._requests: dict[int, int] = dict.fromkeys(range(count), 0)

    def take(self, key: str) -> int | None:
        """The slot for a request of `key`: its own, even at work (the server queues), else an idle one.

        None when all slots work for others: the server may use whichever is free first.
        """
        slot = self._find(key)
        if slot is None:
            return None
        if self._key_of.pop(slot) != key:
            self._requests[slot] = 0
        self._key_of[slot] = key
        self._working[slot] += 1
        self._requests[slot] += 1
        return slot

    def is_fresh(self, slot: int) -> bool:
        """Whether its key has made but one request: before that the slot held another's prompt."""
        return self._requests[slot] == 1

    def give_back(self, slot: int) -> None:
        """A request that took `slot` has ended; its key keeps the slot until another needs it."""
        self._working[slot] -= 1

    def _find(self, key: str) -> int | None:
        own = next((slot for slot, holder in self._key_of.items() if key and holder == key), None)
        if own is not None:
            return own
        return next((slot for slot in self._key_of if not self._working[slot]), None)
