"""How busy whoever does the work is: how many times as long it takes as it would take alone."""

from __future__ import annotations

import math

SLACK_MS = 60.0
"""A longer utterance takes a little longer too: no sign of load."""
MOST = 4.0
"""More than this is not told: one piece of work that hung says nothing of the next."""
_MEMORY_S = 3.0
"""Load is what lasted so long: one piece of work that was late is forgotten soon."""


class Pace:
    """Told from outside: of one kind of work, such as the transcripts of one call, by the quickest so far."""

    def __init__(self) -> None:
        self._quickest_ms = math.inf

    def load(self, took_ms: float) -> float:
        """So many times as long as the quickest; 1 where it took about as long as that."""
        self._quickest_ms = min(self._quickest_ms, took_ms)
        return took_ms / self._quickest_ms if took_ms > self._quickest_ms + SLACK_MS else 1.0


class Load:
    """Told from inside, by who does the work and knows what it would have taken alone."""

    def __init__(self) -> None:
        self._load = 1.0
        self._at = -math.inf

    def note(self, took_s: float, alone_s: float, now: float) -> float:
        """The load lately. At `now` (seconds of any clock) a piece of work had taken `took_s`, its wait
        included; alone it takes `alone_s`."""
        late = took_s > alone_s + SLACK_MS / 1000
        latest = min(MOST, took_s / alone_s) if late and alone_s > 0 else 1.0
        newest = 1 - math.exp((self._at - now) / _MEMORY_S)
        self._load += max(newest, 0.3) * (latest - self._load)
        self._at = now
        return self._load
