"""A vendor behind its breaker, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from engine.errors import ProviderUnavailable
from engine.providers.base import Speech, SpeechRequest, whole
from engine.providers.failover.breaker import BreakerOpen
from engine.providers.failover.guarded import GuardedVendor
from engine.providers.vendor import VendorOptions

HELLO = SpeechRequest("Hello.")


class Voice:
    """Fails, hangs or speaks, as it is told."""

    def __init__(self) -> None:
        self.options = VendorOptions(connections=30)
        self.down = False
        self.hangs = False
        self.asked = 0
        self.sampled = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        self.asked += 1
        await self.gate.wait()
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise ProviderUnavailable("down")
        yield Speech(b"hello", "voice")

    async def sample(self) -> str:
        self.sampled.set()
        if self.down:
            raise ProviderUnavailable("down")
        return "well"

    async def close(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


async def fail(guarded: GuardedVendor, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ProviderUnavailable):
            await whole(guarded.speak(HELLO))


class Sleep:
    """Lets a sleeper go when it is told, with the clock moved on."""

    def __init__(self, clock: list[float]) -> None:
        self.clock = clock
        self.asked: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        event = asyncio.Event()
        await self.asked.put((seconds, event))
        await event.wait()

    async def over(self) -> float:
        """The next sleep ends; how long it was."""
        seconds, event = await self.asked.get()
        self.clock[0] += seconds
        event.set()
        return seconds


async def test_no_caller_waits_for_a_probe_and_none_has_to_ask_for_it(clock: list[float]) -> None:
    voice, sleep = Voice(), Sleep(clock)
    guarded = GuardedVendor("tts voice", voice, sleep)
    voice.down = True
    await fail(guarded, 10)
    assert voice.asked == 3, "then its breaker is open"
    for seconds in (5, 10, 20):
        voice.sampled.clear()
        assert await sleep.over() == seconds
        await voice.sampled.wait()
    voice.down = False
    voice.sampled.clear()
    await sleep.over()
    await voice.sampled.wait()
    await asyncio.sleep(0)
    assert guarded.state == "closed"
    assert (await whole(guarded.speak(HELLO))).audio == b"hello"
    assert voice.asked == 4
    await guarded.close()


async def test_it_is_proved_before_it_is_needed(clock: list[float]) -> None:
    voice = Voice()
    guarded = GuardedVendor("tts voice", voice, Sleep(clock))
    guarded.prove()
    await voice.sampled.wait()
    await asyncio.sleep(0)
    voice.hangs = True
    many = [asyncio.create_task(whole(guarded.speak(HELLO))) for _ in range(50)]
    await asyncio.sleep(0)
    assert guarded.at_once == voice.options.connections == 30, "no more than there are connections"
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)
    assert guarded.at_once == 0
    assert guarded.state == "closed", "who leaves says nothing"
    await guarded.close()


async def test_that_it_was_too_slow_its_chain_says(clock: list[float]) -> None:
    guarded = GuardedVendor("tts voice", Voice(), Sleep(clock))
    for _ in range(3):
        assert guarded.state == "closed"
        guarded.late()
    assert guarded.state == "open"
    await guarded.close()


async def test_who_comes_when_many_do_waits_until_the_vendor_has_shown_that_it_is_well(
    clock: list[float],
) -> None:
    """A burst of callers on a vendor that nobody has asked yet: eight ask, the others a moment later."""
    voice = Voice()
    voice.gate.clear()
    guarded = GuardedVendor("tts voice", voice, Sleep(clock))
    many = [asyncio.create_task(whole(guarded.speak(HELLO))) for _ in range(25)]
    await asyncio.sleep(0)
    assert voice.asked == 8
    voice.gate.set()
    assert {speech.audio for speech in await asyncio.gather(*many)} == {b"hello"}
    assert voice.asked == 25
    assert guarded.at_once == 0


async def test_who_waits_for_a_vendor_that_fails_is_told_at_once(clock: list[float]) -> None:
    voice = Voice()
    voice.gate.clear()
    guarded = GuardedVendor("tts voice", voice, Sleep(clock))
    many = [asyncio.create_task(whole(guarded.speak(HELLO))) for _ in range(25)]
    await asyncio.sleep(0)
    voice.down = True
    voice.gate.set()
    results = await asyncio.gather(*many, return_exceptions=True)
    assert voice.asked == 8
    assert sum(isinstance(result, BreakerOpen) for result in results) == 17
    await guarded.close()


async def test_nobody_waits_long_for_a_vendor_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.providers.failover.guarded.PLACE_S", 0.01)
    voice = Voice()
    voice.gate.clear()
    guarded = GuardedVendor("tts voice", voice)
    many = [asyncio.create_task(whole(guarded.speak(HELLO))) for _ in range(9)]
    done, waiting = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.exception()) for task in done] == [BreakerOpen]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert guarded.at_once == 0


async def test_who_was_late_because_others_came_before_is_no_failure_of_the_vendor(
    clock: list[float],
) -> None:
    voice = Voice()
    voice.gate.clear()
    guarded = GuardedVendor("tts voice", voice, Sleep(clock))
    many = [asyncio.create_task(whole(guarded.speak(HELLO))) for _ in range(20)]
    await asyncio.sleep(0)
    guarded.late()
    guarded.late()
    voice.gate.set()
    await asyncio.gather(*many)
    for _ in range(5):
        guarded.late()
    assert guarded.state == "closed", "it answers"
    clock[0] += 2
    for _ in range(3):
        guarded.late()
    assert guarded.state == "open", "nobody waited lately"
    await guarded.close()
