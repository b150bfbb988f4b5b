"""The phrase cache: bounded, single-flight, whole files or none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.errors import ProviderUnavailable
from engine.providers.tts.cache import PhraseCache, PhraseKey


def key(text: str, voice: str = "joe", speed: float = 1.0) -> PhraseKey:
    return PhraseKey(voice, speed, "en", text)


class Maker:
    """Makes audio when told to, and counts."""

    def __init__(self, audio: bytes = b"audio") -> None:
        self.audio = audio
        self.started = 0
        self.cancelled = 0
        self.ready = asyncio.Event()
        self.ready.set()
        self.running = asyncio.Event()

    async def __call__(self) -> bytes:
        self.started += 1
        self.running.set()
        try:
            await self.ready.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.audio


async def test_a_kept_phrase_is_made_once() -> None:
    cache, make = PhraseCache(100), Maker()
    assert await cache.get(key("hello"), make) == (b"audio", False)
    assert await cache.get(key("hello"), make) == (b"audio", True)
    assert make.started == 1


@pytest.mark.parametrize("other", [key("hello", voice="ann"), key("hello", speed=1.1), key("Hello")])
async def test_another_voice_speed_or_text_is_another_phrase(other: PhraseKey) -> None:
    cache, make = PhraseCache(100), Maker()
    await cache.get(key("hello"), make)
    assert await cache.get(other, make) == (b"audio", False)
    assert other.file_name() != key("hello").file_name()


async def test_parts_of_a_key_do_not_run_together() -> None:
    assert PhraseKey("a", 1.0, "b\0c", "d").file_name() != PhraseKey("a", 1.0, "b", "c\0d").file_name()


async def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    cache, make = PhraseCache(12), Maker(b"12345")
    await cache.get(key("a"), make)
    await cache.get(key("b"), make)
    await cache.get(key("a"), make)
    await cache.get(key("c"), make)
    assert cache.bytes_in_memory == 10
    assert (await cache.get(key("a"), make))[1]
    assert not (await cache.get(key("b"), make))[1]


async def test_a_phrase_larger_than_the_cache_is_given_but_not_kept() -> None:
    cache, make = PhraseCache(3), Maker(b"12345")
    assert await cache.get(key("a"), make) == (b"12345", False)
    assert (len(cache), cache.bytes_in_memory) == (0, 0)


async def test_two_calls_at_once_share_one_synthesis() -> None:
    cache, make = PhraseCache(100), Maker()
    make.ready.clear()
    calls = [asyncio.create_task(cache.get(key("hello"), make)) for _ in range(5)]
    await make.running.wait()
    make.ready.set()
    assert await asyncio.gather(*calls) == [(b"audio", False)] * 5
    assert make.started == 1


async def test_a_cancelled_caller_does_not_take_the_others_along() -> None:
    cache, make = PhraseCache(100), Maker()
    make.ready.clear()
    first = asyncio.create_task(cache.get(key("hello"), make))
    second = asyncio.create_task(cache.get(key("hello"), make))
    await make.running.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    make.ready.set()
    assert (await second)[0] == b"audio"
    assert make.cancelled == 0


async def test_when_nobody_waits_the_synthesis_is_cancelled_and_can_begin_anew() -> None:
    cache, make = PhraseCache(100), Maker()
    make.ready.clear()
    only = asyncio.create_task(cache.get(key("hello"), make))
    await make.running.wait()
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    make.ready.set()
    assert await cache.get(key("hello"), make) == (b"audio", False)
    assert (make.started, make.cancelled) == (2, 1)


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    cache, make = PhraseCache(100), Maker()
    asked = 0

    async def fail() -> bytes:
        nonlocal asked
        asked += 1
        raise ProviderUnavailable("down")

    results = await asyncio.gather(
        cache.get(key("a"), fail), cache.get(key("a"), fail), return_exceptions=True
    )
    assert all(isinstance(result, ProviderUnavailable) for result in results)
    assert asked == 1
    assert await cache.get(key("a"), make) == (b"audio", False)


async def test_close_cancels_what_is_being_made() -> None:
    cache, make = PhraseCache(100), Maker()
    make.ready.clear()
    call = asyncio.create_task(cache.get(key("hello"), make))
    await make.running.wait()
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert make.cancelled == 1


async def test_phrases_outlive_a_restart(tmp_path: Path) -> None:
    make = Maker()
    phrase = key("../../etc/passwd\0")
    first = PhraseCache(100, tmp_path / "phrases")
    await first.get(phrase, make)
    await first.close()
    assert await PhraseCache(100, tmp_path / "phrases").get(phrase, make) == (
        b"audio",
        True,
    )
    assert os.listdir(tmp_path / "phrases") == [phrase.file_name()]


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 37])
async def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes) -> None:
    make = Maker()
    for _ in range(2):
        cache = PhraseCache(100, tmp_path)
        assert await cache.get(key("a"), make) == (b"audio", False)
        await cache.close()
        if make.started == 1:
            (tmp_path / key("a").file_name()).write_bytes(damage)
    assert await PhraseCache(100, tmp_path).get(key("a"), make) == (b"audio", True)


async def test_the_folder_is_bounded_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    make = Maker(b"x" * 68)
    cache = PhraseCache(0, tmp_path, max_disk_bytes=250)
    for second, text in enumerate("ab"):
        await cache.get(key(text), make)
        await cache.written()
        os.utime(tmp_path / key(text).file_name(), (second, second))
    await cache.get(key("a"), make)
    await cache.get(key("c"), make)
    await cache.close()
    assert set(os.listdir(tmp_path)) == {key(text).file_name() for text in "ac"}


async def test_a_folder_that_cannot_be_written_costs_no_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    make = Maker()
    assert await PhraseCache(100, tmp_path / "file" / "phrases").get(key("a"), make) == (b"audio", False)
