"""Speech to text that listens while the caller speaks: a turn's stretches, and sessions across processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from actors.listening import PIECE_BYTES, Ear, Ears, RemoteSession
from engine.errors import ProviderError, ProviderRefusesUs, ProviderRejected, ProviderUnavailable, SessionLost
from engine.providers.base import Decision, SttSession, Transcript, Word
from engine.providers.failover.breaker import Breaker, BreakerOpen, BreakerRules
from engine.providers.failover.chains import Candidate, SttChain
from engine.providers.failover.guarded import GuardedVendor
from engine.providers.stt.listener import LiveListener, joined
from engine.providers.stt.session import BufferedSession
from engine.providers.vendor import VendorOptions


class Vendor(list["Heard"]):
    """A live provider: its sessions, in the order in which they were opened."""

    live = True

    def __init__(self, *answers: str | ProviderError, longest: int = 1_000) -> None:
        super().__init__()
        self._answers = iter(answers)
        self._longest = longest
        self.options = VendorOptions()

    async def sample(self) -> str:
        raise ProviderUnavailable("still down")

    async def close(self) -> None:
        """As every vendor."""

    def session(self, *, language: str = "en") -> Heard:
        self.append(Heard(next(self._answers), language, self._longest))
        return self[-1]


class Heard:
    """A session that answers once `answered` is set."""

    def __init__(self, answer: str | ProviderError, language: str, longest: int) -> None:
        self.audio = b""
        self.closed = False
        self.answered = asyncio.Event()
        self.answered.set()
        self._answer = answer
        self._language = language
        self._longest = longest

    def push(self, audio: bytes) -> None:
        if len(self.audio) + len(audio) > self._longest:
            raise ProviderRejected("too long")
        self.audio += audio

    async def finish(self) -> Transcript:
        await self.answered.wait()
        if isinstance(self._answer, ProviderError):
            raise self._answer
        return Transcript(self._answer, self._language, audio_ms=len(self.audio))

    async def close(self) -> None:
        self.closed = True


async def test_a_turn_is_its_stretches() -> None:
    ears = Vendor("How much", "does a cleaning cost?")
    listener = LiveListener(ears, "de")
    listener.push(b"12")
    listener.push(b"34")
    assert ears[0].audio == b"1234", "heard before the pause"
    assert (await listener.transcript()).text == "How much"
    assert (await listener.transcript()).text == "How much", "nothing came since"
    listener.push(b"567")
    whole = await listener.transcript()
    assert (whole.text, whole.language, whole.audio_ms) == ("How much does a cleaning cost?", "de", 7)
    assert [one.closed for one in ears] == [True, True]
    await listener.close()


async def test_nothing_was_said() -> None:
    listener = LiveListener(Vendor(), "en")
    assert (await listener.transcript()).text == ""
    await listener.close()


async def test_a_caller_who_goes_on_loses_no_word_of_before() -> None:
    """Going on cancels the question for the transcript; what was asked of the vendor is still answered."""
    ears = Vendor("Do you open", "on Sundays?")
    listener = LiveListener(ears, "en")
    listener.push(b"1")
    ears[0].answered.clear()
    asked = asyncio.create_task(listener.transcript())
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    listener.push(b"2")
    ears[0].answered.set()
    assert (await listener.transcript()).text == "Do you open on Sundays?"
    await listener.close()


async def test_a_stretch_that_failed_ends_the_listening() -> None:
    ears = Vendor(ProviderUnavailable("it broke off"))
    listener = LiveListener(ears, "en")
    listener.push(b"1")
    with pytest.raises(ProviderUnavailable, match="it broke off"):
        await listener.transcript()
    assert listener.broken
    listener.push(b"2")
    await listener.close()
    assert (len(ears), ears[0].closed) == (1, True)


async def test_a_caller_who_never_pauses_gets_another_session() -> None:
    ears = Vendor("one", "two", longest=4)
    listener = LiveListener(ears, "en")
    listener.push(b"123")
    listener.push(b"45")
    assert (await listener.transcript()).text == "one two"
    assert [one.audio for one in ears] == [b"123", b"45"]
    await listener.close()


async def test_closing_cancels_what_runs() -> None:
    ears = Vendor("never", "neither")
    listener = LiveListener(ears, "en")
    listener.push(b"1")
    ears[0].answered.clear()
    asked = asyncio.create_task(listener.transcript())
    await asyncio.sleep(0)
    listener.push(b"2")
    await listener.close()
    assert [one.closed for one in ears] == [True, True]
    assert (await asked).text == "", "nobody needs it any more"


def test_joined_words_keep_their_times() -> None:
    first = Transcript("a", audio_ms=500, confidence=0.9, words=(Word("a", 0, 100),))
    second = Transcript(" ", audio_ms=200)
    route = (Decision("vendor", "failed"), Decision("local", "answered"))
    third = Transcript("b", audio_ms=300, confidence=0.5, words=(Word("b", 50, 150),), route=route)
    whole = joined([first, second, third])
    assert (whole.text, whole.audio_ms, whole.confidence) == ("a b", 1_000, 0.5)
    assert joined([third, first]).route == route, "of any stretch"
    assert [(word.start_ms, word.end_ms) for word in whole.words] == [(0, 100), (750, 850)]


# A chain whose first provider listens live


class Whole:
    live = False

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def session(self, *, language: str = "en") -> BufferedSession:
        async def transcribe(audio: bytes, language: str) -> Transcript:
            self.heard.append(audio)
            return Transcript("whole", language)

        return BufferedSession(transcribe, language=language)


def chain(first: Vendor, second: Whole) -> SttChain:
    gate = Breaker(BreakerRules(failures=9))
    return SttChain([Candidate("live", first, gate), Candidate("whole", second, Breaker())])


async def test_the_first_of_a_chain_hears_what_is_pushed() -> None:
    ears, behind = Vendor("live"), Whole()
    session = chain(ears, behind).session(language="fr")
    session.push(b"12")
    assert ears[0].audio == b"12"
    transcript = await session.finish()
    await session.close()
    assert (transcript.text, transcript.language, transcript.route) == ("live", "fr", ())
    assert (behind.heard, ears[0].closed, len(ears)) == ([], True, 1)


async def test_those_behind_a_live_one_get_the_whole_audio() -> None:
    ears, behind = Vendor(ProviderUnavailable("it broke off")), Whole()
    session = chain(ears, behind).session()
    session.push(b"12")
    session.push(b"34")
    transcript = await session.finish()
    await session.close()
    assert transcript.text == "whole"
    assert [one.what for one in transcript.route] == ["failed", "answered"]
    assert behind.heard == [b"1234"]


# Across processes


class Method:
    """As a method of a Ray actor's handle: what it raises is in what comes back."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def remote(self, *arguments: Any) -> Awaitable[Any]:
        return asyncio.ensure_future(self._run(*arguments))

    async def _run(self, *arguments: Any) -> Any:
        result = self._call(*arguments)
        return await result if asyncio.iscoroutine(result) else result


