"""What a Parley server tells a trusted caller beside the audio: `parley` messages, parsed.

A real carrier never gets these. Unknown types are kept as `OtherEvent`, so that a newer server can talk to an
older simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from engine.errors import ProtocolError

ANSWER_KINDS = frozenset({"reply", "unknown", "closing", "other"})
"""Kinds of agent speech that answer a question; `filler`, `greeting` and `apology` do not."""


@dataclass(frozen=True, slots=True)
class CallStarted:
    call_id: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class UserTurn:
    """A confirmed turn of the caller, as the server understood it."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class AgentPiece:
    """A released piece of speech; its audio follows all that was released before it.

    `audio_ms` is how long it sounds, where the server says so: it tells where the next piece starts.
    Where that is not the `whole`, more of it is being made.
    """

    turn: int
    piece: int
    text: str
    kind: str
    audio_ms: float | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class MoreAudio:
    """More audio of a released piece, which lasts so much longer."""

    turn: int
    piece: int
    kind: str
    audio_ms: float
    whole: bool = True

    def belongs_to(self, piece: AgentPiece) -> bool:
        return (self.turn, self.piece, self.kind) == (piece.turn, piece.piece, piece.kind)

    def added_to(self, piece: AgentPiece) -> AgentPiece:
        return replace(piece, audio_ms=(piece.audio_ms or 0.0) + self.audio_ms, whole=self.whole)


@dataclass(frozen=True, slots=True)
class Heard:
    turn: int
    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class TurnDone:
    """A turn is over. `stamps`: name -> Unix time in ms, the server's; `served`: stage -> who did it;

    `vain`: what was prepared in pauses that were not the end: transcripts, replies, clauses; `routes`: stage
    -> decisions (provider, what, after_ms) where not simply the first provider of a chain answered.
    """

    turn: int
    user: str = ""
    agent: str = ""
    kind: str = ""
    stamps: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)
    vain: dict[str, int] = field(default_factory=dict)
    routes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StateChange:
    state: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OtherEvent:
    type: str
    data: dict[str, Any]


Event: TypeAlias = (
    CallStarted | UserTurn | AgentPiece | MoreAudio | Heard | TurnDone | StateChange | CallEnded | OtherEvent
)

_TYPES: dict[str, TypeAdapter[Any]] = {
    "call": TypeAdapter(CallStarted),
    "user": TypeAdapter(UserTurn),
    "agent": TypeAdapter(AgentPiece),
    "more": TypeAdapter(MoreAudio),
    "heard": TypeAdapter(Heard),
    "turn": TypeAdapter(TurnDone),
    "state": TypeAdapter(StateChange),
    "ended": TypeAdapter(CallEnded),
}


def parse_event(body: Mapping[str, Any]) -> Event:
    """The event in the `parley` field of a message; raises ProtocolError if a known type has wrong fields."""
    kind = str(body.get("type", ""))
    adapter = _TYPES.get(kind)
    if adapter is None:
        return OtherEvent(kind, dict(body))
    try:
        event: Event = adapter.validate_python(_without_nulls(body))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError(f"parley event '{kind}': {where}: {first['msg']}") from error
    return event


def _without_nulls(body: Mapping[str, Any]) -> dict[str, Any]:
    """A stage that did not run may be null or absent: the same thing here."""
    return {
        key: _without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in body.items()
        if value is not None
    }
