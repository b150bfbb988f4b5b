"""How busy whoever does the work is: how many times as long it takes as it would take alone."""

from __future__ import annotations

SLACK_MS = 60.0
"""A longer utterance takes a little longer too: no sign of load."""
_NEWEST = 0.3
"""Weight of the newest of several: load is what lasts, one utterance may have been decoded twice."""


class Pace:
    """Told from outside: of one kind of work, such as the transcripts of one call, by the quickest so far."""

    def __init__(self) -> None:
        self._quickest_ms = float("inf")

    def load(self, took_ms: float) -> float:
        """So many times as long as the quickest; 1 where it took about as long as that."""
        self._quickest_ms = min(self._quickest_ms, took_ms)
        return took_ms / self._quickest_ms if took_ms > self._quickest_ms + SLACK_MS else 1.0


class Load:
    """Told from inside, by who does the work and knows what it would have taken alone."""

    def __init__(self) -> None:
        self._load = 1.0

    def note(self, took_s: float, alone_s: float) -> float:
        """The load lately. A piece of work took `took_s`, its wait included, and alone takes `alone_s`."""
        if alone_s > 0:
            self._load += _NEWEST * (max(1.0, took_s / alone_s) - self._load)
        return self._load
