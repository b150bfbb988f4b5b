"""Speech that comes in parts: each is played as it comes, and only what was heard of them all is history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.audio.playout import FRAME_SAMPLES
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.dialog.piece import Piece, piece_of
from engine.dialog.recovery import move_to_new_edge
from engine.dialog.table import Phase
from engine.errors import ProviderUnavailable
from engine.providers.base import Speech, SpeechRequest, TextToSpeech, whole
from engine.providers.failover.breaker import Breaker
from engine.providers.failover.chains import Candidate, Rules, TtsChain
from engine.providers.failover.race import StageRules
from engine.speech import heard
from engine.speech.normalise import normalise
from tests.unit.call_bench import FRAME, CallBench, Models
from tests.unit.dialog_bench import AGENT, SECOND, Bench

TEXT = "We open at nine on weekdays and at ten on Saturdays."
PART = 20 * FRAME_SAMPLES


def sound(samples: int, begin: int = 0) -> bytes:
    return bytes(n % 251 for n in range(begin, begin + samples))


class Edge:
    """Plays what a piece gives and hears it as far as it is told, as a playout does."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bytes]] = []

    def take(self, piece: Piece) -> None:
        if (part := piece.next_part()) is not None:
            self.parts.append(part)

    def told(self, samples: int) -> list[ev.PieceHeard]:
        """Of all parts, when so many samples in all were heard."""
        known = []
        for name, audio in self.parts:
            part = min(samples, len(audio))
            known.append(ev.PieceHeard(name, part, len(audio)))
            samples -= part
        return known


parts = st.lists(st.integers(0, 900), min_size=1, max_size=8)


@given(parts, st.lists(st.booleans(), min_size=8, max_size=8), st.floats(0, 1))
def test_all_of_a_piece_is_given_once_and_in_order(sizes: list[int], asked: list[bool], share: float) -> None:
    piece, edge, made = Piece("0.1", normalise(TEXT)), Edge(), b""
    for number, (size, now) in enumerate(zip(sizes, asked, strict=False)):
        new = sound(size, len(made))
        made += new
        piece.take(new, last=number == len(sizes) - 1)
        if now or piece.whole:
            edge.take(piece)
    assert b"".join(audio for _, audio in edge.parts) == made
    assert {piece_of(name) for name, _ in edge.parts} <= {"0.1"}
    assert all(len(audio) % FRAME_SAMPLES == 0 for name, audio in edge.parts if name != "0.1"), "no gap"
    heard_samples = int(share * len(made))
    for known in edge.told(heard_samples):
        piece.note(known.piece, known.samples)
    assert piece.heard == heard_samples
    for name, _ in edge.parts:
        piece.note(name)
    assert piece.finished
    assert piece.heard == len(made)


@given(parts, st.integers(0, 8), st.floats(0, 1))
def test_a_replacement_makes_the_rest_that_no_edge_has(sizes: list[int], died: int, share: float) -> None:
    """Its actor dies behind any part; the voice says the same again."""
    audio = sound(sum(sizes))
    first, edge, at = Piece("0.1", normalise(TEXT)), Edge(), 0
    for number, size in enumerate(sizes[: died + 1]):
        first.take(audio[at : at + size], last=number == len(sizes) - 1)
        at += size
        edge.take(first)
    given = b"".join(part for _, part in edge.parts)
    second = Piece("0.1", normalise(TEXT))
    second.recall(edge.told(int(share * len(given))))
    assert second.heard == int(share * len(given))
    if not second.whole:
        second.take(audio[:100], last=False)
        second.take(audio[100:], last=True)
        edge.take(second)
    assert b"".join(part for _, part in edge.parts) == audio
    second.note("0.1")
    assert second.finished or not edge.parts


def test_a_piece_that_broke_off_has_the_words_that_were_said() -> None:
    piece = Piece("0.1", normalise(TEXT))
    piece.take(bytes(SECOND), last=False)
    piece.next_part()
    piece.released = True
    piece.break_off()
    assert piece.next_part() is None, "what is left is less than a frame"
    piece.note("0.1+0")
    assert TEXT.startswith(piece.heard_text())
    assert 1 <= len(piece.heard_text().split()) <= 5
    assert piece.finished