class Actor:
    def __init__(self, ears: Ears) -> None:
        self.push, self.finish, self.hang_up = Method(ears.push), Method(ears.finish), Method(ears.hang_up)


def remote(actor: Actor) -> RemoteSession:
    async def handle() -> Actor:
        return actor

    async def ask(reference: Awaitable[Transcript]) -> Transcript:
        return await reference

    async def whole(audio: bytes, language: str) -> Transcript:
        return Transcript(f"all {len(audio)} bytes", language)

    return RemoteSession(handle, ask, whole, sealed="", language="en", provider="vendor")


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_audio_crosses_while_the_caller_speaks() -> None:
    vendor = Vendor("hello", longest=10_000)
    ears = Ears(lambda ear: vendor.session(language=ear.language), "vendor")
    session = remote(Actor(ears))
    session.push(b"a" * (PIECE_BYTES + 1))
    await settled()
    assert vendor[0].audio == b"a" * PIECE_BYTES
    session.push(b"b")
    assert (await session.finish()).text == "hello"
    await session.close()
    assert vendor[0].audio == b"a" * (PIECE_BYTES + 1) + b"b"
    assert (vendor[0].closed, len(ears)) == (True, 0)


async def test_pieces_that_overtake_each_other_are_put_in_order() -> None:
    vendor = Vendor("hello", longest=10_000)
    ears, ear = Ears(lambda ear: vendor.session(), "vendor"), Ear("1", "", "en")
    finishing = asyncio.create_task(ears.finish(ear, 6))
    await settled()
    ears.push(ear, 4, b"56")
    ears.push(ear, 2, b"34")
    await settled()
    assert (vendor[0].audio, finishing.done()) == (b"", False)
    ears.push(ear, 0, b"12")
    assert (await finishing).text == "hello"
    assert vendor[0].audio == b"123456"


