"""How often somebody may try.

In this process's memory: with N replicas an attacker has N times as many tries, which bcrypt's price makes
few all the same, and a login needs no write to the store.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from engine.services.access import TooMany

MOST_KEYS = 10_000


class Throttle:
    """At most `limit` failures of one key within `window_s`; the oldest keys are forgotten."""

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, key: str) -> None:
        """Raises TooMany with the seconds to wait."""
        failures = self._recent(key)
        if len(failures) >= self._limit:
            raise TooMany(self._window_s - (self._clock() - failures[0]))

    def failed(self, key: str) -> None:
        failures = self._recent(key)
        failures.append(self._clock())
        self._failures[key] = failures
        self._failures.move_to_end(key)
        while len(self._failures) > MOST_KEYS:
            self._failures.popitem(last=False)

    def forget(self, key: str) -> None:
        """It went well."""
        self._failures.pop(key, None)

    def give_back(self, key: str) -> None:
        """The newest failure was none."""
        failures = self._recent(key)
        if failures:
            failures.pop()

    def _recent(self, key: str) -> deque[float]:
        failures = self._failures.get(key, deque(maxlen=self._limit))
        while failures and self._clock() - failures[0] >= self._window_s:
            failures.popleft()
        return failures
