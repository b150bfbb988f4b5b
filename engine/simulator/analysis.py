"""What came of each question of a call, from its tape and its events alone.

Voice to voice is the time from the caller's last loud frame of the question *sent* to the first loud frame of
the *answer* played out at the caller (loud: see `tape`). Fillers, greetings and apologies are no answer; what
is what is told by the server's `agent` events and their place among the media messages. From a server without
events, the first speech after the question counts. What the agent began to say before the question was over
is no answer to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.simulator.carrier import Cleared, Received
from engine.simulator.events import ANSWER_KINDS, AgentPiece, TurnDone, UserTurn
from engine.simulator.judge import Judgement
from engine.simulator.tape import FRAME_BYTES, Said, Tape

_QUIET_TICKS = 8
"""160 ms without a loud frame part one piece of speech from the next where nothing else tells them apart."""
_BYTES_A_MS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Something the caller says. `pcm`: int16 at 8,000 Hz; `expected`: see `judge`."""

    id: str
    pcm: NDArray[np.int16]
    text: str = ""
    expected: tuple[tuple[str, ...], ...] = ()


@dataclass(slots=True)
class TurnResult:
    """One question and its answer. Times in ms; `None` where there was no answer."""

    number: int
    id: str
    text: str
    voice_to_voice_ms: float | None = None
    received_ms: float | None = None
    """As `voice_to_voice_ms`, but to the arrival of that first loud audio, before the playout clock."""
    heard_as: str = ""
    """The question as the server understood it."""
    reply: str = ""
    kinds: list[str] = field(default_factory=list)
    talk_over_ms: int = 0
    gaps: int = 0
    """How often the agent broke off in the middle of speech for want of audio."""
    done: list[TurnDone] = field(default_factory=list)
    """The server's own account of the turns that it made of this question, in order."""
    answer: bytes = field(default=b"", repr=False)
    """The answer as played out: mu-law 8,000 Hz."""
    judgement: Judgement | None = None

    @property
    def answered(self) -> bool:
        return self.voice_to_voice_ms is not None

    @property
    def generated_ms(self) -> float | None:
        """Voice to voice of an answer that was made for this question; None for a fixed phrase.

        A phrase is synthesised once and kept, so its time says nothing of an answer's. A server that does not
        tell what it says (another product) is taken to generate all of it.
        """
        first = next((kind for kind in self.kinds if kind in ANSWER_KINDS), "reply")
        return self.voice_to_voice_ms if first == "reply" else None

    @property
    def phrase_ms(self) -> float | None:
        """Voice to voice of a fixed phrase, such as "I do not know that"."""
        return self.voice_to_voice_ms if self.generated_ms is None else None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What `analyse` looks at: the tape, the in-band events and the clears, as a `Carrier` collects them."""

    tape: Tape
    events: Sequence[Received] = ()
    cleared: Sequence[Cleared] = ()


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where the audio of a piece starts among all bytes received.

    `behind`: where something else starts whose length is not known, and behind which this one sounds.
    """

    at: float
    piece: AgentPiece
    start: int
    behind: int | None


def analyse(record: CallRecord, script: Sequence[tuple[Utterance, Said]]) -> list[TurnResult]:
    """One result for each question that was said; its time lasts until the next one starts."""
    ends = [*(said.start for _, said in script), len(record.tape)][1:]
    placed = list(_place(record))
    results = []
    for number, ((utterance, said), end) in enumerate(zip(script, ends, strict=True), 1):
        result = TurnResult(number, utterance.id, utterance.text)
        result.talk_over_ms = record.tape.talk_over_ms(said.start, end)
        result.gaps = record.tape.gaps(said.start, end)
        _tell(result, record, said.start, end)
        onset = _onset(record.tape, placed, said, end) if placed else _first_speech(record.tape, said, end)
        if onset is not None:
            _measure(result, record.tape, said, range(onset, end))
        results.append(result)
    return results


def _tell(result: TurnResult, record: CallRecord, start: int, end: int) -> None:
    """Fill in what the server said about the time from tick `start` to tick `end`."""
    since, until = record.tape.at(start), record.tape.at(end)
    events = [received.event for received in record.events if since <= received.at < until]
    pieces = [event for event in events if isinstance(event, AgentPiece)]
    result.done = [event for event in events if isinstance(event, TurnDone)]
    result.kinds = [piece.kind for piece in pieces]
    result.reply = " ".join(piece.text.strip() for piece in pieces if piece.kind in ANSWER_KINDS)
    heard = [event.text.strip() for event in events if isinstance(event, UserTurn)]
    result.heard_as = " ".join(heard or [turn.user.strip() for turn in result.done])


def _measure(result: TurnResult, tape: Tape, said: Said, answer: range) -> None:
    first, asked = tape[answer.start], tape.at(said.last_loud)
    result.voice_to_voice_ms = (first.at - asked) * 1000
    result.received_ms = (first.received_at - asked) * 1000
    last = tape.agent_loud_ticks(answer.start, answer.stop)[-1]
    result.answer = bytes(tape.agent[answer.start * FRAME_BYTES : (last + 1) * FRAME_BYTES])


def _place(record: CallRecord) -> Iterator[_Placed]:
    """Audio follows its event, behind all audio that was announced before and not thrown away since."""
    clears = list(record.cleared)
    end, before = 0, None
    for index, received in enumerate(record.events):
        if not isinstance(received.event, AgentPiece):
            continue
        piece = received.event
        while clears and clears[0].events <= index:
            clears.pop(0)
            end, before = 0, None
        start = max(received.position, end)
        yield _Placed(received.at, piece, start, before)
        is_unknown = piece.audio_ms is None and piece.kind not in ANSWER_KINDS
        end, before = start + math.floor((piece.audio_ms or 0.0) * _BYTES_A_MS), start if is_unknown else None


def _onset(tape: Tape, placed: Sequence[_Placed], said: Said, end: int) -> int | None:
    """Tick of the first loud frame of the first turn that the agent took after the question, if any."""
    since, until = tape.at(said.start), tape.at(end)
    seen: set[int] = set()
    for one in placed:
        if one.piece.kind not in ANSWER_KINDS or one.piece.turn in seen:
            continue
        seen.add(one.piece.turn)
        if not since <= one.at < until:
            continue
        onset = _first_loud(tape, one, end)
        if onset is not None and onset > said.last_loud:
            return onset
    return None


def _first_loud(tape: Tape, placed: _Placed, end: int) -> int | None:
    since = placed.start if placed.behind is None else placed.behind
    loud = [n for n in tape.agent_loud_ticks(0, end) if tape[n].position + FRAME_BYTES > since]
    if placed.behind is None:
        return loud[0] if loud else None
    for previous, tick in pairwise(loud):
        if tick - previous > _QUIET_TICKS and tape[tick].position + FRAME_BYTES > placed.start:
            return tick
    return None


def _first_speech(tape: Tape, said: Said, end: int) -> int | None:
    """From a server without events: the first speech that begins after the question."""
    before = tape.agent_loud_ticks(max(0, said.last_loud - _QUIET_TICKS), said.last_loud + 1)
    previous = before[-1] if before else -math.inf
    for tick in tape.agent_loud_ticks(said.last_loud + 1, end):
        if tick - previous > _QUIET_TICKS:
            return tick
        previous = tick
    return None
