"""The contract of speech-to-text vendors, through their real clients."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio.g711 import pcm_to_ulaw
from engine.errors import ProviderRefusesUs, ProviderRejected, ProviderUnavailable
from engine.providers.base import Transcript
from engine.providers.stt.deepgram import DeepgramStt
from engine.providers.stt.groq import GroqStt
from engine.providers.stt.openai import OpenAiStt
from engine.providers.stt.vendor import AudioFormat, VendorStt
from tests.vendors.contract import FAULTS, Case, cancelled_midway
from tests.vendors.deepgram import Deepgram
from tests.vendors.groq_transcription import GroqTranscription
from tests.vendors.openai_transcription import OpenAiTranscription
from tests.vendors.simulator import RETRY_AFTER_S, Fault
from tests.vendors.transcription import SttSimulator

CASES: dict[str, Case[VendorStt, SttSimulator]] = {
    "openai": Case(OpenAiStt, OpenAiTranscription, path="/v1"),
    "openai whisper": Case(OpenAiStt, OpenAiTranscription, path="/v1", model="whisper-1"),
    "groq": Case(GroqStt, GroqTranscription, path="/openai/v1"),
    "deepgram": Case(DeepgramStt, Deepgram, path="/v1"),
}
vendors = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def tone(seconds: float, rate_hz: int = 8_000) -> NDArray[np.int16]:
    pcm: NDArray[np.int16] = np.rint(8_000 * np.sin(np.arange(int(seconds * rate_hz)) * 0.2)).astype(np.int16)
    return pcm


SPOKEN = pcm_to_ulaw(tone(1.0))


async def transcribe(stt: VendorStt, audio: bytes = SPOKEN, language: str = "en") -> Transcript:
    session = stt.session(language=language)
    try:
        for start in range(0, len(audio), 160):
            session.push(audio[start : start + 160])
        return await session.finish()
    finally:
        await session.close()


@vendors
async def test_an_utterance_is_transcribed(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        transcript = await transcribe(stt)
    assert (transcript.text, transcript.language) == ("When do you open?", "en")
    assert transcript.served_by == f"{stt.name}/{stt.model}"
    assert transcript.audio_ms == 1_000
    assert vendor.heard[-1]["seconds"] == pytest.approx(1.0)
    if transcript.words:
        assert [word.text for word in transcript.words] == ["When", "do", "you", "open?"]
        assert transcript.words[-1].end_ms == pytest.approx(1_000, abs=20)
        assert transcript.confidence is not None
        assert 0 < transcript.confidence <= 1


@vendors
async def test_several_formats_go_in(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        session = stt.session(audio=AudioFormat("pcm16", 16_000))
        session.push(tone(0.5, 16_000).tobytes())
        assert (await session.finish()).audio_ms == 500
        await session.close()
    assert vendor.heard[-1]["seconds"] == pytest.approx(0.5)


@vendors
async def test_any_words_come_through(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        vendor.text = "¿Cuánto cuesta el envío a Zürich? 東京まで 🚚"
        assert (await transcribe(stt)).text == vendor.text
        vendor.text = ""
        assert (await transcribe(stt)).text == ""


@vendors
async def test_a_long_utterance_goes_whole(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        vendor.text = "word " * 400
        transcript = await transcribe(stt, pcm_to_ulaw(tone(120.0)))
    assert transcript.text == vendor.text.strip()
    assert vendor.heard[-1]["seconds"] == pytest.approx(120.0)


@vendors
async def test_nothing_said_asks_nobody(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        assert (await transcribe(stt, b"")).text == ""
        assert vendor.heard == []


@vendors
async def test_the_language_is_passed_on_or_found(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        await transcribe(stt, language="de")
        assert vendor.heard[-1]["language"] == vendor.told("de")
        await transcribe(stt, language="auto")
        assert vendor.heard[-1]["language"] == vendor.told("auto")


@vendors
@pytest.mark.parametrize("fault", FAULTS)
async def test_faults(case: Case[VendorStt, SttSimulator], fault: Fault) -> None:
    async with case.opened() as (stt, vendor):
        vendor.fault = fault
        with pytest.raises(FAULTS[fault]) as caught:
            await transcribe(stt)
        assert caught.value.provider == stt.name
        assert vendor.key not in str(caught.value)
        if isinstance(caught.value, ProviderUnavailable) and fault is Fault.RATE_LIMITED:
            assert caught.value.retry_after_s == RETRY_AFTER_S
        vendor.fault = None
        assert (await transcribe(stt)).text  # and it serves again


@vendors
async def test_nobody_listens(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.unreachable() as stt:
        with pytest.raises(ProviderUnavailable):
            await transcribe(stt)


@vendors
async def test_a_wrong_key_is_said_so(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened(key="wrong-key") as (stt, _):
        with pytest.raises(ProviderRefusesUs, match="key"):
            await transcribe(stt)
        health = await stt.check()
        assert not health.ok
        assert "wrong-key" not in health.detail


@vendors
async def test_the_vendor_refuses_a_wrong_request(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, _):
        with pytest.raises(ProviderRejected):
            await transcribe(stt, language="no language")


@vendors
async def test_cancelling_hangs_up(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        await cancelled_midway(vendor, transcribe(stt))


@vendors
async def test_health(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        health = await stt.check()
        assert health.ok, health.detail
        assert health.latency_ms >= 0
        vendor.fault = Fault.SERVER_ERROR
        assert not (await stt.check()).ok
