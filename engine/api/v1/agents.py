"""Agents, voices, and the numbers that agents answer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from engine.api.backend import ask
from engine.api.origin import public_base
from engine.api.v1.common import Asking, Id, Listing, Manager, Paged, Reader, Using, cursor
from engine.services.agents import voices
from engine.telephony.tokens import media_url
from models import Agent, PhoneNumber, platform

router = APIRouter()
COMPANY = "/companies/{company_id}"


@router.get("/voices", tags=["agents"])
async def list_voices(asking: Asking) -> list[platform.Voice]:
    """Voices that agents can have."""
    return [platform.Voice(name=one.name, about=one.about, licence=one.licence) for one in voices()]


@router.get(f"{COMPANY}/agents", tags=["agents"])
async def agents(using: Using, access: Reader, page: Paged) -> Listing[Agent]:
    found = await using.agents.list(access, page)
    return Listing(items=list(found), next=cursor(found, page))


@router.post(f"{COMPANY}/agents", status_code=201, tags=["agents"])
async def create_agent(using: Using, access: Manager, body: platform.CreateAgent) -> Agent:
    """A draft: publish it to let it take calls."""
    return await using.agents.create(access, body)


@router.get(f"{COMPANY}/agents/{{agent_id}}", tags=["agents"])
async def agent(using: Using, access: Reader, agent_id: Id) -> Agent:
    return await using.agents.get(access, agent_id)


@router.patch(f"{COMPANY}/agents/{{agent_id}}", tags=["agents"])
async def update_agent(using: Using, access: Manager, agent_id: Id, body: platform.UpdateAgent) -> Agent:
    """Changes the draft; what callers hear stays until it is published."""
    return await using.agents.update(access, agent_id, body)


@router.delete(f"{COMPANY}/agents/{{agent_id}}", status_code=204, tags=["agents"])
async def delete_agent(using: Using, access: Manager, agent_id: Id) -> Response:
    await using.agents.delete(access, agent_id)
    return Response(status_code=204)


@router.post(f"{COMPANY}/agents/{{agent_id}}/publish", tags=["agents"])
async def publish(using: Using, access: Manager, agent_id: Id) -> Agent:
    return await using.agents.publish(access, agent_id)


@router.post(f"{COMPANY}/agents/{{agent_id}}/unpublish", tags=["agents"])
async def unpublish(using: Using, access: Manager, agent_id: Id) -> Agent:
    return await using.agents.unpublish(access, agent_id)


@router.post(f"{COMPANY}/agents/{{agent_id}}/test-call", status_code=201, tags=["agents"])
async def place_test_call(
    using: Using, access: Manager, agent_id: Id, request: Request, body: platform.AskTestCall | None = None
) -> platform.TestCall:
    """A media URL for one connection: a new call to the published agent, or one that lost its socket."""
    if body is None or body.call_id is None:
        claims = await ask(using.calls.new_test(access, agent_id))
    else:
        claims = await ask(using.calls.resumed_test(access, agent_id, body.call_id))
    url = media_url(using.settings, claims, base_url=public_base(request, using.settings))
    return platform.TestCall(url=url, call_id=claims.call_id)


@router.get(f"{COMPANY}/numbers", tags=["numbers"])
async def numbers(using: Using, access: Reader, page: Paged) -> Listing[PhoneNumber]:
    found = await using.numbers.list(access, page)
    return Listing(items=list(found), next=cursor(found, page))


@router.post(f"{COMPANY}/numbers", status_code=201, tags=["numbers"])
async def create_number(using: Using, access: Manager, body: platform.CreateNumber) -> PhoneNumber:
    """Calls to it are answered by a published agent."""
    return await using.numbers.create(access, body)


@router.patch(f"{COMPANY}/numbers/{{number_id}}", tags=["numbers"])
async def update_number(
    using: Using, access: Manager, number_id: Id, body: platform.UpdateNumber
) -> PhoneNumber:
    return await using.numbers.update(access, number_id, body)


@router.delete(f"{COMPANY}/numbers/{{number_id}}", status_code=204, tags=["numbers"])
async def delete_number(using: Using, access: Manager, number_id: Id) -> Response:
    await using.numbers.delete(access, number_id)
    return Response(status_code=204)
