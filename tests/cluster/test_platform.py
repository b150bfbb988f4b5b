"""A new company, from registration to a call, on the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity
from tests.cluster.site import Site, eventually
from tests.cluster.talk import ask, greeted
from tests.unit import parse_files

READ_S = 60.0
LISTED_S = 10.0


@pytest.fixture
async def client(server: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", timeout=20.0) as client:
        yield client


async def made(response: httpx.Response) -> Any:
    assert response.is_success, (response.status_code, response.text)
    return response.json()


async def register(client: httpx.AsyncClient, name: str) -> tuple[str, dict[str, str]]:
    body = {
        "company": name,
        "name": "Ann",
        "email": f"ann@{name}.example.com",
        "password": "long enough pass",
    }
    signed_in = await made(await client.post("/auth/register", json=body))
    headers = {"Authorization": f"Bearer {signed_in['session']['access_token']}"}
    return f"/companies/{signed_in['user']['company_id']}", headers


async def test_a_company_from_registration_to_a_call(server: Site, client: httpx.AsyncClient) -> None:
    base, mine = await register(client, "tour")
    files = {
        "hours.txt": b"We open on Saturday at 9 in the morning.",
        "prices.csv": b"Treatment,Price\nTeeth cleaning,85 dollars\n",
        "info.docx": parse_files.word_of_parking(),
        "children.pdf": parse_files.pdf(["We treat children from the age of three."]),
        "pay.md": b"# Payment\n\nWe accept cash and all credit cards.",
        "broken.pdf": b"%PDF-1.4 and nothing else",
    }
    for name, content in files.items():
        await made(await client.put(f"{base}/documents/by-name/{name}", content=content, headers=mine))

    async def read() -> dict[str, Any] | None:
        items = (await made(await client.get(f"{base}/documents", headers=mine)))["items"]
        done = {one["name"]: one for one in items if one["status"] in ("ready", "failed")}
        return done if len(done) == len(files) else None

    documents = await eventually(read, READ_S, "all documents are read")
    assert documents is not None
    assert "damaged PDF" in documents.pop("broken.pdf")["error"]
    assert {one["status"] for one in documents.values()} == {"ready"}

    for query, source in (
        ("How much does a cleaning cost?", "prices.csv"),
        ("Where can I park?", "info.docx"),
        ("Do you treat children?", "children.pdf"),
        ("Do you accept credit cards?", "pay.md"),
        ("When do you open on Saturday?", "hours.txt"),
    ):
        found = await made(await client.post(f"{base}/search", json={"query": query}, headers=mine))
        assert found["items"][0]["source"] == source

    draft = {"name": "Front desk", "phrases": {"greeting": "Hello."}, "passages": 1}
    agent = await made(await client.post(f"{base}/agents", json=draft, headers=mine))
    await made(await client.post(f"{base}/agents/{agent['id']}/publish", headers=mine))
    call = await made(await client.post(f"{base}/agents/{agent['id']}/test-call", headers=mine))
    async with Caller.dial(call["url"], Line(identity=CallIdentity(call_sid=call["call_id"]))) as caller:
        await greeted(caller)
        await ask(caller, "demo-cleaning")

    async def listed() -> dict[str, Any] | None:
        response = await client.get(f"{base}/calls/{call['call_id']}", headers=mine)
        detail: dict[str, Any] = response.json()
        return detail if response.is_success and detail["call"]["status"] == "ended" else None

    detail = await eventually(listed, LISTED_S, "the call is in the list")
    assert detail is not None
    assert detail["call"]["end_reason"] == "caller hung up"
    said = await client.get(f"{base}/calls/{call['call_id']}/transcript?format=txt", headers=mine)
    assert "85 dollars" in said.text, said.text

    other, theirs = await register(client, "elsewhere")
    for path in ("/documents", "/calls", "/agents", f"/calls/{call['call_id']}", f"/agents/{agent['id']}"):
        assert (await client.get(base + path, headers=theirs)).status_code == 404
    found = await made(await client.post(f"{other}/search", json={"query": "cleaning"}, headers=theirs))
    assert found["items"] == []
