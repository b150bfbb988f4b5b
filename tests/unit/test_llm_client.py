"""The OpenAI-compatible client against a scripted server over real HTTP."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from engine.errors import (
    ProviderError,
    ProviderRefusesUs,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from engine.providers.base import ChatDelta, ChatRequest, Message
from engine.providers.llm.openai_compatible import Dialect, Endpoint, OpenAICompatible
from engine.providers.llm.vendor import GO_ON
from tests.unit.llm_scripted_server import Script, serving

ASKED = (Message("system", "You answer the phone."), Message("user", "When do you open?"))


async def ask(script: Script, request: ChatRequest | None = None, **endpoint: Any) -> list[ChatDelta]:
    async with serving(script) as url:
        model = OpenAICompatible(Endpoint(url, "m", **endpoint))
        try:
            return [delta async for delta in model.generate(request or ChatRequest(ASKED))]
        finally:
            await model.close()


def said(deltas: list[ChatDelta]) -> str:
    return "".join(delta.text for delta in deltas)


async def test_a_reply_streams_with_its_counts_last() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 7},
    }
    deltas = await ask(Script([" We", " open", " at 8."], usage=usage))
    assert [delta.text for delta in deltas] == ["We", " open", " at 8.", ""]
    assert deltas[-1] == ChatDelta(
        "", "stop", prompt_tokens=9, cached_tokens=7, completion_tokens=3, served_by="m"
    )
    assert all(delta.finish_reason is None for delta in deltas[:-1])


async def test_counts_are_unknown_when_the_server_does_not_say() -> None:
    assert (await ask(Script(["Hi."])))[-1] == ChatDelta("", "stop", served_by="m")


async def test_the_request_carries_what_was_asked() -> None:
    script = Script(["Hi."])
    request = ChatRequest(ASKED, max_tokens=7, temperature=0.5, stop=("\n",))
    await ask(script, request, api_key="k", seed=3)
    [body] = script.requests
    assert "authorization: bearer k" in body["head"].lower()
    assert body["messages"] == [{"role": each.role, "content": each.content} for each in ASKED]
    wanted = {"model": "m", "max_tokens": 7, "temperature": 0.5, "stop": ["\n"], "seed": 3, "stream": True}
    assert wanted.items() <= body.items()
    assert body["stream_options"] == {"include_usage": True}
    assert "id_slot" not in body


async def test_a_call_keeps_its_slot() -> None:
    script = Script(["Hi."])
    async with serving(script) as url:
        model = OpenAICompatible(Endpoint(url, "m", dialect="llama.cpp", slots=4))
        for key in ("a", "b", "a"):
            async for _ in model.generate(ChatRequest(ASKED, cache_key=key)):
                pass
        await model.close()
    assert [body["id_slot"] for body in script.requests] == [0, 1, 0]


@pytest.mark.parametrize(
    ("dialect", "reply", "text"),
    [
        ("llama.cpp", [" 8 in", " the morning."], " 8 in the morning."),
        ("llama.cpp", ["We open at", " 8."], " 8."),
        ("vllm", [" 8 in the morning."], " 8 in the morning."),
        ("openai", ["8 in the morning."], " 8 in the morning."),
        ("openai", ["We open ", "at ", "8."], " 8."),
        ("openai", [", as always, 8."], ", as always, 8."),
    ],
)
async def test_a_reply_goes_on_where_it_was_heard(dialect: Dialect, reply: list[str], text: str) -> None:
    script = Script(reply)
    deltas = await ask(
        script, ChatRequest(ASKED, continue_from="We open at "), dialect=dialect, reply_lead="~"
    )
    assert said(deltas) == text
    [body] = script.requests
    last = body["messages"][-1]
    if dialect == "openai":
        assert body["messages"][-2] == {"role": "assistant", "content": "We open at"}
        assert last == {"role": "user", "content": GO_ON}
    else:
        assert last == {"role": "assistant", "content": "~We open at"}
    assert body.get("continue_final_message", False) is (dialect == "vllm")
    assert body.get("add_generation_prompt", True) is not (dialect == "vllm")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(status=401), ProviderRefusesUs),
        (Script(status=400), ProviderRejected),
        (Script(status=404), ProviderRefusesUs),
        (Script(status=408), ProviderTimeout),
        (Script(status=429), ProviderUnavailable),
        (Script(status=500), ProviderUnavailable),
        (Script(status=503), ProviderUnavailable),
        (Script(["We"], error={"message": "too long", "code": 400}), ProviderRejected),
        (Script(["We"], error={"message": "out of memory", "code": 500}), ProviderUnavailable),
        (Script(["We"], error={"message": "odd"}), ProviderUnavailable),
        (Script(["We open"], breaks_off=True), ProviderUnavailable),
    ],
)
async def test_errors_say_whether_another_may_be_asked(script: Script, error: type[ProviderError]) -> None:
    with pytest.raises(error) as caught:
        await ask(script)
    assert caught.value.provider == "m"
    assert "\n" not in str(caught.value)


async def test_a_server_that_falls_silent_is_a_timeout() -> None:
    with pytest.raises(ProviderTimeout):
        await ask(Script(["We"], hangs=True), silence_s=0.05)


async def test_no_server_is_unavailable() -> None:
    async with serving(Script()) as url:
        pass
    model = OpenAICompatible(Endpoint(url, "m"))
    with pytest.raises(ProviderUnavailable):
        await anext(model.generate(ChatRequest(ASKED)))
    await model.close()


async def test_cancelling_closes_the_connection_and_frees_the_slot() -> None:
    script = Script(["We", " open"], hangs=True)
    async with serving(script) as url:
        model = OpenAICompatible(Endpoint(url, "m", dialect="llama.cpp", slots=1))
        begun = asyncio.Event()

        async def listen() -> None:
            async for _ in model.generate(ChatRequest(ASKED, cache_key="a")):
                begun.set()

        listener = asyncio.create_task(listen())
        await begun.wait()
        listener.cancel()
        async with asyncio.timeout(5):
            await script.hung_up.wait()
        with pytest.raises(asyncio.CancelledError):
            await listener
        script.hangs = False
        async for _ in model.generate(ChatRequest(ASKED, cache_key="b")):
            pass
        await model.close()
    assert script.requests[1]["id_slot"] == 0


async def test_leaving_early_closes_the_connection() -> None:
    script = Script(["We", " open"], hangs=True)
    async with serving(script) as url:
        model = OpenAICompatible(Endpoint(url, "m"))
        async with aclosing(model.generate(ChatRequest(ASKED))) as deltas:
            assert (await anext(deltas)).text == "We"
        async with asyncio.timeout(5):
            await script.hung_up.wait()
        await model.close()
