"""What the agent is saying: pieces of text and audio, and how much of them the caller heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from engine.dialog.piece import Piece, piece_of


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

    def piece(self, part: str) -> Piece | None:
        """The piece of this id, or of this part."""
        return next((piece for piece in self.pieces if piece.id == piece_of(part)), None)

    def next_to_synthesise(self) -> Piece | None:
        return next((piece for piece in self.pieces if not piece.whole), None)

    def playable(self) -> Iterator[Piece]:
        """Pieces of which an edge can be given more, in order; none before the one before it is whole."""
        for piece in self.pieces:
            if piece.playable:
                yield piece
            if not piece.whole:
                return

    @property
    def made(self) -> bool:
        """Whether all of its audio is there."""
        return self.complete and all(piece.whole for piece in self.pieces)

    @property
    def released(self) -> bool:
        return any(piece.released for piece in self.pieces)

    @property
    def spoken(self) -> bool:
        """Whether everything was heard and nothing more will come."""
        return self.complete and all(piece.finished for piece in self.pieces)

    @property
    def heard_samples(self) -> int:
        """How much of it the caller heard, at 8,000 Hz."""
        return sum(piece.heard for piece in self.pieces)

    @property
    def unheard_samples(self) -> int:
        """How much of the audio that was made the caller did not hear."""
        return sum(piece.total - piece.heard for piece in self.pieces)

    def heard(self) -> str:
        """The words that the caller heard, in the order in which they were said."""
        return " ".join(text for piece in self.pieces if (text := piece.heard_text().strip()))
