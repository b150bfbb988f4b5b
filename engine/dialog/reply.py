"""What the agent is saying: pieces of text and audio, and how much of them the caller heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from engine.speech.heard import heard_text
from engine.speech.spoken import Spoken


class Kind(StrEnum):
    """Why something is said. Only `REPLY` is an answer of the model."""

    REPLY = "reply"
    GREETING = "greeting"
    UNKNOWN = "unknown"
    COURTESY = "courtesy"
    FILLER = "filler"
    STILL_THERE = "still_there"
    NOT_HEARD = "not_heard"
    APOLOGY = "apology"
    CLOSING = "closing"


class Then(StrEnum):
    """What follows when all was heard."""

    LISTEN = "listen"
    WAIT = "wait"
    """A filler: the reply itself is still to come."""
    HANG_UP = "hang_up"


@dataclass(slots=True)
class Piece:
    """A clause or a phrase. `total` and `heard` are samples; text counts as heard word by word.

    `replayed_from`: where playing began anew after an edge was lost.
    """

    id: str
    spoken: Spoken
    ulaw: bytes | None = None
    released: bool = False
    total: int = 0
    heard: int = 0
    replayed_from: int = 0
    finished: bool = False

    @property
    def text(self) -> str:
        """As it was written, not as it is spoken."""
        return self.spoken.written

    def heard_text(self) -> str:
        if not self.released or (self.spoken.text and not self.total):
            return ""  # it never reached the caller, or no audio could be made of it
        return self.text if self.finished else heard_text(self.spoken, self.total, self.heard)


@dataclass(slots=True)
class Reply:
    """Pieces in order. `complete`: no more text will come."""

    kind: Kind
    then: Then = Then.LISTEN
    pieces: list[Piece] = field(default_factory=list)
    complete: bool = False
    interruptible: bool = True
    interrupted: bool = False
    synthesising: str | None = None
    """The piece whose audio is being made: one at a time, in order."""

    def piece(self, piece_id: str) -> Piece | None:
        return next((piece for piece in self.pieces if piece.id == piece_id), None)

    def next_to_synthesise(self) -> Piece | None:
        return next((piece for piece in self.pieces if piece.ulaw is None), None)

    def releasable(self) -> Iterator[Piece]:
        """Pieces that have audio and whose predecessors are all released or releasable."""
        for piece in self.pieces:
            if piece.released:
                continue
            if piece.ulaw is None:
                return
            yield piece

    @property
    def released(self) -> bool:
        return any(piece.released for piece in self.pieces)

    @property
    def spoken(self) -> bool:
        """Whether everything was heard and nothing more will come."""
        return self.complete and all(piece.finished for piece in self.pieces)

    def heard(self) -> str:
        """The words that the caller heard, in the order in which they were said."""
        return " ".join(text for piece in self.pieces if (text := piece.heard_text().strip()))
