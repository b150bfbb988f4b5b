"""The dialog: a state machine from events to commands. `table` says which handler serves which event."""

from __future__ import annotations

from collections.abc import Sequence

from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.dialog.answering import Answerer
from engine.dialog.attempt import Attempt
from engine.dialog.backchannel import is_backchannel
from engine.dialog.endpoint import wait_ms
from engine.dialog.prompt import Exchange
from engine.dialog.reply import Kind, Reply, Then
from engine.dialog.scribe import Scribe
from engine.dialog.table import TABLE, Phase
from engine.dialog.timers import Timers
from engine.dialog.voice import Voice
from engine.providers.base import Transcript
from models import AgentConfig

DIGITS_QUIET_S = 2.5
"""After this long without a further key the digits are taken as a turn; `#` ends them at once."""

UNHEARD_TURNS = 3
"""After so many utterances in a row without a word in them the agent says that it understood nothing."""


class Dialog:
    """One call's conversation.

    `handle(event, now)` returns what to do, in order; call it with `Tick` when `wake_at` has come. `now` is
    in seconds of any monotonic clock; `unix_offset_s` turns it into Unix time for the timelines. `epoch`
    tells a replacement's work from that of the actor before it.
    """

    def __init__(
        self,
        agent: AgentConfig,
        *,
        call_id: str,
        epoch: int = 0,
        max_call_s: float,
        unix_offset_s: float = 0.0,
    ) -> None:
        self.agent = agent
        self.phase = Phase.READY
        self.turn = 0
        self.attempt: Attempt | None = None
        self.end_reason: str | None = None
        self._out: list[cmd.Command] = []
        self._answerer = Answerer(agent, call_id, epoch)
        self._scribe = Scribe(unix_offset_s)
        self.voice = Voice(self._answerer, self._scribe, self._out)
        self._timers = Timers()
        self._max_call_s = max_call_s
        self._attempts = 0
        self._reopened = False
        self._overlap = False
        self._asked_still_there = False
        self._unheard_turns = 0
        self._digits = ""

    @property
    def wake_at(self) -> float | None:
        """When a `Tick` is due."""
        return self._timers.next_at()

    @property
    def history(self) -> Sequence[Exchange]:
        return self._answerer.history

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        """What to do about an event; an event without a row in the table asks for nothing."""
        handler = TABLE.get((type(event), self.phase))
        if handler is not None:
            getattr(self, handler)(event, now)
        return self._taken()

    def _taken(self) -> list[cmd.Command]:
        commands = list(self._out)
        self._out.clear()
        return commands

    # The call begins and ends

    def answer_call(self, event: ev.Started, now: float) -> None:
        self._timers.set("limit", now + self._max_call_s)
        self._say(self._answerer.phrase(Kind.GREETING, self.agent.phrases.greeting), now)

    def end_call(self, event: ev.HungUp, now: float) -> None:
        self.voice.cut(self.turn)
        self._finish(event.reason)

    def _finish(self, reason: str) -> None:
        self._drop_attempt()
        self.end_reason = reason
        self.phase = Phase.ENDED
        self._timers.clear()
        self._do(*self._scribe.ended(reason), cmd.HangUp(reason))

    # The caller speaks

    def open_utterance(self, event: ev.CallerSpoke, now: float) -> None:
        self._enter(Phase.HEARING, now)

    def go_on_hearing(self, event: ev.CallerSpoke, now: float) -> None:
        self._drop_attempt()
        self._enter(Phase.HEARING, now)

    def reopen_turn(self, event: ev.CallerSpoke, now: float) -> None:
        """The turn was not over after all: the same turn goes on, and nothing of an answer was heard."""
        self._drop_attempt()
        if self._answerer.history:
            self._answerer.history.pop()
        self._reopened = True
        if self.voice.filler is not None:
            self.voice.filler = None
            self._do(cmd.FlushPlayout())
        self._enter(Phase.HEARING, now)

    def interrupt(self, event: ev.CallerSpoke, now: float) -> None:
        if self.voice.interruptible:
            self._enter(Phase.INTERRUPTED, now)
        else:
            self._overlap = True

    def cancel_attempt(self, event: ev.CallerSpoke, now: float) -> None:
        self._drop_attempt()

    def ignore_overlap(self, event: ev.CallerPaused, now: float) -> None:
        if self._overlap:
            self._overlap = False
            self._do(cmd.EndUtterance())

    def attempt_answer(self, event: ev.CallerPaused, now: float) -> None:
        self._drop_attempt()
        self.attempt = self.new_attempt(event.at, {"speech_end": now - event.silence_ms / 1000, "pause": now})
        if self.phase is Phase.HEARING:
            self._enter(Phase.PAUSED, now)
        self._do(cmd.Transcribe(self.attempt.id), cmd.Score(self.attempt.id))

    def new_attempt(self, through: int, stamps: dict[str, float]) -> Attempt:
        self._attempts += 1
        return Attempt(self._attempts, through, stamps)

    # What the pause was

    def take_transcript(self, event: ev.Transcribed, now: float) -> None:
        attempt = self.attempt
        if attempt is None or attempt.id != event.attempt:
            return
        attempt.transcript = event.transcript
        attempt.stamp("transcript", now)
        text = event.transcript.text
        if self.phase is Phase.INTERRUPTED:
            if not text or is_backchannel(text):
                self._resume(now)
                return
            self._yield_floor(now)
        elif not text:
            self._hear_nothing(now)
            return
        self._do(*self._answerer.plan(attempt))
        self._commit_if_over(now)

    def take_score(self, event: ev.Scored, now: float) -> None:
        attempt = self.attempt
        if attempt is None or attempt.id != event.attempt:
            return
        attempt.probability, attempt.scored = event.probability, True
        attempt.stamp("score", now)
        self._commit_if_over(now)

    def _hear_nothing(self, now: float) -> None:
        """Noise: forget it. When it keeps coming, say that nothing was understood."""
        self._drop_attempt()
        self._do(cmd.EndUtterance())
        self._unheard_turns += 1
        if self._unheard_turns < UNHEARD_TURNS:
            self._enter(Phase.LISTENING, now)
            return
        self._unheard_turns = 0
        self._say(self._answerer.phrase(Kind.NOT_HEARD, self.agent.phrases.not_heard), now)

    def _resume(self, now: float) -> None:
        """A cough or a backchannel: the agent goes on from where it was heard."""
        self._drop_attempt()
        self._enter(Phase.SPEAKING, now)
        self._do(cmd.EndUtterance(), cmd.ResumePlayout())
        self._release(now)
        self._go_on_if_heard(now)

    def _yield_floor(self, now: float) -> None:
        """A real turn over the agent: drop what was not heard."""
        self.voice.cut(self.turn)
        self._do(cmd.FlushPlayout())
        self._enter(Phase.PAUSED, now)

    def _commit_if_over(self, now: float) -> None:
        attempt = self.attempt
        if self.phase is not Phase.PAUSED or attempt is None or attempt.transcript is None:
            return
        settings = self.agent.turn_taking
        wait = float(settings.patient_ms)
        if attempt.scored:
            wait = wait_ms(settings, attempt.transcript.text, attempt.probability)
        # A microsecond of slack: a timer set for this very moment must not find it too early.
        if attempt.silence_ms(now) + 1e-3 >= wait:
            self._commit(attempt, now)
        else:
            self._timers.set("commit", attempt.speech_end + wait / 1000)

    def _commit(self, attempt: Attempt, now: float) -> None:
        """The turn is over: from here on the answer may be heard."""
        assert attempt.transcript is not None
        if not self._reopened:
            self.turn += 1
        self._reopened = False
        self._unheard_turns = 0
        attempt.committed = True
        attempt.stamp("confirmed", now)
        self._answerer.history.append(Exchange(caller=attempt.transcript.text, agent="", facts=attempt.facts))
        self._enter(Phase.THINKING, now)
        self._timers.set("filler", attempt.speech_end + self.agent.turn_taking.filler_after_ms / 1000)
        self._do(*self._scribe.turn_ended(self.turn, attempt), *self._answerer.synthesise_next(attempt))
        self._release(now)

    def _drop_attempt(self) -> None:
        if self.attempt is not None:
            self._do(cmd.CancelAttempt(self.attempt.id))
            if self.attempt.reply is not None:
                self.voice.hush(self.attempt.reply)
            self.attempt = None

    # The answer

    def _attempt_of(self, number: int) -> Attempt | None:
        pair = (self.attempt, self.voice.answering)
        return next((attempt for attempt in pair if attempt is not None and attempt.id == number), None)

    def take_passages(self, event: ev.Retrieved, now: float) -> None:
        attempt = self._attempt_of(event.attempt)
        if attempt is None:
            return
        attempt.stamp("context", now)
        self._do(*self._answerer.answer_from(attempt, event.passages))
        self._go_on_if_heard(now)

    def take_delta(self, event: ev.Generated, now: float) -> None:
        attempt = self._attempt_of(event.attempt)
        if attempt is None or attempt.reply is None or attempt.reply.complete:
            return
        if event.delta.text.strip():
            attempt.stamp("first_token", now)
        self._do(*self._answerer.take_delta(attempt, event.delta))
        if attempt.reply.complete and not attempt.reply.pieces:
            # The model said nothing: an honest phrase is better than silence.
            self._answer_with(attempt, self._answerer.phrase(Kind.UNKNOWN, self.agent.phrases.unknown), now)
        self._go_on_if_heard(now)

    def take_audio(self, event: ev.Synthesised, now: float) -> None:
        for reply, attempt in self._replies():
            piece = reply.piece(event.piece)
            if piece is not None:
                if attempt is not None:
                    attempt.stamp("first_audio", now)
                self.voice.give(reply, attempt, piece, event.ulaw)
        self._release(now)
        self._go_on_if_heard(now)

    def _replies(self) -> list[tuple[Reply, Attempt | None]]:
        prepared = (self.attempt.reply, self.attempt) if self.attempt is not None else (None, None)
        pairs = [prepared, (self.voice.reply, self.voice.answering), (self.voice.filler, None)]
        return [(reply, attempt) for reply, attempt in pairs if reply is not None]

    def _say(self, reply: Reply, now: float) -> None:
        """Say a phrase of the agent's own accord."""
        self._drop_attempt()
        self.voice.begin(reply, None)
        self._enter(Phase.SPEAKING, now)
        self._do(*self._answerer.synthesise(reply))

    def _release(self, now: float) -> None:
        """Let the caller hear what is ready. Nothing is released before the turn is over or while held."""
        attempt = self.attempt
        if self.phase is Phase.SPEAKING and self.voice.reply is not None:
            self.voice.play(self.voice.reply, self.turn)
        elif self.phase is Phase.THINKING and attempt is not None and attempt.reply is not None:
            if next(attempt.reply.releasable(), None) is not None:
                attempt.stamp("released", now)
                self.attempt = None
                self.voice.begin(attempt.reply, attempt)
                self._enter(Phase.SPEAKING, now)
                self.voice.play(attempt.reply, self.turn)
                self._do(cmd.EndUtterance())
        if self.phase is Phase.THINKING and self.voice.filler is not None:
            self.voice.play(self.voice.filler, self.turn)

    def _answer_with(self, attempt: Attempt, reply: Reply, now: float) -> None:
        """Say a phrase in place of an answer that could not be made."""
        attempt.reply = reply
        if attempt is self.voice.answering:
            self.voice.reply = reply
        self._do(*self._answerer.synthesise_next(attempt))
        self._release(now)

    # What the caller heard

    def note_started(self, event: ev.PieceStarted, now: float) -> None:
        self.voice.note_started(event)

    def note_finished(self, event: ev.PieceFinished, now: float) -> None:
        self.voice.note_finished(event.piece)
        self._go_on_if_heard(now)

    def note_held(self, event: ev.PlayoutHeld, now: float) -> None:
        self.voice.note_held(event.heard)

    def _go_on_if_heard(self, now: float) -> None:
        """When everything was heard: listen again, or hang up after a goodbye."""
        if self.phase is not Phase.SPEAKING or not self.voice.spoken:
            return
        if self.voice.answering is not None:
            self.voice.answering.stamp("heard_until", now)
        reply = self.voice.close(self.turn)
        if reply is not None and reply.then is Then.HANG_UP:
            self._finish("agent ended the call")
            return
        talking, self._overlap = self._overlap, False
        self._enter(Phase.HEARING if talking else Phase.LISTENING, now)

    # Failures

    def take_failure(self, event: ev.Failed, now: float) -> None:
        """Every fallback failed too: the caller still hears something."""
        if event.stage is ev.Stage.SYNTHESISE:
            self._lose_piece(str(event.key), now)
            return
        attempt = self._attempt_of(int(event.key))
        if attempt is None:
            return
        phrases, stage = self.agent.phrases, ev.Stage
        match event.stage:
            case stage.SCORE:
                attempt.scored = True
                self._commit_if_over(now)
            case stage.TRANSCRIBE if self.phase is Phase.INTERRUPTED:
                self._resume(now)
            case stage.TRANSCRIBE:
                self._do(cmd.EndUtterance())
                self._say(self._answerer.phrase(Kind.NOT_HEARD, phrases.not_heard), now)
            case stage.RETRIEVE if attempt.reply is None:
                self._answer_with(attempt, self._answerer.phrase(Kind.UNKNOWN, phrases.unknown), now)
            case stage.GENERATE if attempt.reply is None or not attempt.reply.pieces:
                self._answer_with(attempt, self._answerer.phrase(Kind.APOLOGY, phrases.apology), now)
            case _:
                # In the middle of an answer: what was said stands.
                assert attempt.reply is not None
                attempt.reply.complete = True
                self._go_on_if_heard(now)

    def _lose_piece(self, piece_id: str, now: float) -> None:
        """No audio for a piece: skip it. An answer of which nothing can be spoken becomes the apology."""
        for reply, attempt in self._replies():
            if reply.piece(piece_id) is None or attempt is None or reply.kind is Kind.APOLOGY:
                continue
            if not any(piece.ulaw for piece in reply.pieces):
                self._answer_with(
                    attempt, self._answerer.phrase(Kind.APOLOGY, self.agent.phrases.apology), now
                )
                return
        self.take_audio(ev.Synthesised(piece_id, b""), now)

    # Timers and keys

    def run_timers(self, event: ev.Tick, now: float) -> None:
        for name in self._timers.pop_due(now):
            match name:
                case "commit":
                    self._commit_if_over(now)
                case "filler" if self.voice.filler is None:
                    self.voice.filler = self._answerer.phrase(
                        Kind.FILLER, self.agent.phrases.filler, Then.WAIT
                    )
                    self._do(*self._answerer.synthesise(self.voice.filler))
                case "silence" if self._asked_still_there:
                    self._say_last(self.agent.phrases.closing, now)
                case "silence":
                    self._asked_still_there = True
                    self._say(self._answerer.phrase(Kind.STILL_THERE, self.agent.phrases.still_there), now)
                case "digits":
                    self._commit_digits(now)
                case "limit":
                    self._say_last(self.agent.phrases.time_limit, now)

    def _say_last(self, text: str, now: float) -> None:
        """The agent ends the call: whatever is being said gives way to a closing that is played out."""
        self._silence_agent()
        self._say(self._answerer.phrase(Kind.CLOSING, text, Then.HANG_UP), now)

    def _silence_agent(self) -> None:
        if self.voice.reply is not None:
            self.voice.cut(self.turn)
            self._do(cmd.FlushPlayout())

    def collect_digit(self, event: ev.DigitPressed, now: float) -> None:
        if event.digit != "#":
            self._digits += event.digit
            self._timers.set("digits", now + DIGITS_QUIET_S)
        elif self._digits:
            self._commit_digits(now)

    def _commit_digits(self, now: float) -> None:
        """Keys are a turn of their own, whatever was being said."""
        self._timers.cancel("digits")
        digits, self._digits = self._digits, ""
        self._silence_agent()
        self._drop_attempt()
        self.attempt = self.new_attempt(0, {"speech_end": now, "pause": now})
        self.attempt.transcript = Transcript(" ".join(digits), self.agent.language)
        self._do(*self._answerer.plan(self.attempt))
        self._commit(self.attempt, now)

    # A replacement takes over: see `recovery`

    def adopt(self, turn: int, history: Sequence[Exchange], now: float, elapsed_s: float) -> None:
        """Become the dialog of a call that began `elapsed_s` ago and has this history."""
        self.turn = turn
        self._answerer.history.extend(history)
        self._timers.set("limit", now + max(0.0, self._max_call_s - elapsed_s))

    def resume_speaking(self, reply: Reply, attempt: Attempt | None, now: float) -> list[cmd.Command]:
        """Go on saying a reply of which pieces were released; `attempt` is set when more is to be generated."""
        self.voice.begin(reply, attempt)
        self._enter(Phase.SPEAKING, now)
        self._do(*self._answerer.synthesise(reply))
        if attempt is not None:
            attempt.reply = reply
            self._do(*self._answerer.plan_again(attempt))
        self._go_on_if_heard(now)
        return self._taken()

    def resume_thinking(self, attempt: Attempt, now: float) -> list[cmd.Command]:
        """Answer a turn that ended and of whose answer nothing was released."""
        self.attempt = attempt
        self._enter(Phase.THINKING, now)
        self._do(*self._answerer.plan(attempt))
        return self._taken()

    def resume_listening(self, now: float) -> list[cmd.Command]:
        self._enter(Phase.LISTENING, now)
        return self._taken()

    def resume_on_new_edge(self, position: int, now: float) -> list[cmd.Command]:
        """Another edge took the socket over: what it cannot know is told again or closed.

        A caller in mid-sentence is taken to have paused at `position`; whoever goes on speaks again.
        """
        if self.phase is Phase.INTERRUPTED:
            self._enter(Phase.SPEAKING, now)
        if self.phase is Phase.SPEAKING:
            self.voice.play_again()
        commands = self._taken()
        return commands + self.handle(ev.CallerPaused(position, 0.0), now)

    def _enter(self, phase: Phase, now: float) -> None:
        """Change the phase; timers that belong to a phase end with it."""
        self.phase = phase
        for name in ("commit", "filler", "silence"):
            self._timers.cancel(name)
        if phase is Phase.HEARING:
            self._asked_still_there = False
        if phase is Phase.LISTENING:
            settings = self.agent.turn_taking
            quiet_ms = settings.hang_up_after_ms if self._asked_still_there else settings.still_there_after_ms
            self._timers.set("silence", now + quiet_ms / 1000)
        self._do(self._scribe.state(phase.value))

    def _do(self, *commands: cmd.Command) -> None:
        self._out.extend(commands)
