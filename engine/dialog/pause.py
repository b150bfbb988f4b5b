"""The caller pauses: prepare an answer, and find out whether the turn is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.dialog import commands as cmd
from engine.dialog import keypad
from engine.dialog.backchannel import is_listening
from engine.dialog.endpoint import wait_ms
from engine.dialog.events import CallerPaused, Stage, Transcribed
from engine.dialog.reply import Kind
from engine.dialog.table import Phase
from engine.providers.base import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from engine.dialog.attempt import Attempt
    from engine.dialog.core import Dialog

UNBROKEN_S = {Phase.INTERRUPTED: 4.0, Phase.HEARING: 30.0}
"""Sound in which no pause is found for so long is no listener's, or not speech at all: who speaks has paused
many times in half a minute."""
MORE_SAMPLES = 3_200
"""400 ms at 8,000 Hz: more than a word. Where such sound was cut is known to half of that."""
UNHEARD_TURNS = 3
"""After so many utterances in a row without a word in them the agent says that it understood nothing."""


def begin(dialog: Dialog, event: CallerPaused, now: float) -> None:
    """A new attempt; its work starts at once, or when the pause has lasted as long as the load asks for."""
    dialog.drop_attempt()
    dialog.timers.cancel("unbroken")
    end = now - event.silence_ms / 1000
    dialog.attempt = dialog.new_attempt(event.at, {"speech_end": end, "pause": now})
    if dialog.phase is Phase.HEARING:
        dialog.enter(Phase.PAUSED, now)
    start_at = end + dialog.speculation.wait_ms / 1000
    # What was said over the agent is no speculation: its audio is held until it is known.
    if dialog.phase is Phase.INTERRUPTED or now >= start_at:
        listen(dialog, now)
    else:
        dialog.timers.set("attempt", start_at)


def take_unbroken(dialog: Dialog, now: float) -> None:
    """Sound that does not pause: over the agent it takes the floor, else it is heard as if it had ended."""
    if dialog.phase is Phase.INTERRUPTED:
        _take_floor(dialog, now)
        dialog.enter(Phase.HEARING, now)
        return
    at, since = dialog.spoke
    # The edge tells only of a pause which sample it was; by the clock it is nearly that.
    begin(dialog, CallerPaused(at + round((now - since) * SAMPLE_RATE_HZ), 0.0), now)
    assert dialog.attempt is not None
    dialog.attempt.unbroken = True


def end_unbroken(dialog: Dialog, event: CallerPaused, now: float) -> None:
    """It was speech after all, and went on for longer: all of it is one turn."""
    attempt = dialog.attempt
    if attempt is None or not attempt.unbroken or attempt.by_keys:
        return
    if event.at < attempt.through + MORE_SAMPLES:
        return
    if attempt.committed:
        dialog.take_turn_back()
    dialog.enter(Phase.HEARING, now)
    begin(dialog, event, now)


def listen(dialog: Dialog, now: float) -> None:
    """Have the utterance so far transcribed, and where it costs nobody anything its intonation judged."""
    attempt = dialog.attempt
    if attempt is None or attempt.begun:
        return
    attempt.begun = True
    attempt.waiting_for = {Stage.SCORE, Stage.WORDS}
    attempt.stamp("asked", now)
    dialog.do(cmd.Transcribe(attempt.id))
    if not dialog.speculation.is_loaded:
        _ask_intonation(dialog, attempt)


def _ask_intonation(dialog: Dialog, attempt: Attempt) -> None:
    if not attempt.intonation_asked:
        attempt.intonation_asked = True
        dialog.do(cmd.Score(attempt.id))


def take_transcript(dialog: Dialog, event: Transcribed, now: float) -> None:
    """Words: a backchannel, a turn, or the beginning of one."""
    attempt = dialog.attempt
    if attempt is None or attempt.id != event.attempt:
        return
    attempt.stamp("transcript", now)
    attempt.serve("stt", event.transcript.served_by, event.transcript.route)
    dialog.speculation.transcribed((now - attempt.stamps["asked"]) * 1000, event.transcript.load)
    text = event.transcript.text
    if dialog.keypad.ready:
        keypad.commit_with(dialog, event.transcript, now)
        return
    if dialog.phase is Phase.INTERRUPTED:
        answers = bool(text) and dialog.voice.heard_out
        if is_listening(event.transcript) and not answers:
            dialog.resume(now)
            return
        _take_floor(dialog, now)
    elif not text and not dialog.said_before:
        _hear_nothing(dialog, now)
        return
    attempt.transcript = replace(event.transcript, text=f"{dialog.said_before} {text}".strip())
    dialog.do(*dialog.answerer.plan(attempt))
    _ask_witnesses(dialog, attempt, now)
    commit_if_over(dialog, now)


def _take_floor(dialog: Dialog, now: float) -> None:
    """A turn over the agent; where nothing of the answer was heard, the turn that it answers goes on."""
    said_before = dialog.voice.unheard_question
    dialog.yield_floor(now)
    if said_before:
        dialog.take_turn_back(said_before)


def _ask_witnesses(dialog: Dialog, attempt: Attempt, now: float) -> None:
    """Does it sound like the end, and are the words all? A courtesy is complete as it is.

    Under load intonation waits for the words: three of four pauses within a sentence are over by then, and
    the reply takes longer than both verdicts.
    """
    assert attempt.transcript is not None
    if attempt.silence_ms(now) >= dialog.agent.turn_taking.patient_ms:
        return  # so late that the turn is over, whatever they say
    _ask_intonation(dialog, attempt)
    if attempt.reply is not None and attempt.reply.kind in (Kind.COURTESY, Kind.CLOSING):
        attempt.waiting_for.discard(Stage.WORDS)
        return
    dialog.do(cmd.ScoreWords(attempt.id, attempt.transcript.text))


def take_witness(dialog: Dialog, number: int, stage: Stage, probability: float | None, now: float) -> None:
    """What one of the models thinks of the pause; None: it failed, the others decide."""
    attempt = dialog.attempt
    if attempt is None or attempt.id != number:
        return
    attempt.waiting_for.discard(stage)
    if stage is Stage.SCORE:
        attempt.intonation = probability
    else:
        attempt.words = probability
    attempt.stamp(stage.value, now)
    commit_if_over(dialog, now)


def commit_if_over(dialog: Dialog, now: float) -> None:
    """End the turn if the silence is long enough, or come back when it will be."""
    attempt = dialog.attempt
    if dialog.phase is not Phase.PAUSED or attempt is None or attempt.transcript is None:
        return
    settings = dialog.agent.turn_taking
    wait = float(settings.patient_ms)
    if not attempt.waiting_for:
        wait = wait_ms(settings, attempt.evidence)
    if attempt.reply is not None and attempt.reply.kind is Kind.UNKNOWN:
        # Half a question is looked up in vain more often than a whole one, and nobody longs for this answer.
        wait = max(wait, float(settings.unsure_ms))
    # A microsecond of slack: a timer set for this very moment must not find it too early.
    if attempt.silence_ms(now) + 1e-3 >= wait:
        dialog.commit(attempt, now)
    else:
        dialog.timers.set("commit", attempt.speech_end + wait / 1000)


def _hear_nothing(dialog: Dialog, now: float) -> None:
    """Noise: forget it. When it keeps coming, say that nothing was understood."""
    dialog.drop_attempt()
    dialog.do(cmd.EndUtterance())
    dialog.unheard_turns += 1
    if dialog.unheard_turns < UNHEARD_TURNS:
        dialog.enter(Phase.HEARING if dialog.talking else Phase.LISTENING, now)
        return
    dialog.unheard_turns = 0
    dialog.say(dialog.answerer.phrase(Kind.NOT_HEARD, dialog.agent.phrases.not_heard), now)
