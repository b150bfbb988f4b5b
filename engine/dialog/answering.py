"""From the caller's words to pieces of a reply: courtesy, knowledge, model, clauses. Pure, like the core."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from engine.dialog import commands as cmd
from engine.dialog.attempt import Attempt
from engine.dialog.courtesies import Courtesy, classify
from engine.dialog.piece import Piece
from engine.dialog.prompt import STOP, Exchange, beginnings, build, forgotten
from engine.dialog.reply import Kind, Reply, Then
from engine.knowledge.coverage import stands_alone
from engine.providers.base import ChatDelta, ChatRequest, Passage
from engine.speech.normalise import normalise
from models import AgentConfig


class Answerer:
    """Makes replies for one call. `epoch` keeps piece ids apart from those of an actor that died."""

    def __init__(self, agent: AgentConfig, call_id: str, epoch: int) -> None:
        self.agent = agent
        self.history: list[Exchange] = []
        self._call_id = call_id
        self._epoch = epoch
        self._numbers = count()
        self._forgotten = 0
        """How many exchanges the model has not in its prompt any more."""
        self._offered_more = False
        """Whether the last thing said asked if there is anything else: then a plain "no" is a goodbye."""

    def new_piece(self, text: str) -> Piece:
        return Piece(f"{self._epoch}.{next(self._numbers)}", normalise(text, self.agent.language))

    def phrase(self, kind: Kind, text: str, then: Then = Then.LISTEN) -> Reply:
        """A fixed phrase as a reply."""
        interruptible = self.interruptible(kind, then)
        return Reply(kind, then, [self.new_piece(text)], complete=True, interruptible=interruptible)

    def interruptible(self, kind: Kind, then: Then) -> bool:
        """Whether speech over it holds it."""
        settings = self.agent.turn_taking
        if then is Then.HANG_UP:
            return settings.closing_interruptible
        return settings.interruptible and (kind is not Kind.GREETING or settings.greeting_interruptible)

    def heard(self, text: str) -> None:
        """The caller heard this of the answer to the last turn."""
        if self.history:
            last = self.history[-1]
            self.history[-1] = Exchange(last.caller, text, last.facts)

    def read_ahead(self) -> list[cmd.Command]:
        """While the agent has nothing to say: where exchanges are left out from now on, read what is left."""
        gone = forgotten(self.history)
        if gone == self._forgotten:
            return []
        self._forgotten = gone
        return [cmd.ReadAhead(beginnings(self.agent, self.history, self._call_id))]

    def plan(self, attempt: Attempt) -> list[cmd.Command]:
        """What to do about an attempt whose transcript is there and not empty."""
        assert attempt.transcript is not None
        text = attempt.transcript.text
        courtesy = classify(text)
        if courtesy is not None:
            attempt.reply = self._return_courtesy(courtesy)
            return self.synthesise_next(attempt)
        self._offered_more = False
        return [cmd.Retrieve(attempt.id, self._query(text))]

    def plan_again(self, attempt: Attempt) -> list[cmd.Command]:
        """The rest of an answer whose beginning was released before an actor died."""
        assert attempt.transcript is not None
        return [cmd.Retrieve(attempt.id, self._query(attempt.transcript.text))]

    def answer_from(self, attempt: Attempt, passages: Sequence[Passage]) -> list[cmd.Command]:
        """Generate from passages that are good enough; without any, say that the answer is not known."""
        good = [passage for passage in passages if passage.score >= self.agent.min_score]
        if attempt.committed and self.history:
            last = self.history[-1]
            self.history[-1] = Exchange(last.caller, last.agent, tuple(passage.text for passage in good))
        if not good and attempt.reply is not None:
            attempt.reply.complete = True  # taken over in mid-answer: nothing to go on with
            return []
        if not good:
            attempt.reply = self.phrase(Kind.UNKNOWN, self.agent.phrases.unknown)
            return self.synthesise_next(attempt)
        attempt.facts = tuple(passage.text for passage in good[: self.agent.passages])
        return [self._generate(attempt)]

    def _generate(self, attempt: Attempt) -> cmd.Generate:
        """Ask for the reply, or for the rest of one whose beginning was released before an actor died."""
        assert attempt.transcript is not None
        # Without the last space: models begin their words with one.
        begun = "".join(piece.text for piece in attempt.reply.pieces).rstrip() if attempt.reply else ""
        attempt.reply = attempt.reply or Reply(Kind.REPLY, interruptible=self.agent.turn_taking.interruptible)
        history = self.history[:-1] if attempt.committed else self.history
        request = ChatRequest(
            messages=build(self.agent, history, attempt.facts, attempt.transcript.text),
            max_tokens=self.agent.max_tokens,
            temperature=self.agent.temperature,
            stop=STOP,
            continue_from=begun,
            cache_key=self._call_id,
        )
        return cmd.Generate(attempt.id, request)

    def take_delta(self, attempt: Attempt, delta: ChatDelta) -> list[cmd.Command]:
        """Cut what was generated so far into clauses and have the next one spoken."""
        reply = attempt.reply
        assert reply is not None
        attempt.count_tokens(delta)
        texts = attempt.cutter.push(delta.text)
        if delta.finish_reason is not None:
            texts = [*texts, *attempt.cutter.end()]
            reply.complete = True
        reply.pieces.extend(self.new_piece(text) for text in texts if text.strip())
        return self.synthesise_next(attempt)

    def synthesise_next(self, attempt: Attempt) -> list[cmd.Command]:
        """Have the next piece spoken. Before the turn is over only the first: the rest may be for nothing."""
        reply = attempt.reply
        if reply is None or (not attempt.committed and reply.pieces and reply.pieces[0].whole):
            return []
        return self.synthesise(reply)

    def synthesise(self, reply: Reply) -> list[cmd.Command]:
        piece = reply.next_to_synthesise()
        if piece is None or reply.synthesising is not None:
            return []
        reply.synthesising = piece.id
        return [cmd.Synthesise(piece.id, piece.spoken.text, phrase=reply.kind is not Kind.REPLY)]

    def _query(self, text: str) -> str:
        """A question that leans on the one before ("and on Sundays?") is looked up together with it."""
        before = [exchange.caller for exchange in self.history if exchange.caller != text]
        return text if not before or stands_alone(text) else f"{before[-1]} {text}"

    def _return_courtesy(self, courtesy: Courtesy) -> Reply:
        phrases = self.agent.phrases
        match courtesy:
            case Courtesy.NO if self._offered_more:
                return self.phrase(Kind.CLOSING, phrases.closing, Then.HANG_UP)
            case Courtesy.GOODBYE:
                return self.phrase(Kind.CLOSING, phrases.closing, Then.HANG_UP)
            case Courtesy.THANKS:
                self._offered_more = True
                return self.phrase(Kind.COURTESY, phrases.welcome)
            case Courtesy.REPEAT if self.history and self.history[-1].agent:
                return self.phrase(Kind.COURTESY, self.history[-1].agent)
            case Courtesy.CAN_HEAR:
                return self.phrase(Kind.COURTESY, phrases.can_hear)
            case _:
                return self.phrase(Kind.COURTESY, phrases.go_ahead)
