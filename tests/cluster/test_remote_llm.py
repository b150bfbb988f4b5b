"""PARLEY_LLM_BASE_URL: the model is behind any OpenAI-compatible server; here llama.cpp's, started apart."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from deployments.llm import HERE, LanguageModelReplica, LlmArgs
from engine import switches, weights
from engine.config import settings
from engine.errors import ProviderError
from engine.providers.base import ChatRequest, Message
from engine.providers.llm.server_process import Address, PrintsItsAddress, ServerProcess

REQUEST = ChatRequest(
    (
        Message("system", "You answer the phone for a clinic. Answer briefly, only from the facts."),
        Message("user", "Facts: A check-up costs 60 dollars.\nCaller: How much is a check-up?"),
    ),
    max_tokens=30,
    stop=("\n",),
)


@pytest.fixture
async def other_server() -> AsyncIterator[Address]:
    (model,) = weights.folder("smollm2-135m").glob("*.gguf")
    command = [sys.executable, "-m", "deployments.llama_server", "--model", str(model), "--slots", "1"]
    template = ["--chat-template-file", str(HERE / "starter_llm.jinja"), "--alias", "house-model"]
    process = await ServerProcess.start(PrintsItsAddress("llama.cpp", command + template), deadline_s=60)
    yield process.address
    await process.stop()


@pytest.fixture
def configured(other_server: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in switches.with_switches({}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PARLEY_LLM_BASE_URL", other_server.base_url)
    monkeypatch.setenv("PARLEY_LLM_MODEL", "house-model")
    monkeypatch.setenv("PARLEY_LLM_API_KEY", other_server.api_key)
    settings.cache_clear()
    yield
    settings.cache_clear()


async def end(model: LanguageModelReplica) -> None:
    """As Serve ends a replica."""
    closing = model.__del__()
    assert closing is not None
    await closing


async def replica() -> LanguageModelReplica:
    made = LanguageModelReplica.__new__(LanguageModelReplica)
    await made.__init__(LlmArgs())  # type: ignore[misc]  # as Serve does it
    return made


async def test_replies_come_from_the_server_at_that_address(configured: None) -> None:
    model = await replica()
    deltas = [delta async for delta in model.generate(REQUEST)]
    assert "60" in "".join(delta.text for delta in deltas)
    assert deltas[-1].finish_reason == "stop"
    info = await model.info()
    assert (info["engine"], info["model"], info["server_pid"]) == ("remote", "house-model", None)
    await end(model)


async def test_a_wrong_key_is_a_providers_error(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM_API_KEY", "wrong")
    settings.cache_clear()
    model = await replica()
    with pytest.raises(ProviderError):
        async for _ in model.generate(REQUEST):
            pass
    await end(model)
