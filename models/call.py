"""A call, its turns, and the journal that both are projected from."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

EventKind = Literal[
    "call_started",  # agent, company, carrier ids
    "turn_ended",  # the caller's turn: text, stamps
    "reply_released",  # a piece of the reply is about to be played: turn, piece, text
    "heard",  # how far the caller heard: turn, piece, text, interrupted
    "attached",  # another actor took the call over, and why
    "call_ended",  # reason
]


class CallEvent(BaseModel):
    """One line of a call's journal; unique by (call_id, seq)."""

    call_id: str
    company_id: str
    seq: int = Field(ge=0)
    kind: EventKind
    at_ms: float = Field(description="Unix time, ms")
    data: dict[str, Any] = Field(default_factory=dict)


class Turn(BaseModel):
    """What the caller said and what the caller heard in answer."""

    number: int
    caller: str = ""
    agent: str = ""
    interrupted: bool = False
    stamps_ms: dict[str, float] = Field(default_factory=dict)


class Call(BaseModel):
    id: str
    company_id: str
    agent_id: str
    started_at: datetime
    ended_at: datetime | None = None
    end_reason: str | None = None
    turns: list[Turn] = Field(default_factory=list)
