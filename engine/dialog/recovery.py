"""How a replacement takes a call over: from the journal, and from what the edge still knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.dialog import commands as cmd
from engine.dialog import filler
from engine.dialog.attempt import Attempt
from engine.dialog.core import Dialog
from engine.dialog.events import CallerPaused, PieceHeard, Started
from engine.dialog.piece import Piece, piece_of
from engine.dialog.prompt import Exchange
from engine.dialog.reply import Kind, Reply, Then
from engine.dialog.table import Phase
from engine.providers.base import Transcript
from engine.speech.normalise import normalise
from models.call import CallEvent


@dataclass(frozen=True, slots=True)
class Resumed:
    """`through`: speech up to this sample is in the journal and is not to be heard twice."""

    commands: list[cmd.Command]
    through: int


@dataclass(slots=True)
class _Story:
    """The journal, read to its end."""

    language: str
    started_ms: float = 0.0
    turn: int = 0
    through: int = -1
    history: list[Exchange] = field(default_factory=list)
    open_turn: Transcript | None = None
    """A turn that ended and whose answer was not heard to its end."""
    released: list[Piece] = field(default_factory=list)
    kind: Kind = Kind.REPLY
    then: Then = Then.LISTEN
    spoke: bool = False
    """Whether the agent said anything yet: else the caller still waits for the greeting."""
    ended: str | None = None

    def read(self, event: CallEvent) -> None:
        data = event.data
        match event.kind:
            case "call_started":
                self.started_ms = event.at_ms
            case "turn_ended":
                if data["turn"] == self.turn and self.history:
                    self.history.pop()  # the caller went on: the same turn, with all its words
                self.turn, self.through = data["turn"], data["through"]
                self.open_turn = Transcript(data["text"], data["language"])
                self.history.append(Exchange(caller=data["text"], agent="", facts=()))
                self.released = []
            case "reply_released" if any(piece.id == data["piece"] for piece in self.released):
                pass  # made again by a replacement that died as well
            case "reply_released" if data["kind"] != Kind.FILLER:
                if data["kind"] != self.kind:
                    self.released = []
                self.spoke = True
                self.kind, self.then = Kind(data["kind"]), Then(data["then"])
                self.released.append(Piece(data["piece"], normalise(data["text"], self.language)))
            case "heard":
                if self.open_turn is not None and self.history:
                    last = self.history[-1]
                    self.history[-1] = Exchange(last.caller, data["text"], tuple(data.get("facts", ())))
                self.open_turn, self.released = None, []
            case "call_ended":
                self.ended = data["reason"]


def recover(
    dialog: Dialog, journal: Sequence[CallEvent], pieces: Sequence[PieceHeard], now: float, unix_ms: float
) -> Resumed:
    """Bring a fresh dialog to where its predecessor was, and say what to do next.

    `pieces`: what the edge knows of the audio it was given. Audio that it has keeps playing; audio that was
    released but never arrived is made again under its old name; the rest of an answer is generated from where
    the released words end.
    """
    story = _Story(dialog.agent.language)
    for event in journal:
        story.read(event)
    if story.ended is not None:
        return Resumed([cmd.HangUp(story.ended)], story.through)
    dialog.turn = story.turn
    dialog.history.extend(story.history)
    dialog.limit(now, elapsed_s=(unix_ms - story.started_ms) / 1000)
    if not story.released and any(part.samples < part.total for part in pieces):
        # A filler, or what a slow journal never had: nobody here could let it go on once it is held.
        dialog.do(cmd.FlushPlayout())
    if story.released:
        _go_on_speaking(dialog, story, pieces, now)
    elif story.open_turn is not None:
        _think_again(dialog, story, now)
    elif story.spoke:
        dialog.enter(Phase.LISTENING, now)
    else:
        dialog.do(*dialog.handle(Started(), now))
    return Resumed(dialog.take_commands(), story.through)


def move_to_new_edge(dialog: Dialog, position: int, now: float) -> list[cmd.Command]:
    """Another edge took the socket over: what it cannot know is told again or closed.

    A caller in mid-sentence is taken to have paused at sample `position`; whoever goes on speaks again.
    """
    if dialog.phase is Phase.INTERRUPTED:
        dialog.enter(Phase.SPEAKING, now)
    if dialog.phase is Phase.SPEAKING:
        dialog.voice.start_again()
        dialog.release(now)
    return dialog.take_commands() + dialog.handle(CallerPaused(position, 0.0), now)


def _go_on_speaking(dialog: Dialog, story: _Story, known: Sequence[PieceHeard], now: float) -> None:
    for piece in story.released:
        piece.recall([part for part in known if piece_of(part.piece) == piece.id])
    more_to_come = story.kind is Kind.REPLY and story.open_turn is not None
    reply = Reply(story.kind, story.then, story.released, complete=not more_to_come)
    reply.interruptible = dialog.answerer.interruptible(story.kind, story.then)
    attempt = _answering(dialog, story) if more_to_come else None
    dialog.voice.begin(reply, attempt)
    dialog.enter(Phase.SPEAKING, now)
    dialog.do(*dialog.answerer.synthesise(reply))
    if attempt is not None:
        attempt.reply = reply
        dialog.do(*dialog.answerer.plan_again(attempt))
    dialog.go_on_if_heard(now)


def _think_again(dialog: Dialog, story: _Story, now: float) -> None:
    """A turn ended and nothing of its answer was released."""
    dialog.attempt = _answering(dialog, story)
    dialog.enter(Phase.THINKING, now)
    filler.expect(dialog, now)
    dialog.do(*dialog.answerer.plan(dialog.attempt))


def _answering(dialog: Dialog, story: _Story) -> Attempt:
    attempt = dialog.new_attempt(story.through, {})
    attempt.transcript = story.open_turn
    attempt.committed = attempt.recovered = True
    return attempt
