"""The contract of language-model vendors, through their real clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, replace

import pytest

from engine.errors import (
    ProviderError,
    ProviderRefusesUs,
    ProviderRejected,
    ProviderUnavailable,
)
from engine.providers.base import ChatDelta, ChatRequest, Message, Tool
from engine.providers.llm.anthropic import AnthropicLlm
from engine.providers.llm.gemini import GeminiLlm
from engine.providers.llm.groq import GroqLlm
from engine.providers.llm.openai import OpenAiLlm
from engine.providers.llm.vendor import THINKING_TOKENS, VendorLlm
from tests.vendors.anthropic_messages import AnthropicMessages
from tests.vendors.chat import HELD_AFTER, THOUGHTS, ChatSimulator
from tests.vendors.contract import FAULTS, WRONG_KEY, Case, FarEnd, Simulated, both_ends, hung_up
from tests.vendors.gemini_generate import GeminiGenerate
from tests.vendors.groq_chat import GroqChat
from tests.vendors.openai_chat import OpenAiChat
from tests.vendors.simulator import RETRY_AFTER_S, Fault


@dataclass(frozen=True, slots=True)
class LlmCase(Case[VendorLlm, ChatSimulator]):
    """`temperature`, `stop`: whether the vendor takes them, and a blank stop sequence. `prefills`: it goes
    on with its own last message. `thinks`: it cannot be kept from it. `merges`: it has turns, no messages.
    """

    temperature: bool = True
    stop: bool = True
    blank_stop: bool = True
    prefills: bool = False
    thinks: bool = False
    merges: bool = False


def openai(model: str = "", *, thinks: bool = False) -> LlmCase:
    takes_them = model == "gpt-4.1-mini"
    return LlmCase(
        OpenAiLlm,
        OpenAiChat,
        path="/v1",
        model=model,
        temperature=takes_them,
        stop=takes_them,
        blank_stop=takes_them,
        thinks=thinks,
    )


def groq(model: str = "", *, thinks: bool = False) -> LlmCase:
    return LlmCase(GroqLlm, GroqChat, path="/openai/v1", model=model, thinks=thinks)


def anthropic(model: str = "", *, thinks: bool = False, prefills: bool = False) -> LlmCase:
    return LlmCase(
        AnthropicLlm,
        AnthropicMessages,
        model=model,
        temperature=False,
        blank_stop=False,
        prefills=prefills,
        thinks=thinks,
        merges=True,
    )


def gemini(model: str = "", *, thinks: bool = False) -> LlmCase:
    return LlmCase(GeminiLlm, GeminiGenerate, model=model, thinks=thinks, merges=True)


CASES: dict[str, LlmCase] = {
    "openai": openai(),
    "openai gpt-4.1-mini": openai("gpt-4.1-mini"),
    "openai gpt-5-mini": openai("gpt-5-mini", thinks=True),
    "openai o3": openai("o3", thinks=True),
    "groq": groq(thinks=True),
    "groq qwen": groq("qwen/qwen3.6-27b"),
    "anthropic": anthropic(),
    "anthropic sonnet 5.5": anthropic("claude-sonnet-5-5"),
    "anthropic opus 5.5": anthropic("claude-opus-5-5", thinks=True),
    "anthropic haiku 4.5": anthropic("claude-haiku-4-5", prefills=True),
    "gemini": gemini(),
    "gemini 3.8 flash": gemini("gemini-3.8-flash", thinks=True),
}


def cases(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [CASES[name] for name in names], ids=names)


models = cases(*CASES)
"""For what differs by model: how it is asked, and what it does with that."""
vendors = cases("openai", "groq", "anthropic", "gemini")
goers_on = cases("openai", "groq", "anthropic", "anthropic haiku 4.5", "gemini")
"""One for each way of going on."""
clients = cases("openai", "anthropic", "gemini")
"""For ways of reading a stream: Groq's is OpenAI's."""

Llm = FarEnd[VendorLlm, ChatSimulator]
every_model = both_ends("llm", CASES)
every_vendor = both_ends("llm", {name: CASES[name] for name in ("openai", "groq", "anthropic", "gemini")})

SYSTEM = Message("system", "You answer the phone of a shop.")
ASKED = ChatRequest((SYSTEM, Message("user", "When do you open?")))
BOOK = Tool(
    "book",
    "Book a table.",
    {"type": "object", "properties": {"name": {"type": "string"}, "guests": {"type": "integer"}}},
)


async def ask(llm: VendorLlm, request: ChatRequest = ASKED) -> list[ChatDelta]:
    async with aclosing(llm.generate(request)) as deltas:
        return [delta async for delta in deltas]


def said(deltas: Sequence[ChatDelta]) -> str:
    return "".join(delta.text for delta in deltas)


WORD_FOR_WORD = "Say only what follows, word for word:"
OPENING = (
    "We are open from eight in the morning until six in the evening, on Saturdays from nine until noon, and "
    "on Sundays not at all. In August we close an hour earlier than that, and between Christmas and New Year "
    "you find somebody here on two mornings, which we write on the door and say at this number."
)
"""Long enough to come in several pieces."""


def asked_to_say(text: str, vendor: ChatSimulator | None) -> ChatRequest:
    """A request that is answered with this: a model is asked to say it, and a simulator will."""
    if vendor is not None:
        vendor.reply = text
    return ChatRequest((SYSTEM, Message("user", f"{WORD_FOR_WORD} {text}")))


@every_model
async def test_a_reply_is_streamed(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        request = asked_to_say(OPENING, vendor)
        if vendor is not None:
            vendor.rest.clear()
        async with aclosing(llm.generate(request)) as deltas:
            first = await anext(deltas)
            assert 0 < len(first.text) < len(OPENING)
            assert first.finish_reason is None
            if vendor is not None:
                vendor.rest.set()
            rest = [delta async for delta in deltas]
    assert far.alike(said([first, *rest]), OPENING)
    assert [delta.finish_reason for delta in rest[:-1]] == [None] * (len(rest) - 1)
    assert (rest[-1].finish_reason, rest[-1].tool_calls) == ("stop", ())


@every_model
async def test_the_last_delta_counts(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        request = asked_to_say(OPENING, vendor)
        last = (await ask(llm, request))[-1]
        again = (await ask(llm, request))[-1]
    assert last.served_by == f"{llm.name}/{llm.model}"
    assert last.prompt_tokens == again.prompt_tokens
    assert last.prompt_tokens
    assert last.completion_tokens
    if isinstance(far, Simulated) and vendor is not None:
        assert isinstance(far.case, LlmCase)
        thoughts = THOUGHTS if far.case.thinks else 0
        assert last.prompt_tokens == len(f"{SYSTEM.content} {WORD_FOR_WORD} {OPENING}".split())
        assert last.completion_tokens == len(OPENING.split()) + thoughts
        assert not vendor.asked[-1].shows_thoughts
        assert not last.cached_tokens
        assert again.cached_tokens == len(SYSTEM.content.split())


@models
async def test_the_conversation_arrives(case: LlmCase) -> None:
    history = (Message("user", "Hello!"), Message("assistant", "Hi. "), Message("user", "When do you open?"))
    async with case.opened() as (llm, vendor):
        await ask(llm, ChatRequest((SYSTEM, *history)))
    [asked] = vendor.asked
    assert (asked.model, asked.system) == (llm.model, SYSTEM.content)
    assert asked.messages == tuple((message.role, message.content) for message in history)


@cases(*(name for name, case in CASES.items() if case.merges))
async def test_messages_become_turns(case: LlmCase) -> None:
    messages = (
        SYSTEM,
        Message("user", "Hello!"),
        Message("user", "Are you there?"),
        Message("assistant", " "),
        Message("user", "Well?"),
        Message("system", "Be brief."),
        Message("assistant", "Yes."),
        Message("user", "When do you open?"),
    )
    async with case.opened() as (llm, vendor):
        await ask(llm, ChatRequest(messages))
    [asked] = vendor.asked
    assert asked.system == f"{SYSTEM.content}\n\nBe brief."
    assert asked.messages == (
        ("user", "Hello!\nAre you there?\nWell?"),
        ("assistant", "Yes."),
        ("user", "When do you open?"),
    )


@models
async def test_limits_arrive_as_far_as_the_vendor_takes_them(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        await ask(llm, replace(ASKED, max_tokens=70, temperature=0.5, stop=("END", "\n")))
    [asked] = vendor.asked
    assert asked.max_tokens == 70 + (THINKING_TOKENS if case.thinks else 0)
    assert asked.temperature == (0.5 if case.temperature else None)
    assert asked.stop == (("END",) if case.stop else ()) + (("\n",) if case.blank_stop else ())


@models
@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("At eight.\nCaller: And then?", "At eight."),
        ("At eight. END OF CALL", "At eight. "),
        ("At eight. END OF", "At eight. END OF"),
    ],
)
async def test_a_reply_ends_at_a_stop_sequence(case: LlmCase, reply: str, text: str) -> None:
    async with case.opened() as (llm, vendor):
        vendor.reply = reply
        deltas = await ask(llm, replace(ASKED, stop=("\n", "END OF CALL")))
    assert (said(deltas), deltas[-1].finish_reason) == (text, "stop")


@cases(*(name for name, case in CASES.items() if not case.blank_stop))
async def test_a_reply_that_ends_here_hangs_up(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.rest.clear()
        vendor.reply = "Eight.\nCaller: And then?"
        deltas = await ask(llm, replace(ASKED, stop=("\n",)))
        assert (said(deltas), deltas[-1].finish_reason) == ("Eight.", "stop")
        assert await hung_up(vendor)


@vendors
async def test_a_reply_begins_with_a_word(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.reply = " \n We are open."
        assert said(await ask(llm)) == "We are open."


@models
async def test_a_reply_is_cut_at_its_limit(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.reply = "word " * 1_000
        deltas = await ask(llm, replace(ASKED, max_tokens=10))
    limit = 10 + (THINKING_TOKENS - THOUGHTS if case.thinks else 0)
    assert len(said(deltas).split()) == limit
    assert deltas[-1].finish_reason == "length"


@vendors
async def test_a_filter_is_told(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.filtered = True
        assert (await ask(llm))[-1].finish_reason == "content_filter"


@every_model
@pytest.mark.parametrize("arguments", [{"name": "Zoë", "guests": 4}, {}])
async def test_a_tool_is_called(far: Llm, arguments: dict[str, object]) -> None:
    told = f"Call {BOOK.name} now, with these arguments alone: {json.dumps(arguments, ensure_ascii=False)}"
    async with far.opened() as (llm, vendor):
        if vendor is not None:
            vendor.reply, vendor.tool = "One moment.", (BOOK.name, arguments)
        deltas = await ask(llm, ChatRequest((SYSTEM, Message("user", told)), tools=(BOOK,)))
    if vendor is not None:
        assert vendor.asked[-1].tools == ((BOOK.name, BOOK.description, BOOK.parameters),)
        assert said(deltas) == "One moment."
    assert all(delta.tool_calls == () for delta in deltas[:-1])
    [call] = deltas[-1].tool_calls
    assert deltas[-1].finish_reason == "tool_calls"
    assert call.id
    assert (call.name, json.loads(call.arguments)) == ("book", arguments)


@goers_on
@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize(
    ("reply", "begun"),
    [
        ("We are open from eight in the morning until six.", "We are open from "),
        ("A new tyre costs $25 with us.", "A new tyre costs"),
        ("¿Cuánto? El envío a Zürich cuesta 12 €. 🚚", "¿Cuánto? El envío"),
        ("We are open.", "We are open."),
    ],
)
async def test_a_reply_goes_on(case: LlmCase, reply: str, begun: str, repeats: bool) -> None:
    async with case.opened() as (llm, vendor):
        vendor.reply, vendor.repeats = reply, repeats
        deltas = await ask(llm, replace(ASKED, continue_from=begun))
    assert begun.rstrip() + said(deltas) == reply
    [asked] = vendor.asked
    assert (asked.begun, asked.in_words) == (begun.rstrip(), not case.prefills)


@goers_on
async def test_a_reply_goes_on_with_a_comma(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.reply = "We are open, as always, from eight."
        assert said(await ask(llm, replace(ASKED, continue_from="We are open"))) == ", as always, from eight."


@every_vendor
async def test_any_words_go_through(far: Llm) -> None:
    words = "¿Cuánto cuesta el envío a Zürich? 東京まで 🚚 \u2028 \u0085 \\ \" ' <b>"
    async with far.opened() as (llm, vendor):
        request = asked_to_say(words, vendor)
        assert far.alike(said(await ask(llm, request)), words)
    if vendor is not None:
        assert vendor.asked[-1].messages == (("user", request.messages[-1].content),)


@every_vendor
async def test_a_long_prompt_goes_whole(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        facts = Message("user", "fact " * (2_000 if vendor is None else 40_000))
        request = asked_to_say(OPENING, vendor)
        request = replace(
            request, messages=(SYSTEM, facts, Message("assistant", "Yes?"), request.messages[-1])
        )
        assert far.alike(said(await ask(llm, request)), OPENING)
    if vendor is not None:
        assert vendor.asked[-1].messages == tuple((each.role, each.content) for each in request.messages[1:])


@vendors
async def test_a_reply_may_be_empty(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.reply = ""
        deltas = await ask(llm)
    assert (said(deltas), deltas[-1].finish_reason) == ("", "stop")


@vendors
@pytest.mark.parametrize("fault", FAULTS)
async def test_faults(case: LlmCase, fault: Fault) -> None:
    async with case.opened() as (llm, vendor):
        vendor.fault = fault
        with pytest.raises(FAULTS[fault]) as caught:
            await ask(llm)
        assert len(vendor.seen) == 1  # who asks again is the caller's to say
        assert caught.value.provider == llm.served_by
        assert vendor.key not in str(caught.value)
        if isinstance(caught.value, ProviderUnavailable) and fault is Fault.RATE_LIMITED:
            assert caught.value.retry_after_s == RETRY_AFTER_S
        vendor.fault = None
        assert said(await ask(llm)) == vendor.reply  # and it serves again


async def ask_until_it_fails(llm: VendorLlm) -> tuple[str, ProviderError]:
    """What was heard before, and the error."""
    heard: list[ChatDelta] = []

    async def listen() -> None:
        async for delta in llm.generate(ASKED):
            heard.append(delta)

    with pytest.raises(ProviderError) as caught:
        await listen()
    return said(heard), caught.value


@vendors
async def test_a_vendor_dies_in_mid_reply(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.dies = True
        heard, error = await ask_until_it_fails(llm)
    assert heard.split() == vendor.reply.split()[:HELD_AFTER]
    assert type(error) is ProviderUnavailable


@vendors
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (529, ProviderUnavailable),
        (500, ProviderUnavailable),
        (429, ProviderUnavailable),
        (400, ProviderRejected),
    ],
)
async def test_a_vendor_fails_in_mid_reply(case: LlmCase, status: int, expected: type[ProviderError]) -> None:
    async with case.opened() as (llm, vendor):
        vendor.breaks_with = status
        heard, error = await ask_until_it_fails(llm)
    assert heard.split() == vendor.reply.split()[:HELD_AFTER]
    assert type(error) is expected
    assert f"answered {status}: " in str(error)
    assert "simulated in mid-stream" in str(error)


@vendors
async def test_a_stream_that_just_ends_is_no_reply(case: LlmCase) -> None:
    async with case.opened() as (llm, vendor):
        vendor.unfinished = True
        heard, error = await ask_until_it_fails(llm)
    assert heard == vendor.reply
    assert type(error) is ProviderUnavailable


@clients
@pytest.mark.parametrize("data", [b'{"half": ', b"\xff\xfe", b"<html>"])
async def test_what_cannot_be_read_is_unavailable(case: LlmCase, data: bytes) -> None:
    async with case.opened() as (llm, vendor):
        vendor.odd = data
        _, error = await ask_until_it_fails(llm)
    assert type(error) is ProviderUnavailable


@clients
@pytest.mark.parametrize(
    "data",
    [
        "null",
        "1",
        "[1]",
        '"word"',
        "{}",
        '{"error": "word"}',
        '{"error": {}}',
        '{"type": "message_delta", "delta": 1}',
        '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta"}}',
        '{"type": "message_start", "message": {"usage": {}}}',
        '{"choices": 1}',
        '{"choices": [1]}',
        '{"choices": [{"index": 0}]}',
        '{"candidates": 1}',
        '{"candidates": [1]}',
        '{"candidates": [{"content": {"parts": [1]}}]}',
    ],
)
async def test_odd_events_are_passed_over_or_unavailable(case: LlmCase, data: str) -> None:
    async with case.opened() as (llm, vendor):
        vendor.odd = data.encode()
        with suppress(ProviderUnavailable):
            assert said(await ask(llm)) == vendor.reply
        vendor.odd = b""
        assert said(await ask(llm)) == vendor.reply


@vendors
async def test_nobody_listens(case: LlmCase) -> None:
    async with case.unreachable() as llm:
        with pytest.raises(ProviderUnavailable):
            await ask(llm)


@every_vendor
async def test_a_wrong_key_is_said_so(far: Llm) -> None:
    async with far.opened(key=WRONG_KEY) as (llm, _):
        with pytest.raises(ProviderRefusesUs, match="key"):
            await ask(llm)
        health = await llm.check()
        assert not health.ok
        assert WRONG_KEY not in health.detail


@every_vendor
async def test_an_unknown_model_is_an_operators_matter(far: Llm) -> None:
    async with far.opened(model="no-such-model") as (llm, _):
        with pytest.raises(ProviderRefusesUs, match="no-such-model"):
            await ask(llm)


@every_vendor
async def test_the_vendor_refuses_a_wrong_request(far: Llm) -> None:
    async with far.opened() as (llm, _):
        with pytest.raises(ProviderRejected):
            await ask(llm, ChatRequest(()))


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("openai gpt-4.1-mini", replace(ASKED, temperature=3.0)),
        ("groq", replace(ASKED, stop=("a", "b", "c", "d", "e"))),
        ("anthropic", replace(ASKED, tools=(Tool("book", "", {"type": "string"}),))),
        ("gemini", replace(ASKED, max_tokens=0)),
    ],
)
async def test_the_vendors_reason_is_told(name: str, request_: ChatRequest) -> None:
    async with CASES[name].opened() as (llm, _):
        with pytest.raises(ProviderRejected, match=r"answered 400: .+") as caught:
            await ask(llm, request_)
    assert "\n" not in str(caught.value)


@every_vendor
async def test_cancelling_hangs_up(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        request = asked_to_say(OPENING, vendor)
        await far.cancel(vendor, ask(llm, request))
        assert far.alike(said(await ask(llm, request)), OPENING)  # and it serves again


@every_vendor
async def test_cancelling_in_mid_reply_hangs_up(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        request = asked_to_say(OPENING, vendor)
        if vendor is not None:
            vendor.rest.clear()
        begun = asyncio.Event()

        async def listen() -> None:
            async for _ in llm.generate(request):
                begun.set()
                await asyncio.sleep(0)  # a reply that came all at once is cancelled too

        task = asyncio.create_task(listen())
        async with asyncio.timeout(5 if vendor is not None else 30):
            await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        if vendor is not None:
            assert await hung_up(vendor)
            vendor.rest.set()
        assert far.alike(said(await ask(llm, request)), OPENING)


@every_vendor
async def test_leaving_early_hangs_up_and_disturbs_nobody(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        request = asked_to_say(OPENING, vendor)
        if vendor is not None:
            vendor.rest.clear()
        async with aclosing(llm.generate(request)) as other:
            first = await anext(other)
            async with aclosing(llm.generate(request)) as deltas:
                await anext(deltas)
            if vendor is not None:
                assert await hung_up(vendor)
                vendor.rest.set()
            assert far.alike(first.text + said([delta async for delta in other]), OPENING)


@every_vendor
async def test_several_are_served_at_once(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        request = asked_to_say(OPENING, vendor)
        if vendor is not None:
            vendor.rest.clear()
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(aclosing(llm.generate(request))) for _ in range(4)]
            firsts = await asyncio.gather(*(anext(stream) for stream in streams))
            if vendor is not None:
                assert vendor.in_flight == len(streams)
                vendor.rest.set()
            for first, stream in zip(firsts, streams, strict=True):
                assert far.alike(said([first, *[delta async for delta in stream]]), OPENING)


@every_model
async def test_health(far: Llm) -> None:
    async with far.opened() as (llm, vendor):
        health = await llm.check()
        assert health.ok, health.detail
        assert health.latency_ms >= 0
        if vendor is not None:
            vendor.fault = Fault.SERVER_ERROR
            assert not (await llm.check()).ok


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("MALFORMED_FUNCTION_CALL", ProviderUnavailable),
        ("PUP_LIMITED_DISABLED", ProviderRefusesUs),
    ],
)
async def test_gemini_gives_up(reason: str, expected: type[ProviderError]) -> None:
    async with gemini().opened() as (llm, vendor):
        assert isinstance(vendor, GeminiGenerate)
        vendor.finish = reason
        with pytest.raises(expected):
            await ask(llm)


async def test_gemini_blocks_a_prompt() -> None:
    async with gemini().opened() as (llm, vendor):
        assert isinstance(vendor, GeminiGenerate)
        vendor.reply, vendor.blocked = "", True
        deltas = await ask(llm)
    assert (said(deltas), deltas[-1].finish_reason) == ("", "content_filter")


@pytest.mark.parametrize(
    "data", ['"word"', "{}", '{"error": "word"}', '{"error": {"type": 1}}', "null", "<html>"]
)
async def test_anthropic_reports_an_error_in_odd_words(data: str) -> None:
    async with anthropic().opened() as (llm, vendor):
        vendor.odd, vendor.event_line = data.encode(), b"event: error\n"
        _, error = await ask_until_it_fails(llm)
    assert type(error) is ProviderUnavailable


async def test_gemini_is_not_told_to_be_done_in_time() -> None:
    async with gemini().opened() as (llm, vendor):
        await ask(llm)
    assert "x-server-timeout" not in vendor.seen[-1].headers


async def test_an_operator_may_have_a_model_think() -> None:
    case = replace(openai("gpt-6-luna", thinks=True), extra=(("reasoning_effort", "low"),))
    async with case.opened() as (llm, vendor):
        await ask(llm)
    assert vendor.asked[-1].thoughts == THOUGHTS
