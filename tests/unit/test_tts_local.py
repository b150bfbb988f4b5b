"""Queue, cancellation and cache around a voice; the voice is a fake whose steps end when told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from engine.errors import ProviderRejected, ProviderUnavailable
from engine.providers.base import Speech, SpeechRequest
from engine.providers.tts.cache import PhraseCache
from engine.providers.tts.local import MARGIN_S, LocalTextToSpeech, Part

SILENT = "-"


class GatedVoice:
    """Speaks its text as bytes, word by word, once the gate is open. `steps` are the words it began."""

    name = "gated"
    fingerprint = "1"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.steps: list[str] = []

    def stream(self, text: str, speed: float = 1.0) -> Iterator[Part]:
        words = text.split()
        for nth, word in enumerate(words, 1):
            self.steps.append(word)
            self.begun.release()
            if not self.gate.wait(10):
                raise ProviderUnavailable("the gate stayed shut")
            if word == "fail":
                raise ProviderRejected("no")
            yield Part(b"" if word == SILENT else word.encode(), last=nth == len(words))
        if not words:
            yield Part(b"", last=True)


@pytest.fixture
def voice() -> GatedVoice:
    return GatedVoice()


@pytest.fixture
async def speech(voice: GatedVoice) -> AsyncIterator[LocalTextToSpeech]:
    local = LocalTextToSpeech({"gated": voice}, PhraseCache(1000), workers=1, max_waiting=2, caution=0)
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
    assert voice.steps == ["one", "three"]


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
    assert voice.steps == ["one"]
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


async def test_parts_come_as_they_are_made_and_the_last_says_so(
    speech: LocalTextToSpeech, voice: GatedVoice
) -> None:
    voice.gate.set()
    parts = []
    async for part in speech.speak(SpeechRequest("one two three")):
        parts.append((part.audio, part.last))
        assert len(voice.steps) == len(parts), "no step is made before it is asked for"
    assert parts == [(b"one", False), (b"two", False), (b"three", True)]
    assert (await speech.synthesise(SpeechRequest("one two three"))).audio == b"onetwothree"


async def test_nothing_to_pronounce_is_one_empty_part(speech: LocalTextToSpeech, voice: GatedVoice) -> None:
    assert [(part.audio, part.last) async for part in speech.speak(SpeechRequest(""))] == [(b"", True)]
    assert await speech.synthesise(SpeechRequest("")) == Speech(b"", "gated")


async def test_a_fixed_phrase_is_one_part(speech: LocalTextToSpeech, voice: GatedVoice) -> None:
    voice.gate.set()
    for cached in (False, True):
        parts = [part async for part in speech.speak(SpeechRequest("one two", cache=True))]
        assert parts == [Speech(b"onetwo", "gated", cached)]


async def test_a_first_part_goes_before_a_further_one_that_is_due_later(voice: GatedVoice) -> None:
    long = f"{'a' * 8000} rest end"
    local = LocalTextToSpeech({"gated": voice}, PhraseCache(1000), workers=1, caution=0)
    voice.gate.set()
    talking = local.speak(SpeechRequest(long))
    await anext(talking)
    voice.gate.clear()
    busy = asyncio.create_task(local.synthesise(SpeechRequest("busy")))
    await begun(voice, 2)
    further = asyncio.create_task(anext(talking))
    await asyncio.sleep(0)
    first = asyncio.create_task(local.synthesise(SpeechRequest("first")))
    await asyncio.sleep(0)
    assert (local.info().running, local.info().waiting) == (1, 2)
    voice.gate.set()
    await asyncio.gather(busy, further, first)
    assert voice.steps[1:] == ["busy", "first", "rest"]
    await talking.aclose()
    await local.close()


async def test_a_further_part_that_is_overdue_goes_before_a_later_first_one(voice: GatedVoice) -> None:
    local = LocalTextToSpeech({"gated": voice}, PhraseCache(1000), workers=1, caution=0)
    voice.gate.set()
    talking = local.speak(SpeechRequest(f"{'a' * int(8000 * MARGIN_S)} rest end"))
    await anext(talking)
    await asyncio.sleep(0.01)
    voice.gate.clear()
    busy = asyncio.create_task(local.synthesise(SpeechRequest("busy")))
    await begun(voice, 2)
    first = asyncio.create_task(local.synthesise(SpeechRequest("first")))
    await asyncio.sleep(0)
    further = asyncio.create_task(anext(talking))
    await asyncio.sleep(0)
    voice.gate.set()
    await asyncio.gather(busy, further, first)
    assert voice.steps[1:] == ["busy", "rest", "first"]
    await talking.aclose()
    await local.close()


async def test_a_closed_piece_takes_no_further_step(speech: LocalTextToSpeech, voice: GatedVoice) -> None:
    voice.gate.set()
    talking = speech.speak(SpeechRequest("one two three"))
    await anext(talking)
    await talking.aclose()
    assert (await speech.synthesise(SpeechRequest("next"))).audio == b"next"
    assert voice.steps == ["one", "next"]
    assert (speech.info().running, speech.info().waiting) == (0, 0)


async def test_a_piece_cancelled_between_parts_frees_its_place(
    speech: LocalTextToSpeech, voice: GatedVoice
) -> None:
    voice.gate.set()
    talking = speech.speak(SpeechRequest("one two three"))
    await anext(talking)
    voice.gate.clear()
    busy = asyncio.create_task(speech.synthesise(SpeechRequest("busy")))
    await begun(voice, 2)
    further = asyncio.create_task(anext(talking))
    await asyncio.sleep(0)
    assert speech.info().waiting == 1
    further.cancel()
    await asyncio.wait([further])
    assert speech.info().waiting == 0
    voice.gate.set()
    await busy
    assert voice.steps == ["one", "busy"]


async def test_a_worker_given_at_the_moment_of_leaving_is_passed_on(
    speech: LocalTextToSpeech, voice: GatedVoice
) -> None:
    running = asyncio.create_task(speech.synthesise(SpeechRequest("one")))
    await begun(voice, 1)
    leaving = asyncio.create_task(speech.synthesise(SpeechRequest("two")))
    await asyncio.sleep(0)
    running.add_done_callback(lambda _: leaving.cancel())
    staying = asyncio.create_task(speech.synthesise(SpeechRequest("three")))
    voice.gate.set()
    await asyncio.wait([running, leaving, staying])
    assert staying.result().audio == b"three"
    assert (speech.info().running, speech.info().waiting) == (0, 0)


async def test_an_error_in_a_further_part_frees_the_worker(
    speech: LocalTextToSpeech, voice: GatedVoice
) -> None:
    voice.gate.set()
    talking = speech.speak(SpeechRequest("one fail"))
    assert (await anext(talking)).audio == b"one"
    with pytest.raises(ProviderRejected):
        await anext(talking)
    assert (await speech.synthesise(SpeechRequest("next"))).audio == b"next"


async def test_a_beginning_that_would_be_played_before_the_next_part_is_there_waits_for_it(
    voice: GatedVoice,
) -> None:
    """On a busy machine; here a byte lasts an eighth of a millisecond, however little it took."""
    busy = LocalTextToSpeech({"gated": voice}, PhraseCache(1000), workers=1, caution=1e6)
    voice.gate.set()
    parts = [part async for part in busy.speak(SpeechRequest("a b c"))]
    assert [(part.audio, part.last) for part in parts] == [(b"abc", True)]
    await busy.close()
    local = LocalTextToSpeech({"gated": voice}, PhraseCache(1000), workers=1)
    long = "x" * 80_000  # ten seconds
    parts = [part async for part in local.speak(SpeechRequest(f"{long} b c"))]
    assert [(len(part.audio), part.last) for part in parts] == [(80_000, False), (1, False), (1, True)]
    await local.close()


async def test_a_step_without_audio_is_no_reason_to_hold_a_beginning_back(voice: GatedVoice) -> None:
    local = LocalTextToSpeech({"gated": voice}, PhraseCache(1000), workers=1, caution=1)
    word = "x" * 800  # 100 ms

    async def speak() -> list[tuple[int, bool]]:
        return [(len(part.audio), part.last) async for part in local.speak(SpeechRequest(f"- {word} - b"))]

    talking = asyncio.create_task(speak())
    await begun(voice, 1)
    await asyncio.sleep(0.15)
    voice.gate.set()
    assert await talking == [(800, False), (1, True)]
    await local.close()
