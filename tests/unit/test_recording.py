"""Recordings from the edge to the file: what was heard, whatever fails on the way."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from actors import recorder
from engine.audio.g711 import ulaw_to_pcm
from engine.audio.wav import read_wav
from engine.call import recording as edge_side
from engine.call.recording import NotRecorded, RecordingWriter
from engine.call.tape import BLOCK_SAMPLES, Block
from engine.config import settings
from engine.errors import Refused, UsageError
from engine.providers.base import Speech, SpeechRequest
from engine.store.recordings import Recordings
from engine.telephony.events import SendMedia
from models import AgentConfig, CallEvent, Phrases
from tests.unit.call_bench import FRAME, QUIET, CallBench, Models, Socket

AGENT = AgentConfig(
    id="front", company_id="acme", record=True, phrases=Phrases(greeting="Hello, who is there?")
)


class MemoryRecording:
    """Keeps blocks as the recorder does. `down`: takes nothing and says so; `deaf`: never answers."""

    def __init__(self) -> None:
        self.blocks: dict[int, Block] = {}
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.down = False
        self.deaf = False

    async def begin(self) -> int:
        await self._ready()
        return max(self.blocks, default=-1) + 1

    async def write(self, block: Block) -> None:
        await self._ready()
        assert block.number not in self.blocks
        self.blocks[block.number] = block

    async def _ready(self) -> None:
        try:
            if self.deaf:
                await asyncio.Event().wait()
            if self.down:
                raise NotRecorded("the disk is full")
        finally:
            self.asked.put_nowait(None)

    async def was_asked(self, times: int) -> None:
        """Until the writer has had so many answers, or gave up waiting for them."""
        async with asyncio.timeout(2):
            for _ in range(times):
                await self.asked.get()

    def channels(self) -> tuple[bytes, bytes]:
        caller = agent = b""
        for block in sorted(self.blocks.values(), key=lambda block: block.number):
            caller = caller.ljust(block.number * BLOCK_SAMPLES, b"\xff") + block.caller
            agent = agent.ljust(block.number * BLOCK_SAMPLES, b"\xff") + block.agent
        return caller, agent


# The edge


LEAD_FRAMES = 12


class LineSocket(Socket):
    """A line on which the caller's audio follows what the agent sends, and that knows what its end hears."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.played = b""
        self.cleared = 0

    async def messages(self) -> AsyncIterator[str | bytes]:
        async for text in super().messages():
            if '"media"' in str(text):
                self.said += bytes(FRAME)
            yield text

    async def send(self, text: str) -> None:
        await super().send(text)
        message = self.sent[-1]
        if message["event"] == "media":
            frame = base64.b64decode(message["media"]["payload"])
            self.played = self.played.ljust(len(self.said), b"\xff") + frame
            while len(self.played) > (self._chunk + LEAD_FRAMES) * FRAME:
                self.audio(QUIET, 1)
        elif message["event"] == "clear":
            self.cleared += len(self.played) > len(self.said)
            self.played = self.played[: len(self.said)]


