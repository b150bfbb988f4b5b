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


class Clock:
    """What the player reads, in seconds; Unix time is 1,000 s ahead of it."""

    def __init__(self) -> None:
        self.now = 50.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


async def step(line: Line) -> None:
    """Let the player do what is due."""
    playing = asyncio.create_task(line.player.play())
    for _ in range(5):
        await asyncio.sleep(0)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)


def begun(line: Line) -> list[tuple[str, float]]:
    """Pieces that started, and when, in seconds of the clock."""
    told = [event for event in line.told if isinstance(event, ev.PieceStarted)]
    return [(event.piece, round(event.unix_ms / 1000 - 1_000.0, 3)) for event in told]


async def test_an_answer_behind_a_filler_starts_when_the_line_gets_to_it(line: Line, clock: Clock) -> None:
    await line.player.enqueue(cmd.Play("filler", bytes(1_600), True), SpeechState.SILENT)
    await line.player.enqueue(ANSWER, SpeechState.SILENT)
    clock.now += 0.15
    await step(line)
    assert begun(line) == [("filler", 50.0)]
    clock.now += 0.1
    line.player.on_mark("filler")
    await step(line)
    await step(line)
    assert begun(line) == [("filler", 50.0), ("answer", 50.2)], "once, and when the filler had ended"


async def test_what_comes_to_a_line_that_ran_dry_starts_when_it_comes(line: Line, clock: Clock) -> None:
    """The mark of what was before it is still on its way: the line is not idle."""
    await line.player.enqueue(cmd.Play("filler", bytes(1_600), True), SpeechState.SILENT)
    clock.now += 0.25
    await line.player.enqueue(ANSWER, SpeechState.SILENT)
    clock.now += 0.05
    line.player.on_mark("filler")
    await step(line)
    assert begun(line) == [("filler", 50.0), ("answer", 50.25)]


async def test_what_was_heard_unseen_is_told_of_before_its_end(line: Line, clock: Clock) -> None:
    await line.player.enqueue(cmd.Play("filler", bytes(1_600), True), SpeechState.SILENT)
    await line.player.enqueue(ANSWER, SpeechState.SILENT)
    clock.now += 0.35
    line.player.on_mark("answer")
    await step(line)
    assert [type(event).__name__ for event in line.told][1:] == [
        "PieceFinished",
        "PieceStarted",
        "PieceFinished",
    ]
    assert line.started == ["filler", "answer"]


async def test_what_was_never_begun_does_not_start(line: Line, clock: Clock) -> None:
    await line.player.enqueue(cmd.Play("filler", bytes(1_600), True), SpeechState.SILENT)
    await line.player.enqueue(ANSWER, SpeechState.SILENT)
    clock.now += 0.2
    line.player.on_mark("filler")
    await line.player.hold()
    assert line.started == ["filler"], "held just before its first sample"
    await line.player.flush()
    await step(line)
    assert line.started == ["filler"]


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
