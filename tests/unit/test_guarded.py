"""A vendor behind its breaker, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from engine.errors import ProviderUnavailable
from engine.providers.base import ChatDelta, ChatRequest, Message, Speech, SpeechRequest
from engine.providers.failover.breaker import BreakerOpen
from engine.providers.failover.guarded import PATIENCE_S, GuardedVendor

HELLO = SpeechRequest("Hello.")


class Voice:
    """Fails, hangs or speaks, as it is told."""

    def __init__(self) -> None:
        self.down = False
        self.hangs = False
        self.asked = 0
        self.sampled = asyncio.Event()

    async def synthesise(self, request: SpeechRequest) -> Speech:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise ProviderUnavailable("down")
        return Speech(b"hello", "voice")

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("Hello")
        await asyncio.Event().wait()

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
            await guarded.synthesise(HELLO)


async def test_no_caller_waits_for_a_probe(clock: list[float]) -> None:
    voice = Voice()
    guarded = GuardedVendor("tts voice", voice)
    voice.down = True
    await fail(guarded, 10)
    assert voice.asked == 3, "then its breaker is open"
    clock[0] += 5
    with pytest.raises(BreakerOpen):
        await guarded.synthesise(HELLO)
    await voice.sampled.wait()
    await asyncio.sleep(0)
    assert guarded.state == "open", "the probe has failed"
    voice.down = False
    voice.sampled.clear()
    clock[0] += 60
    with pytest.raises(BreakerOpen):
        await guarded.synthesise(HELLO)
    await voice.sampled.wait()
    await asyncio.sleep(0)
    assert guarded.state == "closed"
    assert (await guarded.synthesise(HELLO)).audio == b"hello"
    await guarded.close()


async def leave(guarded: GuardedVendor, clock: list[float], after_s: float) -> None:
    task = asyncio.create_task(guarded.synthesise(HELLO))
    await asyncio.sleep(0)
    clock[0] += after_s
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(("after_s", "state"), [(PATIENCE_S / 2, "closed"), (PATIENCE_S * 2, "open")])
async def test_who_never_answers_is_only_ever_left(clock: list[float], after_s: float, state: str) -> None:
    voice = Voice()
    guarded = GuardedVendor("tts voice", voice)
    voice.hangs = True
    for _ in range(3):
        await leave(guarded, clock, after_s)
    assert guarded.state == state
    assert guarded.at_once == 0


async def test_a_reply_that_is_left_early_is_no_failure(clock: list[float]) -> None:
    guarded = GuardedVendor("llm voice", Voice())
    for _ in range(5):
        stream = guarded.generate(ChatRequest((Message("user", "Hello?"),)))
        await anext(stream)
        clock[0] += 10
        await stream.aclose()
    assert guarded.state == "closed"
