"""What is said while an answer is late, so that the caller does not wait in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dialog.commands import FlushPlayout
from engine.dialog.reply import Kind, Then

if TYPE_CHECKING:
    from engine.dialog.core import Dialog

TIMERS = LATE, STALLED = "filler", "stalled"
"""The answer is late; and it is late although its first word is there."""


def expect(dialog: Dialog, since: float) -> None:
    """An answer is awaited from that moment on."""
    dialog.timers.set(LATE, since + _wait_s(dialog))


def come_due(dialog: Dialog, timer: str, now: float) -> None:
    """Say the filler, unless the answer is near: then as long again, in case it has stalled."""
    if dialog.talking:
        dialog.timers.set(timer, now + _wait_s(dialog))  # nobody waits, and the edge would hold it
    elif timer == LATE and _answer_is_near(dialog):
        dialog.timers.set(STALLED, now + _wait_s(dialog))
    else:
        text = dialog.agent.phrases.filler
        dialog.voice.filler = dialog.answerer.phrase(Kind.FILLER, text, Then.WAIT)
        dialog.do(*dialog.answerer.synthesise(dialog.voice.filler))


def drop(dialog: Dialog) -> None:
    """The edge has held it: nothing else would be heard behind it."""
    if dialog.voice.filler is not None:
        dialog.voice.filler = None
        dialog.do(FlushPlayout())


def _answer_is_near(dialog: Dialog) -> bool:
    """Whether its first word is there: a filler would delay it."""
    attempt = dialog.attempt
    if attempt is None or attempt.reply is None:
        return False
    return bool(attempt.reply.pieces) or "first_token" in attempt.stamps


def _wait_s(dialog: Dialog) -> float:
    return dialog.agent.turn_taking.filler_after_ms / 1000
