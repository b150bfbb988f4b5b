"""The contract of text-to-speech vendors, through their real clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx2
import numpy as np
import pytest

from engine.audio.g711 import SAMPLE_RATE_HZ, ulaw_to_float
from engine.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefusesUs,
    ProviderRejected,
    ProviderUnavailable,
)
from engine.providers.base import Speech, SpeechRequest
from engine.providers.registry import create
from engine.providers.tts.azure import AzureTts
from engine.providers.tts.elevenlabs import ElevenLabsTts
from engine.providers.tts.finish import LEAD_MS, SENTENCE_TAIL_MS
from engine.providers.tts.google import GoogleTts
from engine.providers.tts.openai import OpenAiTts
from engine.providers.tts.vendor import PART_SAMPLES, VendorTts
from engine.providers.vendor import VendorOptions
from tests.vendors.azure_tts import AzureSpeech
from tests.vendors.contract import FAULTS, WRONG_KEY, Case, FarEnd, both_ends, hung_up
from tests.vendors.elevenlabs import ElevenLabs
from tests.vendors.google_tts import GoogleSpeech, wav
from tests.vendors.openai_speech import OpenAiSpeech
from tests.vendors.simulator import KEY, RETRY_AFTER_S, Fault
from tests.vendors.speech import TONE_HZ, SpeechSimulator, Spoken, tone_ms

TtsCase = Case[VendorTts, SpeechSimulator]


@dataclass(frozen=True, slots=True)
class Ways:
    """How a vendor differs. `voice`: one that is not its default; `german`: what it is told for `de`.

    `extra` and `told`: its options, and what arrives of them. `speeds`: what arrives of 0.1 and of 10.
    `unknown`: what an unknown voice is.
    """

    case: TtsCase
    voice: str
    german: str
    extra: dict[str, object]
    told: dict[str, object]
    speeds: tuple[float, float]
    unknown: type[ProviderError] = ProviderRejected
    streams: bool = True


ELEVENLABS = Ways(
    Case(ElevenLabsTts, ElevenLabs),
    voice="EXAVITQu4vr4xnSDxMaL",
    german="de",
    extra={"stability": 0.4, "similarity": 0.8, "style": 0.1, "speaker_boost": False},
    told={"stability": 0.4, "similarity_boost": 0.8, "style": 0.1, "use_speaker_boost": False},
    speeds=(0.7, 1.2),
    unknown=ProviderRefusesUs,
)
OPENAI = Ways(
    Case(OpenAiTts, OpenAiSpeech, path="/v1"),
    voice="coral",
    german="The text's language is de (BCP 47).",
    extra={"instructions": "Speak warmly."},
    told={"instructions": "Speak warmly."},
    speeds=(0.25, 4.0),
)
GOOGLE = Ways(
    Case(GoogleTts, GoogleSpeech),
    voice="en-US-Neural2-C",
    german="de-DE",
    extra={"volume_gain_db": -3.5},
    told={"volumeGainDb": -3.5},
    speeds=(0.25, 2.0),
    streams=False,
)
AZURE = Ways(
    Case(AzureTts, AzureSpeech),
    voice="en-US-Ava:DragonHDLatestNeural",
    german="de-DE",
    extra={"style": "customerservice", "pitch": "-2st"},
    told={"style": "customerservice", "pitch": "-2st", "effect": "eq_telecomhp8k"},
    speeds=(0.5, 2.0),
)
VENDORS: dict[str, Ways] = {
    "elevenlabs": ELEVENLABS,
    # It takes no language.
    "elevenlabs multilingual": replace(
        ELEVENLABS, case=replace(ELEVENLABS.case, model="eleven_multilingual_v2"), german=""
    ),
    "openai": OPENAI,
    "google": GOOGLE,
    "azure": AZURE,
}
vendors = pytest.mark.parametrize("ways", VENDORS.values(), ids=VENDORS.keys())
Tts = FarEnd[VendorTts, SpeechSimulator]
every_vendor = both_ends("tts", {name: ways.case for name, ways in VENDORS.items()})
every_streaming = both_ends("tts", {name: v.case for name, v in VENDORS.items() if v.streams}, "google")

T = TypeVar("T")

TEXT = "We are open from nine to five."
HELLO = SpeechRequest(TEXT)


async def pieces(tts: VendorTts, request: SpeechRequest = HELLO) -> list[bytes]:
    return [piece async for piece in tts.stream(request)]


def pitch_hz(speech: Speech) -> float:
    """Of a tone, by its zero crossings."""
    middle = ulaw_to_float(speech.audio)[800:-1_600]
    crossings = np.count_nonzero(np.diff(np.signbit(middle)))
    return float(crossings * SAMPLE_RATE_HZ / 2 / middle.size)


def assert_long(speech: Speech, ms: float) -> None:
    """So long, in whole frames of 20 ms."""
    assert len(speech.audio) % 160 == 0
    assert ms - 12 <= len(speech.audio) / 8 <= ms + 12 + 20


@every_vendor
async def test_a_text_is_spoken(far: Tts) -> None:
    async with far.opened() as (tts, vendor):
        speech = await tts.synthesise(HELLO)
        assert (speech.encoding, speech.rate_hz) == ("mulaw", 8_000)
        assert speech.voice == tts.voice(HELLO)
    assert speech.served_by == f"{tts.name}/{tts.model}"
    assert 1_000 < len(speech.audio) / 8 < 5_000  # seven words, without the silence around them
    audible = ulaw_to_float(speech.audio)[800:-1_600]
    assert 10 * np.log10(np.mean(np.square(audible))) == pytest.approx(-20, abs=0.5 if vendor else 6)
    if vendor is not None:
        assert speech.voice == tts.default_voice
        assert vendor.spoken[-1].text == TEXT
        assert (vendor.spoken[-1].voice, vendor.spoken[-1].speed) == (tts.default_voice, 1.0)
        # Trimmed: no more silence than a piece has, of what the vendor sent around the tone.
        assert_long(speech, LEAD_MS + tone_ms(TEXT) + SENTENCE_TAIL_MS)
        assert pitch_hz(speech) == pytest.approx(TONE_HZ, abs=2)


async def first_and_rest(
    stream: AsyncGenerator[T, None], vendor: SpeechSimulator | None
) -> tuple[T, list[T]]:
    """A simulator sends the rest only when the first has come."""
    async with aclosing(stream):
        if vendor is not None:
            vendor.rest.clear()
        first = await anext(stream)
        if vendor is not None:
            assert not vendor.rest.is_set()
            vendor.rest.set()
        return first, [one async for one in stream]


@every_streaming
async def test_the_first_piece_comes_before_the_last_is_sent(far: Tts) -> None:
    async with far.opened() as (tts, vendor):
        first, rest = await first_and_rest(tts.stream(HELLO), vendor)
    assert first
    assert rest
    heard = ulaw_to_float(first + b"".join(rest))
    assert 1_000 < heard.size / 8 < 6_000
    if vendor is not None:
        assert heard.size / 8 == pytest.approx(tone_ms(TEXT) + 300, abs=2)  # with the vendor's own silences
        assert np.abs(heard).max() == pytest.approx(8_000 / 32_768, abs=0.02)


@every_streaming
async def test_what_can_be_played_comes_before_the_last_is_sent(far: Tts) -> None:
    async with far.opened() as (tts, vendor):
        first, rest = await first_and_rest(tts.speak(HELLO), vendor)
    assert not first.last
    assert len(first.audio) >= PART_SAMPLES
    assert [part.last for part in rest] == [False] * (len(rest) - 1) + [True]
    assert all(len(part.audio) >= PART_SAMPLES for part in rest[:-1])


@every_vendor
async def test_voices_are_listed(far: Tts) -> None:
    async with far.opened() as (tts, vendor):
        listed = await tts.voices()
        assert listed
        assert all(voice.name for voice in listed)
        if vendor is not None:
            assert {voice.id for voice in listed} == set(vendor.voices)
            assert len(listed) == len(vendor.voices)
            assert tts.default_voice in vendor.voices


async def test_voices_say_what_they_speak() -> None:
    async with ELEVENLABS.case.opened() as (tts, _):
        assert [voice.languages for voice in await tts.voices()] == [(), ("en", "de"), ("en", "de")]
    async with GOOGLE.case.opened() as (tts, _):
        first = (await tts.voices())[0]
        assert (first.name, first.languages) == ("Chirp3-HD-Kore", ("en-US",))
    async with AZURE.case.opened() as (tts, _):
        ava, jenny, *_ = await tts.voices()
        assert (ava.languages, jenny.languages) == (("en-US", "de-DE"), ("en-US",))


@pytest.mark.parametrize("ways", [ELEVENLABS, GOOGLE, AZURE], ids=["elevenlabs", "google", "azure"])
@pytest.mark.parametrize("answer", [{"voices": [{}]}, {"voices": None}, [{"name": "x"}], 3, None])
async def test_a_list_of_voices_that_is_none(ways: Ways, answer: Any) -> None:
    async with ways.case.opened() as (tts, vendor):
        vendor.catalogue = answer
        with pytest.raises(ProviderUnavailable, match="documents"):
            await tts.voices()


@vendors
async def test_which_voice_speaks(ways: Ways) -> None:
    async with ways.case.opened() as (tts, vendor):
        for asked, speaks in (
            (f"{tts.name}:{ways.voice}", ways.voice),
            (f"{tts.name}:", tts.default_voice),
            ("en_US-amy-medium", tts.default_voice),
            (f"other:{ways.voice}", tts.default_voice),
        ):
            speech = await tts.synthesise(replace(HELLO, voice=asked))
            assert (speech.voice, vendor.spoken[-1].voice) == (speaks, speaks), asked
    async with ways.case.opened(voice=ways.voice) as (tts, vendor):
        await tts.synthesise(replace(HELLO, voice="en_US-amy-medium"))
        assert vendor.spoken[-1].voice == ways.voice


@vendors
async def test_an_unknown_voice_is_refused(ways: Ways) -> None:
    async with ways.case.opened() as (tts, vendor):
        for voice in ("nobody", f"{ways.voice}?x=", f"x/../{ways.voice}", '<nobody>&"co"'):
            with pytest.raises(ways.unknown) as caught:
                await tts.synthesise(replace(HELLO, voice=f"{tts.name}:{voice}"))
            assert voice in str(caught.value)  # it was asked for as it is written
        assert not vendor.spoken


@every_vendor
async def test_an_unknown_model_is_refused(far: Tts) -> None:
    async with far.opened(model="no-such-model") as (tts, vendor):
        with pytest.raises((ProviderRefusesUs, ProviderRejected)):
            await tts.synthesise(HELLO)
        if vendor is not None:
            assert not vendor.spoken


@vendors
async def test_options_arrive(ways: Ways) -> None:
    async with replace(ways.case, extra=tuple(ways.extra.items())).opened() as (tts, vendor):
        await tts.synthesise(HELLO)
        assert vendor.spoken[-1].options == ways.told


@vendors
def test_an_option_that_is_wrong_is_said_so(ways: Ways) -> None:
    wrong: list[dict[str, object]] = [{"stabilty": 0.5}]
    wrong += [{name: [value]} for name, value in ways.extra.items()]
    wrong += [{name: 1_000} for name in ways.extra]
    for extra in wrong:
        with pytest.raises(ConfigurationError, match=next(iter(extra))):
            ways.case.client(VendorOptions(api_key="k", base_url="http://127.0.0.1", extra=extra))


@vendors
async def test_the_speed_is_the_request_s_as_far_as_it_goes(ways: Ways) -> None:
    async with ways.case.opened() as (tts, vendor):
        for asked, spoken in ((1.1, 1.1), (0.9, 0.9), (0.1, ways.speeds[0]), (10.0, ways.speeds[1])):
            speech = await tts.synthesise(replace(HELLO, speed=asked))
            assert vendor.spoken[-1].speed == spoken
            assert_long(speech, LEAD_MS + tone_ms(TEXT, spoken) + SENTENCE_TAIL_MS)


@pytest.mark.parametrize(
    ("ways", "option"), [(ELEVENLABS, "speed"), (OPENAI, "speed"), (AZURE, "rate")], ids=str
)
async def test_the_voice_has_a_speed_of_its_own(ways: Ways, option: str) -> None:
    async with replace(ways.case, extra=((option, 0.9),)).opened() as (tts, vendor):
        await tts.synthesise(HELLO)
        await tts.synthesise(replace(HELLO, speed=1.1))
    assert [spoken.speed for spoken in vendor.spoken] == [0.9, 0.99]


@vendors
async def test_the_language_is_the_request_s(ways: Ways) -> None:
    async with ways.case.opened() as (tts, vendor):
        await tts.synthesise(replace(HELLO, language="de"))
        spoken = vendor.spoken[-1]
        assert (spoken.options.get("instructions") or spoken.language) == ways.german


@pytest.mark.parametrize(
    ("voice", "language", "speaks"),
    [
        ("en-US-Chirp3-HD-Kore", "en", "en-US-Chirp3-HD-Kore"),
        ("en-US-Chirp3-HD-Kore", "en-GB", "en-GB-Chirp3-HD-Kore"),
        ("en-GB-Chirp3-HD-Kore", "en", "en-GB-Chirp3-HD-Kore"),
        ("en-US-Chirp3-HD-Kore", "de", "de-DE-Chirp3-HD-Kore"),
        ("en-US-Chirp3-HD-Kore", "zh", "cmn-CN-Chirp3-HD-Kore"),
        ("en-US-Chirp3-HD-Kore", "zh-CN", "cmn-CN-Chirp3-HD-Kore"),
        ("en-US-Chirp3-HD-Kore", "tlh", "en-US-Chirp3-HD-Kore"),
        ("en-US-Chirp3-HD-Kore", "", "en-US-Chirp3-HD-Kore"),
        ("en-US-Neural2-C", "de", "en-US-Neural2-C"),
        ("de-DE-Neural2-B", "de", "de-DE-Neural2-B"),
    ],
)
async def test_google_s_voice_has_a_namesake_in_every_language(
    voice: str, language: str, speaks: str
) -> None:
    async with GOOGLE.case.opened() as (tts, vendor):
        speech = await tts.synthesise(SpeechRequest(TEXT, f"google:{voice}", language))
        assert speech.voice == vendor.spoken[-1].voice == speaks
        assert speaks.startswith(vendor.spoken[-1].language)


@pytest.mark.parametrize(
    ("voice", "language", "told"),
    [
        ("en-US-AvaMultilingualNeural", "en", ""),
        ("en-US-AvaMultilingualNeural", "en-GB", "en-GB"),
        ("en-US-AvaMultilingualNeural", "zh", "zh-CN"),
        ("en-US-AvaMultilingualNeural", "tlh", ""),
        ("en-US-JennyNeural", "de", ""),
    ],
)
async def test_azure_tells_a_multilingual_voice_the_language(voice: str, language: str, told: str) -> None:
    async with AZURE.case.opened() as (tts, vendor):
        await tts.synthesise(SpeechRequest(TEXT, f"azure:{voice}", language))
        assert vendor.spoken[-1].language == told


async def test_openai_is_told_the_language_and_the_manner() -> None:
    case = replace(OPENAI.case, extra=(("instructions", "Speak warmly."),))
    async with case.opened() as (tts, vendor):
        await tts.synthesise(replace(HELLO, language="de"))
        assert vendor.spoken[-1].options["instructions"] == f"{OPENAI.german} Speak warmly."
    with pytest.raises(ConfigurationError, match="instructions"):
        OpenAiTts(VendorOptions(api_key="k", model="tts-1", extra={"instructions": "Speak warmly."}))
    async with replace(OPENAI.case, model="tts-1").opened() as (tts, vendor):
        await tts.synthesise(replace(HELLO, language="de"))
        assert not vendor.spoken[-1].options


async def test_google_s_pitch_is_for_voices_that_have_one() -> None:
    with pytest.raises(ConfigurationError, match="pitch"):
        GoogleTts(VendorOptions(api_key="k", extra={"pitch": 2}))
    async with GOOGLE.case.opened(voice="en-US-Neural2-C", extra={"pitch": 2}) as (tts, vendor):
        await tts.synthesise(HELLO)
        assert vendor.spoken[-1].options == {"pitch": 2.0}
        await tts.synthesise(replace(HELLO, voice="google:en-US-Chirp3-HD-Kore"))
        assert vendor.spoken[-1].options == {}


@every_vendor
@pytest.mark.parametrize(
    "text",
    [
        "Fish & chips < 5 > \"quoted\" 'so' </speak> <break/> &amp; ]]>",
        "¿Cuánto cuesta el envío a Zürich? 東京まで 🚚👩‍👩‍👧",
        "A line\nand another\tone",
    ],
)
async def test_any_text_arrives_as_it_is(far: Tts, text: str) -> None:
    async with far.opened() as (tts, vendor):
        assert (await tts.synthesise(SpeechRequest(text))).audio
        if vendor is not None:
            assert vendor.spoken[-1].text == text


@vendors
async def test_what_cannot_be_written_is_left_out(ways: Ways) -> None:
    async with ways.case.opened() as (tts, vendor):
        await tts.synthesise(SpeechRequest("One\x00two\x1b and half a truck \ud83d."))
        assert vendor.spoken[-1].text == "One two  and half a truck  ."


@every_vendor
@pytest.mark.parametrize("text", ["", "  \n", "...", "?! — …", "🎉", "\x00"])
async def test_nothing_to_speak_asks_nobody(far: Tts, text: str) -> None:
    async with far.opened() as (tts, vendor):
        speech = await tts.synthesise(SpeechRequest(text))
        assert (speech.audio, speech.voice) == (b"", tts.voice(HELLO))
        assert await pieces(tts, SpeechRequest(text)) == []
        if vendor is not None:
            assert not vendor.seen


@every_vendor
async def test_a_text_that_is_too_long_is_refused(far: Tts) -> None:
    async with far.opened() as (tts, vendor):
        with pytest.raises(ProviderRejected, match=f"{tts.longest}"):
            await tts.synthesise(SpeechRequest("a" * (tts.longest + 1)))
        long = (f"{TEXT} " * 50)[:1_500]  # more than an agent says in one piece
        if vendor is not None:
            assert not vendor.seen
        speech = await tts.synthesise(SpeechRequest(long))
        assert len(speech.audio) > 50 * 8_000
        if vendor is not None:
            assert vendor.spoken[-1].text == long


@pytest.mark.parametrize("ways", [ELEVENLABS, OPENAI, GOOGLE], ids=["elevenlabs", "openai", "google"])
async def test_the_limit_is_the_vendor_s(ways: Ways) -> None:
    async with ways.case.opened() as (tts, vendor):
        limit, tts.longest = tts.longest, 1_000_000
        with pytest.raises(ProviderRejected):
            await tts.synthesise(SpeechRequest("a" * (limit + 1)))
        assert vendor.seen


async def test_google_counts_bytes() -> None:
    async with GOOGLE.case.opened() as (tts, vendor):
        with pytest.raises(ProviderRejected, match="5001"):
            await tts.synthesise(SpeechRequest("東" * 1_667))
        assert not vendor.seen


@vendors
@pytest.mark.parametrize("fault", FAULTS)
async def test_faults(ways: Ways, fault: Fault) -> None:
    async with ways.case.opened() as (tts, vendor):
        vendor.fault = fault
        with pytest.raises(FAULTS[fault]) as caught:
            await tts.synthesise(HELLO)
        assert caught.value.provider == tts.name
        assert vendor.key not in str(caught.value)
        if isinstance(caught.value, ProviderUnavailable) and fault is Fault.RATE_LIMITED:
            assert caught.value.retry_after_s == RETRY_AFTER_S
        vendor.fault = None
        assert (await tts.synthesise(HELLO)).audio  # and it serves again


@vendors
async def test_nobody_listens(ways: Ways) -> None:
    async with ways.case.unreachable() as tts:
        with pytest.raises(ProviderUnavailable):
            await tts.synthesise(HELLO)
        assert not (await tts.check()).ok


@every_vendor
async def test_a_wrong_key_is_said_so(far: Tts) -> None:
    async with far.opened(key=WRONG_KEY) as (tts, _):
        with pytest.raises(ProviderRefusesUs, match="key") as caught:
            await tts.synthesise(HELLO)
        assert WRONG_KEY not in str(caught.value)
        health = await tts.check()
        assert not health.ok
        assert WRONG_KEY not in health.detail
    assert WRONG_KEY not in repr(tts.options)


@every_vendor
async def test_cancelling_hangs_up(far: Tts) -> None:
    async with far.opened() as (tts, vendor):
        await far.cancel(vendor, tts.synthesise(HELLO))
        assert (await tts.synthesise(HELLO)).audio  # and it serves again


@every_streaming
async def test_leaving_a_stream_early_hangs_up(far: Tts) -> None:
    async with far.opened(connections=1) as (tts, vendor):
        if vendor is not None:
            vendor.rest.clear()
        stream = tts.stream(HELLO)
        assert await anext(stream)
        if vendor is not None:
            assert not vendor.hung_up.is_set()
        await stream.aclose()
        if vendor is not None:
            assert await hung_up(vendor)
            vendor.rest.set()
        assert (await tts.synthesise(HELLO)).audio  # on the one connection that there is


@every_vendor
async def test_health(far: Tts) -> None:
    async with far.opened() as (tts, vendor):
        health = await tts.check()
        assert health.ok, health.detail
        assert tts.model in health.detail
        if vendor is not None:
            assert [one.text for one in vendor.spoken] == ["Hello."], (
                "to list voices would not show that they speak"
            )
            vendor.fault = Fault.SERVER_ERROR
            assert not (await tts.check()).ok


async def test_openai_s_health_tells_a_model_that_is_gone() -> None:
    async with replace(OPENAI.case, model="tts-0").opened() as (tts, _):
        health = await tts.check()
    assert not health.ok
    assert "tts-0" in health.detail


@vendors
async def test_the_registry_has_it(ways: Ways) -> None:
    async with ways.case.opened() as (tts, _):
        made = create("tts", tts.name, api_key="k", base_url="http://127.0.0.1")
        assert type(made) is type(tts)
        await made.close()


async def test_azure_needs_a_region_or_an_address() -> None:
    for extra in ({}, {"region": ""}, {"region": "evil.example/"}, {"region": 3}):
        with pytest.raises(ConfigurationError, match="region"):
            AzureTts(VendorOptions(api_key="k", extra=extra))
    tts = AzureTts(VendorOptions(api_key="k", extra={"region": "westeurope"}))
    assert tts.base_url == "https://westeurope.tts.speech.microsoft.com"
    await tts.close()


async def test_google_s_audio_is_read_with_and_without_a_header() -> None:
    async with GOOGLE.case.opened() as (tts, vendor):
        assert isinstance(vendor, GoogleSpeech)
        with_header = await pieces(tts)
        vendor.header = False
        assert await pieces(tts) == with_header
        for content in (wav(b"\x00" * 80, rate_hz=16_000), wav(b"\x00" * 80, form=1), wav(b"")[:-8], b"RIFF"):
            vendor.content = content
            if content == b"RIFF":  # too short for a header: four samples, as far as anyone can tell
                assert await pieces(tts) == [b"RIFF"]
                continue
            with pytest.raises(ProviderUnavailable):
                await pieces(tts)


RIGHT: dict[str, tuple[type[SpeechSimulator], str, dict[str, str], Any]] = {
    "elevenlabs": (
        ElevenLabs,
        "/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream?output_format=ulaw_8000",
        {"xi-api-key": KEY},
        {"text": TEXT, "model_id": "eleven_flash_v2_5"},
    ),
    "openai": (
        OpenAiSpeech,
        "/v1/audio/speech",
        {"authorization": f"Bearer {KEY}"},
        {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm"},
    ),
    "google": (
        GoogleSpeech,
        "/v1/text:synthesize",
        {"x-goog-api-key": KEY},
        {
            "input": {"text": TEXT},
            "voice": {"languageCode": "en-US", "name": "en-US-Neural2-C"},
            "audioConfig": {"audioEncoding": "MULAW", "sampleRateHertz": 8000},
        },
    ),
}
"""A right request to each simulator that takes JSON: with any part of it missing it is wrong."""


@pytest.mark.parametrize("right", RIGHT.values(), ids=RIGHT.keys())
async def test_the_simulators_refuse_what_the_vendors_refuse(
    right: tuple[type[SpeechSimulator], str, dict[str, str], Any],
) -> None:
    make, path, headers, body = right
    vendor = make()
    async with vendor.serving() as url, httpx2.AsyncClient(base_url=url, headers=headers) as client:
        assert (await client.post(path, json=body)).status_code == 200
        for name in body:
            if name not in ("model_id",):  # which has a default
                lacking = {key: value for key, value in body.items() if key != name}
                assert (await client.post(path, json=lacking)).status_code == 400, name
        assert (await client.post(path, json={**body, "texture": 1})).status_code == 400
        bare = path.partition("?")[0]
        if bare != path:
            assert (await client.post(bare, json=body)).status_code == 400
    assert len(vendor.spoken) == 1


@pytest.mark.parametrize(
    ("ssml", "status"),
    [
        ('<speak version="1.0" xmlns="{ns}" xml:lang="en-US"><voice name="{voice}">Hi</voice></speak>', 200),
        (
            '<speak version="1.0" xmlns="{ns}" xml:lang="en-US"><voice name="{voice}">A & B</voice></speak>',
            400,
        ),
        ('<speak version="1.0" xmlns="{ns}" xml:lang="en-US"><voice name="{voice}">Hi</speak>', 400),
        ('<speak version="1.0" xmlns="{ns}"><voice name="{voice}">Hi</voice></speak>', 400),
        ('<speak version="1.0" xml:lang="en-US"><voice name="{voice}">Hi</voice></speak>', 400),
        ('<speak version="1.0" xmlns="{ns}" xml:lang="en-US">Hi</speak>', 400),
        ('<speak version="1.0" xmlns="{ns}" xml:lang="en-US"><voice>Hi</voice></speak>', 400),
        (
            '<speak version="1.0" xmlns="{ns}" xml:lang="en-US"><voice name="{voice}"><prosody rate="1.1">'
            '<lang xml:lang="de-DE">Hi</lang></prosody></voice></speak>',
            400,
        ),
        (
            '<speak version="1.0" xmlns="{ns}" xml:lang="en-US"><voice name="{voice}"><prosody rate="3">'
            "Hi</prosody></voice></speak>",
            400,
        ),
    ],
)
async def test_azure_s_simulator_reads_ssml(ssml: str, status: int) -> None:
    vendor = AzureSpeech()
    headers = {
        "ocp-apim-subscription-key": KEY,
        "content-type": "application/ssml+xml",
        "x-microsoft-outputformat": "raw-8khz-8bit-mono-mulaw",
    }
    body = ssml.format(ns="http://www.w3.org/2001/10/synthesis", voice="en-US-AvaMultilingualNeural")
    async with vendor.serving() as url, httpx2.AsyncClient(base_url=url, headers=headers) as client:
        path = "/cognitiveservices/v1"
        assert (await client.post(path, content=body)).status_code == status
        assert (
            await client.post(path, content=body, headers={"content-type": "text/plain"})
        ).status_code == 415
        for name in ("ocp-apim-subscription-key", "x-microsoft-outputformat", "user-agent"):
            assert (await client.post(path, content=body, headers={name: ""})).status_code in (400, 401), name
    said = [Spoken("Hi", "en-US-AvaMultilingualNeural", "raw-8khz-8bit-mono-mulaw")]
    assert vendor.spoken == (said if status == 200 else [])
