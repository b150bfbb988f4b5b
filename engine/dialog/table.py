"""The rules of turn-taking as a table: which event means what in which phase.

An event that has no row for the current phase changes nothing. `docs/turn-taking.md` shows this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.dialog import events as ev


class Phase(StrEnum):
    """Who has the floor."""

    READY = "ready"
    """Not answered yet."""
    LISTENING = "listening"
    """Nobody speaks; the caller may."""
    HEARING = "hearing"
    """The caller speaks."""
    PAUSED = "paused"
    """The caller paused; the answer is prepared, the turn not yet over."""
    THINKING = "thinking"
    """The turn is over; nothing of the answer was released."""
    SPEAKING = "speaking"
    """The agent speaks."""
    INTERRUPTED = "interrupted"
    """The caller spoke over the agent, whose audio is held until it is known what that was."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Rule:
    """`handler`: the method of `Dialog` that the event calls in these phases."""

    event: type
    phases: tuple[Phase, ...]
    handler: str
    meaning: str


_ALIVE = tuple(phase for phase in Phase if phase not in (Phase.READY, Phase.ENDED))
_P = Phase

RULES: tuple[Rule, ...] = (
    Rule(ev.Started, (_P.READY,), "answer_call", "greet the caller"),
    Rule(ev.CallerSpoke, (_P.LISTENING,), "open_utterance", "the caller takes the floor"),
    Rule(ev.CallerSpoke, (_P.PAUSED,), "go_on_hearing", "not over: cancel the attempt, same utterance"),
    Rule(ev.CallerSpoke, (_P.THINKING,), "reopen_turn", "over too soon: take the turn back, same utterance"),
    Rule(ev.CallerSpoke, (_P.SPEAKING,), "interrupt", "hold the agent's audio and listen"),
    Rule(ev.CallerSpoke, (_P.INTERRUPTED,), "cancel_attempt", "the interruption goes on"),
    Rule(ev.CallerPaused, (_P.HEARING,), "attempt_answer", "transcribe and score, then prepare the answer"),
    Rule(
        ev.CallerPaused, (_P.INTERRUPTED,), "attempt_answer", "transcribe: a cough, a backchannel or a turn?"
    ),
    Rule(
        ev.CallerPaused,
        (_P.PAUSED,),
        "end_sound",
        "sound without a pause has ended: what came since counts",
    ),
    Rule(ev.CallerPaused, (_P.THINKING,), "keep_for_next", "what was said after keys is the next turn"),
    Rule(ev.CallerPaused, (_P.SPEAKING,), "ignore_overlap", "speech over a phrase that is not interruptible"),
    Rule(ev.Transcribed, _ALIVE, "take_transcript", "words for an attempt"),
    Rule(ev.Scored, _ALIVE, "take_score", "the turn model's probability for an attempt"),
    Rule(ev.WordsScored, _ALIVE, "take_words", "the probability that an attempt's words are all"),
    Rule(ev.Retrieved, _ALIVE, "take_passages", "knowledge for an attempt"),
    Rule(ev.Generated, _ALIVE, "take_delta", "reply text for an attempt"),
    Rule(ev.Synthesised, _ALIVE, "take_audio", "audio for a piece"),
    Rule(ev.Failed, _ALIVE, "take_failure", "work failed, fallbacks included"),
    Rule(ev.PieceStarted, _ALIVE, "note_started", "the first byte of a piece left"),
    Rule(ev.PieceFinished, _ALIVE, "note_finished", "a piece was heard to its end"),
    Rule(ev.PlayoutHeld, _ALIVE, "note_held", "how far the caller heard"),
    Rule(ev.DigitPressed, _ALIVE, "collect_digit", "keypad input becomes a turn"),
    Rule(ev.Tick, _ALIVE, "run_timers", "a deadline of the conversation"),
    Rule(ev.Dismissed, _ALIVE, "dismiss_caller", "say goodbye and hang up"),
    Rule(ev.HungUp, _ALIVE, "end_call", "the caller or the carrier ended the call"),
)

TABLE: dict[tuple[type, Phase], str] = {
    (rule.event, phase): rule.handler for rule in RULES for phase in rule.phases
}