async def test_a_session_whose_actor_was_replaced_says_so() -> None:
    vendor = Vendor("hello")
    ears = Ears(lambda ear: vendor.session(), "vendor")
    with pytest.raises(SessionLost, match="did not arrive"):
        await ears.finish(Ear("1", "", "en"), 6)
    assert (vendor[0].closed, len(ears)) == (True, 0)


async def test_what_the_actor_has_lost_is_transcribed_whole() -> None:
    vendor = Vendor("first", "second", longest=10_000)
    ears = Ears(lambda ear: vendor.session(), "vendor")
    session = remote(Actor(ears))
    session.push(b"a" * PIECE_BYTES)
    await settled()
    ears._open.clear()  # as in an actor that was started again
    session.push(b"b" * PIECE_BYTES)
    assert (await session.finish()).text == f"all {2 * PIECE_BYTES} bytes"
    await session.close()


async def test_a_piece_that_comes_after_the_end_opens_nothing() -> None:
    vendor = Vendor("hello")
    ears, ear = Ears(lambda ear: vendor.session(), "vendor"), Ear("1", "", "en")
    await ears.hang_up(ear)
    ears.push(ear, 0, b"1")
    assert (len(vendor), len(ears)) == (0, 0)


async def test_leaving_hangs_up() -> None:
    vendor = Vendor("hello", longest=10_000)
    ears = Ears(lambda ear: vendor.session(), "vendor")
    session = remote(Actor(ears))
    session.push(b"a" * PIECE_BYTES)
    await settled()
    vendor[0].answered.clear()
    finishing = asyncio.create_task(session.finish())
    await settled()
    finishing.cancel()
    await asyncio.wait([finishing])
    await session.close()
    await settled()
    assert (vendor[0].closed, len(ears)) == (True, 0)


async def test_a_session_that_nobody_finishes_is_dropped() -> None:
    vendor = Vendor("hello")
    ears = Ears(lambda ear: vendor.session(), "vendor", stale_s=0.0)
    ears.push(Ear("1", "", "en"), 0, b"1")
    await settled()
    assert (vendor[0].closed, len(ears)) == (True, 0)


async def test_a_vendor_that_is_not_asked_is_told_at_the_end() -> None:
    def refuse(ear: Ear) -> Heard:
        raise ProviderUnavailable("its breaker is open")

    ears = Ears(refuse, "vendor")
    session = remote(Actor(ears))
    session.push(b"1")
    with pytest.raises(ProviderUnavailable, match="breaker"):
        await session.finish()
    await session.close()


# Behind a breaker


def guarded(vendor: Vendor) -> tuple[GuardedVendor, SttSession]:
    one = GuardedVendor("vendor", vendor)
    session = one.listen("en")
    session.push(b"1")
    return one, session


async def test_a_live_session_counts_from_its_end() -> None:
    one, session = guarded(Vendor("hello"))
    assert one.requests == 0
    assert (await session.finish()).text == "hello"
    assert (one.requests, one.at_once, one.state) == (1, 0, "closed")


async def test_live_sessions_that_fail_open_the_breaker() -> None:
    vendor = Vendor(*[ProviderRefusesUs("wrong key")] * 2)
    one, session = guarded(vendor)
    with pytest.raises(ProviderRefusesUs):
        await session.finish()
    assert one.state == "open"
    with pytest.raises(BreakerOpen):
        one.listen("en")
    await one.close()


async def test_a_live_session_that_was_left_says_nothing_of_the_vendor() -> None:
    """Closing it makes the vendor's own session refuse to be finished: that is no proof that all is well."""
    one, session = guarded(Vendor(ProviderRejected("closed while it was being finished")))
    one.late()
    one.late()
    await session.close()
    with pytest.raises(asyncio.CancelledError):
        await session.finish()
    one.late()
    assert one.state == "open", "three in a row"
    await one.close()
