"""Slots: a call keeps its own, and one that is at work is never taken from it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.providers.llm.slots import SlotTable


def test_a_call_comes_back_to_its_slot() -> None:
    table = SlotTable(2)
    first, second = table.take("a"), table.take("b")
    assert {first, second} == {0, 1}
    for slot in (first, second):
        assert slot is not None
        table.give_back(slot)
    assert table.take("a") == first
    assert table.take("b") == second


def test_the_slot_that_idled_longest_goes_first() -> None:
    table = SlotTable(2)
    for key in ("a", "b", "a"):
        slot = table.take(key)
        assert slot is not None
        table.give_back(slot)
    assert table.take("c") == 1
    assert table.take("a") == 0


def test_a_call_waits_for_its_own_slot_but_not_for_anothers() -> None:
    table = SlotTable(1)
    assert table.take("a") == 0
    assert table.take("b") is None
    assert table.take("a") == 0


def test_requests_without_a_key_share_nothing() -> None:
    table = SlotTable(2)
    assert table.take("") != table.take("")


def test_a_call_that_lost_its_slot_begins_anew() -> None:
    table = SlotTable(1)
    for key, fresh in (("a", True), ("a", False), ("b", True), ("a", True)):
        slot = table.take(key)
        assert slot is not None
        assert table.is_fresh(slot) is fresh
        table.give_back(slot)


class Calls(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable(3)
        self.working: list[tuple[str, int]] = []
        self.last: dict[str, int] = {}

    @rule(key=st.sampled_from("abcdef"))
    def take(self, key: str) -> None:
        slot = self.table.take(key)
        busy = {number for _, number in self.working}
        if slot is None:
            assert busy == {0, 1, 2}
            assert key not in {holder for holder, _ in self.working}
            return
        assert slot not in busy or (key, slot) in self.working
        self.working.append((key, slot))

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        _, slot = self.working.pop(data.draw(st.integers(0, len(self.working) - 1)))
        self.table.give_back(slot)

    @invariant()
    def one_key_a_slot(self) -> None:
        holders: dict[int, str] = {}
        for key, slot in self.working:
            assert holders.setdefault(slot, key) == key


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
