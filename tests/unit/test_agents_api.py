"""Agents and numbers over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.call.record import put_record
from engine.services.agents import Numbers, filled
from engine.store import Store
from engine.telephony.tokens import verify
from models import CallKey, CallRecord, new_id
from tests.unit.api_client import Site, Someone


async def agent(owner: Someone, **fields: Any) -> Any:
    return await owner.made("POST", f"{owner.base}/agents", json={"name": "Front desk"} | fields)


async def test_callers_hear_what_was_published_and_no_later_draft(site: Site, store: Store) -> None:
    owner = await site.register("acme")
    draft = await agent(owner, prompt="You speak for {{company}}.", variables={"company": "Acme"})
    assert await store.agent(owner.company, draft["id"]) is None
    published = await owner.made("POST", f"{owner.base}/agents/{draft['id']}/publish")
    assert published["published_version"] == published["version"] == 2
    heard = await store.agent(owner.company, draft["id"])
    assert heard is not None
    assert heard.prompt == "You speak for Acme."
    update = {"version": 2, "variables": {"company": "Apex"}, "max_tokens": 80}
    changed = await owner.made("PATCH", f"{owner.base}/agents/{draft['id']}", json=update)
    assert (changed["published_version"], changed["version"], changed["config"]["max_tokens"]) == (2, 3, 80)
    assert await store.agent(owner.company, draft["id"]) == heard


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "You speak for {{nobody}}."}, "prompt"),
        ({"phrases": {"greeting": "Hello from {{nobody}}."}}, "phrases.greeting"),
        ({"phrases": {"greeting": ""}}, "phrases"),
        ({"voice": "nobody:x"}, "voice"),
        ({"providers": {"stt": ["grok"]}}, "providers.stt"),
        ({"providers": {"llm": ["local", "local"]}}, "providers.llm"),
        ({"providers": {"tts": ["azure"]}}, "providers.tts"),
        ({"phrases": {"greting": "Hi"}}, "phrases"),
        ({"language": "English"}, "language"),
        ({"voice": "nobody"}, "voice"),
        ({"temperature": 3}, "temperature"),
        ({"turn_taking": {"commit_ms": 900, "unsure_ms": 300}}, "turn_taking"),
        ({"variables": {"Not A Name": "x"}}, "variables"),
        ({"company_id": "other"}, "company_id"),
        ({"name": "\u202e\x07"}, "name"),
    ],
)
async def test_bad_input_names_its_field(site: Site, change: dict[str, Any], field: str) -> None:
    owner = await site.register("acme")
    response = await owner.ask("POST", f"{owner.base}/agents", json={"name": "Front desk"} | change)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["where"][1] == field
    assert (await owner.made("GET", f"{owner.base}/agents"))["items"] == []


def test_variables_are_filled_in_everywhere_and_once() -> None:
    assert filled("{{a}} and {{ a }}", {"a": "{{b}}", "b": "c"}, "prompt") == "{{b}} and {{b}}"


async def test_a_number_leads_to_a_published_agent(site: Site, store: Store) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    draft = await agent(owner)
    number = {"number": "+15550100", "agent_id": draft["id"]}
    refused = await owner.ask("POST", f"{owner.base}/numbers", json=number)
    assert (refused.status_code, refused.json()["errors"][0]["where"]) == (422, ["body", "agent_id"])
    await owner.made("POST", f"{owner.base}/agents/{draft['id']}/publish")
    theirs = await stranger.ask("POST", f"{stranger.base}/numbers", json=number)
    assert theirs.status_code == 422, "another company's agent is no agent"
    made = await owner.made("POST", f"{owner.base}/numbers", json=number)
    assert await Numbers(store).answered_by("+15550100") == (owner.company, draft["id"])
    assert await Numbers(store).answered_by("+15550101") is None
    other = await agent(stranger)
    await stranger.made("POST", f"{stranger.base}/agents/{other['id']}/publish")
    taken = await stranger.ask("POST", f"{stranger.base}/numbers", json=number | {"agent_id": other["id"]})
    assert taken.status_code == 409
    for request in (("DELETE", ""), ("POST", "/unpublish")):
        response = await owner.ask(request[0], f"{owner.base}/agents/{draft['id']}{request[1]}")
        assert (response.status_code, "+15550100" in response.json()["detail"]) == (409, True)
    await owner.made("DELETE", f"{owner.base}/numbers/{made['id']}")
    await owner.made("DELETE", f"{owner.base}/agents/{draft['id']}")
    assert await store.agent(owner.company, draft["id"]) is None


@pytest.mark.parametrize("number", ["15550100", "+0123456", "+1 555 0100", "+1555010012345678", "", 1555])
async def test_a_number_is_e164(site: Site, number: object) -> None:
    owner = await site.register("acme")
    body = {"number": number, "agent_id": "agt_1"}
    assert (await owner.ask("POST", f"{owner.base}/numbers", json=body)).status_code == 422


async def test_a_test_call_is_for_what_is_published(site: Site) -> None:
    owner = await site.register("acme")
    draft = await agent(owner)
    where = f"{owner.base}/agents/{draft['id']}/test-call"
    assert (await owner.ask("POST", where)).status_code == 404
    await owner.made("POST", f"{owner.base}/agents/{draft['id']}/publish")
    made = await owner.made("POST", where)
    assert made["url"].startswith("ws://parley.test/media/"), "as whoever asks reaches this server"
    site.cluster.full = "8 of 8 calls are taken"
    full = await owner.ask("POST", where)
    assert (full.status_code, full.json()["detail"]) == (503, "8 of 8 calls are taken")


async def test_a_test_call_that_lost_its_socket_goes_on(site: Site, store: Store) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    draft = await agent(owner)
    await owner.made("POST", f"{owner.base}/agents/{draft['id']}/publish")
    site.cluster.alive = {CallKey(owner.company, call_id) for call_id in ("PC1", "PC2", "CA1")}
    site.cluster.alive.add(CallKey(stranger.company, "PC3"))
    for call_id, caller in (("PC1", "test"), ("PC3", "test"), ("CA1", "+15550100")):
        ids = {"company_id": owner.company, "agent_id": draft["id"], "call_id": call_id}
        record = CallRecord(id=new_id("cal"), caller=caller, started_at=datetime.now(UTC), **ids)
        await put_record(store, record)
    where = f"{owner.base}/agents/{draft['id']}/test-call"
    again = await owner.made("POST", where, json={"call_id": "PC1"})
    claims = verify(again["url"].rsplit("/", 1)[1], site.settings.signing_secret())
    assert (claims.call_id, claims.company_id, claims.agent_id) == ("PC1", owner.company, draft["id"])
    for call_id in ("PC2", "PC3", "CA1"):  # nobody's, over (and live with others), a real caller's
        refused = await owner.ask("POST", where, json={"call_id": call_id})
        assert (refused.status_code, call_id in refused.json()["detail"]) == (404, True)
    theirs = f"{stranger.base}/agents/{draft['id']}/test-call"
    assert (await stranger.ask("POST", theirs, json={"call_id": "PC1"})).status_code == 404


async def test_another_companys_agents_and_numbers_do_not_exist(site: Site) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    draft = await agent(owner)
    for path in ("", "/publish", "/unpublish", "/test-call"):
        for base in (owner.base, stranger.base):
            where = f"{base}/agents/{draft['id']}{path}"
            assert (await stranger.ask("POST" if path else "GET", where)).status_code == 404
    assert (await stranger.ask("GET", f"{owner.base}/numbers")).status_code == 404
    reader = await site.invite(owner, "agent")
    assert (await reader.ask("POST", f"{owner.base}/agents/{draft['id']}/publish")).status_code == 403
    assert (await reader.ask("GET", f"{owner.base}/agents/{draft['id']}")).status_code == 200


async def test_voices_are_listed(site: Site) -> None:
    owner = await site.register("acme")
    assert "piper-joe" in [voice["name"] for voice in await owner.made("GET", "/voices")]
