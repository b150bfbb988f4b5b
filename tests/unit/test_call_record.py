"""The list of calls is a projection of their journals."""

from __future__ import annotations

from typing import Any

from engine.call.record import put_record, record_of
from engine.store import Page, Store
from engine.store.documents import CALLS
from models import CallEvent

BEGAN = 1_795_539_400_000.0


def journal(*entries: tuple[str, float, dict[str, Any]]) -> list[CallEvent]:
    return [
        CallEvent.model_validate(
            {
                "call_id": "CA1",
                "company_id": "acme",
                "seq": seq,
                "kind": kind,
                "at_ms": BEGAN + at,
                "data": data,
            }
        )
        for seq, (kind, at, data) in enumerate(entries)
    ]


STARTED = ("call_started", 0.4, {"agent_id": "front", "caller": "+15550100", "called": "+15550199"})
ANSWERED = {
    "turn": 1,
    "text": "At nine.",
    "kind": "reply",
    "interrupted": False,
    "stamps": {"speech_end": BEGAN + 2_000, "first_byte": BEGAN + 2_430.5},
    "tokens": {"prompt": 40, "completion": 4, "cached": 30},
}
UNKNOWN = ANSWERED | {"turn": 2, "kind": "unknown", "tokens": {}, "stamps": {"speech_end": BEGAN + 9_000}}
WHOLE = (
    STARTED,
    ("heard", 900, {"turn": 0, "text": "Hello.", "kind": "greeting", "interrupted": False}),
    ("turn_ended", 2_300, {"turn": 1, "text": "When do you open?"}),
    ("heard", 3_500, ANSWERED),
    ("turn_ended", 9_700, {"turn": 2, "text": "Who are you?"}),
    ("heard", 11_000, UNKNOWN),
    ("call_ended", 12_000.4, {"reason": "caller hung up"}),
)


def test_a_call_that_goes_on() -> None:
    record = record_of(journal(STARTED))
    assert (record.call_id, record.status, record.duration_ms, record.turns) == ("CA1", "live", None, 0)
    assert (record.agent_id, record.caller, record.called) == ("front", "+15550100", "+15550199")


def test_a_call_that_ended() -> None:
    record = record_of(journal(*WHOLE))
    assert (record.status, record.end_reason, record.duration_ms) == ("ended", "caller hung up", 12_000)
    assert (record.turns, record.answered_turns, record.voice_to_voice_ms) == (2, 1, (430.5,))
    assert (record.prompt_tokens, record.completion_tokens) == (40, 4)


async def test_a_call_has_one_line_whose_end_is_final(store: Store) -> None:
    for until in (1, 3, len(WHOLE), 2):
        await put_record(store, record_of(journal(*WHOLE[:until])))
    (listed,) = await store.documents.find(CALLS, "acme", {}, Page())
    assert (listed.status, listed.turns, listed.version) == ("ended", 2, 3)
    assert await store.documents.find(CALLS, "acme", {"status": "live"}, Page()) == []


async def test_calls_are_listed_by_their_beginning(store: Store) -> None:
    for number, name in enumerate(("CAz", "CAa", "CAm")):
        events = [event.model_copy(update={"call_id": name}) for event in journal(STARTED)]
        events[0] = events[0].model_copy(update={"at_ms": BEGAN + number})
        await put_record(store, record_of(events))
    listed = await store.documents.find(CALLS, "acme", {}, Page())
    assert [record.call_id for record in listed] == ["CAm", "CAa", "CAz"]
