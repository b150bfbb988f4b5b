"""Every stage can fail, fallbacks included, and each failure has a consequence that the caller can hear.

A stage that fails once may be well again when the caller has spoken next: the agent apologises and listens.
When the turn after it fails too, it apologises and hangs up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dialog import commands as cmd
from engine.dialog import keypad, pause
from engine.dialog.events import Failed, Stage, Synthesised
from engine.dialog.reply import Kind, Reply, Then
from engine.dialog.table import Phase
from engine.providers.base import Transcript

if TYPE_CHECKING:
    from engine.dialog.attempt import Attempt
    from engine.dialog.core import Dialog


def take(dialog: Dialog, event: Failed, now: float) -> None:
    """Go on without what failed, or say so. A failure of work that nobody waits for changes nothing."""
    if event.stage is Stage.SYNTHESISE:
        _lose_piece(dialog, str(event.key), now)
        return
    attempt = dialog.attempt_of(int(event.key))
    if attempt is None:
        return
    match event.stage:
        case Stage.SCORE | Stage.WORDS:
            pause.take_witness(dialog, attempt.id, event.stage, None, now)
        case Stage.TRANSCRIBE if dialog.keypad.ready:
            keypad.commit_with(dialog, Transcript("", dialog.agent.language), now)
        case Stage.TRANSCRIBE if dialog.phase is Phase.INTERRUPTED:
            dialog.resume(now)
        case Stage.TRANSCRIBE:
            dialog.do(cmd.EndUtterance())
            again = dialog.failed_turns > 0
            not_heard = dialog.answerer.phrase(Kind.NOT_HEARD, dialog.agent.phrases.not_heard)
            dialog.say(apology(dialog) if again else not_heard, now)
            dialog.failed_turns += 1
        case _:
            _lose_answer(dialog, attempt, event.stage, now)


def _lose_answer(dialog: Dialog, attempt: Attempt, stage: Stage, now: float) -> None:
    """Without knowledge nothing is known, without a model there is an apology; what was said stands."""
    phrases = dialog.agent.phrases
    if attempt.reply is not None and attempt.reply.pieces:
        attempt.reply.complete = True
        dialog.go_on_if_heard(now)
    elif stage is Stage.RETRIEVE:
        dialog.answer_with(attempt, dialog.answerer.phrase(Kind.UNKNOWN, phrases.unknown), now)
    else:
        dialog.answer_with(attempt, apology(dialog), now)


def apology(dialog: Dialog) -> Reply:
    """What is said when nobody can answer; the last words when the turn before had no answer either."""
    then = Then.HANG_UP if dialog.failed_turns else Then.LISTEN
    return dialog.answerer.phrase(Kind.APOLOGY, dialog.agent.phrases.apology, then)


def note_end(dialog: Dialog, reply: Reply) -> None:
    """Count turns in a row that ended without an answer."""
    if reply.kind is Kind.APOLOGY:
        dialog.failed_turns += 1
    elif reply.kind in (Kind.REPLY, Kind.COURTESY, Kind.UNKNOWN):
        dialog.failed_turns = 0


def _lose_piece(dialog: Dialog, piece_id: str, now: float) -> None:
    """No audio for a piece, or no more of it: go on with the next.

    An answer or phrase of which nothing can be spoken becomes the apology, which is at hand. Where even that
    is not there is no voice at all, and a call in silence is ended.
    """
    for reply, attempt in dialog.replies():
        piece = reply.piece(piece_id)
        if piece is None:
            continue
        if not piece.released and reply.kind not in (Kind.APOLOGY, Kind.FILLER, Kind.CLOSING):
            if attempt is None:
                last = dialog.answerer.phrase(Kind.APOLOGY, dialog.agent.phrases.apology, Then.HANG_UP)
                dialog.say(last, now)
                return
            if not any(piece.whole and piece.total for piece in reply.pieces):
                dialog.answer_with(attempt, apology(dialog), now)
                return
        piece.break_off()
    dialog.take_audio(Synthesised(piece_id, b""), now)
