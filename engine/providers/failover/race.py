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
    """Whether a provider may be asked; what became of it. `Breaker` is one.

    An admitted request ends in `succeeded`, `failed` or `abandoned`; `late` may be said besides.
    """

    def admit(self, now: float) -> bool: ...
    def succeeded(self, now: float) -> None: ...
    def failed(self, error: ProviderError, now: float) -> None: ...
    def late(self, error: ProviderError, now: float) -> None: ...
    def abandoned(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StageRules:
    """Seconds after a start. The last provider of a chain has all the time that its caller has.

    `answer_s`: until a provider counts as failed, and the next one is asked; should the slow one answer first
    all the same, its answer is taken. `hedge_s`: until the next one is asked without any blame.
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
    late: bool = False
    broke: bool = False
    """It ended in an error: it is not asked again for the rest of a reply."""


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
    _resting: bool = False
    _last: ProviderError | None = None

    def __post_init__(self, entrants: Sequence[tuple[str, Gate]]) -> None:
        self.runners = [_Runner(name, gate) for name, gate in entrants]

    def begin(self, now: float) -> list[Step]:
        self.budget.earn()
        return self._start_next(now)

    def failed(self, runner: int, error: ProviderError, now: float) -> list[Step]:
        """A provider's request has ended without an answer."""
        one = self._end(runner)
        one.broke = True
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
        self._last = self._last or error  # that nobody was asked is the reason only where there is no other
        if any(other.running and not other.late for other in self.runners):
            return []
        return self._start_next(now)

    def answered(self, runner: int, now: float) -> list[Step]:
        """The first answer: whoever else runs is stopped."""
        winner = self._end(runner)
        winner.gate.succeeded(now)
        steps: list[Step] = []
        for place, other in enumerate(self.runners):
            if not other.running:
                continue
            if place < runner and not other.late:
                # Beaten though it had a start: again and again, and its breaker opens.
                self._blame(other, now)
            self._end(place).gate.abandoned()
            steps.append(Stop(place))
        if self.route:
            self.route.append(Decision(winner.name, "answered", self._ms(winner, now)))
        self._next = len(self.runners)
        return steps

    def left_after(self, runner: int) -> list[int]:
        """Who may go on with the reply of this one, which broke off: all who have not failed themselves."""
        return [place for place, one in enumerate(self.runners) if place != runner and not one.broke]

    def abandoned(self) -> None:
        """Whoever asked has gone."""
        for place, one in enumerate(self.runners):
            if one.running:
                self._end(place).gate.abandoned()

    def wake_at(self) -> float | None:
        """When `woken` has something to do."""
        if self._resting or self._next >= len(self.runners):
            return None
        return min((self._due(one) for one in self.runners if one.running and not one.late), default=None)

    def woken(self, now: float) -> list[Step]:
        """Somebody takes long: the next one is asked besides."""
        steps: list[Step] = []
        for one in self.runners:
            if not one.running or one.late or now < self._due(one):
                continue
            hedge = self.rules.hedge_s is not None and not self._hedged
            started = self._start_next(now, second=True)
            if not started:
                self._resting = True  # nobody else is asked: this one may take its time
                return steps
            if hedge:
                self._hedged = True
                self.route.append(Decision(one.name, "hedged", self._ms(one, now)))
            else:
                one.late = True
                self._blame(one, now)
            steps += started
        return steps

    def _blame(self, one: _Runner, now: float) -> None:
        error = ProviderTimeout(f"{one.name} did not answer in time", provider=one.name)
        one.gate.late(error, now)
        self.route.append(Decision(one.name, "too slow", self._ms(one, now)))

    def _due(self, one: _Runner) -> float:
        assert one.started is not None
        hedging = self.rules.hedge_s is not None and not self._hedged
        return one.started + (self.rules.hedge_s if hedging and self.rules.hedge_s else self.rules.answer_s)

    def _start_next(self, now: float, *, second: bool = False) -> list[Step]:
        """`second`: besides one that runs, which the budget pays for."""
        while self._next < len(self.runners):
            place, one = self._next, self.runners[self._next]
            self._next += 1
            if not one.gate.admit(now):
                one.broke = True
                self.route.append(Decision(one.name, "not asked"))
                self._last = self._last or BreakerOpen(f"{one.name} is not asked for now", provider=one.name)
                continue
            if second and not self.budget.spend():
                one.gate.abandoned()
                self.route.append(Decision(one.name, "not retried"))
                self._next = place  # should the one that runs fail, it is asked all the same
                return []
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
