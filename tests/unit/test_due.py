"""The queue in which who is due first is served first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.providers.due import DueFirst


@given(
    due=st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5])),
    gone=st.sets(st.integers(0, 20)),
)
def test_in_the_order_of_time_then_of_coming_without_those_who_left(due: list[float], gone: set[int]) -> None:
    queue: DueFirst[int] = DueFirst()
    for waiter, time in enumerate(due):
        queue.add(waiter, time)
    for waiter in gone:
        queue.discard(waiter)
    left = [waiter for waiter in range(len(due)) if waiter not in gone]
    assert len(queue) == len(left)
    assert [queue.take() for _ in left] == sorted(left, key=lambda waiter: (due[waiter], waiter))
    assert queue.take() is None


def test_who_comes_later_and_is_due_sooner_is_next() -> None:
    queue: DueFirst[str] = DueFirst()
    queue.add("further part", 2.0)
    queue.add("first part", 1.0)
    assert (queue.take(), queue.take()) == ("first part", "further part")
