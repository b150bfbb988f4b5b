"""Queue, cancellation and cache around a voice; the voice is a fake whose syntheses end when told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from engine.errors import ProviderRejected, ProviderUnavailable
from engine.providers.base import SpeechRequest
from engine.providers.tts.cache import PhraseCache
from engine.providers.tts.local import LocalTextToSpeech


class GatedVoice:
    """Speaks its text as bytes, once the gate is open."""

    name = "gated"
    fingerprint = "1"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.texts: list[str] = []

    def synthesise(self, text: str, speed: float = 1.0) -> bytes:
        self.texts.append(text)
        self.begun.release()
        if not self.gate.wait(10):
            raise ProviderUnavailable("the gate stayed shut")
        if text == "fail":
            raise ProviderRejected("no")
        return text.encode()


@pytest.fixture
def voice() -> GatedVoice:
    return GatedVoice()


@pytest.fixture
async def speech(voice: GatedVoice) -> AsyncIterator[LocalTextToSpeech]:
    local = LocalTextToSpeech({"gated": voice}, PhraseCache(1000), workers=1, max_waiting=2)
    yield local
    voice.gate.set()
    await local.close()


async def begun(voice: GatedVoice, count: int) -> None:
    for _ in range(count):
        assert await asyncio.to_thread(voice.begun.acquire, timeout=10)


async def test_the_default_voice_speaks(speech: LocalTextToSpeech, voice: GatedVoice) -> None:
    voice.gate.set()
    result = await speech.synthesise(SpeechRequest("hello"))
    assert (result.audio, result.voice, result.cached) == (b"hello", "gated", False)


async def test_an_unknown_voice_is_named(speech: LocalTextToSpeech) -> None:
    with pytest.raises(ProviderRejected, match="no voice 'x': choose one of gated"):
        await speech.synthesise(SpeechRequest("hello", voice="x"))


async def test_a_request_cancelled_while_it_waits_is_never_synthesised(
    speech: LocalTextToSpeech, voice: GatedVoice
) -> None:
    running = asyncio.create_task(speech.synthesise(SpeechRequest("one")))
    await begun(voice, 1)
    waiting = [asyncio.create_task(speech.synthesise(SpeechRequest(text))) for text in ("two", "three")]
    await asyncio.sleep(0)
    assert speech.info().waiting == 2
    waiting[0].cancel()
    voice.gate.set()
    assert (await running).audio == b"one"
    assert (await waiting[1]).audio == b"three"
    assert voice.texts == ["one", "three"]


async def test_a_cancelled_synthesis_keeps_its_worker_until_it_ends(
    speech: LocalTextToSpeech, voice: GatedVoice
) -> None:
    running = asyncio.create_task(speech.synthesise(SpeechRequest("one")))
    await begun(voice, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert speech.info().running == 1
    following = asyncio.create_task(speech.synthesise(SpeechRequest("two")))
    await asyncio.sleep(0)
    assert speech.info().waiting == 1
    assert voice.texts == ["one"]
    voice.gate.set()
    assert (await following).audio == b"two"
    assert (speech.info().running, speech.info().waiting) == (0, 0)


async def test_the_queue_is_bounded(speech: LocalTextToSpeech, voice: GatedVoice) -> None:
    calls = [asyncio.create_task(speech.synthesise(SpeechRequest(str(n)))) for n in range(4)]
    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = done
    with pytest.raises(ProviderUnavailable, match="2 syntheses wait already"):
        refused.result()
    voice.gate.set()
    assert [(await call).audio for call in calls[:3]] == [b"0", b"1", b"2"]


async def test_an_error_frees_the_worker(speech: LocalTextToSpeech, voice: GatedVoice) -> None:
    voice.gate.set()
    with pytest.raises(ProviderRejected):
        await speech.synthesise(SpeechRequest("fail"))
    assert (await speech.synthesise(SpeechRequest("next"))).audio == b"next"


async def test_a_fixed_phrase_is_kept_and_any_other_is_not(
    speech: LocalTextToSpeech, voice: GatedVoice
) -> None:
    voice.gate.set()
    for cache in (True, False):
        first = await speech.synthesise(SpeechRequest("hello", cache=cache))
        second = await speech.synthesise(SpeechRequest("hello", cache=cache))
        assert (first.cached, second.cached) == (False, cache)
    assert (speech.info().phrases, speech.info().phrase_bytes) == (1, 5)


async def test_a_replica_at_work_is_healthy(speech: LocalTextToSpeech, voice: GatedVoice) -> None:
    running = asyncio.create_task(speech.synthesise(SpeechRequest("one")))
    await begun(voice, 1)
    speech.check()
    voice.gate.set()
    await running


async def test_a_hung_synthesis_is_unhealthy(
    speech: LocalTextToSpeech, voice: GatedVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = asyncio.create_task(speech.synthesise(SpeechRequest("one")))
    await begun(voice, 1)
    loop = asyncio.get_running_loop()
    now = loop.time()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: now + 31)
        with pytest.raises(ProviderUnavailable, match="hung"):
            speech.check()
    voice.gate.set()
    await running
