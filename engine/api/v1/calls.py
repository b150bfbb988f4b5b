"""Calls: lists, transcripts, recordings, and the right to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime
from starlette.responses import FileResponse, PlainTextResponse, Response

from engine.api.v1.common import Id, Listing, Manager, Owner, Paged, Reader, Using, cursor
from engine.services.calls import as_text, as_vtt, within
from engine.store import Page
from models import CallRecord, platform

router = APIRouter(prefix="/companies/{company_id}", tags=["calls"])
NUMBER = r"^(\+[1-9][0-9]{5,14}|[A-Za-z0-9_-]{1,64})$"
Number = Annotated[str, Path(pattern=NUMBER)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls, and which part of their list."""

    where: dict[str, str]
    page: Page


def wanted(
    page: Paged,
    agent_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
    status: Literal["live", "ended"] | None = None,
    caller: Annotated[str | None, Query(pattern=NUMBER)] = None,
    since: Annotated[AwareDatetime | None, Query(description="began then or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="began before")] = None,
) -> Wanted:
    given = {"agent_id": agent_id, "status": status, "caller": caller}
    where = {name: value for name, value in given.items() if value is not None}
    return Wanted(where, within(page, since, until))


@router.get("/calls")
async def calls(
    using: Using, access: Reader, wanted: Annotated[Wanted, Depends(wanted)]
) -> Listing[CallRecord]:
    """Newest first."""
    found = await using.calls.list(access, wanted.where, wanted.page)
    return Listing(items=list(found), next=cursor(found, wanted.page))


@router.get("/calls/{call_id}")
async def call(using: Using, access: Reader, call_id: Id) -> platform.CallDetail:
    """A call with its turns and their timelines."""
    return await using.calls.detail(access, call_id)


@router.post("/calls/{call_id}/end", status_code=202)
async def end(using: Using, access: Manager, call_id: Id) -> CallRecord:
    """Have the agent of a live call say goodbye and hang up. `events` says when it is over."""
    return await using.calls.end(access, call_id)


@router.get("/calls/{call_id}/transcript", response_model=platform.Transcript)
async def transcript(
    using: Using, access: Reader, call_id: Id, format: Literal["json", "txt", "vtt"] = "json"
) -> platform.Transcript | Response:
    """What was said and, of the agent, heard."""
    said = await using.calls.transcript(access, call_id)
    if format == "txt":
        return PlainTextResponse(as_text(said))
    if format == "vtt":
        return Response(as_vtt(said), media_type="text/vtt; charset=utf-8")
    return said


@router.get("/calls/{call_id}/recording", response_class=FileResponse)
async def recording(using: Using, access: Reader, call_id: Id) -> FileResponse:
    """Stereo WAV: the caller left, the agent right."""
    path = await using.calls.recording(access, call_id)
    return FileResponse(path, media_type="audio/wav", filename=f"{call_id}.wav")


@router.delete("/callers/{number}", tags=["calls"])
async def forget_caller(using: Using, access: Owner, number: Number) -> platform.Forgotten:
    """Remove every ended call of a number, with transcript and recording.

    Calls that are `live` stay until they have ended: ask again then.
    """
    return await using.calls.forget_caller(access, number)
