"""The handle of a named actor: looked up when it is needed, kept, and dropped when the actor died."""

from __future__ import annotations

from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from actors.named import NamedActor


class Actor:
    def __init__(self, *, dead: bool = False) -> None:
        self.dead = dead
        self.told = 0

    async def answer(self) -> int:
        if self.dead:
            raise ActorDiedError
        return 42

    def note(self) -> None:
        self.told += 1


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Ray finds, one look-up after the other."""
    found: list[Any] = []

    def get_actor(name: str, namespace: str) -> Any:
        assert (name, namespace) == ("switchboard", "parley")
        if not found:
            raise ValueError("no such actor")
        return found.pop(0)

    monkeypatch.setattr("actors.named.ray.get_actor", get_actor)
    return found


async def test_it_is_looked_up_once(registry: list[Any]) -> None:
    registry += [Actor()]
    board = NamedActor("switchboard")
    assert [await board.ask(lambda actor: actor.answer()) for _ in range(2)] == [42, 42]


async def test_one_that_died_is_looked_up_anew(registry: list[Any]) -> None:
    registry += [Actor(dead=True), Actor()]
    board = NamedActor("switchboard")
    with pytest.raises(ActorDiedError):
        await board.ask(lambda actor: actor.answer())
    assert await board.ask(lambda actor: actor.answer()) == 42


async def test_what_is_not_there_is_asked_for_each_time(registry: list[Any]) -> None:
    board = NamedActor("switchboard")
    with pytest.raises(ValueError, match="no such actor"):
        await board.ask(lambda actor: actor.answer())
    registry += [Actor()]
    assert await board.ask(lambda actor: actor.answer()) == 42


async def test_telling_waits_for_nothing_and_looks_nothing_up(registry: list[Any]) -> None:
    actor = Actor()
    registry += [actor]
    board = NamedActor("switchboard")
    board.tell(lambda one: one.note())
    assert (actor.told, len(registry)) == (0, 1)
    await board.ask(lambda one: one.answer())
    board.tell(lambda one: one.note())
    assert actor.told == 1
