"""What an agent's prompts begin with is read once: with the real server and model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployments import llm
from engine.config import settings
from engine.providers.base import ChatDelta, ChatRequest, Message, Purpose
from engine.providers.llm.openai_compatible import Endpoint, OpenAICompatible
from engine.providers.llm.openings import Folder, Openings
from engine.providers.llm.server_process import PrintsItsAddress, ServerProcess

SLOTS = 3
OPENING = Message("system", "You answer the telephone of a dental clinic. " * 6)
GARAGE = Message("system", "You answer for a garage. " * 12)


def opening(call: str, text: Message = OPENING) -> ChatRequest:
    return ChatRequest(
        (text, Message("user", "Caller:")), max_tokens=1, cache_key=call, purpose=Purpose.OPENING
    )


def question(call: str) -> ChatRequest:
    return ChatRequest((OPENING, Message("user", "Caller: When?")), max_tokens=2, cache_key=call)


def kept(place: Path) -> list[Path]:
    return list(place.iterdir())


async def last(model: OpenAICompatible, request: ChatRequest) -> ChatDelta:
    return [delta async for delta in model.generate(request)][-1]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """Started as the deployment starts it."""
    args = llm.LlmArgs(slots=SLOTS, n_ctx=512)
    command = llm._llama_command(args, tmp_path)
    process = await ServerProcess.start(PrintsItsAddress("llama.cpp", command), deadline_s=60)
    yield process
    await process.stop()


@pytest.fixture
async def model(server: ServerProcess, tmp_path: Path) -> AsyncIterator[OpenAICompatible]:
    at = server.address
    endpoint = Endpoint(at.base_url, "m", at.api_key, dialect="llama.cpp", slots=SLOTS, openings=tmp_path)
    client = OpenAICompatible(endpoint)
    yield client
    await client.close()


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
    other = await last(model, opening("b", GARAGE))
    assert other.prompt_tokens is not None
    assert len(kept(tmp_path)) == 2


async def test_a_file_that_is_gone_is_read_again(model: OpenAICompatible, tmp_path: Path) -> None:
    await last(model, opening("a"))
    for file in kept(tmp_path):
        file.unlink()
    assert (await last(model, opening("b"))).prompt_tokens is not None


async def test_a_call_that_ends_meanwhile_leaves_it_to_be_read(
    model: OpenAICompatible, tmp_path: Path
) -> None:
    asked = asyncio.create_task(last(model, opening("a")))
    await asyncio.sleep(0)  # it has taken its slot
    [reading] = model._reading
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await reading
    assert len(kept(tmp_path)) == 1
    assert (await last(model, opening("b"))).prompt_tokens is None


async def test_a_question_that_overtakes_it_is_not_kept_with_it(
    model: OpenAICompatible, tmp_path: Path
) -> None:
    await asyncio.gather(last(model, opening("a")), last(model, question("a")))
    assert not kept(tmp_path), "the file would hold what this caller said"
    assert (await last(model, opening("b"))).prompt_tokens is not None


async def test_no_more_is_kept_than_may_be(
    server: ServerProcess, model: OpenAICompatible, tmp_path: Path
) -> None:
    at = server.address
    await last(model, question("a"))
    openings = Openings(at.base_url, at.api_key, tmp_path, most_bytes=1)
    await openings.save(0, (OPENING,))
    assert not kept(tmp_path)
    assert not await openings.restore(0, (OPENING,))
    await openings.close()


async def test_a_server_that_does_not_answer_is_no_failure(
    server: ServerProcess, model: OpenAICompatible, tmp_path: Path
) -> None:
    at = server.address
    openings = Openings(at.base_url, at.api_key, tmp_path)
    await last(model, question("a"))
    await openings.save(0, (OPENING,))
    assert await openings.restore(0, (OPENING,))
    await server.stop()
    assert not await openings.restore(0, (OPENING,))
    await openings.save(0, (GARAGE,))
    assert len(kept(tmp_path)) == 1
    await openings.close()


def test_a_folder_of_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "openings"
    imports = "import os\nfrom pathlib import Path\nfrom engine.providers.llm.openings import Folder"
    code = f"{imports}\nFolder(Path({str(place)!r}))\nos._exit(1)"
    subprocess.run([sys.executable, "-c", code], check=False)
    [left] = [entry for entry in place.iterdir() if entry.is_dir()]
    mine, other = Folder(place), Folder(place)
    assert not left.exists()
    assert mine.path.exists(), "the second was made while its owner lives"
    assert mine.path.stat().st_mode & 0o777 == 0o700
    other.remove()
    assert not other.path.exists()


def test_where_no_folder_can_be_made_the_model_starts_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PARLEY_DATA_DIR", str(tmp_path / "file"))
    settings.cache_clear()
    try:
        assert llm._folder() is None
        assert "--openings" not in llm._llama_command(llm.LlmArgs(), None)
    finally:
        settings.cache_clear()


@pytest.mark.parametrize(("calls", "slots"), [("4", 4), ("64", llm.MOST_SLOTS)])
def test_a_call_has_a_slot_of_its_own(monkeypatch: pytest.MonkeyPatch, calls: str, slots: int) -> None:
    monkeypatch.setenv("PARLEY_MAX_CALLS", calls)
    settings.cache_clear()
    try:
        assert llm._slots(llm.LlmArgs()) == slots
        assert llm._slots(llm.LlmArgs(slots=3)) == 3
    finally:
        settings.cache_clear()
