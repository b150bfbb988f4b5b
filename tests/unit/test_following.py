"""Following a call: the service on a clock of its own, and server-sent events over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from engine.api.v1.live import HEARTBEAT, EventStream, as_event
from engine.call.record import put_record, record_of
from engine.errors import ConfigurationError
from engine.services.access import Access, Principal, TooMany
from engine.services.following import Following, Pace
from engine.store import Store
from models import CallEvent, Role
from tests.unit.api_client import Site, Someone
from tests.unit.test_call_record import WHOLE, journal

QUICK = Pace(poll_s=0.001)
ACCESS = Access("acme", Principal("acme", Role.AGENT))


def of(company: str) -> list[CallEvent]:
    return [event.model_copy(update={"company_id": company}) for event in journal(*WHOLE)]


async def keep(store: Store, events: list[CallEvent]) -> None:
    await store.append_events(events)
    await put_record(store, record_of(events))


async def test_events_come_as_they_are_written(store: Store) -> None:
    events = of("acme")
    await store.append_events(events[:1])
    following = Following(store, QUICK)
    seen: list[int] = []
    async for event in following.follow(ACCESS, "CA1"):
        assert event is not None
        assert following.open_streams("acme") == 1
        seen.append(event.seq)
        if event.seq + 1 < len(events):
            await store.append_events([events[event.seq + 1]])
    assert seen == list(range(len(events)))
    assert following.open_streams("acme") == 0


async def test_a_client_that_comes_back_goes_on(store: Store) -> None:
    await store.append_events(of("acme"))
    following = Following(store, QUICK)
    assert [event.seq async for event in following.follow(ACCESS, "CA1", 4) if event] == [5, 6]
    assert [event async for event in following.follow(ACCESS, "CA1", 99)] == []


async def test_another_companys_journal_has_no_events(store: Store) -> None:
    await store.append_events(of("other"))
    assert [event async for event in Following(store, QUICK).follow(ACCESS, "CA1")] == []


class Clock:
    """Time that passes by ten seconds whenever somebody looks."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


async def test_a_silent_call_is_told_to_live_and_ends_in_the_end(store: Store) -> None:
    await store.append_events(of("acme")[:1])
    following = Following(store, Pace(poll_s=0, longest_s=200), Clock())
    told = [event async for event in following.follow(ACCESS, "CA1")]
    assert told[0] is not None
    assert set(told[1:]) == {None}
    assert len(told) > 2


async def test_a_deleted_journal_and_a_broken_store_end_the_stream(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.append_events(of("acme")[:1])
    stream = Following(store, QUICK).follow(ACCESS, "CA1")
    assert await anext(stream) is not None
    await store.delete_events("acme", "CA1")
    assert await anext(stream, "over") == "over"

    async def broken(company_id: str, call_id: str) -> list[CallEvent]:
        raise ConfigurationError("the disk is full")

    monkeypatch.setattr(store, "events", broken)
    assert [event async for event in Following(store, QUICK).follow(ACCESS, "CA1")] == []


async def test_a_company_follows_so_many_calls_and_no_more(store: Store) -> None:
    await store.append_events(of("acme")[:1])
    following = Following(store, Pace(poll_s=0.001, streams=1))
    stream = following.follow(ACCESS, "CA1")
    await anext(stream)
    with pytest.raises(TooMany):
        following.check(ACCESS)
    assert [event async for event in following.follow(ACCESS, "CA1")] == []
    following.check(Access("other", Principal("other", Role.AGENT)))
    await stream.aclose()
    following.check(ACCESS)


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_a_client_that_leaves_is_followed_no_longer(version: str) -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncGenerator[str, None]:
        try:
            while True:
                yield HEARTBEAT
        finally:
            closed.set()

    async def receive() -> Message:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            begun.set()
            if version == "2.4":
                raise OSError("gone")
        await asyncio.sleep(0)

    response = EventStream(endless())
    with suppress(ClientDisconnect):
        async with asyncio.timeout(5):
            await response({"type": "http", "asgi": {"spec_version": version}}, receive, send)
    assert begun.is_set()
    assert closed.is_set()


def test_an_event_is_one_block_whatever_was_said() -> None:
    (event,) = journal(("turn_ended", 0, {"turn": 1, "text": "Grüße\n\ndata: x\r\n👋"}))
    block = as_event(event)
    assert (block.count("\n"), block.endswith("\n\n"), "\r" in block) == (4, True, False)
    assert parsed(block)[0][2]["text"] == "Grüße\n\ndata: x\r\n👋"


def parsed(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(id, event, data) of each block."""
    blocks = [block.split("\n") for block in text.split("\n\n") if block and not block.startswith(":")]
    return [(i[4:], kind[7:], json.loads(data[6:])) for i, kind, data in blocks]


async def following_of(owner: Someone, call: str = "CA1", **headers: str) -> Any:
    token = owner.session["access_token"]
    where = f"{owner.base}/calls/{call}/events"
    return await owner.client.get(where, headers={"Authorization": f"Bearer {token}"} | headers)


async def test_a_call_over_http_until_it_ends(site: Site, store: Store) -> None:
    owner = await site.register("acme")
    events = of(owner.company)
    await keep(store, events[:2])
    answer = asyncio.create_task(following_of(owner))
    await asyncio.sleep(0.3)
    assert not answer.done()
    await store.append_events(events[2:])
    response = await answer
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    told = parsed(response.text)
    assert [one[0] for one in told] == [str(event.seq) for event in events]
    assert told[-1][1:] == ("call_ended", {"at_ms": events[-1].at_ms, "reason": "caller hung up"})
    again = await following_of(owner, **{"Last-Event-ID": "5"})
    assert [one[0] for one in parsed(again.text)] == ["6"]


async def test_who_may_follow(site: Site, store: Store) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    await keep(store, of(owner.company))
    agent = await site.invite(owner, "agent")
    assert (await following_of(agent)).status_code == 200
    assert (await following_of(stranger)).status_code == 404
    assert (await following_of(owner, "CA9")).status_code == 404
    assert (await following_of(owner, **{"Last-Event-ID": "x"})).status_code == 422
    assert (await site.client.get(f"{owner.base}/calls/CA1/events")).status_code == 401