class NumberedSpeech(Models):
    """No two frames that the agent says are the same."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        async for part in super().speak(request):
            frames = len(part.audio) // FRAME
            numbers = (next(self._numbers).to_bytes(2, "big") for _ in range(frames))
            yield replace(part, audio=b"".join(number * (FRAME // 2) for number in numbers))


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CallBench]:
    monkeypatch.setattr("tests.unit.call_bench.Models", NumberedSpeech)
    bench = CallBench(AGENT)
    bench.socket = LineSocket()
    bench.recording = MemoryRecording()
    yield bench
    await bench.close()


def recording_of(bench: CallBench) -> MemoryRecording:
    assert isinstance(bench.recording, MemoryRecording)
    return bench.recording


async def test_the_agents_channel_is_what_was_sent_but_for_what_was_cleared(bench: CallBench) -> None:
    socket = bench.socket
    assert isinstance(socket, LineSocket)
    bench.connect()
    await socket.until(lambda: socket.told("heard"))
    await bench.ask("When do you open?")
    await socket.until(lambda: len(socket.told("agent")) >= 2)
    await bench.ask("And where are you located then?")
    await socket.until(lambda: len(socket.told("user")) == 2)
    await socket.until(lambda: len(socket.told("agent")) >= 4)
    socket.drop()
    await bench.tasks[0]
    caller, agent = recording_of(bench).channels()
    assert socket.cleared >= 1, "something was cut off"
    assert agent.rstrip(b"\xff") == socket.played.rstrip(b"\xff")
    assert len(caller) == len(agent) == max(len(socket.said), len(socket.played))


async def test_another_edge_goes_on_in_the_same_recording(bench: CallBench) -> None:
    recording = recording_of(bench)
    bench.connect()
    await bench.socket.until(lambda: bench.socket.told("heard"))
    bench.socket.audio(b"\x10" * FRAME, 70)
    await bench.socket.until(lambda: bench.socket.told("state"))
    bench.socket.drop()
    await bench.tasks[0]
    before = recording.channels()[0]
    assert len(before) > 70 * FRAME
    bench.connect(Socket())
    bench.socket.audio(b"\x20" * FRAME, 60)
    bench.socket.drop()
    await bench.tasks[1]
    caller, _ = recording.channels()
    begins = -(-len(before) // BLOCK_SAMPLES) * BLOCK_SAMPLES
    assert caller == before.ljust(begins, b"\xff") + b"\x20" * FRAME * 60


async def test_a_recorder_that_fails_disturbs_nobody(
    bench: CallBench, caplog: pytest.LogCaptureFixture
) -> None:
    recording_of(bench).down = True
    bench.connect()
    await bench.socket.until(lambda: bench.socket.told("heard"))
    bench.socket.put(event="stop", stop={"accountSid": "AC1", "callSid": "CA1"})
    assert await bench.tasks[0] == "caller hung up"
    assert [record.getMessage() for record in caplog.records if record.name == "parley.recording"] == [
        "call CA1: seconds 0 are not recorded: the disk is full"
    ]


# The writer


def losses(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "parley.recording"]


def second(writer: RecordingWriter, number: int) -> None:
    writer.caller(number * BLOCK_SAMPLES, bytes((number % 100,)) * BLOCK_SAMPLES)


async def test_a_loss_is_logged_once_and_leaves_its_place_free(caplog: pytest.LogCaptureFixture) -> None:
    recording = MemoryRecording()
    recording.blocks[4] = Block(4, b"", b"")
    writer = RecordingWriter("CA1", recording, 600)
    second(writer, 0)
    await recording.was_asked(2)
    recording.down = True
    for number in (1, 2, 3):
        second(writer, number)
    await recording.was_asked(3)
    recording.down = False
    second(writer, 4)
    await writer.finish()
    assert sorted(recording.blocks) == [4, 5, 9, 10]
    assert recording.blocks[9].caller == b"\x04" * BLOCK_SAMPLES
    assert losses(caplog) == ["call CA1: seconds 6-8 are not recorded: the disk is full"]


async def test_a_recorder_that_never_answers_is_waited_for_no_longer_than_its_deadlines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_side, "FINISH_S", 0.02)
    recording = MemoryRecording()
    recording.deaf = True
    writer = RecordingWriter("CA1", recording, 600)
    for number in range(40):
        second(writer, number)
    await writer.finish()
    assert losses(caplog) == ["call CA1: seconds 0-39 are not recorded: the recorder does not answer"]


async def test_no_more_than_a_few_seconds_wait_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    recording = MemoryRecording()
    writer = RecordingWriter("CA1", recording, 600)
    for number in range(40):
        second(writer, number)
    await writer.finish()
    assert sorted(recording.blocks) == [*range(edge_side.MAX_WAITING)]
    assert losses(caplog) == ["call CA1: seconds 8-39 are not recorded: the recorder does not answer"]


async def test_a_slow_recorder_costs_one_block_and_not_the_rest(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_side, "WRITE_S", 0.01)
    recording = MemoryRecording()
    recording.deaf = True
    writer = RecordingWriter("CA1", recording, 600)
    second(writer, 0)
    await recording.was_asked(1)
    recording.deaf = False
    second(writer, 1)
    await writer.finish()
    assert sorted(recording.blocks) == [1, 2]
    assert losses(caplog) == ["call CA1: seconds 0 are not recorded: the recorder does not answer"]


async def test_a_carrier_that_runs_ahead_of_time_makes_no_endless_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recording = MemoryRecording()
    writer = RecordingWriter("CA1", recording, 100.0)
    second(writer, 1)
    second(writer, 160)
    await writer.finish()
    assert sorted(recording.blocks) == [1]
    assert losses(caplog) == [
        "call CA1: seconds 160 are not recorded: the carrier sent more audio than the longest call has"
    ]


async def test_what_the_agent_said_last_is_in_the_recording() -> None:
    recording = MemoryRecording()
    writer = RecordingWriter("CA1", recording, 600)
    writer.sent(SendMedia(b"\x01" * FRAME))
    await writer.finish()
    await writer.finish()
    assert recording.blocks == {0: Block(0, QUIET, b"\x01" * FRAME)}


# The files


def block(number: int, samples: int = BLOCK_SAMPLES) -> Block:
    return Block(number, bytes((number + 1,)) * samples, bytes((number + 101,)) * samples)


def stereo(block: Block) -> NDArray[np.int16]:
    return np.stack([ulaw_to_pcm(block.caller), ulaw_to_pcm(block.agent)], axis=1)


SILENT = np.zeros((BLOCK_SAMPLES, 2), np.int16)


def read(folder: Path, company_id: str = "acme") -> NDArray[np.int16]:
    return read_wav(folder / company_id / "CA1.wav").pcm


def test_missing_blocks_are_silence_and_repeated_ones_stay_as_they_are(tmp_path: Path) -> None:
    for given_block in (block(0), block(3), block(3), Block(1, QUIET, QUIET)):
        Recordings(tmp_path).write("acme", "CA1", given_block)
    assert np.array_equal(
        read(tmp_path), np.concatenate([stereo(block(0)), SILENT, SILENT, stereo(block(3))])
    )


def test_another_edge_begins_after_the_begun_second_of_the_one_before(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.write("acme", "CA1", block(0, 3_000))
    assert recordings.blocks("acme", "CA1") == 1
    recordings.write("acme", "CA1", block(1))
    whole = [stereo(block(0, 3_000)), SILENT[3_000:], stereo(block(1))]
    assert np.array_equal(read(tmp_path), np.concatenate(whole))


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 3 * 4 * BLOCK_SAMPLES + 44))
def test_a_file_that_a_crash_cut_off_is_completed_by_the_repeated_block(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    recordings = Recordings(tmp_path_factory.mktemp("cut"))
    path = recordings.path("acme", "CA1")
    for number in (0, 1, 2):
        recordings.write("acme", "CA1", block(number))
    whole = read_wav(path).pcm
    with path.open("r+b") as file:
        file.truncate(44 + cut if cut <= 3 * 4 * BLOCK_SAMPLES else 0)
    for number in (0, 1, 2):
        Recordings(path.parent.parent).write("acme", "CA1", block(number))
    assert np.array_equal(read_wav(path).pcm, whole)


@pytest.mark.parametrize("name", ["", "../other", "a/b", "..", "CA1\n", "CA 1", "CA1\0", "é", "x" * 129])
def test_names_that_point_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    recordings = Recordings(tmp_path / "recordings")
    for company_id, call_id in (("acme", name), (name, "CA1")):
        with pytest.raises(Refused, match="cannot name a recording"):
            recordings.write(company_id, call_id, block(0))
        with pytest.raises(Refused, match="cannot name a recording"):
            recordings.blocks(company_id, call_id)
    assert not list(tmp_path.iterdir())


def test_companies_have_recordings_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    recordings = Recordings(folder)
    recordings.write("acme", "CA1", block(0))
    recordings.write("other", "CA1", block(1))
    assert recordings.blocks("third", "CA1") == 0
    assert np.array_equal(read(folder), stereo(block(0)))
    assert folder.stat().st_mode & 0o077 == 0, "nobody else on the machine reads them"


def test_a_disk_that_takes_nothing_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("a file where the folder shall be")
    with pytest.raises(UsageError, match="cannot write"):
        Recordings(tmp_path).write("acme", "CA1", block(0))


# The recorder


@pytest.fixture
async def actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[recorder.Recorder]:
    monkeypatch.setenv("PARLEY_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(recorder, "refuse_several_nodes", lambda store: None)
    settings.cache_clear()
    yield recorder.Recorder()
    settings.cache_clear()


async def test_blocks_become_a_stereo_file(actor: recorder.Recorder, tmp_path: Path) -> None:
    assert await actor.recorded("acme", "CA1") == 0
    for number in (0, 1):
        await actor.record("acme", "CA1", block(number))
    wav = read_wav(tmp_path / "recordings" / "acme" / "CA1.wav")
    assert wav.hz == 8_000
    assert np.array_equal(wav.pcm, np.concatenate([stereo(block(0)), stereo(block(1))]))
    assert await actor.recorded("acme", "CA1") == 2


async def test_a_disk_that_hangs_does_not_hold_up_the_journal(
    actor: recorder.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = threading.Event()
    monkeypatch.setattr(actor, "_recordings", HungDisk(disk))
    writing = asyncio.create_task(actor.record("acme", "CA1", block(0)))
    event = CallEvent(call_id="CA1", company_id="acme", seq=0, kind="call_started", at_ms=0.0, data={})
    assert await actor.append([event])
    assert len(await actor.read("acme", "CA1")) == 1
    assert not writing.done()
    disk.set()
    await writing


class HungDisk:
    def __init__(self, disk: threading.Event) -> None:
        self._disk = disk

    def write(self, company_id: str, call_id: str, block: Block) -> None:
        assert self._disk.wait(5)
