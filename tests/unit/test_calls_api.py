"""Calls over HTTP, from the journals that a call actor writes."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from engine.call.record import put_record, record_of
from engine.store import Page, Store
from engine.store.documents import CALLS
from models import CallEvent, CallKey
from tests.unit.api_client import Site
from tests.unit.test_call_record import WHOLE, journal


async def keep(store: Store, company: str, until: int = len(WHOLE), call: str = "CA1") -> list[CallEvent]:
    whose = {"company_id": company, "call_id": call}
    events = [event.model_copy(update=whose) for event in journal(*WHOLE[:until])]
    await store.append_events(events)
    await put_record(store, record_of(events))
    return events


async def test_a_call_with_its_turns(site: Site, store: Store) -> None:
    owner = await site.register("acme")
    await keep(store, owner.company)
    (listed,) = (await owner.made("GET", f"{owner.base}/calls"))["items"]
    assert (listed["call_id"], listed["status"], listed["turns"]) == ("CA1", "ended", 2)
    for name in (listed["id"], "CA1"):
        detail = await owner.made("GET", f"{owner.base}/calls/{name}")
        assert [turn["caller"] for turn in detail["turns"]] == ["", "When do you open?", "Who are you?"]
        assert [turn["kind"] for turn in detail["turns"]] == ["greeting", "reply", "unknown"]
        assert detail["turns"][1]["tokens"] == {"prompt": 40, "completion": 4, "cached": 30}


async def test_transcripts(site: Site, store: Store) -> None:
    owner = await site.register("acme")
    await keep(store, owner.company)
    where = f"{owner.base}/calls/CA1/transcript"
    lines = (await owner.made("GET", where))["lines"]
    assert [line["speaker"] for line in lines] == ["agent", "caller", "agent", "caller", "agent"]
    times = [time for line in lines for time in (line["start_ms"], line["end_ms"])]
    assert times == sorted(times)
    text = (await owner.ask("GET", where, params={"format": "txt"})).text
    assert text.splitlines()[1:3] == ["caller: When do you open?", "agent: At nine."]
    vtt = await owner.ask("GET", where, params={"format": "vtt"})
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"
    cues = re.findall(r"^(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})$", vtt.text, re.MULTILINE)
    assert len(cues) == 5
    assert all(start < end for start, end in cues)
    assert (await owner.ask("GET", where, params={"format": "pdf"})).status_code == 422


async def test_lists_are_filtered(site: Site, store: Store) -> None:
    owner = await site.register("acme")
    await keep(store, owner.company)
    await keep(store, owner.company, until=1, call="CA2")
    for where, expected in (
        ({"status": "live"}, ["CA2"]),
        ({"agent_id": "nobody"}, []),
        ({}, ["CA2", "CA1"]),
    ):
        items = (await owner.made("GET", f"{owner.base}/calls", params=where))["items"]
        assert sorted(call["call_id"] for call in items) == sorted(expected)


async def test_lists_are_bounded_in_time(site: Site, store: Store) -> None:
    owner = await site.register("acme")
    began = [record_of(await keep(store, owner.company, call=f"CA{n}")).started_at for n in (1, 2)]
    hour = timedelta(hours=1)
    for since, until, expected in (
        (began[0], None, 2),
        (began[0] + hour, None, 0),
        (None, began[0], 0),
        (None, began[0] + hour, 2),
        (began[0] - hour, began[0] + hour, 2),
    ):
        where = {"since": since, "until": until}
        params = {name: value.isoformat() for name, value in where.items() if value}
        items = (await owner.made("GET", f"{owner.base}/calls", params=params))["items"]
        assert len(items) == expected, params
    first = await owner.made("GET", f"{owner.base}/calls", params={"limit": 1, "until": _later(began[0])})
    rest = {"limit": 1, "until": _later(began[0]), "cursor": first["next"]}
    second = await owner.made("GET", f"{owner.base}/calls", params=rest)
    assert {item["call_id"] for item in first["items"] + second["items"]} == {"CA1", "CA2"}
    assert (await owner.ask("GET", f"{owner.base}/calls", params={"since": "yesterday"})).status_code == 422


def _later(at: datetime) -> str:
    return (at + timedelta(hours=1)).isoformat()


async def test_a_live_call_is_ended_by_a_manager(site: Site, store: Store) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    await keep(store, owner.company)
    await keep(store, owner.company, until=1, call="CA2")
    reader = await site.invite(owner, "agent")
    assert (await reader.ask("POST", f"{owner.base}/calls/CA2/end")).status_code == 403
    assert (await stranger.ask("POST", f"{stranger.base}/calls/CA2/end")).status_code == 404
    assert (await owner.ask("POST", f"{owner.base}/calls/CA1/end")).status_code == 409
    assert site.cluster.wound_up == []
    assert (await owner.ask("POST", f"{owner.base}/calls/CA2/end")).status_code == 202
    assert site.cluster.wound_up == [CallKey(owner.company, "CA2")]


async def test_another_companys_calls_do_not_exist(site: Site, store: Store) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    events = await keep(store, owner.company)
    record = record_of(events).id
    for name in ("CA1", record):
        for path in ("", "/transcript", "/recording"):
            for base in (owner.base, stranger.base):
                response = await stranger.ask("GET", f"{base}/calls/{name}{path}")
                assert response.status_code == 404
    assert (await stranger.made("GET", f"{stranger.base}/calls"))["items"] == []


async def test_a_recording_in_parts(site: Site, store: Store, tmp_path: Path) -> None:
    owner = await site.register("acme")
    await keep(store, owner.company)
    where = f"{owner.base}/calls/CA1/recording"
    assert (await owner.ask("GET", where)).status_code == 404
    path = tmp_path / "recordings" / owner.company / "CA1.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(range(200)))
    whole = await owner.ask("GET", where)
    assert (whole.headers["content-type"], whole.content) == ("audio/wav", bytes(range(200)))
    client = site.client
    headers = {"Authorization": f"Bearer {owner.session['access_token']}", "Range": "bytes=10-19"}
    part = await client.get(where, headers=headers)
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))


async def test_a_caller_is_forgotten_everywhere(site: Site, store: Store, tmp_path: Path) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    await keep(store, owner.company)
    await keep(store, owner.company, until=1, call="CA2")
    await keep(store, stranger.company, call="CA3")
    path = tmp_path / "recordings" / owner.company / "CA1.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"voice")
    manager = await site.invite(owner, "manager")
    assert (await manager.ask("DELETE", f"{owner.base}/callers/+15550100")).status_code == 403
    assert await owner.made("DELETE", f"{owner.base}/callers/+15550100") == {"calls": 1, "live": 1}
    assert await store.events(owner.company, "CA1") == []
    assert not path.exists()
    assert [one.call_id for one in await store.documents.find(CALLS, owner.company, {}, Page())] == ["CA2"]
    assert len(await store.documents.find(CALLS, stranger.company, {}, Page())) == 1
