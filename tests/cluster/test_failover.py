"""Failures of providers on the real server, with simulated vendors: an answer is heard, or the apology."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from engine import demo
from engine.simulator import recordings
from engine.simulator.events import AgentPiece
from engine.store import put_company
from models.agent import Example, Providers
from tests.cluster.conftest import Note
from tests.cluster.site import CLINIC, Site, eventually
from tests.cluster.talk import ANSWER_S, Judge, answer_since, ask, call_id, greeted, meanwhile
from tests.cluster.vendors import Vendors
from tests.vendors.simulator import Fault

QUESTION = "demo-cleaning"
REPLY = "A cleaning costs eighty five dollars, and it takes about half an hour of your time."
CALLS, TURNS, AT_A_TIME = int(os.environ.get("PARLEY_TEST_DEAD_VENDOR_CALLS", "6")), 2, 2
"""More calls than that need PARLEY_MAX_CALLS and PARLEY_WARM_CALLS too."""
LONG = Example(
    facts="A check-up costs 60 dollars.",
    caller="How much does a check-up cost?",
    agent="A check-up costs 60 dollars, and it takes about half an hour, in which we look at each of your "
    "teeth, at your gums, at your tongue and at your jaw, take a picture of all of them, show you what we "
    "have found, tell you what could be done about it, what each of these things would cost, how long each "
    "would take, and what would happen if nothing was done, so that you can think about it at home for "
    "as long as you like, ask your family and your friends, and call us again when your mind is made up.",
)
"""It makes the starter model talk for a second and more."""


async def publish(
    server: Site,
    name: str,
    apology: str = "I am sorry.",
    changes: Mapping[str, Any] | None = None,
    **chains: tuple[str, ...],
) -> str:
    """An agent with these chains."""
    agent = demo.agent()
    phrases = agent.phrases.model_copy(update={"greeting": "Hello.", "apology": apology})
    update = {"id": name, "phrases": phrases, "providers": Providers(**chains), **(changes or {})}
    await server.store.publish_agent(agent.model_copy(update=update))
    return name


async def routes(server: Site, call: str) -> list[dict[str, list[tuple[str, str]]]]:
    """Of each answered turn: stage -> (provider, what) of its route."""
    heard = [one for one in await server.entries(call, "heard") if one["turn"]]
    return [
        {stage: [(d["provider"], d["what"]) for d in route] for stage, route in one.get("routes", {}).items()}
        for one in heard
    ]


def voice_to_voice_ms(heard: dict[str, Any]) -> int:
    stamps: dict[str, float] = heard["stamps"]
    return round(stamps["first_byte"] - stamps["speech_end"])


@pytest.fixture(autouse=True)
def well(vendors: Vendors) -> None:
    vendors.well()
    for llm in (vendors.llm_groq, vendors.llm_openai, vendors.llm_anthropic):
        llm.reply, llm.goes_on, llm.dies = REPLY, "", False
    vendors.stt_assemblyai.too_fast = False
    for stt in (vendors.stt_groq, vendors.stt_openai):
        stt.text = "How much does a cleaning cost?"


async def test_a_call_on_vendors_alone(server: Site, vendors: Vendors) -> None:
    agent = await publish(server, "alone", stt=("groq",), llm=("groq",), tts=("openai",))
    async with server.dial(agent=agent) as caller:
        await greeted(caller)
        answer = await ask(caller, QUESTION)
        assert answer.text == REPLY
        call = call_id(caller)
    assert await server.ended(call) == "caller hung up"
    (turn,) = [one for one in await server.entries(call, "heard") if one["turn"]]
    assert {stage: by.split("/")[0] for stage, by in turn["served"].items()} == {
        "stt": "groq", "llm": "groq", "tts": "openai",
    }  # fmt: skip
    assert "routes" not in turn
    assert vendors.llm_groq.asked
    assert vendors.stt_groq.heard[-1]["seconds"] > 0.5
    assert vendors.tts_openai.spoken


async def test_a_live_vendor_hears_the_caller_speak(server: Site, vendors: Vendors) -> None:
    agent = await publish(server, "live", stt=("assemblyai", "local"))
    live = vendors.stt_assemblyai
    live.text = "How much does a cleaning cost?"
    async with server.dial(agent=agent) as caller:
        await greeted(caller)

        async def sampled() -> bool:
            return bool(live.heard)

        await eventually(sampled, ANSWER_S, "the vendor was asked for a sample")
        live.heard.clear()
        live.listening.clear()
        async with meanwhile(ask(caller, QUESTION)) as asking:
            assert await asyncio.to_thread(live.listening.wait, ANSWER_S)
            assert not live.heard, "it hears before the caller has finished"
            answer = await asking
        assert answer.heard_as == live.text
        assert "reply" in answer.kinds
        call = call_id(caller)
    (turn,) = [one for one in await server.entries(call, "heard") if one["turn"]]
    assert turn["served"]["stt"].startswith("assemblyai")
    assert "routes" not in turn
    assert live.heard[-1]["seconds"] > 0.5


async def test_a_live_vendor_that_breaks_off_is_stood_in_for(server: Site, vendors: Vendors) -> None:
    agent = await publish(server, "live-lost", stt=("assemblyai", "local"))
    vendors.stt_assemblyai.too_fast = True
    async with server.dial(agent=agent) as caller:
        await greeted(caller)
        answer = await ask(caller, QUESTION)
        assert "cleaning" in answer.heard_as.lower()
        call = call_id(caller)
    (route,) = await routes(server, call)
    assert route["stt"] == [("assemblyai", "failed"), ("local", "answered")]


async def test_a_reply_that_breaks_off_is_gone_on_with(server: Site, vendors: Vendors, note: Note) -> None:
    agent = await publish(server, "breaks", llm=("groq", "openai"))
    vendors.llm_groq.dies = True
    async with server.dial(agent=agent) as caller:
        await greeted(caller)
        answer = await ask(caller, QUESTION)
        call = call_id(caller)
    assert answer.text == REPLY, "no word twice, none left out"
    (route,) = await routes(server, call)
    assert route["llm"][0] == ("groq", "broke off")
    assert vendors.llm_openai.asked[-1].begun
    (turn,) = [one for one in await server.entries(call, "heard") if one["turn"]]
    note("voice to voice ms", voice_to_voice_ms(turn))


async def test_stt_in_a_black_hole_and_tts_that_fails(server: Site, vendors: Vendors, note: Note) -> None:
    agent = await publish(server, "holes", stt=("openai", "local"), tts=("elevenlabs", "local"))
    async with server.dial(agent=agent) as caller:
        await greeted(caller)
        vendors.stt_openai.fault = Fault.BLACK_HOLE
        vendors.tts_elevenlabs.fault = Fault.SERVER_ERROR
        for _ in range(4):
            answer = await ask(caller, QUESTION)
            assert answer.done
            assert answer.kinds, "the caller heard nothing"
        call = call_id(caller)
    found = await routes(server, call)
    assert ("openai", "too slow") in found[0]["stt"]
    assert found[0]["stt"][-1] == ("local", "answered")
    assert found[-1]["stt"] == [("openai", "not asked"), ("local", "answered")], "its breaker is open"
    assert found[-1]["tts"][:2] == [("elevenlabs", "not asked"), ("local", "answered")]
    for number, turn in enumerate(one for one in await server.entries(call, "heard") if one["turn"]):
        note(f"turn {number}: voice to voice ms", voice_to_voice_ms(turn))


async def test_everything_down_is_an_apology_and_an_end(server: Site, vendors: Vendors) -> None:
    # Words of its own: last words are kept from call to call.
    apology = "I am sorry, nothing works here today."
    agent = await publish(server, "down", apology, llm=("openai",), tts=("elevenlabs", "openai"))
    async with server.dial(agent=agent) as caller:
        await greeted(caller)

        async def last_words_at_hand() -> bool:
            return sum("nothing works" in one.text for one in vendors.tts_openai.spoken) > 0

        await eventually(last_words_at_hand, ANSWER_S, "the apology is at hand")
        vendors.llm_openai.fault = vendors.tts_openai.fault = Fault.SERVER_ERROR
        for _ in range(2):
            loud = caller.tape.last_agent_loud
            answer = await ask(caller, QUESTION)
            assert answer.kinds == ["apology"]
            assert caller.tape.last_agent_loud > loud, "the apology is heard"
        call = call_id(caller)
        await eventually(lambda: _closed(caller), ANSWER_S, "the agent hangs up")
    assert await server.ended(call) == "agent ended the call"


async def _closed(caller: Any) -> bool:
    return not caller.open


async def test_the_local_language_model_killed_in_mid_sentence(
    server: Site, vendors: Vendors, judge: Judge, note: Note
) -> None:
    changes = {"max_tokens": 160, "examples": (LONG,)}
    agent = await publish(server, "severed", llm=("local", "groq"), changes=changes)
    vendors.llm_groq.goes_on = " and that is all that there is to say."
    async with server.dial(agent=agent) as caller:
        await greeted(caller)
        await ask(caller, "demo-parking")  # the model has read the prompt's beginning then, and is not outrun
        (model,) = server.processes("deployments.llama_server")
        events = len(caller.events)
        said = await caller.say(recordings.get(QUESTION).pcm())
        assert await caller.wait_for(
            lambda event: isinstance(event, AgentPiece) and event.turn == 2, ANSWER_S
        )
        server.kill(model.pid)
        assert await caller.agent_done(ANSWER_S)
        answer = answer_since(caller, events, said.end, True)
        call = call_id(caller)
    begun = vendors.llm_groq.asked[-1].begun
    assert len(begun.split()) >= len(answer.pieces[0].text.split()), "the caller was hearing it"
    assert answer.text.split() == (begun + vendors.llm_groq.goes_on).split(), "no word twice, none left out"
    assert not (wrong := await judge.missing(answer.audio, recordings.get(QUESTION).facts)), wrong
    _, route = await routes(server, call)
    assert route["llm"] == [("local", "broke off")]
    note("words before and in all", (len(begun.split()), len(answer.text.split())))
    await eventually(lambda: _model_is_back(server), 60.0, "the local model is back")


async def test_the_local_language_model_killed_while_it_is_asked(
    server: Site, vendors: Vendors, note: Note
) -> None:
    agent = await publish(server, "killed", llm=("local", "groq"))
    async with server.dial(agent=agent) as caller:
        await greeted(caller)
        (model,) = server.processes("deployments.llama_server")
        server.kill(model.pid)
        answer = await ask(caller, QUESTION)
        assert set(answer.kinds) == {"reply"}
        call = call_id(caller)
    (turn,) = [one for one in await server.entries(call, "heard") if one["turn"]]
    note("served", turn["served"])
    note("voice to voice ms", voice_to_voice_ms(turn))
    await eventually(lambda: _model_is_back(server), 60.0, "the local model is back")


async def _model_is_back(server: Site) -> bool:
    return len(server.processes("deployments.llama_server")) == 1


async def test_many_calls_on_a_dead_vendor(server: Site, vendors: Vendors, note: Note) -> None:
    """However many calls ask at once: what is sent to it stays within its breaker's budget."""
    agent = await publish(server, "dead", stt=("groq",), llm=("openai", "groq"), tts=("openai",))
    company = await server.store.company(CLINIC)
    assert company is not None
    await put_company(server.store, company.model_copy(update={"max_calls": CALLS + 2}))
    vendors.llm_openai.fault = Fault.BLACK_HOLE
    dialling = asyncio.Semaphore(AT_A_TIME)

    async def call() -> int:
        async with AsyncExitStack() as stack:
            async with dialling:
                caller = await stack.enter_async_context(server.dial(agent=agent))
                await greeted(caller)
            return sum(["reply" in (await ask(caller, QUESTION)).kinds for _ in range(TURNS)])

    answered = sum(await asyncio.gather(*(call() for _ in range(CALLS))))
    sent = len(vendors.llm_openai.seen)
    note("requests sent to the dead vendor", f"{sent}, for {answered} answers in {CALLS} calls")
    assert answered == CALLS * TURNS
    assert 0 < sent < answered


