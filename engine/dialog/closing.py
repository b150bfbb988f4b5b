"""The agent ends the call: what it says last, after what it was saying was cut where the caller heard it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dialog.commands import HoldPlayout
from engine.dialog.reply import Kind, Then
from engine.dialog.table import Phase

if TYPE_CHECKING:
    from engine.dialog.core import Dialog

HELD_S = 0.5
"""How long an edge is given to say how far the caller heard, before the agent says its last words."""


def say_last(dialog: Dialog, text: str, now: float) -> None:
    """Say `text`, then hang up. What is being said is held first, so it is known how far it was heard."""
    reply = dialog.voice.reply
    if reply is not None and reply.then is Then.HANG_UP:
        return  # it is closing already
    dialog.last_words = text
    if dialog.phase is Phase.SPEAKING and reply is not None and reply.released:
        dialog.do(HoldPlayout())
        dialog.timers.set("last words", now + HELD_S)
    else:
        close(dialog, now)


def close(dialog: Dialog, now: float) -> None:
    """Say the last words, if there are any that wait to be said."""
    if dialog.last_words is None:
        return
    text, dialog.last_words = dialog.last_words, None
    dialog.timers.cancel("last words")
    dialog.silence_agent()
    dialog.say(dialog.answerer.phrase(Kind.CLOSING, text, Then.HANG_UP), now)
