"""By how much audio that was given out is ahead of the ear, if it is played as soon as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.audio.g711 import SAMPLE_RATE_HZ


class Ahead:
    """One stream of audio. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._out_at = 0.0

    def give(self, samples: int) -> float:
        """So many more samples are given out now; returns how long all of it still plays, in seconds."""
        now = self._clock()
        self._out_at = max(self._out_at, now) + samples / SAMPLE_RATE_HZ
        return self._out_at - now
