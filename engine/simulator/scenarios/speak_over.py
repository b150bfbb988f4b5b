"""The step of a caller who asks something and, at some point of the answer, says something over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.simulator.analysis import Utterance
from engine.simulator.caller import QUIET_S, SILENT_FOR_GOOD_S, Caller
from engine.simulator.carrier import Received
from engine.simulator.conversation import Pace, Spoken
from engine.simulator.events import ANSWER_KINDS, AgentPiece, Heard
from engine.simulator.tape import FRAME_BYTES, FRAME_MS, Said
from engine.speech.heard import usual_samples
from engine.speech.normalise import normalise

_BYTES_A_MS = 8
BEGUN_MS = 300
"""Who speaks sooner goes on with the question, and does not speak over its answer."""
ASSUMED_MS = 2_000
"""How long an answer is taken to be of a server that does not say."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When to speak: at `point` (0 to 1) of the answer less its last `spare_ms`.

    An answer shorter than `least_ms` is heard out, and the next question is asked.
    """

    point: float
    least_ms: float
    spare_ms: float

    def has_come(self, announced_ms: float, played_ms: float) -> bool:
        is_long_enough = announced_ms >= self.least_ms
        return is_long_enough and played_ms >= max(BEGUN_MS, self.point * (announced_ms - self.spare_ms))


@dataclass(frozen=True, slots=True, eq=False)
class SpeakOver:
    """`questions` are asked until the answer to one is long enough; then `over` is said over it."""

    questions: Sequence[Utterance]
    over: Utterance
    moment: Moment
    asks: bool
    """Whether `over` wants an answer."""

    async def perform(self, caller: Caller, pace: Pace) -> list[Spoken]:
        spoken = list[Spoken]()
        for question in self.questions:
            spoken += await self._ask(caller, question, pace)
            if spoken[-1].step is self or not caller.open:
                break
            await caller.pause(pace.pause_s[0])
        return spoken

    async def _ask(self, caller: Caller, question: Utterance, pace: Pace) -> list[Spoken]:
        """The question, and what was said over its answer if that was long enough."""
        ear = Ear(caller)
        asked = Spoken(question, await caller.say(question.pcm))
        ear.listen()
        await caller.until(lambda: ear.reaches(self.moment) or caller.agent_is_done, pace.answer_s)
        if not ear.reaches(self.moment):
            return [asked]
        said = await caller.say(self.over.pcm)
        await caller.until(lambda: ear.is_over(said), pace.answer_s)
        return [asked, Spoken(self.over, said, self, self.asks)]


class Ear:
    """What a caller hears of the answer to the question that he is about to ask: make it before asking."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self._since = len(caller.carrier.events)
        turns = [event.turn for event in caller.events if isinstance(event, AgentPiece)]
        self._turn = max(turns, default=-1)
        """The last turn before the question: more of its answer may still be told."""
        self._asked = 0
        self._start: int | None = None
        self._played_ms = 0.0

    def listen(self) -> None:
        """The question is said."""
        self._asked = len(self.caller.tape)

    def reaches(self, moment: Moment) -> bool:
        """Whether the answer has come that far; to be asked at every tick."""
        if self._start is None:
            self._start = self._find_start()
        tape = self.caller.tape
        if self._start is None or not len(tape):
            return False
        position = tape[len(tape) - 1].position
        if position >= self._start:
            self._played_ms = max(self._played_ms, (position + FRAME_BYTES - self._start) / _BYTES_A_MS)
        return self._played_ms > 0 and moment.has_come(self._announced_ms(), self._played_ms)

    def is_over(self, said: Said) -> bool:
        """Whether all was heard that follows on what was said over the answer."""
        caller = self.caller
        if not caller.carrier.events:
            spoken_s = (len(caller.tape) - said.end) * FRAME_MS / 1000
            return min(caller.quiet_s, spoken_s) >= SILENT_FOR_GOOD_S
        turns = {piece.turn for _, piece in self._pieces()}
        if len(turns) > 1:
            return caller.agent_is_done  # what was said over the answer was answered itself
        whole = any(
            isinstance(event, Heard) and event.turn in turns and not event.interrupted
            for event in caller.events[self._since :]
        )
        return whole and caller.quiet_s >= QUIET_S and not caller.carrier.buffered_ms

    def _pieces(self) -> list[tuple[Received, AgentPiece]]:
        received = self.caller.carrier.events[self._since :]
        pieces = [(one, one.event) for one in received if isinstance(one.event, AgentPiece)]
        return [(one, piece) for one, piece in pieces if piece.turn > self._turn]

    def _find_start(self) -> int | None:
        """Where the answer starts among all bytes received, as soon as that is known."""
        tape = self.caller.tape
        if not self.caller.carrier.events:
            loud = tape.agent_loud_ticks(self._asked, len(tape))
            return tape[loud[0]].position if loud else None
        end = 0
        for received, piece in self._pieces():
            start = max(received.position, end)
            if piece.kind in ANSWER_KINDS:
                return start
            end = start + int((piece.audio_ms or 0.0) * _BYTES_A_MS)
        return None

    def _announced_ms(self) -> float:
        if not self.caller.carrier.events:
            return ASSUMED_MS
        return sum(_expected_ms(piece) for _, piece in self._pieces() if piece.kind in ANSWER_KINDS)


def _expected_ms(piece: AgentPiece) -> float:
    """How long a piece will sound: a guess while its audio is being made."""
    known_ms = piece.audio_ms or 0.0
    return known_ms if piece.whole else max(known_ms, usual_samples(normalise(piece.text).text) / _BYTES_A_MS)
