"""Only heard words are history: the journal against what the telephone sounded, sample by sample."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.providers.base import SAMPLE_RATE_HZ
from engine.simulator import recordings
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import MarkLoss
from engine.simulator.events import AgentPiece, Heard, TurnDone
from engine.simulator.scenarios.overlap import first_loud
from engine.simulator.scenarios.speak_over import Ear, Moment
from engine.simulator.tape import FRAME_BYTES, Said
from engine.speech.heard import heard_text, usual_samples
from engine.speech.normalise import normalise
from tests.cluster.conftest import Note
from tests.cluster.site import Site
from tests.cluster.talk import ANSWER_S, ask, call_id, greeted

TOLERANCE = 150 * SAMPLE_RATE_HZ // 1000
MARK_GRACE = SAMPLE_RATE_HZ
"""Where marks do not come back, the playout clock goes on into the next piece a second late."""
QUESTIONS = ("demo-toothache", "demo-saturday", "demo-parking", "demo-cleaning")
POINTS = ((0.05, 0.7, 0.35), (0.5, 0.2, 0.8), (0.8, 0.5, 0.1))
"""Where each answer of a call is interrupted by the next question; a call for each row."""
ENOUGH = 6
QUICK = 5 / 9
"""A quick voice's time for a text, of a slow one's: the mean less two deviations (`engine.speech.heard`)."""


@dataclass(frozen=True)
class Piece:
    """A piece of an interrupted answer: of its samples, so many were played.

    A stop may come before all its audio was made: then `total` is only the least that it can have been.
    """

    text: str
    total: int
    played: int
    whole: bool = True

    def heard(self, early: int = 0, late: int = 0) -> str:
        """The words that were heard, had the stop been so many samples earlier, or later."""
        spoken, total = normalise(self.text), self.total
        if not self.whole:  # the fewest words are those of the longest that it may have become
            longest = usual_samples(spoken.text)
            total = max(total, longest if early >= late else round(QUICK * longest))
        return heard_text(spoken, total, min(max(self.played + late - early, 0), total))


@dataclass(frozen=True)
class Cut:
    """An answer as far as the caller heard it: by the tape, not by what the server says."""

    turn: int
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return " ".join(piece.text.strip() for piece in self.pieces)

    @property
    def played_ms(self) -> int:
        return sum(piece.played for piece in self.pieces) * 1000 // SAMPLE_RATE_HZ

    def words(self, early: int = 0, late: int = 0) -> int:
        return sum(len(piece.heard(early, late).split()) for piece in self.pieces)


async def interrupted(caller: Caller, names: Sequence[str], points: Sequence[float]) -> list[Cut]:
    """Ask, and ask the next question at some point of each answer."""
    cuts, ear, events = list[Cut](), Ear(caller), len(caller.events)
    await caller.say(recordings.get(names[0]).pcm())
    ear.listen()
    for name, point in zip(names[1:], points, strict=True):
        moment = Moment(point, least_ms=0, spare_ms=600)
        assert await caller.until(lambda ear=ear, at=moment: ear.reaches(at), ANSWER_S), "no answer began"  # type: ignore[misc]
        ear = Ear(caller)
        said = await caller.say(recordings.get(name).pcm())
        ear.listen()
        heard = await next_heard(caller, events)
        if heard.interrupted:
            cuts.append(cut(caller, heard.turn, said))
        events = len(caller.events)
    return cuts


async def next_heard(caller: Caller, events: int) -> Heard:
    """The first answer that ends among the events from that number on."""

    def heard() -> list[Heard]:
        return [event for event in caller.events[events:] if isinstance(event, Heard)]

    assert await caller.until(lambda: bool(heard()), ANSWER_S), "no end of an answer"
    return heard()[0]


def cut(caller: Caller, turn: int, said: Said) -> Cut:
    """What the tape has of the answer that was spoken over."""
    tape = caller.tape
    spoke = tape.at(first_loud(tape, said))
    stop = next(clear.at for clear in caller.carrier.cleared if clear.at >= spoke)
    played = max(tape[n].position + FRAME_BYTES for n in range(len(tape)) if tape.at(n) < stop)
    pieces, end = list[Piece](), 0
    for received in caller.carrier.events:
        piece = received.event
        if isinstance(piece, AgentPiece) and piece.turn == turn:
            start, total = max(received.position, end), round((piece.audio_ms or 0) * SAMPLE_RATE_HZ / 1000)
            end = start + total
            if piece.kind != "filler":  # it sounds before the answer, and is none of it
                pieces.append(Piece(piece.text, total, min(max(played - start, 0), total), piece.whole))
    return Cut(turn, tuple(pieces))


def check(entry: dict[str, Any], one: Cut, grace: int = 0) -> None:
    """The journal's words are whole, a prefix, and as many as the tape has: within 150 ms, or one word."""
    text = entry["text"]
    assert entry["interrupted"]
    assert one.text.startswith(text), (text, one)
    assert not text or one.text[len(text) : len(text) + 1] in ("", " "), f"{text!r} ends within a word: {one}"
    least, most = one.words(early=TOLERANCE + grace), one.words(late=TOLERANCE)
    assert min(least, one.words(early=grace) - 1) <= len(text.split()) <= max(most, one.words() + 1), (
        text,
        one,
    )


