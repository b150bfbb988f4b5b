"""The contract of speech-to-text vendors, through their real clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.http11 import Request
from websockets.protocol import Event
from websockets.server import ServerProtocol

from engine.audio.g711 import ULAW_SILENCE, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from engine.audio.resample import resample
from engine.audio.wav import read_wav
from engine.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefusesUs,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from engine.providers.base import SttSession, Transcript, Word
from engine.providers.stt.assemblyai import AssemblyAiStt, AssemblyAiUtterance
from engine.providers.stt.deepgram import DeepgramStt, DeepgramUtterance
from engine.providers.stt.groq import GroqStt
from engine.providers.stt.live import LiveStt
from engine.providers.stt.openai import OpenAiStt
from engine.providers.stt.session import LONGEST_S
from engine.providers.stt.utterance import Utterance
from engine.providers.stt.vendor import TELEPHONE, AudioFormat, VendorStt
from engine.simulator import recordings
from tests.vendors.assemblyai import AssemblyAi
from tests.vendors.contract import FAULTS, WRONG_KEY, Case, FarEnd, both_ends, cancelled_midway, hung_up
from tests.vendors.deepgram import Deepgram
from tests.vendors.groq_transcription import GroqTranscription
from tests.vendors.openai_transcription import OpenAiTranscription
from tests.vendors.simulator import RETRY_AFTER_S, Fault
from tests.vendors.transcription import LiveSimulator, SttSimulator

DEEPGRAM: Case[DeepgramStt, Deepgram] = Case(DeepgramStt, Deepgram, path="/v1")
ASSEMBLYAI: Case[AssemblyAiStt, AssemblyAi] = Case(AssemblyAiStt, AssemblyAi, path="/v3")
LIVE: dict[str, Case[Any, Any]] = {"deepgram": DEEPGRAM, "assemblyai": ASSEMBLYAI}
CASES: dict[str, Case[Any, Any]] = {
    "openai": Case(OpenAiStt, OpenAiTranscription, path="/v1"),
    "openai gpt-4o": Case(OpenAiStt, OpenAiTranscription, path="/v1", model="gpt-4o-mini-transcribe"),
    "openai whisper": Case(OpenAiStt, OpenAiTranscription, path="/v1", model="whisper-1"),
    "groq": Case(GroqStt, GroqTranscription, path="/openai/v1"),
    **LIVE,
}
vendors = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
live = pytest.mark.parametrize("case", LIVE.values(), ids=LIVE.keys())
Stt = FarEnd[VendorStt, SttSimulator]
every_vendor = both_ends("stt", CASES)
every_live = both_ends("stt", LIVE, "groq", "openai")


def tone(seconds: float, rate_hz: int = 8_000) -> NDArray[np.int16]:
    pcm: NDArray[np.int16] = np.rint(8_000 * np.sin(np.arange(int(seconds * rate_hz)) * 0.2)).astype(np.int16)
    return pcm


SPOKEN = pcm_to_ulaw(tone(1.0))
DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True, slots=True)
class Said:
    """`audio`: mu-law, of whole tenths of a second, since some vendors fill up what is not."""

    audio: bytes
    text: str
    language: str = "en"

    @property
    def ms(self) -> int:
        return len(self.audio) // 8


def said(audio: bytes, text: str, language: str = "en") -> Said:
    return Said(audio + bytes([ULAW_SILENCE]) * (-len(audio) % 800), text, language)


async def transcribe(
    stt: VendorStt,
    audio: bytes = SPOKEN,
    language: str = "en",
    *,
    form: AudioFormat = TELEPHONE,
    frame_s: float = 0.0,
) -> Transcript:
    """`frame_s`: see `FarEnd`."""
    session = stt.session(language=language, audio=form)
    try:
        await speak(session, audio, form, frame_s if isinstance(stt, LiveStt) else 0.0)
        return await session.finish()
    finally:
        await session.close()


async def speak(session: SttSession, audio: bytes, form: AudioFormat, frame_s: float) -> None:
    frame = form.bytes_per_s // 50
    for start in range(0, len(audio), frame):
        session.push(audio[start : start + frame])
        if frame_s:
            await asyncio.sleep(frame_s)


CLEANING = said(recordings.get("demo-cleaning").ulaw(), recordings.get("demo-cleaning").text)
FRENCH = said(
    pcm_to_ulaw(read_wav(DATA / "french.wav").pcm), "À quelle heure ouvrez-vous le samedi matin ?", "fr"
)


async def ask(far: Stt, stt: VendorStt, vendor: SttSimulator | None, spoken: Said) -> Transcript:
    """A simulator understands what was said, whatever it hears."""
    if vendor is not None:
        vendor.text = spoken.text
    return await transcribe(stt, spoken.audio, spoken.language, frame_s=far.frame_s)


@every_vendor
async def test_an_utterance_is_transcribed(far: Stt) -> None:
    async with far.opened() as (stt, vendor):
        transcript = await ask(far, stt, vendor, CLEANING)
    assert far.alike(transcript.text, CLEANING.text)
    assert transcript.language == "en"
    assert transcript.served_by == f"{stt.name}/{stt.model}"
    assert transcript.audio_ms == CLEANING.ms
    if transcript.words:
        assert far.alike(" ".join(word.text for word in transcript.words), transcript.text)
        assert transcript.confidence is not None
        assert 0 < transcript.confidence <= 1
    if vendor is not None:
        assert vendor.heard[-1]["seconds"] == pytest.approx(CLEANING.ms / 1_000)
        if transcript.words:
            assert transcript.words[-1].end_ms == pytest.approx(CLEANING.ms, abs=20)


@every_vendor
async def test_several_formats_go_in(far: Stt) -> None:
    pcm = resample(ulaw_to_pcm(CLEANING.audio), 8_000, 16_000)
    async with far.opened() as (stt, vendor):
        if vendor is not None:
            vendor.text = CLEANING.text
        audio, form = pcm.astype("<i2").tobytes(), AudioFormat("pcm16", 16_000)
        transcript = await transcribe(stt, audio, form=form, frame_s=far.frame_s)
    assert far.alike(transcript.text, CLEANING.text)
    assert transcript.audio_ms == pytest.approx(CLEANING.ms, abs=1)
    if vendor is not None:
        assert vendor.heard[-1]["seconds"] == pytest.approx(CLEANING.ms / 1_000, abs=0.001)


@every_vendor
async def test_any_words_come_through(far: Stt) -> None:
    async with far.opened() as (stt, vendor):
        transcript = await ask(far, stt, vendor, FRENCH)
        assert far.alike(transcript.text, FRENCH.text)
        if vendor is not None:
            vendor.text = "¿Cuánto cuesta el envío a Zürich? 東京まで 🚚"
            assert (await transcribe(stt)).text == vendor.text
            vendor.text = ""
            assert (await transcribe(stt)).text == ""


@every_vendor
async def test_a_long_utterance_goes_whole(far: Stt) -> None:
    async with far.opened() as (stt, vendor):
        times = 70 if vendor else 7
        spoken = Said(CLEANING.audio * times, " ".join([CLEANING.text] * times))
        transcript = await ask(far, stt, vendor, spoken)
    assert far.alike(transcript.text, spoken.text)
    if vendor is not None:
        assert vendor.heard[-1]["seconds"] == pytest.approx(spoken.ms / 1_000)


@every_vendor
async def test_nothing_said_asks_nobody(far: Stt) -> None:
    async with far.opened() as (stt, vendor):
        assert (await transcribe(stt, b"")).text == ""
        if vendor is not None:
            assert vendor.heard == []


@vendors
async def test_the_language_is_passed_on_or_found(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        await transcribe(stt, language="de")
        assert vendor.heard[-1]["language"] == vendor.told("de")
        await transcribe(stt, language="auto")
        assert vendor.heard[-1]["language"] == vendor.told("auto")


@pytest.mark.parametrize(
    ("name", "found"), [("openai", "en"), ("openai whisper", "en"), ("openai gpt-4o", "")]
)
async def test_openai_s_models_say_in_their_own_ways_which_language_it_was(name: str, found: str) -> None:
    async with CASES[name].opened() as (stt, _):
        assert (await transcribe(stt, language="auto")).language == found
        assert (await transcribe(stt, language="de")).language == "de"


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


@every_vendor
async def test_a_wrong_key_is_said_so(far: Stt) -> None:
    async with far.opened(key=WRONG_KEY) as (stt, _):
        with pytest.raises(ProviderRefusesUs, match="key"):
            await transcribe(stt)
        health = await stt.check()
        assert not health.ok
        assert WRONG_KEY not in health.detail


@vendors
async def test_the_vendor_refuses_a_wrong_request(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, _):
        with pytest.raises(ProviderRejected):
            await transcribe(stt, language="no language")


@every_vendor
async def test_cancelling_hangs_up(far: Stt) -> None:
    async with far.opened() as (stt, vendor):
        await far.cancel(vendor, transcribe(stt, CLEANING.audio, frame_s=far.frame_s))
        transcript = await ask(far, stt, vendor, CLEANING)
        assert far.alike(transcript.text, CLEANING.text)  # and it serves again


@every_vendor
async def test_health(far: Stt) -> None:
    async with far.opened() as (stt, vendor):
        health = await stt.check()
        assert health.ok, health.detail
        assert health.latency_ms >= 0
        if vendor is not None:
            vendor.fault = Fault.SERVER_ERROR
            assert not (await stt.check()).ok


@every_vendor
async def test_a_session_is_used_once(far: Stt) -> None:
    async with far.opened() as (stt, _):
        session = stt.session()
        session.push(SPOKEN)
        await session.finish()
        with pytest.raises(ProviderRejected, match="finished, open another"):
            await session.finish()
        with pytest.raises(ProviderRejected, match="finished, open another"):
            session.push(SPOKEN)
        await session.close()
        with pytest.raises(ProviderRejected, match="closed, open another"):
            await session.finish()


@vendors
async def test_too_much_audio_is_refused(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, _):
        session = stt.session()
        session.push(bytes(int(LONGEST_S * 8_000)))
        with pytest.raises(ProviderRejected, match="may last"):
            session.push(b"\xff")
        await session.close()


@vendors
async def test_closing_hangs_up_on_who_finishes(case: Case[VendorStt, SttSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        vendor.fault = Fault.BLACK_HOLE
        session = stt.session()
        session.push(SPOKEN)
        finishing = asyncio.create_task(session.finish())
        assert await asyncio.to_thread(vendor.swallowed.wait, 5.0)
        await session.close()
        with pytest.raises(ProviderRejected, match="closed while it was being finished"):
            await finishing
        assert await hung_up(vendor)


@every_vendor
async def test_a_model_that_is_not_there(far: Stt) -> None:
    async with far.opened(model="no-model") as (stt, vendor):
        with pytest.raises((ProviderRefusesUs, ProviderRejected)):
            await transcribe(stt)
        if vendor is not None:
            assert vendor.seen


@every_vendor
async def test_keys_are_not_logged(far: Stt, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with far.opened() as (stt, _):
            await transcribe(stt)
    assert stt.options.api_key not in caplog.text
    assert stt.options.api_key not in repr(stt.options)


@every_live
async def test_audio_arrives_while_it_is_pushed(far: FarEnd[LiveStt, LiveSimulator]) -> None:
    async with far.opened() as (stt, vendor):
        session = stt.session()
        await speak(session, CLEANING.audio, TELEPHONE, far.frame_s)
        if vendor is not None:
            vendor.text = CLEANING.text
            assert await asyncio.to_thread(vendor.listening.wait, 5.0)
        await speak(session, SPOKEN, TELEPHONE, far.frame_s)
        transcript = await session.finish()
        await session.close()
    assert far.alike(transcript.text, CLEANING.text)
    if vendor is not None:
        assert vendor.heard[-1]["seconds"] == pytest.approx(1.0 + CLEANING.ms / 1_000)


@every_live
async def test_words_have_times_and_confidence(far: Stt) -> None:
    async with far.opened() as (stt, vendor):
        transcript = await ask(far, stt, vendor, CLEANING)
    assert transcript.decode == "stream"
    assert transcript.words
    times = [at for word in transcript.words for at in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= CLEANING.ms + 100
    known = {word.confidence for word in transcript.words}
    assert all(confidence is not None and 0 < confidence <= 1 for confidence in known)
    if vendor is not None:
        step = CLEANING.ms / len(transcript.words)
        assert times == [
            round((word + end) * step) for word in range(len(transcript.words)) for end in (0, 1)
        ]
        assert known <= {0.97, 0.98}
        assert transcript.confidence == pytest.approx(known.pop())


@live
async def test_what_was_final_before_the_end_is_kept(case: Case[LiveStt, LiveSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        vendor.early = "Hello there."
        session = stt.session()
        session.push(SPOKEN)
        assert await asyncio.to_thread(vendor.listening.wait, 5.0)
        session.push(SPOKEN)
        transcript = await session.finish()
        await session.close()
    assert transcript.text == "Hello there. When do you open?"
    assert [word.text for word in transcript.words] == transcript.text.split()
    assert transcript.words[1].end_ms == transcript.words[2].start_ms
    assert transcript.words[-1].end_ms == 2_000


@live
async def test_failing_early_is_told_at_the_end(case: Case[LiveStt, LiveSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        vendor.early, vendor.fault = "Hello there.", Fault.DIES
        session = stt.session()
        session.push(SPOKEN)
        assert await asyncio.to_thread(vendor.over.wait, 5.0)
        session.push(SPOKEN)
        with pytest.raises(ProviderUnavailable):
            await session.finish()
        await session.close()


@live
async def test_a_law_goes_in(case: Case[LiveStt, LiveSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        await stt.transcribe(pcm_to_alaw(tone(1.0)), AudioFormat("alaw"), "en")
    heard = vendor.heard[-1]
    assert heard["encoding"] == {"deepgram": "alaw", "assemblyai": "pcm_s16le"}[stt.name]
    assert (heard["rate_hz"], heard["seconds"]) == (8_000, pytest.approx(1.0))


@live
async def test_half_a_sample_is_nothing(case: Case[LiveStt, LiveSimulator]) -> None:
    async with case.opened() as (stt, vendor):
        assert (await stt.transcribe(b"\0", AudioFormat("pcm16"), "en")).text == ""
        assert vendor.heard[-1]["seconds"] == 0
        await stt.transcribe(bytes(2 * 8_000 + 1), AudioFormat("pcm16"), "en")
    assert vendor.heard[-1]["seconds"] == pytest.approx(1.0)


@live
async def test_the_language_is_found(case: Case[LiveStt, LiveSimulator]) -> None:
    async with case.opened() as (stt, _):
        assert (await transcribe(stt, language="auto")).language == "en"
        assert (await transcribe(stt, language="de")).language == "de"


@live
async def test_closing_an_unfinished_session_leaves_nothing(case: Case[LiveStt, LiveSimulator]) -> None:
    vendor = case.simulator()
    with vendor.in_thread() as url:
        stt = case.client(case.options(url))
        before = asyncio.all_tasks()
        session = stt.session()
        session.push(SPOKEN)
        assert await asyncio.to_thread(vendor.listening.wait, 5.0)
        await session.close()
        assert asyncio.all_tasks() == before
        assert await asyncio.to_thread(vendor.over.wait, 5.0)
    farewell = {"deepgram": "CloseStream", "assemblyai": "Terminate"}[stt.name]
    assert [json.loads(message)["type"] for message in vendor.said] == [farewell]


@live
async def test_cancelling_leaves_nothing(case: Case[LiveStt, LiveSimulator]) -> None:
    vendor = case.simulator()
    with vendor.in_thread() as url:
        session = case.client(case.options(url)).session()
        before = asyncio.all_tasks()
        vendor.fault = Fault.BLACK_HOLE
        session.push(SPOKEN)
        await cancelled_midway(vendor, session.finish())
        assert asyncio.all_tasks() == before
        await session.close()


@live
async def test_closing_while_connecting_leaves_nothing(case: Case[LiveStt, LiveSimulator]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # the handshake is never answered
        stt = case.client(case.options(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        before = asyncio.all_tasks()
        session = stt.session()
        session.push(SPOKEN)
        client, _ = await asyncio.to_thread(listener.accept)
        with client:
            await session.close()
            assert asyncio.all_tasks() == before
            client.settimeout(5.0)
            await asyncio.to_thread(until_closed, client)


@live
async def test_who_does_not_hang_up_is_left(case: Case[LiveStt, LiveSimulator]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        session = case.client(case.options(f"http://127.0.0.1:{listener.getsockname()[1]}")).session()
        session.push(SPOKEN)
        client, _ = await asyncio.to_thread(listener.accept)
        with client:
            client.settimeout(5.0)
            await asyncio.to_thread(shake_hands, client)
            await session.close()
            await asyncio.to_thread(until_closed, client)


def shake_hands(client: socket.socket) -> None:
    """A vendor's side of the opening handshake; it never says anything more."""
    vendor = ServerProtocol()
    requests: list[Event] = []
    while not requests:
        vendor.receive_data(client.recv(4_096))
        requests = vendor.events_received()
    assert isinstance(requests[0], Request)
    vendor.send_response(vendor.accept(requests[0]))
    client.sendall(b"".join(vendor.data_to_send()))


