"""What the core can ask for. Executed in order; `Append` takes effect before what follows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.providers.base import ChatRequest
from models.call import EventKind


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Transcribe the utterance so far."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Score:
    """Ask the turn model about the utterance so far."""

    attempt: int


@dataclass(frozen=True, slots=True)
class ScoreWords:
    """Ask whether these words are a finished utterance."""

    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class Retrieve:
    attempt: int
    query: str


@dataclass(frozen=True, slots=True)
class Generate:
    attempt: int
    request: ChatRequest


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """Have the model read these one after the other, until it is asked for a reply."""

    requests: tuple[ChatRequest, ...]


@dataclass(frozen=True, slots=True)
class Synthesise:
    """Speak `text`, already normalised, as `piece`; a `phrase` is fixed and worth caching."""

    piece: str
    text: str
    phrase: bool


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """Stop transcribing, scoring, retrieving and generating for an attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class CancelSpeech:
    """Stop synthesising a piece."""

    piece: str


@dataclass(frozen=True, slots=True)
class EndUtterance:
    """The caller's utterance is settled up to here: forget its audio, tell the edge to forget it."""


@dataclass(frozen=True, slots=True)
class Append:
    """Write to the journal before anything that follows."""

    kind: EventKind
    data: dict[str, Any]


# For the media edge; these travel over the link as they are.


@dataclass(frozen=True, slots=True)
class Play:
    """Play mu-law audio after what is queued. `interruptible`: speech over it holds playout at once.

    `piece` is the id of a piece or of a part of one (`engine.dialog.piece.Piece`).
    """

    piece: str
    ulaw: bytes
    interruptible: bool


@dataclass(frozen=True, slots=True)
class HoldPlayout:
    """Stop playing and tell how far the caller heard, as for speech over the agent."""


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """It was no interruption: go on from where the caller stopped hearing."""


@dataclass(frozen=True, slots=True)
class FlushPlayout:
    """Drop what was not heard."""


@dataclass(frozen=True, slots=True)
class Tell:
    """For trusted clients (talk page, bench): what happens, as JSON. Never sent to a carrier."""

    event: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HangUp:
    reason: str


EdgeCommand = Play | HoldPlayout | ResumePlayout | FlushPlayout | Tell | HangUp
Command = (
    Transcribe
    | Score
    | ScoreWords
    | Retrieve
    | Generate
    | ReadAhead
    | Synthesise
    | CancelAttempt
    | CancelSpeech
    | EndUtterance
    | Append
    | EdgeCommand
)
