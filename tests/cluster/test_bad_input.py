"""What a broken or hostile peer sends ends its own call at most, and no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from engine.errors import TokenRefused
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity, Carrier
from engine.simulator.events import UserTurn
from tests.cluster.site import Site, eventually
from tests.cluster.talk import Judge, call_id, greeted, meanwhile

CLOSE_S = 15.0
POLICY = 1008
TOO_BIG = 1009


async def test_a_token_opens_one_socket_once(server: Site) -> None:
    identity = CallIdentity()
    url = server.media_url(identity)
    for wrong in (
        url[:-4] + ("aaaa" if not url.endswith("aaaa") else "bbbb"),
        url.rsplit("/", 1)[0] + "/no-token-at-all",
        url.rsplit("/", 1)[0] + "/",
        server.media_url(identity, ttl_s=-60),
        server.media_url(identity, company="nobody"),
        server.media_url(identity, agent="nobody"),
    ):
        with pytest.raises(TokenRefused, match="403"):
            await _once(wrong, identity)
    await _once(url, identity)
    with pytest.raises(TokenRefused, match="403"):
        await _once(url, identity)

    async def logged() -> bool:
        return "media socket refused: the token was used before" in server.log()

    await eventually(logged, 5, "the log says why a socket was refused")
    await server.freed(identity.call_sid, 5)


async def _once(url: str, identity: CallIdentity) -> None:
    async with Caller.dial(url, Line(identity)) as caller:
        await caller.pause(0.1)


async def test_broken_calls_end_alone(server: Site, judge: Judge) -> None:
    """One caller is answered rightly while others break the protocol in every way."""
    logged = len(server.log())
    async with server.dial() as caller:
        await greeted(caller)
        async with meanwhile(judge.asked(caller, "tuning-19")) as asking:
            wrong = [line for name in CASES if (line := await _broken_call(server, name))]
            await asking
        assert not wrong, "\n".join(wrong)
        await judge.asked(caller, "demo-parking")
    assert await server.ended(call_id(caller)) == "caller hung up"
    assert "Traceback" not in server.log()[logged:]


async def _broken_call(server: Site, name: str) -> str:
    """A line for what is wrong with how such a call ended, empty when nothing is."""
    send, codes = CASES[name]
    identity = CallIdentity()
    async with connect(server.media_url(identity), compression=None) as socket:
        code = await _closed_with(socket, send(Carrier(identity)))
    if code not in codes:
        return f"{name}: closed with {code}"
    try:
        await server.freed(identity.call_sid, 5)
    except AssertionError as error:
        return f"{name}: {error}"
    reasons = [one["reason"] for one in await server.entries(identity.call_sid, "call_ended")]
    return f"{name}: ended for {reasons}" if set(reasons) - {"protocol error", "connection lost"} else ""


Messages = list[str | bytes]


def _media(payload: Any) -> str:
    media = {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": payload}
    return json.dumps({"event": "media", "streamSid": "MZ1", "media": media})


def _start_with(**media_format: Any) -> Callable[[Carrier], Messages]:
    def messages(carrier: Carrier) -> Messages:
        connected, start = carrier.opening()
        body = json.loads(start)
        body["start"]["mediaFormat"] |= media_format
        return [connected, json.dumps(body)]

    return messages


def _after_start(*messages: str | bytes) -> Callable[[Carrier], Messages]:
    return lambda carrier: [*carrier.opening(), *messages]


CASES: dict[str, tuple[Callable[[Carrier], Messages], set[int]]] = {
    "not JSON": (_after_start("this is no JSON"), {POLICY}),
    "not JSON first": (lambda carrier: ["{"], {POLICY}),
    "not an object": (_after_start("[1, 2]"), {POLICY}),
    "nested deeply": (_after_start("[" * 50_000), {POLICY}),
    "wrong encoding": (_start_with(encoding="audio/opus"), {POLICY}),
    "wrong rate": (_start_with(sampleRate=48_000), {POLICY}),
    "start without its object": (lambda carrier: ['{"event": "start", "streamSid": "MZ1"}'], {POLICY}),
    "media before start": (lambda carrier: [carrier.media(b"\xff" * 160)], {POLICY}),
    "start twice": (lambda carrier: [*carrier.opening(), carrier.opening()[1]], {POLICY}),
    "payload is not base64": (_after_start(_media("!!")), {POLICY}),
    "payload is a number": (_after_start(_media(7)), {POLICY}),
    "another stream's media": (_after_start(_media("/w==")), {POLICY}),
    "binary": (_after_start(b"\x00\x01"), {POLICY}),
    "ten megabytes": (_after_start(_media("A" * 10_000_000)), {POLICY, TOO_BIG}),
}


async def _closed_with(socket: ClientConnection, messages: Messages) -> int | None:
    """Send, then read until the server closes."""
    try:
        for message in messages:
            await socket.send(message)
        async with asyncio.timeout(CLOSE_S):
            async for _ in socket:
                pass
    except (ConnectionClosed, TimeoutError):
        pass
    return socket.close_code


async def test_strange_but_harmless_calls_go_on(server: Site, judge: Judge) -> None:
    """An event that Twilio may add later; a line without a sound; a line with nothing but noise."""
    logged = len(server.log())
    noise = np.random.default_rng(1).normal(0, 600, 5 * 8_000).astype(np.int16)

    async def answered(line: Line, before: Callable[[Caller], Awaitable[None]]) -> str:
        async with server.dial(line) as caller:
            await greeted(caller)
            await before(caller)
            await judge.asked(caller, "tuning-19")
        return call_id(caller)

    async def quiet(caller: Caller) -> None:
        await caller.pause(4)
        assert caller.open

    async def only_noise() -> str:
        async with server.dial(Line(background=noise)) as caller:
            await caller.pause(6)
            assert caller.open
            assert not [event for event in caller.events if isinstance(event, UserTurn)]
        return call_id(caller)

    calls = await asyncio.gather(answered(Line(), quiet), only_noise(), _unknown_event(server))
    for call in calls:
        assert await server.ended(call) == "caller hung up"
    assert "Traceback" not in server.log()[logged:]


async def _unknown_event(server: Site) -> str:
    identity = CallIdentity()
    carrier = Carrier(identity)
    strange = json.dumps({"event": "weather", "streamSid": identity.stream_sid, "weather": {"sun": True}})
    async with connect(server.media_url(identity), compression=None) as socket:
        for message in [*carrier.opening(), strange, carrier.media(b"\xff" * 160)]:
            await socket.send(message)
        async with asyncio.timeout(CLOSE_S):
            while not carrier.received_bytes:
                carrier.receive(await socket.recv(), 0.0)
        await socket.send(strange)
        await socket.send(carrier.stop())
        await _closed_with(socket, [])
    return identity.call_sid
