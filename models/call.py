"""A call, its turns, and the journal that both are projected from."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.document import TenantDocument

EventKind = Literal[
    "call_started",  # agent, company, carrier ids
    "turn_ended",  # the caller's turn: text, stamps
    "reply_released",  # a piece of the reply is about to be played: turn, piece, text
    "heard",  # how far the caller heard: turn, piece, text, interrupted
    "attached",  # another actor took the call over, and why
    "call_ended",  # reason
]


class CallKey(NamedTuple):
    """Which call, in the whole installation. A carrier's id alone is unique in one company."""

    company_id: str
    call_id: str


class CallEvent(BaseModel):
    """One line of a call's journal; unique by (company_id, call_id, seq)."""

    # An error that is logged names the field that is wrong, and not what was said.
    model_config = ConfigDict(hide_input_in_errors=True)

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


class CallRecord(TenantDocument):
    """A call as it is listed: written when it begins and when it ends. Its turns are in the journal.

    `id` begins with the time, so that calls are listed by it; `call_id` is the carrier's, and the journal's.
    """

    call_id: str
    agent_id: str
    caller: str = ""
    called: str = ""
    status: Literal["live", "ended"] = "live"
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    end_reason: str | None = None
    duration_ms: int | None = None
    turns: int = 0
    answered_turns: int = 0
    """Turns that the knowledge had an answer to."""
    voice_to_voice_ms: tuple[float, ...] = ()
    """Of each turn: the caller's last word to the agent's first, as far as the server can see."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    recorded: bool = False
