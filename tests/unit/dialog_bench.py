"""A dialog on a virtual clock, with obedient models: each command is answered when the test says so."""

from __future__ import annotations

from typing import TypeVar

from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.dialog.core import Dialog
from engine.dialog.table import Phase
from engine.providers.base import ChatDelta, Passage, Transcript
from models import AgentConfig

C = TypeVar("C", bound=cmd.Command)

AGENT = AgentConfig(id="front", company_id="acme")
SECOND = 8_000
GOOD = Passage("We open at nine.", score=0.9)
BAD = Passage("We sell bulbs.", score=0.05)


class Bench:
    """`now` in seconds; one sample of audio is one byte. `log` holds every command in order."""

    def __init__(self, agent: AgentConfig = AGENT, dialog: Dialog | None = None) -> None:
        self.now = 100.0
        self.dialog = dialog or Dialog(agent, call_id="c1", max_call_s=600.0)
        self.log: list[cmd.Command] = []
        self.unseen = 0

    def expect(self, phase: Phase) -> None:
        assert self.dialog.phase is phase

    def feed(self, event: ev.Event) -> list[cmd.Command]:
        commands = self.dialog.handle(event, self.now)
        self.log += commands
        return commands

    def run(self, commands: list[cmd.Command]) -> None:
        self.log += commands

    def all(self, kind: type[C]) -> list[C]:
        return [command for command in self.log if isinstance(command, kind)]

    def last(self, kind: type[C]) -> C:
        return self.all(kind)[-1]

    def sleep(self, seconds: float) -> None:
        """Let time pass; every timer that comes due ticks at its very moment."""
        until = self.now + seconds
        while (at := self.dialog.wake_at) is not None and at <= until:
            self.now = max(self.now, at)
            self.feed(ev.Tick())
        self.now = until

    # What models and edge do

    def speak_all(self, samples: int = SECOND) -> None:
        """Answer every synthesis that was asked for and not answered, also those that follow."""
        answered: set[str] = getattr(self, "_answered", set())
        while waiting := [c for c in self.all(cmd.Synthesise) if c.piece not in answered]:
            for command in waiting:
                answered.add(command.piece)
                self.feed(ev.Synthesised(command.piece, b"\x00" * samples))
        self._answered = answered

    def finish_all(self) -> None:
        """The caller hears everything that was played."""
        finished: set[str] = getattr(self, "_finished", set())
        for play in self.all(cmd.Play):
            if play.piece not in finished:
                finished.add(play.piece)
                self.feed(ev.PieceFinished(play.piece))
        self._finished = finished

    def greet(self) -> None:
        """Answer the call and let the greeting be heard."""
        self.feed(ev.Started())
        self.speak_all()
        self.finish_all()
        self.expect(Phase.LISTENING)

    def say(self, text: str, *, at: int = 10 * SECOND, probability: float = 0.95, words: float = 0.9) -> None:
        """The caller says something and pauses; transcript and score come at once."""
        self.feed(ev.CallerSpoke(at))
        self.feed(ev.CallerAudio(at, b"\x00" * SECOND))
        self.now += 1.0
        self.pause(text, at=at + SECOND, probability=probability, words=words)

    def pause(
        self, text: str, *, at: int = 11 * SECOND, probability: float = 0.95, words: float = 0.9
    ) -> None:
        """A pause, seen after 144 ms; transcript and both opinions of it come at once."""
        self.now += 0.144
        asked = self.feed(ev.CallerPaused(at, 144.0))
        attempt = self.last(cmd.Transcribe).attempt
        for command in [*asked, *self.feed(ev.Transcribed(attempt, Transcript(text)))]:
            match command:
                case cmd.Score():
                    self.feed(ev.Scored(attempt, probability))
                case cmd.ScoreWords():
                    self.feed(ev.WordsScored(attempt, words))

    def know(self, *passages: Passage) -> None:
        self.feed(ev.Retrieved(self.last(cmd.Retrieve).attempt, passages or (GOOD,)))

    def generate(self, text: str, *, finish: bool = True) -> None:
        attempt = self.last(cmd.Generate).attempt
        self.feed(ev.Generated(attempt, ChatDelta(text)))
        if finish:
            self.feed(ev.Generated(attempt, ChatDelta("", finish_reason="stop")))

    def ask(self, text: str, answer: str, *, at: int = 10 * SECOND) -> None:
        """A whole question up to the first audio of its answer."""
        self.say(text, at=at)
        self.know()
        self.generate(answer)
        self.speak_all()
        self.sleep(0.2)

    def appended(self, kind: str) -> list[dict[str, object]]:
        return [command.data for command in self.all(cmd.Append) if command.kind == kind]

    def played_text(self) -> list[str]:
        texts = {str(data["piece"]): str(data["text"]) for data in self.appended("reply_released")}
        return [texts[play.piece] for play in self.all(cmd.Play)]
