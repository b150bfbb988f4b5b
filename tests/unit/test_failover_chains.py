"""Chains of providers: what the caller of a chain gets, whatever happens to its providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProviderError, ProviderRejected, ProviderUnavailable
from engine.providers.base import (
    ChatDelta,
    ChatRequest,
    Message,
    Purpose,
    Speech,
    SpeechRequest,
    TextToSpeech,
    Transcript,
    whole,
)
from engine.providers.failover.breaker import Breaker, BreakerRules
from engine.providers.failover.chains import Candidate, LlmChain, Rules, SttChain, TtsChain
from engine.providers.failover.race import StageRules
from engine.providers.failover.words import WholeWords
from engine.providers.stt.session import BufferedSession

QUICK = Rules(
    transcribe=StageRules(0.05),
    first_token=StageRules(0.1, hedge_s=0.05),
    next_token_s=0.05,
    synthesise=StageRules(0.05),
)
ASKED = ChatRequest((Message("user", "When do you open?"),))
REPLY = "We open at 8.30 in the morning, every day but Sunday."


class Model:
    """Says `reply` in pieces; `fails_at`: after so many characters, by raising, or by silence if `hangs`."""

    def __init__(self, reply: str = REPLY, *, fails_at: int | None = None, hangs: bool = False) -> None:
        self.reply = reply
        self.fails_at = fails_at
        self.hangs = hangs
        self.asked: list[ChatRequest] = []
        self.hanging = asyncio.Event()
        self.open = 0

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        self.asked.append(request)
        self.open += 1
        try:
            begun = request.continue_from.rstrip()
            assert self.reply.startswith(begun)
            rest = self.reply[len(begun) :]
            for at, char in enumerate(rest):
                if at == self.fails_at:
                    await self._fail()
                yield ChatDelta(char)
            if self.fails_at is not None and self.fails_at >= len(rest):
                await self._fail()
            yield ChatDelta("", "stop", served_by="model")
        finally:
            self.open -= 1

    async def _fail(self) -> None:
        if self.hangs:
            self.hanging.set()
            await asyncio.Event().wait()
        raise ProviderUnavailable("died")


def llm(models: Sequence[Model]) -> LlmChain:
    return LlmChain([Candidate(f"m{n}", model, Breaker()) for n, model in enumerate(models)], QUICK)


async def said(chain: LlmChain, request: ChatRequest = ASKED) -> tuple[str, ChatDelta]:
    deltas = [delta async for delta in chain.generate(request)]
    assert all(delta.finish_reason is None for delta in deltas[:-1])
    return "".join(delta.text for delta in deltas), deltas[-1]


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("fails_at", range(len(REPLY) + 1))
async def test_a_reply_that_breaks_off_is_gone_on_with(fails_at: int, hangs: bool) -> None:
    """Wherever it breaks off: no word twice, none left out."""
    broken, whole = Model(fails_at=fails_at, hangs=hangs), Model()
    text, last = await said(llm([broken, whole]))
    assert text == REPLY
    assert last.finish_reason == "stop"
    assert [one.what for one in last.route if one.provider == "m0"][-1] in ("broke off", "failed", "too slow")
    assert broken.open == whole.open == 0


@pytest.mark.parametrize("first", ["local", "vendor"])
async def test_a_prompt_is_read_ahead_by_the_local_model_alone(first: str) -> None:
    model, second = Model(), Model()
    chain = LlmChain([Candidate(first, model, Breaker()), Candidate("other", second, Breaker())], QUICK)
    _, last = await said(chain, replace(ASKED, purpose=Purpose.BEGINNING))
    assert last.finish_reason == "stop"
    assert (len(model.asked), len(second.asked)) == (first == "local", 0)


async def test_a_reply_that_was_begun_before_is_gone_on_with() -> None:
    request = replace(ASKED, continue_from="We open")
    text, _ = await said(llm([Model(fails_at=4), Model(fails_at=3), Model()]), request)
    assert "We open" + text == REPLY


async def test_when_the_whole_chain_breaks_off_the_caller_is_told() -> None:
    heard = ""
    try:
        async for delta in llm([Model(fails_at=9), Model(fails_at=9)]).generate(ASKED):
            heard += delta.text
    except ProviderUnavailable:
        pass
    else:
        pytest.fail("nobody was told")
    assert REPLY.startswith(heard)
    assert heard


async def test_a_slow_first_token_is_hedged_and_the_slow_one_is_hung_up_on() -> None:
    slow, quick = Model(fails_at=0, hangs=True), Model()
    text, last = await said(llm([slow, quick]))
    assert text == REPLY
    assert [one.what for one in last.route] == ["hedged", "too slow", "answered"]
    assert slow.open == 0


async def test_leaving_a_reply_early_leaves_nothing_open() -> None:
    first, second = Model(fails_at=0, hangs=True), Model()
    stream = llm([first, second]).generate(ASKED)
    await anext(stream)
    await stream.aclose()
    assert first.open == second.open == 0
    hanging = [Model(fails_at=0, hangs=True), Model(fails_at=0, hangs=True)]
    task = asyncio.create_task(said(llm(hanging)))
    await hanging[1].hanging.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [model.open for model in hanging] == [0, 0]


@given(st.lists(st.text("ab '-.,8 \n", max_size=5)))
def test_whole_words_lose_nothing(pieces: list[str]) -> None:
    words, through = WholeWords(), ""
    for piece in pieces:
        through += words.push(piece)

        assert "".join(pieces).startswith(through)
    assert through + words.end() == "".join(pieces)


class Listener:
    live = False

    def __init__(self, text: str | ProviderError | None) -> None:
        self.text = text
        self.heard = 0

    def session(self, *, language: str = "en") -> BufferedSession:
        return BufferedSession(self._transcribe, language=language)

    async def _transcribe(self, audio: bytes, language: str) -> Transcript:
        self.heard += 1
        if self.text is None:
            await asyncio.Event().wait()
        if isinstance(self.text, ProviderError):
            raise self.text
        return Transcript(f"{self.text} {language} {len(audio)}")


async def test_a_transcript_comes_from_the_next_one() -> None:
    down = Listener(ProviderUnavailable("down"))
    chain = SttChain(
        [
            Candidate("down", down, Breaker(BreakerRules(failures=1))),
            Candidate("hole", Listener(None), Breaker()),
            Candidate("well", Listener("hello"), Breaker()),
        ],
        QUICK,
    )
    for turn in range(2):
        session = chain.session(language="de")
        session.push(b"1234")
        transcript = await session.finish()
        await session.close()
        assert transcript.text == "hello de 4"
        wanted = "failed" if turn == 0 else "not asked"
        assert [(one.provider, one.what) for one in transcript.route] == [
            ("down", wanted),
            ("hole", "too slow"),
            ("well", "answered"),
        ]
    assert down.heard == 1, "its breaker is open"


class Voice:
    def __init__(self, error: ProviderError | None = None) -> None:
        self.error = error

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        if self.error is not None:
            raise self.error
        yield Speech(request.text.encode(), "voice")


async def test_a_piece_is_spoken_by_the_next_one() -> None:
    bad: Candidate[TextToSpeech] = Candidate("bad", Voice(ProviderRejected("too long")), Breaker())
    chain = TtsChain([bad, Candidate("good", Voice(), Breaker())], QUICK)
    speech = await whole(chain.speak(SpeechRequest("Hello.")))
    assert speech.audio == b"Hello."
    assert [one.what for one in speech.route] == ["failed", "answered"]
    with pytest.raises(ProviderRejected):
        await whole(TtsChain([bad], QUICK).speak(SpeechRequest("Hello.")))
