"""What can happen to a call. Frozen values; the edge's events also travel over the link as they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.providers.base import ChatDelta, Passage, Route, Transcript


class Stage(StrEnum):
    """The kinds of work that the core gives away and gets results of, or a `Failed`."""

    TRANSCRIBE = "transcribe"
    SCORE = "score"
    WORDS = "words"
    RETRIEVE = "retrieve"
    GENERATE = "generate"
    SYNTHESISE = "synthesise"


# From the media edge.


@dataclass(frozen=True, slots=True)
class CallerSpoke:
    """Speech began at sample `at`. Over interruptible agent audio the edge already holds playout."""

    at: int


@dataclass(frozen=True, slots=True)
class CallerAudio:
    """A contiguous piece of the caller's speech, mu-law, from sample `at` on."""

    at: int
    ulaw: bytes


@dataclass(frozen=True, slots=True)
class CallerPaused:
    """The last speech sample was just before `at`, `silence_ms` before this was sent."""

    at: int
    silence_ms: float


@dataclass(frozen=True, slots=True)
class DigitPressed:
    digit: str


@dataclass(frozen=True, slots=True)
class PieceStarted:
    """The line got to a piece at `unix_ms`, sent to the carrier by then; so with its later parts."""

    piece: str
    unix_ms: float


@dataclass(frozen=True, slots=True)
class PieceFinished:
    """The caller heard all of a piece, or of a part of one."""

    piece: str


@dataclass(frozen=True, slots=True)
class PieceHeard:
    """How much of a piece or a part of one the caller has heard, in samples."""

    piece: str
    samples: int
    total: int


@dataclass(frozen=True, slots=True)
class PlayoutHeld:
    """Playout stopped for the caller's speech; `heard` says how far each unfinished piece got."""

    heard: tuple[PieceHeard, ...]


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over on the carrier's side."""

    reason: str


EdgeEvent = (
    CallerSpoke
    | CallerAudio
    | CallerPaused
    | DigitPressed
    | PieceStarted
    | PieceFinished
    | PlayoutHeld
    | HungUp
)

# Results of commands.


@dataclass(frozen=True, slots=True)
class Transcribed:
    attempt: int
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Scored:
    attempt: int
    probability: float


@dataclass(frozen=True, slots=True)
class WordsScored:
    """Probability that the words of an attempt are a finished utterance."""

    attempt: int
    probability: float


@dataclass(frozen=True, slots=True)
class Retrieved:
    attempt: int
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Generated:
    """A piece of the reply's text; the last one has `finish_reason`."""

    attempt: int
    delta: ChatDelta


@dataclass(frozen=True, slots=True)
class Synthesised:
    """More audio of a piece; after the `last` there is none."""

    piece: str
    ulaw: bytes
    served_by: str = ""
    route: Route = ()
    last: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """Work failed or passed its deadline, and every fallback too. `key`: the attempt or the piece."""

    stage: Stage
    key: int | str
    reason: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The operator wants the call to end soon: the agent says goodbye."""


@dataclass(frozen=True, slots=True)
class Started:
    """The call was answered."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that `Dialog.wake_at` asked for has come."""


Event = (
    EdgeEvent
    | Transcribed
    | Scored
    | WordsScored
    | Retrieved
    | Generated
    | Synthesised
    | Failed
    | Started
    | Dismissed
    | Tick
)
