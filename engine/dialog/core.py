"""The dialog: a state machine from events to commands. `table` says which handler serves which event."""

from __future__ import annotations

from engine.dialog import closing, failures, filler, keypad, pause
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.dialog.answering import Answerer
from engine.dialog.attempt import Attempt
from engine.dialog.prompt import Exchange
from engine.dialog.reply import Kind, Reply, Then
from engine.dialog.scribe import Scribe
from engine.dialog.speculation import Speculation
from engine.dialog.table import TABLE, Phase
from engine.dialog.timers import Timers
from engine.dialog.voice import Voice
from models import AgentConfig


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
        self.answerer = Answerer(agent, call_id, epoch)
        self._scribe = Scribe(unix_offset_s)
        self.voice = Voice(self.answerer, self._scribe, self._out)
        self.timers = Timers()
        self._max_call_s = max_call_s
        self.speculation = Speculation()
        self.keypad = keypad.Keypad()
        self.talking = False
        """Whether the caller is heard at this moment, in whatever phase."""
        self.spoke = (0, 0.0)
        """At which sample the caller's latest speech began, and when that was told."""
        self.said_before = ""
        """Words of this turn whose audio is gone: its first half, when its actor died."""
        self.unheard_turns = 0
        self._attempts = 0
        self.through = 0
        """Up to which sample the caller's speech is in the journal."""
        self._reopened = False
        self._asked_still_there = False
        self.last_words: str | None = None
        """What waits to be said before hanging up, until it is known how far the caller heard."""
        self.failed_turns = 0
        """In a row, the last one included."""

    @property
    def wake_at(self) -> float | None:
        """When a `Tick` is due."""
        return self.timers.next_at()

    @property
    def history(self) -> list[Exchange]:
        return self.answerer.history

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        """What to do about an event; an event without a row in the table asks for nothing."""
        match event:
            case ev.CallerSpoke(at):
                self.talking = True
                self.spoke = (at, now)
                self.keypad.said = None  # it is part of what is said now
            case ev.CallerPaused():
                self.talking = False
        handler = TABLE.get((type(event), self.phase))
        if handler is not None:
            getattr(self, handler)(event, now)
        return self.take_commands()

    def take_commands(self) -> list[cmd.Command]:
        commands = list(self._out)
        self._out.clear()
        return commands

    # The call begins and ends

    def answer_call(self, event: ev.Started, now: float) -> None:
        self.limit(now)
        self.say(self.answerer.phrase(Kind.GREETING, self.agent.opening), now)

    def limit(self, now: float, elapsed_s: float = 0.0) -> None:
        """Set the longest call's end; `elapsed_s` of it is over."""
        self.timers.set("limit", now + max(0.0, self._max_call_s - elapsed_s))

    def end_call(self, event: ev.HungUp, now: float) -> None:
        self.voice.cut(self.turn)
        self._finish(event.reason)

    def dismiss_caller(self, event: ev.Dismissed, now: float) -> None:
        closing.say_last(self, self.agent.phrases.closing, now)

    def _finish(self, reason: str) -> None:
        self.drop_attempt()
        self.end_reason = reason
        self.phase = Phase.ENDED
        self.timers.clear()
        self.do(*self._scribe.ended(reason), cmd.HangUp(reason))

    # The caller speaks

    def open_utterance(self, event: ev.CallerSpoke, now: float) -> None:
        self.enter(Phase.HEARING, now)

    def go_on_hearing(self, event: ev.CallerSpoke, now: float) -> None:
        self.drop_attempt()
        self.enter(Phase.HEARING, now)

    def reopen_turn(self, event: ev.CallerSpoke, now: float) -> None:
        """The turn was not over after all: the same turn goes on, and nothing of an answer was heard."""
        filler.drop(self)
        attempt = self.attempt
        if attempt is not None and attempt.by_keys:
            return  # keys are a turn for themselves: what is said now is the next one
        words = ""
        if attempt is not None and attempt.recovered and attempt.transcript is not None:
            words = attempt.transcript.text
        self.drop_attempt()
        self.take_turn_back(words)
        self.enter(Phase.HEARING, now)

    def take_turn_back(self, words: str = "") -> None:
        """The turn goes on; `words`: what of it is in no audio any more."""
        self.said_before = words or self.said_before
        if self.history:
            self.history.pop()
        self._reopened = True

    def interrupt(self, event: ev.CallerSpoke, now: float) -> None:
        if self.voice.interruptible:
            self.enter(Phase.INTERRUPTED, now)

    def cancel_attempt(self, event: ev.CallerSpoke, now: float) -> None:
        self.drop_attempt()
        self.timers.set("unbroken", now + pause.UNBROKEN_S[self.phase])

    def ignore_overlap(self, event: ev.CallerPaused, now: float) -> None:
        self.do(cmd.EndUtterance())

    def keep_for_next(self, event: ev.CallerPaused, now: float) -> None:
        keypad.keep(self, event)
        self.end_sound(event, now)

    def end_sound(self, event: ev.CallerPaused, now: float) -> None:
        pause.end_unbroken(self, event, now)

    def attempt_answer(self, event: ev.CallerPaused, now: float) -> None:
        pause.begin(self, event, now)

    def new_attempt(self, through: int, stamps: dict[str, float]) -> Attempt:
        self._attempts += 1
        return Attempt(self._attempts, through, stamps)

    # What the pause was

    def take_transcript(self, event: ev.Transcribed, now: float) -> None:
        pause.take_transcript(self, event, now)

    def take_score(self, event: ev.Scored, now: float) -> None:
        pause.take_witness(self, event.attempt, ev.Stage.SCORE, event.probability, now)

    def take_words(self, event: ev.WordsScored, now: float) -> None:
        pause.take_witness(self, event.attempt, ev.Stage.WORDS, event.probability, now)

    def resume(self, now: float) -> None:
        """A cough or a backchannel: the agent goes on from where it was heard."""
        self.drop_attempt()
        self.enter(Phase.SPEAKING, now)
        self.do(cmd.EndUtterance(), cmd.ResumePlayout())
        self.release(now)
        self.go_on_if_heard(now)

    def yield_floor(self, now: float) -> None:
        """A real turn over the agent: drop what was not heard."""
        if self.voice.spoken:
            self._end_reply(now)
        else:
            self.voice.cut(self.turn)
        self.do(cmd.FlushPlayout())
        self.enter(Phase.PAUSED, now)

    def commit(self, attempt: Attempt, now: float) -> None:
        """The turn is over: from here on the answer may be heard."""
        assert attempt.transcript is not None
        if not self._reopened:
            self.turn += 1
        self._reopened = False
        self.unheard_turns = 0
        self.through = max(self.through, attempt.through)
        attempt.committed = True
        attempt.vain = self.speculation.turn_over()
        attempt.stamp("confirmed", now)
        self.history.append(Exchange(caller=attempt.transcript.text, agent="", facts=attempt.facts))
        self.enter(Phase.THINKING, now)
        filler.expect(self, attempt.speech_end)
        self.do(*self._scribe.turn_ended(self.turn, attempt), *self.answerer.synthesise_next(attempt))
        self.release(now)

    def drop_attempt(self) -> None:
        self.timers.cancel("attempt")
        if self.attempt is not None:
            self.speculation.dropped(self.attempt)
            self.do(cmd.CancelAttempt(self.attempt.id))
            if self.attempt.reply is not None:
                self.voice.hush(self.attempt.reply)
            self.attempt = None

    # The answer

    def attempt_of(self, number: int) -> Attempt | None:
        pair = (self.attempt, self.voice.answering)
        return next((attempt for attempt in pair if attempt is not None and attempt.id == number), None)

    def take_passages(self, event: ev.Retrieved, now: float) -> None:
        attempt = self.attempt_of(event.attempt)
        if attempt is None:
            return
        attempt.stamp("context", now)
        self.do(*self.answerer.answer_from(attempt, event.passages))
        self.go_on_if_heard(now)

    def take_delta(self, event: ev.Generated, now: float) -> None:
        attempt = self.attempt_of(event.attempt)
        if attempt is None or attempt.reply is None or attempt.reply.complete:
            return
        if event.delta.text.strip():
            attempt.stamp("first_token", now)
        attempt.serve("llm", event.delta.served_by, event.delta.route)
        self.do(*self.answerer.take_delta(attempt, event.delta))
        if attempt.reply.complete and not attempt.reply.pieces:
            # The model said nothing: an honest phrase is better than silence.
            self.answer_with(attempt, self.answerer.phrase(Kind.UNKNOWN, self.agent.phrases.unknown), now)
        self.go_on_if_heard(now)

    def take_audio(self, event: ev.Synthesised, now: float) -> None:
        for reply, attempt in self.replies():
            piece = reply.piece(event.piece)
            if piece is not None:
                if attempt is not None:
                    attempt.stamp("first_audio", now)
                    attempt.serve("tts", event.served_by, event.route)
                self.voice.give(reply, attempt, piece, event.ulaw, last=event.last)
        self.release(now)
        self.go_on_if_heard(now)

    def replies(self) -> list[tuple[Reply, Attempt | None]]:
        prepared = (self.attempt.reply, self.attempt) if self.attempt is not None else (None, None)
        pairs = [prepared, (self.voice.reply, self.voice.answering), (self.voice.filler, None)]
        return [(reply, attempt) for reply, attempt in pairs if reply is not None]

    def say(self, reply: Reply, now: float) -> None:
        """Say a phrase of the agent's own accord."""
        self.drop_attempt()
        self.said_before = ""
        if self.talking:
            # The edge would hold it, and lets nothing go on while it hears sound, however long that is.
            reply.interruptible = False
        self.voice.begin(reply, None)
        self.enter(Phase.SPEAKING, now)
        self.do(*self.answerer.synthesise(reply))

    def release(self, now: float) -> None:
        """Let the caller hear what is ready. Nothing is released before the turn is over or while held."""
        attempt = self.attempt
        if self.phase is Phase.SPEAKING and self.voice.reply is not None:
            self.voice.play(self.voice.reply, self.turn)
        elif self.phase is Phase.THINKING and attempt is not None and attempt.ready:
            assert attempt.reply is not None
            attempt.stamp("released", now)
            self.attempt = None
            self.said_before = ""  # until here the turn may be taken back, and needs it again
            self.voice.begin(attempt.reply, attempt)
            if attempt.unbroken and self.talking:
                attempt.reply.interruptible = False  # it would be held until the noise ends
            # Who is talking by now is talking over it: the edge holds it as soon as it arrives.
            talked_over = self.talking and attempt.reply.interruptible
            self.enter(Phase.INTERRUPTED if talked_over else Phase.SPEAKING, now)
            self.voice.play(attempt.reply, self.turn)
            if not talked_over and not attempt.by_keys:
                self.do(cmd.EndUtterance())
        elif self.phase is Phase.THINKING and self.voice.filler is not None and self.voice.filler.made:
            # Whole, or not at all: the answer that follows may cut what is still to come of it.
            self.voice.play(self.voice.filler, self.turn)

    def answer_with(self, attempt: Attempt, reply: Reply, now: float) -> None:
        """Say a phrase in place of an answer that could not be made."""
        attempt.reply = reply
        if attempt is self.voice.answering:
            self.voice.reply = reply
        self.do(*self.answerer.synthesise_next(attempt))
        self.release(now)

    # What the caller heard

    def note_started(self, event: ev.PieceStarted, now: float) -> None:
        self.voice.note_started(event)

    def note_finished(self, event: ev.PieceFinished, now: float) -> None:
        self.voice.note_finished(event.piece)
        self.go_on_if_heard(now)

    def note_held(self, event: ev.PlayoutHeld, now: float) -> None:
        self.voice.note_held(event.heard)
        closing.close(self, now)

    def go_on_if_heard(self, now: float) -> None:
        """When everything was heard: listen again, or hang up after a goodbye."""
        if self.phase is not Phase.SPEAKING or not self.voice.spoken:
            return
        reply = self._end_reply(now)
        if reply is not None and reply.then is Then.HANG_UP:
            self._finish("agent ended the call")
            return
        self.enter(Phase.HEARING if self.talking else Phase.LISTENING, now)
        keypad.go_on(self, now)

    def _end_reply(self, now: float) -> Reply | None:
        """The caller heard all of it."""
        if self.voice.answering is not None:
            self.voice.answering.stamp("heard_until", now)
        reply = self.voice.close(self.turn)
        if reply is not None:
            failures.note_end(self, reply)
        return reply

    def take_failure(self, event: ev.Failed, now: float) -> None:
        failures.take(self, event, now)

    # Timers and keys

    def run_timers(self, event: ev.Tick, now: float) -> None:
        for name in self.timers.pop_due(now):
            match name:
                case "commit":
                    pause.commit_if_over(self, now)
                case filler.LATE | filler.STALLED:
                    filler.come_due(self, name, now)
                case "silence" if self._asked_still_there:
                    closing.say_last(self, self.agent.phrases.closing, now)
                case "silence":
                    self._asked_still_there = True
                    self.say(self.answerer.phrase(Kind.STILL_THERE, self.agent.phrases.still_there), now)
                case "digits":
                    keypad.commit(self, now)
                case "attempt":
                    pause.listen(self, now)
                case "unbroken":
                    pause.take_unbroken(self, now)
                case "limit":
                    closing.say_last(self, self.agent.phrases.time_limit, now)
                case "last words":
                    closing.close(self, now)

    def silence_agent(self) -> None:
        """Drop what was not heard of what is being said."""
        if self.voice.reply is not None:
            self.voice.cut(self.turn)
            self.do(cmd.FlushPlayout())

    def collect_digit(self, event: ev.DigitPressed, now: float) -> None:
        keypad.collect(self, event.digit, now)

    def enter(self, phase: Phase, now: float) -> None:
        """Change the phase; timers that belong to a phase end with it."""
        self.phase = phase
        for name in ("commit", *filler.TIMERS, "silence", "unbroken"):
            self.timers.cancel(name)
        if phase in pause.UNBROKEN_S:
            self.timers.set("unbroken", now + pause.UNBROKEN_S[phase])
        if phase in (Phase.LISTENING, Phase.HEARING, Phase.PAUSED):
            self.do(*self.answerer.read_ahead())
        if phase is Phase.HEARING:
            self._asked_still_there = False
        if phase is Phase.LISTENING:
            settings = self.agent.turn_taking
            quiet_ms = settings.hang_up_after_ms if self._asked_still_there else settings.still_there_after_ms
            self.timers.set("silence", now + quiet_ms / 1000)
        self.do(self._scribe.state(phase.value))

    def do(self, *commands: cmd.Command) -> None:
        self._out.extend(commands)
