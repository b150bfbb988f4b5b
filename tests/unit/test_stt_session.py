"""A buffered session: everything that was pushed, once, and nothing left running."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import ProviderRejected, ProviderUnavailable
from engine.providers.base import SttSession, Transcript
from engine.providers.stt.session import BufferedSession


class Ear:
    """Transcribes at once, or waits until it is told to."""

    def __init__(self, *, waits: bool = False) -> None:
        self.heard: list[tuple[bytes, str]] = []
        self.started = asyncio.Event()
        self.released = asyncio.Event()
        self.cancelled = False
        if not waits:
            self.released.set()

    async def transcribe(self, audio: bytes, language: str) -> Transcript:
        self.heard.append((audio, language))
        self.started.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return Transcript(text=f"{len(audio)} samples", language=language)


async def test_finish_transcribes_all_that_was_pushed() -> None:
    ear = Ear()
    session: SttSession = BufferedSession(ear.transcribe, language="de")
    session.push(b"ab")
    session.push(b"")
    session.push(b"c")
    assert (await session.finish()).text == "3 samples"
    assert ear.heard == [(b"abc", "de")]


async def test_a_finished_session_refuses_more() -> None:
    session = BufferedSession(Ear().transcribe, provider="whisper")
    await session.finish()
    with pytest.raises(ProviderRejected, match="finished, open another") as refusal:
        await session.finish()
    assert refusal.value.provider == "whisper"
    with pytest.raises(ProviderRejected):
        session.push(b"a")


async def test_audio_beyond_the_bound_is_refused_and_the_rest_kept() -> None:
    ear = Ear()
    session = BufferedSession(ear.transcribe, longest_s=0.01)
    session.push(bytes(80))
    with pytest.raises(ProviderRejected, match="may last"):
        session.push(b"a")
    await session.finish()
    assert ear.heard == [(bytes(80), "en")]


async def test_closing_cancels_a_running_finish() -> None:
    ear = Ear(waits=True)
    session = BufferedSession(ear.transcribe)
    waiting = asyncio.create_task(session.finish())
    await ear.started.wait()
    await session.close()
    assert ear.cancelled
    with pytest.raises(ProviderRejected, match="closed while"):
        await waiting
    await session.close()


async def test_cancelling_finish_cancels_the_work() -> None:
    ear = Ear(waits=True)
    session = BufferedSession(ear.transcribe)
    waiting = asyncio.create_task(session.finish())
    await ear.started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ear.cancelled
    await session.close()


async def test_close_instead_of_finish() -> None:
    ear = Ear()
    session = BufferedSession(ear.transcribe)
    session.push(b"abc")
    await session.close()
    with pytest.raises(ProviderRejected, match="closed"):
        session.push(b"d")
    with pytest.raises(ProviderRejected, match="closed"):
        await session.finish()
    assert ear.heard == []


async def test_errors_come_through() -> None:
    async def fail(audio: bytes, language: str) -> Transcript:
        raise ProviderUnavailable("gone")

    session = BufferedSession(fail)
    with pytest.raises(ProviderUnavailable, match="gone"):
        await session.finish()
    await session.close()