def test_how_much_was_said_while_the_end_is_not_known() -> None:
    text = normalise(TEXT).text
    slow = heard.usual_samples(text)
    assert 3 * SECOND < slow < 6 * SECOND
    assert heard.unsaid(text, 0) == text
    assert heard.unsaid(text, 2 * slow) == ""
    quick = heard.pace(text, slow // 2)
    assert len(heard.unsaid(text, slow // 4, quick)) < len(heard.unsaid(text, slow // 4))


@given(st.integers(0, 60_000), st.floats(50, 1_000))
def test_what_is_left_begins_with_a_whole_word(samples: int, pace: float) -> None:
    rest = heard.unsaid(TEXT, samples, pace)
    assert TEXT.endswith(rest)
    assert rest == "" or rest.split()[0] in TEXT.split()


# The dialog


@pytest.fixture
def bench() -> Bench:
    bench = Bench(AGENT)
    bench.greet()
    bench.say("When do you open?")
    bench.know()
    bench.generate(f"{TEXT} On Sundays we are closed.")
    return bench


def part(bench: Bench, samples: int = PART, *, last: bool = False) -> None:
    bench.feed(ev.Synthesised(bench.last(cmd.Synthesise).piece, bytes(samples), "voice", last=last))


def test_a_part_is_played_before_the_rest_is_made(bench: Bench) -> None:
    piece = bench.last(cmd.Synthesise).piece
    part(bench)
    bench.sleep(0.3)
    bench.expect(Phase.SPEAKING)
    assert [(play.piece, len(play.ulaw)) for play in bench.all(cmd.Play)[1:]] == [(f"{piece}+0", PART)]
    part(bench, PART + 7)
    part(bench, 100, last=True)
    assert [(play.piece, len(play.ulaw)) for play in bench.all(cmd.Play)[2:]] == [
        (f"{piece}+{PART}", PART),
        (piece, 107),
    ]
    released = [data for data in bench.appended("reply_released") if data["piece"] == piece]
    assert len(released) == 1, "in the journal once"
    told = [tell.event for tell in bench.all(cmd.Tell) if tell.event["type"] in ("agent", "more")][1:]
    assert sum(event["audio_ms"] for event in told) == (2 * PART + 107) / 8
    assert bench.last(cmd.Synthesise).piece != piece, "then the next one is made"


def test_what_comes_before_the_turn_is_over_is_one_part_when_it_is(bench: Bench) -> None:
    bench = Bench(AGENT)
    bench.greet()
    bench.say("When do you", probability=0.1, words=0.1)
    bench.know()
    bench.generate(f"{TEXT} On Sundays we are closed.")
    piece = bench.last(cmd.Synthesise).piece
    part(bench)
    part(bench, 50)
    part(bench, 50, last=True)
    assert bench.last(cmd.Synthesise).piece == piece, "the rest may be for nothing"
    assert len(bench.all(cmd.Play)) == 1
    bench.sleep(3.0)
    assert [(play.piece, len(play.ulaw)) for play in bench.all(cmd.Play)[1:]] == [(piece, PART + 100)]


def test_the_next_piece_does_not_overtake(bench: Bench) -> None:
    part(bench)
    bench.sleep(0.3)
    first = bench.all(cmd.Play)[-1].piece
    bench.feed(ev.PieceFinished(first))
    bench.expect(Phase.SPEAKING)
    assert not [entry for entry in bench.appended("heard") if entry["turn"] == 1], "more is to come"
    part(bench, last=True)
    part(bench, last=True)
    for play in bench.all(cmd.Play):
        bench.feed(ev.PieceFinished(play.piece))
    assert bench.appended("heard")[-1]["text"] == f"{TEXT} On Sundays we are closed."
    bench.expect(Phase.LISTENING)


def test_an_interruption_while_the_rest_is_made_keeps_what_was_heard(bench: Bench) -> None:
    part(bench, 10 * PART)
    bench.sleep(0.3)
    play = bench.last(cmd.Play)
    bench.feed(ev.CallerSpoke(20 * SECOND))
    bench.feed(ev.PlayoutHeld((ev.PieceHeard(play.piece, 2 * SECOND, len(play.ulaw)),)))
    part(bench, PART, last=True)
    assert bench.last(cmd.Play) is play, "nothing more while the caller speaks"
    bench.pause("And on Sundays, are you open then?", at=21 * SECOND)
    text = str(bench.appended("heard")[-1]["text"])
    assert TEXT.startswith(text)
    assert 3 <= len(text.split()) < len(TEXT.split())


def test_after_a_cough_the_rest_is_played(bench: Bench) -> None:
    part(bench, 10 * PART)
    bench.sleep(0.3)
    play = bench.last(cmd.Play)
    bench.feed(ev.CallerSpoke(20 * SECOND))
    bench.feed(ev.PlayoutHeld((ev.PieceHeard(play.piece, SECOND, len(play.ulaw)),)))
    part(bench, PART, last=True)
    bench.pause("", at=21 * SECOND)
    assert bench.all(cmd.ResumePlayout)
    assert bench.last(cmd.Play).piece == piece_of(play.piece)
    assert len(bench.last(cmd.Play).ulaw) == PART


def test_a_voice_that_fails_in_the_middle_leaves_the_words_that_were_said(bench: Bench) -> None:
    piece = bench.last(cmd.Synthesise).piece
    part(bench, 5 * PART)
    bench.sleep(0.3)
    bench.feed(ev.Failed(ev.Stage.SYNTHESISE, piece, "gone"))
    part(bench, last=True)
    for play in bench.all(cmd.Play):
        bench.feed(ev.PieceFinished(play.piece))
    text = str(bench.appended("heard")[-1]["text"])
    assert text.endswith(" On Sundays we are closed.")
    said = text.removesuffix(" On Sundays we are closed.")
    assert TEXT.startswith(said)
    assert 1 < len(said.split()) < len(TEXT.split())


def test_a_voice_that_fails_before_anything_was_heard_is_an_apology(bench: Bench) -> None:
    part(bench, FRAME_SAMPLES - 1)
    bench.feed(ev.Failed(ev.Stage.SYNTHESISE, bench.last(cmd.Synthesise).piece, "gone"))
    bench.speak_all()
    bench.sleep(0.3)
    assert bench.played_text()[-1] == AGENT.phrases.apology


def test_a_new_edge_is_given_what_the_caller_did_not_hear(bench: Bench) -> None:
    part(bench, 10 * PART)
    bench.sleep(0.3)
    play = bench.last(cmd.Play)
    bench.feed(ev.PlayoutHeld((ev.PieceHeard(play.piece, 3 * PART, len(play.ulaw)),)))
    bench.run(move_to_new_edge(bench.dialog, 20 * SECOND, bench.now))
    again = bench.last(cmd.Play)
    assert (again.piece, len(again.ulaw)) == (f"{piece_of(play.piece)}+{3 * PART}", 7 * PART)
    bench.feed(ev.PieceFinished(again.piece))
    part(bench, PART, last=True)
    assert bench.last(cmd.Play).piece == piece_of(play.piece)


def test_an_edge_lost_while_the_agent_is_held_is_given_all_that_was_made(bench: Bench) -> None:
    part(bench, PART, last=True)
    bench.sleep(0.3)
    first = bench.last(cmd.Play).piece
    bench.feed(ev.CallerSpoke(20 * SECOND))
    bench.feed(ev.PlayoutHeld((ev.PieceHeard(first, 0, PART),)))
    part(bench, PART, last=True)
    played = len(bench.all(cmd.Play))
    bench.run(move_to_new_edge(bench.dialog, 20 * SECOND, bench.now))
    again = bench.all(cmd.Play)[played:]
    assert (again[0].piece, len(again[0].ulaw)) == (first, PART)
    assert len(again) == 2
    for play in again:
        bench.feed(ev.PieceFinished(play.piece))
    bench.expect(Phase.LISTENING)
    assert bench.appended("heard")[-1]["text"] == f"{TEXT} On Sundays we are closed."


def test_what_only_the_lost_edge_had_is_made_anew_before_what_follows_it(bench: Bench) -> None:
    part(bench, 3 * PART)
    part(bench, PART, last=True)
    bench.sleep(0.3)
    part(bench, 2 * PART)
    first, second = bench.dialog.voice.reply.pieces  # type: ignore[union-attr]
    first._audio.clear()  # as after its actor died
    first.note(bench.all(cmd.Play)[1].piece, PART)
    bench.run(move_to_new_edge(bench.dialog, 20 * SECOND, bench.now))
    begun = len(bench.all(cmd.Play))
    part(bench, PART, last=True)
    assert len(bench.all(cmd.Play)) == begun, "the second piece does not overtake"
    assert bench.last(cmd.Synthesise).piece == first.id
    part(bench, 4 * PART, last=True)
    again = [(play.piece, len(play.ulaw)) for play in bench.all(cmd.Play)[begun:]]
    assert again == [(first.id, 3 * PART), (second.id, 3 * PART)]


def test_a_piece_that_is_being_made_anew_when_the_edge_is_lost_begins_again(bench: Bench) -> None:
    part(bench, 3 * PART)
    bench.sleep(0.3)
    piece = bench.dialog.voice.reply.pieces[0]  # type: ignore[union-attr]
    piece._audio.clear()
    piece.note(bench.last(cmd.Play).piece, PART)
    asked = len(bench.all(cmd.Synthesise))
    bench.run(move_to_new_edge(bench.dialog, 20 * SECOND, bench.now))
    assert bench.last(cmd.CancelSpeech).piece == piece.id
    assert len(bench.all(cmd.Synthesise)) == asked + 1
    part(bench, 5 * PART, last=True)
    assert (bench.last(cmd.Play).piece, len(bench.last(cmd.Play).ulaw)) == (piece.id, 4 * PART)


def test_a_filler_is_heard_whole_or_not_at_all() -> None:
    bench = Bench(AGENT)
    bench.greet()
    bench.say("When do you open?")
    bench.sleep(AGENT.turn_taking.filler_after_ms / 1000)
    played = len(bench.all(cmd.Play))
    part(bench)
    assert len(bench.all(cmd.Play)) == played
    part(bench, last=True)
    assert len(bench.last(cmd.Play).ulaw) == 2 * PART


# Chains


class Voice:
    """Says a text in parts of one word; breaks off before a word, if it is told to."""

    def __init__(self, samples_a_letter: int = 400, fails_at: str = "") -> None:
        self.asked: list[str] = []
        self._pace = samples_a_letter
        self._fails_at = fails_at

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        self.asked.append(request.text)
        words = request.text.split()
        for number, word in enumerate(words):
            if word == self._fails_at:
                raise ProviderUnavailable("gone")
            ulaw = word.encode().ljust((len(word) + 1) * self._pace, b"\x00")
            yield Speech(ulaw, "voice", last=number == len(words) - 1)


QUICK = Rules(synthesise=StageRules(0.05), next_part_s=0.05)


def chain(*voices: TextToSpeech) -> TtsChain:
    return TtsChain([Candidate(f"v{n}", voice, Breaker()) for n, voice in enumerate(voices)], QUICK)


async def test_a_piece_that_breaks_off_is_gone_on_with_at_a_whole_word() -> None:
    first, second = Voice(fails_at="weekdays"), Voice()
    tts = chain(first, second)
    await whole(tts.speak(SpeechRequest(TEXT.replace("weekdays", "Mondays"))))  # at its pace then
    speech = await whole(tts.speak(SpeechRequest(TEXT)))
    said = [word for word in speech.audio.decode("latin-1").replace("\0", " ").split() if word]
    assert [(one.provider, one.what) for one in speech.route] == [("v0", "broke off")]
    rest = second.asked[-1]
    assert TEXT.endswith(rest)
    again = [*TEXT[: TEXT.index("weekdays")].split(), *rest.split()]
    assert said == again
    assert len(again) - len(TEXT.split()) in (0, 1, 2), "none is left out, and two at most are said again"


async def test_a_voice_that_hangs_in_the_middle_is_not_waited_for() -> None:
    class Hanging(Voice):
        open = 0

        async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
            self.open += 1
            try:
                yield Speech(bytes(SECOND), "voice", last=False)
                await asyncio.Event().wait()
            finally:
                self.open -= 1

    hanging, second = Hanging(), Voice()
    speech = await whole(chain(hanging, second).speak(SpeechRequest(TEXT)))
    assert speech.last
    assert second.asked
    assert TEXT.endswith(second.asked[0])
    assert hanging.open == 0


async def test_a_voice_is_not_late_while_there_is_something_to_hear() -> None:
    class Unhurried(Voice):
        """Ten seconds of audio come at once, the rest later than a part may be of which nothing is left."""

        async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
            yield Speech(bytes(10 * SECOND), "voice", last=False)
            await asyncio.sleep(3 * QUICK.next_part_s)
            yield Speech(b"end", "voice")

    second = Voice()
    speech = await whole(chain(Unhurried(), second).speak(SpeechRequest(TEXT)))
    assert speech.audio.endswith(b"end")
    assert not second.asked


@given(st.lists(st.integers(8_000, 40_000), max_size=4), st.integers(8_000, 40_000), st.floats(0.05, 0.95))
async def test_a_slower_piece_than_those_before_loses_no_word(
    before: list[int], now: int, share: float
) -> None:
    """The pace is that of the slowest piece so far, and some: never so quick that words are passed over."""
    paces = [heard.pace(TEXT, total) for total in before] or [heard.SLOW_PACE]
    true = heard.pace(TEXT, now)
    if true > 1.2 * max(paces):
        return  # nobody could know
    rest = heard.unsaid(TEXT, int(share * now), 1.2 * max(paces))
    said = heard.heard_text(normalise(TEXT), now, int(share * now) + 640)
    assert len(TEXT) - len(rest) <= len(said) + 1


async def test_when_every_voice_breaks_off_the_caller_of_it_is_told() -> None:
    tts = chain(Voice(fails_at="nine"), Voice(fails_at="nine"))
    with pytest.raises(ProviderUnavailable):
        await whole(tts.speak(SpeechRequest(TEXT)))


# A whole call


class InParts(Models):
    """Speaks in parts of two frames and a bit."""

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        async for speech in super().speak(request):
            size = 2 * FRAME + 10
            for at in range(0, len(speech.audio), size):
                last = at + size >= len(speech.audio)
                yield replace(speech, audio=speech.audio[at : at + size], last=last)
                await asyncio.sleep(0)


ANSWER = Models().answer


@pytest.fixture
async def call(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CallBench]:
    monkeypatch.setattr("tests.unit.call_bench.Models", InParts)
    bench = CallBench(AGENT)
    yield bench
    await bench.close()


async def test_a_call_whose_voice_speaks_in_parts(call: CallBench) -> None:
    call.connect()
    await call.socket.until(lambda: call.socket.told("heard"))
    await call.ask("When do you open?")
    await call.socket.until(lambda: len(call.socket.told("heard")) == 2)
    assert call.journal.of("heard")[-1]["text"] == ANSWER
    told = sum(event["audio_ms"] for kind in ("agent", "more") for event in call.socket.told(kind))
    assert call.socket.told("more")
    assert call.socket.played_ms == pytest.approx(told, abs=20 * len(call.socket.told("agent")))


async def test_an_actor_killed_between_two_parts(call: CallBench) -> None:
    call.connect()
    await call.socket.until(lambda: call.socket.told("heard"))
    await call.ask("When do you open?")
    more = len(call.socket.told("more"))
    await call.socket.until(lambda: len(call.socket.told("more")) > more)
    await call.ports[0].kill()
    await call.socket.until(lambda: len(call.socket.told("heard")) == 2)
    assert len(call.ports) == 2
    assert call.journal.of("heard")[-1]["text"] == ANSWER
    told = sum(event["audio_ms"] for kind in ("agent", "more") for event in call.socket.told(kind))
    assert call.socket.played_ms == pytest.approx(told, abs=20 * len(call.socket.told("agent")))
    assert len(call.journal.of("turn_ended")) == 1
