"""What an agent's prompts begin with is read once: with the real server and model."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.providers.base import ChatDelta, ChatRequest, Message
from engine.providers.llm.openai_compatible import Endpoint, OpenAICompatible
from engine.providers.llm.openings import Openings, make_folder
from engine.providers.llm.server_process import PrintsItsAddress, ServerProcess
from engine.weights import folder

SLOTS = 3
OPENING = Message("system", "You answer the telephone of a dental clinic. " * 6)


def opening(call: str, text: Message = OPENING) -> ChatRequest:
    return ChatRequest((text, Message("user", "Caller:")), max_tokens=1, cache_key=call, opening=True)


def question(call: str) -> ChatRequest:
    return ChatRequest((OPENING, Message("user", "Caller: When?")), max_tokens=2, cache_key=call)


def kept(place: Path) -> list[Path]:
    return list(place.iterdir())


async def last(model: OpenAICompatible, request: ChatRequest) -> ChatDelta:
    return [delta async for delta in model.generate(request)][-1]


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[OpenAICompatible]:
    [file] = folder("smollm2-135m").glob("*.gguf")
    command = [sys.executable, "-m", "deployments.llama_server", "--model", str(file)]
    command += ["--slots", str(SLOTS), "--n-ctx", "512", "--openings", str(tmp_path)]
    server = await ServerProcess.start(PrintsItsAddress("llama.cpp", command), deadline_s=60)
    at = server.address
    client = OpenAICompatible(
        Endpoint(at.base_url, "m", at.api_key, dialect="llama.cpp", slots=SLOTS, openings=tmp_path)
    )
    yield client
    await client.close()
    await server.stop()


async def test_a_second_call_does_not_have_it_read_again(model: OpenAICompatible) -> None:
    first, second = await asyncio.gather(last(model, opening("a")), last(model, opening("b")))
    assert (first.prompt_tokens or 0) > 40
    assert second.prompt_tokens is None, "it was brought back, not read"
    asked = await last(model, question("b"))
    assert (asked.cached_tokens or 0) > 40


async def test_a_call_that_has_asked_already_keeps_what_it_has(model: OpenAICompatible) -> None:
    await last(model, opening("a"))
    before = await last(model, question("b"))
    assert before.cached_tokens == 0
    await last(model, opening("b"))
    after = await last(model, question("b"))
    assert (after.cached_tokens or 0) >= (after.prompt_tokens or 999) - 1


async def test_another_agents_opening_is_another(model: OpenAICompatible, tmp_path: Path) -> None:
    await last(model, opening("a"))
    other = await last(model, opening("b", Message("system", "You answer for a garage. " * 12)))
    assert other.prompt_tokens is not None
    assert len(kept(tmp_path)) == 2


async def test_a_file_that_is_gone_is_read_again(model: OpenAICompatible, tmp_path: Path) -> None:
    await last(model, opening("a"))
    for file in kept(tmp_path):
        file.unlink()
    assert (await last(model, opening("b"))).prompt_tokens is not None


async def test_no_more_are_kept_than_may_be(model: OpenAICompatible, tmp_path: Path) -> None:
    at = model._endpoint
    openings = Openings(at.base_url, at.api_key, tmp_path, most=2)
    for number in range(3):
        messages = (Message("system", f"You are number {number}."),)
        async with openings.read(0, messages, lambda: True) as done:
            assert not done
            await last(model, question("a"))
    await openings.close()
    assert len(kept(tmp_path)) == 2


async def test_a_server_that_does_not_answer_is_no_failure(tmp_path: Path) -> None:
    openings = Openings("http://127.0.0.1:9/v1", "key", tmp_path)
    for _ in range(2):
        async with openings.read(0, (OPENING,), lambda: True) as done:
            assert not done
    await openings.close()


def test_a_folder_of_a_process_that_is_gone_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "parley-openings-4194999-x"  # above the greatest pid of Linux
    left.mkdir()
    (left / "file").touch()
    mine = make_folder()
    assert not left.exists()
    assert mine.stat().st_mode & 0o777 == 0o700
    assert make_folder() != mine
    assert mine.exists()
    assert f"-{os.getpid()}-" in mine.name
