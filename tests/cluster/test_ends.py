"""Calls end, with a reason, soon, and leave nothing behind."""

from __future__ import annotations

import time

import pytest

from engine.simulator import recordings
from engine.simulator.caller import Caller
from tests.cluster.conftest import Note
from tests.cluster.site import Site, eventually
from tests.cluster.talk import GREETING_S, call_id, greeted

CALLS = 20


async def test_the_caller_hangs_up(server: Site, note: Note) -> None:
    async with server.dial() as caller:
        await greeted(caller)
    hung_up = time.monotonic()
    await server.freed(call_id(caller), 5)
    note("free after s", round(time.monotonic() - hung_up, 2))
    assert await server.ended(call_id(caller)) == "caller hung up"
    assert (await server.journal(call_id(caller)))[-1].kind == "call_ended"


async def test_the_caller_hangs_up_in_mid_answer(server: Site) -> None:
    async with server.dial() as caller:
        await greeted(caller)
        said = await caller.say(recordings.get("demo-toothache").pcm())
        await eventually(lambda: _loud_after(caller, said.end), GREETING_S, "the answer begins")
    await server.freed(call_id(caller), 5)
    assert await server.ended(call_id(caller)) == "caller hung up"
    heard = await server.entries(call_id(caller), "heard")
    released = await server.entries(call_id(caller), "reply_released")
    text = " ".join(one["text"].strip() for one in released if one["turn"] == 1)
    assert heard[-1]["interrupted"] is True
    assert text.startswith(heard[-1]["text"])
    assert len(heard[-1]["text"]) < len(text)


async def test_a_line_that_breaks_ends_the_call_after_its_grace(server: Site, note: Note) -> None:
    async with server.dial() as caller:
        await greeted(caller)
        caller.drop_line()
        dropped = time.monotonic()
    assert not await server.entries(call_id(caller), "call_ended"), "no time was left to reconnect"
    await server.freed(call_id(caller), 6)
    note("free after s", round(time.monotonic() - dropped, 2))
    assert await server.ended(call_id(caller)) == "connection lost"


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.6])
async def test_the_caller_hangs_up_in_the_first_second(server: Site, after_s: float) -> None:
    async with server.dial() as caller:
        await caller.pause(after_s)
    await server.freed(call_id(caller), 5)
    journal = await server.journal(call_id(caller))
    assert not journal or journal[-1].data == {"reason": "caller hung up"}


async def test_a_line_that_breaks_before_the_call_began(server: Site) -> None:
    async with server.dial() as caller:
        caller.drop_line()
    await server.freed(call_id(caller), 6)


async def test_twenty_calls_leave_nothing_behind(server: Site, note: Note) -> None:
    await short_call(server)
    before = await server.at_rest()
    began = time.monotonic()
    for _ in range(CALLS):
        await short_call(server)
    note("s per call", round((time.monotonic() - began) / CALLS, 2))
    after = await server.at_rest()
    note("before", before)
    note("after", after)
    assert after.idle <= before.idle
    assert after.actors <= before.actors
    assert after.processes <= before.processes
    for pid, descriptors in after.descriptors.items():
        assert descriptors <= before.descriptors[pid] + 2, "sockets or files were left open"


async def short_call(server: Site) -> None:
    async with server.dial() as caller:
        await eventually(lambda: _loud_after(caller, 0), GREETING_S, "the greeting begins")
    assert await server.ended(call_id(caller)) == "caller hung up"


async def _loud_after(caller: Caller, tick: int) -> bool:
    return caller.tape.last_agent_loud > tick
