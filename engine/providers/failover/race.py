"""Who is asked, in which order, and when the next one is: one request's way down its chain. Pure.

A race is driven: `begin`, then `failed`, `answered` and, at `wake_at`, `woken`. Each returns what is to be
done. It never starts a provider twice, and starts none whose gate is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Literal, Protocol

from engine.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers.base import Decision
from engine.providers.failover.breaker import BreakerOpen, RetryBudget


class Gate(Protocol):
    """Whether a provider may be asked; what became of it. `Breaker` is one."""

    def admit(self, now: float) -> bool: ...
    def succeeded(self) -> None: ...
    def failed(self, error: ProviderError, now: float) -> None: ...
    def broke(self, error: ProviderError, now: float) -> None: ...
    def abandoned(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StageRules:
    """Seconds after a start. The last provider of a chain has all the time that its caller has.

    `answer_s`: until the next one is asked instead. `hedge_s`: until the next one is asked besides.
    """

    answer_s: float
    hedge_s: float | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Ask this provider, by its place in the chain."""

    runner: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel it: another has won, or it is too late."""

    runner: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody is left to ask."""

    error: ProviderError


Step = Start | Stop | Lost


@dataclass(slots=True)
class _Runner:
    name: str
    gate: Gate
    started: float | None = None
    running: bool = False


@dataclass(slots=True)
class Race:
    """One request. `route`: what was decided, for the turn's timeline; empty when the first one answers."""

    entrants: InitVar[Sequence[tuple[str, Gate]]]
    rules: StageRules
    budget: RetryBudget
    runners: list[_Runner] = field(init=False)
    route: list[Decision] = field(default_factory=list)
    _next: int = 0
    _hedged: bool = False
    _last: ProviderError | None = None

    def __post_init__(self, entrants: Sequence[tuple[str, Gate]]) -> None:
        self.runners = [_Runner(name, gate) for name, gate in entrants]

    def begin(self, now: float) -> list[Step]:
        self.budget.earn()
        return self._start_next(now, free=True)

    def failed(self, runner: int, error: ProviderError, now: float) -> list[Step]:
        """A provider's request has ended without an answer."""
        one = self._end(runner)
        if isinstance(error, BreakerOpen):
            one.gate.abandoned()
            self.route.append(Decision(one.name, "not asked"))
        else:
            one.gate.failed(error, now)
            what: Literal["too slow", "failed"] = (
                "too slow" if isinstance(error, ProviderTimeout) else "failed"
            )
            self.route.append(Decision(one.name, what, self._ms(one, now)))
        self._last = error
        if any(other.running for other in self.runners):
            return []
        return self._start_next(now, free=isinstance(error, BreakerOpen))

    def answered(self, runner: int, now: float) -> list[Step]:
        """The first answer: whoever else runs is stopped."""
        winner = self._end(runner)
        winner.gate.succeeded()
        steps: list[Step] = []
        for place, other in enumerate(self.runners):
            if not other.running:
                continue
            self._end(place)
            steps.append(Stop(place))
            if place < runner:
                # Beaten though it had a start: again and again, and its breaker opens.
                other.gate.failed(ProviderTimeout(f"{other.name} was slower", provider=other.name), now)
                self.route.append(Decision(other.name, "too slow", self._ms(other, now)))
            else:
                other.gate.abandoned()
        if self.route:
            self.route.append(Decision(winner.name, "answered", self._ms(winner, now)))
        self._next = len(self.runners)
        return steps

    def abandoned(self) -> None:
        """Whoever asked has gone."""
        for place, one in enumerate(self.runners):
            if one.running:
                self._end(place).gate.abandoned()

    def wake_at(self) -> float | None:
        """When `woken` has something to do."""
        if self._next >= len(self.runners):
            return None
        times = [self._due(one) for one in self.runners if one.running]
        return min(times, default=None)

    def woken(self, now: float) -> list[Step]:
        """Somebody took too long: the next one is asked besides, or instead."""
        steps: list[Step] = []
        for place, one in enumerate(self.runners):
            if not one.running or now < self._due(one):
                continue
            hedge = self.rules.hedge_s is not None and not self._hedged
            started = self._start_next(now, free=False)
            if not any(isinstance(step, Start) for step in started):
                self._next = len(self.runners)  # nobody else can be asked: this one may take its time
                return steps
            if hedge:
                self._hedged = True
                self.route.append(Decision(one.name, "hedged", self._ms(one, now)))
            else:
                self._end(place)
                late = ProviderTimeout(f"{one.name} did not answer in time", provider=one.name)
                one.gate.failed(late, now)
                self.route.append(Decision(one.name, "too slow", self._ms(one, now)))
                steps.append(Stop(place))
            steps += started
        return steps

    def _due(self, one: _Runner) -> float:
        assert one.started is not None
        hedging = self.rules.hedge_s is not None and not self._hedged
        return one.started + (self.rules.hedge_s if hedging and self.rules.hedge_s else self.rules.answer_s)

    def _start_next(self, now: float, *, free: bool) -> list[Step]:
        while self._next < len(self.runners):
            place, one = self._next, self.runners[self._next]
            self._next += 1
            if not one.gate.admit(now):
                self.route.append(Decision(one.name, "not asked"))
                self._last = self._last or BreakerOpen(f"{one.name} is not asked for now", provider=one.name)
                continue
            if not free and not self.budget.spend():
                one.gate.abandoned()
                self.route.append(Decision(one.name, "not retried"))
                self._next = len(self.runners)
                break
            one.started, one.running = now, True
            return [Start(place)]
        if any(one.running for one in self.runners):
            return []
        return [Lost(self._last or ProviderUnavailable("there is nobody to ask"))]

    def _end(self, runner: int) -> _Runner:
        one = self.runners[runner]
        one.running = False
        return one

    @staticmethod
    def _ms(one: _Runner, now: float) -> int:
        assert one.started is not None
        return round((now - one.started) * 1000)
