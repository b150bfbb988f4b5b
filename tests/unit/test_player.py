"""What the edge gives the carrier to play, where the caller may be beginning to speak."""

from __future__ import annotations

import asyncio

import pytest

from engine.audio.segmenter import SpeechState
from engine.call import player as module
from engine.call.player import Player
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.telephony.events import CarrierCommand, SendMedia

ANSWER = cmd.Play("answer", bytes(800), True)


class Line:
    """A player, what it sent to the carrier, and what it told the call actor."""

    def __init__(self) -> None:
        self.sent: list[CarrierCommand] = []
        self.told: list[ev.EdgeEvent] = []
        self.began = asyncio.Event()
        self.player = Player(self._send, self._tell)

    async def _send(self, command: CarrierCommand) -> None:
        self.sent.append(command)

    def _tell(self, event: ev.EdgeEvent) -> None:
        self.told.append(event)
        if isinstance(event, ev.PieceStarted):
            self.began.set()

    @property
    def sounded(self) -> int:
        """Bytes that the carrier was given."""
        return sum(len(one.ulaw) for one in self.sent if isinstance(one, SendMedia))

    @property
    def started(self) -> list[str]:
        return [event.piece for event in self.told if isinstance(event, ev.PieceStarted)]


@pytest.fixture
def line() -> Line:
    return Line()


async def test_an_answer_begins_at_once_in_silence(line: Line) -> None:
    await line.player.enqueue(ANSWER, SpeechState.SILENT)
    assert (line.sounded, line.started) == (800, ["answer"])


async def test_what_was_no_speech_lets_the_answer_begin(line: Line) -> None:
    await line.player.enqueue(ANSWER, SpeechState.STIRRING)
    await line.player.enqueue(cmd.Play("more", bytes(800), True), SpeechState.STIRRING)
    assert line.player.withholds
    assert (line.sounded, line.told) == (0, [])
    await line.player.begin()
    assert (line.sounded, line.started) == (1_600, ["answer"])
    await line.player.begin()
    assert line.started == ["answer"], "once"


async def test_a_caller_who_does_speak_hears_none_of_the_answer(line: Line) -> None:
    await line.player.enqueue(ANSWER, SpeechState.STIRRING)
    await line.player.hold()
    assert (line.sounded, line.player.withholds) == (0, False)
    assert line.told == [ev.PlayoutHeld((ev.PieceHeard("answer", 0, 800),))]
    await line.player.begin()
    assert line.sounded == 0, "only the actor lets it go on"
    await line.player.flush()
    await line.player.enqueue(cmd.Play("next", bytes(160), True), SpeechState.SILENT)
    assert line.started == ["next"]


async def test_an_answer_that_was_stopped_before_its_first_sample_starts_when_it_goes_on(line: Line) -> None:
    await line.player.enqueue(ANSWER, SpeechState.STIRRING)
    await line.player.hold()
    assert line.started == []
    line.player.resume()
    line.player.resume()
    assert line.started == ["answer"]


async def test_nothing_begins_on_a_line_that_is_gone(line: Line) -> None:
    await line.player.enqueue(ANSWER, SpeechState.STIRRING)
    line.player.end()
    await line.player.begin()
    assert (line.sounded, line.started) == (0, [])


async def test_a_line_that_says_no_more_does_not_withhold_the_answer(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHHELD_S", 0.01)
    playing = asyncio.create_task(line.player.play())
    try:
        await line.player.enqueue(ANSWER, SpeechState.STIRRING)
        assert line.sounded == 0
        async with asyncio.timeout(5):
            await line.began.wait()
        assert line.sounded == 800
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def test_what_sounds_goes_on_and_what_may_not_be_interrupted_does_not_wait(line: Line) -> None:
    await line.player.enqueue(ANSWER, SpeechState.SILENT)
    await line.player.enqueue(cmd.Play("more", bytes(800), True), SpeechState.STIRRING)
    assert (line.sounded, line.player.withholds) == (1_600, False)
    other = Line()
    await other.player.enqueue(cmd.Play("notice", bytes(160), False), SpeechState.STIRRING)
    assert other.sounded == 160
