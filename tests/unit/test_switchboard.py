"""The switchboard and a call actor without a cluster: what they know a call by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from actors import switchboard as module
from actors.call import CallActor
from actors.switchboard import Admission, Lease, Switchboard
from engine.call.spec import Attach, CallSpec, NotThisCall
from engine.link import Batch
from models import AgentConfig, CallKey

OURS, THEIRS = CallKey("acme", "CA1"), CallKey("other", "CA1")
"""Two carriers gave the same id."""


class Remote:
    """A method of an actor; notes what it is asked with."""

    def __init__(self, answer: object = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._answer = answer

    def remote(self, *arguments: object) -> asyncio.Future[Any]:
        self.asked.append(arguments)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_result(self._answer)
        return answer


class Cluster(dict[str, Any]):
    """Call actors by name, as the switchboard starts and finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.recorder = SimpleNamespace(spend=Remote(True), close=Remote())

    async def start(self, name: str) -> str:
        self[name] = SimpleNamespace(wind_up=Remote())
        return name


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(module, "recorder", lambda: cluster.recorder)
    monkeypatch.setattr(module, "_actor", cluster.get)
    monkeypatch.setattr("actors.switchboard.ray.kill", lambda actor: None)
    monkeypatch.setattr(Switchboard, "_adopt_actors", lambda board: None)
    monkeypatch.setattr(Switchboard, "_start_actor", lambda board, name: cluster.start(name))
    return cluster


@pytest.fixture
async def board(cluster: Cluster) -> AsyncIterator[Switchboard]:
    board = Switchboard()
    yield board
    # Again and again: a wait that ends just then takes the cancellation for itself.
    while any(not task.done() and task.cancel() for task in board._tasks):
        await asyncio.wait(board._tasks, timeout=0.01)


async def admitted(board: Switchboard, call: CallKey) -> Lease:
    return await board.admit(Admission(call, 8, f"token of {call.company_id}", 0.0))


async def test_companies_whose_carriers_gave_the_same_id_have_calls_of_their_own(board: Switchboard) -> None:
    ours = await admitted(board, OURS)
    assert await board.live(OURS)
    assert not await board.live(THEIRS)
    theirs = await admitted(board, THEIRS)
    assert (ours.actor != theirs.actor, ours.epoch, theirs.epoch) == (True, 0, 0)
    assert (await admitted(board, OURS)) == Lease(OURS, ours.actor, 1), "a call that is live gets its own"
    await board.finished(THEIRS, theirs.actor)
    await board.heartbeat([theirs])
    assert await board.live(OURS)
    assert not await board.live(THEIRS), "that edge has not heard yet that the call is over"


async def test_only_the_companys_own_call_is_ended_or_replaced(board: Switchboard, cluster: Cluster) -> None:
    ours, theirs = await admitted(board, OURS), await admitted(board, THEIRS)
    await board.wind_up(OURS)
    await board.wind_up(CallKey("third", "CA1"))
    assert cluster[ours.actor].wind_up.asked == [(OURS,)]
    assert cluster[theirs.actor].wind_up.asked == []
    other = await board.replace(OURS, ours.actor)
    assert other.actor not in (ours.actor, theirs.actor)
    assert (await board.replace(THEIRS, "one that was replaced before")).actor == theirs.actor
    await board.wind_up_all()
    assert [cluster[lease.actor].wind_up.asked for lease in (other, theirs)] == [[(OURS,)], [(THEIRS,)]]


async def test_an_actor_that_says_again_that_it_is_free_is_not_lent_twice(
    board: Switchboard, cluster: Cluster
) -> None:
    board._warm = 1
    ours = await admitted(board, OURS)
    await board.finished(OURS, ours.actor)
    theirs = await board.admit(Admission(THEIRS, 8, "theirs", 0.0))
    while theirs.actor != ours.actor:  # another was idle too: it is the older one's turn
        await board.finished(THEIRS, theirs.actor)
        theirs = await board.admit(Admission(THEIRS, 8, "theirs again", 0.0))
    await board.finished(OURS, ours.actor)
    assert ours.actor not in board._idle
    assert await board.live(THEIRS)


async def test_an_actor_says_that_it_is_free_until_a_switchboard_hears_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = asyncio.Event()
    answers = iter([RayActorError(), RayActorError(), None])
    said = list[tuple[Any, ...]]()

    async def finished(*what: object) -> None:
        said.append(what)
        if (answer := next(answers)) is not None:
            raise answer
        heard.set()

    board = SimpleNamespace(finished=SimpleNamespace(remote=finished))
    monkeypatch.setattr(
        "actors.call.ray.get_runtime_context", lambda: SimpleNamespace(get_actor_name=lambda: "call-1")
    )
    monkeypatch.setattr("actors.call.ray.get_actor", lambda *_: board)
    monkeypatch.setattr("actors.call.SWITCHBOARD_POLL_S", 0.0)
    over = asyncio.Event()
    over.set()

    async def nothing() -> None: ...

    conductor: Any = SimpleNamespace(
        spec=CallSpec("CA1", "acme", AgentConfig(id="a", company_id="acme")),
        finished=over,
        drained=nothing,
        stop=nothing,
    )
    await CallActor()._keep(conductor)
    assert heard.is_set()
    assert said == [(OURS, "call-1")] * 3


async def test_the_journal_that_is_closed_is_that_of_the_call(board: Switchboard, cluster: Cluster) -> None:
    await board._close_journal(THEIRS)
    assert cluster.recorder.close.asked == [("other", "CA1", "connection lost")]


async def test_an_actor_does_nothing_for_a_call_of_another_company(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(get_actor_name=lambda: "call-1")
    monkeypatch.setattr("actors.call.ray.get_runtime_context", lambda: context)
    monkeypatch.setattr("actors.call.ray.get_actor", lambda *_: None)
    actor, done = CallActor(), []
    specs = {
        call: CallSpec(call.call_id, call.company_id, AgentConfig(id="a", company_id="acme"))
        for call in (OURS, THEIRS)
    }
    held: Any = SimpleNamespace(
        spec=specs[OURS],
        epoch=0,
        finished=asyncio.Event(),
        hear=lambda _: done.append("heard"),
        wind_up=lambda: done.append("wound up"),
        hang_up=lambda _: done.append("hung up"),
    )
    actor._conductor = held
    nothing: Any = Batch(0, ())
    with pytest.raises(NotThisCall):
        await actor.hear(THEIRS, 0, nothing)
    with pytest.raises(NotThisCall):
        await actor.commands(THEIRS, 0, 0, 0)
    with pytest.raises(NotThisCall, match="busy"):
        await actor.attach(Attach(specs[THEIRS], 1))
    await actor.wind_up(THEIRS)
    await actor.hang_up(THEIRS, "over")
    assert done == []
    await actor.hear(OURS, 0, nothing)
    await actor.wind_up(OURS)
    await actor.hang_up(OURS, "over")
    assert done == ["heard", "wound up", "hung up"]
