"""The agent's voice: the reply that is being said, what was released of it, and what was heard."""

from __future__ import annotations

from collections.abc import Sequence

from engine.dialog import commands as cmd
from engine.dialog.answering import Answerer
from engine.dialog.attempt import Attempt
from engine.dialog.events import PieceHeard, PieceStarted
from engine.dialog.piece import Piece
from engine.dialog.reply import Reply, Then
from engine.dialog.scribe import Scribe

UNHEARD_SAMPLES = 1_600
"""200 ms at 8,000 Hz: who goes on so soon had not finished, only paused for long; and who speaks so shortly
before the end answers what was said."""


class Voice:
    """Holds the current reply, the attempt that it answers (none for a phrase), and a filler before it."""

    def __init__(self, answerer: Answerer, scribe: Scribe, out: list[cmd.Command]) -> None:
        self.reply: Reply | None = None
        self.answering: Attempt | None = None
        self.filler: Reply | None = None
        self._answerer = answerer
        self._scribe = scribe
        self._out = out

    @property
    def interruptible(self) -> bool:
        return self.reply is None or self.reply.interruptible

    @property
    def spoken(self) -> bool:
        """Whether the current reply was heard to its end."""
        return self.reply is not None and self.reply.spoken

    @property
    def heard_out(self) -> bool:
        """Whether what the caller says now answers the reply: nothing that matters of it is still to come.

        After a goodbye there is nothing to answer.
        """
        reply = self.reply
        if reply is None or reply.then is Then.HANG_UP:
            return False
        return reply.made and reply.heard_samples > 0 and reply.unheard_samples < UNHEARD_SAMPLES

    @property
    def unheard_question(self) -> str:
        """What the caller said that is being answered, where no word of the answer was heard; else empty."""
        attempt, reply = self.answering, self.reply
        if attempt is None or attempt.transcript is None or attempt.by_keys or reply is None:
            return ""
        is_unheard = reply.heard_samples < UNHEARD_SAMPLES and not reply.heard()
        return attempt.transcript.text if is_unheard else ""

    def begin(self, reply: Reply, attempt: Attempt | None) -> None:
        self.reply, self.answering, self.filler = reply, attempt, None

    def play(self, reply: Reply, turn: int) -> None:
        """Let the caller hear all that is ready, in order."""
        for piece in reply.playable():
            first, piece.released = not piece.released, True
            part = piece.next_part()
            if part is None:
                continue
            if first:
                self._out += self._scribe.released(turn, reply, piece)
            elif piece.given > piece.told:
                self._out += self._scribe.continued(turn, reply, piece)
            piece.told = max(piece.told, piece.given)
            self._out.append(cmd.Play(*part, reply.interruptible))

    def start_again(self) -> None:
        """A new edge has no audio: what was not heard is to be played, and made where it is lost."""
        if self.reply is None:
            return
        for piece in self.reply.pieces:
            if not piece.released or piece.finished or piece.play_anew():
                continue
            if self.reply.synthesising == piece.id:
                self.hush(self.reply)  # it goes on from where the lost edge was, not from where the caller is
        self._out += self._answerer.synthesise(self.reply)

    def give(
        self, reply: Reply, attempt: Attempt | None, piece: Piece, ulaw: bytes, *, last: bool = True
    ) -> None:
        """Audio for a piece; behind its last the next piece is made. No audio at all: nothing to hear."""
        piece.take(ulaw, last=last)
        if not last:
            return
        reply.synthesising = None
        if attempt is not None:
            self._out += self._answerer.synthesise_next(attempt)
        else:
            self._out += self._answerer.synthesise(reply)

    def note_started(self, event: PieceStarted) -> None:
        """The first byte of an answer; what begins when some of it was heard is a later part."""
        reply = self.reply
        if self.answering is None or reply is None or reply.piece(event.piece) is None:
            return
        if not reply.heard_samples:
            self.answering.stamp("first_byte", self._scribe.monotonic(event.unix_ms))

    def note_finished(self, part: str) -> None:
        for reply in (self.reply, self.filler):
            if reply is not None and (piece := reply.piece(part)) is not None:
                piece.note(part)

    def note_held(self, heard: Sequence[PieceHeard]) -> None:
        """How far the caller heard; never less than was known before."""
        for item in heard:
            if self.reply is not None and (piece := self.reply.piece(item.piece)) is not None:
                piece.note(item.piece, item.samples)

    def cut(self, turn: int) -> None:
        """Stop the reply where the caller stopped hearing: only that is history."""
        if self.reply is None:
            return
        self.reply.interrupted = True
        if self.answering is not None:
            self._out.append(cmd.CancelAttempt(self.answering.id))
        self.hush(self.reply)
        self.close(turn)

    def hush(self, reply: Reply) -> None:
        """Make no more audio for a reply."""
        if reply.synthesising is not None:
            self._out.append(cmd.CancelSpeech(reply.synthesising))
            reply.synthesising = None

    def close(self, turn: int) -> Reply | None:
        """Write down what was heard of the reply and forget it."""
        reply = self.reply
        if reply is not None:
            if self.answering is not None:
                self._answerer.heard(reply.heard())
            self._out += self._scribe.heard(turn, reply, self.answering)
        self.reply = self.answering = None
        return reply
