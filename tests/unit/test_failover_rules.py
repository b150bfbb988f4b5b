"""Breaker, budget and race, by a clock that the test sets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.errors import (
    ProviderError,
    ProviderRefusesUs,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from engine.providers.base import Decision
from engine.providers.failover.breaker import Breaker, BreakerOpen, BreakerRules, RetryBudget
from engine.providers.failover.race import Lost, Race, StageRules, Start, Step, Stop

DOWN, LATE = ProviderUnavailable("down"), ProviderTimeout("late")
RULES = BreakerRules(failures=3, open_s=5, longest_s=20, refused_s=60, unproven=2)


def proven() -> Breaker:
    breaker = Breaker(RULES)
    assert breaker.admit(0)
    breaker.succeeded(0)
    return breaker


def fail(breaker: Breaker, error: ProviderError, now: float) -> None:
    assert breaker.admit(now)
    breaker.failed(error, now)


def test_failures_in_a_row_open_it_and_a_probe_closes_it() -> None:
    breaker = proven()
    for now in (1, 2):
        fail(breaker, DOWN, now)
        assert breaker.state(now) == "closed"
    fail(breaker, LATE, 3)
    assert (breaker.state(7.9), breaker.state(8)) == ("open", "half-open")
    assert not breaker.admit(7.9)
    assert breaker.admit(8)
    assert not breaker.admit(8), "one probe at a time"
    breaker.succeeded(8)
    assert breaker.state(8) == "closed"
    assert all(breaker.admit(8) for _ in range(50))


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = proven()
    for now in range(10):
        fail(breaker, DOWN, now)
        assert breaker.admit(now)
        breaker.succeeded(now)
    assert breaker.state(10) == "closed"


def test_a_probe_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    breaker, now, waits = proven(), 0.0, []
    for _ in range(3):
        fail(breaker, DOWN, now)
    for _ in range(4):
        opened = now
        while not breaker.admit(now):
            now += 0.5
        waits.append(now - opened)
        breaker.failed(DOWN, now)
    assert waits == [5, 10, 20, 20]


def test_a_vendor_says_how_long() -> None:
    breaker = proven()
    fail(breaker, ProviderUnavailable("busy", retry_after_s=7), 1)
    assert (breaker.state(7.9), breaker.state(8)) == ("open", "half-open")


def test_a_refused_key_opens_it_at_once() -> None:
    breaker = proven()
    fail(breaker, ProviderRefusesUs("no such key"), 1)
    assert (breaker.state(60), breaker.state(61)) == ("open", "half-open")


def test_a_refused_request_shows_that_it_is_well() -> None:
    breaker = proven()
    for now in range(10):
        fail(breaker, ProviderRejected("too long"), now)
    assert breaker.state(10) == "closed"


def test_what_is_cancelled_says_nothing() -> None:
    breaker = Breaker(RULES)
    for now in range(10):
        assert breaker.admit(now)
        breaker.abandoned()
    assert breaker.state(10) == "closed"


@pytest.mark.parametrize("opened", [False, True])
def test_of_a_dead_provider_only_a_few_requests_are_lost(opened: bool) -> None:
    """50 calls at once, whether it was dead from the start or has died and its probe hangs."""
    breaker = Breaker(RULES)
    now = 0.0
    if opened:
        for now in (0.0, 1.0, 2.0):
            fail(breaker, DOWN, now)
        now = 7.0
    admitted = [breaker.admit(now) for _ in range(50)]
    assert sum(admitted) == (1 if opened else RULES.unproven)
    assert not breaker.admit(now + 0.5)


def test_what_was_sent_before_it_opened_does_not_close_it() -> None:
    breaker = proven()
    assert breaker.admit(0)
    fail(breaker, ProviderUnavailable("busy", retry_after_s=30), 1)
    breaker.succeeded(2)
    assert breaker.state(29) == "open"


def test_a_probe_that_goes_well_lets_few_in_until_a_caller_is_answered() -> None:
    breaker = proven()
    for now in (0, 1, 2):
        fail(breaker, DOWN, now)
    assert breaker.admit(7)
    breaker.probed(7)
    assert sum(breaker.admit(7) for _ in range(50)) == RULES.unproven
    breaker.failed(DOWN, 8)
    breaker.abandoned()
    for now in (8, 9):
        fail(breaker, DOWN, now)
    assert breaker.state(18.9) == "open", "twice as long, as no caller was answered"


def test_failures_that_come_together_are_one_reason() -> None:
    breaker = proven()
    assert all(breaker.admit(0) for _ in range(50))
    for _ in range(50):
        breaker.failed(DOWN, 1)
    assert breaker.state(6) == "half-open"


def test_retries_are_a_share_of_the_requests() -> None:
    budget = RetryBudget(share=0.5, most=2)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    spent = 0
    for _ in range(100):
        budget.earn()
        spent += budget.spend()
    assert spent == 50


class Gates:
    """A race of three; `closed` are not asked."""

    def __init__(
        self, rules: StageRules, closed: Sequence[int] = (), budget: RetryBudget | None = None
    ) -> None:
        self.breakers = [proven() for _ in range(3)]
        for place in closed:
            fail(self.breakers[place], ProviderRefusesUs("no"), 0)
        entrants = list(zip("abc", self.breakers, strict=True))
        self.race = Race(entrants, rules, budget or RetryBudget())

    def route(self) -> list[tuple[str, str, int]]:
        return [(one.provider, one.what, one.after_ms) for one in self.race.route]


def lost(steps: list[Step]) -> ProviderError:
    (step,) = steps
    assert isinstance(step, Lost)
    return step.error


def test_the_first_one_answers() -> None:
    world = Gates(StageRules(1.0))
    assert world.race.begin(10) == [Start(0)]
    assert world.race.wake_at() == 11
    assert world.race.answered(0, 10.3) == []
    assert world.race.wake_at() is None
    assert world.route() == []


def test_who_fails_is_followed_at_once_and_who_is_slow_is_replaced() -> None:
    world = Gates(StageRules(1.0))
    world.race.begin(0)
    assert world.race.failed(0, DOWN, 0.2) == [Start(1)]
    assert world.race.woken(1.1) == []
    assert world.race.woken(1.2) == [Start(2)]
    assert world.race.wake_at() is None, "the last one has all the time that its caller has"
    assert world.race.answered(2, 5.0) == [Stop(1)]
    assert world.route() == [
        ("a", "failed", 200),
        ("b", "too slow", 1000),
        ("c", "answered", 3800),
    ]


def test_who_is_merely_slow_is_taken_when_nobody_else_answers() -> None:
    world = Gates(StageRules(0.8))
    world.race.begin(0)
    assert world.race.woken(0.8) == [Start(1)]
    assert world.race.failed(1, BreakerOpen("not now"), 0.81) == [Start(2)]
    assert world.race.failed(2, DOWN, 0.9) == []
    assert world.race.answered(0, 1.0) == []
    assert world.route()[-1] == ("a", "answered", 1000)


def test_the_last_error_is_the_races() -> None:
    world = Gates(StageRules(1.0))
    world.race.begin(0)
    world.race.failed(0, DOWN, 0.1)
    world.race.failed(1, DOWN, 0.2)
    assert lost(world.race.failed(2, LATE, 0.3)) is LATE


def test_an_open_breaker_costs_nothing() -> None:
    world = Gates(StageRules(1.0), closed=(0, 1), budget=RetryBudget(most=0))
    assert world.race.begin(1) == [Start(2)]
    assert world.route() == [("a", "not asked", 0), ("b", "not asked", 0)]
    assert isinstance(lost(Gates(StageRules(1.0), closed=(0, 1, 2)).race.begin(1)), BreakerOpen)


def test_a_hedge_runs_beside_and_the_first_answer_wins() -> None:
    world = Gates(StageRules(1.0, hedge_s=0.4))
    world.race.begin(0)
    assert world.race.wake_at() == 0.4
    assert world.race.woken(0.4) == [Start(1)]
    assert world.race.answered(0, 0.6) == [Stop(1)]
    assert world.route() == [("a", "hedged", 400), ("a", "answered", 600)]
    assert world.breakers[1].state(1) == "closed"


def test_who_is_beaten_by_its_hedge_again_and_again_is_asked_no_more() -> None:
    world = Gates(StageRules(1.0, hedge_s=0.4))
    for turn in range(RULES.failures):
        race = Race(list(zip("ab", world.breakers[:2], strict=True)), world.race.rules, RetryBudget())
        assert race.begin(turn) == [Start(0)]
        assert race.woken(turn + 0.4) == [Start(1)]
        assert race.answered(1, turn + 0.5) == [Stop(0)]
    race = Race(list(zip("ab", world.breakers[:2], strict=True)), world.race.rules, RetryBudget())
    assert race.begin(3) == [Start(1)]


def test_only_one_hedge() -> None:
    world = Gates(StageRules(1.0, hedge_s=0.4))
    world.race.begin(0)
    world.race.woken(0.4)
    assert world.race.woken(0.9) == []
    assert world.race.woken(1.0) == [Start(2)]


def test_without_budget_nothing_is_asked_besides() -> None:
    world = Gates(StageRules(1.0, hedge_s=0.4), budget=RetryBudget(share=0, most=1))
    world.race.begin(0)
    assert world.race.woken(0.4) == [Start(1)]
    assert world.race.woken(1.0) == []
    assert world.race.wake_at() is None
    assert world.route()[-1] == ("c", "not retried", 0)
    assert world.race.failed(0, DOWN, 1.1) == []
    assert world.race.failed(1, DOWN, 1.2) == [Start(2)], (
        "when nobody runs, the next one is asked all the same"
    )


def test_a_vendor_whose_own_breaker_is_open_costs_nothing() -> None:
    world = Gates(StageRules(1.0), budget=RetryBudget(share=0, most=0))
    world.race.begin(0)
    assert world.race.failed(0, BreakerOpen("not now"), 0.002) == [Start(1)]
    assert world.race.route == [Decision("a", "not asked")]


def test_who_goes_on_with_a_reply_that_broke_off() -> None:
    world = Gates(StageRules(1.0, hedge_s=0.4))
    world.race.begin(0)
    world.race.woken(0.4)
    world.race.answered(1, 0.5)
    assert world.race.left_after(1) == [0, 2], "the slower one is alive"
    world = Gates(StageRules(1.0), closed=(0,))
    world.race.begin(1)
    world.race.failed(1, DOWN, 1.1)
    world.race.answered(2, 1.2)
    assert world.race.left_after(2) == []


def test_whoever_asked_has_gone() -> None:
    world = Gates(StageRules(1.0, hedge_s=0.4))
    world.race.begin(0)
    world.race.woken(0.4)
    world.race.abandoned()
    assert [breaker.state(1) for breaker in world.breakers] == ["closed"] * 3
