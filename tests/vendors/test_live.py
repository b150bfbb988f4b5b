"""The suite for real vendors (`make test-vendors-live`), with simulators in the vendors' place.

So it is known to work before it costs anything. The tests go through an installation's settings, as they do
with a real vendor, and do not know that a simulator is there.
"""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from engine.config import Settings
from engine.providers.registry import ENTRIES, entry
from tests.vendors import test_embeddings, test_llm, test_stt, test_tts
from tests.vendors.chat import Answer, Asked, ChatSimulator
from tests.vendors.contract import WRONG_KEY, Case, Real
from tests.vendors.simulator import KEY, VendorSimulator
from tests.vendors.transcription import SttSimulator

SUITES: dict[str, ModuleType] = {
    "stt": test_stt,
    "llm": test_llm,
    "tts": test_tts,
    "embeddings": test_embeddings,
}
CASES: dict[str, dict[str, Case[Any, Any]]] = {
    "stt": test_stt.CASES,
    "llm": dict(test_llm.CASES),
    "tts": {name: ways.case for name, ways in test_tts.VENDORS.items()},
    "embeddings": dict(test_embeddings.CASES),
}
SAID = {
    "test_any_words_come_through": test_stt.FRENCH.text,
    "test_a_long_utterance_goes_whole": " ".join([test_stt.CLEANING.text] * 7),
}
"""What is heard in each test's audio, where that is not one question."""


class Obedient(ChatSimulator):
    """It says what it is asked to say, and calls the tool that it has with the arguments it is told."""

    def _answer(self, asked: Asked, cached: int) -> Answer:
        told = asked.messages[-1][1]
        self.reply = told.partition(f"{test_llm.WORD_FOR_WORD} ")[2] or self.reply
        if asked.tools:
            self.tool = asked.tools[0][0], json.loads(told[told.index("{") :])
        return super()._answer(asked, cached)


def in_place_of(real: Real[Any, Any], test: str) -> VendorSimulator:
    make: Any = CASES[real.kind][real.name].simulator
    if real.kind == "llm":
        make = type(make.__name__, (Obedient, make), {})
    simulator: VendorSimulator = make()
    if isinstance(simulator, SttSimulator):
        simulator.text = SAID.get(test, test_stt.CLEANING.text)
    return simulator


def live_suite() -> Iterator[Any]:
    """Each test that has real vendors, with each of them and all its other parameters."""
    for module in SUITES.values():
        for name, test in inspect.getmembers(module, inspect.iscoroutinefunction):
            marks = {mark.args[0]: mark.args[1] for mark in getattr(test, "pytestmark", ())}
            for param in marks.pop("far", ()):
                [far] = param.values
                if isinstance(far, Real):
                    for values in itertools.product(*marks.values()):
                        arguments = dict(zip(marks, values, strict=True))
                        yield pytest.param(test, far, arguments, id=f"{far.kind} {far.name} {name}")


@pytest.mark.parametrize(("test", "real", "arguments"), live_suite())
async def test_it_works(
    test: Any, real: Real[Any, Any], arguments: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    async with in_place_of(real, test.__name__).serving() as url:
        where = {"base_url": url + CASES[real.kind][real.name].path}
        own = installation(real, KEY, provider_options={f"{real.kind}:{real.name}": where})
        arguments = {**arguments, "far": replace(real, read=lambda: own, speed=0.0)}
        for name in inspect.signature(test).parameters.keys() - arguments:
            arguments[name] = request.getfixturevalue(name)
        await test(**arguments)


def installation(real: Real[Any, Any], key: str | None, **options: Any) -> Settings:
    options[entry(real.kind, real.name).key] = key
    return Settings(**options)


def test_all_vendors_are_in_it() -> None:
    asked = {(param.values[1].kind, param.values[1].name) for param in live_suite()}
    assert asked == {(each.kind, each.name) for each in ENTRIES if not each.local}


@pytest.mark.parametrize("key", ["", WRONG_KEY])
async def test_a_vendor_without_a_key_is_not_asked(key: str) -> None:
    real: Real[Any, Any] = Real("llm", "openai")
    real = replace(real, read=lambda: installation(real, None))
    with pytest.raises(pytest.skip.Exception, match="PARLEY_OPENAI_API_KEY is not set"):
        async with real.opened(key=key):
            pass


def test_what_a_real_vendor_may_say() -> None:
    real: Real[Any, Any] = Real("stt", "openai")
    assert real.alike("how much does cleaning cost", "How much does a cleaning cost?")
    assert not real.alike("How much is a ticket?", "How much does a cleaning cost?")
    assert not real.alike("", "How much does a cleaning cost?")
