"""A call while it goes on, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.api.v1.common import Id, Reader, Using
from models import CallEvent

router = APIRouter(prefix="/companies/{company_id}", tags=["calls"])
HEARTBEAT = ": the call goes on\n\n"


class EventStream(StreamingResponse):
    """Closes its source when the client is gone, and does not leave that to the garbage collector."""

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[str, None]) -> None:
        # Proxies such as nginx keep an answer back until there is much of it, unless they are told.
        super().__init__(source, headers={"X-Accel-Buffering": "no"})
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._source):
            await super().__call__(scope, receive, send)


def as_event(event: CallEvent) -> str:
    """An event of the journal; its number is the id that a client comes back with."""
    told = json.dumps({"at_ms": event.at_ms} | event.data, ensure_ascii=False)
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {told}\n\n"


async def _written(events: AsyncGenerator[CallEvent | None, None]) -> AsyncGenerator[str, None]:
    async with aclosing(events):
        async for event in events:
            yield HEARTBEAT if event is None else as_event(event)


@router.get(
    "/calls/{call_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}},
        429: {"description": "too many streams are open"},
    },
)
async def events(
    using: Using,
    access: Reader,
    call_id: Id,
    last_event_id: Annotated[str, Header(pattern=r"^[0-9]{0,9}$")] = "",
) -> EventStream:
    """What is said in a call, from its beginning or behind `Last-Event-ID`, until `call_ended`.

    A stream lasts an hour at most: a client that sees it end without `call_ended` asks again.
    """
    record = await using.calls.get(access, call_id)
    using.following.check(access)
    after = int(last_event_id) if last_event_id else -1
    return EventStream(_written(using.following.follow(access, record.call_id, after)))
