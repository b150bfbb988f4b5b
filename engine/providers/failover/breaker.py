"""A circuit breaker and a retry budget. Pure: the caller tells the time, in seconds of a monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import ProviderError, ProviderRefusesUs, ProviderRejected, ProviderUnavailable

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """Times in seconds.

    `failures` in a row open the breaker for `open_s`, twice as long each time that the probe fails, up to
    `longest_s`; a provider that refuses our key opens it for `refused_s` at once. Of one that has not
    answered since, only `unproven` requests are under way at a time: so many may be lost on a dead one.
    """

    failures: int = 3
    open_s: float = 5.0
    longest_s: float = 60.0
    refused_s: float = 60.0
    unproven: int = 8


class BreakerOpen(ProviderUnavailable):
    """The provider was not asked: its breaker is open, or it has enough unanswered requests."""


class Breaker:
    """One provider's. An admitted request ends in one of `succeeded`, `probed`, `failed` and `abandoned`."""

    def __init__(self, rules: BreakerRules | None = None) -> None:
        self._rules = rules or BreakerRules()
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._proven = False
        self._in_flight = 0

    def state(self, now: float) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half-open"

    def admit(self, now: float) -> bool:
        """Whether a request may be sent now; if so it is under way."""
        state = self.state(now)
        most = 1 if state == "half-open" else self._rules.unproven
        if state == "open" or (self._in_flight >= most and not self._proven):
            return False
        self._in_flight += 1
        return True

    def proved(self) -> None:
        """It answers: as many requests may be under way as there are."""
        self._proven = True

    def succeeded(self, now: float) -> None:
        """What was sent before it opened does not close it again: it has said since that it cannot."""
        self._in_flight -= 1
        if self.state(now) != "open":
            self._failures = self._openings = 0
            self._open_until = None
            self._proven = True

    def probed(self, now: float) -> None:
        """A sample went well: it is asked again, few at a time; how it fares with callers is to be seen."""
        self._in_flight -= 1
        if self.state(now) != "open":
            self._failures = 0
            self._open_until = None

    def failed(self, error: ProviderError, now: float) -> None:
        """What it means depends on the error: a refused request shows that the provider is well."""
        if isinstance(error, ProviderRejected):
            self.succeeded(now)
            return
        self._in_flight -= 1
        self._count(error, now)

    def late(self, error: ProviderError, now: float) -> None:
        """A failure of a request that goes on, or has ended: it did not answer in time, or broke off."""
        self._count(error, now)

    def heard(self, now: float) -> None:
        """A request that was not admitted here has been answered."""
        self._in_flight += 1
        self.succeeded(now)

    def abandoned(self) -> None:
        """It was cancelled before it answered: nothing is known."""
        self._in_flight -= 1

    def opens_again_at(self) -> float | None:
        """When it becomes half-open; None while it is closed."""
        return self._open_until

    def _count(self, error: ProviderError, now: float) -> None:
        state = self.state(now)
        self._failures += 1
        if isinstance(error, ProviderRefusesUs):
            self._open(now, self._rules.refused_s)
        elif isinstance(error, ProviderUnavailable) and error.retry_after_s is not None:
            self._open(now, min(error.retry_after_s, self._rules.refused_s))
        elif state == "half-open" or (state == "closed" and self._failures >= self._rules.failures):
            # What fails while it is open was asked before: one reason to wait, not several.
            self._open(now, min(self._rules.open_s * 2**self._openings, self._rules.longest_s))
            self._openings += 1

    def _open(self, now: float, for_s: float) -> None:
        self._open_until = max(self._open_until or 0.0, now + for_s)
        self._failures = 0
        self._proven = False


class RetryBudget:
    """What is asked besides something that runs is paid from what first requests save up: a share of them.

    `share` of a second request is saved by each first one; at most `most` are kept, which is also what there
    is in the beginning. Who is asked because the one before has failed costs nothing: nobody else is asked.
    """

    def __init__(self, share: float = 0.5, most: float = 6.0) -> None:
        self._share = share
        self._most = most
        self._saved = most

    def earn(self) -> None:
        self._saved = min(self._most, self._saved + self._share)

    def spend(self) -> bool:
        """Whether there is one left; if so it is gone."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
