"""Calls: what was said, what was heard, and how long it took."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from engine.call.record import put_record, record_of
from engine.errors import NoCapacity
from engine.services.access import Access, InUse, NotFound
from engine.store import Page, Stale, Store
from engine.store.documents import CALLS, COMPANIES, MAX_PAGE, every
from engine.store.recordings import Recordings
from engine.telephony.tokens import MediaClaims, new_call_id
from models import CallEvent, CallKey, CallRecord, dated_id
from models.platform import CallDetail, Forgotten, Line, Transcript, TurnDetail

log = logging.getLogger("parley.calls")

TEST_CALLER = "test"
"""What a test call has in the place of a number."""


def project(events: Sequence[CallEvent]) -> list[TurnDetail]:
    """The turns of a journal. Turn 0 is what the agent said before the caller's first one."""
    turns: dict[int, TurnDetail] = {}
    for event in events:
        data = event.data
        if event.kind not in ("turn_ended", "reply_released", "heard"):
            continue
        turn = turns.setdefault(data["turn"], TurnDetail(number=data["turn"], at_ms=event.at_ms))
        turns[turn.number] = turn.model_copy(update=_change(turn, event.kind, data))
    return [turns[number] for number in sorted(turns)]


def _change(turn: TurnDetail, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "turn_ended":
        return {"caller": data["text"], "said": ""}  # a turn that went on: what was to be said was not heard
    if kind == "reply_released":
        return {"said": f"{turn.said} {data['text'].strip()}".strip(), "kind": data["kind"]}
    heard = f"{turn.agent} {data['text']}".strip()
    timeline = {name: data[name] for name in ("served", "tokens", "routes") if name in data}
    if "stamps" in data:
        timeline["stamps_ms"] = data["stamps"]
    return {"agent": heard, "interrupted": data["interrupted"], "kind": data["kind"], **timeline}


def transcript(record: CallRecord, turns: Sequence[TurnDetail]) -> Transcript:
    """Who said what when; of the agent only what was heard."""
    began = record.started_at.timestamp() * 1000
    return Transcript(call_id=record.call_id, started_at=record.started_at, lines=list(_lines(began, turns)))


def _lines(began: float, turns: Sequence[TurnDetail]) -> Iterator[Line]:
    """Times come from the stamps; where there are none, a line lasts as long as reading it aloud takes."""
    at = 0
    for turn in turns:
        stamps = {name: max(0, round(value - began)) for name, value in turn.stamps_ms.items()}
        if turn.caller:
            end = max(at + 1, stamps.get("speech_end", at + _aloud_ms(turn.caller)))
            yield Line(
                speaker="caller",
                text=turn.caller,
                start_ms=max(at, end - _aloud_ms(turn.caller)),
                end_ms=end,
            )
            at = end
        if turn.agent:
            start = max(at, stamps.get("first_byte", round(turn.at_ms - began)))
            end = max(start + 1, stamps.get("heard_until", start + _aloud_ms(turn.agent)))
            yield Line(speaker="agent", text=turn.agent, start_ms=start, end_ms=end)
            at = end


def _aloud_ms(text: str) -> int:
    return 350 * len(text.split())


def as_text(said: Transcript) -> str:
    """A line for each thing said."""
    return "".join(f"{line.speaker}: {line.text}\n" for line in said.lines)


def as_vtt(said: Transcript) -> str:
    """WebVTT subtitles."""
    cues = [
        f"{_clock(line.start_ms)} --> {_clock(line.end_ms)}\n<v {line.speaker}>{_escaped(line.text)}\n"
        for line in said.lines
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def within(page: Page, since: datetime | None, until: datetime | None) -> Page:
    """The page, of calls that began in this span alone."""
    before = page.before
    if until is not None:
        end = first_id(until)
        before = end if before is None else min(before, end)
    return replace(page, before=before, since=None if since is None else first_id(since))


def first_id(at: datetime) -> str:
    """No record of a call that began at this time or later has a lower id."""
    return dated_id(max(0, round(at.timestamp() * 1000)), "")


async def forget_call(store: Store, recordings: Recordings, record: CallRecord) -> None:
    """Remove a call: its recording, its journal, its line. What fails half way is done by asking again."""
    path = recordings.path(record.company_id, record.call_id)
    await asyncio.to_thread(path.unlink, missing_ok=True)
    await store.delete_events(record.company_id, record.call_id)
    await store.documents.delete(CALLS, record.company_id, record.id)


async def end_lines(store: Store) -> int:
    """End the lines of calls whose journals ended; returns how many. Raises what the store raises.

    A line is written behind its journal. A process that died in between left it live, and of a live call
    nothing can be removed.
    """
    ended = 0
    async for company in every(store.documents, COMPANIES, None, {}):
        async for line in every(store.documents, CALLS, company.id, {"status": "live"}):
            try:
                events = await store.events(company.id, line.call_id)
                if events and (record := record_of(events)).status == "ended":
                    await put_record(store, record)
                    ended += 1
            except (Stale, ValueError, KeyError, TypeError) as error:
                # Another was first, or the journal is damaged: the other lines are to be ended none the less.
                log.warning("call %s: its line stays as it is: %s", line.call_id, error)
    return ended


def _test(access: Access, agent_id: str, call_id: str) -> MediaClaims:
    return MediaClaims(access.company_id, agent_id, call_id, events=True, caller=TEST_CALLER)


class LiveCalls(Protocol):
    """The calls that go on. Every method may raise ProviderUnavailable."""

    async def capacity(self, company_id: str) -> str | None:
        """None when one more call of this company would be admitted, else why not."""
        ...

    async def live(self, call: CallKey) -> bool:
        """Whether the call goes on: it is connected, or waits for its carrier to reconnect."""
        ...

    async def wind_up(self, call: CallKey) -> None:
        """Have a call's agent say goodbye and hang up; nothing where the call is over."""
        ...


class Calls:
    def __init__(self, store: Store, recordings: Recordings, live: LiveCalls) -> None:
        self._store = store
        self._recordings = recordings
        self._live = live

    async def list(self, access: Access, where: Mapping[str, str], page: Page) -> Sequence[CallRecord]:
        return await self._store.documents.find(CALLS, access.company_id, where, page)

    async def get(self, access: Access, call_id: str) -> CallRecord:
        """By the id of its record, or the carrier's. Raises NotFound."""
        record = await self._store.documents.get(CALLS, access.company_id, call_id)
        if record is None:
            found = await self._store.documents.find(
                CALLS, access.company_id, {"call_id": call_id}, Page(limit=1)
            )
            record = found[0] if found else None
        if record is None:
            raise NotFound(f"there is no call {call_id}")
        return record

    async def detail(self, access: Access, call_id: str) -> CallDetail:
        record = await self.get(access, call_id)
        events = await self._store.events(access.company_id, record.call_id)
        return CallDetail(call=record, turns=project(events))

    async def transcript(self, access: Access, call_id: str) -> Transcript:
        detail = await self.detail(access, call_id)
        return transcript(detail.call, detail.turns)

    async def recording(self, access: Access, call_id: str) -> Path:
        """The file. Raises NotFound."""
        record = await self.get(access, call_id)
        path = self._recordings.path(access.company_id, record.call_id)
        if not path.is_file():
            raise NotFound(f"call {call_id} was not recorded")
        return path

    async def new_test(self, access: Access, agent_id: str) -> MediaClaims:
        """The right to one call to a published agent. Raises NotFound, NoCapacity."""
        if await self._store.agent(access.company_id, agent_id) is None:
            raise NotFound(f"there is no published agent {agent_id}")
        refusal = await self._live.capacity(access.company_id)
        if refusal is not None:
            raise NoCapacity(refusal)
        return _test(access, agent_id, new_call_id())

    async def resumed_test(self, access: Access, agent_id: str, call_id: str) -> MediaClaims:
        """The right to go on with a live test call that lost its socket. Raises NotFound.

        Calls of real callers are none: nobody may step into their line.
        """
        where = {"call_id": call_id, "agent_id": agent_id, "caller": TEST_CALLER, "status": "live"}
        found = await self._store.documents.find(CALLS, access.company_id, where, Page(limit=1))
        if not found or not await self._live.live(CallKey(access.company_id, call_id)):
            raise NotFound(f"there is no test call {call_id} that goes on: start a new one")
        return _test(access, agent_id, call_id)

    async def end(self, access: Access, call_id: str) -> CallRecord:
        """Have its agent say goodbye and hang up. Raises NotFound, InUse where it is over."""
        record = await self.get(access, call_id)
        if record.status != "live":
            raise InUse(f"call {call_id} is over: {record.end_reason}")
        await self._live.wind_up(CallKey(access.company_id, record.call_id))
        return record

    async def forget_caller(self, access: Access, number: str) -> Forgotten:
        """Remove every ended call of this number: its line, its journal, its recording."""
        gone = 0
        where = {"caller": number, "status": "ended"}
        while found := await self._store.documents.find(
            CALLS, access.company_id, where, Page(limit=MAX_PAGE)
        ):
            for record in found:
                await forget_call(self._store, self._recordings, record)
                gone += 1
        live = {"caller": number, "status": "live"}
        stay = await self._store.documents.find(CALLS, access.company_id, live, Page(limit=MAX_PAGE))
        return Forgotten(calls=gone, live=len(stay))