async def test_fifty_calls_on_a_dead_vendor(server: Site, vendors: Vendors, note: Note) -> None:
    """All at the same moment: more than these two cores could hear and speak to, so of the models alone."""
    calls, turns = 50, 2
    dies = vendors.llm_anthropic

    for alone in ("groq", "anthropic"):
        assert await server.ray.ask("replies", chain=alone, calls="1", turns="1") == [REPLY], "it is well"
    dies.fault = Fault.BLACK_HOLE
    dies.seen.clear()
    said = await server.ray.ask("replies", chain="anthropic,groq", calls=str(calls), turns=str(turns))
    assert said == [REPLY] * calls * turns
    sent = len(dies.seen)
    note("requests sent to the dead vendor", f"{sent}, for {calls * turns} replies in {calls} calls")
    assert 0 < sent <= calls, "what was under way before anybody could know, and no more"


async def answered_by_local(server: Site) -> float:
    """How often the local model has answered for another."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{server.url}/metrics")).raise_for_status().text
    labels = 'provider="local",stage="llm",what="answered"'
    found = re.search(rf"parley_failover_total{{{labels}}} (\S+)", text)
    return float(found[1]) if found else 0.0


async def test_decisions_are_in_the_metrics(server: Site, vendors: Vendors) -> None:
    agent = await publish(server, "counted", llm=("groq", "local"))
    vendors.llm_groq.fault = Fault.SERVER_ERROR
    before = await answered_by_local(server)
    async with server.dial(agent=agent) as caller:
        await greeted(caller)
        assert (await ask(caller, QUESTION)).kinds
        call = call_id(caller)
    await server.ended(call)
    assert await answered_by_local(server) == before + 1