def until_closed(client: socket.socket) -> None:
    """Raises TimeoutError when the other end stays."""
    with contextlib.suppress(ConnectionResetError):
        while client.recv(4_096):
            pass


@live
async def test_a_handshake_has_a_deadline(case: Case[LiveStt, LiveSimulator]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        options = case.options(f"http://127.0.0.1:{listener.getsockname()[1]}")
        stt = case.client(replace(options, connect_s=0.05, silence_s=60.0))
        with pytest.raises(ProviderTimeout):
            await transcribe(stt)


@live
@pytest.mark.parametrize(
    ("given", "used"),
    [("http://host/a", "ws://host/a"), ("https://host/a/", "wss://host/a"), ("wss://host", "wss://host")],
)
def test_addresses(case: Case[LiveStt, LiveSimulator], given: str, used: str) -> None:
    options = replace(case.options(""), base_url=given)
    assert case.client(options).base_url == used


@live
@pytest.mark.parametrize("given", ["host", "ftp://host", "https://"])
def test_addresses_that_are_none(case: Case[LiveStt, LiveSimulator], given: str) -> None:
    with pytest.raises(ConfigurationError, match="address"):
        case.client(replace(case.options(""), base_url=given))


async def test_assemblyai_greets_first() -> None:
    async with ASSEMBLYAI.opened() as (stt, vendor):
        vendor.fault = Fault.BLACK_HOLE
        session = stt.session()
        session.push(SPOKEN)
        assert await hung_up(vendor)  # by itself, though it was not finished
        with pytest.raises(ProviderTimeout):
            await session.finish()


async def test_assemblyai_gets_no_short_messages() -> None:
    async with ASSEMBLYAI.opened() as (stt, vendor):
        transcript = await transcribe(stt, pcm_to_ulaw(tone(1.02)))
        assert vendor.heard[-1]["seconds"] == pytest.approx(1.05)
        assert transcript.audio_ms == 1_020
        assert (await transcribe(stt, SPOKEN[:160])).text == vendor.text
        assert vendor.heard[-1]["seconds"] == pytest.approx(0.05)


async def test_assemblyai_knows_languages_by_the_model() -> None:
    async with ASSEMBLYAI.opened() as (stt, vendor):
        transcript = await transcribe(stt, language="de")
        assert transcript.served_by == "assemblyai/universal-streaming-multilingual"
        assert (vendor.heard[-1]["model"], vendor.heard[-1]["detects"]) == (transcript.served_by[11:], False)
        await transcribe(stt, language="auto")
        assert vendor.heard[-1]["detects"]
        asked = len(vendor.seen)
        with pytest.raises(ProviderRejected, match="does not know the language 'ja'; it knows de, en"):
            await transcribe(stt, language="ja")
        assert len(vendor.seen) == asked
    async with replace(ASSEMBLYAI, model="universal-streaming-english").opened() as (stt, _):
        with pytest.raises(ProviderRejected, match="it knows en"):
            await transcribe(stt, language="de")


async def test_assemblyai_may_find_audio_too_fast() -> None:
    async with ASSEMBLYAI.opened() as (stt, vendor):
        vendor.too_fast = True
        with pytest.raises(ProviderUnavailable, match="Rate Exceeded"):
            await transcribe(stt)


def heard_by(utterance: Utterance, *messages: dict[str, Any]) -> Transcript:
    for message in messages:
        utterance.take(json.dumps(message))
    return utterance.transcript(1_000)


def results(text: str, *, final: bool = True, words: object = ()) -> dict[str, Any]:
    alternatives = [{"transcript": text, "words": words}]
    return {"type": "Results", "is_final": final, "channel": {"alternatives": alternatives}}


def turn(text: str, *, order: int = 0, end: bool = True, formatted: bool = False) -> dict[str, Any]:
    words = [{"text": word, "start": 0, "end": 80, "confidence": 0.5} for word in text.split()]
    return {
        "type": "Turn",
        "turn_order": order,
        "turn_is_formatted": formatted,
        "end_of_turn": end,
        "transcript": text if end else "",
        "words": words,
    }


METADATA = {"type": "Metadata", "duration": 1.5}


def test_deepgram_interim_results_are_not_kept() -> None:
    word = {"word": "hi", "start": 0.1, "end": 0.25, "confidence": 0.5, "punctuated_word": "Hi."}
    utterance = DeepgramUtterance("en", "")
    transcript = heard_by(
        utterance, results("hig", final=False), {"type": "SpeechStarted"}, results("Hi.", words=[word])
    )
    assert transcript.text == "Hi."
    assert transcript.words == (Word("Hi.", 100, 250, 0.5),)


def test_deepgram_is_done_with_the_metadata_of_the_end() -> None:
    utterance = DeepgramUtterance("en", "")
    heard_by(utterance, METADATA)
    assert not utterance.done
    utterance.ending = True
    heard_by(utterance, {"type": "Metadata", "duration": 0})
    assert not utterance.done
    heard_by(utterance, METADATA)
    assert utterance.done


def test_assemblyai_keeps_the_best_of_a_turn() -> None:
    transcript = heard_by(
        AssemblyAiUtterance("en", ""),
        {"type": "Begin"},
        turn("hello", end=False),
        turn("hello there"),
        turn("Hello, there.", formatted=True),
        turn("hello there"),
        turn("no end", order=1, end=False),
    )
    assert transcript.text == "Hello, there. no end"
    assert [word.text for word in transcript.words] == ["Hello,", "there.", "no", "end"]


@pytest.mark.parametrize("kind", [DeepgramUtterance, AssemblyAiUtterance])
@pytest.mark.parametrize(
    "message",
    [
        "[]",
        '"Begin"',
        "{",
        '{"type": "Results", "is_final": true}',
        json.dumps(results("hi", words=[{"word": "hi"}])),
        json.dumps(results("hi", words=["hi"])),
        '{"type": "Turn"}',
        json.dumps(turn("hi") | {"words": [{"text": "hi"}]}),
        '{"type": "Termination"}',
    ],
)
def test_nonsense_is_unavailable_or_not_heard(kind: type[Utterance], message: str) -> None:
    utterance = kind("en", "")
    known = ("Results",) if isinstance(utterance, DeepgramUtterance) else ("Turn", "Termination")
    if message.startswith('{"type"') and json.loads(message)["type"] not in known:
        utterance.take(message)
    else:
        with pytest.raises(ProviderUnavailable):
            utterance.take(message)
    assert utterance.transcript(0).text == ""
    assert not utterance.done


@pytest.mark.parametrize(
    ("utterance", "code", "reason", "error"),
    [
        (DeepgramUtterance, 1008, "DATA-0000", ProviderRejected),
        (DeepgramUtterance, 1011, "NET-0001", ProviderUnavailable),
        (DeepgramUtterance, 1000, "", ProviderUnavailable),
        (
            AssemblyAiUtterance,
            1008,
            "Unauthorized Connection: Missing Authorization header",
            ProviderRefusesUs,
        ),
        (AssemblyAiUtterance, 1008, "Unauthorized Connection: Too many concurrent", ProviderUnavailable),
        (AssemblyAiUtterance, 3009, "Unauthorized Connection", ProviderUnavailable),
        (AssemblyAiUtterance, 3005, "Session Cancelled: An error occurred", ProviderUnavailable),
        (AssemblyAiUtterance, 3006, "Invalid Message Type: x", ProviderRejected),
        (AssemblyAiUtterance, 3007, "Input Duration Violation: 20.0 ms", ProviderRejected),
        (AssemblyAiUtterance, 3007, "Audio Transmission Rate Exceeded", ProviderUnavailable),
    ],
)
def test_what_closing_means(
    utterance: type[Utterance], code: int, reason: str, error: type[ProviderError]
) -> None:
    with pytest.raises(error) as caught:
        utterance("en", "").closed(code, reason)
    assert type(caught.value) is error


@pytest.mark.parametrize("kind", [DeepgramUtterance, AssemblyAiUtterance])
def test_a_close_after_the_last_words_is_the_end(kind: type[Utterance]) -> None:
    utterance = kind("en", "")
    utterance.ending = True
    utterance.closed(1000, "")
    assert utterance.done
