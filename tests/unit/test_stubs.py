"""The stubs that stand for the models when the engine alone is measured."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from engine.dialog.courtesies import classify
from engine.dialog.endpoint import unfinished
from engine.errors import ConfigurationError
from engine.providers.base import ChatRequest, Message, SpeechRequest, whole
from engine.providers.stub import (
    ANSWER,
    QUESTION,
    StubDelays,
    StubKnowledge,
    StubLanguageModel,
    StubStt,
    StubTts,
    StubTurnModel,
    read_delays,
    tone,
    words_of_first_clause,
)
from engine.simulator.tape import FRAME_BYTES, loud
from engine.speech.clauses import ClauseCutter

AT_ONCE = StubDelays(stt_ms=0, turn_ms=0, search_ms=0, first_token_ms=0, token_ms=0, tts_ms=0)
NEVER = StubDelays(
    stt_ms=1e6, turn_ms=1e6, search_ms=1e6, first_token_ms=1e6, token_ms=1e6, tts_ms=1e6
)  # fmt: skip


def request(**fields: object) -> ChatRequest:
    return ChatRequest((Message("user", "When?"),), **fields)  # type: ignore[arg-type]


async def said(delays: StubDelays, asked: ChatRequest) -> tuple[str, str | None]:
    deltas = [delta async for delta in StubLanguageModel(delays).generate(asked)]
    return "".join(delta.text for delta in deltas), deltas[-1].finish_reason


def test_the_question_is_one_that_is_looked_up_at_once() -> None:
    assert classify(QUESTION) is None
    assert not unfinished(QUESTION)


async def test_any_audio_is_the_question_and_none_is_nothing() -> None:
    for audio, text in ((b"\x00" * 800, QUESTION), (b"", "")):
        session = StubStt(AT_ONCE).session()
        session.push(audio)
        assert (await session.finish()).text == text
        await session.close()


async def test_a_turn_is_over_and_a_fact_is_found() -> None:
    assert await StubTurnModel(AT_ONCE).score(b"\x00") == 1.0
    assert await StubTurnModel(AT_ONCE).words(QUESTION, "en") == 1.0
    (passage,) = await StubKnowledge(AT_ONCE).search("acme", QUESTION, 3, "en")
    assert passage.score == 1.0
    assert not await StubKnowledge(AT_ONCE).search("acme", QUESTION, 0, "en")


async def test_the_answer_comes_word_by_word() -> None:
    assert await said(AT_ONCE, request()) == (ANSWER, "stop")
    assert await said(AT_ONCE, request(max_tokens=1)) == (ANSWER.split()[0], "length")
    begun = ANSWER[: ANSWER.index(" from")]
    assert await said(AT_ONCE, request(continue_from=begun)) == (ANSWER.removeprefix(begun), "stop")


async def test_speech_is_loud_throughout_and_longer_for_more_words() -> None:
    short, long = [
        (await whole(StubTts(AT_ONCE).speak(SpeechRequest(text)))).audio for text in ("Hi.", ANSWER)
    ]
    assert len(short) < len(long)
    frames = [long[at : at + FRAME_BYTES] for at in range(0, len(long) - FRAME_BYTES, FRAME_BYTES)]
    assert frames
    assert all(loud(frame) for frame in frames)
    assert [len(tone(samples)) for samples in (0, 1, 8_000, 20_001)] == [0, 1, 8_000, 20_001]


def test_the_first_clause_is_known_where_the_cutter_finds_it() -> None:
    count, cutter = words_of_first_clause(), ClauseCutter()
    words = ANSWER.split(" ")
    assert 1 < count < len(words)
    assert not cutter.push(" ".join(words[: count - 1]))
    assert cutter.push(" " + words[count - 1])
    assert StubDelays(token_ms=7).first_clause_ms == (count - 1) * 7


async def test_a_stub_that_is_cancelled_leaves_nothing_running() -> None:
    async def generate() -> None:
        async for _ in StubLanguageModel(NEVER).generate(request()):
            pass

    session = StubStt(NEVER).session()
    session.push(b"\x00")
    turn, knowledge = StubTurnModel(NEVER), StubKnowledge(NEVER)
    work = (
        session.finish(),
        turn.score(b"\x00"),
        turn.words(QUESTION, "en"),
        knowledge.search("acme", QUESTION, 1, "en"),
        generate(),
        whole(StubTts(NEVER).speak(SpeechRequest("Hello."))),
    )
    before = asyncio.all_tasks()
    tasks = [asyncio.ensure_future(one) for one in work]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await session.close()
    assert asyncio.all_tasks() == before


async def test_a_reply_that_is_dropped_in_its_middle_ends() -> None:
    stream = StubLanguageModel(AT_ONCE).generate(request())
    assert (await anext(stream)).text == ANSWER.split()[0]
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_delays_are_numbers_that_are_not_negative() -> None:
    assert StubDelays.model_validate_json(StubDelays().model_dump_json()) == StubDelays()
    for wrong in ({"stt_ms": -1}, {"stt": 60}):
        with pytest.raises(ValidationError):
            StubDelays.model_validate(wrong)


def test_stubs_are_refused_where_there_may_be_callers() -> None:
    assert read_delays("{}", "development") == StubDelays()
    with pytest.raises(ConfigurationError, match="stubs: "):
        read_delays('{"stt_ms": "soon"}', "development")
    with pytest.raises(ConfigurationError, match="development"):
        read_delays("{}", "production")