async def journalled(server: Site, call: str, turn: int) -> dict[str, Any]:
    """What the journal says was heard of the answer of a turn."""
    heard = await server.entries(call, "heard")
    entries = [one for one in heard if one["turn"] == turn and one["kind"] != "filler"]
    assert len(entries) == 1, (
        f"turn {turn}: {[(one['kind'], one['text'], one['interrupted']) for one in heard]}"
    )
    return entries[0]


async def test_only_what_was_played_until_the_stop_is_history(server: Site, note: Note) -> None:
    async def one_call(points: Sequence[float]) -> int:
        async with server.dial() as caller:
            await greeted(caller)
            cuts = await interrupted(caller, QUESTIONS, points)
        await server.ended(call_id(caller))
        for one in cuts:
            entry = await journalled(server, call_id(caller), one.turn)
            note(f"turn {one.turn}, {one.played_ms} ms played", f"{entry['text']!r} of {one.text!r}")
            check(entry, one)
        return len(cuts)

    assert sum(await asyncio.gather(*map(one_call, POINTS))) >= ENOUGH


async def test_a_call_goes_on_where_marks_get_lost(server: Site, note: Note) -> None:
    await asyncio.gather(
        call_without_marks(server, note, lambda _: True),
        call_without_marks(server, note, lambda number: number % 2 == 0),
        hang_up_without_marks(server),
    )


async def call_without_marks(server: Site, note: Note, loses: MarkLoss) -> None:
    """An answer, an interruption, a goodbye."""
    async with server.dial(Line(loses_mark=loses)) as caller:
        await next_heard(caller, 0)  # the greeting's end, known only after a grace
        answer = await ask(caller, "demo-cleaning")
        assert answer.done
        assert any(isinstance(event, TurnDone) for event in caller.events)
        (one,) = await interrupted(caller, ["demo-toothache", "demo-parking"], [0.5])
        assert await caller.until(lambda: answers(caller, after=one.turn), ANSWER_S), "no answer began"
        assert await caller.agent_done(ANSWER_S)
        await caller.say(recordings.get("goodbye-1").pcm())
        assert await caller.until(lambda: not caller.open, ANSWER_S), "the agent did not hang up"
    assert await server.ended(call_id(caller)) == "agent ended the call"
    heard = await server.entries(call_id(caller), "heard")
    assert [entry["interrupted"] for entry in heard] == [False, False, True, False, False]
    assert heard[1]["text"] == answer.text
    note(f"{one.played_ms} ms played", f"{heard[2]['text']!r} of {one.text!r}")
    check(heard[2], one, grace=MARK_GRACE)


def answers(caller: Caller, after: int) -> bool:
    """Whether a later turn is being answered: who speaks before that goes on with the question."""
    return any(isinstance(event, AgentPiece) and event.turn > after for event in caller.events)


async def hang_up_without_marks(server: Site) -> None:
    """In the middle of an answer."""
    async with server.dial(Line(loses_mark=lambda _: True)) as caller:
        await greeted(caller)
        ear = Ear(caller)
        await caller.say(recordings.get("demo-toothache").pcm())
        ear.listen()
        # Without marks what was heard is known a second late, and the first words are the shortest piece.
        assert await caller.until(lambda: ear.reaches(Moment(0.75, 4_000, 600)), ANSWER_S)
    await server.freed(call_id(caller), 5)
    assert await server.ended(call_id(caller)) == "caller hung up"
    entry = await journalled(server, call_id(caller), 1)
    assert entry["interrupted"]
    assert entry["text"]
