"""Keys that a caller presses, collected into a turn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.dialog import filler
from engine.dialog.commands import EndUtterance, ResumePlayout
from engine.dialog.reply import Then
from engine.dialog.table import Phase
from engine.providers.base import Transcript

if TYPE_CHECKING:
    from engine.dialog.core import Dialog
    from engine.dialog.events import CallerPaused

QUIET_S = 2.5
"""After this long without a further key the digits are taken as they are."""
TERMINATOR = "#"
MAX_DIGITS = 64


class Keypad:
    """Digits so far. True when there are any; `ready` when they are all and only wait for their moment."""

    def __init__(self) -> None:
        self._digits = ""
        self.ready = False
        self.said: CallerPaused | None = None
        """The end of what was said while the agent thought about keys: the next turn, unless it goes on."""

    def __bool__(self) -> bool:
        return bool(self._digits)

    def press(self, digit: str) -> bool:
        """Take a key; whether the input is complete: ended by `#`, or as long as it may be."""
        if digit != TERMINATOR:
            self._digits += digit
        return bool(self._digits) and (digit == TERMINATOR or len(self._digits) >= MAX_DIGITS)

    def take(self) -> str:
        """The digits as words of a transcript, one by one; then there are none."""
        digits, self._digits, self.ready = self._digits, "", False
        return " ".join(digits)


def collect(dialog: Dialog, digit: str, now: float) -> None:
    """A key. It stops the agent, as speech would, but for a closing: then it comes too late."""
    reply = dialog.voice.reply
    if reply is not None and reply.then is Then.HANG_UP:
        if reply.interruptible:
            dialog.do(ResumePlayout())  # which the edge held for the key
        return
    complete = dialog.keypad.press(digit)
    if dialog.phase is Phase.SPEAKING and dialog.voice.interruptible:
        # The edge held the audio and said how far it was heard before it told of the key.
        dialog.silence_agent()
        dialog.enter(Phase.LISTENING, now)
    filler.drop(dialog)
    if complete:
        commit(dialog, now)
    elif dialog.keypad:
        dialog.timers.set("digits", now + QUIET_S)


def commit(dialog: Dialog, now: float) -> None:
    """Make a turn of the keys. What the caller is saying at the same time belongs to it."""
    dialog.timers.cancel("digits")
    dialog.keypad.ready = True
    match dialog.phase:
        case Phase.SPEAKING:
            return  # a phrase that may not be interrupted: they wait for its end
        case Phase.INTERRUPTED:
            dialog.yield_floor(now)
            if dialog.talking:
                dialog.enter(Phase.HEARING, now)
            return
        case Phase.HEARING:
            return
        case Phase.PAUSED if dialog.attempt is not None and dialog.attempt.transcript is None:
            return
    said = dialog.attempt.transcript if dialog.phase is Phase.PAUSED and dialog.attempt else None
    commit_with(dialog, said or Transcript("", dialog.agent.language), now)


def keep(dialog: Dialog, event: CallerPaused) -> None:
    """What was said while the agent thinks about keys waits for its answer to them."""
    attempt = dialog.attempt
    if attempt is not None and attempt.by_keys and dialog.spoke[0] > attempt.through:
        dialog.keypad.said = event


def go_on(dialog: Dialog, now: float) -> None:
    """The agent was heard to its end: what waited for that is a turn now."""
    said, dialog.keypad.said = dialog.keypad.said, None
    if said is not None:
        dialog.enter(Phase.HEARING, now)
        dialog.attempt_answer(said, now)
    if dialog.keypad.ready:
        commit(dialog, now)


def commit_with(dialog: Dialog, said: Transcript, now: float) -> None:
    """A turn of what was said and the keys; nothing is added to it later."""
    before = dialog.attempt
    through = before.through if before is not None else dialog.through
    dialog.silence_agent()
    dialog.drop_attempt()
    attempt = dialog.attempt = dialog.new_attempt(through, {"speech_end": now, "pause": now})
    attempt.by_keys = True
    attempt.unbroken = before is not None and before.unbroken
    attempt.transcript = replace(said, text=f"{said.text} {dialog.keypad.take()}".strip())
    dialog.do(*dialog.answerer.plan(attempt))
    dialog.commit(attempt, now)
    is_next = dialog.talking or dialog.keypad.said is not None
    if attempt.unbroken or not is_next:
        dialog.do(EndUtterance())  # now, not when the answer begins: what is said until then is the next turn
