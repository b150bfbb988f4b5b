"""A call's line in the list of calls, made from its journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from engine.store import Store, Taken
from engine.store.documents import CALLS
from models import CallEvent, CallRecord, dated_id

KNOWN_KINDS = frozenset({"reply", "courtesy"})
"""Kinds of answers that say something; the others are fixed phrases for not knowing or not hearing."""


def record_of(events: Sequence[CallEvent]) -> CallRecord:
    """The record of a call whose journal this is, from its `call_started` on."""
    started = events[0]
    heard = [event.data for event in events if event.kind == "heard" and "stamps" in event.data]
    ended = next((event for event in events if event.kind == "call_ended"), None)
    record = CallRecord(
        id=dated_id(round(started.at_ms), started.call_id),
        call_id=started.call_id,
        company_id=started.company_id,
        agent_id=str(started.data.get("agent_id", "")),
        caller=str(started.data.get("caller", "")),
        called=str(started.data.get("called", "")),
        started_at=_time(started.at_ms),
        turns=len({event.data["turn"] for event in events if event.kind == "turn_ended"}),
        answered_turns=len({data["turn"] for data in heard if data["kind"] in KNOWN_KINDS}),
        voice_to_voice_ms=tuple(value for data in heard if (value := _voice_to_voice_ms(data["stamps"]))),
        prompt_tokens=sum(data["tokens"].get("prompt", 0) for data in heard),
        completion_tokens=sum(data["tokens"].get("completion", 0) for data in heard),
    )
    if ended is None:
        return record
    return record.model_copy(
        update={
            "status": "ended",
            "ended_at": _time(ended.at_ms),
            "end_reason": str(ended.data.get("reason", "")),
            "duration_ms": max(0, round(ended.at_ms - started.at_ms)),
        }
    )


async def put_record(store: Store, record: CallRecord) -> None:
    """Write the record, or bring the one that is there up to it. Raises what the store raises."""
    try:
        await store.documents.insert(CALLS, record)
    except Taken:
        there = await store.documents.get(CALLS, record.company_id, record.id)
        if there is not None and there.status == "live":
            await store.documents.replace(CALLS, record.model_copy(update={"version": there.version}))


def _voice_to_voice_ms(stamps: dict[str, float]) -> float | None:
    if "first_byte" not in stamps or "speech_end" not in stamps:
        return None
    return round(stamps["first_byte"] - stamps["speech_end"], 1)


def _time(at_ms: float) -> datetime:
    return datetime.fromtimestamp(round(at_ms) / 1000, UTC)
