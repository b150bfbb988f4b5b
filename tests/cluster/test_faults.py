"""Parts are killed under live calls; what the caller hears and what the journal holds must not suffer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import psutil

from engine.errors import ParleyError
from engine.simulator import recordings
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity
from engine.simulator.events import AgentPiece, Event, Heard, StateChange
from tests.cluster.conftest import Note
from tests.cluster.site import Site, eventually
from tests.cluster.talk import ANSWER_S, Judge, answer_since, ask, call_id, greeted, meanwhile

BACK_S = 60.0
"""Within which a killed part is back, on a machine that is busy with other things."""
BYTES_A_MS, FRAME = 8, 160
QUESTION, OTHER = "demo-parking", "tuning-19"
"""Neither has a pause within: each is one turn, ended once. Their answers are easy to judge by ear."""


async def test_a_call_actor_killed_in_mid_answer(server: Site, judge: Judge, note: Note) -> None:
    async with server.dial() as caller:
        await greeted(caller)
        call, victim = call_id(caller), await server.actor(call_id(caller))
        events = len(caller.events)
        said = await caller.say(recordings.get(QUESTION).pcm())
        assert await caller.wait_for(_answer_begins, ANSWER_S)
        assert await _speaks(caller, said.end)
        killed = time.monotonic()
        server.kill(victim["pid"])
        await eventually(lambda: server.entries(call, "attached"), 10, "the call was taken over")
        note("taken over ms", round((time.monotonic() - killed) * 1000))
        assert await caller.agent_done(ANSWER_S)
        answer = answer_since(caller, events, said.end, True)
        assert not (wrong := await judge.missing(answer.audio, recordings.get(QUESTION).facts)), wrong
        await _told_once(server, caller, call, turns=1)
        assert (await server.actor(call))["name"] != victim["name"]

        again = await ask(caller, "repeat-1")
        assert again.text == answer.text, "the replacement does not know what was said"
    assert await server.ended(call) == "caller hung up"
    assert [one["reason"] for one in await server.entries(call, "attached")] == ["actor lost"]


async def test_a_call_actor_killed_in_mid_question(server: Site, judge: Judge) -> None:
    async with server.dial() as caller:
        await greeted(caller)
        call, victim = call_id(caller), await server.actor(call_id(caller))
        async with meanwhile(ask(caller, OTHER)) as asking:
            assert await caller.wait_for(lambda event: event == StateChange("hearing"), ANSWER_S)
            await caller.pause(0.5)
            server.kill(victim["pid"])
            answer = await asking
        assert answer.done
        assert not (wrong := await judge.missing(answer.audio, recordings.get(OTHER).facts)), wrong
        assert {"take", "insurance"} <= {word.strip(".,?!").lower() for word in answer.heard_as.split()}
        await _told_once(server, caller, call, turns=1)
    assert await server.ended(call) == "caller hung up"
    assert [one["reason"] for one in await server.entries(call, "attached")] == ["actor lost"]


async def test_the_switchboard_killed_under_a_live_call(server: Site, judge: Judge, note: Note) -> None:
    async with server.dial() as caller:
        await greeted(caller)
        async with server.dial() as leaving:
            await greeted(leaving)
            before = await server.ray.ask("board")
            killed = time.monotonic()
            server.kill(before["pid"])
        await judge.asked(caller, OTHER)

        async def admitted() -> bool:
            try:
                async with server.dial() as other:
                    await greeted(other)
                    return True
            except ParleyError:
                return False

        await eventually(admitted, BACK_S, "a new call is admitted")
        note("a new call is greeted after s", round(time.monotonic() - killed, 1))
        after = await server.ray.ask("board")
        assert after["pid"] != before["pid"]
        assert call_id(caller) in after["calls"], "the live call's lease was not learnt"
        again = await ask(caller, "repeat-1")
        assert again.kinds == ["courtesy"]
    assert await server.ended(call_id(caller)) == "caller hung up"
    await server.freed(call_id(caller), 5)
    assert await server.ended(call_id(leaving)) == "caller hung up"
    await server.at_rest()


async def test_a_media_replica_killed_in_mid_answer(server: Site, judge: Judge, note: Note) -> None:
    identity = CallIdentity()
    others = {process.pid: _peers(process) for process in server.processes("MediaEdge")}
    assert len(others) == 2
    async with server.dial(Line(identity)) as caller:
        await greeted(caller)
        victim = await _edge_of_new_socket(server, others)
        said = await caller.say(recordings.get(QUESTION).pcm())
        assert await _speaks(caller, said.end)
        server.kill(victim)
        assert not await caller.agent_done(ANSWER_S), "the socket outlived its replica"
    assert not caller.open
    dropped = time.monotonic()

    async with server.dial(Line(identity)) as again:
        assert await again.wait_for(lambda event: isinstance(event, Heard), ANSWER_S), "the answer went on"
        note("answer heard to its end after s", round(time.monotonic() - dropped, 1))
        await again.agent_done(2)
        repeated = await ask(again, "repeat-1")
        assert not (wrong := await judge.missing(repeated.audio, recordings.get(QUESTION).facts)), wrong
    call = identity.call_sid
    assert await server.ended(call) == "caller hung up"
    assert len(await server.entries(call, "call_started")) == 1
    assert len(await server.entries(call, "attached")) == 1
    turns = [one["turn"] for one in await server.entries(call, "turn_ended")]
    assert sorted(set(turns)) == [1, 2]
    assert turns.count(1) == 1
    await eventually(lambda: _count(server, "MediaEdge", 2), BACK_S, "the replica was replaced")


async def test_the_stt_replica_killed_between_turns(server: Site, judge: Judge, note: Note) -> None:
    async with server.dial() as caller:
        await greeted(caller)
        for replica in server.processes("ServeReplica:stt"):
            server.kill(replica.pid)
        killed = time.monotonic()
        events = len(caller.events)
        said = await caller.say(recordings.get(OTHER).pcm())
        assert await _speaks(caller, said.end), "the caller heard nothing"
        note("something was heard after s", round(time.monotonic() - killed, 1))
        await caller.agent_done(ANSWER_S)
        answer = answer_since(caller, events, said.end, True)
        assert set(answer.kinds) in ({"not_heard"}, {"reply"}), answer
        await eventually(lambda: _responds(server, "stt"), BACK_S, "speech is understood again")
        note("stt is back after s", round(time.monotonic() - killed, 1))
        await _settle(caller)
        await judge.asked(caller, OTHER)
    assert await server.ended(call_id(caller)) == "caller hung up"


async def test_the_language_models_server_killed_between_turns(
    server: Site, judge: Judge, note: Note
) -> None:
    async with server.dial() as caller:
        await greeted(caller)
        (model,) = server.processes("deployments.llama_server")
        server.kill(model.pid)
        killed = time.monotonic()
        answer = await ask(caller, OTHER)
        assert answer.done
        assert set(answer.kinds) in ({"apology"}, {"reply"}), answer
        note("first answer", answer.text)

        async def started() -> list[psutil.Process]:
            return [one for one in server.processes("deployments.llama_server") if one.pid != model.pid]

        await eventually(started, BACK_S, "the model's server was started again")
        await eventually(lambda: _same_pid(server), BACK_S, "the model answers again")
        note("the model is back after s", round(time.monotonic() - killed, 1))
        await _settle(caller)
        await judge.asked(caller, OTHER)
    assert await server.ended(call_id(caller)) == "caller hung up"


def _answer_begins(event: Event) -> bool:
    return isinstance(event, AgentPiece) and event.kind == "reply"


async def _speaks(caller: Caller, tick: int, within_s: float = ANSWER_S) -> bool:
    """The agent is heard after that tick."""

    async def heard() -> bool:
        return caller.tape.last_agent_loud > tick or not caller.open

    await eventually(heard, within_s, "the agent speaks")
    return caller.tape.last_agent_loud > tick


async def _settle(caller: Caller) -> None:
    """Until the agent is silent, should it say something of its own accord just now."""
    while caller.open and len(caller.tape) - caller.tape.last_agent_loud < 30:
        await caller.pause(0.1)


async def _told_once(server: Site, caller: Caller, call: str, *, turns: int) -> None:
    """Nothing was said or written twice: words, pieces and bytes agree."""
    pieces = [event for event in caller.events if isinstance(event, AgentPiece)]
    assert len({(piece.turn, piece.piece, piece.kind) for piece in pieces}) == len(pieces), pieces
    promised = sum(piece.audio_ms or 0.0 for piece in pieces) * BYTES_A_MS
    surplus = caller.carrier.received_bytes - promised
    assert 0 <= surplus < FRAME * len(pieces), f"audio came twice or not at all: {surplus} bytes too many"
    assert [one["turn"] for one in await server.entries(call, "turn_ended")] == list(range(1, turns + 1))
    heard = await server.entries(call, "heard")
    assert [one["turn"] for one in heard] == list(range(turns + 1))
    for one in heard:
        words = " ".join(piece.text.strip() for piece in pieces if piece.turn == one["turn"])
        assert one["text"] == words
        assert one["interrupted"] is False


async def _count(server: Site, title: str, wanted: int) -> bool:
    return len(server.processes(title)) == wanted


async def _responds(server: Site, app: str) -> Any:
    try:
        return await server.ray.ask("info", app=app)
    except RuntimeError:
        return None


async def _same_pid(server: Site) -> bool:
    """The deployment knows the server that runs: it has connected to it."""
    info = await _responds(server, "llm")
    return bool(info) and info["server_pid"] in [p.pid for p in server.processes("deployments.llama_server")]


def _peers(process: psutil.Process) -> set[tuple[int, int]]:
    """(own port, other port) of a process's open connections."""
    return {
        (one.laddr.port, one.raddr.port)
        for one in process.net_connections("tcp")
        if one.status == psutil.CONN_ESTABLISHED
    }


async def _edge_of_new_socket(server: Site, before: dict[int, set[tuple[int, int]]]) -> int:
    """Pid of the replica with a connection that was not there before and stays: health checks come and go."""

    async def found() -> Sequence[int]:
        first = {p.pid: _peers(p) - before.get(p.pid, set()) for p in server.processes("MediaEdge")}
        await asyncio.sleep(0.5)
        stayed = {p.pid: first.get(p.pid, set()) & _peers(p) for p in server.processes("MediaEdge")}
        holders = [pid for pid, peers in stayed.items() if peers]
        return holders if len(holders) == 1 else ()

    (pid,) = await eventually(found, 10, "one replica holds the new socket")
    return pid
